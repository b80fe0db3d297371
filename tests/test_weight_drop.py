"""WeightDrop: on recurrent layers and any other module; the bugs of other implementations, one test each.

The one random test is exact binomial at 1e-8; seeds are fixed.
"""

from __future__ import annotations

import copy
import io
import os
import pickle
import warnings
from pathlib import Path

import pytest
import scipy.stats
import torch
from torch import Tensor, nn
from torch.nn.utils import rnn
from torch.utils.checkpoint import checkpoint

import thinout.functional as F
import thinout.nn as tnn

# What torch says of its own kernel, once a process.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
RECURRENT = {
    "LSTM": lambda: (nn.LSTM(6, 5), ["weight_hh_l0"]),
    "GRU": lambda: (nn.GRU(6, 5), ["weight_hh_l0"]),
    "RNN": lambda: (nn.RNN(6, 5), ["weight_hh_l0"]),
    "two ways, two layers": lambda: (
        nn.LSTM(6, 5, 2, bidirectional=True),
        ["weight_hh_l0", "weight_hh_l1_reverse", "weight_ih_l1"],
    ),
    "projection": lambda: (nn.LSTM(6, 5, proj_size=3), ["weight_hh_l0"]),
}


@pytest.fixture(params=RECURRENT)
def layer(request: pytest.FixtureRequest) -> tnn.WeightDrop:
    module, names = RECURRENT[request.param]()
    return tnn.WeightDrop(module, names, p=0.5)


@pytest.fixture
def x() -> Tensor:
    return torch.randn(7, 3, 6)


def seeded(layer: nn.Module, *args, **kwargs):
    torch.manual_seed(9)
    return layer(*args, **kwargs)


# ----- what a call computes


def test_eval_and_rate_zero_are_the_module_itself_and_draw_nothing(layer: tnn.WeightDrop, x: Tensor) -> None:
    expected = layer.module(x)[0]
    layer(x)
    state = torch.get_rng_state()
    assert torch.equal(layer.eval()(x)[0], expected)
    assert layer.dropped_weights() == {name: layer.module.get_parameter(name) for name in layer.names}
    layer.train().p = 0.0
    assert torch.equal(layer(x)[0], expected)
    assert torch.equal(torch.get_rng_state(), state)


def test_one_mask_serves_all_steps_and_examples_of_a_call(layer: tnn.WeightDrop, x: Tensor) -> None:
    weights = {name: layer.module.get_parameter(name) for name in layer.names}
    torch.manual_seed(9)
    dropped = F.drop_weights(weights, 0.5, training=True)
    masked = copy.deepcopy(layer.module)
    with torch.no_grad():
        for name, weight in dropped.items():
            masked.get_parameter(name).copy_(weight)
    expected, _ = masked(x)
    assert torch.equal(seeded(layer, x)[0], expected)


def test_the_first_step_does_not_see_hidden_weights(x: Tensor) -> None:
    for module, names in (RECURRENT[name]() for name in ("LSTM", "GRU", "RNN")):
        plain = module(x)[0]
        dropped = tnn.WeightDrop(module, names)(x)[0]
        assert torch.equal(dropped[0], plain[0])
        assert not torch.allclose(dropped[1:], plain[1:])


def test_elements_are_dropped_at_the_rate_and_scaled() -> None:
    layer = tnn.WeightDrop(nn.LSTM(4, 100), "weight_hh_l0", p=0.25)
    (weight,) = layer.dropped_weights().values()
    dropped, raw = weight == 0, layer.module.weight_hh_l0
    assert scipy.stats.binomtest(int(dropped.sum()), weight.numel(), 0.25).pvalue > 1e-8
    torch.testing.assert_close(weight[~dropped], raw[~dropped] / 0.75)
    assert not dropped.all(1).any()  # no whole rows, as one mode of the first implementation had


def test_weights_of_one_call_have_masks_of_their_own() -> None:
    cell = tnn.WeightDrop(nn.LSTM(20, 20, 2), ["weight_hh_l0", "weight_hh_l1"])
    first, second = cell.dropped_weights(key=3).values()
    assert not torch.equal(first == 0, second == 0)
    again = cell.dropped_weights(key=3)
    assert torch.equal(again["weight_hh_l1"], second)
    assert not torch.equal(cell.dropped_weights(key=3, offset=1)["weight_hh_l1"], second)


