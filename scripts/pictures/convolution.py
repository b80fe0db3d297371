"""Pictures of dropouts for convolutional networks."""

from __future__ import annotations

from collections.abc import Callable

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

import thinout.nn as tnn
from pictures._canvas import figure, mask, values
from thinout.functional import drop_block_rates

_LAYERS: dict[str, Callable[[], nn.Module]] = {
    "Dropout(0.3)": lambda: tnn.Dropout(0.3),
    "Dropout2d(0.3)": lambda: tnn.Dropout2d(0.3),
    "DropBlock2d(0.3, 4)": lambda: tnn.DropBlock2d(0.3, 4),
    "PatternDropout2d(2, repeat=2)": lambda: tnn.PatternDropout2d(2, repeat=2),
    "Cutout(5)": lambda: tnn.Cutout(5),
}


def _tiled(maps: Tensor) -> Tensor:
    """Return four maps side by side, with a line of cells between them that no layer touches."""
    padded = nn.functional.pad(maps, (0, 1, 0, 1))
    return torch.cat([torch.cat(list(pair), 1) for pair in padded.split(2)], 0)[:-1, :-1]


def _masks() -> Figure:
    drawn, axes = figure(len(_LAYERS), width=2.4, height=2.5)
    torch.manual_seed(16)
    for panel, (title, make) in zip(axes, _LAYERS.items(), strict=True):
        kept = _tiled(make()(torch.ones(1, 4, 10, 10))[0])
        mask(panel, kept != 0, title, rows="4 channels", columns="of one example")
        for side in (panel.axhline, panel.axvline):
            side(10, color="white", linewidth=6.5)
    return drawn


def _rates() -> Figure:
    drawn, axes = figure(3, width=2.2)
    for panel, (block, exact) in zip(axes, ((3, False), (7, False), (7, True)), strict=True):
        rates = drop_block_rates((14, 14), 0.2, block, exact=exact)
        title = f"blocks of {block}, {'exact' if exact else 'usual'}: mean {rates.mean():.3f}"
        values(panel, rates, title, rows="map of 14 x 14", columns="probability of being dropped", span=0.6)
    return drawn


def draw() -> dict[str, Figure]:
    """Return the masks of one example with four channels, and how often DropBlock drops each cell."""
    return {"convolution": _masks(), "drop_block_rates": _rates()}
