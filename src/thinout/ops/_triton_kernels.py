"""The mask contract in Triton: the kernels, whose launches are in `_triton`.

A program computes whole Philox blocks, each once, and uses all of its eight lanes (four words in the wide format). The
key is a number, or a pointer that is followed on the device, so that a captured CUDA graph draws new masks when the
key's memory changes. Indices are 64 bits wide throughout.

Only the language's built-in functions are used, none of its library's: Triton decides when a function is decorated
whether it is compiled or interpreted, and tests interpret these kernels beside compiled ones.
"""

from __future__ import annotations

import triton
import triton.language as tl

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
        numbers = tl.reshape(words, [block.shape[0] * 4])
    else:
        numbers = tl.reshape(tl.join(words & 0xFFFF, words >> 16), [block.shape[0] * 8]) ^ 0x8000
    return numbers >= threshold.to(tl.uint32)


@triton.jit
def _keep_elements(index, key, offset, threshold, WIDE: tl.constexpr):
    """Return whether the element of each mask index is kept, wherever the indices lie."""
    LANES: tl.constexpr = 4 if WIDE else 8
    w0, w1, w2, w3 = _words(index // LANES, key, offset)
    lane = (index % LANES).to(tl.int32)
    word = lane if WIDE else lane // 2
    chosen = tl.where(word < 2, tl.where(word == 0, w0, w1), tl.where(word == 2, w2, w3))
    if not WIDE:
        chosen = tl.where(lane % 2 == 0, chosen & 0xFFFF, chosen >> 16) ^ 0x8000
    return chosen >= threshold.to(tl.uint32)


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
    scaled = x * scale if x.dtype == tl.float64 else (x.to(tl.float32) * scale.to(tl.float32)).to(x.dtype)
    return tl.where(keep, scaled, 0.0)


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
        h = tl.where(_widen(h) < 0, 0.0, h)
    elif ACTIVATION == 2:
        wide = _widen(h)
        h = (0.5 * wide * (1.0 + tl.erf(wide * 0.7071067811865476))).to(h.dtype)
    return h


@triton.jit
def _activate_backward(grad, h, ACTIVATION: tl.constexpr):
    """Return the gradient of the activation's input h, given that of its output."""
    if ACTIVATION == 1:
        grad = tl.where(_widen(h) <= 0, 0.0, grad)
    elif ACTIVATION == 2:
        wide = _widen(h)
        cdf = 0.5 * (1.0 + tl.erf(wide * 0.7071067811865476))
        density = 0.3989422804014327 * tl.exp(-0.5 * wide * wide)
        grad = (_widen(grad) * (cdf + wide * density)).to(grad.dtype)
    return grad


@triton.jit(do_not_specialize=_VARYING)
def dropout_kernel(
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
def strided_kernel(
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
def dropout_add_kernel(
    x_ptr, residual_ptr, out_ptr, num: tl.int64, first_index: tl.int64, key, offset: tl.int64, threshold: tl.int64,
    scale_bits: tl.int64, WIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Dropout of x and addition of a residual in dense memory, rounded as two operations would round it."""
    offs, in_bounds, keep = _keep_run(num, first_index, key, offset, threshold, WIDE, BLOCK)
    x = tl.load(x_ptr + offs, mask=in_bounds)
    residual = tl.load(residual_ptr + offs, mask=in_bounds)
    tl.store(out_ptr + offs, _biased(_select(x, keep, scale_bits), residual), mask=in_bounds)


@triton.jit(do_not_specialize=_VARYING)
def bias_act_dropout_kernel(
    grad_ptr, x_ptr, bias_ptr, out_ptr, num: tl.int64, num_columns, first_index: tl.int64, key, offset: tl.int64,
    threshold: tl.int64, scale_bits: tl.int64, ACTIVATION: tl.constexpr, WIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Dropout of activation(x + bias) in dense rows; with grad_ptr, the gradient of x in its place."""
    offs, in_bounds, keep = _keep_run(num, first_index, key, offset, threshold, WIDE, BLOCK)
    x = tl.load(x_ptr + offs, mask=in_bounds)
    h = _biased(x, tl.load(bias_ptr + offs % num_columns, mask=in_bounds))
    if grad_ptr is None:
        tl.store(out_ptr + offs, _select(_activate(h, ACTIVATION), keep, scale_bits), mask=in_bounds)
    else:
        grad = _select(tl.load(grad_ptr + offs, mask=in_bounds), keep, scale_bits)
        tl.store(out_ptr + offs, _activate_backward(grad, h, ACTIVATION), mask=in_bounds)
