"""The mask contract in plain torch, int64 throughout: slow, short, and the truth that every backend must equal.

Philox4x32-10 is the generator of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (2011);
the known answers of their library Random123 hold for it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from thinout.ops._contract import Mask, row_major_strides

_WORD = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)


def philox(counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
    """Return the four 32-bit words (as int64) that Philox4x32-10 gives for 32-bit counter words and key words."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        # A 64-bit product that overflows int64 still has the right bits; the mask undoes the sign of the shift.
        even, odd = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = ((odd >> 32) & _WORD) ^ c1 ^ k0, odd & _WORD, ((even >> 32) & _WORD) ^ c3 ^ k1, even & _WORD
        k0, k1 = (k0 + _KEY_STEPS[0]) & _WORD, (k1 + _KEY_STEPS[1]) & _WORD
    return c0, c1, c2, c3


def _words(number: Tensor) -> tuple[Tensor, Tensor]:
    return number & _WORD, (number >> 32) & _WORD


def bits(index: Tensor, key: Tensor, offset: int, wide: bool) -> Tensor:
    """Return the number in [0, 2**16), or [0, 2**32) if wide, that each mask index has, before any threshold."""
    block = index >> (2 if wide else 3)
    seed = torch.as_tensor(key, dtype=torch.int64, device=index.device)
    counter = (*_words(block), *_words(torch.full_like(block, offset)))
    words = torch.stack(philox(counter, _words(seed)), dim=-1)
    if wide:
        return words.gather(-1, (index & 3).unsqueeze(-1)).squeeze(-1)
    word = words.gather(-1, ((index & 7) >> 1).unsqueeze(-1)).squeeze(-1)
    lane = (word >> ((index & 1) << 4)) & 0xFFFF
    return lane ^ 0x8000


def logical_index(shape: tuple[int, ...], mask: Mask, device: torch.device) -> Tensor:
    """Return the mask index of every element; dimensions that share the mask have size 1."""
    strides = row_major_strides(shape) if mask.index_strides is None else mask.index_strides
    index = torch.full((1,) * len(shape), mask.first_index, dtype=torch.int64, device=device)
    for dim, (size, stride) in enumerate(zip(shape, strides, strict=True)):
        steps = torch.arange(size if stride else min(size, 1), dtype=torch.int64, device=device) * stride
        index = index + steps.reshape([-1 if other == dim else 1 for other in range(len(shape))])
    return index


def keep_mask(shape: tuple[int, ...], key: Tensor, mask: Mask, device: torch.device) -> Tensor:
    """Return the boolean mask, True where an element is kept."""
    numbers = bits(logical_index(shape, mask, device), key, mask.offset, mask.wide)
    return (numbers >= mask.threshold).expand(shape)


def dropout(x: Tensor, key: Tensor, mask: Mask) -> Tensor:
    """Return x scaled where the mask keeps it and zero elsewhere, in the strides of x."""
    work = torch.promote_types(x.dtype, torch.float32)
    scale = torch.tensor(mask.scale, dtype=work, device=x.device)
    kept = torch.where(keep_mask(tuple(x.shape), key, mask, x.device), (x.to(work) * scale).to(x.dtype), 0)
    return torch.empty_like(x).copy_(kept)
