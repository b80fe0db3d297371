"""Cells that keep parts of their previous state."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from thinout import functional as F
from thinout import ops
from thinout._checks import bad_type, bad_value
from thinout.functional._recurrent_cells import plain_cell, zoneout_state
from thinout.functional._shared import is_off
from thinout.nn._rate import Adjustable, Setting, rate
from thinout.nn._recurrent_cells import cell_errors, inputs_of
from thinout.nn._registry import ErrorInput, LayerSpec, register
from thinout.nn._twin import from_twin

_ARGUMENTS = ("input_size", "hidden_size", "bias")


class ZoneoutLSTMCell(Adjustable, nn.LSTMCell):
    r"""LSTM cell with zoneout of its state; see `thinout.functional.zoneout`.

    .. math:: c_t = m^c \odot \tilde c_t + (1 - m^c) \odot c_{t-1}
    .. math:: h_t = m^h \odot (o_t \odot \tanh(\tilde c_t)) + (1 - m^h) \odot h_{t-1}

    :math:`\tilde c_t` is the memory before zoneout. Output and state are the same :math:`h_t`. Eval takes the mean over
    the masks of a step. It is a `torch.nn.LSTMCell`, and checkpoints load both ways.

    Args:
        input_size: number of input features.
        hidden_size: number of features of the state.
        bias: whether there are biases.
        p_hidden: probability that an element of h keeps its previous value, in [0, 1].
        p_cell: the same for c. The defaults are the paper's for the characters of the Penn Treebank.
        device: where the parameters are.
        dtype: of the parameters.

    Shape:
        As `torch.nn.LSTMCell`: input (N, C) or (C), h and c (N, H) or (H).

    Raises:
        ValueError: a rate outside [0, 1], shapes that do not fit.

    Example:
        >>> cell = ZoneoutLSTMCell(4, 6, p_hidden=0.0, p_cell=1.0)
        >>> h, c = cell(torch.randn(3, 4), (torch.zeros(3, 6), torch.ones(3, 6)))
        >>> bool((c == 1).all())
        True

    Source: Krueger et al. 2017, "Zoneout: regularizing RNNs by randomly preserving hidden activations", ICLR, arXiv
    1606.01305; rates of the authors' code, github.com/teganmaharaj/zoneout.
    """

    p_hidden = Setting()
    p_cell = Setting()
    per = "step"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        bias: bool = True,
        p_hidden: float = 0.05,
        p_cell: float = 0.5,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, device=device, dtype=dtype)
        self.p_hidden, self.p_cell = p_hidden, p_cell

    @classmethod
    def from_torch(cls, module: nn.LSTMCell, *, p_hidden: float = 0.05, p_cell: float = 0.5) -> ZoneoutLSTMCell:
        """Return a copy of a `torch.nn.LSTMCell` with zoneout."""
        return from_twin(cls, nn.LSTMCell, module, _ARGUMENTS, p_hidden=p_hidden, p_cell=p_cell)

    def is_off(self) -> bool:
        """Return whether the cell draws nothing."""
        return is_off(rate(self, "p_hidden"), self.training) and is_off(rate(self, "p_cell"), self.training)

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
        new = plain_cell(type(self).__name__, input, hx, (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh))
        rates = (rate(self, "p_hidden"), rate(self, "p_cell"))
        h, c = zoneout_state(hx, new, rates, self.training, key, generator, offset)
        return h, c

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return f"{super().extra_repr()}, p_hidden={self.p_hidden}, p_cell={self.p_cell}"


class ZoneoutGRUCell(Adjustable, nn.GRUCell):
    r"""GRU cell with zoneout of its state; see `thinout.functional.zoneout`.

    .. math:: h_t = m \odot \tilde h_t + (1 - m) \odot h_{t-1}

    with :math:`\tilde h_t` the state of a GRU. It is a `torch.nn.GRUCell`, and checkpoints load both ways.

    Args:
        input_size: number of input features.
        hidden_size: number of features of the state.
        bias: whether there are biases.
        p_hidden: probability that an element of h keeps its previous value, in [0, 1].
        device: where the parameters are.
        dtype: of the parameters.

    Shape:
        As `torch.nn.GRUCell`: input (N, C) or (C), state (N, H) or (H).

    Raises:
        ValueError: a rate outside [0, 1], shapes that do not fit.

    Example:
        >>> h = torch.ones(3, 6)
        >>> torch.equal(ZoneoutGRUCell(4, 6, p_hidden=1.0)(torch.randn(3, 4), h), h)
        True

    Source: Krueger et al. 2017, ICLR, arXiv 1606.01305.
    """

    p_hidden = Setting()
    per = "step"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        bias: bool = True,
        p_hidden: float = 0.05,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, device=device, dtype=dtype)
        self.p_hidden = p_hidden

    @classmethod
    def from_torch(cls, module: nn.GRUCell, *, p_hidden: float = 0.05) -> ZoneoutGRUCell:
        """Return a copy of a `torch.nn.GRUCell` with zoneout."""
        return from_twin(cls, nn.GRUCell, module, _ARGUMENTS, p_hidden=p_hidden)

    def is_off(self) -> bool:
        """Return whether the cell draws nothing."""
        return is_off(rate(self, "p_hidden"), self.training)

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
        (new,) = plain_cell(
            type(self).__name__, input, hx, (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        )
        old, p = torch.zeros_like(new) if hx is None else hx, rate(self, "p_hidden")
        return F.zoneout(old, new, p, training=self.training, key=key, generator=generator, offset=offset)

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return f"{super().extra_repr()}, p_hidden={self.p_hidden}"


class ZoneoutCell(Adjustable):
    """Any recurrent cell with zoneout of its state; see `thinout.functional.zoneout`.

    The parameters are those of the cell, under the name ``cell``. Where a checkpoint of a `torch.nn.LSTMCell` or
    `torch.nn.GRUCell` is to be loaded as it is, take `ZoneoutLSTMCell` or `ZoneoutGRUCell`.

    Args:
        cell: a module from an input and a state to the next state, a tensor or a pair of tensors. The state may be
            None, and then stands for zeros. It has no masks of its own.
        p_hidden: probability that an element of the state, or of the pair's first tensor, keeps its previous value.
        p_cell: the same for the pair's second tensor.

    Shape:
        As the cell.

    Raises:
        ValueError: a rate outside [0, 1], a state of more than two tensors.
        TypeError: the cell has masks of its own.

    Example:
        >>> cell = ZoneoutCell(nn.RNNCell(4, 6), p_hidden=0.1)
        >>> cell(torch.randn(3, 4), torch.zeros(3, 6)).shape
        torch.Size([3, 6])

    Source: Krueger et al. 2017, ICLR, arXiv 1606.01305.
    """

    p_hidden = Setting()
    p_cell = Setting()
    per = "step"

    def __init__(self, cell: nn.Module, *, p_hidden: float = 0.05, p_cell: float = 0.5) -> None:
        super().__init__()
        if hasattr(cell, "per"):
            remedy = "Wrap a plain cell: two kinds of masks would need two keys."
            bad_type("ZoneoutCell", "cell", "a cell without masks of its own", type(cell).__name__, remedy)
        self.cell = cell
        self.p_hidden, self.p_cell = p_hidden, p_cell

    def is_off(self) -> bool:
        """Return whether the cell draws nothing."""
        return is_off(rate(self, "p_hidden"), self.training) and is_off(rate(self, "p_cell"), self.training)

    def forward(
        self,
        input: Tensor,
        hx: Any = None,
        *,
        key: Tensor | int | None = None,
        generator: torch.Generator | None = None,
        offset: int = 0,
    ) -> Any:
        """Take a step; `key`, `generator` and `offset` as in `thinout.functional`."""
        new = self.cell(input, hx)
        single = isinstance(new, Tensor)
        current, previous = (new,) if single else tuple(new), (hx,) if isinstance(hx, Tensor) else hx
        if len(current) > 2:
            bad_value("ZoneoutCell", "cell", "one with a state of one or two tensors", f"{len(current)} tensors")
        rates = (rate(self, "p_hidden"), rate(self, "p_cell"))[: len(current)]
        state = zoneout_state(previous, current, rates, self.training, key, generator, offset)
        return state[0] if single else state

    def __repr__(self) -> str:
        """Return the constructor call."""
        return f"{type(self).__name__}({self.cell!r}, p_hidden={self.p_hidden}, p_cell={self.p_cell})"


def _states(module: Any, x: Tensor, hx: Any) -> tuple[list[Tensor], list[Tensor], list[float]]:
    """Return the states before and after a plain step, and their rates."""
    if isinstance(module, ZoneoutCell):
        return [hx], [module.cell(x, hx)], [module.p_hidden]
    weights = (module.weight_ih, module.weight_hh, module.bias_ih, module.bias_hh)
    if isinstance(module, ZoneoutGRUCell):
        return [hx], [torch.gru_cell(x, hx, *weights)], [module.p_hidden]
    return list(hx), list(torch.lstm_cell(x, hx, *weights)), [module.p_hidden, module.p_cell]


def _reference(module: nn.Module, x: Tensor, hx: Any) -> Any:
    """Take each element from the old or the new state, by masks of the reference backend."""
    old, new, rates = _states(module, x, hx)
    key, state, first = ops.draw_key(), [], 0
    for before, after, p in zip(old, new, rates, strict=True):
        ones = torch.ones(after.shape, dtype=torch.float64)
        keep = ops.dropout(ones, key, p, first_index=first, backend="reference") != 0
        state.append(torch.where(keep, after, before))
        first += after.numel()
    return state[0] if isinstance(hx, Tensor) else tuple(state)


def _evaluate(module: nn.Module, x: Tensor, hx: Any) -> Any:
    """Take the mean over the masks."""
    pairs = zip(*_states(module, x, hx), strict=True)
    state = tuple(ops.effective_p(p) * old + (1 - ops.effective_p(p)) * new for old, new, p in pairs)
    return state[0] if isinstance(hx, Tensor) else state


_COMMON: dict[str, Any] = {
    "reference": _reference,
    "evaluate": _evaluate,
    "full": lambda module, x, hx: hx,
    "selects": False,
    "tolerance": 1e-6,
}
with torch.random.fork_rng(devices=[]):  # importing draws nothing
    _cell = nn.RNNCell(3, 5)
    _masked = ZoneoutGRUCell(3, 5)

register(
    LayerSpec(
        layer=ZoneoutLSTMCell,
        arguments={"input_size": 3, "hidden_size": 5, "p_hidden": 0.3, "p_cell": 0.3},
        inputs=inputs_of(2),
        rates=("p_hidden", "p_cell"),
        twin=nn.LSTMCell,
        errors=(*cell_errors("p_hidden", 2), *cell_errors("p_cell", 2)),
        **_COMMON,
    )
)
register(
    LayerSpec(
        layer=ZoneoutGRUCell,
        arguments={"input_size": 3, "hidden_size": 5, "p_hidden": 0.3},
        inputs=inputs_of(1),
        rates=("p_hidden",),
        twin=nn.GRUCell,
        errors=cell_errors("p_hidden", 1),
        **_COMMON,
    )
)
register(
    LayerSpec(
        layer=ZoneoutCell,
        arguments={"cell": _cell, "p_hidden": 0.3, "p_cell": 0.3},
        inputs=inputs_of(1),
        rates=("p_hidden", "p_cell"),
        errors=(
            ErrorInput(
                error=ValueError,
                match="`p_hidden` must be a number",
                arguments={"cell": _cell, "p_hidden": 1.5},
            ),
            ErrorInput(error=TypeError, match="`p_cell` must be a number", arguments={"cell": _cell, "p_cell": "1"}),
            ErrorInput(
                error=TypeError,
                match="`cell` must be a cell without masks of its own, got ZoneoutGRUCell",
                arguments={"cell": _masked},
            ),
        ),
        exceptions={
            "factory": "its parameters are those of the cell, which is made before it",
            "vmap": "torch has no batching rule for the cells that it wraps; ZoneoutLSTMCell and ZoneoutGRUCell have",
        },
        **_COMMON,
    )
)