def test_a_rate_of_one_leaves_no_weight(x: Tensor) -> None:
    layer = tnn.WeightDrop(nn.RNN(6, 5), "weight_hh_l0", p=1.0)
    y, _ = layer(x)
    cell = nn.functional.linear(x, layer.module.weight_ih_l0, layer.module.bias_ih_l0 + layer.module.bias_hh_l0)
    torch.testing.assert_close(y, torch.tanh(cell))
    y.sum().backward()
    assert torch.equal(layer.module.weight_hh_l0.grad, torch.zeros(5, 5))


# ----- gradients


def test_raw_weights_get_the_gradients_which_are_zero_where_dropped(layer: tnn.WeightDrop, x: Tensor) -> None:
    torch.manual_seed(9)
    dropped = layer.dropped_weights()
    seeded(layer, x)[0].square().sum().backward()
    for name, weight in dropped.items():
        gradient = layer.module.get_parameter(name).grad
        assert torch.equal(gradient != 0, weight != 0)


def test_an_assigned_parameter_would_get_no_gradient(x: Tensor) -> None:
    """Show the bug: what other implementations did leaves the raw weight out of the graph."""
    module = nn.LSTM(6, 5)
    raw = module.weight_hh_l0
    module.weight_hh_l0 = nn.Parameter(nn.functional.dropout(raw, 0.5))
    module(x)[0].sum().backward()
    assert raw.grad is None


def test_two_calls_in_one_graph_have_two_masks_and_both_gradients(layer: tnn.WeightDrop, x: Tensor) -> None:
    torch.manual_seed(9)
    first, second = layer(x)[0], layer(x)[0]
    assert not torch.equal(first, second)
    name = layer.names[0]
    raw = layer.module.get_parameter(name)
    parts = [torch.autograd.grad(y.sum(), raw, retain_graph=True)[0] for y in (first, second)]
    (first.sum() + second.sum()).backward()
    torch.testing.assert_close(raw.grad, parts[0] + parts[1])


def test_gradients_agree_with_finite_differences() -> None:
    layer = tnn.WeightDrop(nn.LSTM(2, 3), "weight_hh_l0").double()
    x = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)
    raw = layer.module.weight_hh_l0.detach().clone().requires_grad_()

    def run(x: Tensor, raw: Tensor) -> Tensor:
        weight = F.drop_weights({"weight_hh_l0": raw}, 0.5, training=True, key=3)
        return torch.func.functional_call(layer.module, weight, (x,))[0]

    assert torch.autograd.gradcheck(run, (x, raw))


def test_a_step_changes_the_weights_and_calls_do_not(layer: tnn.WeightDrop, x: Tensor) -> None:
    before = {name: parameter.detach().clone() for name, parameter in layer.named_parameters()}
    for _ in range(50):  # masks that were written into the weights would leave nothing of them
        layer(x)
    for name, parameter in layer.named_parameters():
        assert torch.equal(parameter, before[name])
        assert type(parameter) is nn.Parameter
    optimiser = torch.optim.SGD(layer.parameters(), lr=0.1)
    layer(x)[0].square().sum().backward()
    optimiser.step()
    for name, parameter in layer.named_parameters():
        assert not torch.equal(parameter, before[name])


@pytest.mark.parametrize("reentrant", [True, False])
def test_activation_checkpointing_recomputes_the_same_mask(layer: tnn.WeightDrop, x: Tensor, reentrant: bool) -> None:
    x.requires_grad_()
    torch.manual_seed(9)
    y, *_ = checkpoint(layer, x, use_reentrant=reentrant)
    # Reentrant checkpoints call first without gradients, where PyTorch's own LSTM rounds otherwise on CPUs without
    # AVX-512; so both gradients start from the same numbers.
    start = 2 * y.detach()
    y.backward(start)
    again = seeded(layer, x)[0]
    assert torch.equal(x.grad, torch.autograd.grad(again, x, start)[0])
    torch.testing.assert_close(y, again)


# ----- what a recurrent layer needs


def test_packed_sequences_give_what_their_sequences_give(layer: tnn.WeightDrop) -> None:
    lengths = [7, 4, 2]
    sequences = [torch.randn(length, 6) for length in lengths]
    output, _ = seeded(layer, rnn.pack_sequence(sequences))
    padded, got = rnn.pad_packed_sequence(output)
    assert got.tolist() == lengths
    for number, sequence in enumerate(sequences):
        alone, _ = seeded(layer, sequence)
        torch.testing.assert_close(padded[: len(sequence), number], alone)


