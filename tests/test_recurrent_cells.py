"""Cells with dropout of the candidate, of the update and of the memory."""

import copy

import pytest
import torch
from _recurrent import SHUT, is_rate, normal, set_gates
from torch import nn
from torch.testing import assert_close

import thinout.nn as tnn
from thinout import functional as F
from thinout import ops


def lstm_state(n, size):
    return normal(n, size, seed=1), normal(n, size, seed=2)


CELLS = [
    (tnn.SemeniutaLSTMCell, nn.LSTMCell),
    (tnn.SemeniutaGRUCell, nn.GRUCell),
    (tnn.ZoneoutLSTMCell, nn.LSTMCell),
    (tnn.ZoneoutGRUCell, nn.GRUCell),
    (tnn.RNNDropCell, nn.LSTMCell),
]


# What all cells share


@pytest.mark.parametrize(("ours", "torchs"), CELLS)
def test_from_torch_copies_everything(ours, torchs):
    plain = torchs(3, 5, bias=False, dtype=torch.bfloat16).eval()
    plain.weight_hh.requires_grad_(False)
    state = torch.get_rng_state()
    cell = ours.from_torch(plain)
    assert torch.equal(torch.get_rng_state(), state), "copying draws"
    names = ("input_size", "hidden_size", "bias", "training")
    assert [getattr(cell, name) for name in names] == [getattr(plain, name) for name in names]
    for (name, own), (other_name, other) in zip(cell.named_parameters(), plain.named_parameters(), strict=True):
        assert (name, own.dtype, own.requires_grad) == (other_name, other.dtype, other.requires_grad)
        assert torch.equal(own, other)
        assert own.data_ptr() != other.data_ptr()
    plain.load_state_dict(cell.state_dict(), strict=True)
    with pytest.raises(TypeError, match=rf"`module` must be a torch\.nn\.{torchs.__name__}, got 'Linear'"):
        ours.from_torch(nn.Linear(3, 5))


@pytest.mark.parametrize(("ours", "torchs"), CELLS)
def test_one_example_without_a_batch_dimension(ours, torchs):
    cell = ours(3, 5)
    state = normal(1, 5, dtype=torch.float32)
    batch = state if torchs is nn.GRUCell else (state, state)
    one = state[0] if torchs is nn.GRUCell else (state[0], state[0])
    x = normal(1, 3, dtype=torch.float32)
    got, expected = cell(x[0], one, key=3), cell(x, batch, key=3)
    if torchs is nn.LSTMCell:
        got, expected = torch.stack(got), torch.stack(expected)
    assert_close(got, expected.squeeze(-2), rtol=0, atol=1e-6)


# Semeniuta et al.


def test_where_nothing_comes_in_the_memory_is_unchanged():
    cell = set_gates(tnn.SemeniutaLSTMCell(3, 40, dtype=torch.float64), i=SHUT, f=-SHUT)
    h, c = lstm_state(4, 40)
    assert torch.equal(cell(normal(4, 3), (h, c))[1], c)
    gru = set_gates(tnn.SemeniutaGRUCell(3, 40, dtype=torch.float64), z=-SHUT)
    assert_close(gru(normal(4, 3), h), h, rtol=0, atol=1e-12)


def test_memory_is_never_dropped_and_the_mean_is_a_step_without_dropout():
    """The update is 0 or 1 / (1 - p) times what it is without dropout, so with the right rate the mean is right."""
    cell = tnn.SemeniutaLSTMCell(3, 1000, p=0.3, dtype=torch.float64)
    x, (h, c) = normal(1000, 3), lstm_state(1000, 1000)
    torch.manual_seed(0)
    update = cell(x, (h, c))[1] - set_gates(copy.deepcopy(cell), i=SHUT)(x, (h, c))[1]
    full = cell.eval()(x, (h, c))[1] - set_gates(copy.deepcopy(cell), i=SHUT)(x, (h, c))[1]
    dropped = update == 0
    scaled = full / (1 - ops.effective_p(0.3))
    assert_close(update, torch.where(dropped, 0, scaled), rtol=0, atol=1e-12)
    assert is_rate(dropped, ops.effective_p(0.3))


def test_candidate_of_the_gru_is_dropped():
    cell = set_gates(tnn.SemeniutaGRUCell(3, 1000, p=0.3, dtype=torch.float64), z=0.0)
    x, h = normal(400, 3), normal(400, 1000, seed=1)
    candidate = 2 * (cell.eval()(x, h) - 0.5 * h)  # the update gate is 1/2
    kept = ops.dropout_mask((400, 1000), 5, 0.3)
    expected = 0.5 * h + 0.5 * torch.where(kept, candidate / (1 - ops.effective_p(0.3)), 0)
    assert_close(cell.train()(x, h, key=5), expected, rtol=0, atol=1e-12)


