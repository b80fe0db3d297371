"""Dropout fused with its neighbours: which kernels serve it, and its short way in eager code.

Values are those of the separate operations, rounded where each of them rounds. Nothing is kept for backward but inputs
and the key: the mask and the activation are computed again.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from thinout.ops import _apply, _backends, _cpu
from thinout.ops._contract import Mask


def activate(h: Tensor, activation: str) -> Tensor:
    """Return "none", "relu" or "gelu" (by the error function) of h."""
    match activation:
        case "relu":
            return torch.relu(h)
        case "gelu":
            return torch.nn.functional.gelu(h)
        case _:
            return h


def activate_backward(grad: Tensor, h: Tensor, activation: str) -> Tensor:
    """Return the gradient of h; differentiable itself."""
    match activation:
        case "relu":
            grad = torch.ops.aten.threshold_backward(grad, h, 0)
        case "gelu":
            grad = torch.ops.aten.gelu_backward(grad, h)
    return grad


def _kernels(mask: Mask, x: Tensor, *others: Tensor) -> ModuleType | None:
    """Return the Triton kernels where they serve: tensors on a GPU, dense and row-major, that lose some elements."""
    kernels = _backends._triton() if _backends.select(x) == "triton" else None
    if kernels is None or not 0 < mask.threshold < mask.steps or x.numel() == 0:
        return None
    served = all(tensor.is_contiguous() and tensor.dtype in kernels.DTYPES for tensor in (x, *others))
    return kernels if served else None


def _library_adds(x: Tensor, residual: Tensor, mask: Mask) -> bool:
    """Whether the C++ library serves: dense and row-major CPU tensors of one type that lose some elements."""
    return (
        _backends.select(x) == "cpu"
        and x.is_contiguous()
        and residual.is_contiguous()
        and residual.dtype == x.dtype
        and not (x.is_neg() or residual.is_neg() or x._is_zerotensor() or residual._is_zerotensor())
        and 0 < mask.threshold < mask.steps
    )


def run_dropout_add(x: Tensor, residual: Tensor, key: Tensor, mask: Mask) -> Tensor:
    """Return residual + dropout(x), without autograd."""
    if _library_adds(x, residual, mask):
        out = torch.empty_like(x)
        threshold, offset, wide, _, first_index, _ = mask
        _cpu.dropout_add(
            x, residual, out, key=int(key), offset=offset, threshold=threshold, wide=wide, scale=mask.scale,
            first_index=first_index,
        )  # fmt: skip
        return out
    kernels = _kernels(mask, x, residual)
    if kernels is None:
        return _backends.run(x, key, mask).add_(residual)
    out = torch.empty_like(x)
    kernels.dropout_add(x, residual, out, key, mask)
    return out


def run_bias_act_dropout(x: Tensor, bias: Tensor, key: Tensor, mask: Mask, activation: str) -> Tensor:
    """Return dropout(activation(x + bias)), without autograd."""
    kernels = _kernels(mask, x, bias)
    if kernels is None:
        h = activate(x + bias, activation)
        return _backends.run(h, key, mask, out=h)
    out = torch.empty_like(x)
    kernels.bias_act_dropout(x, bias, out, key, mask, activation)
    return out


def run_bias_act_dropout_backward(
    grad: Tensor, x: Tensor, bias: Tensor, key: Tensor, mask: Mask, activation: str
) -> Tensor:
    """Return the gradient of x, without autograd."""
    grad = grad.contiguous() if x.is_contiguous() else grad
    kernels = _kernels(mask, x, bias, grad)
    if kernels is None:
        return activate_backward(_backends.run(grad, key, mask), x + bias, activation)
    out = torch.empty_like(x)
    kernels.bias_act_dropout(x, bias, out, key, mask, activation, grad=grad)
    return out


def _save(ctx: Any, key: Tensor, *inputs: Tensor) -> None:
    ctx.key = key
    ctx.save_for_backward(key, *inputs)


def _saved(ctx: Any) -> tuple[Tensor, ...]:
    """Return the key and the inputs, after making sure that a checkpoint has recomputed the same key."""
    saved: tuple[Tensor, ...] = ctx.saved_tensors  # asked for once: a checkpoint hands each tensor out one time
    key = saved[0]
    _apply.check_same_key(key, ctx.key)
    return saved


class DropoutAdd(torch.autograd.Function):
    """The short way to residual + dropout(x) in eager code."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, residual: Tensor, key: Tensor, mask: Mask) -> Tensor:
        """Run the kernel and keep the key."""
        _save(ctx, key)
        ctx.mask = mask
        return run_dropout_add(x, residual, key, mask)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Apply the same mask to the gradient of x; that of the residual passes."""
        (key,) = _saved(ctx)
        return _apply.apply(grad, key, ctx.mask), grad, None, None


class BiasActDropout(torch.autograd.Function):
    """The short way to dropout(activation(x + bias)) in eager code."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bias: Tensor, key: Tensor, mask: Mask, activation: str) -> Tensor:
        """Run the kernel and keep its inputs."""
        _save(ctx, key, x, bias)
        ctx.mask, ctx.activation = mask, activation
        return run_bias_act_dropout(x, bias, key, mask, activation)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Run the backward kernel, or differentiable operations where the gradient is to have gradients."""
        key, x, bias = _saved(ctx)
        if torch.is_grad_enabled() or _apply.needs_operator(grad):
            grad_x = activate_backward(_apply.apply(grad, key, ctx.mask), x + bias, ctx.activation)
        else:
            grad_x = run_bias_act_dropout_backward(grad, x, bias, key, ctx.mask, ctx.activation)
        return grad_x, grad_x.sum_to_size(bias.shape), None, None, None
