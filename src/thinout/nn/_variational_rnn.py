"""LSTM and GRU with the same masks at every step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from thinout import functional as F
from thinout import ops
from thinout._checks import bad_value
from thinout.functional._locked import Sequences
from thinout.functional._shared import draw_keys
from thinout.nn._rate import Adjustable, Setting, rate
from thinout.nn._registry import ErrorInput, Inputs, LayerSpec, register
from thinout.nn._twin import from_twin

_ARGUMENTS = ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "bidirectional")


class _VariationalRNN(Adjustable, nn.RNNBase):
    """What the two kinds share."""

    p_input = Setting()
    p_hidden = Setting()
    tied: bool
    _function: ClassVar[Callable[..., Any]]

    def _run(
        self,
        input: Any,
        hx: Any,
        key: Tensor | int | None,
        generator: torch.Generator | None,
        offset: int,
    ) -> Any:
        return self._function(
            input,
            hx,
            self.all_weights,
            rate(self, "p_input"),
            rate(self, "p_hidden"),
            training=self.training,
            tied=self.tied,
            bidirectional=self.bidirectional,
            batch_first=self.batch_first,
            key=key,
            generator=generator,
            offset=offset,
        )

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        more = "" if self.tied else ", tied=False"
        return f"{super().extra_repr()}, p_input={self.p_input}, p_hidden={self.p_hidden}{more}"


def _without_dropout(where: str, module: nn.Module) -> None:
    """Raise where a module drops between its layers already: that would be lost, or dropped twice."""
    if isinstance(module, nn.RNNBase) and module.dropout:
        remedy = "Its place is taken by p_input, which drops between layers too. Set module.dropout = 0 first."
        bad_value(f"{where}.from_torch", "module", "without dropout", f"dropout={module.dropout}", remedy)


class VariationalLSTM(_VariationalRNN, nn.LSTM):
    """LSTM with one mask for a whole sequence on inputs and on states; see `thinout.functional.variational_lstm`.

    It is a `torch.nn.LSTM`: parameters have the same names, checkpoints load both ways, and eval is the same to the
    bit. Without `p_hidden` it runs on torch's kernels in training too. Of torch's arguments, `dropout` is missing: it
    draws a new mask at every step and only between layers, which `p_input` does in the way of Gal and Ghahramani.

    Args:
        input_size: number of input features.
        hidden_size: number of features of the state.
        num_layers: how many are stacked.
        bias: whether there are biases.
        batch_first: whether inputs and outputs are (N, L, C).
        bidirectional: whether each layer also runs backwards; both directions see one masked input.
        proj_size: number of features that the output is projected to; 0 for none.
        p_input: drop probability of the input features of each layer.
        p_hidden: drop probability of the features of h_{t-1} where it enters the gates.
        tied: whether the four gates share their masks.
        device: where the parameters are.
        dtype: of the parameters.

    Shape:
        As `torch.nn.LSTM`, packed sequences and unbatched ones too.

    Raises:
        ValueError: a rate outside [0, 1], inputs or states that do not fit.

    Example:
        >>> layer = VariationalLSTM(4, 6, p_input=0.2, p_hidden=0.3)
        >>> output, (h, c) = layer(torch.randn(5, 3, 4))
        >>> output.shape, c.shape
        (torch.Size([5, 3, 6]), torch.Size([1, 3, 6]))

    Source: Gal, Ghahramani 2016, "A theoretically grounded application of dropout in recurrent neural networks", NIPS,
    arXiv 1512.05287.
    """

    _function = staticmethod(F.variational_lstm)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bias: bool = True,
        batch_first: bool = False,
        bidirectional: bool = False,
        proj_size: int = 0,
        p_input: float = 0.5,
        p_hidden: float = 0.5,
        tied: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias=bias,
            batch_first=batch_first,
            bidirectional=bidirectional,
            proj_size=proj_size,
            device=device,
            dtype=dtype,
        )
        self.p_input, self.p_hidden, self.tied = p_input, p_hidden, tied

    @classmethod
    def from_torch(
        cls, module: nn.LSTM, *, p_input: float = 0.5, p_hidden: float = 0.5, tied: bool = True
    ) -> VariationalLSTM:
        """Return a copy of a `torch.nn.LSTM` with dropout; one with `dropout` of its own is refused."""
        _without_dropout(cls.__name__, module)
        names = (*_ARGUMENTS, "proj_size")
        return from_twin(cls, nn.LSTM, module, names, p_input=p_input, p_hidden=p_hidden, tied=tied)

    def forward(
        self,
        input: Sequences,
        hx: tuple[Tensor, Tensor] | None = None,
        *,
        key: Tensor | int | None = None,
        generator: torch.Generator | None = None,
        offset: int = 0,
    ) -> tuple[Sequences, tuple[Tensor, Tensor]]:
        """Run over sequences; chunks of a sequence share their masks if they are given one key."""
        result: tuple[Sequences, tuple[Tensor, Tensor]] = self._run(input, hx, key, generator, offset)
        return result


class VariationalGRU(_VariationalRNN, nn.GRU):
    """GRU with one mask for a whole sequence on inputs and on states; see `thinout.functional.variational_gru`.

    It is a `torch.nn.GRU`; what `VariationalLSTM` says of checkpoints, eval and `dropout` holds here too.

    Args:
        input_size: number of input features.
        hidden_size: number of features of the state.
        num_layers: how many are stacked.
        bias: whether there are biases.
        batch_first: whether inputs and outputs are (N, L, C).
        bidirectional: whether each layer also runs backwards; both directions see one masked input.
        p_input: drop probability of the input features of each layer.
        p_hidden: drop probability of the features of h_{t-1} where it enters the gates.
        tied: whether the three gates share their masks.
        device: where the parameters are.
        dtype: of the parameters.

    Shape:
        As `torch.nn.GRU`, packed sequences and unbatched ones too.

    Raises:
        ValueError: a rate outside [0, 1], inputs or states that do not fit.

    Example:
        >>> layer = VariationalGRU(4, 6, p_input=0.2, p_hidden=0.3, tied=False)
        >>> output, h = layer(torch.randn(5, 3, 4))
        >>> output.shape, h.shape
        (torch.Size([5, 3, 6]), torch.Size([1, 3, 6]))

    Source: Gal, Ghahramani 2016, NIPS, arXiv 1512.05287.
    """

    _function = staticmethod(F.variational_gru)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bias: bool = True,
        batch_first: bool = False,
        bidirectional: bool = False,
        p_input: float = 0.5,
        p_hidden: float = 0.5,
        tied: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias=bias,
            batch_first=batch_first,
            bidirectional=bidirectional,
            device=device,
            dtype=dtype,
        )
        self.p_input, self.p_hidden, self.tied = p_input, p_hidden, tied

    @classmethod
    def from_torch(
        cls, module: nn.GRU, *, p_input: float = 0.5, p_hidden: float = 0.5, tied: bool = True
    ) -> VariationalGRU:
        """Return a copy of a `torch.nn.GRU` with dropout; one with `dropout` of its own is refused."""
        _without_dropout(cls.__name__, module)
        return from_twin(cls, nn.GRU, module, _ARGUMENTS, p_input=p_input, p_hidden=p_hidden, tied=tied)

    def forward(
        self,
        input: Sequences,
        hx: Tensor | None = None,
        *,
        key: Tensor | int | None = None,
        generator: torch.Generator | None = None,
        offset: int = 0,
    ) -> tuple[Sequences, Tensor]:
        """Run over sequences; chunks of a sequence share their masks if they are given one key."""
        result: tuple[Sequences, Tensor] = self._run(input, hx, key, generator, offset)
        return result


def _step(module: _VariationalRNN, gates_x: Tensor, gates_h: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Take a step as the documentation of `torch.nn.LSTM` and `torch.nn.GRU` writes it."""
    if isinstance(module, nn.LSTM):
        i, f, g, o = (gates_x + gates_h).chunk(4, -1)
        c = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c
    (r, z, n), (r_h, z_h, n_h) = gates_x.chunk(3, -1), gates_h.chunk(3, -1)
    z = torch.sigmoid(z + z_h)
    return ((1 - z) * torch.tanh(n + torch.sigmoid(r + r_h) * n_h) + z * state[0],)