# Zoneout


def test_zoneout_at_the_ends_of_its_range():
    plain = nn.LSTMCell(3, 20)
    x, state = normal(4, 3, dtype=torch.float32), tuple(part.float() for part in lstm_state(4, 20))
    frozen = tnn.ZoneoutLSTMCell.from_torch(plain, p_hidden=1.0, p_cell=1.0)(x, state)
    assert all(map(torch.equal, frozen, state))
    assert all(
        map(torch.equal, tnn.ZoneoutLSTMCell.from_torch(plain, p_hidden=0.0, p_cell=0.0)(x, state), plain(x, state))
    )


def test_each_element_is_the_old_or_the_new_one():
    plain = nn.LSTMCell(3, 1000, dtype=torch.float64)
    x, state = normal(1000, 3), lstm_state(1000, 1000)
    torch.manual_seed(0)
    got = tnn.ZoneoutLSTMCell.from_torch(plain, p_hidden=0.05, p_cell=0.3)(x, state)
    kept = []
    for old, new, mixed, p in zip(state, plain(x, state), got, (0.05, 0.3), strict=True):
        assert ((mixed == old) | (mixed == new)).all()
        # The authors' Theano gist keeps the old state with probability 1 - p.
        assert is_rate(mixed == old, ops.effective_p(p))
        kept.append(mixed == old)
    both = (kept[0] & kept[1]).sum() / kept[0].numel()
    assert abs(both - 0.05 * 0.3) < 6 * (0.015 / 1e6) ** 0.5, "h and c share a mask"


def test_the_output_gate_reads_the_memory_before_zoneout():
    plain = nn.LSTMCell(3, 20, dtype=torch.float64)
    x, state = normal(4, 3), lstm_state(4, 20)
    h, c = tnn.ZoneoutLSTMCell.from_torch(plain, p_hidden=0.0, p_cell=1.0)(x, state)
    assert torch.equal(h, plain(x, state)[0])
    assert torch.equal(c, state[1])


def test_eval_is_the_mean_and_not_zoneout_off():
    plain = nn.LSTMCell(3, 20, dtype=torch.float64)
    x, state = normal(4, 3), lstm_state(4, 20)
    cell = tnn.ZoneoutLSTMCell.from_torch(plain, p_hidden=0.25, p_cell=0.75).eval()
    new = plain(x, state)
    for old, after, got, p in zip(state, new, cell(x, state), (0.25, 0.75), strict=True):
        assert torch.equal(got, p * old + (1 - p) * after)
        assert not torch.equal(got, after)


def test_what_goes_up_is_the_state_with_zoneout():
    cell = tnn.ZoneoutLSTMCell(3, 20, p_hidden=1.0, p_cell=0.0)
    state = tuple(part.float() for part in lstm_state(4, 20))
    output, _ = tnn.RecurrentLayer(cell)(normal(5, 4, 3, dtype=torch.float32), state)
    assert torch.equal(output, state[0].expand(5, 4, 20))


def test_a_wrapped_cell_is_the_cell_of_its_own_class():
    plain = nn.LSTMCell(3, 20)
    x, state = normal(4, 3, dtype=torch.float32), tuple(part.float() for part in lstm_state(4, 20))
    rates = {"p_hidden": 0.3, "p_cell": 0.4}
    one, other = tnn.ZoneoutCell(plain, **rates), tnn.ZoneoutLSTMCell.from_torch(plain, **rates)
    assert all(map(torch.equal, one(x, state, key=7), other(x, state, key=7)))
    assert all(map(torch.equal, one(x, key=7), other(x, key=7)))
    gru = nn.GRUCell(3, 20)
    one, other = tnn.ZoneoutCell(gru, p_hidden=0.3), tnn.ZoneoutGRUCell.from_torch(gru, p_hidden=0.3)
    assert torch.equal(one(x, state[0], key=7), other(x, state[0], key=7))


def test_a_state_of_three_tensors_is_refused():
    class Three(nn.Module):
        def forward(self, input, hx):
            return (input, input, input)

    with pytest.raises(ValueError, match="`cell` must be one with a state of one or two tensors, got 3 tensors"):
        tnn.ZoneoutCell(Three())(normal(4, 3))