def test_hidden_states_and_keywords_are_passed_on(x: Tensor) -> None:
    layer = tnn.WeightDrop(nn.GRU(6, 5), "weight_hh_l0").eval()
    start = torch.randn(1, 3, 5)
    assert torch.equal(layer(x, hx=start)[0], layer.module(x, start)[0])
    attention = tnn.WeightDrop(nn.MultiheadAttention(6, 2), "in_proj_weight")
    y, _ = seeded(attention, query=x, key=x, value=x)
    assert y.shape == x.shape
    assert torch.equal(y, seeded(attention, x, x, x)[0])


def test_moving_casting_and_flattening_warn_of_nothing(layer: tnn.WeightDrop, x: Tensor) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer(x)
        layer.module.flatten_parameters()
        layer(x)
        layer.double()
        assert layer(x.double())[0].dtype == torch.float64
        layer.bfloat16()
        assert layer(x.bfloat16())[0].dtype == torch.bfloat16
        layer.to("meta")
        assert layer(x.bfloat16().to("meta"))[0].is_meta


def test_a_call_keeps_no_dropped_weight_alive(layer: tnn.WeightDrop, x: Tensor) -> None:
    layer(x)
    parameters = {id(parameter) for parameter in layer.parameters()}
    assert {id(weight) for weight in layer.module._flat_weights} <= parameters


def test_copies_after_a_training_call_behave_alike(layer: tnn.WeightDrop, x: Tensor) -> None:
    layer(x)[0].sum().backward()
    expected = seeded(layer, x)[0]
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    twins = copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), torch.load(file, weights_only=False)
    for twin in twins:
        assert torch.equal(seeded(twin, x)[0], expected)
        assert list(twin.state_dict()) == list(layer.state_dict())
        twin.p = 0.0
        with torch.no_grad():
            twin.module.get_parameter(layer.names[0]).zero_()
        assert torch.equal(seeded(layer, x)[0], expected)


def test_compiled_with_graph_breaks_it_is_the_eager_one(x: Tensor) -> None:
    layer = tnn.WeightDrop(nn.LSTM(6, 5), "weight_hh_l0")
    torch._dynamo.reset()
    compiled = torch.compile(layer, backend="aot_eager")  # dynamo leaves recurrent layers to eager code
    for p in (0.25, 0.5):
        layer.p = p
        assert torch.equal(seeded(compiled, x)[0], seeded(layer, x)[0])


# ----- names and checkpoints


def test_checkpoints_pass_between_wrapped_and_bare() -> None:
    bare = nn.Sequential(nn.Embedding(10, 6), nn.LSTM(6, 5), nn.BatchNorm1d(5))
    wrapped = copy.deepcopy(bare)
    wrapped[1] = tnn.WeightDrop(wrapped[1], "weight_hh_l0")
    wrapped[2] = tnn.WeightDrop(wrapped[2], "weight")
    assert list(wrapped.state_dict()) == list(bare.state_dict())
    with torch.no_grad():
        for parameter in wrapped.parameters():
            parameter.add_(1)
    bare.load_state_dict(wrapped.state_dict(), strict=True)
    assert torch.equal(bare[1].weight_hh_l0, wrapped[1].module.weight_hh_l0)
    again = copy.deepcopy(wrapped)
    with torch.no_grad():
        again[1].module.weight_hh_l0.zero_()
    again.load_state_dict(bare.state_dict(), strict=True)
    assert torch.equal(again[1].module.weight_hh_l0, bare[1].weight_hh_l0)
    assert [name for name, _ in wrapped[1].named_parameters()][1] == "module.weight_hh_l0"


def test_functional_call_takes_parameters_by_both_names(x: Tensor) -> None:
    layer = tnn.WeightDrop(nn.LSTM(6, 5), "weight_hh_l0", p=1.0)
    before = copy.deepcopy(layer.state_dict())
    weights = {name: torch.randn_like(weight) for name, weight in layer.state_dict().items()}
    expected = copy.deepcopy(layer.module)
    expected.load_state_dict({**weights, "weight_hh_l0": torch.zeros(20, 5)})
    for prefix in ("", "module."):
        renamed = {prefix + name: weight for name, weight in weights.items()}
        assert torch.equal(torch.func.functional_call(layer, renamed, (x,))[0], expected(x)[0])
        assert list(layer.state_dict()) == list(before)
        assert all(torch.equal(weight, before[name]) for name, weight in layer.state_dict().items())
        assert len(list(layer.parameters())) == 4


