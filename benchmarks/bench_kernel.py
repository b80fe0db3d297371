"""The CPU kernel alone, against what it is measured by: copy_, clone and PyTorch's dropout.

Within a round every contender runs once, so that a slow moment of the machine hits all of them; a ratio is the median
over the rounds of the paired ratios. Before anything is timed the output is compared with the reference.

    python benchmarks/bench_kernel.py --out kernel.json
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from thinout.ops import _cpu, _reference
from thinout.ops._contract import Mask

MASK = Mask(threshold=19661)
KEY = 12345
STREAM = {"key": KEY, "offset": 0, "threshold": MASK.threshold, "wide": False, "scale": MASK.scale}
SIZES = (1 << 12, 1 << 16, 1 << 20, 1 << 24)
LAYOUTS: dict[str, Callable[[], Tensor]] = {
    "channels last 32x64x56x56": lambda: torch.randn(32, 64, 56, 56).to(memory_format=torch.channels_last),
    "channels last 32x3x224x224": lambda: torch.randn(32, 3, 224, 224).to(memory_format=torch.channels_last),
    "channels last 32x96x7x7": lambda: torch.randn(32, 96, 7, 7).to(memory_format=torch.channels_last),
    "transposed 4096x4096": lambda: torch.randn(4096, 4096).t(),
    "transposed 1000x1000": lambda: torch.randn(1000, 1000).t(),
    "heads 8x8x128x64": lambda: torch.randn(8, 128, 8, 64).transpose(1, 2),
}


def kernel(x: Tensor, out: Tensor) -> None:
    """Run the kernel as the op does."""
    _cpu.dropout(x, out, **STREAM)


def check(x: Tensor) -> None:
    """Raise unless the kernel equals the reference on this input."""
    out = torch.empty_like(x)
    kernel(x, out)
    if not torch.equal(out, _reference.dropout(x, torch.tensor(KEY), MASK)):
        raise RuntimeError(f"the kernel differs from the reference for {tuple(x.shape)} {x.dtype}")


def timed(run: Callable[[], object], repeats: int) -> float:
    """Return the nanoseconds of one call."""
    start = time.perf_counter_ns()
    for _ in range(repeats):
        run()
    return (time.perf_counter_ns() - start) / repeats


def measure(contenders: dict[str, Callable[[], object]], num_elements: int, rounds: int) -> dict[str, float]:
    """Return each contender's median ns an element and its median paired ratio to the first one."""
    repeats = max(1, (1 << 20) // num_elements)
    for run in contenders.values():
        run()
    times = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            times[name].append(timed(run, repeats if name != "F.dropout" else max(1, repeats // 8)))
    row = {f"{name} ns": statistics.median(values) / num_elements for name, values in times.items()}
    first = next(iter(times))
    for name in list(times)[1:]:
        pairs = zip(times[first], times[name], strict=True)
        row[f"kernel / {name}"] = statistics.median(ours / theirs for ours, theirs in pairs)
    return row


def contiguous(dtype: torch.dtype, size: int, rounds: int) -> dict[str, object]:
    """Measure dense memory: the kernel into a given output, and with a fresh one."""
    x = torch.randn(size).to(dtype)
    check(x[: 1 << 16])
    out = torch.empty_like(x)
    given = {
        "kernel": lambda: kernel(x, out),
        "copy_": lambda: out.copy_(x),
        "F.dropout": lambda: torch.nn.functional.dropout(x, 0.3),
    }
    fresh = {
        "kernel": lambda: kernel(x, torch.empty_like(x)),
        "clone": lambda: x.clone(),
        "F.dropout": lambda: torch.nn.functional.dropout(x, 0.3),
    }
    case = {"dtype": str(dtype).removeprefix("torch."), "size": size}
    return case | {"given output": measure(given, size, rounds), "fresh output": measure(fresh, size, rounds)}


def strided(name: str, make: Callable[[], Tensor], rounds: int) -> dict[str, object]:
    """Measure another memory order against the same number of elements in the plain one."""
    x = make()
    check(x[:2])
    plain = torch.randn(x.numel())
    out, plain_out = torch.empty_like(x), torch.empty_like(plain)
    contenders = {
        "kernel": lambda: kernel(x, out),
        "contiguous": lambda: kernel(plain, plain_out),
        "copy_": lambda: plain_out.copy_(plain),
    }
    return {"layout": name, "given output": measure(contenders, x.numel(), rounds)}


def show(row: dict[str, object]) -> None:
    """Print one line of the table."""
    title = row.get("layout") or f"{row['dtype']} {row['size']}"
    for part in ("given output", "fresh output"):
        if part in row:
            numbers = "  ".join(f"{name} {value:.3g}" for name, value in row[part].items())
            print(f"{title!s:28} {part:13} {numbers}", flush=True)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"{_cpu.isa()}, {arguments.threads} threads, torch {torch.__version__}; times in ns an element")
    rows = []
    for dtype in (torch.float32, torch.bfloat16):
        for size in SIZES:
            rows.append(contiguous(dtype, size, arguments.rounds))
            show(rows[-1])
    for name, make in LAYOUTS.items():
        rows.append(strided(name, make, arguments.rounds))
        show(rows[-1])
    if arguments.out:
        versions = {"torch": torch.__version__, "machine": platform.machine()}
        machine = {"isa": _cpu.isa(), "threads": arguments.threads} | versions
        arguments.out.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
