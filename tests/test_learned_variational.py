"""Variational and sparse variational dropout: the divergence, the noise, the bound, pruning, and that it learns.

False-alarm rates are those of `_moments`; seeds are fixed.
"""

import copy
import math

import numpy as np
import pytest
import torch
from _moments import assert_mean, assert_variance
from scipy.special import dawsn, digamma
from scipy.stats import poisson
from torch import nn

import thinout
import thinout.nn as tnn
from thinout import functional as F

TABLE = {0.01: 2.932689, 0.1: 1.724138, 0.5: 0.739442, 1: 0.426686, 2: 0.230484, 5: 0.096754, 20: 0.024793}
GRID = torch.linspace(-7, 8, 301, dtype=torch.float64)
CONVOLUTIONS = {
    tnn.SparseVariationalConv1d: (nn.Conv1d, (2, 4, 9)),
    tnn.SparseVariationalConv2d: (nn.Conv2d, (2, 4, 9, 8)),
    tnn.SparseVariationalConv3d: (nn.Conv3d, (2, 4, 6, 5, 5)),
}


def exact_kl(alpha):
    """Return the divergence by its Poisson sum: (E[psi(1/2 + K)] - psi(1/2)) / 2, K of mean 1 / (2 alpha)."""
    mean = 1 / (2 * alpha)
    k = np.arange(int(mean + 40 * mean**0.5 + 60))
    return 0.5 * ((poisson.pmf(k, mean) * digamma(0.5 + k)).sum() - digamma(0.5))


def exact_slope(log_alpha):
    """Return the derivative of the divergence by log alpha: -s D(s), s^2 = 1 / (2 alpha), D Dawson's integral."""
    s = np.sqrt(0.5 * np.exp(-np.asarray(log_alpha)))
    return torch.from_numpy(-s * dawsn(s))


def slope(function, log_alpha):
    leaf = log_alpha.clone().requires_grad_()
    return torch.autograd.grad(function(leaf).sum(), leaf)[0]


# The divergence


@pytest.mark.parametrize("alpha", TABLE)
def test_the_divergence_is_that_of_the_table(alpha):
    assert round(exact_kl(alpha), 6) == TABLE[alpha]
    ours = F.log_uniform_kl(torch.tensor(math.log(alpha), dtype=torch.float64)).item()
    assert abs(ours - TABLE[alpha]) < 7e-3


def test_the_divergence_is_close_falls_and_ends_at_0():
    exact = torch.tensor([exact_kl(math.exp(value)) for value in GRID], dtype=torch.float64)
    ours = F.log_uniform_kl(GRID)
    assert (ours - exact).abs().max() < 0.0094
    assert (ours > 0).all()
    assert (ours.diff() < 0).all()
    assert F.log_uniform_kl(torch.tensor(30.0)) < 1e-12
    far = torch.tensor([-200.0, 200.0], requires_grad=True)
    F.log_uniform_kl(far).sum().backward()
    torch.testing.assert_close(far.grad, torch.tensor([-0.5, 0.0]))


def test_the_slope_of_the_divergence_is_close():
    numeric = [(exact_kl(math.exp(value + 1e-4)) - exact_kl(math.exp(value - 1e-4))) / 2e-4 for value in (-2, 0, 2)]
    torch.testing.assert_close(exact_slope([-2, 0, 2]), torch.tensor(numeric).double(), rtol=1e-5, atol=0)
    assert (slope(F.log_uniform_kl, GRID) - exact_slope(GRID)).abs().max() < 0.014


def test_the_polynomial_is_off_by_what_its_documentation_says():
    inside = GRID[(math.log(0.05) <= GRID) & (GRID <= 0)]
    exact = torch.tensor([exact_kl(math.exp(value)) for value in inside], dtype=torch.float64)
    error = exact - F.log_uniform_kl_polynomial(inside)
    assert error.min() > 0.027
    assert error.max() < 0.0405
    assert abs(F.log_uniform_kl_polynomial(torch.tensor(0.01).log()).item() - TABLE[0.01]) < 7e-3
    assert (F.log_uniform_kl_polynomial(GRID[GRID <= 0]).diff() < 0).all()
    difference = (slope(F.log_uniform_kl_polynomial, GRID) - exact_slope(GRID)).abs()
    assert difference[math.log(0.95) >= GRID].max() < 0.03
    at_one = slope(F.log_uniform_kl_polynomial, torch.zeros(1).double()) - exact_slope([0.0])
    assert at_one.item() == pytest.approx(-0.0538, abs=1e-4)
    assert F.log_uniform_kl_polynomial(torch.tensor(2.0).log()) < 0  # no divergence: outside of its range


