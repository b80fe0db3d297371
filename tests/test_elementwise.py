"""Dropout of single elements and continuous noise: moments, closed forms, edges, and what other suites check.

False-alarm rates are those of `_moments`; seeds are fixed.
"""

import itertools
import math

import pytest
import torch
from _moments import assert_mean, assert_rate, assert_variance
from scipy.stats import norm
from torch import nn

import thinout.nn as tnn
from thinout import functional as F
from thinout import ops

RATES = (0.05, 0.3, 0.5, 0.9)
SATURATION = -1.7580993408473766


# Dropout and classic dropout


@pytest.mark.parametrize("p", RATES)
def test_dropout_has_the_stated_moments_and_rate(p):
    y = F.dropout(torch.full((1_000_000,), 3.0, dtype=torch.float64), p, training=True)
    p = ops.effective_p(p)
    assert_rate(y == 0, p)
    assert_mean(y, 3)
    assert_variance(y, 9 * p / (1 - p), mean=3)


def test_kept_values_are_scaled_and_the_gradient_has_the_same_zeros():
    x = torch.randn(1000, requires_grad=True)
    y = F.dropout(x, 0.75, training=True)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(y, torch.where(y == 0, 0, 4 * x))
    assert torch.equal(y == 0, gradient == 0)
    assert set(gradient.unique().tolist()) == {0.0, 4.0}


def test_masks_of_examples_and_of_calls_are_independent():
    keep = [F.dropout(torch.ones(64, 20_000), 0.5, training=True) != 0 for _ in range(2)]
    for first, second in ((keep[0][:-1], keep[0][1:]), (keep[0], keep[1])):
        assert_rate(first == second, 0.5)


@pytest.mark.parametrize("p", RATES)
def test_classic_dropout_has_the_stated_moments(p):
    x = torch.full((1_000_000,), 3.0, dtype=torch.float64)
    y = F.classic_dropout(x, p, training=True)
    p = ops.effective_p(p)
    assert_mean(y, 3 * (1 - p))
    assert_variance(y, 9 * p * (1 - p), mean=3 * (1 - p))
    assert torch.equal(F.classic_dropout(x, p, training=False), x * (1 - p))


def test_classic_weights_are_inverted_weights_times_the_keep_probability():
    x, weight, bias = torch.randn(5, 8).double(), torch.randn(4, 8).double(), torch.randn(4).double()
    layers = tnn.ClassicDropout(0.25), tnn.Dropout(0.25)
    for training in (True, False):
        classic, inverted = (layer.train(training)(x, key=3) for layer in layers)
        ours = nn.functional.linear(inverted, 0.75 * weight, bias)
        torch.testing.assert_close(ours, nn.functional.linear(classic, weight, bias), rtol=0, atol=1e-14)


@pytest.mark.parametrize("p", [0.5, 0.25])
def test_weight_scaling_is_the_geometric_mean_of_all_masked_softmaxes(p):
    """Srivastava et al. 2014; Baldi, Sadowski 2013: over all 2^F masks, each with its probability, renormalised."""
    x, weight, bias = torch.randn(8).double(), torch.randn(3, 8).double(), torch.randn(3).double()
    logarithm = torch.zeros(3, dtype=torch.float64)
    for mask in itertools.product((0.0, 1.0), repeat=8):
        probability = math.prod(1 - p if kept else p for kept in mask)
        masked = weight @ (x * torch.tensor(mask, dtype=torch.float64)) + bias
        logarithm += probability * masked.log_softmax(0)
    expected = logarithm.softmax(0)
    scaled = weight @ tnn.ClassicDropout(p).eval()(x)
    torch.testing.assert_close((scaled + bias).softmax(0), expected, rtol=0, atol=1e-12)
    wrong = (scaled + (1 - p) * bias).softmax(0)  # the bias is no weight that dropout halves
    assert (wrong - expected).abs().max() > 1e-3


# Gaussian dropout, Gaussian noise, Uout