def _gates(x: Tensor, weight: Tensor, bias: Tensor | None, noise: Tensor) -> Tensor:
    """Return all gates of a step, each with its own noise: (G, N, C), or (1, N, C) for one that they share."""
    pieces = [x * one @ own.t() for one, own in zip(noise.expand(len(weight), *noise.shape[1:]), weight, strict=True)]
    return torch.cat(pieces, -1) + (0 if bias is None else bias)


def _reference(module: _VariationalRNN, x: Tensor) -> Any:
    """Run one direction of batches (N, L, C), step by step and gate by gate."""
    num_gates = 4 if isinstance(module, nn.LSTM) else 3
    keys = draw_keys("reference", 2 * module.num_layers, None, None, x.device)
    masks, finals = 1 if module.tied else num_gates, []

    def noise(size: int, key: Tensor, p: float) -> Tensor:
        ones = torch.ones(masks, len(x), size, dtype=x.dtype, device=x.device)
        return ops.dropout(ones, key, p, backend="reference")

    for layer, own in enumerate(module.all_weights):
        (w_ih, w_hh), (b_ih, b_hh) = own[:2], own[2:] or (None, None)
        on_x = noise(x.shape[-1], keys[2 * layer], module.p_input)
        on_h = noise(module.hidden_size, keys[2 * layer + 1], module.p_hidden)
        state = (x.new_zeros(len(x), module.hidden_size),) * (2 if isinstance(module, nn.LSTM) else 1)
        outputs = []
        for x_t in x.unbind(1):
            gates_x = _gates(x_t, w_ih.unflatten(0, (num_gates, -1)), b_ih, on_x)
            gates_h = _gates(state[0], w_hh.unflatten(0, (num_gates, -1)), b_hh, on_h)
            state = _step(module, gates_x, gates_h, state)
            outputs.append(state[0])
        x = torch.stack(outputs, 1)
        finals.append(state)
    last = tuple(torch.stack(parts) for parts in zip(*finals, strict=True))
    return x, last if isinstance(module, nn.LSTM) else last[0]


