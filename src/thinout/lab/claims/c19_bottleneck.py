"""C19: dropout becomes a bottleneck for large models."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import thinout.nn as tnn
from thinout.lab.bench import quiet, take_turns
from thinout.lab.claims._claim import Claim, Effect, Finding, Panel, Size, Unit, Verdict, grid
from thinout.lab.claims._evidence import Evidence
from thinout.lab.statistics import Interval

WIDTHS = (128, 256, 512, 1024, 2048)
BATCH, CLASSES, P, HIDDEN_LAYERS = 64, 10, 0.5, 3
LARGE = 10  # per cent of a step
ARMS = {
    "PyTorch": "torch.nn.Dropout after each of three hidden layers",
    "thinout": "thinout.nn.Dropout at the same places",
}


def units(size: Size) -> Sequence[Unit]:
    """Return both implementations at every width; a unit times its net and the net without dropout in turns."""
    return grid(tuple(ARMS), 1 if size == "quick" else 8, WIDTHS[:3] if size == "quick" else WIDTHS)


def measure(unit: Unit, size: Size) -> Mapping[str, float]:
    """Return the share of a training step's time that dropout takes, on one thread."""
    width, rounds = int(unit.x or 0), 5 if size == "quick" else 15
    layer = {"PyTorch": nn.Dropout, "thinout": tnn.Dropout}[unit.arm]
    # Both nets have the very same linear layers: weights elsewhere in memory would be a difference of their own.
    linears = [nn.Linear(width, width) for _ in range(HIDDEN_LAYERS)] + [nn.Linear(width, CLASSES)]
    x, labels = torch.randn(BATCH, width), torch.randint(CLASSES, (BATCH,))
    with quiet(1):
        steps = {name: _step(linears, made, x, labels) for name, made in (
            ("with", lambda: layer(P)), ("without", nn.Identity),
        )}  # fmt: skip
        times = take_turns(steps, rounds)
    ratios = [without / with_ for with_, without in zip(times.seconds["with"], times.seconds["without"], strict=True)]
    return {"share": 100 * (1 - statistics.median(ratios)), "step, ms": 1e3 * times.median("with")}


def _step(
    linears: Sequence[nn.Module], dropout: Callable[[], nn.Module], x: Tensor, labels: Tensor
) -> Callable[[], object]:
    layers = [layer for linear in linears[:-1] for layer in (linear, nn.ReLU(), dropout())]
    model = nn.Sequential(*layers, linears[-1])
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)

    def step() -> None:
        optimizer.zero_grad()
        cross_entropy(model(x), labels).backward()  # type: ignore[no-untyped-call]  # torch's
        optimizer.step()

    return step


def judge(evidence: Evidence) -> Finding:
    """Ask whether dropout's share of a step grows with the width, and whether it is large at the greatest."""
    xs = evidence.xs()
    effects = [Effect.of(f"share of the step, {arm}, width {x:g}", evidence.mean(arm, "share", x), "%")
               for arm in ARMS for x in xs]  # fmt: skip
    small, large = ({arm: evidence.mean(arm, "share", x) for arm in ARMS} for x in (xs[0], xs[-1]))
    text = "; ".join(
        f"{arm}: {small[arm].mean:.1f} % of a step at width {xs[0]:g}, {large[arm].mean:.1f} % at {xs[-1]:g}"
        for arm in ARMS
    )
    grows = {arm: _low(large[arm]) > _high(small[arm]) for arm in ARMS}
    heavy = {arm: _low(large[arm]) > LARGE for arm in ARMS}
    light = {arm: _high(large[arm]) < LARGE for arm in ARMS}
    if all(heavy.values()) and all(grows.values()):
        return Finding(verdict="supported", sentence=f"{text}.", effects=tuple(effects))
    if any(grows.values()) or any(heavy.values()):
        halves = [f"with {arm} the share grows" for arm, yes in grows.items() if yes]
        halves += [f"with {arm} it is above 10 %" for arm, yes in heavy.items() if yes]
        condition = "the implementation and the half: " + ", ".join(halves)
        return Finding(verdict="conditional", condition=condition, sentence=f"{text}.", effects=tuple(effects))
    verdict: Verdict = "refuted" if all(light.values()) else "no evidence"
    return Finding(verdict=verdict, sentence=f"{text}.", effects=tuple(effects))


def _low(interval: Interval) -> float:
    return interval.mean if interval.low is None else interval.low


def _high(interval: Interval) -> float:
    return interval.mean if interval.high is None else interval.high


CLAIM = Claim(
    id="C19",
    section="4.2.2",
    title="A bottleneck for large models",
    statement="With large models dropout becomes a bottleneck of training.",
    hypothesis="The share of dropout in the time of a training step grows with the width of the net, and is more than "
    "a tenth of it for the widest.",
    refutation="The share neither grows nor is it more than a tenth for the widest, whatever the implementation.",
    data=f"perceptrons with three hidden layers of 128 to 2,048 units, batches of {BATCH} random inputs, one CPU "
    "thread; a claim about GPUs is not tested here",
    arms=ARMS,
    metric="1 minus the time of a step without dropout over that of a step with it, median over rounds in turns, in %",
    rule="Supported if the share grows (95 % intervals apart) and is above 10 % at the greatest width for both "
    "implementations, conditional if one of the two holds for one of them, refuted if neither does and the 95 % "
    "intervals at the greatest width lie below 10 % for both, else no evidence.",
    units=units,
    measure=measure,
    judge=judge,
    is_timed=True,
    panels=(Panel(title="Share of a training step", value="share", what="%", axis="width", log="x", level=0.0),),
)
