"""LSTM and GRU with masks on inputs and states that are the same at every step of a sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as torch_functional
from torch.nn.utils.rnn import PackedSequence

from thinout import ops
from thinout._checks import bad_value
from thinout.functional._locked import Sequences, drop_features, keep_scale
from thinout.functional._recurrence import (
    GRU,
    LSTM,
    Batch,
    Kind,
    Recur,
    State,
    Weights,
    close_batch,
    has_kernel,
    open_batch,
    run_kernel,
    run_steps,
    start_state,
)
from thinout.functional._shared import Rate, check_probability, draw_keys, is_off, times


@dataclass(frozen=True)
class _Masks:
    """Which masks there are."""

    p_input: Rate
    p_hidden: Rate
    tied: bool
    training: bool
    offset: int

    @property
    def spares_inputs(self) -> bool:
        return is_off(self.p_input, self.training)

    @property
    def spares_states(self) -> bool:
        return is_off(self.p_hidden, self.training)

    def drop_inputs(self, kind: Kind, batch: Batch, key: Tensor) -> list[Tensor]:
        """Return the input of a layer as each gate sees it, or once as all of them do."""
        if self.spares_inputs:
            return [batch.x]
        size, gates = batch.num_sequences * batch.x.shape[-1], 1 if self.tied else kind.gates
        return [
            drop_features(kind.where, batch.x, batch.packed, key, self.p_input, self.offset, gate * size)
            for gate in range(gates)
        ]

    def recurrence(self, kind: Kind, batch: Batch, weights: Weights, key: Tensor) -> Recur:
        """Return the recurrent part of the gates, as a function of the state and of what is added."""
        w, bias = weights.w_hh, None if kind.adds or weights.b_hh is None else weights.b_hh.unsqueeze(0)
        if self.spares_states:
            return _tied(w, bias, None, kind.gates)
        size = (batch.num_sequences, w.shape[1])
        shape = size if self.tied else (kind.gates, *size)
        keep = ops.dropout_mask(shape, key, self.p_hidden, offset=self.offset, device=w.device)
        if batch.order is not None:
            keep = keep.index_select(-2, batch.order)
        w = times(w, keep_scale(kind.where, self.p_hidden))  # once a sequence; the states would be scaled every step
        return (_tied if self.tied else _untied)(w, bias, keep, kind.gates)


def _tied(w: Tensor, bias: Tensor | None, keep: Tensor | None, gates: int) -> Recur:
    """Return one matrix product for all gates, over the states that one mask (N, H) keeps."""
    w, zero = w.t(), w.new_zeros(())

    def recur(h: Tensor, added: Tensor | None = bias) -> State:
        if keep is not None:
            h = torch.where(keep[: h.shape[0]], h, zero)
        return (h @ w if added is None else torch.addmm(added, h, w)).chunk(gates, -1)

    return recur


def _untied(w: Tensor, bias: Tensor | None, keep: Tensor, gates: int) -> Recur:
    """Return a matrix product for each gate, over the states that its own mask of (G, N, H) keeps."""
    w, zero = w.view(gates, -1, w.shape[1]).mT, w.new_zeros(())

    def recur(h: Tensor, added: Tensor | None = bias) -> State:
        h = torch.where(keep[:, : h.shape[0]], h, zero)
        if added is None:
            return (h @ w).unbind()
        split = added.view(added.shape[0], gates, added.shape[1] // gates)
        return torch.baddbmm(split.transpose(0, 1), h, w).unbind()

    return recur


def _run_layer(
    kind: Kind, batch: Batch, state: State, weights: Sequence[Weights], masks: _Masks, keys: Sequence[Tensor]
) -> tuple[Tensor, State]:
    """Run the directions of a layer and return its output in the form of its input, and its last state."""
    inputs = masks.drop_inputs(kind, batch, keys[0])
    if masks.spares_states and len(inputs) == 1 and has_kernel():
        return run_kernel(kind, batch._replace(x=inputs[0]), state, weights, len(weights), masks.training)
    outputs, finals = [], []
    for direction, own in enumerate(weights):
        recur = masks.recurrence(kind, batch, own, keys[1 + direction])

        def step(gates: Tensor, old: State, recur: Recur = recur, w_hr: Tensor | None = own.w_hr) -> State:
            h, *rest = kind.step(gates, recur, old)
            return h if w_hr is None else torch_functional.linear(h, w_hr), *rest

        gates = torch.split_with_sizes(_input_part(kind, inputs, own).flatten(0, -2), batch.sizes)
        start = tuple(part[direction] for part in state)
        rows, final = run_steps(step, gates, start, reverse=direction == 1)
        outputs.append(rows)
        finals.append(final)
    out = torch.cat(outputs, -1) if len(outputs) > 1 else outputs[0]
    if batch.packed is None:
        out = out.view(*batch.x.shape[:2], out.shape[-1])  # not -1: the batch may be empty
    return out, tuple(torch.stack(parts) for parts in zip(*finals, strict=True))


def _input_part(kind: Kind, inputs: Sequence[Tensor], weights: Weights) -> Tensor:
    """Return the input's part of the gates for all steps at once: one matrix product, or one a gate."""
    bias = weights.b_ih
    if kind.adds and bias is not None and weights.b_hh is not None:
        bias = bias + weights.b_hh
    if len(inputs) == 1:
        return torch_functional.linear(inputs[0], weights.w_ih, bias)
    biases = [None] * kind.gates if bias is None else bias.chunk(kind.gates)
    pieces = zip(inputs, weights.w_ih.chunk(kind.gates), biases, strict=True)
    return torch.cat([torch_functional.linear(*piece) for piece in pieces], -1)


