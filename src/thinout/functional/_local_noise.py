"""Local reparametrisation: noise of weights is drawn where it arrives, on each output by itself."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import Tensor

# The slope of the root at 0 is infinite. This makes the first two derivatives finite in float32, and a standard
# deviation of 1e-10 is none; the usual 1e-8 under the root is one of 1e-4, however small a layer's own noise is.
_EPSILON = 1e-20


def square(x: Tensor) -> Tensor:
    """Square in float32 at least: in float16 the square of 300 is infinite."""
    return x.to(torch.promote_types(x.dtype, torch.float32)).square()


def full_precision(x: Tensor) -> contextlib.AbstractContextManager[Any]:
    """Keep autocast away from variances."""
    kind = x.device.type
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        return torch.autocast(kind, enabled=False)
    return contextlib.nullcontext()  # entering and leaving the other costs as much as a small layer


def add_noise(mean: Tensor, variance: Tensor, noise: Tensor) -> Tensor:
    """Return a sample of the normal distributions of these moments, given standard normal noise."""
    std = (variance + _EPSILON).sqrt()
    return torch.addcmul(mean.to(std.dtype), std, noise).to(mean.dtype)
