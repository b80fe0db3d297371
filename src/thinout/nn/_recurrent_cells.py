"""Cells of LSTM and GRU with dropout of the candidate or of the memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from thinout import functional as F
from thinout import ops
from thinout._checks import check_choice
from thinout.functional._recurrent_cells import require_key
from thinout.functional._shared import is_off
from thinout.nn._rate import Rated, rate
from thinout.nn._registry import ErrorInput, Inputs, LayerSpec, register
from thinout.nn._twin import from_twin

_ARGUMENTS = ("input_size", "hidden_size", "bias")


class _MaskedCell(Rated, nn.RNNCellBase):
    """What the cells share: parameters as torch's, one rate, masks a step or a sequence.

    No mask is kept in the module: a cell is a function of its input, its state, a key and an offset.
    """

    per: str
    _function: ClassVar[Callable[..., Any]]

    def is_off(self) -> bool:
        """Return whether the cell draws nothing."""
        return is_off(rate(self), self.training)

    def _step(
        self,
        input: Tensor,
        hx: Any,
        key: Tensor | int | None,
        generator: torch.Generator | None,
        offset: int,
    ) -> Any:
        if self.per == "sequence" and not self.is_off():
            require_key(type(self).__name__, hx, key)
        return self._function(
            input,
            hx,
            self.weight_ih,
            self.weight_hh,
            self.bias_ih,
            self.bias_hh,
            rate(self),
            training=self.training,
            key=key,
            generator=generator,
            offset=offset,
        )


class SemeniutaLSTMCell(_MaskedCell, nn.LSTMCell):
    """LSTM cell with dropout of the candidate alone; see `thinout.functional.semeniuta_lstm_cell`.

    It is a `torch.nn.LSTMCell`: checkpoints load both ways, and eval is the same to the bit.

    Args:
        input_size: number of input features.
        hidden_size: number of features of the state.
        bias: whether there are biases.
        p: drop probability of an element of the candidate, in [0, 1].
        per: "step" for a new mask in every step, "sequence" for one mask; the second needs `key=` in later steps, which
            `RecurrentLayer` passes.
        device: where the parameters are.
        dtype: of the parameters.

    Shape:
        As `torch.nn.LSTMCell`: input (N, C) or (C), h and c (N, H) or (H).

    Raises:
        ValueError: p outside [0, 1], shapes that do not fit, no key in a later step of a sequence.

    Example:
        >>> cell = SemeniutaLSTMCell(4, 6, p=0.25)
        >>> h, c = cell(torch.randn(3, 4))
        >>> h.shape
        torch.Size([3, 6])

    Source: Semeniuta, Severyn, Barth 2016, "Recurrent dropout without memory loss", COLING, arXiv 1603.05118.
    """

    _function = staticmethod(F.semeniuta_lstm_cell)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        bias: bool = True,
        p: float = 0.5,
        per: str = "step",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, device=device, dtype=dtype)
        self.p = p
        self.per = check_choice(type(self).__name__, "per", per, ("step", "sequence"))

    @classmethod
    def from_torch(cls, module: nn.LSTMCell, *, p: float = 0.5, per: str = "step") -> SemeniutaLSTMCell:
        """Return a copy of a `torch.nn.LSTMCell` with dropout."""
        return from_twin(cls, nn.LSTMCell, module, _ARGUMENTS, p=p, per=per)

    def forward(
        self,
        input: Tensor,
        hx: tuple[Tensor, Tensor] | None = None,
        *,
        key: Tensor | int | None = None,
        generator: torch.Generator | None = None,
        offset: int = 0,
    ) -> tuple[Tensor, Tensor]:
        """Take a step; `key`, `generator` and `offset` as in `thinout.functional`."""
        h, c = self._step(input, hx, key, generator, offset)
        return h, c

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return f"{super().extra_repr()}, p={self.p}, per={self.per!r}"


class SemeniutaGRUCell(_MaskedCell, nn.GRUCell):
    """GRU cell with dropout of the candidate alone; see `thinout.functional.semeniuta_gru_cell`.

    It is a `torch.nn.GRUCell`: checkpoints load both ways, and eval is the same to the bit.

    Args:
        input_size: number of input features.
        hidden_size: number of features of the state.
        bias: whether there are biases.
        p: drop probability of an element of the candidate, in [0, 1].
        per: "step" or "sequence", as in `SemeniutaLSTMCell`.
        device: where the parameters are.
        dtype: of the parameters.

    Shape:
        As `torch.nn.GRUCell`: input (N, C) or (C), state (N, H) or (H).

    Raises:
        ValueError: p outside [0, 1], shapes that do not fit, no key in a later step of a sequence.

    Example:
        >>> SemeniutaGRUCell(4, 6, p=0.25)(torch.randn(3, 4)).shape
        torch.Size([3, 6])

    Source: Semeniuta, Severyn, Barth 2016, COLING, arXiv 1603.05118.
    """

    _function = staticmethod(F.semeniuta_gru_cell)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        bias: bool = True,
        p: float = 0.5,
        per: str = "step",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, device=device, dtype=dtype)
        self.p = p
        self.per = check_choice(type(self).__name__, "per", per, ("step", "sequence"))

    @classmethod
    def from_torch(cls, module: nn.GRUCell, *, p: float = 0.5, per: str = "step") -> SemeniutaGRUCell:
        """Return a copy of a `torch.nn.GRUCell` with dropout."""
        return from_twin(cls, nn.GRUCell, module, _ARGUMENTS, p=p, per=per)

    def forward(
        self,
        input: Tensor,
        hx: Tensor | None = None,
        *,
        key: Tensor | int | None = None,
        generator: torch.Generator | None = None,
        offset: int = 0,
    ) -> Tensor:
        """Take a step; `key`, `generator` and `offset` as in `thinout.functional`."""
        h: Tensor = self._step(input, hx, key, generator, offset)
        return h

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return f"{super().extra_repr()}, p={self.p}, per={self.per!r}"


class RNNDropCell(_MaskedCell, nn.LSTMCell):
    """LSTM cell whose memory cells are dropped for a whole sequence; see `thinout.functional.rnndrop_cell`.

    It is a `torch.nn.LSTMCell`, and checkpoints load both ways. Nothing is scaled in training; eval reads (1 - p) times
    the memory. Later steps of a sequence need the `key=` of the first, which `RecurrentLayer` passes.

    Args:
        input_size: number of input features.
        hidden_size: number of features of the state.
        bias: whether there are biases.
        p: drop probability of a memory cell, in [0, 1].
        device: where the parameters are.
        dtype: of the parameters.

    Shape:
        As `torch.nn.LSTMCell`: input (N, C) or (C), h and c (N, H) or (H).

    Raises:
        ValueError: p outside [0, 1], shapes that do not fit, no key in a later step of a sequence.

    Example:
        >>> cell = RNNDropCell(4, 6, p=0.25)
        >>> h, c = cell(torch.randn(3, 4))
        >>> h.shape
        torch.Size([3, 6])

    Source: Moon, Choi, Lee, Song 2015, "RNNDROP: a novel dropout for RNNs in ASR", ASRU.
    """

    per = "sequence"
    _function = staticmethod(F.rnndrop_cell)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        bias: bool = True,
        p: float = 0.5,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, device=device, dtype=dtype)
        self.p = p

    @classmethod
    def from_torch(cls, module: nn.LSTMCell, *, p: float = 0.5) -> RNNDropCell:
        """Return a copy of a `torch.nn.LSTMCell` with dropout."""
        return from_twin(cls, nn.LSTMCell, module, _ARGUMENTS, p=p)

    def forward(
        self,
        input: Tensor,
        hx: tuple[Tensor, Tensor] | None = None,
        *,
        key: Tensor | int | None = None,
        generator: torch.Generator | None = None,
        offset: int = 0,
    ) -> tuple[Tensor, Tensor]:
        """Take a step; `key`, `generator` and `offset` as in `thinout.functional`."""
        h, c = self._step(input, hx, key, generator, offset)
        return h, c

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return f"{super().extra_repr()}, p={self.p}"


def _gates(cell: nn.RNNCellBase, x: Tensor, h: Tensor) -> tuple[Tensor, ...]:
    """Return the gates' values as the documentation of torch's cells writes them."""
    count = 3 if isinstance(cell, nn.GRUCell) else 4
    of_x = (x @ cell.weight_ih.t() + (0 if cell.bias_ih is None else cell.bias_ih)).chunk(count, -1)
    of_h = (h @ cell.weight_hh.t() + (0 if cell.bias_hh is None else cell.bias_hh)).chunk(count, -1)
    if count == 3:
        r, z = (torch.sigmoid(a + b) for a, b in zip(of_x[:2], of_h[:2], strict=True))
        return z, torch.tanh(of_x[2] + r * of_h[2])
    i, f, g, o = (a + b for a, b in zip(of_x, of_h, strict=True))
    return torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)


def _reference(cell: _MaskedCell, x: Tensor, hx: Any = None) -> Any:
    """Take a step with masks by the reference backend."""
    key, zeros = ops.draw_key(), x.new_zeros(len(x), cell.hidden_size)

    def drop(part: Tensor, rescale: bool = True) -> Tensor:
        return ops.dropout(part, key, cell.p, backend="reference", rescale=rescale)

    if isinstance(cell, nn.GRUCell):
        h = zeros if hx is None else hx
        z, n = _gates(cell, x, h)
        return z * h + (1 - z) * drop(n)
    h, c = (zeros, zeros) if hx is None else hx
    i, f, g, o = _gates(cell, x, h)
    c = drop(f * c + i * g, rescale=False) if isinstance(cell, RNNDropCell) else f * c + i * drop(g)
    return o * torch.tanh(c), c


def _evaluate(cell: nn.RNNCellBase, *inputs: Any) -> Any:
    """Run torch's own cell with the same weights."""
    twin = nn.GRUCell if isinstance(cell, nn.GRUCell) else nn.LSTMCell
    plain = twin(cell.input_size, cell.hidden_size, cell.bias).to(inputs[0].dtype)
    plain.load_state_dict(cell.state_dict())
    return plain(*inputs)


