"""Rows of layers that learn their rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import thinout.nn as tnn
from layers._row import Row, normal

EPS = 1e-7
NOTE_CONCRETE = "the formula of the authors' code, with noise for each element"
NOTE_WEIGHTS = "sqrt(variance + 1e-8), as in the usual code"


def concrete(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    temperature: Any = layer.temperature

    def plain(x: Tensor) -> Tensor:
        p = torch.sigmoid(layer.p_logit)
        u = torch.rand(x.shape[:2] + (1,) * (x.dim() - 2)) if x.dim() > 2 else torch.rand_like(x)
        z = torch.log(p + EPS) - torch.log(1 - p + EPS) + torch.log(u + EPS) - torch.log(1 - u + EPS)
        return x * (1 - torch.sigmoid(z / temperature)) / (1 - p)

    return plain


def gaussian(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    def plain(x: Tensor) -> Tensor:
        return x * (1 + torch.sqrt(torch.exp(layer.log_alpha.clamp(max=0))) * torch.randn_like(x))

    return plain


def variational(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    def plain(x: Tensor) -> Tensor:
        alpha = torch.exp(layer.log_alpha.clamp(max=0))
        variance = nn.functional.linear(x**2, alpha * layer.weight**2)
        return nn.functional.linear(x, layer.weight, layer.bias) + torch.sqrt(variance + 1e-8) * torch.randn_like(
            variance
        )

    return plain


def sparse(apply: Callable[..., Tensor]) -> Callable[[nn.Module], Callable[[Tensor], Tensor]]:
    def make(layer: nn.Module) -> Callable[[Tensor], Tensor]:
        options = {"padding": layer.padding} if hasattr(layer, "padding") else {}

        def plain(x: Tensor) -> Tensor:
            mean = apply(x, layer.weight, layer.bias, **options)
            variance = apply(x**2, torch.exp(layer.log_sigma2), None, **options)
            return mean + torch.sqrt(variance + 1e-8) * torch.randn_like(mean)

        return plain

    return make


ROWS = [
    Row(
        layer="ConcreteDropout",
        ours=lambda: tnn.ConcreteDropout(0.3),
        plain=concrete,
        inputs=lambda: (normal(256, 4096),),
        note=NOTE_CONCRETE,
    ),
    Row(
        layer="ConcreteDropout1d",
        ours=lambda: tnn.ConcreteDropout1d(0.3),
        plain=concrete,
        inputs=lambda: (normal(64, 128, 128),),
        note=NOTE_CONCRETE,
    ),
    Row(
        layer="ConcreteDropout2d",
        ours=lambda: tnn.ConcreteDropout2d(0.3),
        plain=concrete,
        inputs=lambda: (normal(32, 64, 28, 28),),
        note=NOTE_CONCRETE,
    ),
    Row(
        layer="ConcreteDropout3d",
        ours=lambda: tnn.ConcreteDropout3d(0.3),
        plain=concrete,
        inputs=lambda: (normal(8, 32, 16, 16, 16),),
        note=NOTE_CONCRETE,
    ),
    Row(
        layer="VariationalDropout",
        ours=lambda: tnn.VariationalDropout(4096, 0.2, alpha_per="unit"),
        plain=gaussian,
        inputs=lambda: (normal(256, 4096),),
        note="noise from the same generator",
    ),
    Row(
        layer="VariationalLinear",
        ours=lambda: tnn.VariationalLinear(512, 512, p=0.2),
        plain=variational,
        inputs=lambda: (normal(256, 512),),
        note=NOTE_WEIGHTS,
    ),
    Row(
        layer="SparseVariationalLinear",
        ours=lambda: tnn.SparseVariationalLinear(512, 512),
        plain=sparse(nn.functional.linear),
        inputs=lambda: (normal(256, 512),),
        note=NOTE_WEIGHTS,
    ),
    Row(
        layer="SparseVariationalConv1d",
        ours=lambda: tnn.SparseVariationalConv1d(32, 64, 3, padding=1),
        plain=sparse(nn.functional.conv1d),
        inputs=lambda: (normal(16, 32, 128),),
        note=NOTE_WEIGHTS,
    ),
    Row(
        layer="SparseVariationalConv2d",
        ours=lambda: tnn.SparseVariationalConv2d(32, 64, 3, padding=1),
        plain=sparse(nn.functional.conv2d),
        inputs=lambda: (normal(16, 32, 14, 14),),
        note=NOTE_WEIGHTS,
    ),
    Row(
        layer="SparseVariationalConv3d",
        ours=lambda: tnn.SparseVariationalConv3d(8, 16, 3, padding=1),
        plain=sparse(nn.functional.conv3d),
        inputs=lambda: (normal(4, 8, 8, 8, 8),),
        note=NOTE_WEIGHTS,
    ),
]
