"""Dropout as registered operators of torch, with fake, autograd and vmap rules.

A key travels as a 0-d int64 tensor, or as one key for each leading index of the input, which is what `vmap` makes of
it. The rate travels as a one-element float64 tensor, so that one compiled graph serves every rate.

``thinout::dropout`` has autograd and is what compiled graphs hold. ``thinout::dropout_forward`` has none: functorch
transforms go through `Transformable`, an `autograd.Function` over it, because gradients registered with
`torch.library` raise under `torch.func.grad` and are silently zero under `torch.func.jvp`.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from thinout._checks import bad_value, check_p
from thinout.ops import _backends
from thinout.ops._contract import Mask, quantise, row_major_strides

_SCHEMA = (
    "(Tensor x, Tensor key, Tensor p, SymInt offset, bool wide, bool rescale, SymInt first_index,"
    " SymInt[]? index_strides) -> Tensor"
)
_OPERATORS = ("thinout::dropout", "thinout::dropout_forward")


def _forward(x: Tensor, key: Tensor, p: Tensor, *mask_fields: Any) -> Tensor:
    offset, wide, rescale, first_index, strides = mask_fields
    threshold = quantise(check_p("dropout", p.item()), wide)  # compiled code checks the rate here
    mask = Mask(threshold, offset, wide, rescale, first_index, None if strides is None else tuple(strides))
    if key.dim() == 0:
        return _backends.run(x, key, mask)
    out = torch.empty_like(x)
    for one_key, one_x, one_out in zip(key, x, out, strict=True):
        _backends.run(one_x, one_key, mask, out=one_out)
    return out


def _fake(x: Tensor, key: Tensor, p: Tensor, *mask_fields: Any) -> Tensor:
    return torch.empty_like(x)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, key, p, *ctx.mask = inputs
    ctx.save_for_backward(key, p)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    key, p = ctx.saved_tensors
    return torch.ops.thinout.dropout(grad, key, p, *ctx.mask), *(None,) * 7


def _lead(x: Tensor, dim: int | None, size: int) -> Tensor:
    """Return `x` with the mapped dimension in front, made by expansion where it is not mapped."""
    return x.expand(size, *x.shape) if dim is None else x.movedim(dim, 0)


def _batch(
    info: Any, in_dims: tuple[int | None, ...], x: Tensor, key: Tensor, p: Tensor, *mask: Any
) -> tuple[Any, ...]:
    """Return the arguments of the one call that serves a whole mapped dimension, put in front."""
    *how, first_index, strides = mask
    x_dim, key_dim, p_dim = in_dims[:3]
    if p_dim is not None:
        bad_value("dropout", "p", "the same for all samples under vmap", "a mapped tensor", "Loop over the rates.")
    x = _lead(x, x_dim, info.batch_size)
    if key_dim is None and key.dim() == 0:
        # One key for all samples: one mask, shared along the mapped dimension.
        own = row_major_strides(x.shape[1:]) if strides is None else tuple(strides)
        return x, key, p, *how, first_index, (0, *own)
    return x, _lead(key, key_dim, info.batch_size), p, *how, first_index, strides


def _vmap(call: Any, info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Tensor, int]:
    """Serve a mapped dimension by one call of an operator or Function, one key a sample where keys are mapped."""
    x, key, *rest = _batch(info, in_dims, *args)
    if key.dim() < 2:
        return call(x, key, *rest), 0
    return call(x.flatten(0, 1), key.flatten(), *rest).unflatten(0, x.shape[:2]), 0


class Transformable(torch.autograd.Function):
    """Dropout that `torch.func.grad`, `jvp`, `vmap` and their compositions can take."""

    @staticmethod
    def forward(x: Tensor, key: Tensor, p: Tensor, *mask: Any) -> Tensor:
        """Apply the mask."""
        y: Tensor = torch.ops.thinout.dropout_forward(x, key, p, *mask)
        return y

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Keep the key and the rate: 16 bytes."""
        _save(ctx, inputs, output)
        ctx.save_for_forward(*inputs[1:3])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Apply the same mask to the gradient."""
        key, p = ctx.saved_tensors
        return Transformable.apply(grad, key, p, *ctx.mask), *(None,) * 7

    @staticmethod
    def jvp(ctx: Any, x_tangent: Tensor, *_: Any) -> Tensor:
        """Apply the same mask to the tangent: dropout is linear in its input."""
        y_tangent: Tensor = Transformable.apply(x_tangent, *ctx.saved_tensors, *ctx.mask)
        return y_tangent

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Tensor, int]:
        """Serve the mapped dimension by one call."""
        return _vmap(Transformable.apply, info, in_dims, *args)


_library = torch.library.Library("thinout", "DEF")
for _operator in _OPERATORS:
    _library.define(_operator.removeprefix("thinout::") + _SCHEMA, tags=(torch.Tag.pt2_compliant_tag,))
    torch.library.impl(_operator, "CompositeExplicitAutograd", _forward, lib=_library)
    torch.library.register_fake(_operator, _fake, lib=_library)
    _call = getattr(torch.ops.thinout, _operator.removeprefix("thinout::"))
    torch.library.register_vmap(_operator, functools.partial(_vmap, _call), lib=_library)
torch.library.register_autograd("thinout::dropout", _backward, setup_context=_save, lib=_library)
