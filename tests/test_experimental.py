"""Methods whose recipe is assumed: what each says of itself holds.

Random tests compare counts with exact binomial distributions at 1e-8, for fixed seeds: ten of them.
"""

import dataclasses
import math

import pytest
import torch
from scipy import stats

import thinout.functional.experimental as F
import thinout.nn as tnn
from thinout import ops
from thinout.nn import experimental
from thinout.testing import CHECKS


def assert_binomial(count, num, rate):
    assert stats.binomtest(int(count), int(num), rate).pvalue > 1e-8


def test_experimental_layers_are_kept_apart():
    """Not among the names of `thinout.nn`, but in its registry, with every common check."""
    assert set(experimental.__all__) <= set(tnn.REGISTRY)
    assert not set(experimental.__all__) & set(dir(tnn))


@pytest.mark.parametrize("name", experimental.__all__)
def test_each_says_what_it_assumes(name):
    text = (getattr(experimental, name).__doc__ + getattr(F, "".join(snake(name))).__doc__).lower()
    assert "assumed" in text or "not read" in text


def snake(name):
    for position, letter in enumerate(name):
        yield ("_" if position and letter.isupper() else "") + letter.lower()


# Jumpout


def rate_of(y, x):
    return ((y == 0) & (x > 0)).sum() / (x > 0).sum()


def test_the_rate_is_corrected_for_the_share_of_active_units():
    """Half of the units are active: the rate of the mask is twice the one asked for, capped at p_max."""
    x = torch.randn(400_000).relu()
    active = int((x > 0).sum())
    y = F.jumpout(x, 0.1, 0.9, 0.0, training=True)
    p = ops.effective_p(0.1 / (active / x.numel()))
    assert_binomial(((y == 0) & (x > 0)).sum(), active, p)
    capped = F.jumpout(x, 0.1, 0.15, 0.0, training=True)
    assert_binomial(((capped == 0) & (x > 0)).sum(), active, ops.effective_p(0.15))


def test_the_rate_is_the_one_asked_for_where_all_units_are_active():
    y = F.jumpout(torch.ones(400_000), 0.3, 0.9, 0.0, training=True)
    assert_binomial((y == 0).sum(), 400_000, ops.effective_p(0.3))


@pytest.mark.parametrize("p", [0.1, 0.3, 0.6])
def test_the_scale_lies_between_mean_and_second_moment(p):
    x = torch.full((400_000,), 2.0, dtype=torch.float64)
    y = F.jumpout(x, p, p, 0.0, training=True)
    q = 1 - ops.effective_p(p)
    kept = y[y != 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 2 * q**-0.75), rtol=1e-12, atol=0)
    for moment, expected in ((y, 2 * q**0.25), (y**2, 4 * q**-0.5)):
        assert abs(moment.mean() - expected) < 6 * moment.std() / math.sqrt(len(y))


def test_rates_have_a_half_normal_spread():
    """The median of |N(0, 0.1)| is 0.0674; the share of rates below p_min + 0.0674 is one half."""
    x = torch.ones(4000)
    rates = torch.stack([rate_of(F.jumpout(x, 0.05, 0.9, 0.1, training=True), x) for _ in range(400)])
    assert_binomial((rates < 0.05 + 0.1 * stats.halfnorm.median()).sum(), 400, 0.5)
    assert rates.min() > 0.02


def test_a_batch_without_active_units_is_no_division_by_zero():
    y = F.jumpout(-torch.rand(1000), 0.1, 0.5, training=True)
    assert y.isfinite().all()
    assert_binomial((y == 0).sum(), 1000, 0.5)


# Max-drop and MaxDropout


@pytest.mark.parametrize("mode", ["feature", "channel"])
def test_only_maxima_are_zeroed_at_rate_p(mode):
    x = torch.rand(300, 8, 6, 6) + 1
    y = F.max_drop2d(x, 0.3, mode, training=True, key=1)
    dims, num = ((2, 3), 300 * 8) if mode == "feature" else ((1,), 300 * 36)
    zero = y == 0
    assert torch.equal(y[~zero], x[~zero])
    assert (x == x.amax(dims, keepdim=True))[zero].all()
    assert zero.sum(dims).max() == 1
    assert_binomial(zero.sum(), num, ops.effective_p(0.3))


@pytest.mark.parametrize("mode", ["feature", "channel"])
def test_at_rate_one_every_maximum_goes(mode):
    x = torch.rand(3, 4, 5, 5) + 1
    y = F.max_drop2d(x, 1.0, mode, training=True)
    dims = (2, 3) if mode == "feature" else (1,)
    assert ((y == 0).sum(dims) == 1).all()
    ties = F.max_drop2d(torch.ones(1, 2, 3, 3), 1.0, mode, training=True)
    assert torch.equal(ties, torch.zeros_like(ties))


