"""PyTorch's eight dropout functions on thinout's kernel."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from thinout.ops import _backends, draw_key
from thinout.ops._apply import apply_eager, must_copy
from thinout.ops._contract import Mask, quantise
from thinout.torch_patch import _channels
from thinout.torch_patch._channels import Line, is_forward_mode


@dataclass(frozen=True)
class Site:
    """One of PyTorch's functions.

    Attributes:
        run: the function of the input, a drop probability in (0, 1], and whether autograd records the call.
        channels: whether the mask has one entry for each sample and channel, not for each element.
        cost: what a call costs before its first element, in calls of plain dropout.
    """

    run: Callable[[Tensor, float, bool], Tensor]
    channels: bool = False
    cost: int = 1


# What SELU tends to for large negative inputs, -lambda * alpha of Klambauer et al. 2017: alpha dropout's "dropped".
_SATURATED = -1.7580993408473766


def is_extreme(p: float) -> bool:
    """Whether steps of 2**-16 are too coarse for a rate that PyTorch would meet exactly."""
    return min(p, 1 - p) < 2**-8


@functools.lru_cache(maxsize=64)
def _mask(p: float, *, rescale: bool = True) -> Mask:
    wide = is_extreme(p)
    return Mask(quantise(p, wide), wide=wide, rescale=rescale)


def _drop(x: Tensor, key: Tensor, mask: Mask, grad: bool) -> Tensor:
    if is_forward_mode():  # torch's product carries tangents, a kernel does not
        return x * _backends.run(torch.ones_like(x), key, mask)
    if grad:
        y: Tensor = apply_eager(x, key, mask, False, None)
        return y
    return _backends.run(x, key, mask)


def _dropout(x: Tensor, p: float, grad: bool) -> Tensor:
    return _drop(x, draw_key(), _mask(p), grad)


def _dropout_(x: Tensor, p: float, grad: bool) -> Tensor:
    if must_copy(x, grad) or is_forward_mode():
        return x.copy_(_dropout(x, p, grad))
    if grad:
        y: Tensor = apply_eager(x, draw_key(), _mask(p), True, None)
        return y
    _backends.run(x, draw_key(), _mask(p), out=x)
    torch.autograd.graph.increment_version(x)  # autograd cannot see what a kernel writes
    return x


def _alpha_line(mask: Mask) -> Line:
    """Return the line that keeps mean 0 and variance 1; all zeros where everything is dropped, as PyTorch has it."""
    if mask.drops_all:
        return Line(0.0)
    rate = mask.threshold / mask.steps
    slope = 1 / math.sqrt((1 - rate) * (1 + rate * _SATURATED**2))
    shift = -slope * rate * _SATURATED
    return Line(slope, shift, slope * _SATURATED + shift)


def _alpha_dropout(x: Tensor, p: float, grad: bool) -> Tensor:
    mask, key = _mask(p, rescale=False), draw_key()
    line = _alpha_line(mask)
    kept = _backends.keep_mask(tuple(x.shape), key, mask, x.device)
    constant = torch.full_like(x, line.dropped).masked_fill_(kept, line.shift)
    return torch.add(constant, _drop(x, key, mask, grad), alpha=line.slope)


def _alpha_dropout_(x: Tensor, p: float, grad: bool) -> Tensor:
    return x.copy_(_alpha_dropout(x, p, grad))


def _feature_dropout(x: Tensor, p: float, grad: bool) -> Tensor:
    mask = _mask(p)
    return _channels.drop(x, draw_key(), mask, Line(mask.scale), grad)


def _feature_dropout_(x: Tensor, p: float, grad: bool) -> Tensor:
    mask = _mask(p)
    return _channels.drop_(x, mask, Line(mask.scale), grad)


def _feature_alpha_dropout(x: Tensor, p: float, grad: bool) -> Tensor:
    mask = _mask(p)
    return _channels.drop(x, draw_key(), mask, _alpha_line(mask), grad)


def _feature_alpha_dropout_(x: Tensor, p: float, grad: bool) -> Tensor:
    mask = _mask(p)
    return _channels.drop_(x, mask, _alpha_line(mask), grad)


SITES = {
    "dropout": Site(_dropout),
    "dropout_": Site(_dropout_),
    "feature_dropout": Site(_feature_dropout, channels=True),
    "feature_dropout_": Site(_feature_dropout_, channels=True),
    "alpha_dropout": Site(_alpha_dropout, cost=2),
    "alpha_dropout_": Site(_alpha_dropout_, cost=2),
    "feature_alpha_dropout": Site(_feature_alpha_dropout, channels=True, cost=2),
    "feature_alpha_dropout_": Site(_feature_alpha_dropout_, channels=True, cost=2),
}
