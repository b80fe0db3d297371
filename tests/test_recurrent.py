"""VariationalLSTM and VariationalGRU: one mask on inputs and one on states for all steps of a sequence."""

import copy
import dataclasses
import itertools

import pytest
import torch
from _recurrent import LENGTHS, SHUT, is_rate, normal, parts, valid
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.testing import assert_close

import thinout.nn as tnn
from thinout import functional as F
from thinout import ops
from thinout.testing import CHECKS

# LSTM and GRU: what torch's layers give

KINDS = [(tnn.VariationalLSTM, nn.LSTM, "ifgo"), (tnn.VariationalGRU, nn.GRU, "rzn")]
kinds = pytest.mark.parametrize(("ours", "torchs", "gates"), KINDS, ids=["lstm", "gru"])


def options(torchs):
    """Yield constructor arguments."""
    sizes = (0, 2) if torchs is nn.LSTM else (0,)
    for num_layers, bidirectional, bias, proj_size in itertools.product((1, 2), (False, True), (True, False), sizes):
        more = {"proj_size": proj_size} if proj_size else {}
        yield {"num_layers": num_layers, "bidirectional": bidirectional, "bias": bias, **more}


def tensors(result):
    output, state = result
    data = output if isinstance(output, torch.Tensor) else output.data
    return [data, *parts(state)]


def make_state(torchs, how, n=4):
    rows = how["num_layers"] * (1 + how["bidirectional"])
    h = normal(rows, n, how.get("proj_size") or 6, seed=1)
    return h if torchs is nn.GRU else (h, normal(rows, n, 6, seed=2))


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@kinds
def test_steps_compute_what_torch_computes(ours, torchs, gates):
    x = normal(5, 4, 3)
    packed = pack_padded_sequence(x, LENGTHS, enforce_sorted=False)
    for how in options(torchs):
        torch.manual_seed(0)
        plain = torchs(3, 6, dtype=torch.float64, **how)
        # Rates that the masks round to 0 take the way of the masks.
        layer = ours.from_torch(plain, p_input=1e-9, p_hidden=1e-9)
        untied = ours.from_torch(plain, p_input=1e-9, p_hidden=1e-9, tied=False)
        state = make_state(torchs, how)
        for given in (x, packed):
            expected = tensors(plain(given, state))
            for each in (layer, untied):
                for got, wanted in zip(tensors(each(given, state)), expected, strict=True):
                    assert_close(got, wanted, rtol=0, atol=1e-12, msg=lambda what, how=how: f"{how}: {what}")


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@kinds
def test_eval_and_rates_of_zero_are_torchs_to_the_bit(ours, torchs, gates):
    x = normal(5, 4, 3, dtype=torch.float32)
    packed = pack_padded_sequence(x, LENGTHS, enforce_sorted=False)
    for how in options(torchs):
        plain = torchs(3, 6, **how)
        for layer in (ours.from_torch(plain).eval(), ours.from_torch(plain, p_input=0.0, p_hidden=0.0)):
            plain.train(layer.training)
            for given in (x, packed, x[:, 0]):
                assert all(map(torch.equal, tensors(layer(given)), tensors(plain(given)))), how
        state = copy.deepcopy(plain.state_dict())
        layer.load_state_dict(state, strict=True)
        plain.load_state_dict(layer.state_dict(), strict=True)
        assert isinstance(layer, torchs)


@kinds
def test_batch_first_and_unbatched_inputs_are_other_layouts(ours, torchs, gates):
    layer = ours(3, 6, num_layers=2, bidirectional=True, p_input=0.3, p_hidden=0.3, dtype=torch.float64)
    first = ours.from_torch(torchs(3, 6, 2, bidirectional=True, batch_first=True, dtype=torch.float64), p_input=0.3)
    first.p_hidden = 0.3
    first.load_state_dict(layer.state_dict())
    x = normal(5, 4, 3)
    expected = tensors(layer(x, key=1))
    output, *state = tensors(first(x.transpose(0, 1), key=1))
    assert_close([output.transpose(0, 1), *state], expected, rtol=0, atol=1e-12)
    one = tensors(layer(x[:, 0], key=1))
    assert_close(one, [part[:, 0] for part in expected], rtol=0, atol=1e-12)


