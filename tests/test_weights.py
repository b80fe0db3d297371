"""Targeted dropout, hard-concrete gates, fraternal loss.

Random tests are exact binomial tests at 1e-8 or compare at 6 standard errors: of about 30 comparisons a false alarm has
a probability below 1e-6. Seeds are fixed.
"""

from __future__ import annotations

import math

import pytest
import scipy.stats
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

import thinout.functional as F
import thinout.nn as tnn
from thinout import losses, ops

SIGMA = 6
LEVEL = 1e-8


def assert_rate(dropped: int, trials: int, p: float) -> None:
    assert scipy.stats.binomtest(dropped, trials, p).pvalue > LEVEL


# ----- Targeted dropout


def drop(weight: Tensor, **options) -> Tensor:
    return F.targeted_weight_dropout(weight, **{"alpha": 0.5, "gamma": 0.5, "training": True, **options})


def drop_units(weight: Tensor, **options) -> Tensor:
    return F.targeted_unit_dropout(weight, **{"alpha": 0.5, "gamma": 0.5, "training": True, **options})


@pytest.mark.parametrize(
    ("gamma", "fan_in", "candidates"), [(0.5, 10, 5), (0.29, 100, 29), (0.55, 10, 5), (0.09, 10, 0), (1.0, 7, 7)]
)
def test_evaluation_prunes_the_smallest_of_each_unit(gamma: float, fan_in: int, candidates: int) -> None:
    weight = torch.randn(4, fan_in)
    pruned = drop(weight, gamma=gamma, training=False)
    order = weight.abs().argsort(dim=1)
    expected = weight.scatter(1, order[:, :candidates], 0.0)
    assert torch.equal(pruned, expected)


def test_only_candidates_are_dropped_each_with_probability_alpha() -> None:
    weight, alpha, gamma = torch.randn(50, 40), 0.3, 0.75
    candidates = drop(weight, gamma=gamma, training=False) == 0
    assert candidates.sum(1).eq(30).all()
    counts = torch.zeros_like(weight)
    for _ in range(200):
        y = drop(weight, alpha=alpha, gamma=gamma)
        assert torch.equal(y[~candidates], weight[~candidates])
        assert ((y == 0) | (y == weight)).all()  # nothing is rescaled
        counts += y == 0
    assert_rate(int(counts.sum()), 200 * 50 * 30, ops.effective_p(alpha))
    spread = counts[candidates].var().item()  # independent draws: binomial
    assert spread == pytest.approx(200 * alpha * (1 - alpha), rel=6 * (2 / 1500) ** 0.5)


@pytest.mark.parametrize("dropper", [drop, drop_units])
def test_alpha_one_is_evaluation_and_alpha_or_gamma_zero_the_weight(dropper) -> None:
    weight = torch.randn(6, 8)
    assert torch.equal(dropper(weight, alpha=1.0), dropper(weight, training=False))
    assert not torch.equal(dropper(weight, alpha=1.0), weight)
    assert dropper(weight, alpha=0.0) is weight
    assert dropper(weight, gamma=0.0) is weight
    assert dropper(weight, gamma=0.0, training=False) is weight


@pytest.mark.parametrize("dropper", [drop, drop_units])
def test_ties_make_no_candidates_unless_all_are(dropper) -> None:
    weight = torch.ones(4, 6)
    assert torch.equal(dropper(weight, gamma=0.9, training=False), weight)
    assert torch.equal(dropper(weight, gamma=1.0, training=False), torch.zeros(4, 6))
    weight[0, 0] = float("nan")
    weight[1, 0] = float("inf")
    assert torch.equal(dropper(weight, gamma=1.0, alpha=1.0), torch.zeros(4, 6))


def test_units_are_dropped_whole_and_evaluation_is_deterministic() -> None:
    weight = torch.randn(400, 6) * torch.rand(400, 1)
    norms = weight.norm(dim=1)
    candidates = norms < norms.sort().values[200]
    pruned = drop_units(weight, training=False)
    assert torch.equal(pruned, weight.masked_fill(candidates[:, None], 0.0))
    assert torch.equal(drop_units(weight, training=False), pruned)  # the authors' was random here
    y = drop_units(weight, alpha=0.3)
    dropped = (y == 0).all(1)
    assert torch.equal(y, weight.masked_fill(dropped[:, None], 0.0))  # the authors' dropped single elements
    assert not (dropped & ~candidates).any()
    assert_rate(int(dropped.sum()), 200, ops.effective_p(0.3))


@pytest.mark.parametrize("dropper", [drop, drop_units])
def test_dropped_weights_get_no_gradient_and_the_choice_has_none(dropper) -> None:
    weight = torch.randn(6, 8, requires_grad=True)
    y = dropper(weight, alpha=0.7, key=4)
    y.sum().backward()
    assert torch.equal(weight.grad, (y != 0).to(weight.dtype))


