"""Which figures a report has, what each is called, and what stands in its place when there is nothing to draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from thinout.lab.analysis import Analysis, ArmResult
from thinout.lab.report import _extract, figures
from thinout.lab.report._text import clean, factor, lower_title, plural, title, unit
from thinout.lab.report.figures import Estimate
from thinout.lab.rows import Row
from thinout.lab.statistics import Interval

WIDE = 520
START = " Both nets started from the same weights, so filters stand in the same places."


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure on the page.

    Args:
        heading: its title.
        svgs: pairs (label, SVG); none where there is nothing to draw.
        caption: how to read it.
        missing: the sentence that stands for it where there is nothing to draw.
        natural_width: CSS pixels below which it scrolls in its own box instead of shrinking; 0 lets it shrink.
    """

    heading: str = ""
    svgs: Sequence[tuple[str, str]] = ()
    caption: str = ""
    missing: str = ""
    natural_width: int = 0

    @property
    def is_wide(self) -> bool:
        """Whether it takes the whole width of the page."""
        return self.natural_width > WIDE


@dataclass(frozen=True, kw_only=True)
class Section:
    """Pictures under one heading."""

    key: str
    heading: str
    pictures: Sequence[Picture]
    text: str = ""
    is_small: bool = False

    @property
    def drawn(self) -> list[Picture]:
        """Pictures that there are."""
        return [picture for picture in self.pictures if picture.svgs]

    @property
    def missing(self) -> list[Picture]:
        """Pictures that a line under the others stands for: a card with nothing in it would only take space."""
        return [picture for picture in self.pictures if not picture.svgs]


@dataclass(frozen=True)
class Material:
    """What all pictures draw from; `arms` holds the rows that the analysis counts, the baseline first."""

    analysis: Analysis
    rows: Sequence[Row]
    class_names: Sequence[str] = ()
    arms: dict[str, list[Row]] = field(init=False)

    def __post_init__(self) -> None:
        counted = {(arm.arm, seed) for arm in self.analysis.arms for seed in arm.seeds}
        rows = [row for row in self.rows if (row.arm, row.seed) in counted]
        object.__setattr__(self, "arms", {arm.arm: _extract.done(rows, arm.arm) for arm in self.analysis.arms})

    def place(self, arm: str) -> int:
        """Return the place of an arm, which gives its colour and marker."""
        return list(self.arms).index(arm)

    @property
    def compared(self) -> list[str]:
        """The baseline and the treatment that stands beside it: the headline's, or else the best on validation."""
        analysis = self.analysis
        if not analysis.headline.is_baseline:
            return [analysis.baseline, analysis.headline.arm]
        others = [arm for arm in analysis.arms if arm.arm != analysis.baseline]
        return [analysis.baseline, *(arm.arm for arm in sorted(others, key=lambda arm: arm.validation.mean)[:1])]


def sections(material: Material) -> list[Section]:
    """Return all pictures of the page."""
    return [
        Section(key="compared", heading="The arms compared", pictures=[_forest(material), _rates(material)]),
        Section(key="inside", heading="Generalisation and activations", pictures=[_gap(material), _sparsity(material)]),
        Section(
            key="training",
            heading="Training",
            text=(
                "NLL in nats by epoch, one arm a picture, all on the same axes. Solid: validation. Dashed: training "
                "(dropout off, a sample). Bands: 95 % intervals of the mean over seeds, as far as every seed trained. "
                "Thin: single seeds. Ticks at the foot: measured epochs. The first epochs may lie above the frame. "
                f"Dotted grey: validation of {clean(material.analysis.baseline)}."
            ),
            pictures=_curves(material),
            is_small=True,
        ),
        Section(key="errors", heading="Mistakes and filters", pictures=[_confusion(material), _filters(material)]),
    ]


def _forest(material: Material) -> Picture:
    analysis = material.analysis
    metric = analysis.metric
    others = [arm for arm in analysis.arms if arm.arm != analysis.baseline]
    heading = f"Difference in {lower_title(metric)} to {clean(analysis.baseline)}"
    if not others:
        return Picture(heading=heading, missing=f"There is no other arm than {clean(analysis.baseline)}.")
    svg = figures.forest(
        "forest",
        [_estimate(arm, arm.difference, metric, material, note=arm.verdict or "") for arm in others],
        what=title(metric),
        unit=unit(metric),
        baseline=analysis.baseline,
        margin=analysis.margin * factor(metric),
    )
    caption = (
        "Paired differences, arm minus baseline, mean and 95 % interval over seeds: left of zero is better. "
        "Verdicts are corrected for the number of arms. The grey band is the margin within which a difference does not "
        "matter."
    )
    return Picture(heading=heading, svgs=[("", svg)], caption=caption)


def _rates(material: Material) -> Picture:
    estimates = [(arm, _estimate(arm, arm.metrics.get("error"), "error", material)) for arm in material.analysis.arms]
    rates = [(arm.p, item) for arm, item in estimates if _is_rate(arm, material)]
    others = [item for arm, item in estimates if not _is_rate(arm, material)]
    heading = "Test error against the drop probability"
    if not any(item.is_known for _, item in rates):
        return Picture(heading=heading, missing="No run measured a test error.")
    svg = figures.against_rate("rates", rates, others, what=title("error"), unit="%")
    aside = " Dashed lines: arms that differ in something else." if others else ""
    return Picture(
        heading=heading,
        svgs=[("", svg)],
        caption=f"Mean and 95 % interval over seeds. p = 0 is the net without dropout.{aside}",
    )