def test_functional_call_takes_buffers_by_both_names() -> None:
    layer, x = tnn.WeightDrop(nn.BatchNorm1d(3), "weight").eval(), torch.randn(4, 3)
    for prefix in ("", "module."):
        state = {f"{prefix}running_mean": torch.full((3,), 2.0)}
        torch.testing.assert_close(torch.func.functional_call(layer, state, (x,)), layer(x - 2.0))
        assert torch.equal(layer.module.running_mean, torch.zeros(3))
        assert "running_mean" not in vars(layer)


def test_what_the_wrapper_lacks_is_the_modules() -> None:
    layer = tnn.WeightDrop(nn.LSTM(6, 5), "weight_hh_l0")
    assert layer.hidden_size == 5
    assert layer.weight_hh_l0 is layer.module.weight_hh_l0
    layer.weight_hh_l0 = nn.Parameter(torch.ones(20, 5))
    assert torch.equal(layer.module.weight_hh_l0, torch.ones(20, 5))
    assert len(list(layer.parameters())) == 4
    with pytest.raises(AttributeError, match="'LSTM' object has no attribute 'other'"):
        _ = layer.other


def test_a_checkpoint_with_missing_or_unknown_keys_is_refused() -> None:
    layer = tnn.WeightDrop(nn.LSTM(6, 5), "weight_hh_l0")
    state = layer.state_dict()
    with pytest.raises(RuntimeError, match=r"Unexpected key.*other"):
        layer.load_state_dict({**state, "other": torch.ones(1)})
    del state["weight_hh_l0"]
    with pytest.raises(RuntimeError, match=r"Missing key.*weight_hh_l0"):
        layer.load_state_dict(state)
    assert layer.load_state_dict(state, strict=False).missing_keys == ["module.weight_hh_l0"]


def test_a_child_of_the_name_module_keeps_its_keys() -> None:
    inner = nn.Module()
    inner.module = nn.Linear(2, 2)
    inner.forward = inner.module.forward
    layer = tnn.WeightDrop(inner, "module.weight")
    assert list(layer.state_dict()) == ["module.weight", "module.bias"]
    layer.load_state_dict({"module.weight": torch.ones(2, 2), "module.bias": torch.ones(2)})
    assert torch.equal(inner.module.weight, torch.ones(2, 2))


def test_names_with_dots_reach_into_a_model() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.Sequential(nn.ReLU(), nn.Linear(8, 2)))
    layer, x = tnn.WeightDrop(model, ("0.weight", "1.1.bias"), p=1.0), torch.randn(3, 4)
    hidden = torch.relu(model[0].bias)
    assert torch.equal(layer(x), nn.functional.linear(hidden, model[1][1].weight).expand(3, 2))


def test_a_weight_under_two_names_is_dropped_where_it_is_named() -> None:
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    model[1].weight = model[0].weight
    x = torch.randn(3, 4)
    first, second = (tnn.WeightDrop(model, f"{number}.weight", p=0.5).dropped_weights(key=1) for number in range(2))
    seeded_first = seeded(tnn.WeightDrop(model, "0.weight"), x)
    (weight,) = seeded(lambda: tnn.WeightDrop(model, "0.weight").dropped_weights()).values()
    torch.testing.assert_close(seeded_first, x @ weight.T @ model[1].weight.T)
    assert torch.equal(first["0.weight"], second["1.weight"])


def test_a_name_that_does_not_exist_is_answered_with_those_that_do() -> None:
    with pytest.raises(ValueError, match=r"`names` must be out of weight_ih_l0, weight_hh_l0.*got 'weight_hh'"):
        tnn.WeightDrop(nn.LSTM(2, 3), ["weight_hh_l0", "weight_hh"])
    many = nn.Sequential(*(nn.Linear(1, 1) for _ in range(40)))
    with pytest.raises(ValueError, match=r"14.bias and 50 more, got 'weight'"):
        tnn.WeightDrop(many, "weight")


def test_wrapping_twice_is_refused() -> None:
    once = tnn.WeightDrop(nn.LSTM(2, 3), "weight_hh_l0")
    with pytest.raises(ValueError, match=r"weights that no WeightDrop drops already, got 'module.weight_hh_l0'"):
        tnn.WeightDrop(once, "module.weight_hh_l0")
    with pytest.raises(ValueError, match="Wrap a module once"):
        tnn.WeightDrop(nn.Sequential(once), "0.module.weight_hh_l0")
    both, x = tnn.WeightDrop(once, "module.weight_ih_l0"), torch.randn(4, 1, 2)  # another weight is another matter
    assert list(both.state_dict()) == list(once.module.state_dict())
    both.load_state_dict(once.module.state_dict(), strict=True)
    both(x)[0].sum().backward()
    assert (once.module.weight_ih_l0.grad == 0).any()
    assert torch.equal(both.eval()(x)[0], once.module(x)[0])


