"""What `thinout.patch_torch()` brings: whole training steps and single calls, PyTorch against PyTorch patched.

    python benchmarks/bench_patch.py --rounds 30 --threads 2 --out docs/results/bench/patch.json

Each round times one step of one model with the patch off and one with it on; the ratio off / on is taken within the
round. "Off" steps pass through the registered but idle kernel (about 2 us a call). Single calls are timed by two
processes in turn, so that "off" is a PyTorch that was never patched.
"""

from __future__ import annotations

import argparse
import math
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from itertools import product
from pathlib import Path
from subprocess import PIPE
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from thinout.lab.bench import (
    Contender,
    Measurement,
    Times,
    check_patch,
    median_interval,
    perceptron,
    quiet,
    take_turns,
    training_step,
)
from thinout.torch_patch import patch_torch

CALL_SIZES = (64, 1024, 4096, 1 << 16, 1 << 20)


class Block(nn.Module):
    """A transformer encoder layer whose attention is written out, or PyTorch's fused function."""

    def __init__(self, width: int, heads: int, fused: bool) -> None:
        super().__init__()
        self.heads, self.fused = heads, fused
        self.project, self.merge = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.feed = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Dropout(0.1), nn.Linear(4 * width, width), nn.Dropout(0.1)
        )

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Return what the heads read."""
        if self.fused:
            return F.scaled_dot_product_attention(q, k, v, dropout_p=0.1)
        weights = (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(-1)
        return F.dropout(weights, 0.1) @ v

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output, shaped as its input."""
        heads = self.project(self.first(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        x = x + F.dropout(self.merge(self.attend(*heads).transpose(1, 2).flatten(2)), 0.1)
        return x + self.feed(self.second(x))


class Recurrent(nn.Module):
    """A recurrent net that returns its output alone."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.LSTM(256, 512, num_layers=2, dropout=0.5, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return the output of every time step."""
        return self.net(x)[0]


def lenet() -> nn.Module:
    features = (nn.Conv2d(1, 32, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 5), nn.ReLU(), nn.MaxPool2d(2))
    return nn.Sequential(
        *features, nn.Flatten(), nn.Linear(1024, 4096), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4096, 10)
    )


def alexnet() -> nn.Module:
    def conv(*sizes: int, **how: int) -> list[nn.Module]:
        return [nn.Conv2d(*sizes, **how), nn.ReLU()]

    pool = nn.MaxPool2d(3, 2)
    features = [*conv(3, 64, 11, stride=4, padding=2), pool, *conv(64, 192, 5, padding=2), pool]
    features += [*conv(192, 384, 3, padding=1), *conv(384, 256, 3, padding=1), *conv(256, 256, 3, padding=1), pool]
    classifier = [nn.Dropout(0.5), nn.Linear(9216, 4096), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4096, 4096), nn.ReLU()]
    return nn.Sequential(*features, nn.Flatten(), *classifier, nn.Linear(4096, 1000))


def transformer(fused: bool) -> nn.Module:
    return nn.Sequential(*(Block(256, 4, fused) for _ in range(4)))


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mlp": (perceptron, (128, 784)),
    "transformer-explicit": (lambda: transformer(False), (16, 256, 256)),
    "transformer-sdpa": (lambda: transformer(True), (16, 256, 256)),
    "lstm": (Recurrent, (32, 32, 256)),
    "lenet5": (lenet, (64, 1, 28, 28)),
    "alexnet": (alexnet, (16, 3, 224, 224)),
}


def step_of(name: str) -> Callable[[], None]:
    make, shape = MODELS[name]
    torch.manual_seed(0)
    return training_step(make(), torch.randn(shape))


def compare(name: str, rounds: int) -> dict[str, object]:
    step = step_of(name)
    times = take_turns({"off": step, "on": Contender(step, patch_torch)}, rounds)
    return {"model": name, **times.record([("off", "on")])}


def calls_of(size: int, both: bool) -> Callable[[], object]:
    x = torch.randn(size)
    if not both:
        return lambda: F.dropout(x)
    leaf, grad = x.requires_grad_(), torch.ones(size)
    return lambda: torch.autograd.grad(F.dropout(leaf), leaf, grad)


def serve(patched: bool) -> None:
    """Time the calls that standard input asks for, in a process that is patched all along or never."""
    with patch_torch() if patched else nullcontext():
        for line in sys.stdin:
            size, both = map(int, line.split())
            print(take_turns({"call": calls_of(size, bool(both))}, 1).median("call"), flush=True)


def compare_calls(rounds: int) -> Iterator[dict[str, Any]]:
    """Yield times of single calls; two processes take turns, so that "off" is a PyTorch that was never patched.

    On one thread each: the OpenMP threads of a waiting process spin, and stall those of the other for milliseconds.
    """
    command = [sys.executable, __file__, "--threads", "1", "--serve"]
    with ExitStack() as stack:
        workers = {
            arm: stack.enter_context(subprocess.Popen([*command, arm], text=True, stdin=PIPE, stdout=PIPE))
            for arm in ("off", "on")
        }
        for size, both in product(CALL_SIZES, (False, True)):
            seconds: dict[str, list[float]] = {arm: [] for arm in workers}
            for number in range(rounds):
                for arm in sorted(workers, reverse=bool(number % 2)):
                    seconds[arm].append(ask(workers[arm], size, both))
            more = [1e6 * (on - off) for off, on in zip(seconds["off"], seconds["on"], strict=True)]
            row = {"size": size, "pass": "forward + backward" if both else "forward"}
            yield row | Times(seconds).record([("off", "on")]) | {"more_us": vars(median_interval(more))}


def ask(worker: subprocess.Popen[str], size: int, both: bool) -> float:
    worker.stdin.write(f"{size} {int(both)}\n")
    worker.stdin.flush()
    return float(worker.stdout.readline())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--models", nargs="*", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--serve", choices=("off", "on"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.serve:
        serve(options.serve == "on")
        return
    check_patch(torch.randn(1 << 16), 0.5)
    measurement = Measurement(
        shlex.join(["python", f"benchmarks/{Path(__file__).name}", *sys.argv[1:]]), options.rounds
    )
    with quiet(options.threads):
        calls = [shown(f"{row['size']:,}, {row['pass']}", row) for row in compare_calls(options.rounds)]
        steps = [shown(name, compare(name, options.rounds)) for name in options.models]
        if options.out:
            measurement.write(options.out, threads=options.threads, calls=calls, steps=steps)


def shown(what: str, row: dict[str, Any]) -> dict[str, Any]:
    """Print a row and return it."""
    times = "  ".join(f"{name} {time / 1e3:10.4f} ms" for name, time in row["microseconds"].items())
    median, low, high = (row["ratios"][0][name] for name in ("median", "low", "high"))
    print(f"{what:30} {times}  {median:.3f}" + ("" if low is None else f" [{low:.3f}, {high:.3f}]"), flush=True)
    return row


if __name__ == "__main__":
    main()
