"""Recurrence over padded and packed batches: what comes in and goes out, one step, and the loop over steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from thinout._checks import bad_type, bad_value
from thinout.functional._shared import _wrapped
from thinout.ops._inputs import check_floating_point, check_key, check_offset

State = tuple[Tensor, ...]
Recur = Callable[..., State]


class Weights(NamedTuple):
    """The parameters of one layer and direction."""

    w_ih: Tensor
    w_hh: Tensor
    b_ih: Tensor | None
    b_hh: Tensor | None
    w_hr: Tensor | None

    @classmethod
    def of(cls, flat: Sequence[Tensor]) -> Weights:
        """Name the parameters of one entry of `torch.nn.LSTM.all_weights`."""
        w_ih, w_hh, *rest = flat
        b_ih, b_hh = rest[:2] if len(rest) > 1 else (None, None)
        return cls(w_ih, w_hh, b_ih, b_hh, rest[-1] if len(rest) % 2 else None)


class Kind(NamedTuple):
    """What tells an LSTM from a GRU.

    Attributes:
        where: name of the functional form.
        gates: how many there are.
        states: how many tensors a state has.
        kernel: torch's own, over all layers.
        step: from the input's part of the gates, the recurrent part as a function, and a state to the next state.
    """

    where: str
    gates: int
    states: int
    kernel: Callable[..., State]
    step: Callable[[Tensor, Recur, State], State]

    @property
    def adds(self) -> bool:
        """Whether the input's and the recurrent part of the gates are only ever added, so that one sum has both."""
        return self.states == 2


def _lstm_step(inputs: Tensor, recur: Recur, state: State) -> State:
    h, c = state
    i, f, g, o = recur(h, inputs)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def _gru_step(inputs: Tensor, recur: Recur, state: State) -> State:
    (h,) = state
    (r, z, n), (r_h, z_h, n_h) = inputs.chunk(3, -1), recur(h)
    n = (n + (r + r_h).sigmoid() * n_h).tanh()
    return (n + (z + z_h).sigmoid() * (h - n),)  # what is carried over has no mask: its scale would compound


LSTM = Kind("variational_lstm", 4, 2, torch.lstm, _lstm_step)
GRU = Kind("variational_gru", 3, 1, torch.gru, _gru_step)


class Batch(NamedTuple):
    """Sequences: padded (L, N, C), or the rows (sum of the sizes of all steps, C) of a packed sequence."""

    x: Tensor
    packed: PackedSequence | None

    @property
    def num_sequences(self) -> int:
        """The number of sequences."""
        return self.x.shape[1] if self.packed is None else int(self.packed.batch_sizes[0])

    @property
    def sizes(self) -> list[int]:
        """How many sequences each step has, never more than the step before."""
        if self.packed is None:
            return [self.x.shape[1]] * self.x.shape[0]
        sizes: list[int] = self.packed.batch_sizes.tolist()
        return sizes

    @property
    def order(self) -> Tensor | None:
        """Which sequence of the batch comes first, second ... in every step, where they have been sorted."""
        return None if self.packed is None else self.packed.sorted_indices


def open_batch(where: str, input: Tensor | PackedSequence, like: Tensor, batch_first: bool) -> tuple[Batch, bool]:
    """Return the batch with time in front, and whether it was one; `like` is the first layer's weight."""
    if isinstance(input, PackedSequence):
        batch, batched = Batch(input.data, input), True
    else:
        check_floating_point(where, "input", input)
        if input.dim() not in (2, 3):
            names = "(N, L, C)" if batch_first else "(L, N, C)"
            allowed = f"a batch {names}, one sequence (L, C) or a PackedSequence"
            bad_value(where, "input", allowed, f"shape {tuple(input.shape)}")
        batched = input.dim() == 3
        padded = input if batched else input.unsqueeze(1)
        batch = Batch(padded.transpose(0, 1) if batch_first and batched else padded, None)
    x = batch.x
    check_floating_point(where, "input", x)
    if x.shape[-1] != like.shape[1]:
        bad_value(where, "input", f"of {like.shape[1]} features", f"shape {tuple(x.shape)}")
    if x.dtype != like.dtype and not torch._C._is_any_autocast_enabled():
        bad_type(where, "input", f"of the weights' type {like.dtype}", x.dtype, f"Convert it with .to({like.dtype}).")
    if x.shape[0] == 0:
        bad_value(where, "input", "of at least one step", f"shape {tuple(x.shape)}")
    return batch, batched