# Variational dropout


@pytest.mark.parametrize("p", [0.05, 0.2, 0.5])
def test_noise_has_mean_1_and_variance_alpha(p):
    """Copies of a well-known notebook multiply by N(0, alpha^2): they forget the 1 and the square root."""
    layer = tnn.VariationalDropout(3, p, alpha_per="unit")
    y = layer(torch.full((300_000, 3), 2.0).double()).detach()
    assert_mean(y, 2)
    assert_variance(y, 4 * p / (1 - p), mean=2)
    assert layer.alpha.tolist() == pytest.approx([p / (1 - p)] * 3)


def test_units_have_their_own_noise_along_their_dimension():
    log_alpha = torch.tensor([-40.0, -1.0, 0.0])
    y = F.variational_dropout(torch.ones(200_000, 3, 2).double(), log_alpha, training=True, dim=1)
    assert torch.allclose(y[:, 0], torch.ones(()).double(), atol=1e-7)
    assert_variance(y[:, 1], math.exp(-1), mean=1)
    assert_variance(y[:, 2], 1, mean=1)
    assert torch.equal(torch.corrcoef(y[:, 1:].flatten(1).T).abs() > 0.02, torch.eye(4).bool())  # 9 standard errors


@pytest.mark.parametrize("alpha_per", ["layer", "unit", "weight"])
def test_independent_noise_has_the_stated_moments_and_no_correlation(alpha_per):
    layer = tnn.VariationalLinear(5, 2, p=0.2, alpha_per=alpha_per, dtype=torch.float64)
    x = torch.arange(1.0, 6).double()
    y = layer(x.expand(300_000, 5)).detach()
    mean = nn.functional.linear(x, layer.weight, layer.bias).detach()
    for j in range(2):
        assert_mean(y[:, j], mean[j])
        assert_variance(y[:, j], 0.25 * (layer.weight[j] * x).square().sum().item(), mean=mean[j])
    assert torch.corrcoef(y.T)[0, 1].abs() < 6 / 300_000**0.5


def test_noise_a_weight_follows_its_alpha():
    weight, log_alpha = torch.ones(1, 3).double(), torch.tensor([[-40.0, -1.0, 0.0]])
    for i, variance in enumerate((0.0, math.exp(-1), 1.0)):
        x = torch.zeros(200_000, 3).double()
        x[:, i] = 2
        y = F.variational_linear(x, weight, None, log_alpha, training=True)
        assert_variance(y, 4 * variance, mean=2) if variance else torch.testing.assert_close(y, y * 0 + 2)


def test_correlated_noise_is_noise_on_the_input():
    layer = tnn.VariationalLinear(5, 2, p=0.2, noise="correlated", dtype=torch.float64)
    x = torch.randn(7, 5).double()
    torch.manual_seed(3)
    y = layer(x)
    torch.manual_seed(3)
    noisy = x * (1 + 0.5 * torch.randn(7, 5, dtype=torch.float64))
    torch.testing.assert_close(y, nn.functional.linear(noisy, layer.weight, layer.bias))


def test_divergences_count_weights_or_input_units():
    unit = F.log_uniform_kl(torch.tensor([0.25]).log()).item()
    for layer, factors in (
        (tnn.VariationalLinear(5, 3, p=0.2), 15),
        (tnn.VariationalLinear(5, 3, p=0.2, alpha_per="unit"), 15),
        (tnn.VariationalLinear(5, 3, p=0.2, alpha_per="weight"), 15),
        (tnn.VariationalLinear(5, 3, p=0.2, noise="correlated"), 5),
        (tnn.VariationalLinear(5, 3, p=0.2, noise="correlated", alpha_per="unit"), 5),
        (tnn.VariationalDropout(7, 0.2), 7),
        (tnn.VariationalDropout(7, 0.2, alpha_per="unit"), 7),
    ):
        assert layer.regularization().item() == pytest.approx(factors * unit, rel=1e-5)


