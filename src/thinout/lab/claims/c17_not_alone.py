"""C17: dropout alone does not solve overfitting; units that depend on dropped ones fail to train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from thinout.lab.claims._claim import Claim, Effect, Finding, Panel, Size, Unit, grid
from thinout.lab.claims._evidence import Evidence
from thinout.lab.claims._training import SMALL, clean_metrics, images, mlp, recipe_for
from thinout.lab.training import RunSeeds, fit, seeded

RATES = {"none": 0.0, "p=0.2": 0.2, "p=0.5": 0.5, "p=0.8": 0.8}
HIDDEN = 256
ARMS = {name: "no dropout" if not p else f"dropout with p = {p} after each hidden layer" for name, p in RATES.items()}


def units(size: Size) -> Sequence[Unit]:
    """Return every arm."""
    return grid(tuple(ARMS), 2 if size == "quick" else 10)


def measure(unit: Unit, size: Size) -> Mapping[str, float]:
    """Train one network to the end, and see how far the units behind dropped ones moved."""
    splits, seeds = images(SMALL, unit.seed), RunSeeds.from_seed(unit.seed)
    with seeded(seeds.init):
        model = mlp(RATES[unit.arm], (HIDDEN, HIDDEN))
    behind = list(model.children())[5]
    if not isinstance(behind, nn.Linear):
        raise TypeError("the sixth module of mlp() is the second linear layer")
    before = behind.weight.detach().clone()
    recipe = recipe_for(3600, steps=100 if size == "quick" else 2000, patience=None, keep="last")
    fit(model, splits, recipe, seeds=seeds)
    moved = (behind.weight.detach() - before).norm(dim=1)  # of each unit of the second layer
    return clean_metrics(model, splits) | {
        "units that learned": 100 * (moved > 0.01 * before.norm(dim=1)).double().mean().item(),
        "median way of a unit": torch.median(moved).item(),
    }


def judge(evidence: Evidence) -> Finding:
    """Ask what is left of the gap, and whether units behind dropped ones learned."""
    gap = {arm: evidence.mean(arm, "gap") for arm in ARMS}
    learned = {arm: evidence.mean(arm, "units that learned") for arm in ARMS}
    effects = [Effect.of(f"gap, {arm}", gap[arm], "nats") for arm in ARMS]
    effects += [Effect.of(f"units that learned, {arm}", learned[arm], "%") for arm in ARMS]
    effects += [Effect.of(f"way of the median unit, {arm}", evidence.mean(arm, "median way of a unit")) for arm in ARMS]
    effects += [
        Effect.of(f"gap, {arm} minus none", evidence.difference(arm, "none", "gap"), "nats") for arm in list(ARMS)[1:]
    ]
    left = min(gap[arm].mean for arm in list(ARMS)[1:])
    share = 100 * gap["p=0.5"].mean / gap["none"].mean if gap["none"].mean else float("nan")
    fails = any((learned[arm].high or learned[arm].mean) < 50 for arm in list(ARMS)[1:])
    remains = all((gap[arm].low or gap[arm].mean) > 0 for arm in list(ARMS)[1:])
    text = (
        f"With p = 0.5, {share:.0f} % of the gap without dropout is left, and the smallest gap of any rate is "
        f"{left:.3f} nats; {learned['p=0.5'].mean:.0f} % of the units behind dropped ones learned."
    )
    if remains and fails:
        return Finding(verdict="supported", sentence=text, effects=tuple(effects))
    if remains or fails:
        condition = "the half: " + (
            "a gap is left at every rate, but units behind dropped ones learn" if remains
            else "units fail to learn, but no gap is left"
        )  # fmt: skip
        return Finding(verdict="conditional", condition=condition, sentence=text, effects=tuple(effects))
    return Finding(verdict="refuted", sentence=text, effects=tuple(effects))


CLAIM = Claim(
    id="C17",
    section="2.3",
    title="Not by itself",
    statement="Dropout alone does not solve overfitting, and units that depend on dropped ones fail to train.",
    hypothesis="Whatever the rate, a gap between test and training NLL is left; and at some rate most units whose "
    "inputs are dropped stay where they began.",
    refutation="At some rate no gap is left, and at every rate most units learn.",
    data="fashion-mnist-small, perceptrons 784-256-256-10, at the end of 36 epochs: nothing but dropout stands against "
    "overfitting",
    arms=ARMS,
    metric="test minus training NLL, dropout off; share of the second layer's units whose incoming weights moved by "
    "more than 1 % of their length",
    rule="Supported if the 95 % interval of the gap lies above 0 at every rate and at some rate that of the share "
    "below 50 %, conditional if one of the two holds, else refuted.",
    units=units,
    measure=measure,
    judge=judge,
    panels=(
        Panel(title="Gap", value="gap", what="test minus training NLL"),
        Panel(title="Units behind dropped ones that learned", value="units that learned", what="%"),
    ),
    data_sets=(SMALL,),
)
