"""The door to dropout: which of four ways a call takes, and the short way itself.

1. While compiling or tracing, under a dispatch mode, or for a tensor subclass: the registered operator.
2. Under functorch transforms: `Transformable`.
3. In forward mode, and under functorch transforms inside of compiled code: PyTorch's own operations on a constant mask.
4. Else an `autograd.Function` straight onto the kernel, several times cheaper on small tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from thinout._checks import message
from thinout.ops import _backends
from thinout.ops._contract import NARROW, WIDE, Mask
from thinout.ops._library import Transformable

_PLAIN = (Tensor, torch.nn.Parameter)
_saved_tensors_hooks = torch._C._autograd._top_saved_tensors_default_hooks


def needs_operator(x: Tensor) -> bool:
    """Whether somebody records the operations on a tensor, so that a kernel must not read its memory."""
    return (
        torch.compiler.is_compiling()
        or torch._C._len_torch_dispatch_stack() > 0
        or type(x) not in _PLAIN
        or torch._C._get_tracing_state() is not None  # torch.jit.trace
        or torch._C._functorch.is_legacy_batchedtensor(x)  # what is_grads_batched=True sends through backward
    )


def must_copy(x: Tensor, grad: bool) -> bool:
    """Whether writing a result into `x` takes a copy.

    Leaves, some views, expanded and inference tensors must not be written to. `copy_` knows them all, raises before it
    writes, and records views, so it serves whatever is not plainly safe.
    """
    return not x.is_contiguous() or x.is_inference() or (grad and (x.is_leaf or x._is_view()))


def rate_tensor(p: float | Tensor) -> Tensor:
    """Return a rate as the one-element float64 CPU tensor that the operators take."""
    return p if isinstance(p, Tensor) else torch.tensor([p], dtype=torch.float64, device="cpu")


class Eager(torch.autograd.Function):
    """Dropout on the kernel; its backward is the same call on the gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, key: Tensor, mask: Mask, inplace: bool, backend: str | None) -> Tensor:
        """Apply the mask and keep the key, which is all that backward needs."""
        hooked = _saved_tensors_hooks(False) is not None
        if hooked:  # a checkpoint, which is to see the key: it recomputes it, and the two are compared
            ctx.save_for_backward(key)
        ctx.call = key, mask, backend, hooked  # one attribute, as small tensors wait for each; a saved key for longer
        if not inplace:
            return _backends.run(x, key, mask, backend=backend)
        ctx.mark_dirty(x)
        return _backends.run(x, key, mask, out=x, backend=backend)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Apply the same mask to the gradient, after making sure that it is the same."""
        key, mask, backend, hooked = ctx.call
        if hooked:
            # Checkpointing replaces saved tensors by those of the recomputed forward, but not the attributes of ctx.
            check_same_key(ctx.saved_tensors[0], key)
        return apply(grad, key, mask, backend=backend), None, None, None, None


# `Function.apply` unwraps dead functorch tensors first, which takes as long as the kernel on small tensors. There are
# none where this is called.
apply_eager = super(torch.autograd.Function, Eager).apply


def check_same_key(saved: Tensor, drawn: Tensor) -> None:
    """Raise where a checkpoint has recomputed the forward pass with another key."""
    if saved is not drawn and not torch.equal(saved, drawn):
        allowed = "the same when activation checkpointing recomputes the forward pass"
        remedy = "Leave preserve_rng_state=True, and pass key= in place of a private generator=."
        raise RuntimeError(message("dropout", "key", allowed, "another one", remedy))


def apply(x: Tensor, key: Tensor, mask: Mask, *, inplace: bool = False, backend: str | None = None) -> Tensor:
    """Apply a mask whose threshold is known."""
    if needs_operator(x) or torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0:
        p = rate_tensor(mask.threshold / mask.steps)
        return apply_traced(x, key, p, *mask[1:], inplace=inplace)
    grad = torch.is_grad_enabled() and x.requires_grad
    if inplace and must_copy(x, grad):
        return x.copy_(apply(x, key, mask, backend=backend))
    if grad:
        y: Tensor = apply_eager(x, key, mask, inplace, backend)
        return y
    if inplace:
        torch.autograd.graph.increment_version(x)  # autograd cannot see what a kernel writes
    return _backends.run(x, key, mask, out=x if inplace else None, backend=backend)


def apply_traced(x: Tensor, key: Tensor, p: Tensor, *mask: Any, inplace: bool = False) -> Tensor:
    """Apply a mask whose rate is a tensor, by operations that can be recorded and transformed."""
    transformed = torch._C._are_functorch_transforms_active()
    if (transformed and torch.compiler.is_compiling()) or (not transformed and forward_ad._current_level >= 0):
        y = _compose(x, key, p, *mask)
    elif transformed:
        y = Transformable.apply(x, key, p, *mask)
    else:
        y = torch.ops.thinout.dropout(x, key, p, *mask)
    return x.copy_(y) if inplace else y


def _compose(x: Tensor, key: Tensor, p: Tensor, offset: int, wide: bool, rescale: bool, *place: Any) -> Tensor:
    """Apply a mask by PyTorch's own operations, which carry every kind of derivative; the bits are the kernel's."""
    keep = _keep(torch.ones_like(x, requires_grad=False), key, p, offset, wide, *place)
    if rescale:
        steps = WIDE if wide else NARROW
        kept = (steps - torch.round(p * steps)).clamp(min=1).reshape(())  # of a full rate nothing is kept anyway
        work = torch.promote_types(x.dtype, torch.float32)
        return torch.where(keep, (x.to(work) * (steps / kept).to(x.device, work)).to(x.dtype), 0.0)
    return torch.where(keep, x, 0.0)


def _keep(ones: Tensor, key: Tensor, p: Tensor, offset: int, wide: bool, *place: Any) -> Tensor:
    """Return the mask over a tensor of ones, by the operator that can be recorded and transformed."""
    keep: Tensor = torch.ops.thinout.dropout_forward(ones, key, p, offset, wide, False, *place) != 0
    return keep


def mask_needs_operator(key: Tensor, p: float | Tensor) -> bool:
    """Whether somebody records or transforms what makes a mask."""
    return needs_operator(key) or torch._C._are_functorch_transforms_active() or type(p) not in (float, *_PLAIN)


def trace_mask(shape: Sequence[int], key: Tensor, p: float | Tensor, offset: int, wide: bool, *place: Any) -> Tensor:
    """Return a mask by operations that can be recorded and transformed; `place` ends with the device."""
    *where, device = place
    return _keep(torch.ones(tuple(shape), device=device), key, rate_tensor(p), offset, wide, *where)