@kinds
def test_without_masks_on_states_it_is_locked_dropout_and_torchs_layer(ours, torchs, gates):
    plain = torchs(3, 6, bidirectional=True)
    layer = ours.from_torch(plain, p_input=0.4, p_hidden=0.0)
    x = normal(5, 4, 3, dtype=torch.float32)
    for given in (x, pack_padded_sequence(x, LENGTHS, enforce_sorted=False)):
        expected = tensors(plain(tnn.LockedDropout(0.4)(given, key=7)))
        assert all(map(torch.equal, tensors(layer(given, key=7)), expected))


# LSTM and GRU: masks


def revealing(ours, gate, on, tied, size=40):
    """Return a layer whose unit j sees feature j of its input, or of its state, through one gate alone.

    A unit under a mask then has the values that it has where everything is dropped, at every step.
    """
    names = "ifgo" if ours is tnn.VariationalLSTM else "rzn"
    rates = {"p_input": 0.4, "p_hidden": 0.0} if on == "input" else {"p_input": 0.0, "p_hidden": 0.4}
    layer = ours(size, size, tied=tied, dtype=torch.float64, **rates)
    state = {name: torch.zeros_like(value) for name, value in layer.state_dict().items()}
    start = names.index(gate) * size
    state["weight_ih_l0" if on == "input" else "weight_hh_l0"][start : start + size] = torch.eye(size)
    bias = {"i": -SHUT, "f": SHUT, "g": 1.0, "o": -SHUT, "r": -SHUT, "z": SHUT, "n": 0.5}
    for number, name in enumerate(names):
        state["bias_ih_l0"][number * size : (number + 1) * size] = 0.3 if name == gate and name != "n" else bias[name]
    if "n" in names:
        state["bias_hh_l0"][2 * size :] = 1.0  # what the reset gate acts on
    layer.load_state_dict(state)
    return layer


def masks_of(layer, x, state=None):
    """Return the mask at each step (L, N, H), True where a unit is kept, read off the outputs."""
    rates = (layer.p_input, layer.p_hidden)
    output = layer(x, state, key=5)[0]
    layer.p_input, layer.p_hidden = (1.0 if p else 0.0 for p in rates)
    dropped = layer(x, state)[0]
    layer.p_input, layer.p_hidden = rates
    return output != dropped


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("on", ["input", "hidden"])
@kinds
def test_one_mask_per_sequence_is_one_mask(ours, torchs, gates, on, tied):
    x = normal(6, 3, 40)
    found = []
    for gate in gates:
        layer = revealing(ours, gate, on, tied)
        state = normal(1, 3, 40, seed=1)
        masks = masks_of(layer, x, state if torchs is nn.GRU else (state, torch.ones_like(state)))
        assert torch.equal(masks, masks[:1].expand_as(masks)), gate
        assert not torch.equal(masks[0, 0], masks[0, 1]), "two sequences have one mask"
        found.append(masks[0])
    same = [torch.equal(one, other) for one, other in itertools.combinations(found, 2)]
    assert same == [tied] * len(same)


@pytest.mark.parametrize("on", ["input", "hidden"])
def test_rates_of_the_masks(on):
    masks = masks_of(revealing(tnn.VariationalLSTM, "g", on, tied=True, size=500), normal(2, 1000, 500))
    assert is_rate(~masks[1], 0.4)  # the second step: the first state is 0, masked or not


def test_the_first_mask_is_that_of_the_key():
    masks = masks_of(revealing(tnn.VariationalLSTM, "g", "input", tied=True), normal(6, 3, 40))
    assert torch.equal(masks[0], ops.dropout_mask((3, 40), 5, 0.4))


def constant_output(layer, x):
    output = layer(x)[0]
    return torch.allclose(output, output[:1].expand_as(output), rtol=0, atol=1e-6)


