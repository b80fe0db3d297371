"""Standout, information dropout, shakeout, multi-sample dropout, swapout, nested dropout: what their papers claim.

False-alarm rates are those of `_moments`; seeds are fixed.
"""

import copy
import math
import pickle

import pytest
import torch
from _moments import ERRORS, assert_mean, assert_rate, assert_variance
from torch import nn
from torch.distributions import Normal
from torch.nn.functional import cross_entropy, linear
from torch.utils.checkpoint import checkpoint

import thinout.nn as tnn
from thinout import functional as F
from thinout import ops

# Standout


@pytest.mark.parametrize("beta", [-1.0, 0.0, 2.0])
def test_standout_without_slope_is_classic_dropout(beta):
    keep_prob = torch.tensor(beta).sigmoid()
    h, a = torch.ones(500_000), torch.randn(500_000)
    assert_rate(F.standout(h, a, alpha=0.0, beta=beta, training=True) != 0, keep_prob)
    y = F.standout(h, a, alpha=0.0, beta=beta, training=False)
    torch.testing.assert_close(y, h * keep_prob)


def test_standout_is_on_average_what_it_is_in_eval_mode():
    a = torch.randn(6)
    many = a.expand(200_000, 6)
    y = F.standout(many.tanh(), many, alpha=1.5, beta=-0.5, training=True)
    expected = F.standout(a.tanh(), a, alpha=1.5, beta=-0.5, training=False)
    for unit in range(6):
        assert_mean(y[:, unit], expected[unit])


def test_a_larger_preactivation_keeps_more():
    h, a = torch.ones(10_000), torch.randn(10_000)
    kept = []
    for shift in (0.0, 1.0):
        torch.manual_seed(1)
        kept.append(F.standout(h, a + shift, training=True) != 0)
    assert (kept[1] >= kept[0]).all()
    assert kept[1].sum() > kept[0].sum()


@pytest.mark.parametrize("training", [True, False])
def test_no_gradient_flows_through_the_keep_probability(training):
    layer, x = tnn.Standout(nn.Linear(4, 5), torch.tanh, alpha=2.0).train(training), torch.randn(3, 4)
    y = layer(x)
    h = layer.linear(x).tanh()
    factor = (y / h).detach()  # the mask, or the keep probability
    weights = tuple(layer.parameters())
    got, expected = torch.autograd.grad(y.sum(), weights), torch.autograd.grad((h * factor).sum(), weights)
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_small_rates_are_right_in_half_precision(dtype):
    """The rate 0.001, which uniform numbers of the type of the input cannot have."""
    h, beta = torch.ones(2_000_000, dtype=dtype), math.log(999)
    y = F.standout(h, torch.zeros_like(h), beta=beta, training=True)
    assert y.dtype == dtype
    assert_rate(y == 0, 0.001)
    with pytest.raises(AssertionError):
        assert_rate(torch.rand(h.shape, dtype=dtype) < 0.001, 0.001)


def test_standout_drops_infinities_and_wraps_convolutions():
    h = torch.full((100,), float("inf"))
    y = F.standout(h, torch.zeros(100), training=True)
    assert set(y.tolist()) == {0.0, math.inf}
    layer = tnn.Standout(nn.Conv2d(2, 3, 3), beta=0.5)
    assert layer(torch.randn(2, 2, 5, 5)).shape == (2, 3, 3, 3)
    assert set(layer.state_dict()) == {"linear.weight", "linear.bias"}
    with pytest.raises(ValueError, match="`preactivation` must be of the shape"):
        F.standout(h, torch.zeros(99), training=True)


def test_new_settings_of_standout_compile_nothing_again():
    layer, x, graphs = tnn.Standout(nn.Linear(4, 5)), torch.randn(3, 4), []
    torch._dynamo.reset()
    compiled = torch.compile(layer, backend=lambda graph, _: graphs.append(graph) or graph.forward, fullgraph=True)
    for layer.alpha, layer.beta in ((1.0, 0.0), (-2.0, 0.5), (0.0, 3.0)):
        outputs = []
        for function in (compiled, layer):
            torch.manual_seed(1)
            outputs.append(function(x))
        assert torch.equal(*outputs)
    assert len(graphs) == 1


# Information dropout


