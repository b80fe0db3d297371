"""The mask contract: known answers, exact edges, equality over everything that must not matter, and its statistics.

Random tests use exact binomial tests. They state their false-alarm rate; the family-wise rate of this file is below
1e-6 a run with fresh seeds, and the seeds are fixed.
"""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from torch._subclasses.fake_tensor import FakeTensorMode

from thinout import functional as F
from thinout import ops
from thinout.ops import _reference

BACKENDS = [name for name, state in ops.backends().items() if not state.startswith("not in use")]
ALPHA = 1e-9


def word(number):
    return torch.tensor(number, dtype=torch.int64)


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_known_answers_of_random123(counter, key, expected):
    got = _reference.philox(tuple(map(word, counter)), tuple(map(word, key)))
    assert tuple(int(value) for value in got) == expected


@pytest.mark.parametrize("backend", BACKENDS)
def test_lanes_and_threshold_follow_the_contract_by_hand(backend):
    """Key 0, offset 0, block 0 is the first known answer: its lanes are written out here."""
    words = (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)
    lanes = [half for each in words for half in (each & 0xFFFF, each >> 16)]
    for p in (0.1, 0.5, 0.75):
        expected = [(lane ^ 0x8000) >= round(p * 65536) for lane in lanes]
        assert ops.dropout_mask((8,), 0, p, backend=backend).tolist() == expected
        wide = [each >= round(p * 2**32) for each in words]
        assert ops.dropout_mask((4,), 0, p, wide=True, backend=backend).tolist() == wide


