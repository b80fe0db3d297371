"""The mask contract in plain torch operations, for tensors that neither the C++ library nor Triton serves.

Philox runs once a block of eight lanes (four words in the wide format), on int64 elements whose products wrap. A
block's words are then viewed as its lanes, which is right on little-endian machines: all that torch has an accelerator
for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from thinout.ops._contract import Mask, row_major_strides
from thinout.ops._reference import logical_index

_WORD = 0xFFFFFFFF
# Philox works on pairs of words, a pair a row; each round swaps the rows, (c0, c2) to (c2, c0), and moves nothing.
_MULTIPLIERS = torch.tensor([[[0xD2511F53], [0xCD9E8D57]], [[0xCD9E8D57], [0xD2511F53]]])
_KEY_STEPS = torch.arange(10, device="cpu").unsqueeze(1) * torch.tensor([0xBB67AE85, 0x9E3779B9], device="cpu")
# Blocks computed at once. On a CPU the temporaries then stay in a core's cache; elsewhere the cost of a launch counts.
_CHUNK = {"cpu": 1 << 13}
_LARGE_CHUNK = 1 << 20
_BITS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def _round_keys(key: Tensor) -> Tensor:
    """Return the key words of the ten rounds, shape (10, 2, 1), in the order of the rows that they belong to."""
    keys = (torch.stack((key >> 32, key)) + _KEY_STEPS.to(key.device)) & _WORD
    keys[1::2] = keys[1::2].flip(1)
    return keys.unsqueeze(2)


def _words(blocks: Tensor, key: Tensor, offset: int) -> Tensor:
    """Return the four words of each block of a 1-d tensor as int32, in order."""
    multipliers = _MULTIPLIERS.to(blocks.device).unbind()
    even = torch.stack((blocks & _WORD, torch.full_like(blocks, offset & _WORD)))
    odd = torch.stack((blocks >> 32, torch.full_like(blocks, offset >> 32)))
    (even_first, even_second), odd_rows = even.unbind(), odd.unbind()
    product = torch.empty_like(even)
    product_rows = product.unbind()
    for number, key_words in enumerate(_round_keys(key).unbind()):
        torch.mul(even, multipliers[number % 2], out=product)
        torch.bitwise_right_shift(product, 32, out=even)
        even_first.bitwise_xor_(odd_rows[1])
        even_second.bitwise_xor_(odd_rows[0])
        even.bitwise_xor_(key_words).bitwise_and_(_WORD)
        # The lower halves of the products are the odd words. Their upper halves are rubbish, which the masks drop.
        odd, odd_rows, product, product_rows = product, product_rows, odd, odd_rows
    pairs = (odd << 32).bitwise_or_(even)  # little-endian: an even word, then an odd one
    return torch.stack(pairs.unbind(), dim=-1).view(torch.int32).flatten()


def _kept(blocks: Tensor, key: Tensor, mask: Mask) -> Tensor:
    """Return 1 for each lane of the blocks of a 1-d tensor that is kept, 0 for the others, in order, as integers."""
    words = _words(blocks, key, mask.offset)
    # Signed comparisons: a narrow lane with its top bit flipped, read as unsigned, is the signed lane plus 2**15.
    # In place, since the CPU compares four times as fast into the type compared as into bool.
    if mask.wide:
        return words.bitwise_xor_(-(1 << 31)).ge_(mask.threshold - (1 << 31))
    return words.view(torch.int16).ge_(mask.threshold - (1 << 15))


def _kept_ranges(num: int, key: Tensor, mask: Mask) -> Iterator[tuple[slice, Tensor]]:
    """Yield the mask of `num` consecutive indices in pieces: where each piece lies, and its mask."""
    lanes = 4 if mask.wide else 8
    step = _CHUNK.get(key.device.type, _LARGE_CHUNK) * lanes
    for begin in range(0, num, step):
        size = min(step, num - begin)
        first, skipped = divmod(mask.first_index + begin, lanes)
        blocks = torch.arange(first, first + (skipped + size - 1) // lanes + 1, device=key.device)
        yield slice(begin, begin + size), _kept(blocks, key, mask)[skipped : skipped + size]


def _keep_runs(out: Tensor, starts: Tensor, key: Tensor, mask: Mask) -> None:
    """Write the masks of runs of consecutive indices, one run a row of the dense bool tensor `out`."""
    lanes = 4 if mask.wide else 8
    columns = torch.arange(out.shape[1], device=out.device)
    touched = torch.arange((out.shape[1] + lanes - 2) // lanes + 1, device=out.device)
    step = max(1, _CHUNK.get(out.device.type, _LARGE_CHUNK) // len(touched))
    for rows, start in zip(out.split(step), starts.split(step), strict=True):
        blocks = (start // lanes).unsqueeze(1) + touched
        kept = _kept(blocks.flatten(), key, mask).view(len(rows), -1)
        rows.copy_(kept.gather(1, (start % lanes).unsqueeze(1) + columns))


def _num_run_dims(shape: Sequence[int], strides: Sequence[int]) -> int:
    """Return how many trailing dimensions are laid out in the mask as in a dense tensor."""
    count, step = 0, 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size != 1 and stride != step:
            break
        count, step = count + 1, step * size
    return count


def _keep_small(shape: tuple[int, ...], key: Tensor, mask: Mask) -> Tensor:
    """Return the mask with size 1 in the dimensions that share it."""
    strides = row_major_strides(shape) if mask.index_strides is None else mask.index_strides
    sizes = [size if stride else min(size, 1) for size, stride in zip(shape, strides, strict=True)]
    out = torch.empty(sizes, dtype=torch.bool, device=key.device)
    if out.numel() == 0:
        return out
    leading = len(sizes) - _num_run_dims(sizes, strides)
    if leading == 0:
        for place, keep in _kept_ranges(out.numel(), key, mask):
            out.view(-1)[place] = keep
        return out
    outer = mask._replace(index_strides=tuple(strides[:leading]))
    starts = logical_index(tuple(sizes[:leading]), outer, key.device).flatten()
    _keep_runs(out.view(len(starts), math.prod(sizes[leading:])), starts, key, mask)
    return out


def keep_mask(shape: tuple[int, ...], key: Tensor | int, mask: Mask, device: torch.device) -> Tensor:
    """Return the boolean mask, True where an element is kept; it may be expanded."""
    return _keep_small(shape, torch.as_tensor(key, device=device), mask).expand(shape)


def _select(x: Tensor, keep: Tensor, scale: float) -> Tensor:
    """Return the scaled x where it is kept, and zero elsewhere.

    The zeros come from an integer product of the bits, which is exact for infinities and NaN too, and vectorised on
    the CPU, where `torch.where` takes a branch an element.
    """
    work = torch.float64 if x.dtype == torch.float64 else torch.float32
    scaled = x if scale == 1 else (x.to(work) * scale).to(x.dtype)
    integers = _BITS[x.element_size()]
    return (scaled.view(integers) * keep.to(integers)).view(x.dtype)


def dropout(x: Tensor, out: Tensor, key: Tensor | int, mask: Mask) -> None:
    """Write the masked and scaled `x` to `out`, which may be `x`."""
    key = torch.as_tensor(key, device=x.device)
    if mask.index_strides is None and x.is_contiguous() and out.is_contiguous():
        source, target = x.view(-1), out.view(-1)
        for place, keep in _kept_ranges(x.numel(), key, mask):
            target[place] = _select(source[place], keep, mask.scale)
    else:
        out.copy_(_select(x, keep_mask(tuple(x.shape), key, mask, x.device), mask.scale))