def test_the_noise_is_log_normal_with_median_one():
    alpha = 0.5 * torch.tensor(0.3).sigmoid().item()
    y = F.information_dropout(
        torch.full((500_000,), 2.0).double(), torch.tensor(0.3).double(), alpha_max=0.5, training=True
    )
    logarithm = (y / 2).log()
    assert_mean(logarithm, 0)
    assert_variance(logarithm, alpha**2, mean=0)
    assert_rate(y > 2, 0.5)
    assert_mean(y, 2 * math.exp(alpha**2 / 2))


def test_the_penalty_is_the_divergence_from_a_log_uniform_prior():
    """Up to a constant the divergence is minus the entropy of the logarithm, which is Normal(log x, alpha)."""
    logits = torch.randn(2, 50, dtype=torch.float64) * 20
    x = torch.ones(1, 50)
    penalties = [F.information_penalty(x, own.unsqueeze(0)) for own in logits]
    entropies = Normal(0, 0.7 * logits.sigmoid()).entropy().sum(1)
    torch.testing.assert_close(penalties[0] - penalties[1], entropies[1] - entropies[0])
    assert F.information_penalty(x, torch.full((1, 50), -1e4)) == 5e5  # where the logarithm of a sigmoid is -inf


def test_the_penalty_is_summed_over_elements_and_averaged_over_examples():
    layer, x = tnn.InformationDropout(beta=0.25), torch.randn(4, 3, 5, 5)
    layer(x, torch.zeros(3, 1, 1))
    assert layer.regularization() == pytest.approx(0.25 * 3 * 25 * math.log(2))
    layer.eval()(x[:2], torch.zeros(3, 1, 1))
    assert layer.regularization() == pytest.approx(0.25 * 3 * 25 * math.log(2))
    layer.beta = 0.0
    assert layer.regularization() == 0


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.size, self.noise = nn.Linear(4, 3), nn.Linear(4, 3), tnn.InformationDropout(beta=0.1)

    def forward(self, x):
        return self.noise(self.body(x).relu(), self.size(x))


def gradients(model, run):
    torch.manual_seed(1)
    loss = run() + model.noise.regularization()
    return torch.autograd.grad(loss, tuple(model.parameters()))


@pytest.mark.parametrize("how", ["compiled", "checkpointed"])
def test_the_penalty_keeps_its_gradient(how):
    model, x = Encoder(), torch.randn(6, 4)
    expected = gradients(model, lambda: model(x).sum())
    if how == "compiled":
        torch._dynamo.reset()
        compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
        got = gradients(model, lambda: compiled(x).sum())
    else:
        got = gradients(model, lambda: checkpoint(model, x, use_reentrant=False).sum())
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_the_penalty_alone_drives_the_noise_up():
    model, x = Encoder(), torch.randn(6, 4)
    before = model.size(x).sum()
    for _ in range(10):
        model(x)
        (gradient,) = torch.autograd.grad(model.noise.regularization(), model.size.bias)
        model.size.bias.data -= gradient
    assert model.size(x).sum() > before


def test_a_copy_has_seen_nothing():
    layer = tnn.InformationDropout()
    with pytest.raises(RuntimeError, match="`regularization` must be asked for after a forward pass"):
        layer.regularization()
    layer(nn.Linear(2, 3)(torch.randn(4, 2)), torch.zeros(3))
    assert layer.regularization() > 0
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        with pytest.raises(RuntimeError, match="after a forward pass"):
            twin.regularization()
    vmapped = tnn.InformationDropout()
    torch.func.vmap(vmapped, randomness="different")(torch.ones(2, 3), torch.zeros(2, 3))
    with pytest.raises(RuntimeError, match=r"Under torch.func call thinout.functional.information_penalty"):
        vmapped.regularization()


# Shakeout


def test_shakeout_keeps_the_mean_and_has_the_stated_variance():
    tau, c, num = 0.3, 0.4, 300_000
    weight, x = torch.randn(3, 4, dtype=torch.float64), torch.randn(4, dtype=torch.float64)
    weight[1, 2] = 0
    y = F.shakeout_linear(x.expand(num, 4), weight, tau=tau, c=c, training=True)
    tau = ops.effective_p(tau)
    of_weights = torch.where(weight == 0, 0, (weight.abs() + c) ** 2 * tau / (1 - tau))
    for unit, (mean, variance) in enumerate(zip(weight @ x, of_weights @ x**2, strict=True)):
        assert_mean(y[:, unit], mean)
        assert_variance(y[:, unit], variance, mean)


def test_shakeout_without_pull_is_dropout_of_the_inputs():
    x, weight, bias = torch.randn(5, 8), torch.randn(3, 8), torch.randn(3)
    y = F.shakeout_linear(x, weight, bias, tau=0.4, c=0.0, training=True, key=3)
    assert torch.equal(y, linear(F.dropout(x, 0.4, training=True, key=3), weight, bias))


