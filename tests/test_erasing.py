"""Boxes erased from images: Cutout and Random Erasing.

Random tests compare counts with exact binomial distributions at LEVEL two-sided, or means at 6 standard errors, for
fixed seeds: ten of them.
"""

import math

import numpy as np
import pytest
import torch
from scipy import stats

import thinout.functional as F
from thinout import ops

LEVEL = 1e-9


def assert_binomial(counts, num, rates):
    """Each count is one that a binomial distribution gives; `rates` broadcasts against it."""
    counts, rates = np.asarray(counts), np.asarray(rates)
    tails = np.minimum(stats.binom.cdf(counts, num, rates), stats.binom.sf(counts - 1, num, rates))
    assert tails.min() > LEVEL / counts.size, (counts, num * rates)


# Cutout


def covered(num, side):
    """Return how many of `num` centres have a side that covers each cell."""
    counts = np.zeros(num)
    for centre in range(num):
        counts[max(centre - side // 2, 0) : max(centre - side // 2 + side, 0)] += 1
    return counts


def test_each_pixel_is_cut_out_as_often_as_its_place_says():
    """The expected side of 16 on 32 pixels is 14, and the expected area 0.1914 and not 0.25."""
    y = F.cutout(torch.ones(20_000, 1, 32, 32), 16, training=True)
    rates = np.outer(covered(32, 16), covered(32, 16)) / 32**2
    assert covered(32, 16).mean() == 14.0
    assert f"{rates.mean():.4f}" == "0.1914"
    assert_binomial((y == 0).sum((0, 1)), 20_000, rates)


def test_the_authors_half_side_would_be_seen():
    """`length` there is half a side: [c - length, c + length)."""
    y = F.cutout(torch.ones(2000, 1, 32, 32), 32, training=True)
    with pytest.raises(AssertionError):
        assert_binomial((y == 0).sum((0, 1)), 2000, np.outer(covered(32, 16), covered(32, 16)) / 32**2)


@pytest.mark.parametrize("size", [3, 4, (2, 7)])
@pytest.mark.parametrize("num_holes", [1, 3])
def test_holes_are_rectangles_shared_by_channels_and_not_by_images(size, num_holes):
    x = torch.rand(50, 3, 12, 14) + 1
    y = F.cutout(x, size, num_holes, training=True)
    erased = y == 0
    assert torch.equal(y[~erased], x[~erased])
    assert torch.equal(erased, erased[:, :1].expand_as(erased))
    assert len({tuple(image.flatten().tolist()) for image in erased[:, 0]}) > 40
    height, width = (size, size) if isinstance(size, int) else size
    for image in erased[:, 0]:
        rows, columns = image.any(1).sum(), image.any(0).sum()
        assert rows <= num_holes * height
        assert columns <= num_holes * width
        if num_holes == 1:
            assert image.sum() == rows * columns


def test_a_square_larger_than_the_image_is_clipped():
    y = F.cutout(torch.ones(3, 2, 4, 5), 100, training=True)
    assert torch.equal(y, torch.zeros_like(y))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16])
def test_boxes_are_filled_with_a_value_of_the_type_of_the_image(dtype):
    x = torch.full((40, 3, 8, 8), 7, dtype=dtype)
    for y in (
        F.cutout(x, 4, training=True, value=100),
        F.random_erasing(x, 1.0, training=True, value=100),
    ):
        assert y.dtype == dtype
        assert set(y.flatten().tolist()) == {7, 100}


# Random erasing


def boxes(x, **options):
    erased = (F.random_erasing(x, training=True, **options) != x)[:, 0]
    return erased, erased.any(2).sum(1), erased.any(1).sum(1)


def test_an_image_is_erased_in_with_probability_p():
    x = torch.ones(20_000, 1, 8, 8)
    erased, _, _ = boxes(x, p=0.3, scale=(0.2, 0.3), ratio=(0.5, 2.0))
    assert_binomial(erased.flatten(1).any(1).sum(), 20_000, ops.effective_p(0.3))


def test_areas_and_ratios_lie_in_their_ranges_and_boxes_inside():
    x = torch.rand(1500, 2, 40, 60) + 1
    y = F.random_erasing(x, 1.0, training=True)
    erased = y == 0
    assert torch.equal(y[~erased], x[~erased])
    assert torch.equal(erased, erased[:, :1].expand_as(erased))
    image = erased[:, 0]
    height, width = image.any(2).sum(1), image.any(1).sum(1)
    assert torch.equal(image.flatten(1).sum(1), height * width)  # one whole rectangle
    assert ((height + 0.5) * (width + 0.5) >= 0.02 * 2400).all()  # sides are rounded to the nearest pixel
    assert ((height - 0.5) * (width - 0.5) <= 0.33 * 2400).all()
    assert ((height + 0.5) / (width - 0.5) >= 0.3).all()
    assert ((height - 0.5) / (width + 0.5) <= 3.3).all()


def test_areas_are_uniform_and_ratios_uniform_in_logarithm():
    """A ratio that is uniform itself, as in the first code of the method, is above 1 for three boxes of four."""
    _, height, width = boxes(torch.ones(4000, 1, 60, 60), p=1.0, scale=(0.02, 0.3), ratio=(1 / 3, 3.0))
    area = (height * width).double() / 3600
    assert abs(area.mean() - 0.16) < 6 * 0.28 / math.sqrt(12 * 4000) + 1e-3  # and the rounding of sides
    assert_binomial((height > width).sum(), int((height != width).sum()), 0.5)


def test_a_box_that_never_fits_leaves_the_image_alone():
    x = torch.rand(5, 3, 8, 8)
    assert torch.equal(F.random_erasing(x, 1.0, training=True, scale=(1.0, 1.0), ratio=(2.0, 2.0)), x)
    whole = F.random_erasing(x, 1.0, training=True, scale=(1.0, 1.0), ratio=(1.0, 1.0))
    assert torch.equal(whole, torch.zeros_like(x))


def test_a_box_that_fits_seldom_is_tried_ten_times():
    """Boxes of 80 % of a square image are too wide below a ratio of 80 / 10.5**2: 6 of 7 of them are."""
    erased, _, _ = boxes(torch.ones(4000, 1, 10, 10), p=1.0, scale=(0.8, 0.8), ratio=(0.4, 0.8))
    fits = math.log(0.8 / (80 / 10.5**2)) / math.log(0.8 / 0.4)
    assert_binomial((~erased.flatten(1).any(1)).sum(), 4000, (1 - fits) ** 10)


def test_noise_fills_boxes_with_standard_normal_values_or_bytes():
    x = torch.full((200, 3, 16, 16), 9.0)
    y = F.random_erasing(x, 1.0, training=True, value="random")
    noise = y[y != x]
    assert abs(noise.mean()) < 6 / math.sqrt(len(noise))
    assert abs(noise.var() - 1) < 6 * math.sqrt(2 / len(noise))
    pixels = F.random_erasing(torch.zeros(200, 3, 16, 16, dtype=torch.uint8), 1.0, training=True, value="random")
    fill = pixels[pixels != 0].double()
    assert abs(fill.mean() - 128) < 6 * 74 / math.sqrt(len(fill))
    assert fill.max() == 255
