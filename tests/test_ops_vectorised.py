"""The plain torch backend has the bits of the reference, for every geometry of a mask."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thinout.ops import _reference, _vectorised
from thinout.ops._contract import Mask, Shard, locate

CPU = torch.device("cpu")
DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
int64 = st.integers(-(2**63), 2**63 - 1)


@st.composite
def geometries(draw):
    """A shape, and a first index and index strides that noise shapes and shards give."""
    shape = tuple(draw(st.lists(st.integers(0, 9), max_size=4)))
    first_index = draw(st.integers(0, 100) | st.integers(2**34, 2**36))
    noise_shape = draw(st.none() | st.tuples(*(st.sampled_from([None, 1]) for _ in shape)))
    shard = None
    if draw(st.booleans()):
        start = [draw(st.integers(0, 20)) for _ in shape]
        shard = Shard(
            [size + begin + draw(st.integers(0, 30)) for size, begin in zip(shape, start, strict=True)], start
        )
    return shape, locate("dropout", shape, noise_shape, first_index, shard)


@st.composite
def masks(draw, first_index: int = 0, index_strides: tuple[int, ...] | None = None):
    wide = draw(st.booleans())
    threshold = draw(st.integers(1, 2**32 - 1 if wide else 2**16 - 1))
    offset = draw(st.integers(0, 9) | st.integers(2**32, 2**63 - 1))
    return Mask(threshold, offset, wide, draw(st.booleans()), first_index, index_strides)


@settings(deadline=None, max_examples=150)
@given(st.data(), geometries(), int64)
def test_mask_bits_equal_the_reference(data, geometry, key):
    shape, where = geometry
    mask = data.draw(masks(*where))
    expected = _reference.keep_mask(shape, torch.tensor(key), mask, CPU)
    assert torch.equal(_vectorised.keep_mask(shape, key, mask, CPU), expected)


@settings(deadline=None, max_examples=100)
@given(st.data(), geometries(), int64, st.sampled_from(DTYPES), st.randoms(use_true_random=False))
def test_values_and_strides_equal_the_reference(data, geometry, key, dtype, random):
    shape, where = geometry
    mask = data.draw(masks(*where))
    order = sorted(range(len(shape))) if random.random() < 0.5 else random.sample(range(len(shape)), len(shape))
    x = torch.randn([shape[dim] for dim in order]).to(dtype)
    x = x.permute([order.index(dim) for dim in range(len(shape))])
    expected = _reference.dropout(x, torch.tensor(key), mask)
    out = torch.empty_like(x)
    _vectorised.dropout(x, out, torch.tensor(key), mask)
    assert torch.equal(out, expected)
    _vectorised.dropout(x, x, key, mask)
    assert torch.equal(x, expected)


@pytest.mark.parametrize("first_index", [0, 5, 2**35 - 40_003])
@pytest.mark.parametrize("wide", [False, True])
def test_pieces_join_without_a_seam(first_index, wide):
    """More elements than one piece holds, over a carry of the block counter into its upper word."""
    mask = Mask(30_000, 3, wide, True, first_index)
    num = 200_003
    expected = _reference.keep_mask((num,), torch.tensor(-7), mask, CPU)
    assert torch.equal(_vectorised.keep_mask((num,), -7, mask, CPU), expected)
    rows = mask._replace(index_strides=(1_000_003, 1))
    expected = _reference.keep_mask((3, num // 4), torch.tensor(-7), rows, CPU)
    assert torch.equal(_vectorised.keep_mask((3, num // 4), -7, rows, CPU), expected)


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_dense_values_equal_the_reference(dtype, wide):
    x = torch.randn(1_003).to(dtype)
    mask = Mask(20_000, 1, wide, True, 5)
    out = torch.full_like(x, float("nan"))
    _vectorised.dropout(x, out, 6, mask)
    assert torch.equal(out, _reference.dropout(x, torch.tensor(6), mask))


@pytest.mark.parametrize("wide", [False, True])
def test_eight_bit_floats_round_from_float32(wide):
    x = torch.randn(1_003).to(torch.float8_e4m3fn)
    mask = Mask(1 << 31 if wide else 1 << 15, wide=wide)
    out = torch.empty_like(x)
    _vectorised.dropout(x, out, 6, mask)
    keep = _reference.keep_mask((1_003,), torch.tensor(6), mask, CPU)
    assert torch.equal(out.float(), torch.where(keep, (x.float() * 2).to(x.dtype).float(), 0))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_dropped_infinity_or_nan_is_zero(dtype):
    mask = Mask(1 << 15)
    keep = _reference.keep_mask((64,), torch.tensor(1), mask, CPU)
    for value in (float("inf"), float("-inf"), float("nan")):
        x = torch.full((64,), value, dtype=dtype)
        out = torch.empty_like(x)
        _vectorised.dropout(x, out, 1, mask)
        assert torch.equal(out[~keep], torch.zeros_like(out[~keep]))
        assert torch.equal(out[keep].isnan(), x[keep].isnan())
        assert torch.equal(out[keep].isinf(), x[keep].isinf())