def test_a_zero_weight_contributes_nothing():
    bias = torch.randn(3)
    y = F.shakeout_linear(torch.randn(5, 8), torch.zeros(3, 8), bias, c=5.0, training=True)
    assert torch.equal(y, bias.expand(5, 3))


def test_shakeout_of_everything_leaves_the_signs():
    x, weight = torch.randn(5, 8), torch.randn(3, 8)
    y = F.shakeout_linear(x, weight, tau=1.0, c=0.5, training=True)
    torch.testing.assert_close(y, -0.5 * x @ weight.sign().T)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_a_linear_layer_becomes_shakeout_with_all_that_it_has(bias, training):
    source = nn.Linear(4, 3, bias=bias, dtype=torch.float64).train(training)
    source.weight.requires_grad_(False)
    state = torch.get_rng_state()
    layer = tnn.ShakeoutLinear.from_torch(source, tau=0.2, c=0.3)
    assert torch.equal(torch.get_rng_state(), state)
    assert (layer.tau, layer.c, layer.training) == (0.2, 0.3, training)
    assert (layer.in_features, layer.out_features) == (4, 3)
    assert {name: (value.dtype, value.requires_grad) for name, value in layer.named_parameters()} == {
        name: (value.dtype, value.requires_grad) for name, value in source.named_parameters()
    }
    x = torch.randn(2, 4, dtype=torch.float64)
    expected = source(x)
    assert torch.equal(layer.eval()(x), expected)
    source.weight.mul_(2)
    assert torch.equal(layer(x), expected)  # copies, not shares
    layer.load_state_dict(source.state_dict())
    source.load_state_dict(layer.state_dict())
    with pytest.raises(TypeError, match=r"`module` must be a torch.nn.Linear"):
        tnn.ShakeoutLinear.from_torch(nn.Conv1d(1, 1, 1))


# Multi-sample dropout


def test_one_sample_is_dropout_and_head():
    head, x = nn.Linear(6, 4), torch.randn(5, 6)
    y = tnn.MultiSampleDropout(head, 0.3, num_samples=1)(x, key=3)
    assert torch.equal(y, head(F.dropout(x, 0.3, training=True, key=3)).unsqueeze(0))


def test_samples_differ_and_eval_is_the_head():
    head, x = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)), torch.randn(4, 2, 5, 5)
    layer = tnn.MultiSampleDropout(head, num_samples=6)
    y = layer(x)
    assert y.shape == (6, 4, 3, 3, 3)
    assert len({tuple(sample.flatten().tolist()) for sample in y}) == 6
    assert torch.equal(layer.eval()(x), head(x))
    assert layer.train()(x).shape == tnn.MultiSampleDropout(head, 0.0, num_samples=6)(x).shape


def batch():
    return torch.randn(16, 20), torch.randint(3, (16,))


def test_the_gradient_is_the_mean_of_those_of_the_samples():
    (x, target), head = batch(), nn.Linear(20, 3)
    layer = tnn.MultiSampleDropout(head, num_samples=4)
    logits = layer(x)
    (got,) = torch.autograd.grad(layer.loss(cross_entropy, logits, target), head.weight, retain_graph=True)
    each = [torch.autograd.grad(cross_entropy(own, target), head.weight, retain_graph=True)[0] for own in logits]
    torch.testing.assert_close(got, torch.stack(each).mean(0))
    assert torch.equal(layer.eval().loss(cross_entropy, head(x), target), cross_entropy(head(x), target))


def test_the_variance_of_the_gradient_over_masks_falls_with_the_number_of_samples():
    (x, target), head, repeats = batch(), nn.Linear(20, 3), 1500
    spread = {}
    for num_samples in (1, 4):
        layer = tnn.MultiSampleDropout(head, num_samples=num_samples)
        runs = torch.stack(
            [
                torch.autograd.grad(layer.loss(cross_entropy, layer(x), target), head.weight)[0].flatten()
                for _ in range(repeats)
            ]
        )
        squares = (runs - runs.mean(0)).square().sum(1)
        spread[num_samples] = squares.mean(), squares.std() / repeats**0.5
    (one, one_error), (four, four_error) = spread[1], spread[4]
    error = math.hypot(one_error / 4, four_error)
    assert abs(one / 4 - four) < ERRORS * error
    assert error < 0.05 * four  # so that a factor of 2 in place of 4 could not pass


