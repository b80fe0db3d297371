"""PyTorch's eight dropout functions on thinout's kernel.

A function takes the input, a drop probability in (0, 1] and whether autograd records the call.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from thinout.ops import _backends, draw_key
from thinout.ops._apply import Eager
from thinout.ops._contract import Mask, quantise, row_major_strides

Site = Callable[[Tensor, float, bool], Tensor]

# What SELU tends to for large negative inputs, -lambda * alpha of Klambauer et al. 2017: alpha dropout's "dropped".
_SATURATED = -1.7580993408473766


def is_extreme(p: float) -> bool:
    """Whether steps of 2**-16 are too coarse for a rate that PyTorch would meet exactly."""
    return min(p, 1 - p) < 2**-8


def _mask(p: float, *, rescale: bool = True, index_strides: tuple[int, ...] | None = None) -> Mask:
    wide = is_extreme(p)
    return Mask(quantise(p, wide), wide=wide, rescale=rescale, index_strides=index_strides)


def _channel_strides(x: Tensor) -> tuple[int, ...]:
    """Return the index strides of a mask that has one entry for each sample and channel."""
    return (*row_major_strides(x.shape[:2]), *(0,) * (x.dim() - 2))


def _drop(x: Tensor, mask: Mask, grad: bool, key: Tensor | None = None) -> Tensor:
    key = draw_key() if key is None else key
    if grad:
        y: Tensor = Eager.apply(x, key, mask, False, None)
        return y
    return _backends.run(x, key, mask)


def _drop_(x: Tensor, mask: Mask, grad: bool) -> Tensor:
    # Some tensors must not be written to: leaves, some views, expanded and inference tensors. copy_ knows them all and
    # raises before it writes, and it records views, so it serves whatever is not plainly safe.
    if not x.is_contiguous() or x.is_inference() or (grad and (x.is_leaf or x._is_view())):
        return x.copy_(_drop(x, mask, grad))
    if grad:
        y: Tensor = Eager.apply(x, draw_key(), mask, True, None)
        return y
    _backends.run(x, draw_key(), mask, out=x)
    torch.autograd.graph.increment_version(x)  # autograd cannot see what a kernel writes
    return x


def _alpha_drop(x: Tensor, p: float, grad: bool, *, channels: bool = False) -> Tensor:
    """Return A * (x where kept, else `_SATURATED`) + B with the A and B that keep mean 0 and variance 1."""
    mask = _mask(p, rescale=False)
    if mask.drops_all:  # as PyTorch: zeros
        return _drop(x, mask, grad)
    key, rate = draw_key(), mask.threshold / mask.steps
    a = 1 / math.sqrt((1 - rate) * (1 + rate * _SATURATED**2))
    b = -a * rate * _SATURATED
    constant = x.new_full((*x.shape[:2], *(1,) * (x.dim() - 2)), b) if channels else torch.full_like(x, b)
    kept = _backends.keep_mask(tuple(constant.shape), key, mask, x.device)
    constant.masked_fill_(kept.logical_not_(), a * _SATURATED + b)
    mask = mask._replace(index_strides=_channel_strides(x)) if channels else mask
    return torch.add(constant, _drop(x, mask, grad, key), alpha=a)


def _dropout(x: Tensor, p: float, grad: bool) -> Tensor:
    return _drop(x, _mask(p), grad)


def _dropout_(x: Tensor, p: float, grad: bool) -> Tensor:
    return _drop_(x, _mask(p), grad)


def _feature_dropout(x: Tensor, p: float, grad: bool) -> Tensor:
    return _drop(x, _mask(p, index_strides=_channel_strides(x)), grad)


def _feature_dropout_(x: Tensor, p: float, grad: bool) -> Tensor:
    return _drop_(x, _mask(p, index_strides=_channel_strides(x)), grad)


def _alpha_dropout_(x: Tensor, p: float, grad: bool) -> Tensor:
    return x.copy_(_alpha_drop(x, p, grad))


def _feature_alpha_dropout(x: Tensor, p: float, grad: bool) -> Tensor:
    return _alpha_drop(x, p, grad, channels=True)


def _feature_alpha_dropout_(x: Tensor, p: float, grad: bool) -> Tensor:
    return x.copy_(_alpha_drop(x, p, grad, channels=True))


SITES: dict[str, Site] = {
    "dropout": _dropout,
    "dropout_": _dropout_,
    "feature_dropout": _feature_dropout,
    "feature_dropout_": _feature_dropout_,
    "alpha_dropout": _alpha_drop,
    "alpha_dropout_": _alpha_dropout_,
    "feature_alpha_dropout": _feature_alpha_dropout,
    "feature_alpha_dropout_": _feature_alpha_dropout_,
}
