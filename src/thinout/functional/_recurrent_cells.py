"""One step of a recurrent network with dropout: of the candidate, of the update, of the memory."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import linear
from torch.nn.utils.rnn import PackedSequence

from thinout import ops
from thinout._checks import bad_type, bad_value
from thinout.functional._shared import Rate, check_probability, effective_rate, is_off, times
from thinout.ops._inputs import check_floating_point

State = tuple[Tensor, ...]
Weights = tuple[Tensor, Tensor, Tensor | None, Tensor | None]
"""Weights on the input and on the state, and their biases, as the parameters of `torch.nn.LSTMCell`."""


def _open(where: str, input: Tensor, hx: Tensor | Sequence[Tensor] | None, num: int, w_hh: Tensor) -> list[Tensor]:
    """Return input and state, zeros by default, with a batch dimension."""
    if isinstance(input, PackedSequence):
        remedy = "Run the cell over it with thinout.nn.RecurrentLayer."
        bad_type(where, "input", "a tensor of one step, (N, C) or (C)", "a PackedSequence", remedy)
    check_floating_point(where, "input", input)
    if input.dim() not in (1, 2):
        remedy = "Run the cell over a sequence with thinout.nn.RecurrentLayer."
        bad_value(where, "input", "a tensor of one step, (N, C) or (C)", f"shape {tuple(input.shape)}", remedy)
    shape = (*input.shape[:-1], w_hh.shape[1])
    state = [hx] if isinstance(hx, Tensor) else list(hx or [input.new_zeros(shape)] * num)
    if [tuple(part.shape) for part in state] != [shape] * num:
        allowed = f"{num} tensors of shape {shape}" if num > 1 else f"a tensor of shape {shape}"
        bad_value(where, "hx", allowed, " and ".join(str(tuple(part.shape)) for part in state))
    return [input, *state] if input.dim() == 2 else [part.unsqueeze(0) for part in (input, *state)]


def _close(input: Tensor, *state: Tensor) -> State:
    return state if input.dim() == 2 else tuple(part.squeeze(0) for part in state)


def _lstm_gates(x: Tensor, h: Tensor, weights: Weights) -> State:
    w_ih, w_hh, b_ih, b_hh = weights
    i, f, g, o = (linear(x, w_ih, b_ih) + linear(h, w_hh, b_hh)).chunk(4, -1)
    return i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()


def _gru_gates(x: Tensor, h: Tensor, weights: Weights) -> State:
    """Return update gate and candidate."""
    w_ih, w_hh, b_ih, b_hh = weights
    (r, z, n), (r_h, z_h, n_h) = linear(x, w_ih, b_ih).chunk(3, -1), linear(h, w_hh, b_hh).chunk(3, -1)
    return (z + z_h).sigmoid(), (n + (r + r_h).sigmoid() * n_h).tanh()


def _lstm(x: Tensor, h: Tensor, c: Tensor, weights: Weights) -> State:
    """Take a step without dropout: torch's own but where it has no batching rule."""
    if not torch._C._are_functorch_transforms_active():
        return torch.lstm_cell(x, (h, c), *weights)
    i, f, g, o = _lstm_gates(x, h, weights)
    c = f * c + i * g
    return o * c.tanh(), c


def _gru(x: Tensor, h: Tensor, weights: Weights) -> Tensor:
    if not torch._C._are_functorch_transforms_active():
        return torch.gru_cell(x, h, *weights)
    z, n = _gru_gates(x, h, weights)
    return n + z * (h - n)


def plain_cell(where: str, input: Tensor, hx: Tensor | Sequence[Tensor] | None, weights: Weights) -> State:
    """Take a step without dropout, of an LSTM or GRU by the size of the weights."""
    w_hh = weights[1]
    if w_hh.shape[0] == 4 * w_hh.shape[1]:
        x, h, c = _open(where, input, hx, 2, w_hh)
        return _close(input, *_lstm(x, h, c, weights))
    x, h = _open(where, input, hx, 1, w_hh)
    return _close(input, _gru(x, h, weights))


def require_key(where: str, hx: Tensor | Sequence[Tensor] | None, key: Tensor | int | None) -> None:
    """Raise where the mask of a sequence would be drawn anew in the middle of it."""
    if hx is not None and key is None:
        allowed = "that of the sequence in every step but the first, since its mask is for the whole sequence"
        remedy = "Draw key = thinout.ops.draw_key() once, or run the cell in thinout.nn.RecurrentLayer."
        bad_value(where, "key", allowed, None, remedy)


