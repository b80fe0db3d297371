"""Pictures of dropped branches, layers and paths."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure
from torch import nn

import thinout.nn as tnn
from pictures._canvas import figure, mask, values

PASSES = 12


def draw() -> dict[str, Figure]:
    """Return what twelve forward passes drop, a pass a row but in the first panel."""
    drawn, axes = figure(5)
    rows = tnn.StochasticDepth(0.4)(torch.ones(PASSES, 8), key=6) != 0
    mask(axes[0], rows, "StochasticDepth, row", rows="examples", columns="values")

    batch = tnn.StochasticDepth(0.4, "batch")
    whole = torch.stack([batch(torch.ones(8), key=6, offset=step) for step in range(PASSES)]) != 0
    mask(axes[1], whole, "StochasticDepth, batch", rows="passes", columns="examples")

    layers = tnn.LayerDrop([nn.Identity() for _ in range(8)], p=0.6, rule="linear")
    survivors = [set(layers.survivors(key=6, offset=step)) for step in range(PASSES)]
    kept = torch.tensor([[layer in alive for layer in layers] for alive in survivors])
    mask(axes[2], kept, "LayerDrop, linear rule", rows="passes", columns="layers")

    join, paths = tnn.FractalJoin(0.3), torch.eye(4).unbind()  # a path is seen in the mean where its own 1 is
    alive = torch.stack([join(*paths, key=6, offset=step) for step in range(PASSES)]) != 0
    mask(axes[3], alive, "FractalJoin", rows="passes", columns="paths")

    torch.manual_seed(6)
    shake = tnn.ShakeDrop(0.6)
    factors = torch.stack([shake(torch.ones(8)) for _ in range(PASSES)])
    values(axes[4], factors, "ShakeDrop, forward", rows="passes", columns="examples", span=1.0)
    return {"depth": drawn}