@pytest.mark.parametrize("make", [lambda: tnn.VariationalDropout(4, 0.5), lambda: tnn.VariationalLinear(4, 3, p=0.5)])
def test_a_variance_at_its_bound_can_come_back(make):
    """A bound by `clamp` alone has no gradient above it, and what got there by one step stays for ever."""
    layer = make()
    with torch.no_grad():
        layer.log_alpha.fill_(2.0)
    assert layer.p == 0.5
    layer.regularization().backward()
    assert layer.log_alpha.grad.abs().sum() == 0  # the prior pushes no further
    torch.manual_seed(0)
    x = torch.randn(1000, 4)
    loss = layer(x).square().mean()  # noise costs
    loss.backward()
    assert (layer.log_alpha.grad > 0).all()
    layer.max_alpha = math.inf
    assert layer.p == pytest.approx(math.exp(2) / (1 + math.exp(2)))


@pytest.mark.parametrize("value", [-1e4, -100.0, 100.0, 1e4])
@pytest.mark.parametrize(
    "make", [lambda: tnn.VariationalDropout(4), lambda: tnn.VariationalLinear(4, 3, bias=False, alpha_per="weight")]
)
def test_a_variance_driven_to_0_or_infinity_stays_finite(make, value):
    layer = make()
    with torch.no_grad():
        layer.log_alpha.fill_(value)
    x = torch.randn(6, 4, requires_grad=True)
    y = layer(x)
    (y.square().sum() + layer.regularization()).backward()
    for tensor in (y, x.grad, layer.log_alpha.grad, layer.regularization()):
        assert tensor.isfinite().all()
    if value < 0:
        torch.testing.assert_close(y, layer.eval()(x))
    assert layer.p in (0.0, 0.5) or layer.p < 1e-30


def test_no_input_has_no_noise_and_a_finite_gradient():
    """The root of the variance has an infinite slope at 0; the usual remedy, sqrt(v + 1e-8), is noise of 1e-4."""
    for layer in (tnn.VariationalLinear(4, 3), tnn.SparseVariationalLinear(4, 3)):
        x = torch.zeros(2, 4, requires_grad=True)
        y = layer(x)
        torch.testing.assert_close(y, layer.bias.expand(2, 3), rtol=0, atol=1e-9)
        y.sum().backward()
        assert all(tensor.grad.isfinite().all() for tensor in (x, *layer.parameters()))


def test_the_mean_rate_can_be_read_and_set():
    layer = tnn.VariationalLinear(4, 3, p=0.1, alpha_per="unit")
    layer.p = 0.25
    assert layer.p == pytest.approx(0.25)
    assert layer.alpha.flatten().tolist() == pytest.approx([1 / 3] * 3)
    with pytest.raises(ValueError, match=r"`p` must be a number in \(0, 1\)"):
        layer.p = 0.0
    layer.reset_parameters()
    assert layer.p == pytest.approx(0.1)


# Sparse variational dropout


@pytest.mark.parametrize("threshold", [0.0, 1.0, 3.0, math.inf])
def test_evaluation_leaves_out_what_has_a_large_alpha(threshold):
    layer = tnn.SparseVariationalLinear(40, 30, threshold=threshold, initial_log_sigma2=-4.0).eval()
    log_alpha = -4 - layer.weight.detach().double().square().log()
    kept = log_alpha < threshold
    x = torch.randn(5, 40)
    torch.testing.assert_close(layer(x), nn.functional.linear(x, layer.weight * kept, layer.bias))
    assert layer.sparsity() == pytest.approx(1 - kept.double().mean().item())
    plain = layer.to_torch()
    assert type(plain) is nn.Linear
    assert torch.equal(plain(x), layer(x))
    assert torch.equal(plain.weight == 0, ~kept)
    if threshold == 3:
        assert math.exp(3) / (1 + math.exp(3)) == pytest.approx(0.9526, abs=5e-5)


def test_sampled_moments_are_those_of_independent_weights():
    layer = tnn.SparseVariationalLinear(5, 2, dtype=torch.float64)
    with torch.no_grad():
        layer.log_sigma2.copy_(torch.linspace(-6, 0, 10).view(2, 5))
    x = torch.arange(1.0, 6).double()
    y = layer(x.expand(300_000, 5)).detach()
    sigma2 = layer.log_sigma2.detach().exp()
    for j in range(2):
        mean = (layer.weight[j] @ x + layer.bias[j]).item()
        assert_mean(y[:, j], mean)
        assert_variance(y[:, j], (sigma2[j] @ x.square()).item(), mean=mean)
    assert torch.corrcoef(y.T)[0, 1].abs() < 6 / 300_000**0.5


