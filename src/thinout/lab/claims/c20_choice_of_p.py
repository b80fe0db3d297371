"""C20: dropout adds complexity: its rate has to be chosen. How flat is the optimum?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from thinout.lab.claims._claim import Claim, Effect, Finding, Panel, Size, Unit, grid
from thinout.lab.claims._evidence import Evidence
from thinout.lab.claims._training import SMALL, clean_metrics, images, mlp, recipe_for, train
from thinout.lab.statistics import Interval, paired_difference

RATES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
WIDTHS = {"width 128": 128, "width 1024": 1024}
SLACK = 0.02  # of the lowest NLL


def units(size: Size) -> Sequence[Unit]:
    """Return both widths at every rate."""
    return grid(tuple(WIDTHS), 2 if size == "quick" else 8, RATES[::4] if size == "quick" else RATES)


def measure(unit: Unit, size: Size) -> Mapping[str, float]:
    """Train one network and measure it with dropout off."""
    splits, width = images(SMALL, unit.seed), WIDTHS[unit.arm]
    recipe = recipe_for(3600, steps=60 if size == "quick" else 1200)
    model, _ = train(lambda: mlp(float(unit.x or 0), (width, width)), splits, recipe, unit.seed)
    return clean_metrics(model, splits)


def plateau(evidence: Evidence, arm: str) -> tuple[float, float, float]:
    """Return the best rate, and the first and last rate of the run of rates around it that are not much worse."""
    xs = evidence.xs(arm)
    means = [evidence.mean(arm, "test NLL", x).mean for x in xs]
    best = min(range(len(xs)), key=means.__getitem__)
    good = [mean <= means[best] * (1 + SLACK) for mean in means]
    first = last = best
    while first > 0 and good[first - 1]:
        first -= 1
    while last < len(xs) - 1 and good[last + 1]:
        last += 1
    return xs[best], xs[first], xs[last]


def judge(evidence: Evidence) -> Finding:
    """Measure how wide the range of good rates is."""
    effects, widths, texts = [], [], []
    for arm in WIDTHS:
        best, first, last = plateau(evidence, arm)
        num_seeds = len(evidence.values(arm, "test NLL", best))
        widths.append(round(last - first, 6))  # 0.3 - 0.1 is a little less than 0.2
        effects += [
            Effect(name=f"best p, {arm}", value=best, n=num_seeds),
            Effect(name=f"width of the range within {100 * SLACK:.0f} % of it, {arm}", value=widths[-1], n=num_seeds),
            # Without a p-value: the best of ten rates was chosen by these very numbers.
            replace(Effect.of(f"best p minus none, {arm}", _difference(evidence, arm, best), "nats"), p_value=None),
        ]
        texts.append(f"at {arm} any p from {first:g} to {last:g} is within {100 * SLACK:.0f} % of the best NLL")
    text = "; ".join(texts)
    text = f"{text[0].upper()}{text[1:]}."
    if all(width < 0.2 for width in widths):
        return Finding(verdict="supported", sentence=text, effects=tuple(effects))
    if all(width >= 0.3 for width in widths):
        return Finding(verdict="refuted", sentence=text, effects=tuple(effects))
    return Finding(verdict="conditional", condition="the width of the net", sentence=text, effects=tuple(effects))


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
    rule="Supported if the range is narrower than 0.2 for both nets, refuted if at least 0.3 for both, else "
    "conditional.",
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
