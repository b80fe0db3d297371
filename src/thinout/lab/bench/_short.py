"""The short form: what thinout brings on this machine, in less than a minute."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from thinout import functional
from thinout.lab.bench._equality import check_dropout, check_patch
from thinout.lab.bench._measure import Call, Contender, Times, quiet, take_turns
from thinout.lab.bench._provenance import Measurement
from thinout.lab.bench._steps import perceptron, training_step
from thinout.ops import _backends
from thinout.torch_patch import patch_torch

P = 0.5
SIZES = (1 << 12, 1 << 16, 1 << 20, 1 << 24)
PASSES = ("forward", "forward + backward")
BATCH, INPUTS, WIDTH = 128, 784, 1024


def short_bench(
    sizes: Sequence[int] = SIZES,
    *,
    rounds: int = 11,
    batch: int = BATCH,
    width: int = WIDTH,
    command: str = "thinout bench",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Time dropout in float32 against PyTorch's and a copy, and a step of a perceptron with the patch off and on.

    Args:
        sizes: numbers of elements.
        rounds: turns that each contender has; fewer than 6 give no intervals.
        batch: batch size of the perceptron.
        width: width of its hidden layers.
        command: what the result names as its origin.
        progress: called with the number of rounds done and their total.

    Returns:
        The result: `provenance`, `backend`, `calls` (one entry a size and pass) and `step`.

    Raises:
        ThinoutError: values differ from the reference; nothing was timed then.
        ValueError: `rounds` is less than 1.
    """
    measurement = Measurement(command, rounds)
    total, done = rounds * (len(PASSES) * len(sizes) + 1), 0

    def advance() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    progress(0, total)
    for size in sizes:
        check_dropout(torch.randn(size), P)
    check_patch(torch.randn(1 << 16), P)
    with quiet(torch.get_num_threads()):
        calls = [_call(size, both, rounds, advance) for size in sizes for both in (False, True)]
        step = _step(batch, width, rounds, advance)
    return measurement.result(backend=_backends.select(torch.empty(0)), p=P, calls=calls, step=step)


def _call(size: int, both: bool, rounds: int, advance: Call) -> dict[str, Any]:
    times = take_turns(_contenders(torch.randn(size), both), rounds, pause=advance)
    return {"size": size, "pass": PASSES[both], **_summary(times, "F.dropout", "thinout")}


def _summary(times: Times, before: str, after: str) -> dict[str, Any]:
    names = {name: 1e6 * times.median(name) for name in times.seconds}
    return {"microseconds": names, "speedup": vars(times.ratio(before, after))}


def _contenders(x: Tensor, both: bool) -> dict[str, Contender | Call]:
    if not both:
        return {
            "F.dropout": lambda: torch.nn.functional.dropout(x, P),
            "thinout": lambda: functional.dropout(x, P, training=True),
            "copy": x.clone,
        }
    leaf, grad = x.clone().requires_grad_(), torch.ones_like(x)
    return {
        "F.dropout": lambda: torch.autograd.grad(torch.nn.functional.dropout(leaf, P), leaf, grad),
        "thinout": lambda: torch.autograd.grad(functional.dropout(leaf, P, training=True), leaf, grad),
        "copy": lambda: torch.autograd.grad(leaf.clone(), leaf, grad),
    }


def _step(batch: int, width: int, rounds: int, advance: Call) -> dict[str, Any]:
    step = training_step(perceptron(INPUTS, width), torch.randn(batch, INPUTS))
    arms: dict[str, Contender | Call] = {"off": step, "on": Contender(step, patch_torch)}
    times = take_turns(arms, rounds, pause=advance)
    return {"model": f"perceptron {INPUTS}-{width}x3-10, batch {batch}", **_summary(times, "off", "on")}


def summary_sentence(result: dict[str, Any]) -> str:
    """Return what a result says, in one sentence."""
    speeds = [call["speedup"]["median"] for call in result["calls"] if call["pass"] == PASSES[0]]
    low, high = f"{min(speeds):.1f}", f"{max(speeds):.1f}"
    span = low if low == high else f"{low} to {high}"
    step = result["step"]["speedup"]
    bounds = "" if step["low"] is None else f" (95 % interval {step['low']:.2f} to {step['high']:.2f})"
    return (
        f"A call of thinout's dropout is {span} times as fast as one of PyTorch's, and patch_torch() makes a "
        f"training step of a perceptron {step['median']:.2f} times as fast{bounds}."
    )
