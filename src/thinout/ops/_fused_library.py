"""The fused forms as registered operators of torch, for compiled code; keys and rates are tensors, as in `_library`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from thinout.ops import _fused
from thinout.ops._contract import Mask, quantise

_SCHEMAS = (
    "dropout_add(Tensor x, Tensor residual, Tensor key, Tensor p, SymInt offset) -> Tensor",
    "bias_act_dropout(Tensor x, Tensor bias, Tensor key, Tensor p, SymInt offset, str activation) -> Tensor",
    "bias_act_dropout_backward(Tensor grad, Tensor x, Tensor bias, Tensor key, Tensor p, SymInt offset, str activation)"
    " -> Tensor",
)
_operators = torch.library.Library("thinout", "FRAGMENT")
for _schema in _SCHEMAS:
    _operators.define(_schema, tags=(torch.Tag.pt2_compliant_tag,))


def _mask(p: Tensor, offset: int) -> Mask:
    return Mask(quantise(p.item()), offset)


@torch.library.impl("thinout::dropout_add", "CompositeExplicitAutograd", lib=_operators)
def _dropout_add(x: Tensor, residual: Tensor, key: Tensor, p: Tensor, offset: int) -> Tensor:
    return _fused.run_dropout_add(x, residual, key, _mask(p, offset))


@torch.library.impl("thinout::bias_act_dropout", "CompositeExplicitAutograd", lib=_operators)
def _bias_act_dropout(x: Tensor, bias: Tensor, key: Tensor, p: Tensor, offset: int, activation: str) -> Tensor:
    return _fused.run_bias_act_dropout(x, bias, key, _mask(p, offset), activation)


@torch.library.impl("thinout::bias_act_dropout_backward", "CompositeExplicitAutograd", lib=_operators)
def _bias_act_dropout_backward(
    grad: Tensor, x: Tensor, bias: Tensor, key: Tensor, p: Tensor, offset: int, activation: str
) -> Tensor:
    return _fused.run_bias_act_dropout_backward(grad, x, bias, key, _mask(p, offset), activation)


def _fake(x: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(x)


def _fake_backward(_: Tensor, x: Tensor, *__: Any) -> Tensor:
    return torch.empty_like(x)


def _keep_add(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, _, key, p, ctx.offset = inputs
    ctx.save_for_backward(key, p)


def _traced_dropout(x: Tensor, key: Tensor, p: Tensor, offset: int) -> Tensor:
    y: Tensor = torch.ops.thinout.dropout(x, key, p, offset, False, True, 0, None)
    return y


def _add_gradients(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    key, p = ctx.saved_tensors
    return _traced_dropout(grad, key, p, ctx.offset), grad, None, None, None


def _keep_bias(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.offset, ctx.activation = inputs
    ctx.save_for_backward(*tensors)


def _bias_gradients(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, bias, key, p = ctx.saved_tensors
    if torch.is_grad_enabled():
        grad_x = _fused.activate_backward(_traced_dropout(grad, key, p, ctx.offset), x + bias, ctx.activation)
    else:
        grad_x = torch.ops.thinout.bias_act_dropout_backward(grad, x, bias, key, p, ctx.offset, ctx.activation)
    return grad_x, grad_x.sum_to_size(bias.shape), None, None, None, None


torch.library.register_fake("thinout::dropout_add", _fake, lib=_operators)
torch.library.register_fake("thinout::bias_act_dropout", _fake, lib=_operators)
torch.library.register_fake("thinout::bias_act_dropout_backward", _fake_backward, lib=_operators)
torch.library.register_autograd("thinout::dropout_add", _add_gradients, setup_context=_keep_add, lib=_operators)
torch.library.register_autograd("thinout::bias_act_dropout", _bias_gradients, setup_context=_keep_bias, lib=_operators)
