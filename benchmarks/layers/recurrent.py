"""Rows of dropout of recurrent networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, linear

import thinout.nn as tnn
from layers._row import Row, normal

_P = 0.3
Gates = Callable[[nn.Module, Tensor, Tensor], tuple[Tensor, ...]]


def _noise(x: Tensor, *shape: int) -> Tensor:
    return x.new_empty(shape).bernoulli_(1 - _P).div_(1 - _P)


def _locked(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    return lambda x: x * _noise(x, 1, *x.shape[1:])


def _variational(layer: nn.RNNBase) -> Callable[[Tensor], Tensor]:
    """Return a loop over torch's cell with two masks."""
    w_ih, w_hh, b_ih, b_hh = layer.all_weights[0]

    def run(x: Tensor) -> Tensor:
        on_x, on_h = _noise(x, 1, *x.shape[1:]), _noise(x, x.shape[1], layer.hidden_size)
        h = c = x.new_zeros(x.shape[1], layer.hidden_size)
        outputs = []
        for x_t in (x * on_x).unbind():
            if isinstance(layer, nn.LSTM):
                h, c = torch.lstm_cell(x_t, (h * on_h, c), w_ih, w_hh, b_ih, b_hh)
            else:
                h = _gru(x_t, h * on_h, h, (w_ih, w_hh, b_ih, b_hh))
            outputs.append(h)
        return torch.stack(outputs)

    return run


def _gru(x: Tensor, masked: Tensor, h: Tensor, weights: tuple[Tensor, ...], drop: Any = None) -> Tensor:
    """Take a step of which torch has no function: a state for the gates and another that is carried over."""
    w_ih, w_hh, b_ih, b_hh = weights
    (r, z, n), (r_h, z_h, n_h) = linear(x, w_ih, b_ih).chunk(3, 1), linear(masked, w_hh, b_hh).chunk(3, 1)
    n = torch.tanh(n + torch.sigmoid(r + r_h) * n_h)
    z = torch.sigmoid(z + z_h)
    return (1 - z) * (n if drop is None else drop(n)) + z * h


def _weights(cell: nn.RNNCellBase) -> tuple[Tensor, ...]:
    return cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh


def _lstm_step(cell: nn.RNNCellBase, x: Tensor, h: Tensor, c: Tensor, on_g: Any, on_c: Any) -> tuple[Tensor, Tensor]:
    w_ih, w_hh, b_ih, b_hh = _weights(cell)
    i, f, g, o = (linear(x, w_ih, b_ih) + linear(h, w_hh, b_hh)).chunk(4, 1)
    c = on_c(torch.sigmoid(f) * c + torch.sigmoid(i) * on_g(torch.tanh(g)))
    return torch.sigmoid(o) * torch.tanh(c), c


def _semeniuta_lstm(cell: nn.RNNCellBase) -> Callable[..., Any]:
    return lambda x, hx: _lstm_step(cell, x, *hx, lambda g: dropout(g, _P), lambda c: c)


def _semeniuta_gru(cell: nn.RNNCellBase) -> Callable[..., Any]:
    return lambda x, h: _gru(x, h, h, _weights(cell), lambda n: dropout(n, _P))


def _rnndrop(cell: nn.RNNCellBase) -> Callable[..., Any]:
    def run(x: Tensor) -> Any:
        h = x.new_zeros(len(x), cell.hidden_size)
        mask = torch.rand_like(h) >= _P
        return _lstm_step(cell, x, h, h, lambda g: g, lambda c: c * mask)

    return run


def _zone(old: Tensor, new: Tensor) -> Tensor:
    return torch.where(torch.rand_like(new) < _P, old, new)


def _zoneout(cell: nn.RNNCellBase) -> Callable[..., Any]:
    def run(x: Tensor, hx: Any) -> Any:
        if isinstance(cell, nn.GRUCell):
            return _zone(hx, torch.gru_cell(x, hx, *_weights(cell)))
        new = torch.lstm_cell(x, hx, *_weights(cell))
        return tuple(_zone(before, after) for before, after in zip(hx, new, strict=True))

    return run


def _zoneout_wrapped(layer: Any) -> Callable[..., Any]:
    return lambda x, h: _zone(h, layer.cell(x, h))


def _layer(layer: Any) -> Callable[[Tensor], Tensor]:
    def run(x: Tensor) -> Tensor:
        h = c = x.new_zeros(x.shape[1], layer.cell.hidden_size)
        outputs = []
        for x_t in x.unbind():
            h, c = _lstm_step(layer.cell, x_t, h, c, lambda g: dropout(g, _P), lambda c: c)
            outputs.append(h)
        return torch.stack(outputs)

    return run


def _sequences() -> tuple[Tensor]:
    return (normal(35, 64, 256),)


def _lstm_inputs() -> tuple[Any, ...]:
    return normal(64, 512), (normal(64, 512), normal(64, 512))


def _gru_inputs() -> tuple[Any, ...]:
    return normal(64, 512), normal(64, 512)


_LOOP = "a loop over torch's cell; without masks on states the layer runs on torch's own kernels, up to 4 times faster"

ROWS = [
    Row(
        layer="LockedDropout",
        ours=lambda: tnn.LockedDropout(_P),
        plain=_locked,
        inputs=lambda: (normal(70, 64, 512),),
        note="a product with a mask that is not drawn again; ours selects, and its backward draws again",
    ),
    Row(
        layer="VariationalLSTM",
        ours=lambda: tnn.VariationalLSTM(256, 256, p_input=_P, p_hidden=_P),
        plain=_variational,
        inputs=_sequences,
        note=_LOOP,
    ),
    Row(
        layer="VariationalGRU",
        ours=lambda: tnn.VariationalGRU(256, 256, p_input=_P, p_hidden=_P),
        plain=_variational,
        inputs=_sequences,
        note=_LOOP,
    ),
    Row(
        layer="SemeniutaLSTMCell",
        ours=lambda: tnn.SemeniutaLSTMCell(512, 512, p=_P),
        plain=_semeniuta_lstm,
        inputs=_lstm_inputs,
    ),
    Row(
        layer="SemeniutaGRUCell",
        ours=lambda: tnn.SemeniutaGRUCell(512, 512, p=_P),
        plain=_semeniuta_gru,
        inputs=_gru_inputs,
    ),
    Row(
        layer="ZoneoutLSTMCell",
        ours=lambda: tnn.ZoneoutLSTMCell(512, 512, p_hidden=_P, p_cell=_P),
        plain=_zoneout,
        inputs=_lstm_inputs,
    ),
    Row(
        layer="ZoneoutGRUCell",
        ours=lambda: tnn.ZoneoutGRUCell(512, 512, p_hidden=_P),
        plain=_zoneout,
        inputs=_gru_inputs,
    ),
    Row(
        layer="ZoneoutCell",
        ours=lambda: tnn.ZoneoutCell(nn.GRUCell(512, 512), p_hidden=_P),
        plain=_zoneout_wrapped,
        inputs=_gru_inputs,
    ),
    Row(
        layer="RNNDropCell",
        ours=lambda: tnn.RNNDropCell(512, 512, p=_P),
        plain=_rnndrop,
        inputs=lambda: (normal(64, 512),),
        note="the first step of a sequence",
    ),
    Row(
        layer="RecurrentLayer",
        ours=lambda: tnn.RecurrentLayer(tnn.SemeniutaLSTMCell(512, 512, p=_P)),
        plain=_layer,
        inputs=lambda: (normal(35, 64, 512),),
        note="a loop over the steps with a mask each; a step costs a module call and checks more than plain code",
    ),
]