def test_the_dropout_of_torchs_lstm_is_not_this():
    """Layers without memory, under an input that is constant in time: only masks can tell the steps apart."""
    plain = nn.LSTM(8, 8, 2, dropout=0.5)
    with torch.no_grad():
        for layer in range(2):
            getattr(plain, f"weight_hh_l{layer}").zero_()
            getattr(plain, f"bias_ih_l{layer}")[8:16] = SHUT  # forget gates
    x = normal(1, 3, 8, dtype=torch.float32).expand(6, 3, 8)
    assert not constant_output(plain, x)
    assert constant_output(plain.eval(), x)
    plain.train().dropout = 0.0
    assert constant_output(tnn.VariationalLSTM.from_torch(plain, p_input=0.5, p_hidden=0.5), x)


def test_a_parametrized_module_is_refused():
    module = torch.nn.utils.parametrizations.weight_norm(nn.LSTM(3, 4), "weight_hh_l0")
    with pytest.raises(ValueError, match="`module` must be without parametrizations"):
        tnn.VariationalLSTM.from_torch(module)


def test_dropout_of_torch_is_refused_and_so_are_other_modules():
    with pytest.raises(ValueError, match=r"from_torch: `module` must be without dropout, got dropout=0\.3"):
        tnn.VariationalLSTM.from_torch(nn.LSTM(3, 4, 2, dropout=0.3))
    with pytest.raises(TypeError, match=r"`module` must be a torch\.nn\.LSTM, got 'GRU'"):
        tnn.VariationalLSTM.from_torch(nn.GRU(3, 4))


def test_what_the_gru_carries_over_has_no_mask():
    layer = tnn.VariationalGRU(3, 20, p_hidden=0.5, dtype=torch.float64)
    with torch.no_grad():
        layer.bias_ih_l0[20:40] = -SHUT  # update gates
    state = normal(1, 2, 20)
    output, last = layer(normal(50, 2, 3), state)
    assert_close(output, state.expand(50, 2, 20), rtol=0, atol=1e-12)
    assert_close(last, state, rtol=0, atol=1e-12)


def test_the_memory_of_the_lstm_has_no_mask():
    layer = tnn.VariationalLSTM(3, 20, p_hidden=0.5, dtype=torch.float64)
    with torch.no_grad():
        layer.bias_ih_l0[:20], layer.bias_ih_l0[20:40] = SHUT, -SHUT
    state = (normal(1, 2, 20), normal(1, 2, 20, seed=1))
    assert torch.equal(layer(normal(50, 2, 3), state)[1][1], state[1])


@pytest.mark.parametrize("tied", [True, False])
def test_a_dropped_nan_is_zero(tied):
    layer = tnn.VariationalLSTM(3, 8, p_input=1.0, p_hidden=1.0, tied=tied)
    x, h = torch.ones(4, 2, 3), torch.zeros(1, 2, 8)
    x[:, 0, 0], h[0, 1, 3] = torch.nan, torch.inf
    assert layer(x, (h, torch.zeros_like(h)))[0].isfinite().all()


@pytest.mark.parametrize("tied", [True, False])
@kinds
def test_packed_equals_padded(ours, torchs, gates, tied):
    layer = ours(3, 6, num_layers=2, p_input=0.4, p_hidden=0.4, tied=tied, dtype=torch.float64)
    x, state = normal(5, 4, 3), make_state(torchs, {"num_layers": 2, "bidirectional": False})
    expected, _ = layer(x, state, key=9)
    output, last = layer(pack_padded_sequence(x, LENGTHS, enforce_sorted=False), state, key=9)
    assert_close(valid(pad_packed_sequence(output)[0]), valid(expected), rtol=0, atol=1e-12)
    ends = torch.stack([expected[length - 1, n] for n, length in enumerate(LENGTHS)])
    assert_close((last if torchs is nn.GRU else last[0])[-1], ends, rtol=0, atol=1e-12)


