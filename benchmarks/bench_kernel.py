"""The CPU kernel on other memory orders, beside itself on as many contiguous elements and beside a copy of those.

    python benchmarks/bench_kernel.py --out docs/results/bench/kernel.json

Contiguous memory is the matter of `bench_ops.py`. Before anything is timed the output is compared with the reference.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from thinout.lab.bench import Measurement, quiet, take_turns
from thinout.ops import _cpu, _reference
from thinout.ops._contract import Mask

MASK, KEY = Mask(threshold=19661), 12345
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
    _cpu.dropout(x, out, key=KEY, offset=0, threshold=MASK.threshold, wide=False, scale=MASK.scale)


def check(x: Tensor) -> None:
    """Stop unless the kernel equals the reference on this input."""
    out = torch.empty_like(x)
    kernel(x, out)
    if not torch.equal(out, _reference.dropout(x, torch.tensor(KEY), MASK)):
        sys.exit(f"bench_kernel: the kernel differs from the reference for {tuple(x.shape)}; nothing was timed.")


def measure(layout: str, rounds: int) -> dict[str, Any]:
    x = LAYOUTS[layout]()
    check(x[:2])
    plain = torch.randn(x.numel())
    out, plain_out = torch.empty_like(x), torch.empty_like(plain)
    contenders: dict[str, Callable[[], object]] = {
        "kernel": lambda: kernel(x, out),
        "contiguous": lambda: kernel(plain, plain_out),
        "copy_": lambda: plain_out.copy_(plain),
    }
    times = take_turns(contenders, rounds)
    return {"layout": layout, "size": x.numel(), **times.record([("kernel", "contiguous"), ("kernel", "copy_")])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    if not _cpu.library():
        sys.exit(f"bench_kernel: there is nothing to measure. {_cpu.unavailable_reason()}")
    command = shlex.join(["python", f"benchmarks/{Path(__file__).name}", *sys.argv[1:]])
    measurement, rows = Measurement(command, options.rounds), []
    with quiet(options.threads):
        for layout in LAYOUTS:
            rows.append(measure(layout, options.rounds))
            beside, copies = (ratio["median"] for ratio in rows[-1]["ratios"])
            print(f"{layout:28} {beside:.2f} times contiguous  {copies:.2f} times copy_", flush=True)
    if options.out:
        measurement.write(options.out, threads=options.threads, rows=rows)


if __name__ == "__main__":
    main()
