"""Dropout of whole channels, plain and alpha: a mask of one entry for each sample and channel, spread over the rest.

The mask is drawn by our kernel and applied by PyTorch's broadcasting product, as PyTorch does it; a dropped infinity is
therefore NaN. Backward draws the mask again from its key, which is all that is kept.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad

from thinout.ops import _backends, draw_key
from thinout.ops._contract import Mask


class Line(NamedTuple):
    """What becomes of x: ``slope * x + shift`` where it is kept, the constant `dropped` where not."""

    slope: float
    shift: float = 0.0
    dropped: float = 0.0


def is_forward_mode() -> bool:
    """Whether tensors may carry tangents (`torch.autograd.forward_ad`)."""
    return forward_ad._current_level >= 0


def _spread(x: Tensor, key: Tensor, mask: Mask) -> Tensor:
    """Return the mask of the channels, shaped to broadcast over x."""
    kept = _backends.keep_mask(tuple(x.shape[:2]), key, mask, x.device)
    return kept.view(*kept.shape, *(1,) * (x.dim() - 2))


def _compute(x: Tensor, key: Tensor, mask: Mask, line: Line, inplace: bool) -> Tensor:
    kept = _spread(x, key, mask)
    slope = kept.to(x.dtype).mul_(line.slope)
    if line.dropped == 0:
        return x.mul_(slope) if inplace else x * slope
    shift = torch.full_like(slope, line.dropped).masked_fill_(kept, line.shift)
    return x.mul_(slope).add_(shift) if inplace else torch.addcmul(shift, x, slope)


class _Channels(torch.autograd.Function):
    """The line on kept channels; its backward is the same mask on the gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, key: Tensor, mask: Mask, line: Line, inplace: bool) -> Tensor:
        ctx.mask, ctx.slope = mask, line.slope
        ctx.save_for_backward(key)
        if inplace:
            ctx.mark_dirty(x)
        return _compute(x, key, mask, line, inplace)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (key,) = ctx.saved_tensors
        # Transforms differentiate and batch the product itself.
        recorded = torch.is_grad_enabled() and not torch._C._are_functorch_transforms_active()
        return drop(grad, key, ctx.mask, Line(ctx.slope), recorded), None, None, None, None


def drop(x: Tensor, key: Tensor, mask: Mask, line: Line, grad: bool) -> Tensor:
    """Return the line on x where the channel is kept."""
    if grad and not is_forward_mode():
        y: Tensor = _Channels.apply(x, key, mask, line, False)
        return y
    return _compute(x, key, mask, line, False)


def drop_(x: Tensor, mask: Mask, line: Line, grad: bool) -> Tensor:
    """Write the line to x itself."""
    if not grad:
        return _compute(x, draw_key(), mask, line, True)
    if (
        x.is_leaf or x._is_view() or is_forward_mode()
    ):  # copy_ knows which of these must not be written to, and records views
        return x.copy_(drop(x, draw_key(), mask, line, grad))
    y: Tensor = _Channels.apply(x, draw_key(), mask, line, True)
    return y
