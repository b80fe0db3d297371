"""A metric against the drop probability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from thinout.lab.report._text import decimals, shorten
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
from thinout.lab.report.figures._data import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def against_rate(
    key: str,
    rates: Sequence[tuple[float, Estimate]],
    others: Sequence[Estimate],
    *,
    what: str,
    unit: str,
) -> str:
    """Draw a metric against p, with intervals; arms that differ in more than p stand aside as level lines.

    Args:
        key: unique name of the figure on its page.
        rates: pairs (p, estimate) of the arms that differ in p alone; the baseline is p = 0.
        others: the other arms.
        what: the metric.
        unit: its unit.
    """
    rates = sorted(((p, item) for p, item in rates if item.is_known), key=lambda pair: pair[0])
    others = [item for item in others if item.is_known]

    def paint(figure: Figure) -> None:
        ax = axes(figure, left=48, right=14, top=18, bottom=44)
        for item in others:
            _level(ax, item)
        ax.plot([p for p, _ in rates], [item.mean or 0.0 for _, item in rates], color=MUTED, linewidth=1)
        for p, item in rates:
            _point(ax, p, item)
        ax.set_xlabel("drop probability p")
        ax.set_ylabel(f"{what} ({unit})")
        ax.set_xlim(-0.05, max([0.2, *(p for p, _ in rates)]) + 0.08)
        ax.tick_params(axis="y", labelcolor=MUTED)
        only_grid(ax, "y")

    return draw(key, _alt(rates, others, what, unit), (WIDTH, 236), paint)


def _point(ax: Axes, p: float, item: Estimate) -> None:
    bar = item.bar
    ax.errorbar(
        [p],
        [item.mean or 0.0],
        yerr=[[bar[0]], [bar[1]]] if bar else None,
        fmt=arm_marker(item.place),
        color=arm_colour(item.place),
        markersize=8,
        linewidth=2.4,
        markeredgecolor=CARD,
        markeredgewidth=1,
    )
    top = (item.mean or 0.0) + (bar[1] if bar else 0.0)
    ax.annotate(
        shorten(item.name, 10),
        (p, top),
        xytext=(0, 4),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=FONT_SIZE - 1.5,
        color=MUTED,
    )


def _level(ax: Axes, item: Estimate) -> None:
    ax.axhline(item.mean or 0.0, color=arm_colour(item.place), linewidth=1.6, linestyle=(0, (4, 3)))
    ax.annotate(
        shorten(item.name),
        (1, item.mean or 0.0),
        xycoords=("axes fraction", "data"),
        xytext=(-2, 3),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=FONT_SIZE - 1.5,
        color=MUTED,
    )


def _alt(rates: Sequence[tuple[float, Estimate]], others: Sequence[Estimate], what: str, unit: str) -> str:
    if not rates:
        return f"{what} against the drop probability: nothing was measured."
    digits = decimals([item.bar and sum(item.bar) / 2 for _, item in rates], least=2)
    points = [f"p = {p:.3g}: {item.text(digits)}" for p, item in rates]
    points += [f"{item.name}: {item.text(digits)}" for item in others]
    best = min(rates, key=lambda pair: pair[1].mean or 0.0)[0]
    return f"{what} ({unit}) against the drop probability is lowest at p = {best:.3g}. " + "; ".join(points) + "."