def _evaluate(module: _VariationalRNN, x: Tensor) -> Any:
    """Run torch's own layer with the same weights."""
    twin = nn.LSTM if isinstance(module, nn.LSTM) else nn.GRU
    plain = twin(**{name: getattr(module, name) for name in _ARGUMENTS}).to(x.dtype)
    plain.load_state_dict(module.state_dict())
    return plain.eval()(x)


def _inputs(dtype: torch.dtype, generator: torch.Generator) -> Inputs:
    return (torch.randn(4, 2, 3, generator=generator, dtype=torch.float64).to(dtype),)


for _layer in (VariationalLSTM, VariationalGRU):
    register(
        LayerSpec(
            layer=_layer,
            arguments={"input_size": 3, "hidden_size": 4, "batch_first": True, "p_input": 0.3, "p_hidden": 0.3},
            inputs=_inputs,
            reference=_reference,
            evaluate=_evaluate,
            rates=("p_input", "p_hidden"),
            full=_reference,
            selects=False,
            twin=getattr(nn, _layer.__name__.removeprefix("Variational")),
            tolerance=1e-6,
            errors=(
                *(
                    ErrorInput(
                        error=error,
                        match=rf"`{name}` must be a number in \[0, 1\], got",
                        arguments={"input_size": 3, "hidden_size": 4, name: p},
                    )
                    for name, p, error in (
                        ("p_input", 1.5, ValueError),
                        ("p_input", "0.5", TypeError),
                        ("p_hidden", -0.1, ValueError),
                        ("p_hidden", float("nan"), ValueError),
                    )
                ),
                ErrorInput(error=ValueError, match="`input` must be of 3 features", input=torch.ones(4, 3, 5)),
                ErrorInput(error=ValueError, match="`input` must be of at least one step", input=torch.ones(4, 0, 3)),
                ErrorInput(error=ValueError, match="`input` must be a batch", input=torch.ones(1, 4, 3, 3)),
                ErrorInput(
                    error=TypeError,
                    match=r"`input` must be of the weights' type torch\.float32",
                    input=torch.ones(4, 3, 3, dtype=torch.float64),
                ),
                ErrorInput(
                    error=ValueError,
                    match=r"`hx` must be of shape \(1, 4, 4\)",
                    input=(
                        torch.ones(4, 3, 3),
                        (torch.ones(1, 3, 4),) * 2 if _layer is VariationalLSTM else torch.ones(1, 3, 4),
                    ),
                ),
            ),
        )
    )
