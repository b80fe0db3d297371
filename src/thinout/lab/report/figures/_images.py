"""Matrices and images: the confusion matrix and the filters of the first convolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from thinout.lab.report._text import plural, shorten
from thinout.lab.report.figures._canvas import (
    FONT_SIZE,
    HEAT,
    INK,
    LINE,
    WIDTH,
    axes,
    draw,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEW_CLASSES = 12
CELL = 21.0
EDGE = 4.0
LONGEST_NAME = 11


def confusions(
    counts: npt.NDArray[np.int64],
    class_names: Sequence[str],
    *,
    most: int = 6,
) -> list[tuple[str, str, int, float]]:
    """Return the most frequent mistakes as (true class, predicted class, count, share of the true class)."""
    totals = counts.sum(axis=1)
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [(int(place) // len(counts), int(place) % len(counts)) for place in order]
    return [
        (class_names[true], class_names[guess], int(wrong[true, guess]), float(wrong[true, guess] / totals[true]))
        for true, guess in pairs
        if wrong[true, guess]
    ]


def confusion_width(num_classes: int, class_names: Sequence[str]) -> float:
    """Return the width in CSS pixels at which the counts of a confusion matrix can be read."""
    return sum(_confusion_size(num_classes, class_names)) + EDGE


def confusion_matrix(key: str, counts: npt.NDArray[np.int64], class_names: Sequence[str], *, arm: str) -> str:
    """Draw counts of (true class, predicted class), each cell shaded by its share of the row.

    Args:
        key: unique name of the figure on its page.
        counts: square matrix, true classes down, predicted ones across.
        class_names: one name a class.
        arm: whose predictions they are.
    """
    num_classes = len(counts)
    side, margin = _confusion_size(num_classes, class_names)
    cell = side / num_classes
    names = [shorten(name, LONGEST_NAME) for name in class_names]

    def paint(figure: Figure) -> None:
        ax = axes(figure, left=margin, right=EDGE, top=EDGE, bottom=margin)
        _cells(ax, counts, _font_size(counts, cell))
        ax.set_xticks(range(num_classes), names, rotation=90, fontsize=_name_size(cell))
        ax.set_yticks(range(num_classes), names, fontsize=_name_size(cell))
        ax.tick_params(length=0, labelcolor=INK, pad=2)
        ax.set_xlabel("predicted class")
        ax.set_ylabel("true class")
        ax.yaxis.set_label_coords(-(margin - 16) / side, 0.5)
        ax.xaxis.set_label_coords(0.5, -(margin - 16) / side)

    total = side + margin + EDGE
    return draw(key, _confusion_alt(counts, class_names, arm), (total, total), paint)


def filters(key: str, maps: npt.NDArray[np.floating[Any]], *, arm: str, largest: float) -> str:
    """Draw the filters of a first convolution side by side: black is negative, mid-grey zero, white positive.

    Args:
        key: unique name of the figure on its page.
        maps: filters, (C, h, w).
        arm: whose they are.
        largest: absolute weight shown as black or white, shared by the arms compared.
    """
    num_columns = min(8, len(maps))
    num_lines = -(-len(maps) // num_columns)
    side = (WIDTH - 8) / num_columns

    def paint(figure: Figure) -> None:
        ax = axes(figure, left=4, right=4, top=4, bottom=4)
        image = _mosaic(maps, num_columns, num_lines)
        ax.imshow(image, cmap="gray", vmin=-largest, vmax=largest, interpolation="none", aspect="auto")
        ax.set_axis_off()

    alt = (
        f"{plural(len(maps), 'filter')} of {maps.shape[1]} x {maps.shape[2]} weights of the first convolution, {arm}: "
        f"weights from {maps.min():.2f} to {maps.max():.2f}, root mean square {np.sqrt(np.mean(maps**2)):.3f}."
    )
    height = side * num_lines * (maps.shape[1] + 1) / (maps.shape[2] + 1)
    return draw(key, alt, (WIDTH, height + 8), paint)


def _mosaic(maps: npt.NDArray[np.floating[Any]], num_columns: int, num_lines: int) -> npt.NDArray[np.floating[Any]]:
    height, width = maps.shape[1] + 1, maps.shape[2] + 1
    image = np.full((num_lines * height, num_columns * width), np.nan)
    for place, single in enumerate(maps):
        top, left = place // num_columns * height, place % num_columns * width
        image[top : top + height - 1, left : left + width - 1] = single
    return image[:-1, :-1]


def _confusion_size(num_classes: int, class_names: Sequence[str]) -> tuple[float, float]:
    cell = (WIDTH - 82) / num_classes if num_classes <= FEW_CLASSES else CELL
    longest = max(len(shorten(name, LONGEST_NAME)) for name in class_names)
    return cell * num_classes, 24 + 0.62 * _name_size(cell) * longest


def _name_size(cell: float) -> float:
    return min(FONT_SIZE - 1.5, cell * 0.6)


def _font_size(counts: npt.NDArray[np.int64], cell: float) -> float:
    return min(FONT_SIZE, 1.5 * cell / max(len(str(int(counts.max(initial=0)))), 2))


def _cells(ax: Axes, counts: npt.NDArray[np.int64], font_size: float) -> None:
    from matplotlib.patches import Rectangle

    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    for line, column in zip(*np.nonzero(counts), strict=True):
        share = float(shares[line, column])
        shade = Rectangle((column - 0.5, line - 0.5), 1, 1, facecolor=HEAT, alpha=round(share**0.6, 3), linewidth=0)
        ax.add_patch(shade)
        text = str(counts[line, column])
        ax.text(column, line, text, ha="center", va="center_baseline", fontsize=font_size, color=INK)
    edges = np.arange(len(counts) + 1) - 0.5
    ax.hlines(edges, -0.5, len(counts) - 0.5, color=LINE, linewidth=0.5)
    ax.vlines(edges, -0.5, len(counts) - 0.5, color=LINE, linewidth=0.5)
    ax.set_xlim(-0.5, len(counts) - 0.5)
    ax.set_ylim(len(counts) - 0.5, -0.5)
    for spine in ax.spines.values():
        spine.set_visible(False)


def _confusion_alt(counts: npt.NDArray[np.int64], class_names: Sequence[str], arm: str) -> str:
    total, right = int(counts.sum()), int(np.trace(counts))
    mistakes = confusions(counts, class_names, most=3)
    listing = "; ".join(f"{true} taken for {guess} {count} times" for true, guess, count, _ in mistakes)
    rest = f" Most frequent mistakes: {listing}." if mistakes else " No mistakes."
    return f"Confusion matrix of {arm} over {len(counts)} classes: {right} of {total} predictions are right.{rest}"