@pytest.mark.parametrize("p", [0.1, 0.3, 0.8])
def test_gaussian_dropout_has_the_moments_of_dropout(p):
    x = torch.full((1_000_000,), 3.0, dtype=torch.float64)
    y = F.gaussian_dropout(x, p, training=True)
    alpha = p / (1 - p)
    assert_mean(y, 3)
    assert_variance(y, 9 * alpha, mean=3)
    assert (y != 0).all()
    with pytest.raises(AssertionError):  # alpha is a variance; the bug that takes it for a standard deviation
        assert_variance(x * (1 + alpha * torch.randn_like(x)), 9 * alpha, mean=3)


@pytest.mark.parametrize("p", [0.3, 0.5])
def test_gaussian_dropout_flips_signs_at_the_stated_rate(p):
    y = F.gaussian_dropout(torch.ones(500_000), p, training=True)
    assert_rate(y < 0, norm.cdf(-math.sqrt((1 - p) / p)))  # 15.9 % at p = 0.5


def test_gaussian_dropout_takes_a_rate_or_a_variance():
    layer = tnn.GaussianDropout(alpha=1.5)
    assert (layer.p, layer.alpha, repr(layer)) == (0.6, 1.4999999999999998, "GaussianDropout(p=0.6)")
    layer.alpha = 0.25
    assert layer.p == 0.2
    x = torch.ones(5)
    torch.manual_seed(1)
    expected = F.gaussian_dropout(x, 0.2, training=True)
    torch.manual_seed(1)
    assert torch.equal(F.gaussian_dropout(x, alpha=0.25, training=True), expected)
    for zero in ({"p": 0.0}, {"alpha": 0.0}):
        assert F.gaussian_dropout(x, **zero, training=True) is x
    for wrong in (1.0, 1, -0.1, float("nan")):
        with pytest.raises(ValueError, match="`p` must be a number in"):
            layer.p = wrong
    with pytest.raises(ValueError, match="`p` must be None where alpha is given"):
        F.gaussian_dropout(x, 0.2, alpha=0.25, training=True)


def test_gaussian_noise_is_added_whatever_the_input():
    x = torch.linspace(-100, 100, 1_000_000, dtype=torch.float64)
    y = F.gaussian_noise(x, 0.3, training=True)
    assert_mean(y - x, 0)
    assert_variance(y - x, 0.09, mean=0)
    assert F.gaussian_noise(x, 0.0, training=True) is x


def test_uout_is_bounded_and_has_the_stated_moments():
    x, beta = torch.full((1_000_000,), 3.0, dtype=torch.float64), 0.4
    y = F.uout(x, beta, training=True)
    assert_mean(y, 3)
    assert_variance(y, 9 * beta**2 / 3, mean=3)
    assert ((y - x).abs() <= beta * x.abs() * (1 + 1e-12)).all()
    assert ((y - x).abs().max() / 3) > 0.999 * beta


def test_uout_shifts_the_variance_by_the_stated_ratio():
    beta, x = 1.0, torch.randn(1_000_000, dtype=torch.float64)
    y = F.uout(x, beta, training=True)
    assert_variance(y, (3 + beta**2) / 3, mean=0)  # eval over train: 3 / (3 + beta^2)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("layer", [tnn.GaussianDropout(0.3), tnn.GaussianNoise(0.3), tnn.Uout(0.3)], ids=repr)
def test_noise_in_half_precision_is_that_of_float32_rounded_once(layer, dtype):
    outputs = []
    for x in (torch.ones(1000), torch.ones(1000, dtype=dtype)):
        torch.manual_seed(1)
        outputs.append(layer(x))
    assert torch.equal(outputs[1], outputs[0].to(dtype))


# Alpha dropout


def alpha_constants(p, mean=0.0, var=1.0, saturation=SATURATION):
    a = math.sqrt(var / ((1 - p) * (p * (saturation - mean) ** 2 + var)))
    return a, mean - a * ((1 - p) * mean + p * saturation)


# Computed for the catalogue from Klambauer et al. 2017.
PUBLISHED = {
    0.05: (0.954844, 0.083936),
    0.1: (0.921285, 0.161971),
    0.2: (0.878904, 0.309040),
    0.5: (0.886405, 0.779194),
    0.9: (1.626108, 2.572974),
}


