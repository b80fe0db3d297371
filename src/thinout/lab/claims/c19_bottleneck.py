"""C19: dropout becomes a bottleneck for large models."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn
from torch.nn.functional import cross_entropy

import thinout.nn as tnn
from thinout.lab.bench import quiet, take_turns
from thinout.lab.claims._claim import Claim, Effect, Finding, Panel, Size, Unit, grid
from thinout.lab.claims._evidence import Evidence

WIDTHS = (128, 256, 512, 1024, 2048)
BATCH, CLASSES, P = 64, 10, 0.5
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
    with quiet(1):
        times = take_turns({"with": _step(width, lambda: layer(P)), "without": _step(width, nn.Identity)}, rounds)
    ratios = [without / with_ for with_, without in zip(times.seconds["with"], times.seconds["without"], strict=True)]
    return {"share": 100 * (1 - statistics.median(ratios)), "step, ms": 1e3 * times.median("with")}


def _step(width: int, dropout: Callable[[], nn.Module]) -> Callable[[], object]:
    layers: list[nn.Module] = []
    for _ in range(3):
        layers += [nn.Linear(width, width), nn.ReLU(), dropout()]
    model = nn.Sequential(*layers, nn.Linear(width, CLASSES))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    x, labels = torch.randn(BATCH, width), torch.randint(CLASSES, (BATCH,))

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
    grows = {arm: (large[arm].low or large[arm].mean) > (small[arm].high or small[arm].mean) for arm in ARMS}
    heavy = {arm: (large[arm].low or large[arm].mean) > 10 for arm in ARMS}
    if all(heavy.values()) and all(grows.values()):
        return Finding(verdict="supported", sentence=f"{text}.", effects=tuple(effects))
    if any(grows.values()) or any(heavy.values()):
        halves = [f"with {arm} the share grows" for arm, yes in grows.items() if yes]
        halves += [f"with {arm} it is above 10 %" for arm, yes in heavy.items() if yes]
        condition = "the implementation and the half: " + ", ".join(halves)
        return Finding(verdict="conditional", condition=condition, sentence=f"{text}.", effects=tuple(effects))
    return Finding(verdict="refuted", sentence=f"{text}.", effects=tuple(effects))


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
    "implementations, conditional if one of the two holds for one of them, else refuted.",
    units=units,
    measure=measure,
    judge=judge,
    is_timed=True,
    panels=(Panel(title="Share of a training step", value="share", what="%", axis="width", log="x", level=0.0),),
)
