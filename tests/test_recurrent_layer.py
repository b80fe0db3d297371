"""The layer that runs a cell over sequences, padded or packed, with one key."""

import copy

import pytest
import torch
from _recurrent import LENGTHS, SHUT, normal, parts, set_gates
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.testing import assert_close

import thinout.nn as tnn
from thinout import ops

MASKED = [
    tnn.SemeniutaLSTMCell(3, 6, p=0.4, dtype=torch.float64),
    tnn.SemeniutaLSTMCell(3, 6, p=0.4, per="sequence", dtype=torch.float64),
    tnn.SemeniutaGRUCell(3, 6, p=0.4, dtype=torch.float64),
    tnn.ZoneoutLSTMCell(3, 6, p_hidden=0.3, dtype=torch.float64),
    tnn.ZoneoutGRUCell(3, 6, p_hidden=0.3, dtype=torch.float64),
    tnn.ZoneoutCell(nn.RNNCell(3, 6, dtype=torch.float64), p_hidden=0.3),
    tnn.RNNDropCell(3, 6, p=0.4, dtype=torch.float64),
]
masked = pytest.mark.parametrize("cell", MASKED, ids=lambda cell: f"{type(cell).__name__}-{cell.per}")


@masked
def test_layer_is_a_loop_with_one_key(cell):
    x, state, outputs = normal(5, 4, 3), None, []
    for step, x_t in enumerate(x):
        state = cell(x_t, state, key=9, offset=step if cell.per == "step" else 0)
        outputs.append(parts(state)[0])
    output, last = tnn.RecurrentLayer(cell)(x, key=9)
    assert torch.equal(output, torch.stack(outputs))
    assert all(map(torch.equal, parts(last), parts(state)))


@masked
@pytest.mark.parametrize("lengths", [LENGTHS, sorted(LENGTHS, reverse=True)], ids=["unsorted", "sorted"])
def test_packed_equals_padded_bit_for_bit(cell, lengths):
    x = normal(5, 4, 3)
    layer = tnn.RecurrentLayer(cell)
    expected, _ = layer(x, key=9)
    packed = pack_padded_sequence(x, lengths, enforce_sorted=lengths == sorted(lengths, reverse=True))
    output, last = layer(packed, key=9)
    padded, got = pad_packed_sequence(output)
    assert got.tolist() == lengths
    for n, length in enumerate(lengths):
        assert torch.equal(padded[:length, n], expected[:length, n])
        _, alone = layer(x[:length], key=9)
        assert all(torch.equal(one[n], other[n]) for one, other in zip(parts(last), parts(alone), strict=True))


@masked
def test_chunks_with_one_key_are_one_sequence(cell):
    x, layer = normal(8, 4, 3), tnn.RecurrentLayer(cell)
    expected, end = layer(x, key=9)
    first, state = layer(x[:3], key=9)
    second, last = layer(x[3:], state, key=9, start=3)
    assert torch.equal(torch.cat([first, second]), expected)
    assert all(map(torch.equal, parts(last), parts(end)))


@masked
def test_layer_draws_one_key_and_keeps_nothing(cell):
    layer, x = tnn.RecurrentLayer(copy.deepcopy(cell)), normal(5, 4, 3)
    before = {name: set(vars(module)) for name, module in layer.named_modules()}
    torch.manual_seed(0)
    first, _ = layer(x)
    state = torch.get_rng_state()
    second, _ = layer(x)
    assert not torch.equal(first, second), "two calls have one mask"
    assert {name: set(vars(module)) for name, module in layer.named_modules()} == before
    torch.manual_seed(0)
    assert torch.equal(layer(x, key=ops.draw_key())[0], first)
    assert torch.equal(torch.get_rng_state(), state)


def test_layer_draws_nothing_for_nothing():
    x, state = normal(5, 4, 3, dtype=torch.float32), torch.get_rng_state()
    for layer in (
        tnn.RecurrentLayer(tnn.ZoneoutLSTMCell(3, 6)).eval(),
        tnn.RecurrentLayer(nn.GRUCell(3, 6)),
        tnn.RecurrentLayer(tnn.SemeniutaLSTMCell(3, 6, p=0.0)),
        tnn.RecurrentLayer(tnn.ZoneoutLSTMCell(3, 6, p_hidden=0.0, p_cell=0.0)),
        tnn.RecurrentLayer(tnn.ZoneoutGRUCell(3, 6, p_hidden=0.0)),
        tnn.RecurrentLayer(tnn.ZoneoutCell(nn.RNNCell(3, 6), p_hidden=0.0, p_cell=0.0)),
        tnn.RecurrentLayer(tnn.RNNDropCell(3, 6, p=0.0)),
    ):
        state = torch.get_rng_state()
        layer(x)
        assert torch.equal(torch.get_rng_state(), state), layer


def candidates_kept(per, **call):
    """Return which candidates a layer keeps, (L, N, H): with the forget gate shut, c is the candidate of its step."""
    cell = set_gates(tnn.SemeniutaLSTMCell(3, 50, p=0.4, per=per, dtype=torch.float64), i=-SHUT, f=SHUT, o=-SHUT)
    return tnn.RecurrentLayer(cell)(normal(6, 4, 3), **call)[0] != 0


def test_masks_a_step_and_masks_a_sequence():
    sequence = candidates_kept("sequence", key=5)
    assert torch.equal(sequence, sequence[:1].expand_as(sequence))
    assert torch.equal(sequence[0], ops.dropout_mask((4, 50), 5, 0.4))
    step = candidates_kept("step", key=5)
    for number in range(6):
        assert torch.equal(step[number], ops.dropout_mask((4, 50), 5, 0.4, offset=number))


def test_offsets_and_steps_are_two_numbers():
    """Step 1 at offset 0 has another mask than step 0 at offset 1."""
    here, there = (candidates_kept("step", key=5, offset=offset) for offset in (0, 1))
    for number in range(6):
        assert not any(torch.equal(there[number], mask) for mask in here)


@pytest.mark.parametrize(("torchs", "plain"), [(nn.LSTMCell, nn.LSTM), (nn.GRUCell, nn.GRU), (nn.RNNCell, nn.RNN)])
@pytest.mark.parametrize("batch_first", [False, True])
def test_cells_of_torch_give_torchs_layers(torchs, plain, batch_first):
    whole = plain(3, 6, batch_first=batch_first, dtype=torch.float64)
    cell = torchs(3, 6, dtype=torch.float64)
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in whole.state_dict().items()})
    layer, x = tnn.RecurrentLayer(cell, batch_first), normal(5, 4, 3)
    lengths = [2, 4, 4, 1, 3][: x.shape[0 if batch_first else 1]]
    for given in (x, x[0], pack_padded_sequence(x, lengths, batch_first, enforce_sorted=False)):
        output, state = layer(given)
        expected, last = whole(given)
        if isinstance(given, torch.Tensor):
            assert_close(output, expected, rtol=0, atol=1e-12)
        else:
            assert_close(output.data, expected.data, rtol=0, atol=1e-12)
        for one, other in zip(parts(state), parts(last), strict=True):
            assert_close(one, other.squeeze(0), rtol=0, atol=1e-12)