def _is_rate(arm: ArmResult, material: Material) -> bool:
    if arm.arm == material.analysis.baseline:
        return True
    recipes = [dict(row.config.get("arm") or {}).get("recipe") for row in material.arms[arm.arm]]
    return arm.p > 0 and not any(recipes)


def _gap(material: Material) -> Picture:
    estimates = [_estimate(arm, arm.metrics.get("gap"), "gap", material) for arm in material.analysis.arms]
    heading = "Generalisation gap: test minus training NLL"
    if not any(item.is_known for item in estimates):
        return Picture(heading=heading, missing="No run measured both test and training NLL.")
    svg = figures.intervals("gap", estimates, what=title("gap"), unit="nats")
    caption = "Mean and 95 % interval over seeds, dropout off. A smaller gap is not yet a better test result."
    return Picture(heading=heading, svgs=[("", svg)], caption=caption)


def _sparsity(material: Material) -> Picture:
    arms = [(arm, material.place(arm), material.arms[arm]) for arm in material.compared]
    layers = _extract.zero_shares(arms)
    heading = "Activation sparsity, layer by layer"
    if not layers:
        return Picture(heading=heading, missing="No run recorded its activations.")
    caption = "Share of exact zeros after each activation on the test part, dropout off: mean and 95 % interval."
    return Picture(heading=heading, svgs=[("", figures.sparsity("sparsity", layers))], caption=caption)


def _curves(material: Material) -> list[Picture]:
    arms = [_extract.arm_curves(rows, name=arm, place=material.place(arm)) for arm, rows in material.arms.items()]
    if not any(len(seed) for arm in arms for seed in arm.seeds):
        return [Picture(missing="No run recorded its epochs.")]
    bounds = figures.limits(arms)
    svgs = [figures.curves(f"curves-{arm.place}", arm, baseline=arms[0], bounds=bounds) for arm in arms]
    return [Picture(svgs=[("", svg)]) for svg in svgs]


def _confusion(material: Material) -> Picture:
    arm = material.analysis.headline.arm
    rows = material.arms[arm]
    counts = _extract.confusion_counts(rows)
    heading = f"Confusion matrix of {clean(arm)}"
    if counts is None:
        return Picture(heading=heading, missing="No run of this arm recorded its predictions.")
    names = _class_names(material.class_names, len(counts))
    svg = figures.confusion_matrix("confusion", counts, names, arm=arm)
    mistakes = figures.confusions(counts, names, most=3)
    listing = "; ".join(
        f"{clean(true)} taken for {clean(guess)} ({100 * share:.1f} % of its class)"
        for true, guess, _, share in mistakes
    )
    caption = (
        f"Counts of test examples, summed over {plural(len(rows), 'seed')}; the shade is the share of the row. "
        + (f"Most often: {listing}." if mistakes else "There are no mistakes.")
    )
    width = round(figures.confusion_width(len(counts), names))
    return Picture(
        heading=heading,
        svgs=[("", svg)],
        caption=caption,
        natural_width=width if width > WIDE else 0,
    )


def _class_names(names: Sequence[str], num_classes: int) -> list[str]:
    return [str(names[i]) if i < len(names) else str(i) for i in range(num_classes)]


def _filters(material: Material) -> Picture:
    heading = "Filters of the first convolution"
    if len(material.compared) < 2:
        return Picture(heading=heading, missing="There is no second arm to compare filters with.")
    baseline, other = material.compared
    pair = _extract.paired_filters(material.arms[baseline], material.arms[other])
    if pair is None:
        return Picture(
            heading=heading,
            missing="No pair of runs recorded filters: the network may have no convolution.",
        )
    seed, *maps = pair
    largest = float(max(np.abs(item).max() for item in maps))
    svgs = [
        (clean(arm), figures.filters(f"filters-{i}", maps[i], arm=arm, largest=largest))
        for i, arm in enumerate((baseline, other))
    ]
    caption = (
        f"Seed {seed}. Black is negative, mid-grey zero, white positive; one scale for both "
        f"(±{largest:.2f}).{START if _share_start(material, seed) else ''}"
    )
    return Picture(heading=heading, svgs=svgs, caption=caption)


def _share_start(material: Material, seed: int) -> bool:
    starts = [
        row.fingerprints.get("init") for arm in material.compared for row in material.arms[arm] if row.seed == seed
    ]
    return None not in starts and len(set(starts)) == 1


def _estimate(arm: ArmResult, value: Interval | None, metric: str, material: Material, *, note: str = "") -> Estimate:
    place = material.place(arm.arm)
    if value is None:
        return Estimate(name=arm.arm, mean=None, note=note, place=place)
    low, high = (None if end is None else end * factor(metric) for end in (value.low, value.high))
    return Estimate(name=arm.arm, mean=value.mean * factor(metric), low=low, high=high, note=note, place=place)
