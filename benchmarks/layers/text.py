"""Rows of dropout of words, of sequences and inside of attention."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as torch_functional

import thinout.nn as tnn
from layers._row import Row, normal


def ids(vocabulary: int, *shape: int) -> tuple[Tensor]:
    return (torch.randint(vocabulary, shape, generator=torch.Generator().manual_seed(0)),)


def embedding(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    weight: Tensor = layer.weight

    def run(words: Tensor) -> Tensor:
        mask = weight.new_empty(weight.size(0), 1).bernoulli_(0.9) / 0.9
        return torch_functional.embedding(words, weight * mask)

    return run


def words(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    def run(ids: Tensor) -> Tensor:
        special = (ids == 0) | (ids == 2) | (ids == 3)
        return torch.where((torch.rand(ids.shape) < 0.1) & ~special, 1, ids)

    return run


def patches(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    def run(x: Tensor) -> Tensor:
        kept = torch.rand(x.size(0), x.size(1) - 1).argsort(dim=1)[:, : (x.size(1) - 1) // 2]
        return torch.cat([x[:, :1], x[:, 1:].gather(1, kept[..., None].expand(-1, -1, x.size(2)))], dim=1)

    return run


def cut(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    def run(x: Tensor) -> Tensor:
        place, size = torch.arange(x.size(1)), x.size(1) // 10
        begin = (torch.rand(x.size(0), 1) * (x.size(1) - size + 1)).long()
        return x * ((place < begin) | (place >= begin + size))[..., None]

    return run


def heads(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    def run(x: Tensor) -> Tensor:
        mask = x.new_empty(*x.shape[:2], 1, 1).bernoulli_(0.9)
        return x * (mask * (x.size(1) / mask.sum(1, keepdim=True)))

    return run


def weights(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    def run(x: Tensor) -> Tensor:
        kept = x * (torch.rand_like(x) >= 0.1)
        return kept / kept.sum(-1, keepdim=True).detach()

    return run


ROWS = [
    Row(
        layer="EmbeddingDropout",
        ours=lambda: tnn.EmbeddingDropout(33_278, 400, p=0.1),
        plain=embedding,
        inputs=lambda: ids(33_278, 80, 70),
        note="the vocabulary of WikiText-2; the plain form masks a copy of all weights",
    ),
    Row(
        layer="WordDropout",
        ours=lambda: tnn.WordDropout(0.1, unk_id=1, special_ids=(0, 2, 3)),
        plain=words,
        inputs=lambda: ids(30_000, 64, 512),
    ),
    Row(
        layer="TokenDropout",
        ours=lambda: tnn.TokenDropout(0.1),
        plain=lambda layer: lambda x: x * (x.new_empty(*x.shape[:2], 1).bernoulli_(0.9) / 0.9),
        inputs=lambda: (normal(64, 128, 256),),
    ),
    Row(
        layer="PatchDropout",
        ours=lambda: tnn.PatchDropout(0.5),
        plain=patches,
        inputs=lambda: (normal(32, 197, 384),),
    ),
    Row(
        layer="HiddenCut",
        ours=lambda: tnn.HiddenCut(0.1),
        plain=cut,
        inputs=lambda: (normal(64, 128, 256),),
        note="selects; the plain form multiplies by the mask, which PyTorch does faster on a CPU, and keeps a NaN",
    ),
    Row(
        layer="ScaledDotProductAttention",
        ours=lambda: tnn.ScaledDotProductAttention(0.1),
        plain=lambda layer: lambda q, k, v: torch_functional.scaled_dot_product_attention(q, k, v, dropout_p=0.1),
        inputs=lambda: tuple(normal(3, 4, 8, 256, 64)),
        note="mostly products of matrices",
    ),
    Row(
        layer="DropAttention",
        ours=lambda: tnn.DropAttention(0.1),
        plain=weights,
        inputs=lambda: (normal(8, 8, 128, 128).softmax(-1),),
    ),
    Row(
        layer="DropKey",
        ours=lambda: tnn.DropKey(0.1),
        plain=lambda layer: lambda x: x.masked_fill(torch.rand_like(x) < 0.1, -math.inf),
        inputs=lambda: (normal(8, 8, 128, 128),),
    ),
    Row(
        layer="DropHead",
        ours=lambda: tnn.DropHead(0.1),
        plain=heads,
        inputs=lambda: (normal(16, 12, 128, 64),),
        note="scales and selects in two passes; the plain form multiplies in one, and gives NaN for an example without "
        "a head or with an infinity in a dropped one",
    ),
]
