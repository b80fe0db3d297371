"""What `thinout.patch_torch()` brings: whole training steps and single calls, PyTorch against PyTorch patched.

    python benchmarks/bench_patch.py --rounds 30 --threads 2 --out docs/results/bench/patch.json

Each round times one step of one model with the patch off and one with it on; the ratio off / on is taken within the
round. "Off" steps pass through the registered but idle kernel (about 2 us a call). Single calls are timed in processes
of their own, so that "off" is a PyTorch that was never patched.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from thinout.lab.bench import Contender, Measurement, check_patch, perceptron, quiet, take_turns, training_step
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


def call_times(patched: bool) -> list[dict[str, float]]:
    """Return the best microseconds of a call for each size, without and with backward."""
    patch = patch_torch() if patched else None
    rows = []
    for size in CALL_SIZES:
        x, grad = torch.randn(size), torch.ones(size)
        leaf = x.clone().requires_grad_()

        def both(leaf: Tensor = leaf, grad: Tensor = grad) -> None:
            torch.autograd.grad(F.dropout(leaf), leaf, grad)

        repeats = max(3, min(300, 2_000_000 // size))
        row = {"size": size}
        for label, call in (("forward_us", lambda x=x: F.dropout(x)), ("both_us", both)):
            row[label] = 1e6 * min(_mean(call, repeats) for _ in range(9))
        rows.append(row)
    if patch:
        patch.close()
    return rows


def _mean(call: Callable[[], object], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def fresh_calls(patched: bool, threads: int) -> list[dict[str, float]]:
    """Time single calls in a process of their own, so that "off" is a PyTorch that was never patched."""
    command = [sys.executable, __file__, "--calls", str(int(patched)), "--threads", str(threads)]
    rows: list[dict[str, float]] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return rows


def compare_calls(rounds: int, threads: int) -> list[dict[str, float]]:
    runs = [[fresh_calls(patched, threads) for patched in (False, True)] for _ in range(rounds)]
    rows = []
    for place, size in enumerate(CALL_SIZES):
        row: dict[str, float] = {"size": size}
        for arm, name in enumerate(("off", "on")):
            for label in ("forward_us", "both_us"):
                row[f"{name}_{label}"] = min(run[arm][place][label] for run in runs)
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--models", nargs="*", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--calls", type=int, choices=(0, 1), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.calls is not None:
        print(json.dumps(call_times(bool(options.calls))))
        return
    check_patch(torch.randn(1 << 16), 0.5)
    measurement = Measurement(
        shlex.join(["python", f"benchmarks/{Path(__file__).name}", *sys.argv[1:]]), options.rounds
    )
    with quiet(options.threads):
        calls = compare_calls(3, options.threads)
        for row in calls:
            print("call ", {name: round(value, 1) for name, value in row.items()}, flush=True)
        steps = [shown(compare(name, options.rounds)) for name in options.models]
        if options.out:
            measurement.write(options.out, threads=options.threads, calls=calls, steps=steps)


def shown(row: dict[str, Any]) -> dict[str, Any]:
    """Print a row and return it."""
    times, (ratio,) = row["microseconds"], row["ratios"]
    milliseconds = "  ".join(f"{name} {time / 1e3:8.1f} ms" for name, time in times.items())
    print(f"{row['model']:22} {milliseconds}  {ratio['median']:.3f} [{ratio['low']}, {ratio['high']}]", flush=True)
    return row


if __name__ == "__main__":
    main()