def test_a_fixed_threshold_is_that_of_the_published_code():
    x = torch.randn(50, 20)
    normalised = (x - x.min()) / (x.max() - x.min())
    expected = x.masked_fill(normalised > 1 - 0.3, 0)
    assert torch.equal(F.max_dropout(x, 0.3, "fixed", training=True), expected)


def test_a_uniform_threshold_cuts_at_most_p_of_the_range():
    x = torch.linspace(0, 1, 1001)
    cuts = torch.stack([(F.max_dropout(x, 0.4, training=True)[1:] == 0).sum() for _ in range(400)]) / 1000
    assert cuts.max() <= 0.401
    assert_binomial((cuts < 0.2).sum(), 400, 0.5)


def test_equal_values_have_no_maximum_to_drop():
    x = torch.ones(4, 5)
    assert torch.equal(F.max_dropout(x, 0.5, training=True), x)


# Weighted channels, checkerboards, attention


def selected(scores, ratio, times):
    x = torch.tensor(scores).view(1, -1, 1, 1).expand(times, -1, 1, 1)
    return F.weighted_channel_dropout(x, 0.0, ratio, training=True)[..., 0, 0] != 0


@pytest.mark.parametrize("ratio", [0.3, 0.5, 0.9, 1.0])
def test_the_number_of_selected_channels_is_exact(ratio):
    chosen = selected([0.5, 1.0, 2.0, 0.1, 3.0, 1.0, 1.0], ratio, 200)
    assert (chosen.sum(1) == math.ceil(ratio * 7)).all()


def test_channels_are_selected_in_proportion_to_their_scores():
    """Of one channel out of three, the chance is its share of the scores; equal scores are equally likely."""
    chosen = selected([1.0, 2.0, 5.0], 0.3, 20_000)
    for channel, share in enumerate((1 / 8, 2 / 8, 5 / 8)):
        assert_binomial(chosen[:, channel].sum(), 20_000, share)
    for count in selected([0.7] * 4, 0.5, 20_000).sum(0):
        assert_binomial(count, 20_000, 0.5)


def test_tiny_scores_do_not_underflow():
    """u**(1 / score) is 0 for all of them, and a sort of zeros is no selection."""
    for count in selected([1e-5] * 4, 0.5, 20_000).sum(0):
        assert_binomial(count, 20_000, 0.5)


def test_the_gate_drops_selected_channels_at_rate_p():
    y = F.weighted_channel_dropout(torch.ones(10_000, 4, 1, 1), 0.2, 1.0, training=True)
    assert_binomial((y == 0).sum(), 40_000, ops.effective_p(0.2))
    assert set(y.flatten().tolist()) == {0.0, 1.0}  # all are selected: nothing to make up for


def test_a_channel_that_is_not_selected_is_zero_whatever_it_holds():
    x = torch.ones(64, 2, 1, 2)
    x[:, 0] = torch.tensor([float("inf"), -float("inf")])  # a mean that is no number is a score that is none
    y = F.weighted_channel_dropout(torch.where(x.isfinite(), x, 1e30), 0.0, 0.5, training=True)
    assert ((y[:, 0] == 0) | (y[:, 1] == 0)).flatten(1).all()


@pytest.mark.parametrize("cell", [1, 2, 3])
def test_a_checkerboard_alternates_and_keeps_the_mean(cell):
    y = F.checkerboard_dropout2d(torch.ones(4000, 2, 6, 12), cell, training=True, key=1)
    assert torch.equal(y + y.roll(cell, 3), torch.full_like(y, 2.0))  # each cell has the other colour beside it
    assert torch.equal(y[:, 0], y[:, 1])
    assert_binomial((y[:, 0, 0, 0] == 0).sum(), 4000, 0.5)


def test_the_coin_hides_the_most_attended_cells_or_weights_all():
    x = torch.randn(6, 4, 5, 5, dtype=torch.float64)
    attention = x.mean(1, keepdim=True)
    hidden = attention >= 0.9 * attention.amax((2, 3), keepdim=True)
    branches = [x.masked_fill(hidden, 0), x * attention.sigmoid()]
    taken = [
        [torch.equal(F.attention_drop_layer(x, 0.75, 0.9, training=True, key=key), branch) for branch in branches]
        for key in range(200)
    ]
    assert all(sum(each) == 1 for each in taken)
    assert_binomial(sum(each[0] for each in taken), 200, 0.75)


def test_without_hiding_every_map_is_weighted_and_nothing_is_drawn():
    x, state = torch.randn(2, 3, 4, 4), torch.get_rng_state()
    y = F.attention_drop_layer(x, 0.0, training=True)
    torch.testing.assert_close(y, x * x.mean(1, keepdim=True).sigmoid())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("layer", "options"),
    [("MaxDrop2d", {"mode": "channel", "p": 0.4}), ("MaxDropout", {"p": 0.6, "threshold": "uniform"})],
)
@pytest.mark.parametrize("check", ["compile", "vmap"])
def test_the_common_checks_hold_for_other_options(layer, options, check):
    CHECKS[check](dataclasses.replace(tnn.REGISTRY[layer], arguments=options))
