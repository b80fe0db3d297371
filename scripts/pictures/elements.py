"""Pictures of dropout of single elements and of noise shapes."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure

import thinout.nn as tnn
from pictures._canvas import figure, mask

_SHAPES = {
    "every element": None,
    "features (None, 1, None)": (None, 1, None),
    "time steps (None, None, 1)": (None, None, 1),
    "examples (None, 1, 1)": (None, 1, 1),
}


def draw() -> dict[str, Figure]:
    """Return the masks that noise shapes give to two examples of (N, L, C), one above the other."""
    drawn, axes = figure(len(_SHAPES))
    for panel, (title, noise_shape) in zip(axes, _SHAPES.items(), strict=True):
        kept = tnn.Dropout(0.4, noise_shape=noise_shape)(torch.ones(2, 5, 10), key=7) != 0
        mask(panel, kept.flatten(0, 1), title, rows="2 examples x 5 steps", columns="features")
    return {"elements": drawn}
