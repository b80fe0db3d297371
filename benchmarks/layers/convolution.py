"""Rows of dropouts for convolutional networks."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as nnf

import thinout.nn as tnn
from layers._row import Row, normal
from thinout.nn import experimental


def plain_drop_block(pool, p: float, block: int, axes: int):
    """Return the paper's Algorithm 1 with a max-pool, for odd blocks."""

    def call(x: Tensor) -> Tensor:
        seeds = [size - block + 1 for size in x.shape[2:]]
        gamma = p * math.prod(x.shape[2:]) / (block**axes * math.prod(seeds))
        mask = torch.empty(*x.shape[:2], *seeds, dtype=x.dtype).bernoulli_(gamma)
        mask = 1 - pool(nnf.pad(mask, [block // 2] * (2 * axes)), block, 1, block // 2)
        return x * mask * (mask.numel() / (1e-6 + mask.sum()))

    return call


def plain_cutout(size: int):
    def call(x: Tensor) -> Tensor:
        num, _, rows, columns = x.shape
        mask = torch.ones(num, 1, rows, columns)
        tops, lefts = torch.randint(rows, (num,)).tolist(), torch.randint(columns, (num,)).tolist()
        for image, (i, j) in enumerate(zip(tops, lefts, strict=True)):
            top, left = i - size // 2, j - size // 2
            mask[image, :, max(top, 0) : max(top + size, 0), max(left, 0) : max(left + size, 0)] = 0
        return x * mask

    return call


def plain_erasing(p: float):
    def call(x: Tensor) -> Tensor:
        num, _, rows, columns = x.shape
        mask = torch.ones(num, 1, rows, columns)
        for image in range(num):
            if torch.rand(1) >= p:
                continue
            for _ in range(10):
                area = rows * columns * torch.empty(1).uniform_(0.02, 0.33).item()
                ratio = torch.exp(torch.empty(1).uniform_(math.log(0.3), math.log(3.3))).item()
                height, width = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
                if height <= rows and width <= columns:
                    i = int(torch.randint(rows - height + 1, (1,)))
                    j = int(torch.randint(columns - width + 1, (1,)))
                    mask[image, :, i : i + height, j : j + width] = 0
                    break
        return x * mask

    return call


def plain_max_pool(p: float):
    def call(x: Tensor) -> Tensor:
        kept = torch.empty_like(x).bernoulli_(1 - p)
        return nnf.max_pool2d(x * kept, 2)

    return call


def plain_spectral(p: float, size: int):
    frequencies, positions = torch.arange(size).view(-1, 1), torch.arange(size)
    matrix = torch.cos(math.pi * (2 * positions + 1) * frequencies / (2 * size)) * math.sqrt(2 / size)
    matrix[0] = math.sqrt(1 / size)

    def call(x: Tensor) -> Tensor:
        z = matrix @ x @ matrix.T
        return matrix.T @ (z * torch.empty_like(z).bernoulli_(1 - p) / (1 - p)) @ matrix

    return call


def plain_pattern(side: int, stride: int, repeat: int):
    extent = (repeat - 1) * stride + side

    def call(x: Tensor) -> Tensor:
        places = [torch.rand(x.shape[:2]).mul(size - extent + 1).floor() for size in x.shape[2:]]
        inside = []
        for place, size in zip(places, x.shape[2:], strict=True):
            along = torch.arange(size) - place.unsqueeze(-1)
            inside.append((along >= 0) & (along < extent) & (along % stride < side))
        mask = 1 - (inside[0].unsqueeze(-1) & inside[1].unsqueeze(-2)).float()
        return x * mask * (x[0, 0].numel() / mask.sum((2, 3), keepdim=True))

    return call


def plain_jumpout(p_min: float, p_max: float, sigma: float):
    def call(x: Tensor) -> Tensor:
        spread = torch.randn(()).abs() * sigma
        p = ((p_min + spread).clamp(max=p_max) / (x > 0).float().mean()).clamp(max=p_max)
        return x * (torch.rand_like(x) >= p) * (1 - p) ** -0.75

    return call


def plain_max_drop(p: float):
    def call(x: Tensor) -> Tensor:
        largest = x == x.amax((2, 3), keepdim=True)
        return x * ~(largest & (torch.rand(*x.shape[:2], 1, 1) < p))

    return call


def plain_max_dropout(p: float):
    def call(x: Tensor) -> Tensor:
        normalised = (x - x.min()) / (x.max() - x.min())
        return x.masked_fill(normalised > 1 - torch.rand(()) * p, 0)

    return call


def plain_weighted_channels(p: float, ratio: float):
    def call(x: Tensor) -> Tensor:
        scores = x.mean((2, 3)).clamp(min=1e-6)
        keys = torch.rand_like(scores) ** (1 / scores.detach())
        chosen = keys.topk(math.ceil(ratio * x.shape[1]), 1).indices
        selected = torch.zeros_like(scores).scatter(1, chosen, 1.0)
        scale = selected * scores.sum(1, keepdim=True) / (scores * selected).sum(1, keepdim=True)
        return x * (scale * torch.empty_like(scale).bernoulli_(1 - p))[..., None, None]

    return call


def plain_checkerboard(cell: int):
    def call(x: Tensor) -> Tensor:
        rows, columns = (torch.arange(size) // cell for size in x.shape[2:])
        odd = (rows.unsqueeze(1) + columns) % 2
        coins = torch.randint(2, (x.shape[0], 1, 1, 1))
        return x * (odd == coins) * 2

    return call


def plain_attention(p: float, gamma: float):
    def call(x: Tensor) -> Tensor:
        attention = x.mean(1, keepdim=True)
        if torch.rand(()) < p:
            return x * (attention < gamma * attention.amax((2, 3), keepdim=True)).float()
        return x * attention.sigmoid()

    return call


def maps() -> tuple[Tensor]:
    return (normal(32, 64, 28, 28),)


def active_maps() -> tuple[Tensor]:
    return (normal(32, 64, 28, 28).relu() + 0.01,)


def images() -> tuple[Tensor]:
    return (normal(128, 3, 32, 32),)


ROWS = [
    Row(
        layer="DropBlock1d",
        ours=lambda: tnn.DropBlock1d(0.1, 7),
        plain=lambda layer: plain_drop_block(nnf.max_pool1d, 0.1, 7, 1),
        inputs=lambda: (normal(64, 128, 128),),
    ),
    Row(
        layer="DropBlock2d",
        ours=lambda: tnn.DropBlock2d(0.1, 7),
        plain=lambda layer: plain_drop_block(nnf.max_pool2d, 0.1, 7, 2),
        inputs=maps,
        heavy=True,
        note="a max-pool over seeds, as in torchvision",
    ),
    Row(
        layer="DropBlock3d",
        ours=lambda: tnn.DropBlock3d(0.1, 3),
        plain=lambda layer: plain_drop_block(nnf.max_pool3d, 0.1, 3, 3),
        inputs=lambda: (normal(8, 32, 16, 16, 16),),
        heavy=True,
        note="a max-pool over seeds, as in torchvision",
    ),
    Row(
        layer="Cutout",
        ours=lambda: tnn.Cutout(16),
        plain=lambda layer: plain_cutout(16),
        inputs=images,
        note="a loop over the images",
    ),
    Row(
        layer="RandomErasing",
        ours=lambda: tnn.RandomErasing(0.5),
        plain=lambda layer: plain_erasing(0.5),
        inputs=images,
        note="a loop over the images",
    ),
    Row(
        layer="MaxPoolDropout2d",
        ours=lambda: tnn.MaxPoolDropout2d(2, 0.5),
        plain=lambda layer: plain_max_pool(0.5),
        inputs=maps,
        note="of values that are not negative; the pooling itself is the same",
    ),
    Row(
        layer="SpectralDropout",
        ours=lambda: tnn.SpectralDropout(0.5),
        plain=lambda layer: plain_spectral(0.5, 28),
        inputs=maps,
        note="four products of matrices, of fixed matrices, are in both",
    ),
    Row(
        layer="PatternDropout2d",
        ours=lambda: tnn.PatternDropout2d(3, stride=5, repeat=2),
        plain=lambda layer: plain_pattern(3, 5, 2),
        inputs=maps,
        note="for upright patterns alone",
    ),
    Row(
        layer="Jumpout",
        ours=lambda: experimental.Jumpout(0.05, 0.5),
        plain=lambda layer: plain_jumpout(0.05, 0.5, 0.1),
        inputs=maps,
    ),
    Row(
        layer="MaxDrop2d",
        ours=lambda: experimental.MaxDrop2d(0.1),
        plain=lambda layer: plain_max_drop(0.1),
        inputs=maps,
    ),
    Row(
        layer="MaxDropout",
        ours=lambda: experimental.MaxDropout(0.3),
        plain=lambda layer: plain_max_dropout(0.3),
        inputs=maps,
    ),
    Row(
        layer="WeightedChannelDropout",
        ours=lambda: experimental.WeightedChannelDropout(0.1),
        plain=lambda layer: plain_weighted_channels(0.1, 0.9),
        inputs=active_maps,
        note="a product with the mask, which makes NaN of a dropped infinity; selecting takes one more pass",
    ),
    Row(
        layer="CheckerboardDropout2d",
        ours=lambda: experimental.CheckerboardDropout2d(2),
        plain=lambda layer: plain_checkerboard(2),
        inputs=maps,
    ),
    Row(
        layer="AttentionDropLayer",
        ours=lambda: experimental.AttentionDropLayer(1.0, 0.9),
        plain=lambda layer: plain_attention(1.0, 0.9),
        inputs=maps,
        note="hiding alone, so that both always do the same; plain makes NaN of a hidden infinity",
    ),
]
