"""Rows of dropout on graphs."""

from __future__ import annotations

import torch
from torch import Tensor

import thinout.nn as tnn
from layers._row import Row, normal


def edges() -> tuple[Tensor]:
    """Return 50,000 edges between 2,000 nodes."""
    return (torch.randint(2000, (2, 50_000), generator=torch.Generator().manual_seed(0)),)


ROWS = [
    Row(
        layer="DropEdge",
        ours=lambda: tnn.DropEdge(0.3),
        plain=lambda layer: lambda edge_index: edge_index[:, torch.rand(edge_index.size(1)) >= 0.3],
        inputs=edges,
    ),
    Row(
        layer="DropEdge",
        ours=lambda: tnn.DropEdge(0.3, exact=True),
        plain=lambda layer: lambda edge_index: edge_index[:, torch.randperm(50_000)[:35_000].sort().values],
        inputs=edges,
    ),
    Row(
        layer="DropEdge",
        ours=lambda: tnn.DropEdge(0.3, as_mask=True),
        plain=lambda layer: lambda edge_index: torch.rand(edge_index.size(1)) >= 0.3,
        inputs=edges,
        heavy=True,
    ),
    Row(
        layer="DropNode",
        ours=lambda: tnn.DropNode(0.3),
        plain=lambda layer: lambda x: x * (x.new_empty(x.size(0), 1).bernoulli_(0.7) / 0.7),
        inputs=lambda: (normal(20_000, 64),),
    ),
    Row(
        layer="DropMessage",
        ours=lambda: tnn.DropMessage(0.3),
        plain=lambda layer: torch.nn.Dropout(0.3),
        inputs=lambda: (normal(50_000, 64),),
        heavy=True,
    ),
]
