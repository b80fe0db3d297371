"""Training and validation loss over the epochs, one arm a figure, with bands over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from thinout.lab.report._text import number, plural, shorten
from thinout.lab.report.figures._canvas import FONT_SIZE, MUTED, arm_colour, axes, draw, only_grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curve = npt.NDArray[np.float64]
WIDTH = 236.0


@dataclass(frozen=True, kw_only=True)
class Band:
    """A mean over seeds with its interval, from epoch 1 to the last that every seed trained."""

    mean: Curve
    low: Curve
    high: Curve


@dataclass(frozen=True, kw_only=True)
class ArmCurves:
    """The curves of one arm.

    Args:
        name: the arm.
        place: its place in the study.
        train: training NLL: mean over seeds with interval.
        validation: the same of the validation NLL.
        seeds: validation NLL of every seed, epoch by epoch, as long as it trained.
        best_epochs: the epoch of every seed whose weights were measured.
    """

    name: str
    place: int
    train: Band
    validation: Band
    seeds: Sequence[Curve]
    best_epochs: Sequence[int]


def limits(arms: Sequence[ArmCurves]) -> tuple[float, float, float]:
    """Return (last epoch, lowest, highest loss) of shared axes; the first tenth of the epochs may lie above them."""
    losses = [band for arm in arms for band in (arm.train.mean, arm.validation.mean, *arm.seeds)]
    longest = max((len(loss) for loss in losses), default=1)
    finite = np.concatenate([loss[longest // 10 :] for loss in losses] or [np.zeros(0)])
    finite = finite[np.isfinite(finite)]
    if not len(finite):
        return float(max(longest, 2)), 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    return float(max(longest, 2)), max(low - 0.06 * (high - low), 0.0), high + 0.06 * (high - low) + 1e-9


def curves(key: str, arm: ArmCurves, *, baseline: ArmCurves | None, bounds: tuple[float, float, float]) -> str:
    """Draw one arm: training and validation loss, and the baseline's validation loss behind them in grey."""
    colour = arm_colour(arm.place)

    def paint(figure: Figure) -> None:
        ax = axes(figure, left=34, right=8, top=24, bottom=40)
        if baseline is not None and baseline.name != arm.name:
            _line(ax, baseline.validation.mean, color=MUTED, linewidth=1.2, linestyle=(0, (1, 1.5)))
        for seed in arm.seeds:
            _line(ax, seed, color=colour, linewidth=0.7, alpha=0.35)
        _band(ax, arm.train, colour, (0, (4, 2)))
        _band(ax, arm.validation, colour, "-")
        _best_epochs(ax, arm.best_epochs, colour)
        ax.set_xlim(0.5, bounds[0] + 0.5)
        ax.set_ylim(bounds[1], bounds[2])
        ax.set_title(shorten(arm.name, 24), loc="left", fontsize=FONT_SIZE, weight="bold")
        ax.set_xlabel("epoch")
        ax.locator_params(axis="x", integer=True)
        ax.tick_params(axis="y", labelcolor=MUTED)
        only_grid(ax, "y")

    return draw(key, _alt(arm), (WIDTH, 200), paint)


def _line(ax: Axes, losses: Curve, **style: Any) -> None:
    ax.plot(np.arange(1, len(losses) + 1), losses, **style)


def _band(ax: Axes, band: Band, colour: str, linestyle: object) -> None:
    epochs = np.arange(1, len(band.mean) + 1)
    ax.fill_between(epochs, band.low, band.high, color=colour, alpha=0.18, linewidth=0)
    _line(ax, band.mean, color=colour, linewidth=2, linestyle=linestyle)


def _best_epochs(ax: Axes, epochs: Sequence[int], colour: str) -> None:
    ax.plot(epochs, [0.02] * len(epochs), "|", color=colour, markersize=9, transform=ax.get_xaxis_transform())


def _alt(arm: ArmCurves) -> str:
    validation = arm.validation.mean
    start = f"{arm.name}, {plural(len(arm.seeds), 'seed')}: "
    if not len(validation) or not np.isfinite(validation).any():
        return start + "no curves."
    best = int(np.nanargmin(validation))
    train = arm.train.mean[best] if best < len(arm.train.mean) else None
    return (
        f"{start}mean validation NLL is lowest at epoch {best + 1} with {number(float(validation[best]))} nats "
        f"(training NLL there {number(None if train is None else float(train))}); it ends at "
        f"{number(float(validation[-1]))} in epoch {len(validation)}, the last that every seed trained."
    )
