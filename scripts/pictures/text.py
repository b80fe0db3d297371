"""Pictures of dropout of words, of sequences and inside of attention."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure

import thinout.functional as F
from pictures._canvas import figure, mask, values

# Two texts of nine words out of a vocabulary of five.
_WORDS = torch.tensor([[0, 1, 2, 0, 3, 1, 4, 0, 2], [2, 0, 4, 4, 1, 0, 2, 3, 0]])


def _sequences() -> Figure:
    drawn, axes = figure(4, width=2.4, height=1.5)
    labels = {"rows": "2 texts", "columns": "words"}
    types = F.embedding_dropout(_WORDS, torch.ones(5, 1), p=0.4, training=True, key=8)
    colours = torch.tensor([-1.8, -0.8, 0.5, 1.2, 2.0])
    values(axes[0], colours[_WORDS], "the words, a colour a type", **labels)
    mask(axes[1], types[..., 0] != 0, "EmbeddingDropout", **labels)
    mask(
        axes[2], F.token_dropout(torch.ones(2, 9, 1), 0.4, training=True, key=1)[..., 0] != 0, "TokenDropout", **labels
    )
    generator = torch.Generator().manual_seed(5)
    cut = F.hidden_cut(torch.ones(2, 9, 1), 0.35, training=True, generator=generator)
    mask(axes[3], cut[..., 0] != 0, "HiddenCut", **labels)
    return drawn


def _attention() -> Figure:
    drawn, axes = figure(5, width=1.9, height=2.1)
    labels = {"rows": "queries", "columns": "keys"}
    weights = torch.full((8, 8), 1 / 8)
    visible = torch.ones(8, 8, dtype=torch.bool).tril()
    logits = torch.zeros(8, 8).masked_fill(~visible, -torch.inf)
    mask(axes[0], F.dropout(weights, 0.3, training=True, key=2) != 0, "Dropout of weights", **labels)
    column = F.drop_attention(weights, 0.3, mode="column", training=True, key=2)
    mask(axes[1], column != 0, "DropAttention, column", **labels)
    spans = F.drop_attention(weights, 0.4, window=3, training=True, key=4)
    mask(axes[2], spans != 0, "DropAttention, window 3", **labels)
    dropped = F.drop_key(logits, 0.3, training=True, key=2).softmax(-1)
    values(axes[3], dropped, "DropKey, causal: weights", span=0.6, **labels)
    heads = F.drop_head(torch.ones(6, 8), 0.4, training=True, key=3)
    values(axes[4], heads, "DropHead: scales", rows="6 examples", columns="heads", span=4)
    return drawn


def draw() -> dict[str, Figure]:
    """Return what is dropped of sequences, and inside of attention."""
    return {"text": _sequences(), "attention": _attention()}
