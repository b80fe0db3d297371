"""A recurrent cell over whole sequences."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from thinout import ops
from thinout._checks import bad_type, bad_value, check_count
from thinout.functional._locked import Sequences, sequence_of_rows
from thinout.functional._recurrence import sequence_key
from thinout.nn._recurrent_cells import SemeniutaLSTMCell
from thinout.nn._registry import ErrorInput, Inputs, LayerSpec, register
from thinout.ops._inputs import check_floating_point


class RecurrentLayer(nn.Module):
    """Run a recurrent cell over padded or packed sequences, with one key for all of its masks.

    One key is drawn a call. A cell with masks a step has the mask of that key and the step's number as `offset=`; a
    cell with a mask a sequence has that of the key alone, at every step. No mask outlives the call: a sequence that
    comes in chunks has one set of masks if each chunk is given the same `key=`, and `start=`, the number of its first
    step.

    Packed sequences give the bits that padded ones give. Steps behind a sequence's end are computed and thrown away.

    Args:
        cell: a cell of thinout or of torch, or a module like them: from an input (N, C) and a state to the next state,
            a tensor or a tuple of tensors, whose first is the output. The state may be None. A cell with masks has an
            attribute `per`, "step" or "sequence", a method `is_off()` that says whether it draws nothing, and takes
            `key=` and `offset=`.
        batch_first: whether inputs and outputs are (N, L, C).

    Shape:
        Input (L, N, C), or (N, L, C) with ``batch_first=True``, or (L, C), or a `PackedSequence`. The output is like
        it, with H features; the last state is the cell's, (N, H) and not (1, N, H) as of `torch.nn.LSTM`.

    Raises:
        ValueError: an input of another rank or without a step.
        TypeError: the cell is no module.

    Example:
        >>> from thinout.nn import ZoneoutLSTMCell
        >>> layer = RecurrentLayer(ZoneoutLSTMCell(4, 6), batch_first=True)
        >>> output, (h, c) = layer(torch.randn(3, 5, 4))
        >>> output.shape, h.shape
        (torch.Size([3, 5, 6]), torch.Size([3, 6]))
    """

    def __init__(self, cell: nn.Module, batch_first: bool = False) -> None:
        super().__init__()
        if not isinstance(cell, nn.Module):
            bad_type("RecurrentLayer", "cell", "a module", repr(cell), "Build the cell first.")
        self.cell = cell
        self.batch_first = batch_first

    def forward(
        self,
        input: Sequences,
        hx: Any = None,
        *,
        key: Tensor | int | None = None,
        generator: torch.Generator | None = None,
        offset: int = 0,
        start: int = 0,
    ) -> tuple[Sequences, Any]:
        """Return the outputs of all steps and the last state.

        Args:
            input: sequences.
            hx: first state, in the form of the cell's; None is the cell's default.
            key: key of the masks; None draws one.
            generator: where the key is drawn.
            offset: second number that the masks are a function of.
            start: number of the first step, for a chunk of a longer sequence.
        """
        where = "RecurrentLayer"
        if isinstance(input, PackedSequence):
            padded, lengths = pad_packed_sequence(input)
            outputs, state = self._run(padded, hx, lengths, key, generator, offset, start)
            steps = torch.arange(len(outputs)).repeat_interleave(input.batch_sizes).to(padded.device)
            return input._replace(data=torch.stack(outputs)[steps, sequence_of_rows(input)]), state
        check_floating_point(where, "input", input)
        if input.dim() not in (2, 3):
            names = "(N, L, C)" if self.batch_first else "(L, N, C)"
            allowed = f"a batch {names}, one sequence (L, C) or a PackedSequence"
            bad_value(where, "input", allowed, f"shape {tuple(input.shape)}")
        time = 1 if self.batch_first and input.dim() == 3 else 0
        if input.shape[time] == 0:
            bad_value(where, "input", "of at least one step", f"shape {tuple(input.shape)}")
        outputs, state = self._run(input.movedim(time, 0), hx, None, key, generator, offset, start)
        return torch.stack(outputs, time), state

    def _run(
        self,
        steps: Tensor,
        state: Any,
        lengths: Tensor | None,
        key: Tensor | int | None,
        generator: torch.Generator | None,
        offset: int,
        start: int,
    ) -> tuple[list[Tensor], Any]:
        """Run over the leading dimension; a sequence behind its end keeps its state."""
        per, start = getattr(self.cell, "per", None), check_count("RecurrentLayer", "start", start, at_least=0)
        own = None
        if per is not None and not self.cell.is_off():  # type: ignore[operator]  # nn.Module says that it is a tensor
            key = ops.draw_key(generator) if key is None else key
            own = sequence_key("RecurrentLayer", key, offset, steps.device)
        outputs: list[Tensor] = []
        for number, x in enumerate(steps.unbind()):
            masks = {} if own is None else {"key": own, "offset": start + number if per == "step" else 0}
            new = self.cell(x, state, **masks)
            if lengths is not None and number:
                new = _merge((number < lengths).to(x.device).unsqueeze(-1), new, state)
            state = new
            outputs.append(state if isinstance(state, Tensor) else state[0])
        return outputs, state

    def __repr__(self) -> str:
        """Return the constructor call."""
        return f"{type(self).__name__}({self.cell!r}, batch_first={self.batch_first})"


def _merge(where: Tensor, new: Any, old: Any) -> Any:
    if isinstance(new, Tensor):
        return torch.where(where, new, old)
    return tuple(torch.where(where, after, before) for after, before in zip(new, old, strict=True))


def _reference(module: RecurrentLayer, x: Tensor) -> Any:
    """Run an LSTM with dropout of the candidate, step by step."""
    cell: Any = module.cell
    key = ops.draw_key()
    h = c = x.new_zeros(x.shape[0], cell.hidden_size)
    outputs = []
    for step, x_t in enumerate(x.unbind(1)):
        gates = x_t @ cell.weight_ih.t() + cell.bias_ih + h @ cell.weight_hh.t() + cell.bias_hh
        i, f, g, o = gates.chunk(4, -1)
        kept = ops.dropout(torch.tanh(g), key, cell.p, offset=step, backend="reference")
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * kept
        h = torch.sigmoid(o) * torch.tanh(c)
        outputs.append(h)
    return torch.stack(outputs, 1), (h, c)


def _evaluate(module: RecurrentLayer, x: Tensor) -> Any:
    """Run torch's own layer with the same weights."""
    cell: Any = module.cell
    plain = nn.LSTM(cell.input_size, cell.hidden_size, batch_first=True).to(x.dtype)
    plain.load_state_dict({f"{name}_l0": value for name, value in cell.state_dict().items()})
    output, state = plain(x)
    return output, tuple(part[0] for part in state)


def _inputs(dtype: torch.dtype, generator: torch.Generator) -> Inputs:
    return (torch.randn(4, 2, 3, generator=generator, dtype=torch.float64).to(dtype),)


with torch.random.fork_rng(devices=[]):  # importing draws nothing
    _cell = SemeniutaLSTMCell(3, 4, p=0.3)

register(
    LayerSpec(
        layer=RecurrentLayer,
        arguments={"cell": _cell, "batch_first": True},
        inputs=_inputs,
        reference=_reference,
        evaluate=_evaluate,
        rates=(),
        selects=False,
        tolerance=1e-6,
        errors=(
            ErrorInput(error=TypeError, match="`cell` must be a module", arguments={"cell": nn.LSTMCell}),
            ErrorInput(error=ValueError, match="`input` must be a batch", input=torch.ones(1, 4, 3, 3)),
            ErrorInput(error=ValueError, match="`input` must be of at least one step", input=torch.ones(4, 0, 3)),
            ErrorInput(
                error=TypeError,
                match="`input` must be a floating-point tensor",
                input=torch.ones(4, 3, 3, dtype=torch.int64),
            ),
        ),
        exceptions={"factory": "its parameters are those of the cell, which is made before it"},
    )
)