def test_the_mask_format_is_pinned():
    """A change of any bit of these is a new MASK_FORMAT."""
    assert ops.MASK_FORMAT == 1
    mask = ops.dropout_mask((64,), -(2**63), 0.3, offset=2**40 + 1, first_index=2**35 + 3)
    packed = sum(int(bit) << place for place, bit in enumerate(mask.tolist()))
    index = np.arange(2**35 + 3, 2**35 + 67)
    expected = 0
    for place, element in enumerate(index):
        block = int(element) // 8
        counter = (block & 0xFFFFFFFF, block >> 32, (2**40 + 1) & 0xFFFFFFFF, (2**40 + 1) >> 32)
        output = plain_philox(counter, (0, 0x80000000))
        lane = output[(int(element) % 8) // 2] >> (16 * (int(element) % 2)) & 0xFFFF
        expected |= ((lane ^ 0x8000) >= round(0.3 * 65536)) << place
    assert packed == expected


def plain_philox(counter, key):
    """Philox4x32-10 in Python integers, from the paper's round function."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        even, odd = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (odd >> 32) ^ c1 ^ k0, odd & 0xFFFFFFFF, (even >> 32) ^ c3 ^ k1, even & 0xFFFFFFFF
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c0, c1, c2, c3


DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


@settings(deadline=None, max_examples=60)
@given(
    shape=st.lists(st.integers(0, 9), min_size=0, max_size=4).map(tuple),
    p=st.sampled_from([2**-16, 0.1, 1 / 3, 0.5, 0.9, 1 - 2**-16]),
    key=st.integers(-(2**63), 2**63 - 1),
    offset=st.integers(0, 2**63 - 1),
    first_index=st.integers(0, 2**40),
    wide=st.booleans(),
    dtype=st.sampled_from(DTYPES),
    shared=st.lists(st.booleans(), min_size=4, max_size=4),
    order=st.permutations(range(4)),
)
def test_every_backend_equals_the_reference(shape, p, key, offset, first_index, wide, dtype, shared, order):
    noise_shape = [1 if share else None for share, _ in zip(shared, shape, strict=False)]
    order = [dim for dim in order if dim < len(shape)]
    x = torch.randn([shape[dim] for dim in order], dtype=torch.float64).to(dtype)
    x = x.permute([order.index(dim) for dim in range(len(shape))])
    how = {"offset": offset, "first_index": first_index, "wide": wide, "noise_shape": noise_shape}
    expected = ops.dropout(x, key, p, **how, backend="reference")
    for backend in BACKENDS:
        got = ops.dropout(x, key, p, **how, backend=backend)
        assert torch.equal(got, expected), backend
        assert got.stride() == torch.empty_like(x).stride()
        mask = ops.dropout_mask(shape, key, p, **how, backend=backend)
        assert torch.equal(mask, ops.dropout_mask(shape, key, p, **how, backend="reference")), backend
        if 0 not in shape:
            assert torch.equal(ops.dropout(torch.ones(shape), key, p, rescale=False, **how, backend=backend) == 1, mask)


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_are_scaled_in_float32_and_rounded_once(dtype):
    x = torch.randn(4096, dtype=torch.float64).to(dtype)
    for p in (0.1, 0.5, 0.9):
        threshold = round(p * 65536)
        wide_type = torch.float64 if dtype == torch.float64 else torch.float32
        scale = torch.tensor(65536 / (65536 - threshold), dtype=wide_type)
        mask = ops.dropout_mask((4096,), 3, p)
        expected = torch.where(mask, (x.to(wide_type) * scale).to(dtype), torch.zeros((), dtype=dtype))
        assert torch.equal(ops.dropout(x, 3, p), expected)


@pytest.mark.usefixtures("poisoned_memory")
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_dropped_infinity_or_nan_is_zero(backend, dtype):
    x = torch.full((1003,), math.inf, dtype=dtype)
    x[::2] = math.nan
    mask = ops.dropout_mask((1003,), 5, 0.5)
    y = ops.dropout(x, 5, 0.5, backend=backend)
    assert (y[~mask] == 0).all()
    assert torch.equal(y[mask].isnan(), x[mask].isnan())
    assert (y[mask & ~x.isnan()] == math.inf).all()


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_nothing(threads):
    x = torch.randn(300_007)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        expected = ops.dropout(x, 7, 0.3)
        torch.set_num_threads(threads)
        assert torch.equal(ops.dropout(x, 7, 0.3), expected)
        assert torch.equal(ops.dropout(x.clone(), 7, 0.3, inplace=True), expected)
    finally:
        torch.set_num_threads(before)


def test_shards_are_parts_of_the_whole_mask():
    whole = ops.dropout_mask((6, 10, 5), 11, 0.4)
    assert torch.equal(ops.dropout_mask((4, 10, 5), 11, 0.4, first_index=2 * 50), whole[2:])
    part = ops.dropout_mask((6, 3, 2), 11, 0.4, shard=ops.Shard((6, 10, 5), (0, 7, 3)))
    assert torch.equal(part, whole[:, 7:, 3:])
    channels = ops.dropout_mask((6, 10, 5), 11, 0.4, noise_shape=(None, None, 1))
    shard = ops.Shard((6, 10, 5), (1, 2, 0))
    assert torch.equal(
        ops.dropout_mask((3, 4, 5), 11, 0.4, noise_shape=(None, None, 1), shard=shard), channels[1:4, 2:6]
    )


def test_batch_splits_change_nothing():
    x = torch.randn(8, 33)
    whole = ops.dropout(x, 13, 0.5)
    parts = [
        ops.dropout(part, 13, 0.5, first_index=start * 33) for start, part in zip((0, 3), x.split([3, 5]), strict=True)
    ]
    assert torch.equal(torch.cat(parts), whole)


def test_more_than_2_to_the_31_elements_are_indexed_rightly():
    """The mask of a huge tensor is tested on slices of it, by index arithmetic."""
    shape = (2**20, 2**14)
    row = ops.dropout_mask((1, 2**14), 17, 0.5, shard=ops.Shard(shape, (2**20 - 1, 0)))
    start = (2**20 - 1) * 2**14
    for column in (0, 1, 2**14 - 1):
        block, lane = divmod(start + column, 8)
        output = plain_philox((block & 0xFFFFFFFF, block >> 32, 0, 0), (17, 0))
        half = output[lane // 2] >> (16 * (lane % 2)) & 0xFFFF
        assert row[0, column].item() == ((half ^ 0x8000) >= 32768)


@pytest.mark.parametrize("wide", [False, True])
def test_masks_of_rising_rates_are_nested(wide):
    masks = [ops.dropout_mask((4096,), 19, p, wide=wide) for p in (0.0, 0.1, 0.25, 0.5, 0.9, 1.0)]
    for more, fewer in itertools.pairwise(masks):
        assert not (fewer & ~more).any()
    assert masks[0].all()
    assert not masks[-1].any()


RATES = (2**-16, 1e-3, 0.1, 1 / 3, 0.5, 0.9, 1 - 2**-16)
DRAWS = 1 << 22


@pytest.mark.parametrize("p", RATES)
def test_the_rate_is_the_effective_p(p):
    """Exact binomial test; false alarm 1e-9 each, 7 cases."""
    dropped = int((~ops.dropout_mask((DRAWS,), 23, p)).sum())
    assert binomtest(dropped, DRAWS, ops.effective_p(p)).pvalue > ALPHA


@pytest.mark.parametrize("p", [1e-6, 2**-20, 1e-3])
def test_the_wide_format_has_small_rates_right(p):
    """Exact binomial test; false alarm 1e-9 each, 3 cases."""
    dropped = int((~ops.dropout_mask((DRAWS,), 29, p, wide=True)).sum())
    assert binomtest(dropped, DRAWS, ops.effective_p(p, wide=True)).pvalue > ALPHA
    assert abs(ops.effective_p(p, wide=True) - p) <= 2**-33


@pytest.mark.parametrize("lag", [1, 2, 3, 4, 8, 32, 64])
def test_neighbours_are_independent(lag):
    """Two neighbours agree with probability 1/2 at p = 1/2, independently over pairs; false alarm 1e-9, 7 lags."""
    mask = ops.dropout_mask((DRAWS,), 31, 0.5)
    equal = int((mask[lag:] == mask[:-lag]).sum())
    assert binomtest(equal, DRAWS - lag, 0.5).pvalue > ALPHA


@pytest.mark.parametrize("dim", [0, 1, 2])
def test_neighbours_along_every_axis_are_independent(dim):
    """As above, along each axis of a volume; false alarm 1e-9, 3 axes."""
    mask = ops.dropout_mask((128, 128, 256), 37, 0.5)
    equal = mask.narrow(dim, 1, mask.shape[dim] - 1) == mask.narrow(dim, 0, mask.shape[dim] - 1)
    assert binomtest(int(equal.sum()), equal.numel(), 0.5).pvalue > ALPHA


@pytest.mark.parametrize(("key", "offset"), [(41, 1), (42, 0), (41 + 2**32, 0), (41, 2**32), (-41, 0)])
def test_keys_and_offsets_give_independent_masks(key, offset):
    """Masks of two keys or offsets agree in half of the elements at p = 1/2; false alarm 1e-9, 5 cases."""
    one, other = ops.dropout_mask((DRAWS,), 41, 0.5), ops.dropout_mask((DRAWS,), key, 0.5, offset=offset)
    assert binomtest(int((one == other).sum()), DRAWS, 0.5).pvalue > ALPHA


def test_eight_lanes_of_a_block_are_jointly_uniform():
    """Chi-square over the 256 patterns of the 8 lanes of a block at p = 1/2; false alarm 1e-9."""
    from scipy.stats import chisquare

    patterns = ops.dropout_mask((DRAWS // 8, 8), 43, 0.5).to(torch.int64) @ (2 ** torch.arange(8))
    assert chisquare(torch.bincount(patterns, minlength=256).numpy()).pvalue > ALPHA


def test_effective_p_is_the_quantised_rate():
    assert ops.effective_p(0.1) == 6554 / 65536
    assert ops.effective_p(1 - 2**-18) == 1.0
    assert ops.effective_p(2**-18) == 0.0
    assert ops.effective_p(2**-18, wide=True) == 2**-18
    assert torch.equal(ops.dropout(torch.full((5,), math.inf), 1, 1 - 2**-18), torch.zeros(5))


@pytest.mark.parametrize("p", [0.1, 0.3, 1 / 3, 0.7])
def test_the_mean_is_kept_exactly(p):
    """The scale that a kept one shows, times the share of the 65,536 lane values that are kept, is one."""
    y = ops.dropout(torch.ones(64, dtype=torch.float64), 1, p)
    assert y.max().item() * (1 - ops.effective_p(p)) == pytest.approx(1, abs=1e-15)


def test_p_zero_returns_the_input_itself_and_draws_nothing():
    x, state = torch.randn(3), torch.get_rng_state()
    assert F.dropout(x, 0.0, training=True) is x
    assert torch.equal(torch.get_rng_state(), state)


def test_saved_for_backward_are_eight_bytes_and_no_mask():
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor) or tensor, lambda tensor: tensor):
        ops.dropout(torch.randn(1000, requires_grad=True), 1, 0.5).sum()
    assert sum(tensor.numel() * tensor.element_size() for tensor in saved) == 8


def test_the_seed_of_torch_governs_the_keys():
    torch.manual_seed(5)
    one = ops.draw_key()
    torch.manual_seed(5)
    assert torch.equal(ops.draw_key(), one)
    generator = torch.Generator().manual_seed(5)
    assert torch.equal(ops.draw_key(generator), one)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: ops.dropout(x, 1, 1.5), ValueError, r"`p` must be a number in \[0, 1\], got 1.5"),
        (lambda x: ops.dropout(x, 1, math.nan), ValueError, "`p` must be a number"),
        (lambda x: ops.dropout(x, 1, "0.5"), TypeError, "`p` must be a number"),
        (lambda x: ops.dropout(x, 1.0, 0.5), TypeError, "`key` must be an int or an int64 tensor, got 1.0"),
        (lambda x: ops.dropout(x, True, 0.5), TypeError, "`key` must be an int or an int64 tensor"),
        (lambda x: ops.dropout(x, 2**63, 0.5), ValueError, "`key` must be an integer that int64 holds"),
        (
            lambda x: ops.dropout(x, torch.tensor(1, dtype=torch.int32), 0.5),
            TypeError,
            "`key` must be an int or an int64",
        ),
        (lambda x: ops.dropout(x, torch.tensor([1, 2]), 0.5), ValueError, "`key` must be a tensor without dimensions"),
        (
            lambda x: ops.dropout(x, torch.tensor(1, device="meta"), 0.5),
            ValueError,
            "`key` must be on the CPU or on cpu",
        ),
        (lambda x: ops.dropout(x, 1, 0.5, offset=-1), ValueError, "`offset` must be a whole number of at least 0"),
        (lambda x: ops.dropout(x, 1, 0.5, noise_shape=(2, 1)), ValueError, "`noise_shape` must be None .* 1 .shared."),
        (lambda x: ops.dropout(x, 1, 0.5, noise_shape=(1,)), ValueError, "`noise_shape` must be of length 2"),
        (lambda x: ops.dropout(x, 1, 0.5, noise_shape=3), TypeError, "`noise_shape` must be a sequence"),
        (lambda x: ops.dropout(x, 1, 0.5, shard=((3, 4), (1, 0))), ValueError, "`shard` must be a whole shape"),
        (lambda x: ops.dropout(x, 1, 0.5, shard=((3,), (0,))), ValueError, "`shard` must be a whole shape"),
        (lambda x: ops.dropout(x, 1, 0.5, backend="cuda"), ValueError, "`backend` must be one of cpu, triton"),
        (lambda x: ops.dropout(x.int(), 1, 0.5), TypeError, "`x` must be a floating-point tensor, got a torch.int32"),
        (lambda x: ops.dropout(x.cfloat(), 1, 0.5), TypeError, "`x` must be a floating-point tensor"),
        (lambda x: ops.dropout([1.0], 1, 0.5), TypeError, "`x` must be a floating-point tensor, got 'list'"),
    ],
)
def test_bad_input_is_answered_in_one_form(call, error, words):
    with pytest.raises(error, match=words):
        call(torch.ones(3, 4))


def test_a_mask_on_a_gpu_takes_a_key_that_lies_there():
    with FakeTensorMode():  # "cuda" is "cuda:0", though the two devices do not compare equal
        key = torch.zeros((), dtype=torch.int64, device="cuda")
        assert ops.dropout_mask((4,), key, 0.5, device="cuda").device == key.device


def test_a_noise_shape_is_checked_after_an_equal_one_was_right():
    x = torch.ones(2, 3)
    for _ in range(2):  # strides of noise shapes are kept between calls
        ops.dropout(x, 1, 0.5, noise_shape=(None, 1))
        with pytest.raises(TypeError, match="`noise_shape` must be a sequence of ints"):
            ops.dropout(x, 1, 0.5, noise_shape=(None, 1.0))
        with pytest.raises(ValueError, match="`noise_shape` must be of length 3"):
            ops.dropout(torch.ones(2, 3, 4), 1, 0.5, noise_shape=(None, 1))
