"""Pictures of evidence: lines with intervals over the axis, or points where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from thinout.lab.claims._claim import Panel
from thinout.lab.claims._evidence import Evidence
from thinout.lab.report.figures import Estimate, intervals
from thinout.lab.report.figures._canvas import (
    CARD,
    FONT_SIZE,
    MUTED,
    WIDTH,
    arm_colour,
    arm_marker,
    axes,
    draw,
    only_grid,
)
from thinout.lab.statistics import Interval, mean_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def panel_svg(key: str, panel: Panel, evidence: Evidence) -> str:
    """Return a panel as inline SVG, with the numbers in its alternative text."""
    arms = [arm for arm in evidence.arms() if not panel.arms or arm in panel.arms]
    if not evidence.xs():
        estimates = [
            _estimate(place, arm, _interval(evidence, arm, panel.value, None)) for place, arm in enumerate(arms)
        ]
        return intervals(key, estimates, what=panel.what, unit="")
    lines = {arm: _line(evidence, arm, panel.value) for arm in arms}

    def paint(figure: Figure) -> None:
        ax = axes(figure, left=58, right=14, top=12, bottom=44 + 16 * len(lines))
        if panel.level is not None:
            ax.axhline(panel.level, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        for place, (arm, points) in enumerate(lines.items()):
            xs, means, lows, highs = zip(*points, strict=True) if points else ((), (), (), ())
            colour = arm_colour(place)
            ax.plot(xs, means, color=colour, marker=arm_marker(place), markersize=6, markeredgecolor=CARD, label=arm)
            ax.fill_between(xs, lows, highs, color=colour, alpha=0.18, linewidth=0)
        ax.set_xscale("log" if "x" in panel.log else "linear")
        ax.set_yscale("log" if "y" in panel.log else "linear")
        _plain_ticks(ax, panel, evidence.xs())
        ax.set_xlabel(panel.axis)
        ax.set_ylabel(panel.what)
        ax.tick_params(axis="y", labelcolor=MUTED)
        ax.minorticks_off()
        only_grid(ax, "y")
        figure.legend(loc="lower center", ncols=1, fontsize=FONT_SIZE - 1)

    return draw(key, _alt(panel, lines), (WIDTH, 240 + 16 * len(lines)), paint)


def _plain_ticks(ax: Axes, panel: Panel, xs: Sequence[float]) -> None:
    """Write the ticks of logarithmic axes as numbers: as powers they would be formulas, which are not drawn."""
    from matplotlib.ticker import FuncFormatter

    if "x" in panel.log:
        ax.set_xticks(list(xs), labels=[f"{x:g}" for x in xs])
    if "y" in panel.log:
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


Points = list[tuple[float, float, float, float]]


def _line(evidence: Evidence, arm: str, value: str) -> Points:
    points = []
    for x in evidence.xs(arm):
        interval = _interval(evidence, arm, value, x)
        if interval is not None:
            low, high = (interval.mean if end is None else end for end in (interval.low, interval.high))
            points.append((x, interval.mean, low, high))
    return points


def _interval(evidence: Evidence, arm: str, value: str, x: float | None) -> Interval | None:
    if (arm, x) not in evidence.cells:
        return None
    values = evidence.values(arm, value, x)
    known = values[np.isfinite(values)]
    return mean_interval(known) if known.size else None


def _estimate(place: int, arm: str, interval: Interval | None) -> Estimate:
    if interval is None:
        return Estimate(name=arm, mean=None, place=place)
    return Estimate(name=arm, mean=interval.mean, low=interval.low, high=interval.high, place=place)


def _alt(panel: Panel, lines: dict[str, Points]) -> str:
    texts = [
        f"{arm}: " + ", ".join(f"{mean:.3g} at {x:g}" for x, mean, _, _ in points) for arm, points in lines.items()
    ]
    return f"{panel.title}: {panel.what} over {panel.axis}. " + "; ".join(texts) + "."