@kinds
def test_sorted_packed_sequences_take_the_masks_of_their_place(ours, torchs, gates):
    layer = ours(3, 6, bidirectional=True, p_input=0.4, p_hidden=0.4, dtype=torch.float64)
    x = normal(5, 4, 3)
    full = pack_padded_sequence(x, [5, 5, 5, 5])
    assert_close(tensors(layer(full, key=9))[0], layer(x, key=9)[0].flatten(0, 1), rtol=0, atol=1e-12)
    lengths = sorted(LENGTHS, reverse=True)
    by_hand = layer(pack_padded_sequence(x, lengths), key=9)
    unsorted = layer(pack_padded_sequence(x, lengths, enforce_sorted=False), key=9)
    assert_close(tensors(by_hand), tensors(unsorted), rtol=0, atol=1e-12)


@kinds
def test_chunks_with_one_key_are_one_sequence(ours, torchs, gates):
    layer = ours(3, 6, num_layers=2, p_input=0.4, p_hidden=0.4, dtype=torch.float64)
    x = normal(8, 4, 3)
    expected, end = layer(x, key=9)
    first, state = layer(x[:3], key=9)
    second, last = layer(x[3:], state, key=9)
    assert_close(torch.cat([first, second]), expected, rtol=0, atol=1e-12)
    assert_close(last, end, rtol=0, atol=1e-12)
    other, _ = layer(x[3:], state, key=10)
    assert (other - second).abs().max() > 1e-3


VARIANTS = {"untied": {"tied": False}, "two layers": {"num_layers": 2}, "no bias": {"bias": False}}


@pytest.mark.parametrize("variant", VARIANTS)
@kinds
def test_variants_pass_the_common_checks(ours, torchs, gates, variant):
    spec = tnn.REGISTRY[ours.__name__]
    spec = dataclasses.replace(spec, arguments={**spec.arguments, **VARIANTS[variant]}, evaluate=None)
    for check in ("reference", "vmap", "repr", "copies", "full_rate", "empty"):
        CHECKS[check](spec)


@kinds
def test_from_torch_copies_everything(ours, torchs, gates):
    more = {"proj_size": 2} if torchs is nn.LSTM else {}
    plain = torchs(3, 5, 2, bias=False, batch_first=True, bidirectional=True, dtype=torch.bfloat16, **more).eval()
    plain.weight_hh_l0.requires_grad_(False)
    state = torch.get_rng_state()
    layer = ours.from_torch(plain, p_input=0.1, p_hidden=0.2, tied=False)
    assert torch.equal(torch.get_rng_state(), state), "copying draws"
    names = ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "bidirectional", "proj_size")
    assert [getattr(layer, name) for name in names] == [getattr(plain, name) for name in names]
    assert (layer.p_input, layer.p_hidden, layer.tied, layer.training) == (0.1, 0.2, False, False)
    for (name, own), (other_name, other) in zip(layer.named_parameters(), plain.named_parameters(), strict=True):
        assert (name, own.dtype, own.requires_grad) == (other_name, other.dtype, other.requires_grad)
        assert torch.equal(own, other)
        assert own.data_ptr() != other.data_ptr()


def test_vmap_over_keys_runs_where_torchs_layer_cannot():
    layer, x = tnn.VariationalLSTM(3, 6), normal(5, 4, 3, dtype=torch.float32)
    keys = torch.arange(4)
    outputs = torch.func.vmap(lambda key: layer(x, key=key)[0])(keys)
    assert_close(outputs, torch.stack([layer(x, key=int(key))[0] for key in keys]), rtol=0, atol=1e-6)
    layer.eval()
    assert_close(torch.func.vmap(lambda x: layer(x)[0])(x.expand(2, *x.shape))[0], layer(x)[0], rtol=0, atol=1e-6)
    with pytest.raises(RuntimeError, match="Batching rule not implemented"):
        torch.func.vmap(nn.LSTM(3, 6))(x.expand(2, *x.shape))


@pytest.mark.parametrize("function", [F.variational_lstm, F.variational_gru])
def test_weights_that_are_no_layers_are_refused(function):
    layer = nn.GRU(3, 4) if function is F.variational_gru else nn.LSTM(3, 4)
    with pytest.raises(ValueError, match="`all_weights` must be a list of 2 entries a layer, got 1 entries"):
        function(normal(2, 1, 3), None, layer.all_weights, training=True, bidirectional=True)
