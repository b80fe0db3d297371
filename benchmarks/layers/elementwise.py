"""Rows of noise on single elements and of the relatives of dropout that join, wrap or order units."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

import thinout.nn as tnn
from layers._row import Row, normal


def _gaussian_dropout(layer: tnn.GaussianDropout) -> Callable[[Tensor], Tensor]:
    std = layer.alpha**0.5
    return lambda x: x * (1 + std * torch.randn_like(x))


def _standout(layer: tnn.Standout) -> Callable[[Tensor], Tensor]:
    def plain(x: Tensor) -> Tensor:
        a = layer.linear(x)
        return torch.relu(a) * torch.bernoulli(torch.sigmoid(layer.alpha * a.detach() + layer.beta))

    return plain


def _shakeout(layer: tnn.ShakeoutLinear) -> Callable[[Tensor], Tensor]:
    """Return the form of two products, with the weights' signs apart."""

    def plain(x: Tensor) -> Tensor:
        tau = layer.tau
        r = torch.empty_like(x).bernoulli_(1 - tau) / (1 - tau)
        pull = x * (tau * r - (r == 0).to(x.dtype))
        return linear(x * r, layer.weight, layer.bias) + layer.c * linear(pull, layer.weight.detach().sign())

    return plain


def _multi_sample(layer: tnn.MultiSampleDropout) -> Callable[[Tensor], Tensor]:
    drop = nn.Dropout(layer.p)
    return lambda x: torch.stack([layer.head(drop(x)) for _ in range(layer.num_samples)])


def _swapout(layer: tnn.Swapout) -> Callable[[Tensor, Tensor], Tensor]:
    keep, keep_branch = 1 - layer.p_skip, 1 - layer.p_branch
    return lambda x, branch: (
        x * torch.empty_like(x).bernoulli_(keep) + branch * torch.empty_like(branch).bernoulli_(keep_branch)
    )


def _nested(layer: tnn.NestedDropout) -> Callable[[Tensor], Tensor]:
    def plain(x: Tensor) -> Tensor:
        length = torch.empty(len(x), 1).geometric_(layer.p)
        return x * (torch.arange(1, x.shape[1] + 1) <= length)

    return plain


def _information(layer: tnn.InformationDropout) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda x, logits: x * torch.exp(layer.alpha_max * torch.sigmoid(logits) * torch.randn_like(x))


ROWS = [
    Row(
        layer="GaussianDropout",
        ours=lambda: tnn.GaussianDropout(0.5),
        plain=_gaussian_dropout,
        inputs=lambda: (normal(256, 4096),),
        note="both draw normal numbers from PyTorch's generator, which is most of the time",
    ),
    Row(
        layer="GaussianNoise",
        ours=lambda: tnn.GaussianNoise(0.1),
        plain=lambda layer: lambda x: x + 0.1 * torch.randn_like(x),
        inputs=lambda: (normal(256, 4096),),
        note="as GaussianDropout",
    ),
    Row(
        layer="Uout",
        ours=lambda: tnn.Uout(0.1),
        plain=lambda layer: lambda x: x * (1 + 0.1 * (2 * torch.rand_like(x) - 1)),
        inputs=lambda: (normal(256, 4096),),
        note="as GaussianDropout, with uniform numbers",
    ),
    Row(
        layer="AlphaDropout",
        ours=lambda: tnn.AlphaDropout(0.5),
        plain=lambda layer: nn.AlphaDropout(0.5),
        inputs=lambda: (normal(256, 4096),),
        heavy=True,
    ),
    Row(
        layer="FeatureAlphaDropout",
        ours=lambda: tnn.FeatureAlphaDropout(0.5),
        plain=lambda layer: nn.FeatureAlphaDropout(0.5),
        inputs=lambda: (normal(32, 64, 28, 28),),
        note="PyTorch's product keeps a dropped NaN; ours needs one pass more, in which it becomes the constant",
    ),
    Row(
        layer="Standout",
        ours=lambda: tnn.Standout(nn.Linear(256, 1024), torch.relu),
        plain=_standout,
        inputs=lambda: (normal(256, 256),),
        note="a rate of its own for each element: uniform numbers from PyTorch's generator in both",
    ),
    Row(
        layer="InformationDropout",
        ours=lambda: tnn.InformationDropout(0.7),
        plain=_information,
        inputs=lambda: (normal(256, 4096), normal(256, 4096)),
        note="without the penalty; both draw normal numbers from PyTorch's generator",
    ),
    Row(
        layer="ShakeoutLinear",
        ours=lambda: tnn.ShakeoutLinear(1024, 256),
        plain=_shakeout,
        inputs=lambda: (normal(256, 1024),),
        note="both are matrix products for the most part",
    ),
    Row(
        layer="MultiSampleDropout",
        ours=lambda: tnn.MultiSampleDropout(nn.Linear(2048, 10), 0.5, num_samples=8),
        plain=_multi_sample,
        inputs=lambda: (normal(128, 2048),),
        heavy=True,
    ),
    Row(
        layer="Swapout",
        ours=lambda: tnn.Swapout(0.2, 0.5),
        plain=_swapout,
        inputs=lambda: (normal(256, 4096), normal(256, 4096)),
        heavy=True,
    ),
    Row(
        layer="NestedDropout",
        ours=lambda: tnn.NestedDropout(0.01),
        plain=_nested,
        inputs=lambda: (normal(256, 4096),),
        note="one random number an example; ours selects, where the product keeps a dropped NaN",
    ),
]