def test_states_of_two_shapes_are_refused():
    with pytest.raises(ValueError, match=r"`previous` must be of the shape \(4, 3\) of `current`, got \(3,\)"):
        F.zoneout(normal(3), normal(4, 3), training=True)


# RNNDrop


def run_rnndrop(cell, x, state=None):
    """Return h and c at all steps, (L, N, H)."""
    key, states = ops.draw_key(), []
    for x_t in x:
        state = cell(x_t, state, key=key)
        states.append(state)
    return [torch.stack(parts) for parts in zip(*states, strict=True)]


def test_dropped_cells_are_zero_at_every_step_and_the_others_untouched():
    torch.manual_seed(0)
    cell = tnn.RNNDropCell(3, 50, p=0.4, dtype=torch.float64)
    with torch.no_grad():
        cell.weight_hh.zero_()  # else what is dropped changes the gates of what is kept
    x = normal(200, 4, 3)
    h, c = run_rnndrop(cell, x)
    kept = c[0] != 0
    assert not torch.equal(kept[0], kept[1])
    plain = nn.LSTMCell(3, 50, dtype=torch.float64)
    plain.load_state_dict(cell.state_dict())
    state = None
    for step, x_t in enumerate(x):
        state = plain(x_t, state)
        assert_close(c[step], torch.where(kept, state[1], 0), rtol=0, atol=1e-12)  # no growth in 200 steps either
        assert_close(h[step], torch.where(kept, state[0], 0), rtol=0, atol=1e-12)


def test_a_scale_in_every_step_would_grow_or_shrink_without_bound():
    cell = set_gates(tnn.RNNDropCell(3, 50, p=0.4, dtype=torch.float64), i=SHUT, f=-SHUT)
    state, x = lstm_state(4, 50), normal(200, 4, 3)
    _, c = run_rnndrop(cell, x, state)
    assert torch.equal(c[-1], torch.where(c[0] != 0, state[1], 0))
    assert torch.equal(run_rnndrop(cell.eval(), x, state)[1][-1], state[1])
    assert (1 / (1 - 0.4)) ** 200 > 1e40
    assert (1 - 0.4) ** 200 < 1e-40


def test_eval_reads_the_mean_of_the_memory():
    torch.manual_seed(0)
    cell = tnn.RNNDropCell(3, 40, p=0.25, dtype=torch.float64)
    x, state = normal(4, 3), lstm_state(4, 40)
    h, c = cell.eval()(x, state)
    plain = nn.LSTMCell(3, 40, dtype=torch.float64)
    plain.load_state_dict(cell.state_dict())
    h_plain, c_plain = plain(x, state)
    assert_close(c, c_plain, rtol=0, atol=1e-12)
    assert_close(h, h_plain / c_plain.tanh() * (0.75 * c_plain).tanh(), rtol=0, atol=1e-12)


def test_rate_of_rnndrop():
    cell = tnn.RNNDropCell(3, 1000, p=0.3)
    assert is_rate(cell(torch.ones(1000, 3), key=3)[1] == 0, ops.effective_p(0.3))


@pytest.mark.parametrize(
    "cell",
    [tnn.RNNDropCell(3, 5), tnn.SemeniutaLSTMCell(3, 5, per="sequence"), tnn.SemeniutaGRUCell(3, 5, per="sequence")],
)
def test_a_later_step_of_a_sequence_needs_its_key(cell):
    x = torch.ones(2, 3)
    first = cell(x)
    with pytest.raises(ValueError, match="`key` must be that of the sequence in every step but the first"):
        cell(x, first)
    cell(x, first, key=1)
    cell.eval()(x, first)
    cell.train().p = 0.0
    cell(x, first)


def test_the_function_needs_the_key_too():
    state, w_ih, w_hh = (torch.ones(2, 1),) * 2, torch.ones(4, 3), torch.ones(4, 1)
    with pytest.raises(ValueError, match="rnndrop_cell: `key` must be that of the sequence"):
        F.rnndrop_cell(torch.ones(2, 3), state, w_ih, w_hh, training=True)
    F.rnndrop_cell(torch.ones(2, 3), state, w_ih, w_hh, training=True, key=1)


def test_a_state_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"`hx` must be 2 tensors of shape \(2, 5\), got \(2, 5\) and \(2, 4\)"):
        tnn.RNNDropCell(3, 5)(torch.ones(2, 3), (torch.ones(2, 5), torch.ones(2, 4)), key=1)