def test_the_loss_of_the_mean_is_another_objective():
    (x, target), layer = batch(), tnn.MultiSampleDropout(nn.Linear(20, 3))
    logits = layer(x)
    mean_of_losses = layer.loss(cross_entropy, logits, target)
    assert torch.equal(mean_of_losses, F.multi_sample_loss(cross_entropy, logits, target, training=True))
    assert cross_entropy(logits.mean(0), target) < mean_of_losses - 1e-3  # Jensen


# Swapout


@pytest.mark.parametrize("training", [True, False])
def test_a_noise_shape_that_does_not_fit_is_refused_in_each_mode(training):
    with pytest.raises(ValueError, match="swapout: `noise_shape` must be of length 1"):
        F.swapout(torch.ones(2), torch.ones(2), training=training, noise_shape=(1, 2))


def test_special_cases_of_swapout():
    x, branch = torch.randn(2, 6, 5)
    assert torch.equal(F.swapout(x, branch, p_skip=0.0, p_branch=0.0, training=True), x + branch)
    y = F.swapout(x, branch, p_skip=1.0, p_branch=0.4, training=True)  # classic dropout of a layer without a skip
    assert ((y == 0) | (y == branch)).all()
    y = F.swapout(x, branch, p_skip=0.0, p_branch=0.4, training=True, noise_shape=(None, 1))  # stochastic depth
    survives = (y == x + branch).all(1)
    assert torch.equal(y[~survives], x[~survives])
    assert 0 < survives.sum() < 6


def test_the_four_outcomes_of_swapout_have_their_probabilities():
    num, p_skip, p_branch = 400_000, 0.25, 0.625
    y = F.swapout(torch.ones(num), torch.full((num,), 2.0), p_skip=p_skip, p_branch=p_branch, training=True)
    for outcome, probability in (
        (0, p_skip * p_branch),
        (1, (1 - p_skip) * p_branch),
        (2, p_skip * (1 - p_branch)),
        (3, (1 - p_skip) * (1 - p_branch)),
    ):
        assert_rate(y == outcome, probability)  # products: the two masks are independent
    expected = F.swapout(torch.ones(1), torch.full((1,), 2.0), p_skip=p_skip, p_branch=p_branch, training=False)
    assert_mean(y, expected.item())


# Nested dropout


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_prefixes_are_kept_with_the_geometric_probabilities(p):
    kept = F.nested_dropout(torch.ones(200_000, 8), p, training=True) != 0
    assert (kept[:, :-1] >= kept[:, 1:]).all()  # prefixes
    assert kept[:, 0].all()  # a geometric number that counts from 0 drops all units
    for unit in range(1, 8):
        assert_rate(kept[:, unit], (1 - p) ** unit)
    with pytest.raises(AssertionError):
        assert_rate(torch.empty(200_000).geometric_(p) - 1 > 3, (1 - p) ** 3)


def test_examples_have_their_own_prefix_and_positions_share_it():
    x = torch.randn(64, 6, 3, 2)
    y = tnn.NestedDropout(0.3)(x)
    kept = y != 0
    assert torch.equal(kept, kept[:, :, :1, :1].expand_as(kept))
    assert torch.equal(y[kept], x[kept])
    lengths = kept[:, :, 0, 0].sum(1)
    assert lengths.unique().numel() > 2
    sequence = F.nested_dropout(torch.ones(4, 5, 6), 0.3, training=True, dim=-1)
    assert torch.equal(sequence, sequence[:, :1].expand_as(sequence))


def test_edges_of_nested_dropout():
    x = torch.tensor([[1.0, math.inf, math.nan]])
    assert F.nested_dropout(x, 1.0, training=True).tolist() == [[1.0, 0.0, 0.0]]
    assert F.nested_dropout(x, 0.0, training=True) is x
    assert F.nested_dropout(x[0, :1], 0.5, training=True, dim=0).tolist() == [1.0]
    with pytest.raises(ValueError, match="`dim` must be a dimension of the input"):
        F.nested_dropout(x, 0.5, training=True, dim=2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_uniform_numbers_are_those_of_torch(dtype):
    """What decides in standout, uout and nested dropout is `torch.rand`, by an operator that inductor keeps."""
    x = torch.ones(1001, dtype=dtype)
    torch.manual_seed(1)
    y = F.uout(x, 1.0, training=True)
    torch.manual_seed(1)
    assert torch.equal(y, 2 * torch.rand(1001, dtype=dtype))
