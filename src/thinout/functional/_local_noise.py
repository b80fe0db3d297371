"""Local reparametrisation: noise of weights is drawn where it arrives, on each output by itself."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import Tensor


def square(x: Tensor) -> Tensor:
    """Square in float32 at least: in float16 the square of 300 is infinite."""
    return x.to(torch.promote_types(x.dtype, torch.float32)).square()


def full_precision(x: Tensor) -> contextlib.AbstractContextManager[Any]:
    """Keep autocast away from variances."""
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else contextlib.nullcontext()


def add_noise(mean: Tensor, variance: Tensor, noise: Tensor) -> Tensor:
    """Return a sample of the normal distributions of these moments, given standard normal noise."""
    # The slope of the root at 0 is infinite. A bound that is the smallest normal number makes it finite and adds no
    # noise of its own, as the usual `sqrt(variance + 1e-8)` does.
    std = variance.clamp(min=torch.finfo(variance.dtype).tiny).sqrt()
    return torch.addcmul(mean.to(std.dtype), std, noise).to(mean.dtype)
