"""The door to dropout: which of three ways a call takes, and the short way itself.

1. While compiling or tracing, under a dispatch mode, or for a tensor subclass: the registered operator.
2. Under functorch transforms: `Transformable`.
3. Else an `autograd.Function` straight onto the kernel, several times cheaper on small tensors.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from thinout._checks import message
from thinout.ops import _backends
from thinout.ops._contract import Mask
from thinout.ops._library import Transformable

_PLAIN = (Tensor, torch.nn.Parameter)


def _needs_operator(x: Tensor) -> bool:
    return (
        torch.compiler.is_compiling()
        or torch._C._len_torch_dispatch_stack() > 0
        or type(x) not in _PLAIN
        or torch._C._functorch.is_legacy_batchedtensor(x)  # what is_grads_batched=True sends through backward
    )


def rate_tensor(p: float | Tensor) -> Tensor:
    """Return a rate as the one-element float64 CPU tensor that the operators take."""
    return p if isinstance(p, Tensor) else torch.tensor([p], dtype=torch.float64, device="cpu")


class Eager(torch.autograd.Function):
    """Dropout on the kernel; its backward is the same call on the gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, key: Tensor, mask: Mask, inplace: bool, backend: str | None) -> Tensor:
        """Apply the mask and keep the key, which is all that backward needs."""
        ctx.key, ctx.mask, ctx.backend = key, mask, backend
        ctx.save_for_backward(key)
        if not inplace:
            return _backends.run(x, key, mask, backend=backend)
        ctx.mark_dirty(x)
        return _backends.run(x, key, mask, out=x, backend=backend)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Apply the same mask to the gradient, after making sure that it is the same."""
        (key,) = ctx.saved_tensors
        # Checkpointing replaces saved tensors by those of the recomputed forward, but not the attributes of ctx.
        if key is not ctx.key and not torch.equal(key, ctx.key):
            raise RuntimeError(_OTHER_KEY)
        return apply(grad, key, ctx.mask, backend=ctx.backend), None, None, None, None


_OTHER_KEY = message(
    "dropout",
    "key",
    "the same when activation checkpointing recomputes the forward pass",
    "another one",
    "Leave preserve_rng_state=True, and pass key= in place of a private generator=.",
)


def apply(x: Tensor, key: Tensor, mask: Mask, *, inplace: bool = False, backend: str | None = None) -> Tensor:
    """Apply a mask whose threshold is known."""
    if _needs_operator(x) or torch._C._are_functorch_transforms_active():
        p = rate_tensor(mask.threshold / mask.steps)
        return apply_traced(x, key, p, *mask[1:], inplace=inplace)
    if torch.is_grad_enabled() and x.requires_grad:
        y: Tensor = Eager.apply(x, key, mask, inplace, backend)
        return y
    return _backends.run(x, key, mask, out=x if inplace else None, backend=backend)


def apply_traced(x: Tensor, key: Tensor, p: Tensor, *mask: Any, inplace: bool = False) -> Tensor:
    """Apply a mask by the registered operator, or by its functorch form."""
    if not torch.compiler.is_compiling() and torch._C._are_functorch_transforms_active():
        y = Transformable.apply(x, key, p, *mask)
    else:
        y = torch.ops.thinout.dropout(x, key, p, *mask)
    return x.copy_(y) if inplace else y