def _evaluate_rnndrop(cell: RNNDropCell, x: Tensor) -> Any:
    i, _, g, o = _gates(cell, x, x.new_zeros(len(x), cell.hidden_size))
    return o * torch.tanh((1 - ops.effective_p(cell.p)) * i * g), i * g


def inputs_of(num_states: int) -> Callable[[torch.dtype, torch.Generator], Inputs]:
    """Return what makes an input of 4 sequences and 3 features, and a state of tensors of 5 features, if any."""

    def make(dtype: torch.dtype, generator: torch.Generator) -> Inputs:
        x, *state = (
            torch.randn(4, size, generator=generator, dtype=torch.float64).to(dtype) for size in (3, *(5,) * num_states)
        )
        return (x,) if not state else (x, state[0]) if num_states == 1 else (x, tuple(state))

    return make


def cell_errors(name: str, num_states: int) -> tuple[ErrorInput, ...]:
    """Return the wrong uses that cells answer alike; `name` is that of a rate, `num_states` 0 for no given state."""
    sizes = {"input_size": 3, "hidden_size": 5}
    state = torch.ones(4, 6) if num_states == 1 else (torch.ones(4, 5), torch.ones(4, 6))
    wrong_state = ErrorInput(error=ValueError, match="`hx` must be", input=(torch.ones(4, 3), state))
    packed = nn.utils.rnn.pack_sequence([torch.ones(2, 3)])
    rates = ((1.5, ValueError), (float("nan"), ValueError), ("0.5", TypeError))
    return (
        *(
            ErrorInput(error=error, match=rf"`{name}` must be a number in \[0, 1\], got", arguments=sizes | {name: p})
            for p, error in rates
        ),
        *((wrong_state,) if num_states else ()),
        ErrorInput(error=ValueError, match="Run the cell over a sequence with", input=torch.ones(2, 4, 3)),
        ErrorInput(error=TypeError, match="got a PackedSequence. Run the cell over it with", input=(packed,)),
        ErrorInput(
            error=TypeError,
            match="`input` must be a floating-point tensor",
            input=torch.ones(4, 3, dtype=torch.int64),
        ),
    )


