"""Pictures of rates over steps and over depth."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pictures._canvas import ACCENT, INK, KEPT, figure
from thinout.schedules import (
    Annealed,
    Cosine,
    Curriculum,
    Early,
    Late,
    Linear,
    Piecewise,
    Schedule,
    linear_rates,
    progressive_rates,
)

_STEPS = 300
_DEPTH = 6
_COLOURS = (KEPT, ACCENT, INK)
_PANELS: dict[str, dict[str, Schedule]] = {
    "growing": {
        "Linear": Linear(0.0, 0.5, _STEPS),
        "Cosine": Cosine(0.0, 0.5, _STEPS),
        "Curriculum": Curriculum(0.5, _STEPS),
    },
    "falling": {"Annealed": Annealed(0.5, _STEPS), "Cosine": Cosine(0.5, 0.0, _STEPS)},
    "a part of the time": {
        "Early": Early(0.5, 100),
        "Early, constant": Early(0.4, 100, "constant"),
        "Late": Late(0.3, 200),
    },
    "Piecewise": {
        "a V": Piecewise([(0, 0.5), (_STEPS // 2, 0.0), (_STEPS, 0.5)]),
        "steps": Piecewise([(0, 0.1), (100, 0.2), (200, 0.4)], "constant"),
    },
}


def draw() -> dict[str, Figure]:
    """Return the curves of the schedules, and those of the rules over depth."""
    steps, axes = figure(len(_PANELS), width=2.4)
    for panel, (title, schedules) in zip(axes, _PANELS.items(), strict=True):
        lines = {name: [schedule(step) for step in range(_STEPS + 1)] for name, schedule in schedules.items()}
        _draw(panel, title, "step t", range(_STEPS + 1), lines)
        panel.set_xticks([0, 100, 200, 300])

    depth, axes = figure(2, width=3.2)
    layers = range(1, _DEPTH + 1)
    rules = {rule: linear_rates(0.5, _DEPTH, rule=rule) for rule in ("original", "timm")}
    _draw(axes[0], "linear_rates(0.5, 6)", "layer l", layers, rules, marker="o")
    progress = {f"step {step:,}": progressive_rates(0.5, _DEPTH, step, gamma=0.001) for step in (100, 500, 5_000)}
    _draw(axes[1], "progressive_rates(0.5, 6, ...)", "layer l", layers, progress, marker="o")
    for panel in axes:
        panel.set_xticks(layers)
    return {"schedules": steps, "schedules-depth": depth}


def _draw(axes: Axes, title: str, label: str, x: range, lines: Mapping[str, list[float]], marker: str = "") -> None:
    for colour, (name, values) in zip(_COLOURS, lines.items(), strict=False):
        drawstyle = "steps-post" if name == "steps" else "default"
        axes.plot(x, values, color=colour, linewidth=1.6, label=name, marker=marker, markersize=3, drawstyle=drawstyle)
    axes.set_title(title, fontsize=9, color=INK)
    axes.set_xlabel(label, fontsize=8, color=INK)
    axes.set_ylabel("p", fontsize=8, color=INK)
    axes.set_ylim(-0.02, 0.72)
    axes.set_yticks([0, 0.25, 0.5])
    axes.tick_params(labelsize=7, colors=INK, length=2)
    axes.legend(fontsize=7, frameon=False, labelcolor=INK, loc="upper left", handlelength=1.4, borderaxespad=0.2)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("bottom", "left"):
        axes.spines[side].set_color(INK)
