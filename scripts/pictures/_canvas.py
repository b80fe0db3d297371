"""Panels of masks and values, in the colours of the documentation.

A file of this folder has a function ``draw()`` that returns figures by name; each becomes
``docs/assets/layers/NAME.svg``. What a panel shows is computed by the library itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, ListedColormap
from matplotlib.figure import Figure
from torch import Tensor

KEPT, DROPPED, ACCENT, INK = "#5eb8ae", "#f3f4f6", "#b45309", "#374151"
_MASK = ListedColormap([DROPPED, KEPT])
_VALUES = LinearSegmentedColormap.from_list("values", [ACCENT, "#ffffff", "#0f766e"])


def figure(num_panels: int, *, width: float = 2.1, height: float = 2.3) -> tuple[Figure, Sequence[Axes]]:
    """Return a figure with a row of panels; sizes are those of one panel, in inches."""
    drawn = Figure(figsize=(width * num_panels, height), layout="constrained")
    axes = np.atleast_1d(drawn.subplots(1, num_panels))
    return drawn, list(axes)


def _frame(axes: Axes, title: str, rows: str, columns: str, shape: tuple[int, int]) -> None:
    axes.set_title(title, fontsize=9, color=INK)
    axes.set_xlabel(columns, fontsize=8, color=INK)
    axes.set_ylabel(rows, fontsize=8, color=INK)
    axes.set_xticks(np.arange(shape[1] + 1) - 0.5, [])
    axes.set_yticks(np.arange(shape[0] + 1) - 0.5, [])
    axes.tick_params(length=0)
    axes.grid(color="white", linewidth=0.8)
    for side in axes.spines.values():
        side.set_visible(False)


def mask(axes: Axes, kept: Tensor, title: str, *, rows: str = "", columns: str = "") -> None:
    """Draw a 2-d mask: filled where kept."""
    grid = kept.detach().bool().numpy()
    axes.imshow(grid, cmap=_MASK, vmin=0, vmax=1, interpolation="nearest", aspect="equal")
    _frame(axes, title, rows, columns, grid.shape)


def values(axes: Axes, array: Tensor, title: str, *, rows: str = "", columns: str = "", span: float = 2.0) -> None:
    """Draw a 2-d array of values: white is 0, green is positive."""
    grid = array.detach().double().numpy()
    axes.imshow(grid, cmap=_VALUES, vmin=-span, vmax=span, interpolation="nearest", aspect="equal")
    _frame(axes, title, rows, columns, grid.shape)