def test_parametrized_weights_are_refused() -> None:
    normed = nn.utils.parametrizations.weight_norm(nn.Linear(2, 3))
    model = nn.Sequential(nn.Linear(2, 2), normed)
    for module, name in (
        (normed, "weight"),
        (normed, "bias"),
        (normed, "parametrizations.weight.original0"),
        (model, "1.weight"),
        (model, "1.parametrizations.weight.original1"),
    ):
        with pytest.raises(ValueError, match="`names` must be weights of modules without parametrizations, got"):
            tnn.WeightDrop(module, name)
    tnn.WeightDrop(model, "0.weight")


def test_drop_weights_refuses_integers_and_takes_no_weights() -> None:
    with pytest.raises(TypeError, match="`ids` must be a floating-point tensor"):
        F.drop_weights({"ids": torch.ones(3, dtype=torch.int64)}, training=True)
    state = torch.get_rng_state()
    assert F.drop_weights({}, training=True) == {}
    assert torch.equal(torch.get_rng_state(), state)


# ----- a real text


class CharacterModel(nn.Module):
    """Predict the next character of a text."""

    def __init__(self, num_characters: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_characters, 32)
        self.lstm = tnn.WeightDrop(nn.LSTM(32, 64), "weight_hh_l0", p=0.3)
        self.head = nn.Linear(64, num_characters)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.lstm(self.embedding(ids))[0])


class TextTraining:
    """Training of a `CharacterModel` by windows of a text, which can be saved and taken up again."""

    def __init__(self, ids: Tensor) -> None:
        torch.manual_seed(1)
        self.ids = ids
        self.model = CharacterModel(int(ids.max()) + 1)
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=0.01)

    def loss(self, number: int) -> Tensor:
        generator = torch.Generator().manual_seed(number)
        starts = torch.randint(0, len(self.ids) - 33, (32,), generator=generator)
        windows = self.ids[starts + torch.arange(33)[:, None]]  # (33, 32)
        return nn.functional.cross_entropy(self.model(windows[:-1]).flatten(0, 1), windows[1:].flatten())

    def run(self, first: int, last: int) -> list[float]:
        losses = []
        for number in range(first, last):
            torch.manual_seed(number)
            loss = self.loss(number)
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            losses.append(loss.item())
        return losses


@pytest.fixture(scope="module")
def text() -> Tensor:
    raw = (Path(os.environ["THINOUT_DATA"]) / "text" / "tinyshakespeare.txt").read_bytes()
    return torch.tensor(list(raw)).unique(return_inverse=True)[1]


@pytest.mark.data
@pytest.mark.skipif("THINOUT_DATA" not in os.environ, reason="THINOUT_DATA is not set")
def test_a_language_model_learns_through_dropped_weights_and_survives_a_checkpoint(text: Tensor) -> None:
    training = TextTraining(text)
    raw = training.model.lstm.module.weight_hh_l0
    before = raw.detach().clone()
    losses = training.run(0, 1)
    assert (raw.grad != 0).float().mean() == pytest.approx(0.7, abs=0.03)  # the kept ones
    losses += training.run(1, 200)
    assert losses[0] == pytest.approx(4.2, abs=0.2)  # log 65
    file = io.BytesIO()
    torch.save({"model": training.model.state_dict(), "optimiser": training.optimiser.state_dict()}, file)
    losses += training.run(200, 300)
    assert sum(losses[-50:]) / 50 < 2.2
    assert (raw != before).all()
    assert raw.abs().min() > 0

    again = TextTraining(text)
    file.seek(0)
    state = torch.load(file)
    again.model.load_state_dict(state["model"], strict=True)
    again.optimiser.load_state_dict(state["optimiser"])
    assert again.run(200, 300) == losses[200:]
    assert torch.equal(again.model.lstm.module.weight_hh_l0, raw)

    bare = CharacterModel(65)
    bare.lstm = nn.LSTM(32, 64)
    bare.load_state_dict(training.model.state_dict(), strict=True)
    assert torch.equal(bare(text[:20, None]), training.model.eval()(text[:20, None]))
