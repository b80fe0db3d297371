"""C08: dropout speeds convergence and shortens training."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

import numpy as np
from torch import nn

from thinout.lab.claims._claim import Claim, Effect, Finding, Panel, Size, Unit, Verdict, grid
from thinout.lab.claims._evidence import Evidence, Floats
from thinout.lab.claims._training import SMALL, images, mlp, recipe_for
from thinout.lab.metrics import nll_by_example
from thinout.lab.statistics import paired_difference
from thinout.lab.training import RunSeeds, fit, predict, seeded
from thinout.lab.training._batches import Examples

RATES = {"none": 0.0, "p=0.2": 0.2, "p=0.5": 0.5}
LEARNING_RATES = (3e-4, 1e-3, 3e-3)
# Nats of validation NLL. Registered at first as 0.5, which no arm reached from every seed, so that nothing was
# compared; 0.65 is above the best value of every one of those trainings.
TARGET = 0.65
EVERY = 4  # steps between two looks at the validation part: an epoch, 57 steps, is too coarse a clock
ARMS = {name: "no dropout" if not p else f"dropout with p = {p} after each hidden layer" for name, p in RATES.items()}


class Watch:
    """Looks at the validation part between steps, until its NLL is low enough.

    Args:
        model: what is trained.
        validation: what it is measured on.
    """

    def __init__(self, model: nn.Module, validation: Examples) -> None:
        self.model, self.validation = model, validation
        self.steps = self.seconds = math.nan
        self._spent, self._mark = 0.0, time.perf_counter()

    def __call__(self, epoch: int, step: int, num_steps: int, values: Mapping[str, float]) -> None:
        """Count a step and its time; what is measured between steps does not count."""
        count, is_step = (epoch - 1) * num_steps + step, "validation_nll" not in values
        if is_step and count > 1:  # before the first one everything is set up
            self._spent += time.perf_counter() - self._mark
        if is_step and math.isnan(self.steps) and count % EVERY == 0:
            nll = nll_by_example(*predict(self.model, self.validation)).double().mean().item()
            if nll <= TARGET:
                self.steps, self.seconds = count, self._spent
        self._mark = time.perf_counter()


def units(size: Size) -> Sequence[Unit]:
    """Return every arm at every learning rate."""
    return grid(tuple(ARMS), 2 if size == "quick" else 8, LEARNING_RATES[1:2] if size == "quick" else LEARNING_RATES)


def measure(unit: Unit, size: Size) -> Mapping[str, float]:
    """Train one network for a fixed number of epochs; report when its validation NLL first reached the target."""
    splits, seeds = images(SMALL, unit.seed), RunSeeds.from_seed(unit.seed)
    with seeded(seeds.init):
        model = mlp(RATES[unit.arm])
    watch = Watch(model, splits.validation)
    recipe = recipe_for(3600, steps=560, lr=float(unit.x or 0), patience=None)
    result = fit(model, splits, recipe, seeds=seeds, progress=watch)
    return {"steps to the target": watch.steps, "seconds to the target": watch.seconds, "best NLL": result.best_nll}


def at_best_rates(evidence: Evidence, arm: str) -> tuple[Floats, Floats] | None:
    """Return steps and seconds of each seed at the learning rate that takes the fewest steps on the other seeds.

    Tuned on the seeds that it is compared on, a rate would look better than it is. None where a seed that is compared
    does not reach the target.
    """
    steps, seconds = (
        np.stack([evidence.values(arm, f"{what} to the target", x) for x in evidence.xs(arm)])
        for what in ("steps", "seconds")
    )
    known = np.where(np.isnan(steps), np.inf, steps)  # (rates, seeds)
    seeds = np.arange(steps.shape[1])
    best = np.stack([np.delete(known, seed, axis=1).sum(1) for seed in seeds], axis=1).argmin(0)
    if np.isnan(steps[best, seeds]).any():
        return None
    return steps[best, seeds], seconds[best, seeds]


def judge(evidence: Evidence) -> Finding:
    """Compare steps to the target, each arm at its own best learning rate."""
    found = {arm: at_best_rates(evidence, arm) for arm in ARMS}
    missed = [arm for arm, values in found.items() if values is None]
    reached = {arm: values for arm, values in found.items() if values is not None}
    lacking = [ARMS[arm] for arm in missed]
    text = f"Not every seed reached the target within the epochs given: {'; '.join(lacking)}. " if missed else ""
    if "none" in missed or len(reached) < 2:
        verdict: Verdict = "no evidence" if "none" in missed else "refuted"
        return Finding(verdict=verdict, sentence=text.strip())
    effects, faster, slower = [], [], []
    for place, (name, unit) in enumerate((("steps", "steps"), ("seconds", "s"))):
        for arm in list(reached)[1:]:
            change = paired_difference(reached[arm][place], reached["none"][place])
            effects.append(Effect.of(f"{name} to the target, {arm} minus none, each at its best rate", change, unit))
            if name == "steps":
                faster.append(change.high is not None and change.high < 0)
                slower.append(change.low is not None and change.low > 0)
    steps, seconds = ({arm: values[place].mean() for arm, values in reached.items()} for place in (0, 1))
    others = ", ".join(f"{steps[arm]:.0f} ({seconds[arm]:.2f} s) with {arm}" for arm in list(reached)[1:])
    text += (
        f"To a validation NLL of {TARGET} it takes {steps['none']:.0f} steps ({seconds['none']:.2f} s) without "
        f"dropout, {others}, each at its best learning rate."
    )
    if all(faster) and not missed:
        return Finding(verdict="supported", sentence=text, effects=tuple(effects))
    if any(faster):
        return Finding(verdict="conditional", condition="the rate", sentence=text, effects=tuple(effects))
    return Finding(verdict="refuted" if missed or any(slower) else "no evidence", sentence=text, effects=tuple(effects))


CLAIM = Claim(
    id="C08",
    section="2.3, 4.1.1",
    title="Speed of convergence",
    statement="Dropout speeds convergence and shortens training.",
    hypothesis="A net with dropout reaches a given validation NLL in fewer steps than one without, each with the "
    "learning rate that suits it best.",
    refutation="It takes no fewer steps at either rate of dropout, and more at one.",
    data=f"fashion-mnist-small, perceptrons 784-512-512-10, Adam with three learning rates, target {TARGET} nats "
    "(0.5 in a first registration, which no arm reached from every seed)",
    arms=ARMS,
    metric=f"first step, of every {EVERY}th, after which the validation NLL is at most the target; beside it the "
    "seconds of the steps",
    rule="Each seed of an arm at the learning rate with the lowest mean over the other seeds, paired by seed. "
    "Supported if the 95 % interval lies below 0 for both rates of dropout, conditional if for one, refuted if for "
    "none while one lies above 0 (or dropout misses the target), else no evidence.",
    units=units,
    measure=measure,
    judge=judge,
    is_timed=True,
    panels=(
        Panel(title="Steps to the target", value="steps to the target", what="steps", axis="learning rate", log="x"),
        Panel(title="Best validation NLL", value="best NLL", what="nats", axis="learning rate", log="x"),
    ),
    data_sets=(SMALL,),
    references=("Srivastava et al. 2014, JMLR 15:1929-1958, section 10", "Liu et al. 2023, arXiv 2303.01500"),
)
