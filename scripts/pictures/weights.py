"""Pictures of dropout of weights."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure

import thinout.functional as F
from pictures._canvas import figure, mask, values

_OUTPUTS, _INPUTS = 8, 10
_AXES = {"rows": "output units", "columns": "inputs"}


def _masks() -> torch.Tensor:
    """Return the weights that each of two examples meets: inputs that are rows of the identity show them."""
    rows = torch.eye(_INPUTS).expand(2, -1, -1)
    weight = torch.ones(_OUTPUTS, _INPUTS)
    return F.drop_connect_linear(rows, weight, p=0.4, training=True, mode="example", key=7).transpose(1, 2) != 0


def draw() -> dict[str, Figure]:
    """Return the weights that two examples meet under DropConnect, and what targeted dropout leaves of a weight."""
    drawn, axes = figure(4)
    for number, kept in enumerate(_masks()):
        mask(axes[number], kept, f"DropConnect, example {number}", **_AXES)
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(_OUTPUTS, _INPUTS, generator=generator) * torch.linspace(0.6, 1.4, _OUTPUTS)[:, None]
    targeted = {"alpha": 0.7, "gamma": 0.5, "training": True, "key": 7}
    values(axes[2], F.targeted_weight_dropout(weight, **targeted), "targeted weights", **_AXES)
    values(axes[3], F.targeted_unit_dropout(weight, **targeted), "targeted units", **_AXES)
    return {"weights": drawn}
