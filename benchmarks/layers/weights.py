"""Rows of dropout of weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import thinout.nn as tnn
from layers._row import Row, normal
from thinout import losses


def _batch(layer: Any) -> Callable[[Tensor], Tensor]:
    return lambda x: F.linear(x, F.dropout(layer.weight, layer.p), layer.bias)


def _example(layer: Any) -> Callable[[Tensor], Tensor]:
    def run(x: Tensor) -> Tensor:
        weight = F.dropout(layer.weight.expand(len(x), *layer.weight.shape), layer.p)
        return torch.einsum("noi,ni->no", weight, x) + layer.bias

    return run


def _gaussian(layer: Any) -> Callable[[Tensor], Tensor]:
    def run(x: Tensor) -> Tensor:
        mean = F.linear(x, layer.weight, layer.bias)
        variance = F.linear(x.square(), layer.weight.square()) * (layer.p / (1 - layer.p))
        return mean + variance.sqrt() * torch.randn_like(mean)

    return run


def _conv(layer: Any) -> Callable[[Tensor], Tensor]:
    return lambda x: F.conv2d(x, F.dropout(layer.weight, layer.p), layer.bias, padding=1)


def _conv_example(layer: Any) -> Callable[[Tensor], Tensor]:
    def run(x: Tensor) -> Tensor:
        examples = len(x)
        weight = F.dropout(layer.weight.expand(examples, *layer.weight.shape), layer.p).flatten(0, 1)
        y = F.conv2d(x.flatten(0, 1).unsqueeze(0), weight, padding=1, groups=examples)
        return y.reshape(examples, -1, *y.shape[2:]) + layer.bias[:, None, None]

    return run


class _SetWeights(nn.Module):
    """The usual weight drop: the masked weight is set as an attribute before each call."""

    def __init__(self, wrapper: Any) -> None:
        super().__init__()
        self.lstm, self.raw = nn.LSTM(128, 256), wrapper.module.weight_hh_l0
        self.lstm.load_state_dict(wrapper.module.state_dict())
        del self.lstm.weight_hh_l0

    def forward(self, x: Tensor) -> Tensor:
        self.lstm.weight_hh_l0 = F.dropout(self.raw, 0.5)
        return self.lstm(x)[0]


def _targeted(layer: Any) -> Callable[[Tensor], Tensor]:
    def run(weight: Tensor) -> Tensor:
        sizes = weight.detach().abs()
        threshold = sizes.sort(dim=1).values[:, int(layer.gamma * weight.shape[1]), None]
        return weight.masked_fill((sizes < threshold) & (torch.rand_like(weight) < layer.alpha), 0.0)

    return run


def _targeted_unit(layer: Any) -> Callable[[Tensor], Tensor]:
    def run(weight: Tensor) -> Tensor:
        norms = weight.detach().norm(dim=1)
        threshold = norms.sort().values[int(layer.gamma * len(norms))]
        dropped = (norms < threshold) & (torch.rand_like(norms) < layer.alpha)
        return weight.masked_fill(dropped[:, None], 0.0)

    return run


def _gate(gate: Any) -> Callable[[Tensor], Tensor]:
    def run(x: Tensor) -> Tensor:
        u = torch.rand(len(x), x.shape[-1])
        s = torch.sigmoid((torch.log(u) - torch.log(1 - u) + gate.log_alpha) / gate.beta)
        return x * torch.clamp(s * (gate.zeta - gate.gamma) + gate.gamma, 0, 1)

    return run


ROWS = [
    Row(
        layer="DropConnectLinear",
        ours=lambda: tnn.DropConnectLinear(1024, 1024, p=0.5),
        plain=_batch,
        inputs=lambda: (normal(64, 1024),),
        note="mode='batch'; most of the time is the matrix products'",
    ),
    Row(
        layer="DropConnectLinear",
        ours=lambda: tnn.DropConnectLinear(256, 256, p=0.5, mode="example"),
        plain=_example,
        inputs=lambda: (normal(64, 256),),
        heavy=True,
        note="mode='example'",
    ),
    Row(
        layer="DropConnectLinear",
        ours=lambda: tnn.DropConnectLinear(1024, 1024, p=0.5, mode="gaussian"),
        plain=_gaussian,
        inputs=lambda: (normal(64, 1024),),
        note="mode='gaussian'; the same matrix products, and both draw by torch.randn",
    ),
    Row(
        layer="DropConnectConv2d",
        ours=lambda: tnn.DropConnectConv2d(64, 64, 3, padding=1, p=0.5),
        plain=_conv,
        inputs=lambda: (normal(8, 64, 16, 16),),
        note="mode='batch'; most of the time is the convolution's",
    ),
    Row(
        layer="DropConnectConv2d",
        ours=lambda: tnn.DropConnectConv2d(64, 64, 3, padding=1, p=0.5, mode="example"),
        plain=_conv_example,
        inputs=lambda: (normal(8, 64, 16, 16),),
        note="mode='example'; most of the time is the convolution's",
    ),
    Row(
        layer="DropConnectConv1d",
        ours=lambda: tnn.DropConnectConv1d(128, 128, 3, padding=1, p=0.5),
        plain=lambda layer: lambda x: F.conv1d(x, F.dropout(layer.weight, layer.p), layer.bias, padding=1),
        inputs=lambda: (normal(8, 128, 64),),
        note="mode='batch'; most of the time is the convolution's",
    ),
    Row(
        layer="DropConnectConv3d",
        ours=lambda: tnn.DropConnectConv3d(32, 32, 3, padding=1, p=0.5),
        plain=lambda layer: lambda x: F.conv3d(x, F.dropout(layer.weight, layer.p), layer.bias, padding=1),
        inputs=lambda: (normal(4, 32, 8, 8, 8),),
        note="mode='batch'; most of the time is the convolution's",
    ),
    Row(
        layer="WeightDrop",
        ours=lambda: tnn.WeightDrop(nn.LSTM(128, 256), "weight_hh_l0", p=0.5),
        plain=_SetWeights,
        inputs=lambda: (normal(20, 16, 128),),
        note="an LSTM of 20 steps; most of the time is its own",
    ),
    Row(
        layer="TargetedWeightDropout",
        ours=lambda: tnn.TargetedWeightDropout(alpha=0.5, gamma=0.5),
        plain=_targeted,
        inputs=lambda: (normal(512, 512),),
        note="most of the time is the search for candidates",
    ),
    Row(
        layer="TargetedUnitDropout",
        ours=lambda: tnn.TargetedUnitDropout(alpha=0.5, gamma=0.5),
        plain=_targeted_unit,
        inputs=lambda: (normal(512, 512),),
    ),
    Row(
        layer="HardConcreteGate",
        ours=lambda: tnn.HardConcreteGate(1024, mode="example"),
        plain=_gate,
        inputs=lambda: (normal(256, 1024),),
        note="mode='example'; both draw by torch.rand",
    ),
    Row(
        layer="FraternalLoss",
        ours=lambda: losses.FraternalLoss(),
        plain=lambda layer: lambda first, second: 0.15 * (first - second).pow(2).mean(),
        inputs=lambda: (normal(256, 1024), normal(256, 1024) + 1),
        note="no mask is drawn",
    ),
]