def test_the_saturation_is_that_of_selu():
    for saturation in (
        -1.6732632423543772 * 1.0507009873554805,
        nn.functional.selu(torch.tensor(-1e3).double()).item(),
    ):
        assert saturation == pytest.approx(SATURATION, rel=1e-15)


@pytest.mark.parametrize("p", PUBLISHED)
def test_alpha_dropout_is_two_affine_branches_with_the_published_constants(p):
    assert alpha_constants(p) == pytest.approx(PUBLISHED[p], abs=6e-7)
    a, b = alpha_constants(ops.effective_p(p))
    x = torch.randn(1000, dtype=torch.float64)
    y, keep = F.alpha_dropout(x, p, training=True, key=3), ops.dropout_mask((1000,), 3, p)
    assert y[~keep].unique().numel() == 1
    torch.testing.assert_close(y, torch.where(keep, a * x + b, a * SATURATION + b), rtol=0, atol=1e-14)


def test_alpha_dropout_at_a_rate_that_is_no_step_of_the_mask_is_the_input_bit_for_bit():
    x = torch.tensor([1e-9, -3.0, math.inf, 7e8])
    assert torch.equal(F.alpha_dropout(x, 1e-6, training=True), x)
    assert torch.equal(F.feature_alpha_dropout(x[None], 1e-6, training=True)[0], x)


@pytest.mark.parametrize(("mean", "var"), [(0.0, 1.0), (-2.0, 0.25), (3.0, 4.0)])
@pytest.mark.parametrize("p", RATES)
def test_alpha_dropout_keeps_mean_and_variance(p, mean, var):
    x = torch.randn(1_000_000, dtype=torch.float64) * math.sqrt(var) + mean
    y = F.alpha_dropout(x, p, training=True, mean=mean, var=var)
    assert_mean(y, mean)
    assert_variance(y, var, mean)


def test_the_checks_of_moments_find_the_known_bugs():
    p, x = 0.3, torch.randn(1_000_000, dtype=torch.float64)
    keep = ops.dropout_mask(tuple(x.shape), 3, p)
    a, b = alpha_constants(p, saturation=-1.6732632423543772)  # alpha in place of lambda alpha
    with pytest.raises(AssertionError):
        assert_variance(a * torch.where(keep, x, SATURATION) + b, 1, mean=0)
    shifted = 3 + 2 * x  # an input that is not standard, with the constants of one that is
    with pytest.raises(AssertionError):
        assert_mean(F.alpha_dropout(shifted, p, training=True), 3)


def test_moments_of_few_elements_scatter_as_those_of_any_sample():
    """pytorch/pytorch#74004: of 100 elements mean and deviation are not 0 and 1, but they are on average."""
    y = F.alpha_dropout(torch.randn(20_000, 100, dtype=torch.float64), 0.5, training=True)
    assert_mean(y.mean(1), 0)
    assert_mean(y.var(1), 1)
    assert_variance(y.mean(1), 1 / 100, mean=0)


@pytest.mark.parametrize("mean", [0.0, 2.0])
def test_alpha_dropout_of_everything_leaves_the_mean(mean):
    x = torch.tensor([1.0, float("inf"), float("nan"), -2.0], requires_grad=True)
    y = F.alpha_dropout(x, 1.0, training=True, mean=mean, var=2.0)
    assert y.tolist() == [mean] * 4
    assert torch.autograd.grad(y.sum(), x)[0].tolist() == [0.0] * 4


def test_a_dropped_infinity_becomes_the_constant():
    x = torch.full((100,), float("inf"))
    y = F.alpha_dropout(x, 0.5, training=True, key=3)
    keep = ops.dropout_mask((100,), 3, 0.5)
    assert y[keep].isinf().all()
    assert y[~keep].unique().numel() == 1