@pytest.mark.parametrize("layer", CONVOLUTIONS)
def test_noise_of_a_convolution_has_the_variance_of_sampled_filters(layer):
    """At each position: the variance that filters with independent noise give, known by drawing them one by one."""
    twin, shape = CONVOLUTIONS[layer]
    conv = layer.from_torch(twin(4, 2, 3, padding=1, stride=2, groups=2), initial_log_sigma2=-2.0).double()
    x = torch.randn(1, *shape[1:]).double()
    y = conv(x.expand(20_000, *shape[1:])).detach()[:, 0].flatten(1)[:, 0]
    twin_layer = conv.to_torch()
    deviation = math.exp(-1)
    samples = []
    for _ in range(1500):
        with torch.no_grad():
            twin_layer.weight.copy_(conv.weight + deviation * torch.randn_like(conv.weight))
            samples.append(twin_layer(x)[0, 0].flatten()[0])
    drawn = torch.stack(samples)
    # Two variances of normal samples: their logarithms differ by sqrt(2/n + 2/m) = 0.038 in one standard error.
    assert abs(math.log(y.var() / drawn.var())) < 6 * 0.0379
    assert_mean(y, twin.forward(conv, x)[0, 0].flatten()[0].item())


def test_a_variance_of_0_is_no_noise():
    """log sigma^2 -> -inf, that is alpha -> 0: the layer is its mean, with a finite gradient."""
    layer = tnn.SparseVariationalLinear(5, 3, initial_log_sigma2=-300.0)
    x = torch.randn(4, 5, requires_grad=True)
    y = layer(x)
    torch.testing.assert_close(y, nn.functional.linear(x, layer.weight, layer.bias), rtol=0, atol=0)
    (y.square().sum() + layer.regularization()).backward()
    assert all(tensor.grad.isfinite().all() for tensor in (x, *layer.parameters()))


def test_the_prior_reaches_large_weights_and_lets_go_of_small_ones():
    """Code that cuts log alpha off at -8 gives weights above e^4 sigma no gradient of the prior."""
    weight = torch.tensor([1.0, 0.5, 1e-3, 1e-6, 0.0], requires_grad=True)
    log_sigma2 = torch.full((5,), -10.0, requires_grad=True)
    log_alpha = F.sparse_log_alpha(weight, log_sigma2)
    assert log_alpha[0] < -8
    F.log_uniform_kl(log_alpha).sum().backward()
    # Of the prior alone, d KL / d weight = 1 / weight and d KL / d log sigma^2 = -1/2, where alpha is small.
    torch.testing.assert_close(weight.grad[:2], torch.tensor([1.0, 2.0]), rtol=2e-3, atol=0)
    torch.testing.assert_close(log_sigma2.grad[:2], torch.tensor([-0.5, -0.5]), rtol=2e-3, atol=0)
    assert log_alpha.max() == 8
    assert log_sigma2.grad[4] == weight.grad[4] == 0
    assert weight.grad.isfinite().all()
    clipped = weight.detach().clone().requires_grad_()
    F.log_uniform_kl(F.sparse_log_alpha(clipped, log_sigma2.detach()).clamp(min=-8)).sum().backward()
    assert clipped.grad[0] == 0


def test_a_weight_without_any_input_cannot_drive_its_variance_to_infinity():
    """Adam makes one size of step of any small gradient: without a bound the variance of dead inputs overflows."""
    layer = tnn.SparseVariationalLinear(2, 1, bias=False)
    optimizer = torch.optim.Adam(layer.parameters(), lr=1.0)
    for _ in range(120):
        optimizer.zero_grad()
        layer.regularization().backward()
        optimizer.step()
    assert layer.log_sigma2.max() < 40
    assert layer.log_alpha.max() == 8


