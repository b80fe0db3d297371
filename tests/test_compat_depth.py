"""Stochastic depth under the names of torchvision and timm: the behaviour that their own tests ask for."""

import inspect

import pytest
import torch
from scipy import stats
from torch import fx, nn

import thinout.nn as tnn
from thinout import ops
from thinout.compat import timm, torchvision

FALSE_ALARM = 1e-8  # of each statistical test; there are 6


def parameters(function):
    signature = inspect.signature(function)
    return [(name, parameter.default) for name, parameter in signature.parameters.items() if name != "self"]


REQUIRED = inspect.Parameter.empty


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (
            torchvision.stochastic_depth,
            [("input", REQUIRED), ("p", REQUIRED), ("mode", REQUIRED), ("training", True)],
        ),
        (torchvision.StochasticDepth, [("p", REQUIRED), ("mode", REQUIRED)]),
        (timm.drop_path, [("x", REQUIRED), ("drop_prob", 0.0), ("training", False), ("scale_by_keep", True)]),
        (timm.DropPath, [("drop_prob", 0.0), ("scale_by_keep", True)]),
        (
            timm.calculate_drop_path_rates,
            [("drop_path_rate", REQUIRED), ("depths", REQUIRED), ("stagewise", False)],
        ),
    ],
)
def test_arguments_stand_in_the_order_of_the_original(function, expected):
    assert parameters(function) == expected


# ---- torchvision


@pytest.mark.parametrize("mode", ["row", "batch"])
@pytest.mark.parametrize("p", [0.2, 0.5, 0.8])
def test_rows_and_batches_are_zeroed_at_the_rate(mode, p):
    layer, rows = torchvision.StochasticDepth(p, mode), 200_000 if mode == "row" else 1
    calls = 1 if mode == "row" else 5_000
    dropped = sum((layer(torch.ones(rows, 2)) == 0).all(dim=1).sum().item() for _ in range(calls))
    assert stats.binomtest(dropped, rows * calls, ops.effective_p(p)).pvalue > FALSE_ALARM


@pytest.mark.parametrize("mode", ["row", "batch"])
@pytest.mark.parametrize("p", [0.0, 1.0])
def test_the_ends_are_exact(mode, p):
    x = torch.randn(5, 10)
    y = torchvision.stochastic_depth(x, p, mode)
    assert torch.equal(y, x if p == 0 else torch.zeros_like(x))


def test_in_eval_nothing_is_dropped():
    x = torch.randn(4, 3)
    assert torchvision.StochasticDepth(0.9, "row").eval()(x) is x
    assert torchvision.stochastic_depth(x, 0.9, "row", False) is x


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.branch, self.depth = nn.Linear(3, 3), torchvision.StochasticDepth(0.5, "row")

    def forward(self, x):
        return x + self.depth(self.branch(x))


class Functional(nn.Module):
    def forward(self, x):
        return x + torchvision.stochastic_depth(x, 0.5, "row", self.training)


@pytest.mark.parametrize("model", [Residual(), Functional()])
def test_it_is_one_node_of_a_graph_that_computes_the_same(model):
    traced = fx.symbolic_trace(model)
    calls = [node for node in traced.graph.nodes if node.op == "call_function" and "depth" in node.name]
    assert len(calls) == 1
    x = torch.randn(6, 3)
    torch.manual_seed(1)
    expected = model(x)
    torch.manual_seed(1)
    assert torch.equal(traced(x), expected)


@pytest.mark.parametrize(("p", "mode"), [(-0.1, "row"), (1.1, "row"), (0.5, "column")])
def test_what_torchvision_refuses_is_refused(p, mode):
    with pytest.raises(ValueError, match="must be"):
        torchvision.stochastic_depth(torch.ones(2, 2), p, mode)


def test_both_are_thinout_layers_that_surgery_can_find():
    for layer in (torchvision.StochasticDepth(0.3, "batch"), timm.DropPath(0.3)):
        assert isinstance(layer, tnn.StochasticDepth)
        assert layer.p == 0.3
    assert repr(torchvision.StochasticDepth(0.3, "batch")) == "StochasticDepth(p=0.3, mode=batch)"


# ---- timm


@pytest.mark.parametrize("arguments", [(0.0, True), (0.5, False)])
def test_paths_stay_at_probability_zero_and_outside_training(arguments):
    x = torch.ones(2, 4, 3, 3)
    assert torch.equal(timm.drop_path(x, *arguments), x)


@pytest.mark.parametrize(("scale_by_keep", "kept"), [(True, 4.0), (False, 1.0)])
def test_kept_paths_are_scaled_if_asked(scale_by_keep, kept):
    for y in (
        timm.drop_path(torch.ones(200, 3), 0.75, True, scale_by_keep),
        timm.DropPath(0.75, scale_by_keep)(torch.ones(200, 3)),
    ):
        assert sorted(y.unique().tolist()) == [0.0, kept]
        assert torch.equal((y != 0).all(dim=1), (y != 0).any(dim=1))


def test_a_drop_path_layer_has_the_attributes_of_timm():
    layer = timm.DropPath(0.1)
    assert (layer.drop_prob, layer.scale_by_keep, repr(layer)) == (0.1, True, "DropPath(drop_prob=0.100)")
    layer.drop_prob = 0.25
    layer.scale_by_keep = False
    assert (layer.p, layer.scaled) == (0.25, False)
    with pytest.raises(ValueError, match="DropPath: `drop_prob` must be a number in"):
        layer.drop_prob = 2.0
    with pytest.raises(ValueError, match="drop_path: `drop_prob` must be a number in"):
        timm.drop_path(torch.ones(2), 2.0, True)
    x = torch.ones(3)
    assert timm.DropPath()(x) is x


def test_rates_over_depth_are_those_of_linspace():
    assert timm.calculate_drop_path_rates(0.3, 4) == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert timm.calculate_drop_path_rates(0.3, 1) == [0.0]
    assert timm.calculate_drop_path_rates(0.3, [1, 3]) == pytest.approx([0.0, 0.1, 0.2, 0.3])
    stages = timm.calculate_drop_path_rates(0.1, [2, 3, 1], stagewise=True)
    expected = [part.tolist() for part in torch.linspace(0, 0.1, 6, dtype=torch.float64).split([2, 3, 1])]
    assert [len(stage) for stage in stages] == [2, 3, 1]
    for stage, rates in zip(stages, expected, strict=True):
        assert stage == pytest.approx(rates)
    with pytest.raises(ValueError, match="`depths` must be a sequence"):
        timm.calculate_drop_path_rates(0.1, 6, stagewise=True)