@pytest.mark.parametrize("dropper", [drop, drop_units])
def test_filters_and_transposed_layouts_have_their_units_where_dim_says(dropper) -> None:
    weight = torch.randn(5, 3, 2, 2)
    flat = dropper(weight.flatten(1), training=False)
    assert torch.equal(dropper(weight, training=False), flat.view_as(weight))
    turned = weight.transpose(0, 1)  # as of nn.ConvTranspose2d: (in, out, ...)
    for dim in (1, -3):
        assert torch.equal(dropper(turned, dim=dim, training=False), flat.view_as(weight).transpose(0, 1))
        assert torch.equal(dropper(turned, dim=dim, alpha=1.0), flat.view_as(weight).transpose(0, 1))


@pytest.mark.parametrize("dropper", [drop, drop_units])
def test_compiled_choice_is_the_eager_one(dropper) -> None:
    weight = torch.randn(10, 10)
    weight[0, :4] = float("nan")
    weight[1] = 1.0
    for gamma in (0.0, 0.3, 0.55, 0.95, 1.0):  # a tensor is what compiled code has
        tensor = torch.tensor([gamma], dtype=torch.float64)
        eager = dropper(weight, gamma=gamma, training=False)
        assert torch.equal(dropper(weight, gamma=tensor, training=False).nan_to_num(7), eager.nan_to_num(7)), gamma


@pytest.mark.parametrize("dropper", [drop, drop_units])
@pytest.mark.parametrize("dim", [2, -3, 7])
def test_a_dimension_that_the_weight_does_not_have_is_refused(dropper, dim) -> None:
    with pytest.raises(ValueError, match=rf"`dim` must be a dimension of the weight \(4, 3\), got {dim}"):
        dropper(torch.ones(4, 3), alpha=0.5, gamma=0.5, training=False, dim=dim)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_a_weight_without_elements_passes(shape) -> None:
    for dropper in (drop, drop_units):
        assert dropper(torch.ones(shape)).shape == shape


def test_targeted_dropout_as_a_parametrization_leaves_pruned_weights() -> None:
    layer, x = nn.Linear(8, 4), torch.randn(2, 8)
    raw = layer.weight.detach().clone()
    targeted = tnn.TargetedWeightDropout(alpha=0.5, gamma=0.5)
    parametrize.register_parametrization(layer, "weight", targeted)
    assert not torch.equal(layer(x), layer(x))
    layer(x).sum().backward()
    assert layer.parametrizations.weight.original.grad.any()
    layer.eval()
    targeted.gamma = 0.75
    expected = drop(raw, gamma=0.75, training=False)
    assert torch.equal(layer(x), nn.functional.linear(x, expected, layer.bias))
    parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
    assert torch.equal(layer.weight, expected)


# ----- Hard-concrete gates


@pytest.mark.parametrize("location", [-2.0, 0.0, 1.5])
def test_gates_are_open_closed_and_full_as_often_as_the_closed_form_says(location: float) -> None:
    number, beta, gamma, zeta = 100_000, 2 / 3, -0.1, 1.1
    z = F.hard_concrete(torch.tensor([location]), training=True, shape=(number,))
    assert z.min() >= 0
    assert z.max() <= 1
    open_probability = F.hard_concrete_l0(torch.tensor(location).double()).item()
    assert open_probability == pytest.approx(1 / (1 + math.exp(-location + beta * math.log(-gamma / zeta))), rel=1e-12)
    assert_rate(int((z > 0).sum()), number, open_probability)
    # z = 1 where s >= (1 - gamma) / (zeta - gamma).
    bound = (1 - gamma) / (zeta - gamma)
    full = 1 / (1 + math.exp(beta * math.log(bound / (1 - bound)) - location))
    assert_rate(int((z == 1).sum()), number, full)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_gates_begin_closed_with_probability_p(p: float) -> None:
    gate = tnn.HardConcreteGate(50_000, p=p)
    assert_rate(int((gate.gates() == 0).sum()), 50_000, p)
    assert gate.regularization().item() == pytest.approx(50_000 * (1 - p), rel=1e-5)
    gate.penalty = 0.25
    assert gate.regularization().item() == pytest.approx(0.25 * 50_000 * (1 - p), rel=1e-5)


def test_the_penalty_closes_gates_and_agrees_with_finite_differences() -> None:
    gate = tnn.HardConcreteGate(4, dtype=torch.float64)
    gate.regularization().backward()
    assert (gate.log_alpha.grad > 0).all()  # a step against it closes
    location = torch.randn(4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: F.hard_concrete_l0(x).sum(), location)
    assert gate.regularization().shape == ()


