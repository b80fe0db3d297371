"""Dropout of channels, windows, frequencies and patterns.

Random tests compare counts with exact binomial distributions at LEVEL two-sided, or means at 6 standard errors, for
fixed seeds: thirty of them have a false-alarm rate below 1e-6 together.
"""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as nnf
from scipy import fft, ndimage, stats

import thinout.functional as F
import thinout.nn as tnn
from thinout import ops
from thinout.testing import CHECKS

LEVEL = 1e-9


def assert_binomial(counts, num, rates):
    """Each count is one that a binomial distribution gives; `rates` broadcasts against it."""
    counts, rates = np.asarray(counts), np.asarray(rates)
    tails = np.minimum(stats.binom.cdf(counts, num, rates), stats.binom.sf(counts - 1, num, rates))
    assert tails.min() > LEVEL / counts.size, (counts, num * rates)


# Channels


CHANNELS = {1: (F.dropout1d, (5,)), 2: (F.dropout2d, (4, 3)), 3: (F.dropout3d, (2, 3, 2))}


@pytest.mark.parametrize("axes", CHANNELS)
@pytest.mark.parametrize("batched", [True, False])
def test_channels_are_dropped_whole_or_scaled(axes, batched):
    """`torch.nn.functional.dropout2d` takes a 3-D tensor for (N, C, L) and drops its rows."""
    function, sizes = CHANNELS[axes]
    x = torch.randn(4, 6, *sizes) if batched else torch.randn(24, *sizes)
    y = function(x, 0.4, training=True, batched=batched, key=3)
    whole, scaled = (y == 0).flatten(-axes).all(-1), x * (1 / (1 - ops.effective_p(0.4)))
    kept = ~whole[(...,) + (None,) * axes]
    assert torch.equal(y, torch.where(kept, scaled, 0))
    assert 0 < whole.sum() < whole.numel()


@pytest.mark.parametrize("axes", CHANNELS)
def test_the_number_of_dropped_channels_is_binomial(axes):
    function, sizes = CHANNELS[axes]
    y = function(torch.ones(20_000, 6, *sizes), 0.3, training=True, key=5)
    numbers = (y.flatten(2)[..., 0] == 0).sum(1)
    rates = stats.binom.pmf(np.arange(7), 6, ops.effective_p(0.3))
    assert_binomial(torch.bincount(numbers, minlength=7), 20_000, rates)


