"""Pictures of what happens to single elements, of layers that choose units, and of noise shapes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from matplotlib.figure import Figure
from torch import Tensor

import thinout.functional as F
import thinout.nn as tnn
from pictures._canvas import figure, mask, values

_SHAPES = {
    "every element": None,
    "features (None, 1, None)": (None, 1, None),
    "time steps (None, None, 1)": (None, None, 1),
    "examples (None, 1, 1)": (None, 1, 1),
}
_ONES = torch.ones(10, 12)
_NOISE: dict[str, Callable[[], Tensor]] = {
    "Dropout(0.4)": lambda: F.dropout(_ONES, 0.4, training=True),
    "GaussianDropout(0.4)": lambda: F.gaussian_dropout(_ONES, 0.4, training=True),
    "Uout(0.5)": lambda: F.uout(_ONES, 0.5, training=True),
    "AlphaDropout(0.4)": lambda: F.alpha_dropout(_ONES, 0.4, training=True),
}
_RISING = torch.linspace(-4, 4, 12).expand(10, 12)


def _swapout() -> Tensor:
    return F.swapout(_ONES, -2 * _ONES, p_skip=0.4, p_branch=0.4, training=True)


def _units() -> Figure:
    drawn, (first, second, third) = figure(3)
    kept = F.standout(_ONES, _RISING, training=True) != 0
    mask(first, kept, "Standout", rows="examples", columns="units, by pre-activation")
    kept = F.nested_dropout(_ONES, 0.15, training=True) != 0
    mask(second, kept, "NestedDropout(0.15)", rows="examples", columns="units, in order")
    values(third, _swapout(), "Swapout(0.4, 0.4)", rows="examples", columns="units")
    return drawn


def draw() -> dict[str, Figure]:
    """Return ones behind four layers, three layers that choose units, and the masks that noise shapes give."""
    torch.manual_seed(0)
    noise, axes = figure(len(_NOISE))
    for panel, (title, make) in zip(axes, _NOISE.items(), strict=True):
        values(panel, make(), title, rows="examples", columns="units")
    shapes, axes = figure(len(_SHAPES))
    for panel, (title, noise_shape) in zip(axes, _SHAPES.items(), strict=True):
        kept = tnn.Dropout(0.4, noise_shape=noise_shape)(torch.ones(2, 5, 10), key=3) != 0
        mask(panel, kept.flatten(0, 1), title, rows="2 examples x 5 steps", columns="features")
    return {"elementwise": noise, "elementwise-units": _units(), "noise-shapes": shapes}
