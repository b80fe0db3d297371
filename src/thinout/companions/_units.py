"""Units of a weight: which of its entries are the incoming weights of one unit."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def units(owner: nn.Module | None, tensor: Tensor) -> Iterator[tuple[Tensor, int]]:
    """Yield views of a weight or its gradient, each with the dimension along which its units lie."""
    if isinstance(owner, TRANSPOSED) and tensor.ndim > 1:  # (in, out / groups, ...), of which a group owns a part of in
        yield from ((part, 1) for part in tensor.detach().chunk(owner.groups))
    else:
        yield tensor.detach(), 0


def unit_norms(tensor: Tensor, dim: int) -> Tensor:
    """Return the norm of each unit, with the dimensions of the tensor; a vector is one unit."""
    others = tuple(other for other in range(tensor.ndim) if other != dim or tensor.ndim == 1)
    dtype = torch.promote_types(tensor.dtype, torch.float32)
    norms: Tensor = torch.linalg.vector_norm(tensor, dim=others, keepdim=True, dtype=dtype)
    return norms
