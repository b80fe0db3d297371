"""Means with intervals, one arm a line: the forest plot of differences, and the plain form for one metric."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from thinout.lab.report._text import MISSING, decimals, plural, shorten
from thinout.lab.report.figures._canvas import (
    CARD,
    FONT_SIZE,
    INK,
    LINE,
    MUTED,
    WIDTH,
    arm_colour,
    arm_marker,
    axes,
    draw,
    only_grid,
)
from thinout.lab.report.figures._data import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE_HEIGHT = 48.0


def forest(
    key: str,
    differences: Sequence[Estimate],
    *,
    what: str,
    unit: str,
    baseline: str,
    margin: float | None = None,
) -> str:
    """Draw paired differences to the baseline with their intervals and verdicts around a zero line.

    Args:
        key: unique name of the figure on its page.
        differences: arm - baseline, each with its verdict as note.
        what: the metric, as in "test NLL".
        unit: its unit.
        baseline: name of the arm that all are compared to.
        margin: half width of the band that counts as equivalent, drawn behind.
    """
    digits = _digits(differences)

    def paint(figure: Figure) -> None:
        ax = axes(figure, left=94, right=106, top=8, bottom=58)
        if margin:
            ax.axvspan(-margin, margin, color=LINE, alpha=0.45, linewidth=0)
        ax.axvline(0, color=INK, linewidth=1.2)
        _lines(ax, differences)
        for line, item in enumerate(differences):
            _beside(ax, line, item.note or MISSING, item.text(digits, signed=True).replace(" [", "\n["))
        _show_zero(ax)
        ax.set_xlabel(f"{what}: difference to {shorten(baseline)} ({unit})", labelpad=18)
        hint: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "top", "color": INK}
        ax.annotate("← better", (0, 0), xytext=(0, -18), ha="left", fontsize=FONT_SIZE - 1, **hint)
        ax.annotate("worse →", (1, 0), xytext=(0, -18), ha="right", fontsize=FONT_SIZE - 1, **hint)

    return draw(key, _forest_alt(differences, what, unit, baseline), (WIDTH, _height(differences)), paint)


def intervals(key: str, estimates: Sequence[Estimate], *, what: str, unit: str) -> str:
    """Draw the mean of one metric with its interval, one arm a line."""
    digits = _digits(estimates)

    def paint(figure: Figure) -> None:
        ax = axes(figure, left=94, right=106, top=8, bottom=44)
        _lines(ax, estimates)
        for line, item in enumerate(estimates):
            mean, _, ends = item.text(digits).partition(" [")
            _beside(ax, line, mean, ends and f"[{ends}")
        ax.set_xlabel(f"{what} ({unit})" if unit else what)

    alt = f"{what} with 95 % intervals over seeds: " + _listing(estimates, digits, unit)
    return draw(key, alt, (WIDTH, _height(estimates) - 14), paint)


def _height(items: Sequence[Estimate]) -> float:
    return 66 + LINE_HEIGHT * max(len(items), 1)


def _digits(items: Sequence[Estimate]) -> int:
    return decimals([item.bar and sum(item.bar) / 2 for item in items])


def _lines(ax: Axes, items: Sequence[Estimate]) -> None:
    for line, item in enumerate(items):
        if item.mean is None or not item.is_known:
            continue
        bar = item.bar
        ax.errorbar(
            item.mean,
            line,
            xerr=[[bar[0]], [bar[1]]] if bar else None,
            fmt=arm_marker(item.place),
            color=arm_colour(item.place),
            markersize=8,
            linewidth=2.4,
            markeredgecolor=CARD,
            markeredgewidth=1,
        )
    ax.set_yticks(range(len(items)), [shorten(item.name) for item in items])
    ax.set_ylim(max(len(items), 1) - 0.5, -0.5)
    ax.spines["left"].set_visible(False)
    ax.locator_params(axis="x", nbins=4)
    only_grid(ax, "x")


def _beside(ax: Axes, line: int, first: str, second: str) -> None:
    place: dict[str, Any] = {
        "xycoords": ("axes fraction", "data"),
        "textcoords": "offset points",
        "annotation_clip": False,
    }
    ax.annotate(first, (1, line), xytext=(10, 4), va="bottom", color=INK, weight="bold", **place)
    ax.annotate(second, (1, line), xytext=(10, 2), va="top", color=MUTED, fontsize=FONT_SIZE - 1.5, **place)


def _show_zero(ax: Axes) -> None:
    low, high = ax.get_xlim()
    reach = 0.08 * (high - low)
    ax.set_xlim(min(low, -reach), max(high, reach))


def _listing(items: Sequence[Estimate], digits: int, unit: str, *, signed: bool = False) -> str:
    texts = [
        f"{item.name} {item.text(digits, signed=signed)}" + (f" ({item.note})" if item.note else "") for item in items
    ]
    return f"{'; '.join(texts)}. Unit: {unit}." if texts else "no arms."


def _forest_alt(items: Sequence[Estimate], what: str, unit: str, baseline: str) -> str:
    start = f"Paired difference in {what} to {baseline}, {plural(len(items), 'arm')}, with 95 % intervals over seeds: "
    return start + _listing(items, _digits(items), unit, signed=True)