for _layer, _states in ((SemeniutaLSTMCell, 2), (SemeniutaGRUCell, 1)):
    register(
        LayerSpec(
            layer=_layer,
            arguments={"input_size": 3, "hidden_size": 5, "p": 0.3},
            inputs=inputs_of(_states),
            reference=_reference,
            evaluate=_evaluate,
            full=_reference,
            selects=False,
            twin=nn.GRUCell if _states == 1 else nn.LSTMCell,
            tolerance=1e-6,
            errors=(
                *cell_errors("p", _states),
                ErrorInput(
                    error=ValueError,
                    match="`per` must be one of sequence, step",
                    arguments={"input_size": 3, "hidden_size": 5, "per": "batch"},
                ),
                ErrorInput(
                    error=ValueError,
                    match="`key` must be that of the sequence",
                    arguments={"input_size": 3, "hidden_size": 5, "per": "sequence"},
                    input=(torch.ones(4, 3), torch.ones(4, 5) if _states == 1 else (torch.ones(4, 5),) * 2),
                ),
            ),
        )
    )
register(
    LayerSpec(
        layer=RNNDropCell,
        arguments={"input_size": 3, "hidden_size": 5, "p": 0.3},
        inputs=inputs_of(0),  # a first step: later ones need a key
        reference=_reference,
        evaluate=_evaluate_rnndrop,
        zero=_evaluate,
        full=_reference,
        selects=False,
        twin=nn.LSTMCell,
        tolerance=1e-6,
        errors=(
            *cell_errors("p", 0),  # a later step without a key is refused first
            ErrorInput(
                error=ValueError,
                match="`key` must be that of the sequence",
                input=(torch.ones(4, 3), (torch.ones(4, 5),) * 2),
            ),
        ),
    )
)
