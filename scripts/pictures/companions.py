"""Pictures of what companions do to weights and gradients."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from pictures._canvas import figure, values
from thinout.companions import adaptive_clip_, clip_by_norm_, clip_by_value_, max_norm_


def draw() -> dict[str, Figure]:
    """Return a weight before and after max-norm, and its gradient before and after each way of clipping."""
    source = torch.Generator().manual_seed(5)
    sizes = torch.tensor([0.15, 1.0, 0.4, 1.2, 0.1, 0.8]).unsqueeze(1)
    weight = sizes * torch.randn(6, 8, generator=source)
    gradient = 0.6 * torch.randn(6, 8, generator=source)
    gradient[1, 2], gradient[4] = 4.0, 3 * gradient[4]

    def clipped(name: str) -> Tensor:
        parameter = nn.Parameter(weight.clone())
        parameter.grad = gradient.clone()
        if name == "value":
            clip_by_value_(parameter, 0.7)
        elif name == "norm":
            clip_by_norm_(parameter, 3.0)
        else:
            adaptive_clip_(parameter, 0.5)
        return parameter.grad

    panels = {
        "weights": weight,
        "max_norm_(w, 1.5)": max_norm_(weight.clone(), 1.5),
        "gradients": gradient,
        "clip_by_value_(w, 0.7)": clipped("value"),
        "clip_by_norm_(w, 3)": clipped("norm"),
        "adaptive_clip_(w, 0.5)": clipped("adaptive"),
    }
    drawn, axes = figure(len(panels), width=2.0, height=1.9)
    for panel, (title, array) in zip(axes, panels.items(), strict=True):
        values(panel, array, title, rows="units", columns="inputs")
    return {"companions": drawn}