def start_state(
    kind: Kind, batch: Batch, hx: Tensor | Sequence[Tensor] | None, weights: Sequence[Weights], batched: bool
) -> State:
    """Return the first state of all layers and directions, in the order of the rows; zeros by default."""
    w_hh = weights[0].w_hh
    sizes = (w_hh.shape[1], w_hh.shape[0] // kind.gates)[: kind.states]  # a projected h is smaller than c
    shapes = [(len(weights), batch.num_sequences, size) for size in sizes]
    if hx is None:
        return tuple(batch.x.new_zeros(shape) for shape in shapes)
    given = (hx,) if isinstance(hx, Tensor) else tuple(hx)
    state = given if batched else tuple(part.unsqueeze(1) for part in given)
    if [tuple(part.shape) for part in state] != shapes:
        wanted = " and ".join(str(shape if batched else (shape[0], shape[2])) for shape in shapes)
        bad_value(kind.where, "hx", f"of shape {wanted}", " and ".join(str(tuple(part.shape)) for part in given))
    return state if batch.order is None else tuple(part.index_select(1, batch.order) for part in state)


def close_batch(
    kind: Kind, input: Tensor | PackedSequence, out: Tensor, state: State, *, batch_first: bool, batched: bool
) -> tuple[Tensor | PackedSequence, Tensor | State]:
    """Return output and last state in the form of the input."""
    output: Tensor | PackedSequence
    if isinstance(input, PackedSequence):
        output = input._replace(data=out)
        if input.unsorted_indices is not None:
            state = tuple(part.index_select(1, input.unsorted_indices) for part in state)
    elif not batched:
        output, state = out.squeeze(1), tuple(part.squeeze(1) for part in state)
    else:
        output = out.transpose(0, 1) if batch_first else out
    return output, state if kind.states > 1 else state[0]


def has_kernel() -> bool:
    """Whether torch's kernels can be called: they have no batching rule."""
    return not torch._C._are_functorch_transforms_active()


def run_kernel(
    kind: Kind, batch: Batch, state: State, weights: Sequence[Weights], directions: int, training: bool
) -> tuple[Tensor, State]:
    """Run layers without masks on states as torch does."""
    flat = [parameter for own in weights for parameter in own if parameter is not None]
    how = (flat, weights[0].b_ih is not None, len(weights) // directions, 0.0, training, directions == 2)
    hx = state if kind.states > 1 else state[0]
    if batch.packed is None:
        out, *final = kind.kernel(batch.x, hx, *how, False)
    else:
        out, *final = kind.kernel(batch.x, batch.packed.batch_sizes, hx, *how)
    return out, tuple(final)


def run_steps(
    step: Callable[[Tensor, State], State],
    inputs: Sequence[Tensor],
    start: State,
    *,
    reverse: bool,
) -> tuple[Tensor, State]:
    """Run one direction of a layer over the steps' inputs and return the rows of its output and the last state.

    A step has the first rows of the batch only, as many as its input has: later rows have ended before it, or do not
    begin before it in reverse.
    """
    outputs: list[Tensor] = []
    ended: list[State] = []
    first = inputs[-1 if reverse else 0].shape[0]
    state = tuple(part[:first] for part in start)
    for x in reversed(inputs) if reverse else inputs:
        have, want = state[0].shape[0], x.shape[0]
        if want < have:
            ended.append(tuple(part[want:] for part in state))
            state = tuple(part[:want] for part in state)
        elif want > have:
            state = tuple(torch.cat([part, new[have:want]]) for part, new in zip(state, start, strict=True))
        state = step(x, state)
        outputs.append(state[0])
    rows = torch.cat(outputs[::-1] if reverse else outputs)
    return rows, tuple(torch.cat(parts) for parts in zip(state, *reversed(ended), strict=True))


def sequence_key(where: str, key: Tensor | int, offset: int, device: torch.device) -> Tensor:
    """Return the key of a sequence's masks, whose own offsets are the steps.

    Were the two offsets added, step 1 of the masks at offset 0 would be step 0 of those at offset 1.
    """
    key, offset = check_key(where, key, device), check_offset(where, offset)
    return key + _wrapped(offset * 0xD1342543DE82EF95) if offset else key  # odd, and no multiple of that of draw_keys