@pytest.mark.parametrize("check", ["compile", "vmap"])
@pytest.mark.parametrize(
    ("layer", "options"),
    [
        ("Cutout", {"size": (2, 3), "value": 1.0}),
        ("RandomErasing", {"value": "random", "p": 0.7}),
        ("PatternDropout2d", {"size": 2, "repeat": 2, "rotate": 30.0, "scale": "sample", "share_channels": True}),
        ("MaxPoolDropout2d", {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
        ("SpectralDropout", {"p": 0.5, "eta": 0.5, "rescale": False}),
    ],
)
def test_the_common_checks_hold_for_other_options(layer, options, check):
    CHECKS[check](dataclasses.replace(tnn.REGISTRY[layer], arguments=options, selects=False))


# Max-pooling dropout


POOLS = [
    {"kernel_size": kernel, "stride": stride, "padding": padding, "dilation": dilation, "ceil_mode": ceil_mode}
    for kernel, stride, padding, dilation, ceil_mode in (
        (2, None, 0, 1, False),
        (3, 2, 1, 1, False),
        (3, 2, 1, 1, True),
        ((2, 3), (2, 1), (1, 0), (1, 2), True),
        (2, 3, 1, 2, True),
        (4, 5, 2, 1, True),
    )
]


@pytest.mark.parametrize("options", POOLS, ids=str)
@pytest.mark.parametrize("training", [True, False])
def test_without_dropout_it_is_the_max_pool_of_torch(options, training):
    x = torch.randn(2, 3, 9, 10).round(decimals=1)  # with ties
    expected = nnf.max_pool2d(x, **options)
    assert torch.equal(F.max_pool_dropout2d(x, p=0.0, training=training, **options), expected)
    tiny = F.max_pool_dropout2d(x, p=1e-9, training=training, **options)  # quantised to 0, the whole way
    torch.testing.assert_close(tiny, expected, rtol=0, atol=0)
    if isinstance(options["kernel_size"], int):
        y = F.max_pool_dropout1d(x[:, :, 0], p=1e-9, training=training, **options)
        torch.testing.assert_close(y, nnf.max_pool1d(x[:, :, 0], **options), rtol=0, atol=0)


SMALL_POOLS = [
    {"kernel_size": 2, "stride": 1},
    {"kernel_size": 3, "padding": 1, "stride": 2},
    {"kernel_size": 2, "ceil_mode": True},
    {"kernel_size": (2, 3), "stride": (1, 2), "padding": (1, 0), "ceil_mode": True},
    {"kernel_size": 2, "padding": 1, "dilation": 2, "stride": 3, "ceil_mode": True},
]


@pytest.mark.parametrize("options", SMALL_POOLS, ids=str)
def test_eval_is_the_mean_over_every_mask(options):
    """2**9 masks of a map of 3 x 3 with ties and negative values, each with its probability."""
    p = ops.effective_p(0.3)
    x = torch.tensor([[1.0, -2.0, 0.5], [1.0, 3.0, -1.0], [0.0, 0.5, 2.0]], dtype=torch.float64).view(1, 1, 3, 3)
    masks = torch.tensor(list(itertools.product([True, False], repeat=9))).view(-1, 1, 3, 3)
    largest = nnf.max_pool2d(x.expand(512, 1, 3, 3).masked_fill(~masks, -math.inf), **options)
    num_kept = masks.sum((1, 2, 3), keepdim=True).double()
    chances = (1 - p) ** num_kept * p ** (9 - num_kept)
    mean = (largest.masked_fill(largest == -math.inf, 0) * chances).sum(0, keepdim=True)
    got = F.max_pool_dropout2d(x, p=0.3, training=False, **options)
    torch.testing.assert_close(got, mean, rtol=1e-12, atol=1e-12)


def test_training_has_the_mean_of_eval():
    x = torch.rand(1, 2, 4, 4, dtype=torch.float64)
    y = F.max_pool_dropout2d(x.expand(40_000, 2, 4, 4), 3, 0.5, training=True, stride=1, key=1)
    expected = F.max_pool_dropout2d(x, 3, 0.5, training=False, stride=1)
    assert ((y.mean(0) - expected[0]).abs() < 6 * y.std(0) / math.sqrt(40_000)).all()
    scaled = 0.5 * nnf.max_pool2d(x, 3, 1)  # the max-pool times the keep probability, which the paper improves upon
    assert ((y.mean(0) - scaled[0]).abs() > 6 * y.std(0) / math.sqrt(40_000)).all()


def test_a_window_that_is_dropped_whole_gives_zero_and_no_gradient():
    x = torch.full((1, 1, 40, 40), -5.0, requires_grad=True)
    y = F.max_pool_dropout2d(x, 2, 0.5, training=True, key=1)
    kept = ops.dropout_mask((1, 1, 40, 40), 1, 0.5)
    windows = nnf.max_pool2d(kept.float(), 2)
    assert torch.equal(y == 0, windows == 0)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert gradient[~kept].count_nonzero() == 0
    assert gradient.sum() == windows.sum()


# Spectral dropout


def test_coefficients_are_those_of_the_orthonormal_cosine_transform():
    x = torch.randn(2, 3, 6, 7, dtype=torch.float64)
    y = F.spectral_dropout(x, 0.4, training=True, key=2)
    before, after = (fft.dctn(each.numpy(), axes=(2, 3), norm="ortho") for each in (x, y))
    kept = ops.dropout_mask((2, 3, 6, 7), 2, 0.4).numpy()
    np.testing.assert_allclose(after, np.where(kept, before / (1 - ops.effective_p(0.4)), 0), atol=1e-12)


def test_energy_is_that_of_the_kept_coefficients():
    """Parseval: the transform keeps sums of squares, so each coefficient counts as much in y as in z."""
    x = torch.randn(1, 1, 16, 16, dtype=torch.float64)
    y = F.spectral_dropout(x, 0.5, training=True, rescale=False, key=2)
    z = fft.dctn(x.numpy(), axes=(2, 3), norm="ortho")
    kept = ops.dropout_mask((1, 1, 16, 16), 2, 0.5).numpy()
    assert y.square().sum().item() == pytest.approx((z[kept] ** 2).sum(), rel=1e-12)


def test_without_threshold_and_rate_nothing_changes():
    x = torch.randn(2, 3, 6, 7)
    assert F.spectral_dropout(x, 0.0, 0.0, training=True) is x
    way = F.spectral_dropout(x, 1e-9, 0.0, training=True)  # quantised to 0: there and back
    torch.testing.assert_close(way, x, rtol=0, atol=1e-6 * x.abs().max().item())


def test_it_is_linear_without_a_threshold():
    x, z = torch.randn(2, 2, 3, 6, 7, dtype=torch.float64)
    call = lambda value: F.spectral_dropout(value, 0.5, training=True, key=4)  # noqa: E731  # used at once
    torch.testing.assert_close(call(2 * x - 3 * z), 2 * call(x) - 3 * call(z), rtol=1e-12, atol=1e-12)


def test_weak_coefficients_are_always_removed():
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    y = F.spectral_dropout(x, 0.0, 1.0, training=True)
    before, after = (fft.dctn(each.numpy(), axes=(2, 3), norm="ortho") for each in (x, y))
    np.testing.assert_allclose(after, np.where(np.abs(before) > 1, before, 0), atol=1e-12)


def test_long_axes_lose_no_accuracy():
    """Cosines of angles that were rounded in float32 make this off by 1e-3."""
    x = torch.randn(1, 1, 3, 4096)
    torch.testing.assert_close(F.spectral_dropout(x, 1e-9, training=True), x, rtol=0, atol=2e-5)


def test_autocast_does_not_round_the_transform():
    x = torch.randn(2, 3, 16, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = F.spectral_dropout(x, 0.3, training=True, key=1)
    assert torch.equal(inside, F.spectral_dropout(x, 0.3, training=True, key=1))


def test_the_threshold_can_be_set_and_is_checked():
    layer, x = tnn.SpectralDropout(0.0, 1.0), torch.randn(1, 1, 8, 8)
    first = layer(x)
    layer.eta = 2.0
    assert torch.equal(layer(x), tnn.SpectralDropout(0.0, 2.0)(x))
    assert not torch.equal(layer(x), first)
    with pytest.raises(ValueError, match="`eta` must be a finite number of at least 0, got nan"):
        layer.eta = float("nan")
    assert layer.eta == 2.0


# Patterns


def holes(size, shape=(60, 4, 11, 13), **options):
    return F.pattern_dropout2d(torch.ones(shape), size, training=True, scale="none", **options) == 0


def test_one_upright_rectangle_is_one_block_uniform_over_its_places():
    zero = holes((3, 4), (5000, 1, 6, 7))
    assert torch.equal(zero.sum((2, 3)), torch.full((5000, 1), 12))
    corners = zero.flatten(1).int().argmax(1)  # the first cell of the block
    counts = torch.bincount(corners, minlength=42).view(6, 7)
    assert_binomial(counts[:4, :4], 5000, 1 / 16)
    assert counts[4:].sum() + counts[:, 4:].sum() == 0


def test_rectangles_repeat_at_the_stride():
    zero = holes(2, stride=3, repeat=(2, 3))
    for channel in zero.flatten(0, 1):
        rows, columns = channel.any(1).nonzero().flatten(), channel.any(0).nonzero().flatten()
        assert (rows - rows[0]).tolist() == [0, 1, 3, 4]
        assert (columns - columns[0]).tolist() == [0, 1, 3, 4, 6, 7]
        assert channel.sum() == 24


def test_a_right_angle_swaps_height_and_width():
    for channel in holes((2, 6), rotate=90.0, shape=(20, 3, 15, 15)).flatten(0, 1):
        extent = sorted((int(channel.any(1).sum()), int(channel.any(0).sum())))
        assert channel.sum() <= 12
        assert extent[1] <= 6
        assert channel.any(0).sum() <= 2


@pytest.mark.parametrize("options", [{"rotate": 30.0}, {"shear_x": 0.5}, {"rotate": -20.0, "shear_y": 0.4}], ids=str)
def test_turned_and_sheared_rectangles_stay_in_one_piece(options):
    for channel in holes((6, 8), (40, 1, 40, 40), **options).flatten(0, 1):
        _, pieces = ndimage.label(channel.numpy(), structure=np.ones((3, 3)))
        assert pieces == 1
    whole = [int(channel.sum()) for channel in holes((6, 8), (200, 1, 40, 40), **options).flatten(0, 1)]
    assert max(whole) == pytest.approx(48 * (1 - options.get("shear_x", 0) * options.get("shear_y", 0)), abs=8)


def test_shear_moves_rows_to_the_right():
    zero = holes((5, 2), (1, 1, 30, 30), shear_x=1.0)[0, 0]
    starts = [int(row.int().argmax()) for row in zero if row.any()]
    assert np.diff(starts).tolist() == [1] * (len(starts) - 1)


def test_channels_share_the_place_on_request():
    own, shared = holes(3), holes(3, share_channels=True)
    assert not torch.equal(own[:, 0], own[:, 1])
    assert torch.equal(shared, shared[:, :1].expand_as(shared))


def test_a_pattern_larger_than_the_map_drops_it_whole_without_nan():
    x = torch.full((2, 3, 4, 4), float("inf"))
    for scale in ("channel", "sample", "batch", "none"):
        y = F.pattern_dropout2d(x, 9, training=True, scale=scale)
        assert torch.equal(y, torch.zeros_like(x))


def test_kept_cells_are_scaled_by_cells_over_kept_cells():
    y = F.pattern_dropout2d(torch.ones(2, 3, 6, 6), 3, training=True)
    assert set(y.flatten().tolist()) == {0.0, torch.tensor(36 / 27).item()}
