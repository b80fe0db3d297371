"""The mask contract in Triton, for CUDA and ROCm tensors.

Imported late, where Triton is installed. A program computes whole Philox blocks, each once, and uses all of its eight
lanes (four words in the wide format). The key is a number, or a pointer that is followed on the device, so that a
captured CUDA graph draws new masks when the key's memory changes. Indices are 64 bits wide throughout.

Only the language's built-in functions are used, none of its library's: Triton decides when a function is decorated
whether it is compiled or interpreted, and tests interpret these kernels beside compiled ones.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from thinout.ops import _vectorised
from thinout.ops._contract import Mask, row_major_strides

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
ACTIVATIONS = {"none": 0, "relu": 1, "gelu": 2}
# With the 128 threads of four warps: two independent Philox blocks a thread, sixteen lanes in contiguous runs of eight.
_BLOCKS = 256
# Strided memory: one element of a thread's four costs a Philox block of its own.
_ELEMENTS = 512
# What changes from call to call must not compile a kernel anew.
_VARYING = ("key", "offset", "threshold", "scale_bits")


@triton.jit
def _philox(c0, c1, c2, c3, k0, k1):
    """Return the four words of Philox4x32-10 for 32-bit counter and key words."""
    for _ in tl.static_range(10):
        even = c0
        odd = c2
        c0 = tl.umulhi(odd, 0xCD9E8D57) ^ c1 ^ k0
        c2 = tl.umulhi(even, 0xD2511F53) ^ c3 ^ k1
        c1 = tl.mul(odd, 0xCD9E8D57, sanitize_overflow=False)
        c3 = tl.mul(even, 0xD2511F53, sanitize_overflow=False)
        k0 = tl.add(k0, 0x9E3779B9, sanitize_overflow=False)
        k1 = tl.add(k1, 0xBB67AE85, sanitize_overflow=False)
    return c0, c1, c2, c3


@triton.jit
def _words(block, key, offset):
    """Return the four words of each block of the stream that a key and an offset name."""
    seed = (tl.load(key) if key.dtype.is_ptr() else key).to(tl.int64)
    c2 = tl.full(block.shape, 0, tl.int64) + offset
    c3 = c2 >> 32
    return _philox(
        block.to(tl.uint32), (block >> 32).to(tl.uint32), c2.to(tl.uint32), c3.to(tl.uint32),
        seed.to(tl.uint32), (seed >> 32).to(tl.uint32),
    )  # fmt: skip


@triton.jit
def _keep_blocks(block, key, offset, threshold, WIDE: tl.constexpr):
    """Return whether each lane of consecutive blocks is kept, flat and in order."""
    w0, w1, w2, w3 = _words(block, key, offset)
    words = tl.join(tl.join(w0, w2), tl.join(w1, w3))  # [b, i, j] is word 2 i + j of block b
    if WIDE:
        return tl.reshape(words, [block.shape[0] * 4]) >= threshold.to(tl.uint32)
    lanes = tl.reshape(tl.join(words & 0xFFFF, words >> 16), [block.shape[0] * 8])
    return (lanes ^ 0x8000) >= threshold.to(tl.uint32)


@triton.jit
def _keep_elements(index, key, offset, threshold, WIDE: tl.constexpr):
    """Return whether the element of each mask index is kept, wherever the indices lie."""
    LANES: tl.constexpr = 4 if WIDE else 8
    w0, w1, w2, w3 = _words(index // LANES, key, offset)
    lane = (index % LANES).to(tl.int32)
    word = lane if WIDE else lane // 2
    chosen = tl.where(word < 2, tl.where(word == 0, w0, w1), tl.where(word == 2, w2, w3))
    if WIDE:
        return chosen >= threshold.to(tl.uint32)
    half = tl.where(lane % 2 == 0, chosen & 0xFFFF, chosen >> 16)
    return (half ^ 0x8000) >= threshold.to(tl.uint32)


@triton.jit
def _keep_run(num, first_index, key, offset, threshold, WIDE: tl.constexpr, BLOCK: tl.constexpr):
    """Return this program's share of `num` consecutive indices: offsets, which of them exist, and their mask."""
    LANES: tl.constexpr = 4 if WIDE else 8
    first_block = first_index // LANES + tl.program_id(0).to(tl.int64) * BLOCK
    offs = first_block * LANES - first_index + tl.arange(0, BLOCK * LANES)
    keep = _keep_blocks(first_block + tl.arange(0, BLOCK), key, offset, threshold, WIDE)
    return offs, (offs >= 0) & (offs < num), keep


@triton.jit
def _select(x, keep, scale_bits):
    """Return x scaled in at least float32 and rounded to its own type where it is kept, zero elsewhere."""
    scale = scale_bits.to(tl.float64, bitcast=True)
    if x.dtype == tl.float64:
        return tl.where(keep, x * scale, 0.0)
    return tl.where(keep, (x.to(tl.float32) * scale.to(tl.float32)).to(x.dtype), 0.0)


@triton.jit
def _widen(x):
    """Return x in the type that it is computed in."""
    return x if x.dtype == tl.float64 else x.to(tl.float32)