def test_gates_driven_to_the_ends_stay_finite() -> None:
    gate = tnn.HardConcreteGate(2)
    with torch.no_grad():
        gate.log_alpha.copy_(torch.tensor([-1e4, 1e4]))
    x = torch.ones(3, 2, requires_grad=True)
    y = gate(x)
    (y.sum() + gate.regularization()).backward()
    assert torch.equal(y, torch.tensor([[0.0, 1.0]]).expand(3, 2))
    assert gate.regularization().item() == 1.0
    assert gate.log_alpha.grad.isfinite().all()
    assert torch.equal(gate.eval()(x), y)


def test_a_uniform_of_zero_is_a_closed_gate_with_a_finite_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "randint", lambda low, high, shape, **options: torch.zeros(shape))
    location = torch.zeros(3, requires_grad=True)
    z = F.hard_concrete(location, training=True)
    z.sum().backward()
    assert torch.equal(z, torch.zeros(3))
    assert torch.equal(location.grad, torch.zeros(3))


def test_gates_are_of_a_batch_or_of_an_example() -> None:
    x = torch.ones(5, 16, 2, 2)
    gate = tnn.HardConcreteGate(16, dim=1)
    y = gate(x)
    assert torch.equal(y, y[:1, :, :1, :1].expand_as(y))
    gate.mode = "example"
    y = gate(x)
    assert torch.equal(y, y[:, :, :1, :1].expand_as(y))
    assert len({tuple(row.tolist()) for row in y[:, :, 0, 0]}) == 5
    gate.eval()
    assert torch.equal(gate(x), gate(x))


def test_gates_of_useless_features_close() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(256, 10, generator=generator)
    y = x[:, :3] @ torch.tensor([2.0, -1.5, 1.0])
    gate, linear = tnn.HardConcreteGate(10, p=0.2), nn.Linear(10, 1)
    optimiser = torch.optim.Adam([*gate.parameters(), *linear.parameters()], lr=0.05)
    for _ in range(400):
        loss = (linear(gate(x)).squeeze(1) - y).square().mean() + 0.05 * gate.regularization()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    gates = gate.eval().gates()
    assert (gates[:3] > 0.9).all()
    assert torch.equal(gates[3:], torch.zeros(7))
    assert gate.regularization() < 4


# ----- Fraternal dropout


def test_fraternal_loss_is_the_papers_and_symmetric() -> None:
    first, second = torch.randn(2, 5, 4, 3)
    expected = 0.1 * (first - second).pow(2).mean()  # as in the authors' README
    torch.testing.assert_close(F.fraternal_loss(first, second, kappa=0.1), expected)
    assert torch.equal(F.fraternal_loss(second, first, kappa=0.1), F.fraternal_loss(first, second, kappa=0.1))
    each = F.fraternal_loss(first, second, kappa=0.1, reduction="none")
    assert each.shape == (5, 4)
    torch.testing.assert_close(each.mean(), expected)


def test_fraternal_loss_without_dropout_is_zero() -> None:
    model, x = nn.Sequential(nn.Linear(4, 3), tnn.Dropout(0.0)), torch.randn(6, 4)
    assert losses.FraternalLoss()(model(x), model(x)) == 0


def test_fraternal_loss_is_twice_the_variance_over_masks() -> None:
    p, kappa, number = 0.25, 0.15, 100_000
    x, weight = torch.tensor([1.0, -2.0, 0.5]).double(), torch.randn(2, 3).double()
    passes = [F.dropout(x.expand(number, 3), p, training=True) @ weight.T for _ in range(2)]
    losses = F.fraternal_loss(*passes, kappa=kappa, reduction="none")
    variance = p / (1 - p) * weight.square() @ x.square()
    expected = kappa * 2 * variance.mean()
    assert abs(losses.mean() - expected) < SIGMA * losses.std() / number**0.5


def test_fraternal_loss_has_gradients_in_both_passes_and_refuses_to_broadcast() -> None:
    first, second = torch.randn(2, 5, 3, requires_grad=True).unbind()
    one, other = torch.autograd.grad(F.fraternal_loss(first, second), (first, second))
    assert torch.equal(one, -other)
    with pytest.raises(ValueError, match=r"`second` must be of the shape \(5, 3\)"):
        F.fraternal_loss(first, second[:1])


def test_compiled_fraternal_loss_follows_kappa_without_a_new_graph() -> None:
    layer, graphs = losses.FraternalLoss(), []

    def count(graph, arguments):
        graphs.append(graph)
        return graph

    torch._dynamo.reset()
    compiled = torch.compile(layer, backend=count, fullgraph=True)
    first, second = torch.randn(2, 5, 3)
    for kappa in (0.0, 0.1, 0.25, 3.0):
        layer.kappa = kappa
        torch.testing.assert_close(compiled(first, second), layer(first, second))
    assert len(graphs) == 1