def test_a_feature_is_kept_or_constant_as_a_whole():
    x = torch.randn(8, 32, 3, 4, dtype=torch.float64)
    y = F.feature_alpha_dropout(x, 0.5, training=True, key=3)
    a, b = alpha_constants(0.5)
    constant = (y == y[:, :, :1, :1]).flatten(2).all(2)
    assert torch.equal(~constant, ops.dropout_mask((8, 32), 3, 0.5))
    torch.testing.assert_close(y[~constant], a * x[~constant] + b, rtol=0, atol=1e-14)
    torch.testing.assert_close(y[constant], torch.full_like(y[constant], a * SATURATION + b), rtol=0, atol=1e-14)


def test_an_unbatched_map_is_dropped_by_channels_and_not_by_rows():
    x = torch.randn(32, 3, 4)
    layer = tnn.FeatureAlphaDropout(0.5, batched=False)
    assert repr(layer) == "FeatureAlphaDropout(p=0.5, inplace=False, batched=False)"
    y = layer(x, key=3)
    assert torch.equal(y, F.feature_alpha_dropout(x.unsqueeze(0), 0.5, training=True, key=3).squeeze(0))
    constant = y == y[:, :1, :1]
    assert torch.equal(constant.flatten(1).all(1), constant[:, 2, 3])


def test_alpha_dropout_stores_no_mask():
    stored = []
    x = torch.randn(100, 100, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: stored.append(t.nbytes) or t, lambda t: t):
        tnn.AlphaDropout(0.3)(x)
    assert sum(stored) <= 16, stored


def test_alpha_dropout_in_place_overwrites_the_input():
    for layer in (tnn.AlphaDropout(0.5, inplace=True), tnn.FeatureAlphaDropout(0.5, inplace=True)):
        x = torch.randn(4, 5, 6)
        before = x.clone()
        assert layer(x) is x
        assert not torch.equal(x, before)


# What the tests of Keras demand of its regularisation layers (keras/src/layers/regularization), in our words


def test_keras_dropout_rescales():
    y = tnn.Dropout(0.5)(torch.ones(20, 500))
    assert_mean(y, 1)
    assert y.max() == 2


@pytest.mark.parametrize("noise_shape", [(None, 1, None), (20, 1, 10)])
def test_keras_noise_shape_with_and_without_none(noise_shape):
    y = tnn.Dropout(0.5, noise_shape=noise_shape)(torch.ones(20, 5, 10))
    assert torch.equal(y, y[:, :1].expand_as(y))
    assert not torch.equal(y[0], y[1])


@pytest.mark.parametrize("noise_shape", [(1, None), (1, 2, 3, 4), (None, 3, None), (0, 1, 1), (-1, 1, 1), "abc", 3])
def test_keras_wrong_noise_shapes_are_refused(noise_shape):
    with pytest.raises((ValueError, TypeError), match="`noise_shape` must be"):
        F.dropout(torch.ones(20, 5, 10), 0.5, training=True, noise_shape=noise_shape)


def test_keras_gaussian_layers_have_the_stated_deviation():
    x = torch.ones(20, 500)
    assert_variance(tnn.GaussianDropout(0.3)(x), 0.3 / 0.7, mean=1)
    assert_variance(tnn.GaussianNoise(0.3)(x), 0.09, mean=1)


def test_keras_alpha_dropout_of_ones():
    """Keras wants a deviation within 0.1 of 1; exactly it is that of two values."""
    p = ops.effective_p(0.3)
    a, b = alpha_constants(p)
    y = tnn.AlphaDropout(0.3)(torch.ones(20, 500, dtype=torch.float64))
    mean = (1 - p) * (a + b) + p * (a * SATURATION + b)
    assert_mean(y, mean)
    assert_variance(y, (a * (1 - SATURATION)) ** 2 * p * (1 - p), mean)


@pytest.mark.parametrize("layer", [tnn.Dropout, tnn.AlphaDropout, tnn.GaussianDropout, tnn.FeatureAlphaDropout])
@pytest.mark.parametrize("p", [-0.5, 1.5])
def test_keras_wrong_rates_are_refused(layer, p):
    with pytest.raises(ValueError, match="`p` must be a number in"):
        layer(p)
