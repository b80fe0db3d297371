"""C20: dropout adds complexity: its rate has to be chosen. How flat is the optimum?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from thinout.lab.claims._claim import Claim, Effect, Finding, Panel, Size, Unit, grid
from thinout.lab.claims._evidence import Evidence, Floats
from thinout.lab.claims._training import SMALL, clean_metrics, images, mlp, recipe_for, train
from thinout.lab.statistics import Interval, paired_difference

RATES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
WIDTHS = {"width 128": 128, "width 1024": 1024}
SLACK = 0.02  # of the lowest NLL
RESAMPLES = 1000


def units(size: Size) -> Sequence[Unit]:
    """Return both widths at every rate."""
    return grid(tuple(WIDTHS), 2 if size == "quick" else 8, RATES[::4] if size == "quick" else RATES)


def measure(unit: Unit, size: Size) -> Mapping[str, float]:
    """Train one network and measure it with dropout off."""
    splits, width = images(SMALL, unit.seed), WIDTHS[unit.arm]
    recipe = recipe_for(3600, steps=60 if size == "quick" else 1000)
    model, _ = train(lambda: mlp(float(unit.x or 0), (width, width)), splits, recipe, unit.seed)
    return clean_metrics(model, splits)


def plateau(means: Floats) -> tuple[int, int, int]:
    """Return the place of the lowest mean, and the first and last of the run around it that are not much worse.

    Example:
        >>> plateau(np.array([1.0, 0.509, 0.5, 0.505, 0.8]))
        (2, 1, 3)
    """
    best = int(means.argmin())
    good = means <= means[best] * (1 + SLACK)
    first = last = best
    while first > 0 and good[first - 1]:
        first -= 1
    while last < len(means) - 1 and good[last + 1]:
        last += 1
    return best, first, last


def _width(losses: Floats, xs: Sequence[float]) -> float:
    _, first, last = plateau(losses.mean(0))
    return round(xs[last] - xs[first], 6)  # 0.3 - 0.1 is a little less than 0.2


def judge(evidence: Evidence) -> Finding:
    """Measure how wide the range of good rates is; its interval is a bootstrap over seeds."""
    effects, widths, texts = [], [], []
    for arm in WIDTHS:
        xs = evidence.xs(arm)
        losses = np.stack([evidence.values(arm, "test NLL", x) for x in xs], axis=1)  # (seeds, rates)
        best, first, last = plateau(losses.mean(0))
        widths.append(_width(losses, xs))
        draws = np.random.default_rng(0).integers(len(losses), size=(RESAMPLES, len(losses)))
        low, high = np.quantile([_width(losses[draw], xs) for draw in draws], (0.025, 0.975))
        effects += [
            Effect(name=f"best p, {arm}", value=xs[best], n=len(losses)),
            Effect(
                name=f"width of the range within {100 * SLACK:.0f} % of it, {arm}",
                value=widths[-1], low=float(low), high=float(high), n=len(losses),
            ),
            # Without a p-value: the best of ten rates was chosen by these very numbers.
            replace(Effect.of(f"best p minus none, {arm}", _difference(evidence, arm, xs[best]), "nats"), p_value=None),
        ]  # fmt: skip
        texts.append(f"at {arm} any p from {xs[first]:g} to {xs[last]:g} is within {100 * SLACK:.0f} % of the best NLL")
    text = "; ".join(texts)
    text = f"{text[0].upper()}{text[1:]}."
    narrow, wide = [width < 0.2 for width in widths], [width >= 0.3 for width in widths]
    if all(narrow):
        return Finding(verdict="supported", sentence=text, effects=tuple(effects))
    if all(wide):
        return Finding(verdict="refuted", sentence=text, effects=tuple(effects))
    if any(narrow) and any(wide):
        return Finding(verdict="conditional", condition="the width of the net", sentence=text, effects=tuple(effects))
    return Finding(verdict="no evidence", sentence=text, effects=tuple(effects))


def _difference(evidence: Evidence, arm: str, best: float) -> Interval:
    one, other = evidence.values(arm, "test NLL", best), evidence.values(arm, "test NLL", 0.0)
    return paired_difference(one, other)


CLAIM = Claim(
    id="C20",
    section="4.2.3",
    title="Choice of the rate",
    statement="Dropout adds complexity: hyper-parameters that have to be tuned and maintained.",
    hypothesis="The rate has to be tuned finely: the range of rates around the best whose test NLL is within 2 % of "
    "it is narrower than 0.2.",
    refutation="The range is 0.3 wide or wider.",
    data="fashion-mnist-small, perceptrons with two hidden layers of 128 and of 1024 units, p from 0 to 0.9",
    arms={name: f"two hidden layers of {width} units" for name, width in WIDTHS.items()},
    metric="width of the range of p around the lowest mean test NLL in which it is at most 2 % higher",
    rule="Supported if the range is narrower than 0.2 for both nets, refuted if at least 0.3 for both, "
    "conditional if narrower than 0.2 for one and at least 0.3 for the other, else no evidence. The interval of a "
    "range is a bootstrap over seeds.",
    units=units,
    measure=measure,
    judge=judge,
    panels=(
        Panel(title="Test NLL over p", value="test NLL", what="test NLL in nats", axis="p"),
        Panel(title="Test error over p", value="test error", what="test error in %", axis="p"),
    ),
    data_sets=(SMALL,),
    references=("Srivastava et al. 2014, JMLR 15:1929-1958, section 7.3",),
)
