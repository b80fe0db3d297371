"""Bandwidth of dropout and its fused forms on a GPU, beside a copy and PyTorch's own.

    python benchmarks/bench_gpu.py --out gpu.json

Times are medians of rounds in which all contenders take turns, each timed by CUDA events over memory larger than the
caches. The values are compared with the reference first: there is no speed of a wrong kernel.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from thinout import functional as F
from thinout import ops
from thinout.fused import bias_act_dropout, dropout_add

P = 0.1
COLUMNS = 4096
DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}
Contenders = dict[str, Callable[[], object]]


def check() -> None:
    for dtype in DTYPES.values():
        x = torch.randn(100_003).to(dtype)
        expected = ops.dropout(x, key=1, p=P, backend="reference")
        if not torch.equal(ops.dropout(x.cuda(), key=1, p=P).cpu(), expected):
            sys.exit(f"bench_gpu: {dtype} dropout on the GPU differs from the reference; nothing was timed.")


def backward(function: Callable[..., Tensor], grad: Tensor, *inputs: Tensor) -> Callable[[], object]:
    leaves = [x.detach().requires_grad_() for x in inputs]
    return lambda: torch.autograd.grad(function(*leaves), leaves, grad)


def dropout_contenders(x: Tensor) -> Contenders:
    out, key = torch.empty_like(x), torch.tensor(1, device="cuda")
    return {
        "copy": lambda: out.copy_(x),
        "torch dropout": lambda: torch.nn.functional.dropout(x, P),
        "thinout dropout": lambda: ops.dropout(x, key, P),
        "torch dropout, forward + backward": backward(lambda x: torch.nn.functional.dropout(x, P), x, x),
        "thinout dropout, forward + backward": backward(lambda x: ops.dropout(x, key, P), x, x),
    }


def fused_contenders(x: Tensor) -> Contenders:
    rows, bias = x.view(-1, COLUMNS), torch.randn(COLUMNS).to(x)
    drop, gelu = torch.nn.functional.dropout, torch.nn.functional.gelu

    def fused(x: Tensor, bias: Tensor) -> Tensor:
        return bias_act_dropout(x, bias, P, activation="gelu", training=True)

    return {
        "torch dropout + residual": lambda: x + drop(x, P),
        "thinout dropout + residual": lambda: dropout_add(x, x, P, training=True),
        "thinout separate dropout + residual": lambda: x + F.dropout(x, P, training=True),
        "torch bias + GELU + dropout": lambda: drop(gelu(rows + bias), P),
        "thinout bias + GELU + dropout": lambda: fused(rows, bias),
        "torch bias + GELU + dropout, forward + backward": backward(
            lambda x, bias: drop(gelu(x + bias), P), rows, rows, bias
        ),
        "thinout bias + GELU + dropout, forward + backward": backward(fused, rows, rows, bias),
    }


def milliseconds(call: Callable[[], object]) -> float:
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    call()
    end.record()
    end.synchronize()
    return start.elapsed_time(end)


def measure(contenders: Contenders, rounds: int) -> dict[str, float]:
    for call in contenders.values():
        for _ in range(3):
            call()
    times = [{name: milliseconds(call) for name, call in contenders.items()} for _ in range(rounds)]
    return {name: statistics.median(row[name] for row in times) for name in contenders}


def run(num: int, rounds: int) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for dtype, torch_dtype in DTYPES.items():
        x = torch.randn(num, device="cuda").to(torch_dtype)
        times = measure(dropout_contenders(x) | fused_contenders(x), rounds)
        for name, time in times.items():
            rows.append({"dtype": dtype, "elements": num, "name": name, "ms": time, "copies": time / times["copy"]})
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description="Bandwidth of dropout on a GPU")
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    parser.add_argument("--elements", type=int, default=64 * 2**20)
    parser.add_argument("--rounds", type=int, default=50)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("bench_gpu: there is no CUDA or ROCm device here; nothing was measured.", file=sys.stderr)
        return 1
    check()
    rows = run(arguments.elements, arguments.rounds)
    for row in rows:
        print(f"{row['dtype']:>9} {row['name']:<50} {row['ms']:8.3f} ms {row['copies']:6.2f} copies")
    if arguments.out:
        machine = {"device": torch.cuda.get_device_name(), "torch": torch.__version__}
        arguments.out.write_text(json.dumps({**machine, "p": P, "rows": rows}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