@triton.jit
def _biased(x, bias):
    """Return x + bias, rounded to the type of x."""
    return (_widen(x) + _widen(bias)).to(x.dtype)


@triton.jit
def _activate(h, ACTIVATION: tl.constexpr):
    """Return the activation of h, rounded to the type of h: 0 none, 1 ReLU, 2 GELU by the error function."""
    if ACTIVATION == 1:
        return tl.where(h < 0, 0.0, h).to(h.dtype)
    if ACTIVATION == 2:
        wide = _widen(h)
        return (0.5 * wide * (1.0 + tl.erf(wide * 0.7071067811865476))).to(h.dtype)
    return h


@triton.jit
def _activate_backward(grad, h, ACTIVATION: tl.constexpr):
    """Return the gradient of the activation's input h, given that of its output."""
    if ACTIVATION == 1:
        return tl.where(h <= 0, 0.0, grad).to(grad.dtype)
    if ACTIVATION == 2:
        wide = _widen(h)
        cdf = 0.5 * (1.0 + tl.erf(wide * 0.7071067811865476))
        density = 0.3989422804014327 * tl.exp(-0.5 * wide * wide)
        return (_widen(grad) * (cdf + wide * density)).to(grad.dtype)
    return grad


@triton.jit(do_not_specialize=_VARYING)
def _dropout_kernel(
    x_ptr, out_ptr, num: tl.int64, first_index: tl.int64, key, offset: tl.int64, threshold: tl.int64,
    scale_bits: tl.int64, WIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Dropout of dense memory; without x_ptr, its mask."""
    offs, in_bounds, keep = _keep_run(num, first_index, key, offset, threshold, WIDE, BLOCK)
    if x_ptr is None:
        tl.store(out_ptr + offs, keep.to(tl.int8), mask=in_bounds)
    else:
        x = tl.load(x_ptr + offs, mask=in_bounds)
        tl.store(out_ptr + offs, _select(x, keep, scale_bits), mask=in_bounds)


@triton.jit(do_not_specialize=_VARYING)
def _strided_kernel(
    x_ptr, out_ptr, num: tl.int64, first_index: tl.int64, key, offset: tl.int64, threshold: tl.int64,
    scale_bits: tl.int64, sizes, x_strides, out_strides, index_strides,
    NUM_DIMS: tl.constexpr, WIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Dropout of memory of any strides, dimensions innermost first; without x_ptr, its mask."""
    element = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    in_bounds = element < num
    x_offs = tl.full([BLOCK], 0, tl.int64)
    out_offs = tl.full([BLOCK], 0, tl.int64)
    index = tl.full([BLOCK], 0, tl.int64) + first_index
    for dim in tl.static_range(NUM_DIMS):
        coordinate = element % sizes[dim]
        element = element // sizes[dim]
        x_offs += coordinate * x_strides[dim]
        out_offs += coordinate * out_strides[dim]
        index += coordinate * index_strides[dim]
    keep = _keep_elements(index, key, offset, threshold, WIDE)
    if x_ptr is None:
        tl.store(out_ptr + out_offs, keep.to(tl.int8), mask=in_bounds)
    else:
        x = tl.load(x_ptr + x_offs, mask=in_bounds)
        tl.store(out_ptr + out_offs, _select(x, keep, scale_bits), mask=in_bounds)


@triton.jit(do_not_specialize=_VARYING)
def _dropout_add_kernel(
    x_ptr, residual_ptr, out_ptr, num: tl.int64, first_index: tl.int64, key, offset: tl.int64, threshold: tl.int64,
    scale_bits: tl.int64, WIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """residual + dropout(x) of dense memory, rounded as two operations would round it."""
    offs, in_bounds, keep = _keep_run(num, first_index, key, offset, threshold, WIDE, BLOCK)
    x = tl.load(x_ptr + offs, mask=in_bounds)
    residual = tl.load(residual_ptr + offs, mask=in_bounds)
    tl.store(out_ptr + offs, _biased(_select(x, keep, scale_bits), residual), mask=in_bounds)


@triton.jit(do_not_specialize=_VARYING)
def _bias_act_dropout_kernel(
    grad_ptr, x_ptr, bias_ptr, out_ptr, num: tl.int64, num_columns, first_index: tl.int64, key, offset: tl.int64,
    threshold: tl.int64, scale_bits: tl.int64, ACTIVATION: tl.constexpr, WIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """dropout(activation(x + bias)) of dense rows; with grad_ptr, the gradient of x in its place."""
    offs, in_bounds, keep = _keep_run(num, first_index, key, offset, threshold, WIDE, BLOCK)
    x = tl.load(x_ptr + offs, mask=in_bounds)
    h = _biased(x, tl.load(bias_ptr + offs % num_columns, mask=in_bounds))
    if grad_ptr is None:
        tl.store(out_ptr + offs, _select(_activate(h, ACTIVATION), keep, scale_bits), mask=in_bounds)
    else:
        grad = _select(tl.load(grad_ptr + offs, mask=in_bounds), keep, scale_bits)
        tl.store(out_ptr + offs, _activate_backward(grad, h, ACTIVATION), mask=in_bounds)


def _key_argument(key: Tensor | int) -> Tensor | int:
    """Return the pointer of a key on the device, which nothing here waits for; of any other its value."""
    return key if isinstance(key, Tensor) and key.is_cuda else int(key)


def _stream(key: Tensor | int, mask: Mask) -> tuple[Any, ...]:
    """Return the arguments from `first_index` to `scale_bits` that every kernel has."""
    # Triton passes a Python float as float32; float64 needs all bits of the scale.
    (scale_bits,) = struct.unpack("<q", struct.pack("<d", mask.scale))
    return mask.first_index, _key_argument(key), mask.offset, mask.threshold, scale_bits


def _run_grid(num: int, mask: Mask) -> tuple[int]:
    lanes = 4 if mask.wide else 8
    blocks = (mask.first_index + num - 1) // lanes - mask.first_index // lanes + 1
    return (triton.cdiv(blocks, _BLOCKS),)


def _device(x: Tensor) -> contextlib.AbstractContextManager[object]:
    """Return a context in which kernels go to the device of x; tests interpret them on the CPU."""
    return torch.cuda.device(x.device) if x.is_cuda else contextlib.nullcontext()


class _Layout(NamedTuple):
    """Sizes and strides, innermost dimension of the output first."""

    sizes: tuple[int, ...]
    x_strides: tuple[int, ...]
    out_strides: tuple[int, ...]
    index_strides: tuple[int, ...]


def _collapse(sizes: Sequence[int], *strides: Sequence[int]) -> _Layout:
    """Return the layout with neighbouring dimensions joined where all strides allow it."""
    dims = [(size, *steps) for size, *steps in zip(sizes, *strides, strict=True) if size != 1]
    dims.sort(key=lambda dim: dim[2])
    joined: list[tuple[int, ...]] = []
    for size, *steps in dims:
        if joined and all(step == joined[-1][0] * inner for step, inner in zip(steps, joined[-1][1:], strict=True)):
            joined[-1] = (joined[-1][0] * size, *joined[-1][1:])
        else:
            joined.append((size, *steps))
    return _Layout(*zip(*(joined or [(1, 1, 1, 1)]), strict=True))


def _is_run(layout: _Layout) -> bool:
    return len(layout.sizes) == 1 and layout.x_strides == layout.out_strides == layout.index_strides == (1,)


def _launch(x: Tensor | None, out: Tensor, key: Tensor | int, mask: Mask) -> None:
    num = out.numel()
    if num == 0:
        return
    index_strides = row_major_strides(out.shape) if mask.index_strides is None else mask.index_strides
    layout = _collapse(out.shape, (out if x is None else x).stride(), out.stride(), index_strides)
    arguments = (x, out, num, *_stream(key, mask))
    with _device(out):
        if _is_run(layout):
            _dropout_kernel[_run_grid(num, mask)](*arguments, WIDE=mask.wide, BLOCK=_BLOCKS)
        else:
            grid = (triton.cdiv(num, _ELEMENTS),)
            _strided_kernel[grid](*arguments, *layout, NUM_DIMS=len(layout.sizes), WIDE=mask.wide, BLOCK=_ELEMENTS)


def dropout(x: Tensor, out: Tensor, key: Tensor | int, mask: Mask) -> None:
    """Write the masked and scaled `x` to `out`, which may be `x`."""
    if x.dtype in DTYPES:
        _launch(x, out, key, mask)
    else:
        _vectorised.dropout(x, out, key, mask)


def keep_mask(shape: tuple[int, ...], key: Tensor | int, mask: Mask, device: torch.device) -> Tensor:
    """Return the boolean mask, True where an element is kept."""
    out = torch.empty(shape, dtype=torch.bool, device=device)
    _launch(None, out.view(torch.int8), key, mask)
    return out


def dropout_add(x: Tensor, residual: Tensor, out: Tensor, key: Tensor | int, mask: Mask) -> None:
    """Write residual + dropout(x) to `out`: all dense and row-major, of one shape and dtype, not empty."""
    with _device(x):
        # Fused multiply-add would leave out the rounding between the two operations.
        _dropout_add_kernel[_run_grid(x.numel(), mask)](
            x, residual, out, x.numel(), *_stream(key, mask), WIDE=mask.wide, BLOCK=_BLOCKS, enable_fp_fusion=False
        )


def bias_act_dropout(
    x: Tensor, bias: Tensor, out: Tensor, key: Tensor | int, mask: Mask, activation: str, *, grad: Tensor | None = None
) -> None:
    """Write dropout(activation(x + bias)), or the gradient of x for that of the result: dense, row-major, not empty."""
    with _device(x):
        _bias_act_dropout_kernel[_run_grid(x.numel(), mask)](
            grad, x, bias, out, x.numel(), bias.numel(), *_stream(key, mask), ACTIVATION=ACTIVATIONS[activation],
            WIDE=mask.wide, BLOCK=_BLOCKS, enable_fp_fusion=False,
        )  # fmt: skip