@pytest.mark.parametrize(
    "options",
    [
        {"stride": 2, "padding": 1, "dilation": 2, "groups": 2, "bias": False, "padding_mode": "circular"},
        {"padding": "same", "dtype": torch.float64, "padding_mode": "replicate"},
        {"padding": 1},
    ],
)
@pytest.mark.parametrize("layer", CONVOLUTIONS)
def test_from_torch_copies_everything(layer, options):
    twin, shape = CONVOLUTIONS[layer]
    source = twin(4, 6, 3, **options).eval()
    source.weight.requires_grad_(False)
    ours = layer.from_torch(source, threshold=math.inf)
    x = torch.randn(shape, dtype=source.weight.dtype)
    assert torch.equal(ours(x), source(x))
    back = ours.to_torch()
    assert repr(back) == repr(source)
    assert torch.equal(back(x), source(x))
    for name in ("stride", "padding", "dilation", "groups", "padding_mode", "kernel_size"):
        assert getattr(ours, name) == getattr(source, name) == getattr(back, name)
    assert not ours.training
    assert not ours.weight.requires_grad
    assert not ours.log_sigma2.requires_grad
    assert ours.log_sigma2.dtype == source.weight.dtype
    ours.weight.data.zero_()
    assert source.weight.abs().sum() > 0
    with pytest.raises(TypeError, match=f"`module` must be a torch.nn.{twin.__name__}, got 'ReLU'"):
        layer.from_torch(nn.ReLU())


@pytest.mark.parametrize("layer", [tnn.VariationalLinear, tnn.SparseVariationalLinear])
def test_linear_layers_come_from_torch_and_load_its_checkpoints(layer):
    source = nn.Linear(5, 3, bias=False, dtype=torch.float64)
    ours = layer.from_torch(source)
    x = torch.randn(4, 5).double()
    assert torch.equal(ours.eval()(x), source(x))
    assert ours.bias is None
    assert {parameter.dtype for parameter in ours.parameters()} == {torch.float64}
    other = layer(5, 3, bias=False, dtype=torch.float64)
    noise = {name: value.clone() for name, value in other.state_dict().items() if name != "weight"}
    other.load_state_dict(source.state_dict(), strict=True)
    assert torch.equal(other.weight, source.weight)
    assert all(torch.equal(other.state_dict()[name], value) for name, value in noise.items())
    with pytest.raises(RuntimeError, match="Missing key"):
        other.load_state_dict(noise)
    with pytest.raises(RuntimeError, match="Missing key"):
        nn.Sequential(other).load_state_dict({})
    bare = nn.Linear(5, 3, bias=False).double()
    bare.load_state_dict({"weight": ours.state_dict()["weight"]})


# They learn


def fit(model, x, y, steps=1000, lr=0.05):
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = lr * (1 - step / steps)
        loss = 0.5 * (model(x).squeeze(-1) - y).square().mean()
        loss = loss + thinout.regularization(model, len(x), kl_weight=min(1.0, 2 * step / steps))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def data(relevant, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(400, 30, generator=generator)
    true = torch.zeros(30)
    true[:relevant] = torch.linspace(0.5, 2, relevant)
    return x, x @ true + torch.randn(400, generator=generator), true


def test_sparse_layers_keep_what_matters_and_leave_out_the_rest():
    x, y, true = data(6)
    torch.manual_seed(0)
    layer = tnn.SparseVariationalLinear(30, 1, bias=False, initial_log_sigma2=-6.0)
    fit(layer, x, y)
    log_alpha = layer.log_alpha[0]
    assert log_alpha[true != 0].max() < min(-3.0, log_alpha[true == 0].min().item())
    assert 0.5 < layer.sparsity() <= 24 / 30
    plain = torch.linalg.lstsq(x, y.unsqueeze(1)).solution.squeeze(1)
    ours, theirs = ((weight - true).square().sum() for weight in (layer.to_torch().weight[0].detach(), plain))
    assert ours < 0.5 * theirs


def test_variances_a_unit_tell_useful_inputs_from_useless_ones():
    x, y, true = data(6)
    torch.manual_seed(0)
    layer = tnn.VariationalLinear(30, 1, bias=False, noise="correlated", alpha_per="unit")
    fit(layer, x, y)
    alpha = layer.alpha
    assert alpha[true == 0].min() > alpha[true != 0].max()
    assert alpha[true != 0].max() < 0.2
    copied = copy.deepcopy(layer)
    assert torch.equal(copied.alpha, alpha)