def semeniuta_lstm_cell(
    input: Tensor,
    hx: tuple[Tensor, Tensor] | None,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
    p: Rate = 0.5,
    *,
    training: bool,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> tuple[Tensor, Tensor]:
    r"""Take a step of an LSTM with dropout on the candidate alone: the memory itself is never dropped.

    .. math:: c_t = f_t \odot c_{t-1} + i_t \odot d(g_t), \qquad h_t = o_t \odot \tanh(c_t)

    with :math:`d` inverted dropout. Given the gates, :math:`E[c_t]` is what a step without dropout gives.

    Args:
        input: (N, C) or (C).
        hx: h and c, each (N, H) or (H); None for zeros.
        w_ih: (4H, C), in the order i, f, g, o as in `torch.nn.LSTMCell`.
        w_hh: (4H, H).
        b_ih: (4H) or None.
        b_hh: (4H) or None.
        p: drop probability of an element of the candidate, in [0, 1].
        training: whether to drop.
        key: key of the mask; None draws one. Every step with one key and one offset has the same mask.
        generator: where the key is drawn.
        offset: second number that the mask is a function of, such as the step.

    Returns:
        h and c.

    Raises:
        ValueError: p outside [0, 1], shapes that do not fit.
        TypeError: the input is no floating-point tensor.

    Example:
        >>> w = torch.ones(4, 1)
        >>> h, c = semeniuta_lstm_cell(torch.ones(1, 1), None, w, w, p=1.0, training=True)
        >>> c
        tensor([[0.]])

    Source: Semeniuta, Severyn, Barth 2016, COLING, arXiv 1603.05118.
    """
    where, weights = "semeniuta_lstm_cell", (w_ih, w_hh, b_ih, b_hh)
    check_probability(where, p)
    x, h, c = _open(where, input, hx, 2, w_hh)
    if is_off(p, training):
        h, c = _lstm(x, h, c, weights)
    else:
        i, f, g, o = _lstm_gates(x, h, weights)
        key = ops.draw_key(generator) if key is None else key
        c = f * c + i * ops.dropout(g, key, p, offset=offset)
        h = o * c.tanh()
    h, c = _close(input, h, c)
    return h, c


def semeniuta_gru_cell(
    input: Tensor,
    hx: Tensor | None,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
    p: Rate = 0.5,
    *,
    training: bool,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Take a step of a GRU with dropout on the candidate alone: what is carried over is never dropped.

    .. math:: h_t = z_t \odot h_{t-1} + (1 - z_t) \odot d(n_t)

    with :math:`d` inverted dropout and torch's update gate :math:`z`, which is one minus the paper's.

    Args:
        input: (N, C) or (C).
        hx: (N, H) or (H); None for zeros.
        w_ih: (3H, C), in the order r, z, n as in `torch.nn.GRUCell`.
        w_hh: (3H, H).
        b_ih: (3H) or None.
        b_hh: (3H) or None.
        p: drop probability of an element of the candidate, in [0, 1].
        training: whether to drop.
        key: key of the mask; None draws one. Every step with one key and one offset has the same mask.
        generator: where the key is drawn.
        offset: second number that the mask is a function of, such as the step.

    Returns:
        The new state.

    Raises:
        ValueError: p outside [0, 1], shapes that do not fit.
        TypeError: the input is no floating-point tensor.

    Example:
        >>> w = torch.ones(3, 1)
        >>> semeniuta_gru_cell(torch.ones(1, 1), None, w, w, p=1.0, training=True)
        tensor([[0.]])

    Source: Semeniuta, Severyn, Barth 2016, COLING, arXiv 1603.05118.
    """
    where, weights = "semeniuta_gru_cell", (w_ih, w_hh, b_ih, b_hh)
    check_probability(where, p)
    x, h = _open(where, input, hx, 1, w_hh)
    if is_off(p, training):
        h = _gru(x, h, weights)
    else:
        z, n = _gru_gates(x, h, weights)
        n = ops.dropout(n, ops.draw_key(generator) if key is None else key, p, offset=offset)
        h = n + z * (h - n)
    return _close(input, h)[0]


def rnndrop_cell(
    input: Tensor,
    hx: tuple[Tensor, Tensor] | None,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
    p: Rate = 0.5,
    *,
    training: bool,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> tuple[Tensor, Tensor]:
    r"""Take a step of an LSTM whose memory cells are dropped for a whole sequence, without scaling.

    .. math:: c_t = m \odot (f_t \odot c_{t-1} + i_t \odot g_t), \quad h_t = o_t \odot \tanh(c_t) \ \text{(training)}
    .. math:: c_t = f_t \odot c_{t-1} + i_t \odot g_t, \quad h_t = o_t \odot \tanh((1 - p)\, c_t) \ \text{(otherwise)}

    A scale of 1 / (1 - p) in training would be applied in every step and grow like a power of the length; so would
    (1 - p) in the recursion shrink at test time. Given the gates, a kept cell has the same memory at every step as
    without dropout, so its mean is (1 - p) times that: the factor is applied once, where the memory is read.

    Args:
        input: (N, C) or (C).
        hx: h and c, each (N, H) or (H); None for zeros.
        w_ih: (4H, C), in the order i, f, g, o as in `torch.nn.LSTMCell`.
        w_hh: (4H, H).
        b_ih: (4H) or None.
        b_hh: (4H) or None.
        p: drop probability of a memory cell, in [0, 1].
        training: whether to drop.
        key: key of the sequence's mask; None draws one, in the first step (hx None) alone.
        generator: where the key is drawn.
        offset: second number that the mask is a function of; the same at every step of a sequence.

    Returns:
        h and c.

    Raises:
        ValueError: p outside [0, 1], shapes that do not fit, no key in a later step.
        TypeError: the input is no floating-point tensor.

    Example:
        >>> w = torch.ones(4, 1)
        >>> h, c = rnndrop_cell(torch.ones(1, 1), None, w, w, p=1.0, training=True)
        >>> c
        tensor([[0.]])

    Source: Moon, Choi, Lee, Song 2015, "RNNDROP: a novel dropout for RNNs in ASR", ASRU. The paper's test-time rule was
    not read; the one here is the mean over masks, and Semeniuta et al. 2016, arXiv 1603.05118, show what scaling in
    every step does.
    """
    where, weights = "rnndrop_cell", (w_ih, w_hh, b_ih, b_hh)
    check_probability(where, p)
    x, h, c = _open(where, input, hx, 2, w_hh)
    if not isinstance(p, Tensor) and p == 0:
        h, c = _lstm(x, h, c, weights)
    else:
        i, f, g, o = _lstm_gates(x, h, weights)
        c = read = f * c + i * g
        if training:
            require_key(where, hx, key)
            c = read = ops.dropout(c, ops.draw_key(generator) if key is None else key, p, offset=offset, rescale=False)
        else:
            read = times(c, 1 - effective_rate(where, p))
        h = o * read.tanh()
    h, c = _close(input, h, c)
    return h, c


def zoneout(
    previous: Tensor,
    current: Tensor,
    p: Rate = 0.5,
    *,
    training: bool,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Keep elements of the previous state in place of the current one.

    .. math:: y = (1 - m) \odot x_{t-1} + m \odot x_t, \quad m_i \sim \text{Bernoulli}(1 - p) \qquad\text{(training)}
    .. math:: y = p\, x_{t-1} + (1 - p)\, x_t \qquad\text{(otherwise)}

    Nothing is scaled: each element is either the old or the new one, to the bit. Test time takes the mean, which is
    not "zoneout off".

    Args:
        previous: state before the step.
        current: state after the step, of the same shape.
        p: probability that an element keeps its previous value, in [0, 1].
        training: whether to draw; otherwise the mean is taken, with p as the mask quantises it.
        key: key of the mask; None draws one.
        generator: where the key is drawn.
        offset: second number that the mask is a function of, such as the step.

    Returns:
        A tensor like `current`; `current` itself where p is 0.

    Raises:
        ValueError: p outside [0, 1] or two shapes.
        TypeError: a state is not floating point.

    Example:
        >>> zoneout(torch.zeros(4), torch.ones(4), 0.5, training=True, key=1)
        tensor([1., 0., 1., 0.])
        >>> zoneout(torch.zeros(4), torch.ones(4), 0.25, training=False)
        tensor([0.7500, 0.7500, 0.7500, 0.7500])

    Source: Krueger et al. 2017, ICLR, arXiv 1606.01305.
    """
    where = "zoneout"
    check_probability(where, p)
    check_floating_point(where, "previous", previous)
    check_floating_point(where, "current", current)
    if previous.shape != current.shape:
        bad_value(where, "previous", f"of the shape {tuple(current.shape)} of `current`", tuple(previous.shape))
    if key is None and not is_off(p, training):
        key = ops.draw_key(generator)
    return _zone(previous, current, p, training, key, offset)


def _zone(
    previous: Tensor,
    current: Tensor,
    p: Rate,
    training: bool,
    key: Tensor | int | None,
    offset: int,
    first_index: int = 0,
) -> Tensor:
    if not isinstance(p, Tensor) and p == 0:
        return current
    if training and key is not None:
        keep = ops.dropout_mask(current.shape, key, p, offset=offset, first_index=first_index, device=current.device)
        return torch.where(keep, current, previous)
    rate = effective_rate("zoneout", p)
    return times(previous, rate) + times(current, 1 - rate)


def zoneout_state(
    previous: Sequence[Tensor] | None,
    current: Sequence[Tensor],
    rates: Sequence[Rate],
    training: bool,
    key: Tensor | int | None,
    generator: torch.Generator | None,
    offset: int,
) -> State:
    """Apply zoneout to each tensor of a state, with masks that follow each other under one key.

    A missing previous state is zeros.
    """
    old = [torch.zeros_like(part) for part in current] if previous is None else previous
    if key is None and not all(is_off(p, training) for p in rates):
        key = ops.draw_key(generator)
    state, first_index = [], 0
    for before, after, p in zip(old, current, rates, strict=True):
        state.append(_zone(before, after, p, training, key, offset, first_index))
        first_index += after.numel()
    return tuple(state)
