"""The term of the loss that is collected from a model."""

import pytest
import torch
from torch import Tensor, nn

import thinout
import thinout.nn as tnn


class Gate(nn.Module):
    """A layer of somebody else, whose penalty is of the size of the loss."""

    def __init__(self, penalty: float = 0.25) -> None:
        super().__init__()
        self.penalty = nn.Parameter(torch.tensor(penalty))

    def forward(self, x: Tensor) -> Tensor:
        return x

    def regularization(self) -> Tensor:
        return self.penalty * 1


def sparse(**options):
    return tnn.SparseVariationalLinear(4, 4, **options)


def test_totals_are_divided_by_the_examples_once_and_penalties_are_not():
    layers = sparse(), Gate(), tnn.VariationalDropout(4)
    total = layers[0].regularization() + layers[2].regularization()
    got = thinout.regularization(nn.Sequential(*layers), 50)
    torch.testing.assert_close(got, total / 50 + 0.25)
    torch.testing.assert_close(thinout.regularization(nn.Sequential(*layers), 100), total / 100 + 0.25)
    assert got.shape == ()


@pytest.mark.parametrize("weight", [0.0, 0.3, torch.tensor(0.3)])
def test_the_weight_of_warm_up_is_of_the_divergences(weight):
    layers = sparse(), Gate()
    got = thinout.regularization(nn.Sequential(*layers), 10, kl_weight=weight)
    torch.testing.assert_close(got, layers[0].regularization() * weight / 10 + 0.25)


def test_it_is_computed_anew_at_each_call_and_never_accumulated():
    layer = sparse()
    first, second = (thinout.regularization(layer, 10) for _ in range(2))
    assert torch.equal(first, second)
    first.backward()  # each has a graph of its own
    second.backward()
    with torch.no_grad():
        layer.log_sigma2.add_(1.0)
    assert thinout.regularization(layer, 10) < first
    assert torch.equal(thinout.regularization(layer.eval(), 10), thinout.regularization(layer.train(), 10))


def test_a_shared_module_counts_once():
    shared, other = sparse(), sparse()
    model = nn.ModuleDict({"a": shared, "b": nn.Sequential(shared, other), "c": shared})
    expected = (shared.regularization() + other.regularization()) / 10
    torch.testing.assert_close(thinout.regularization(model, 10), expected)


def test_a_compiled_module_counts_once():
    layer = sparse()
    compiled = torch.compile(layer, backend="eager")
    assert compiled.regularization() is not None  # it answers for the layer in it
    torch.testing.assert_close(thinout.regularization(compiled, 10), layer.regularization() / 10)
    model = nn.Sequential(compiled, Gate())
    torch.testing.assert_close(thinout.regularization(model, 10), layer.regularization() / 10 + 0.25)


def test_types_and_devices_of_layers_can_differ():
    model = nn.Sequential(sparse(dtype=torch.bfloat16), sparse(dtype=torch.float64), sparse())
    assert thinout.regularization(model, 10).dtype == torch.float64
    assert thinout.regularization(model[0], 10).dtype == torch.float32
    expected = sum(layer.double().regularization() for layer in model) / 10
    torch.testing.assert_close(thinout.regularization(model, 10), expected)
    assert thinout.regularization(sparse(device="meta"), 10).is_meta


def test_a_step_compiles_once_for_all_settings_and_weights():
    linear = nn.Linear(4, 4)
    model = nn.Sequential(tnn.ConcreteDropout(0.2, following=linear), linear, sparse(), Gate())
    graphs = []

    def count(graph, inputs):
        graphs.append(graph)
        return graph

    def step(kl_weight):
        return thinout.regularization(model, 10, kl_weight=kl_weight)

    torch._dynamo.reset()
    compiled = torch.compile(step, backend=count, fullgraph=True)
    for value in (0.1, 0.5, 2.0):
        model[0].weight_regularizer, model[0].dropout_regularizer = value, 1 / value
        weight = torch.tensor(value)
        got, expected = compiled(weight), step(weight)
        torch.testing.assert_close(got, expected)
    assert len(graphs) == 1


@pytest.mark.parametrize(
    ("model", "options", "error", "match"),
    [
        (nn.Sequential(nn.Linear(2, 2)), {}, ValueError, "`model` must be a model with a layer that has a regularizat"),
        (nn.Linear(2, 2), {}, ValueError, "Put one in, such as ConcreteDropout, VariationalLinear or SparseVariat"),
        ([sparse()], {}, TypeError, "`model` must be a torch.nn.Module, got 'list'"),
        (sparse(), {"num_examples": 0}, ValueError, "`num_examples` must be a whole number of at least 1, got 0"),
        (sparse(), {"num_examples": 10.0}, TypeError, "`num_examples` must be a whole number of at least 1, got 10.0"),
        (sparse(), {"kl_weight": -1.0}, ValueError, "`kl_weight` must be a finite number of at least 0, got -1.0"),
        (sparse(), {"kl_weight": "1"}, TypeError, "`kl_weight` must be a finite number of at least 0, got '1'"),
    ],
)
def test_wrong_uses_are_answered(model, options, error, match):
    with pytest.raises(error, match=match):
        thinout.regularization(model, **{"num_examples": 10, **options})


def test_a_concrete_layer_that_knows_of_no_weights_stops_the_sum():
    with pytest.raises(RuntimeError, match="`following` must be the layer behind the dropout"):
        thinout.regularization(nn.Sequential(sparse(), tnn.ConcreteDropout(0.2)), 10)
