"""Rows of dropout of single elements and of channels."""

from __future__ import annotations

from torch import nn

import thinout.nn as tnn
from layers._row import Row, normal

ROWS = [
    Row(
        layer="Dropout",
        ours=lambda: tnn.Dropout(0.5),
        plain=lambda layer: nn.Dropout(0.5),
        inputs=lambda: (normal(256, 4096),),
        heavy=True,
    ),
    Row(
        layer="ClassicDropout",
        ours=lambda: tnn.ClassicDropout(0.5),
        plain=lambda layer: lambda x: x * x.new_empty(x.shape).bernoulli_(0.5),
        inputs=lambda: (normal(256, 4096),),
        heavy=True,
    ),
    Row(
        layer="Dropout1d",
        ours=lambda: tnn.Dropout1d(0.5),
        plain=lambda layer: nn.Dropout1d(0.5),
        inputs=lambda: (normal(64, 128, 128),),
    ),
    Row(
        layer="Dropout2d",
        ours=lambda: tnn.Dropout2d(0.5),
        plain=lambda layer: nn.Dropout2d(0.5),
        inputs=lambda: (normal(32, 64, 28, 28),),
    ),
    Row(
        layer="Dropout3d",
        ours=lambda: tnn.Dropout3d(0.5),
        plain=lambda layer: nn.Dropout3d(0.5),
        inputs=lambda: (normal(8, 32, 16, 16, 16),),
    ),
]
