"""Pictures of dropout on graphs."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure
from torch import Tensor

import thinout.functional as F
from pictures._canvas import figure, mask

_PAIRS = torch.tensor([[0, 0, 1, 1, 2, 3, 4, 5, 6, 2, 0], [1, 2, 2, 3, 4, 5, 6, 7, 7, 7, 6]])
_EDGES = torch.cat([_PAIRS, _PAIRS.flip(0), torch.arange(8).expand(2, -1)], dim=1)


def _adjacency(edges: Tensor) -> Tensor:
    return torch.zeros(8, 8).index_put((edges[1], edges[0]), torch.tensor(1.0))


def draw() -> dict[str, Figure]:
    """Return what each method leaves of one undirected graph with self-loops."""
    drawn, axes = figure(5, width=1.9, height=2.1)
    labels = {"rows": "targets", "columns": "sources"}
    mask(axes[0], _adjacency(_EDGES), "edges", **labels)
    mask(axes[1], _adjacency(F.drop_edge(_EDGES, 0.3, training=True, key=2)[0]), "DropEdge", **labels)
    both, _ = F.drop_edge(_EDGES, 0.3, undirected=True, training=True, key=1)
    mask(axes[2], _adjacency(both), "DropEdge, undirected", **labels)
    nodes = F.drop_node(torch.ones(8, 6), 0.3, training=True, key=2)
    mask(axes[3], nodes != 0, "DropNode", rows="nodes", columns="features")
    messages = F.drop_message(torch.ones(8, 6), 0.3, training=True, key=2)
    mask(axes[4], messages != 0, "DropMessage", rows="8 of the edges", columns="features")
    return {"graph": drawn}