def _run(
    kind: Kind,
    input: Tensor | PackedSequence,
    hx: Tensor | Sequence[Tensor] | None,
    all_weights: Sequence[Sequence[Tensor]],
    masks: _Masks,
    bidirectional: bool,
    batch_first: bool,
    key: Tensor | int | None,
    generator: torch.Generator | None,
) -> tuple[Tensor | PackedSequence, Tensor | State]:
    where, directions = kind.where, 2 if bidirectional else 1
    check_probability(where, masks.p_input, "p_input")
    check_probability(where, masks.p_hidden, "p_hidden")
    weights = [Weights.of(flat) for flat in all_weights]
    if not weights or len(weights) % directions:
        bad_value(where, "all_weights", f"a list of {directions} entries a layer", f"{len(weights)} entries")
    batch, batched = open_batch(where, input, weights[0].w_ih, batch_first)
    state = start_state(kind, batch, hx, weights, batched)
    spared = masks.spares_inputs and masks.spares_states
    if spared and has_kernel():
        out, state = run_kernel(kind, batch, state, weights, directions, masks.training)
    else:
        # For each layer a key of the input's mask and one of the states' in each direction; none is drawn for nothing.
        num_keys = len(weights) // directions * (1 + directions)
        keys = draw_keys(where, num_keys, 0 if spared else key, generator, batch.x.device)
        out, finals = batch.x, []
        for layer in range(len(weights) // directions):
            own = slice(layer * directions, (layer + 1) * directions)
            own_keys = keys[layer * (1 + directions) :][: 1 + directions]
            layer_state = tuple(part[own] for part in state)
            out, final = _run_layer(kind, batch._replace(x=out), layer_state, weights[own], masks, own_keys)
            finals.append(final)
        state = tuple(torch.cat(parts) for parts in zip(*finals, strict=True))
    return close_batch(kind, input, out, state, batch_first=batch_first, batched=batched)


def variational_lstm(
    input: Sequences,
    hx: Sequence[Tensor] | None,
    all_weights: Sequence[Sequence[Tensor]],
    p_input: Rate = 0.5,
    p_hidden: Rate = 0.5,
    *,
    training: bool,
    tied: bool = True,
    bidirectional: bool = False,
    batch_first: bool = False,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> tuple[Sequences, tuple[Tensor, Tensor]]:
    r"""Run an LSTM whose masks are the same at every step of a sequence.

    .. math:: (i, f, g, o) = W (m^x \odot x_t) / (1 - p_x) + U (m^h \odot h_{t-1}) / (1 - p_h) + b
    .. math:: c_t = \sigma(f) \odot c_{t-1} + \sigma(i) \odot \tanh(g), \qquad h_t = \sigma(o) \odot \tanh(c_t)

    Each sequence has its own :math:`m^x` and :math:`m^h`, drawn once, in every layer. The memory :math:`c` has no mask.
    The input's part of the gates is one matrix product for all steps. Without masks on states, and outside of
    training, torch's kernels run.

    Args:
        input: (L, N, C), or (N, L, C) with ``batch_first=True``, or (L, C), or a `PackedSequence`.
        hx: h and c, each (layers times directions, N, H), without N for an input (L, C); None for zeros.
        all_weights: as `torch.nn.LSTM.all_weights`: for each layer and direction, w_ih and w_hh, then b_ih and b_hh if
            there are biases, then w_hr if h is projected.
        p_input: drop probability of the features of each layer's input, in [0, 1].
        p_hidden: drop probability of the features of h where it enters the gates, in [0, 1].
        training: whether to drop.
        tied: whether the gates share their masks; otherwise each of them has its own.
        bidirectional: whether each layer also runs backwards. Both directions see one masked input.
        batch_first: whether the first dimension of input and output is the batch.
        key: key of the masks; None draws one. Consecutive chunks of a sequence share their masks if they share a key.
        generator: where the key is drawn.
        offset: second number that the masks are a function of.

    Returns:
        The output, in the form of the input, and the last h and c.

    Raises:
        ValueError: a rate outside [0, 1], inputs or states that do not fit.
        TypeError: the input is not floating point, or not of the weights' type.

    Example:
        >>> layer = torch.nn.LSTM(4, 6)
        >>> output, (h, c) = variational_lstm(torch.ones(5, 2, 4), None, layer.all_weights, training=True)
        >>> output.shape
        torch.Size([5, 2, 6])

    Source: Gal, Ghahramani 2016, "A theoretically grounded application of dropout in recurrent neural networks", NIPS,
    arXiv 1512.05287; the masks are those of the authors' code, github.com/yaringal/BayesianRNN.
    """
    masks = _Masks(p_input, p_hidden, tied, training, offset)
    return _run(LSTM, input, hx, all_weights, masks, bidirectional, batch_first, key, generator)  # type: ignore[return-value]  # an LSTM's state is two


def variational_gru(
    input: Sequences,
    hx: Tensor | None,
    all_weights: Sequence[Sequence[Tensor]],
    p_input: Rate = 0.5,
    p_hidden: Rate = 0.5,
    *,
    training: bool,
    tied: bool = True,
    bidirectional: bool = False,
    batch_first: bool = False,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> tuple[Sequences, Tensor]:
    r"""Run a GRU whose masks are the same at every step of a sequence.

    .. math:: (r, z) = \sigma(W (m^x \odot x_t) / (1 - p_x) + U (m^h \odot h_{t-1}) / (1 - p_h) + b)
    .. math:: n = \tanh(W_n (m^x \odot x_t) / (1 - p_x) + r \odot (U_n (m^h \odot h_{t-1}) / (1 - p_h) + b_n))
    .. math:: h_t = (1 - z) \odot n + z \odot h_{t-1}

    What is carried over, the last term, has no mask: it would be scaled in every step, and grow.

    Args:
        input: (L, N, C), or (N, L, C) with ``batch_first=True``, or (L, C), or a `PackedSequence`.
        hx: (layers times directions, N, H), without N for an input (L, C); None for zeros.
        all_weights: as `torch.nn.GRU.all_weights`.
        p_input: drop probability of the features of each layer's input, in [0, 1].
        p_hidden: drop probability of the features of h where it enters the gates, in [0, 1].
        training: whether to drop.
        tied: whether the gates share their masks; otherwise each of them has its own.
        bidirectional: whether each layer also runs backwards. Both directions see one masked input.
        batch_first: whether the first dimension of input and output is the batch.
        key: key of the masks; None draws one. Consecutive chunks of a sequence share their masks if they share a key.
        generator: where the key is drawn.
        offset: second number that the masks are a function of.

    Returns:
        The output, in the form of the input, and the last h.

    Raises:
        ValueError: a rate outside [0, 1], inputs or states that do not fit.
        TypeError: the input is not floating point, or not of the weights' type.

    Example:
        >>> layer = torch.nn.GRU(4, 6)
        >>> output, h = variational_gru(torch.ones(5, 2, 4), None, layer.all_weights, training=True)
        >>> output.shape
        torch.Size([5, 2, 6])

    Source: Gal, Ghahramani 2016, NIPS, arXiv 1512.05287.
    """
    masks = _Masks(p_input, p_hidden, tied, training, offset)
    return _run(GRU, input, hx, all_weights, masks, bidirectional, batch_first, key, generator)  # type: ignore[return-value]  # a GRU's is one
