"""Rows of stochastic depth, LayerDrop, shaken branches and joins."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import thinout.nn as tnn
from layers._row import Row, normal

IMAGES = (64, 64, 28, 28)
MULTIPLIES = "one multiplication by a mask of the rows, which makes a dropped infinity NaN; both pass over memory once"


def _one_a_row(x: Tensor) -> Tensor:
    return x.new_empty((len(x), *[1] * (x.dim() - 1)))


def _drop_path(p: float):
    return lambda x: x * _one_a_row(x).bernoulli_(1 - p).div_(1 - p)


def _mlp(width: int = 256) -> nn.Module:
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))


def _residual(block: tnn.StochasticDepthBlock):
    drop = _drop_path(block.p)
    return lambda x: x + drop(block.branch(x))


def _survivors(stack: tnn.LayerDrop):
    def run(x: Tensor) -> Tensor:
        noise = torch.rand(len(stack))
        for layer, u in zip(stack, noise.tolist(), strict=True):
            if u >= stack.p:
                x = layer(x)
        return x

    return run


class _PlainShake(torch.autograd.Function):
    @staticmethod
    def forward(ctx, first: Tensor, second: Tensor) -> Tensor:
        alpha = _one_a_row(first).uniform_()
        return alpha * first + (1 - alpha) * second

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor]:
        beta = _one_a_row(grad).uniform_()
        return beta * grad, (1 - beta) * grad


class _PlainShakeDrop(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, p: float) -> Tensor:
        keep = torch.empty(1).bernoulli_(1 - p)
        ctx.save_for_backward(keep)
        return x * (keep + (1 - keep) * _one_a_row(x).uniform_(-1, 1))

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        (keep,) = ctx.saved_tensors
        return grad * (keep + (1 - keep) * _one_a_row(grad).uniform_(0, 1)), None


def _join(layer: tnn.FractalJoin):
    def run(*paths: Tensor) -> Tensor:
        if torch.rand(()) < layer.global_ratio:
            return paths[int(torch.randint(len(paths), ()))]
        alive = [x for x, u in zip(paths, torch.rand(len(paths)).tolist(), strict=True) if u >= layer.p]
        return torch.stack(alive or [paths[int(torch.randint(len(paths), ()))]]).mean(dim=0)

    return run


def _join_rows(layer: tnn.FractalJoin):
    def run(*paths: Tensor) -> Tensor:
        keep = torch.rand(len(paths), len(paths[0]), 1, 1, 1) >= layer.p
        return (torch.stack(paths) * keep).sum(dim=0) / keep.sum(dim=0).clamp(min=1)

    return run


ROWS = [
    Row(
        layer="StochasticDepth",
        ours=lambda: tnn.StochasticDepth(0.2),
        plain=lambda layer: _drop_path(layer.p),
        inputs=lambda: (normal(*IMAGES),),
        note=MULTIPLIES,
    ),
    Row(
        layer="ScheduledDropPath",
        ours=lambda: tnn.ScheduledDropPath(0.2, 10, steps_done=10),
        plain=lambda layer: _drop_path(layer.p),
        inputs=lambda: (normal(*IMAGES),),
        note=MULTIPLIES,
    ),
    Row(
        layer="StochasticDepthBlock",
        ours=lambda: tnn.StochasticDepthBlock(_mlp(), 0.4),
        plain=_residual,
        inputs=lambda: (normal(64, 49, 256),),
        note="computes the branch for all rows and drops afterwards",
    ),
    Row(
        layer="LayerDrop",
        ours=lambda: tnn.LayerDrop([_mlp() for _ in range(12)], p=0.2),
        plain=_survivors,
        inputs=lambda: (normal(128, 256),),
        note="a loop that skips as well, so that equal times are the goal",
    ),
    Row(
        layer="ShakeShake",
        ours=lambda: tnn.ShakeShake(),
        plain=lambda layer: _PlainShake.apply,
        inputs=lambda: (normal(*IMAGES), normal(*IMAGES)),
    ),
    Row(
        layer="ShakeDrop",
        ours=lambda: tnn.ShakeDrop(0.5),
        plain=lambda layer: lambda x: _PlainShakeDrop.apply(x, layer.p),
        inputs=lambda: (normal(*IMAGES),),
    ),
    Row(
        layer="FractalJoin",
        ours=lambda: tnn.FractalJoin(),
        plain=_join,
        inputs=lambda: tuple(normal(*IMAGES) for _ in range(3)),
    ),
    Row(
        layer="FractalJoin",
        ours=lambda: tnn.FractalJoin(0.15, 0.0, mode="row"),
        plain=_join_rows,
        inputs=lambda: tuple(normal(*IMAGES) for _ in range(3)),
        note=MULTIPLIES,
    ),
]
