"""What the units do: the share of exact zeros after every activation, without and with dropout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from thinout.lab.report._text import shorten
from thinout.lab.report.figures._canvas import (
    CARD,
    FONT_SIZE,
    INK,
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

LINE_HEIGHT = 42.0
MAX_LAYERS = 24


def sparsity(key: str, layers: Sequence[tuple[str, Sequence[Estimate]]]) -> str:
    """Draw the share of zeros (in percent) of every layer, one point an arm.

    Args:
        key: unique name of the figure on its page.
        layers: pairs (layer, estimates of the arms compared), from the input to the output.
    """
    shown = layers[:MAX_LAYERS]

    def paint(figure: Figure) -> None:
        ax = axes(figure, left=94, right=12, top=30, bottom=44)
        for line, (_, estimates) in enumerate(shown):
            for step, item in enumerate(estimates):
                _point(ax, line + 0.2 * (step - (len(estimates) - 1) / 2), item)
        ax.set_yticks(range(len(shown)), [shorten(name) for name, _ in shown])
        ax.set_ylim(max(len(shown), 1) - 0.5, -0.5)
        ax.set_xlim(-2, 102)
        ax.set_xlabel("exact zeros after the activation (%)")
        ax.spines["left"].set_visible(False)
        only_grid(ax, "x")
        if shown:
            _legend(ax, shown[0][1])

    return draw(key, _alt(layers), (WIDTH, 78 + LINE_HEIGHT * max(len(shown), 1)), paint)


def _point(ax: Axes, height: float, item: Estimate) -> None:
    if item.mean is None or not item.is_known:
        return
    bar = item.bar
    ax.errorbar(
        item.mean,
        height,
        xerr=[[bar[0]], [bar[1]]] if bar else None,
        fmt=arm_marker(item.place),
        color=arm_colour(item.place),
        markersize=8,
        linewidth=2.4,
        markeredgecolor=CARD,
        markeredgewidth=1,
    )


def _legend(ax: Axes, estimates: Sequence[Estimate]) -> None:
    for item in estimates:
        style: dict[str, Any] = {"color": arm_colour(item.place), "marker": arm_marker(item.place), "linestyle": ""}
        ax.plot([], [], label=shorten(item.name), markersize=8, **style)
    ax.legend(
        loc="lower left",
        bbox_to_anchor=(-0.03, 1.0),
        ncols=len(estimates),
        fontsize=FONT_SIZE,
        labelcolor=INK,
        borderpad=0.2,
        handletextpad=0.1,
        columnspacing=1.2,
    )


def _alt(layers: Sequence[tuple[str, Sequence[Estimate]]]) -> str:
    if not layers:
        return "Share of zero activations: no layer was measured."
    texts = [f"{name}: " + ", ".join(f"{item.name} {item.text(1)}" for item in estimates) for name, estimates in layers]
    return "Share of exact zeros after each activation, in percent, on the test part. " + "; ".join(texts) + "."
