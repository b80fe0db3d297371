"""C08: dropout speeds convergence and shortens training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from thinout.lab.claims._claim import Claim, Effect, Finding, Panel, Size, Unit, Verdict, grid
from thinout.lab.claims._evidence import Evidence
from thinout.lab.claims._training import SMALL, images, mlp, recipe_for, train
from thinout.lab.statistics import paired_difference

RATES = {"none": 0.0, "p=0.2": 0.2, "p=0.5": 0.5}
LEARNING_RATES = (3e-4, 1e-3, 3e-3)
# Nats of validation NLL. Registered at first as 0.5, which no arm reached from every seed, so that nothing was
# compared; 0.65 is above the best value of every one of those trainings.
TARGET = 0.65
ARMS = {name: "no dropout" if not p else f"dropout with p = {p} after each hidden layer" for name, p in RATES.items()}


def units(size: Size) -> Sequence[Unit]:
    """Return every arm at every learning rate."""
    return grid(tuple(ARMS), 2 if size == "quick" else 8, LEARNING_RATES[1:2] if size == "quick" else LEARNING_RATES)


def measure(unit: Unit, size: Size) -> Mapping[str, float]:
    """Train one network for a fixed number of epochs; report when its validation NLL first reached the target."""
    splits = images(SMALL, unit.seed)
    recipe = recipe_for(3600, steps=600 if size == "quick" else 1400, lr=float(unit.x or 0), patience=None)
    _, result = train(lambda: mlp(RATES[unit.arm]), splits, recipe, unit.seed)
    reached = [int(epoch["epoch"]) for epoch in result.history if epoch["validation_nll"] <= TARGET]
    epochs = reached[0] if reached else math.nan
    seconds = sum(epoch["seconds"] for epoch in result.history[: reached[0]]) if reached else math.nan
    return {"epochs to the target": epochs, "seconds to the target": seconds, "best NLL": result.best_nll}


def best_rate(evidence: Evidence, arm: str) -> float | None:
    """Return the learning rate with which an arm reaches the target first, of those with which every seed does."""
    means = {x: evidence.values(arm, "epochs to the target", x).mean() for x in evidence.xs(arm)}
    known = {x: mean for x, mean in means.items() if math.isfinite(mean)}
    return min(known, key=lambda x: known[x]) if known else None


def judge(evidence: Evidence) -> Finding:
    """Compare epochs to the target, each arm at its own best learning rate."""
    rates = {arm: best_rate(evidence, arm) for arm in ARMS}
    missed = [arm for arm, rate in rates.items() if rate is None]
    if missed:
        text = f"Within the epochs given, {' and '.join(missed)} did not reach the target with every seed at any rate."
        verdict: Verdict = "refuted" if "none" not in missed else "no evidence"
        return Finding(verdict=verdict, sentence=text)
    effects, faster, slower = [], [], []
    for name, unit in (("epochs to the target", "epochs"), ("seconds to the target", "s")):
        baseline = evidence.values("none", name, rates["none"])
        for arm in list(ARMS)[1:]:
            change = paired_difference(evidence.values(arm, name, rates[arm]), baseline)
            label = f"{name}, {arm} (lr {rates[arm]:g}) minus none (lr {rates['none']:g})"
            effects.append(Effect.of(label, change, unit))
            if name.startswith("epochs"):
                faster.append(change.high is not None and change.high < 0)
                slower.append(change.low is not None and change.low > 0)
    means = {arm: evidence.mean(arm, "epochs to the target", rate).mean for arm, rate in rates.items()}
    others = ", ".join(f"{means[arm]:.1f} with {arm}" for arm in list(ARMS)[1:])
    text = (
        f"To a validation NLL of {TARGET} it takes {means['none']:.1f} epochs without dropout, {others}, each at its "
        "best learning rate."
    )
    if all(faster):
        return Finding(verdict="supported", sentence=text, effects=tuple(effects))
    if any(faster):
        return Finding(verdict="conditional", condition="the rate", sentence=text, effects=tuple(effects))
    return Finding(verdict="refuted" if any(slower) else "no evidence", sentence=text, effects=tuple(effects))


CLAIM = Claim(
    id="C08",
    section="2.3, 4.1.1",
    title="Speed of convergence",
    statement="Dropout speeds convergence and shortens training.",
    hypothesis="A net with dropout reaches a given validation NLL in fewer epochs than one without, each with the "
    "learning rate that suits it best.",
    refutation="It takes no fewer epochs at either rate of dropout, and more at one.",
    data=f"fashion-mnist-small, perceptrons 784-512-512-10, Adam with three learning rates, target {TARGET} nats",
    arms=ARMS,
    metric="first epoch whose validation NLL is at most the target; beside it the seconds",
    rule="Each arm at the learning rate with the lowest mean, paired by seed. Supported if the 95 % interval lies "
    "below 0 for both rates of dropout, conditional if for one, refuted if for none while one lies above 0 (or "
    "dropout misses the target), else no evidence.",
    units=units,
    measure=measure,
    judge=judge,
    panels=(
        Panel(title="Epochs to the target", value="epochs to the target", what="epochs", axis="learning rate", log="x"),
        Panel(title="Best validation NLL", value="best NLL", what="nats", axis="learning rate", log="x"),
    ),
    data_sets=(SMALL,),
    references=("Srivastava et al. 2014, JMLR 15:1929-1958, section 10", "Liu et al. 2023, arXiv 2303.01500"),
)
