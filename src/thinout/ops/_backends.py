"""Which kernel serves which tensor: the C++ library, Triton, or the reference, all with the same bits."""

from __future__ import annotations

import torch
from torch import Tensor

from thinout._checks import bad_value
from thinout.ops import _reference
from thinout.ops._contract import Mask


def available() -> dict[str, str]:
    """Return what is live on this machine: a backend's name and what it serves or why it does not."""
    return {"reference": "every device"}


def select(device: torch.device, backend: str | None) -> str:
    """Return the name of the backend for a device; `backend` forces one, for tests and measurements."""
    if backend is not None and backend not in available():
        bad_value("dropout", "backend", "one of " + ", ".join(sorted(available())), repr(backend))
    return backend or "reference"


def run(x: Tensor, key: Tensor, mask: Mask, *, out: Tensor | None = None, backend: str | None = None) -> Tensor:
    """Return the masked and scaled `x` in its own strides, written to `out` (which may be `x`) where given."""
    result = torch.empty_like(x) if out is None else out
    if mask.drops_all:
        return result.zero_()
    if mask.threshold == 0:
        return result if result is x else result.copy_(x)
    select(x.device, backend)
    return result.copy_(_reference.dropout(x, key, mask))


def keep_mask(
    shape: tuple[int, ...], key: Tensor, mask: Mask, device: torch.device, backend: str | None = None
) -> Tensor:
    """Return the boolean mask, True where an element is kept."""
    select(device, backend)
    return _reference.keep_mask(shape, key, mask, device).clone()
