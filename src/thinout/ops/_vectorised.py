"""The mask contract in plain torch, for devices that neither the C++ library nor Triton serves."""

from __future__ import annotations

import torch
from torch import Tensor

from thinout.ops import _reference
from thinout.ops._contract import Mask


def dropout(x: Tensor, out: Tensor, key: Tensor, mask: Mask) -> None:
    """Write the masked and scaled `x` to `out`."""
    out.copy_(_reference.dropout(x, key, mask))


def keep_mask(shape: tuple[int, ...], key: Tensor, mask: Mask, device: torch.device) -> Tensor:
    """Return the boolean mask."""
    return _reference.keep_mask(shape, key, mask, device)
