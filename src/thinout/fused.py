"""Dropout fused with the operations beside it: fewer passes over memory, the same values."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.autograd import forward_ad

from thinout import ops
from thinout._checks import bad_type, bad_value, check_choice, check_p
from thinout.ops import _apply, _fused
from thinout.ops import _fused_library as _fused_library  # registers the operators
from thinout.ops._contract import Mask, quantise
from thinout.ops._inputs import check_floating_point, check_key, check_offset

__all__ = ["bias_act_dropout", "dropout_add"]

Activation = Literal["none", "relu", "gelu"]


def _check_other(where: str, input: Tensor, name: str, other: Tensor, shape: tuple[int, ...]) -> None:
    if not isinstance(other, Tensor) or other.dtype != input.dtype:
        got = f"a {other.dtype} tensor" if isinstance(other, Tensor) else repr(type(other).__name__)
        remedy = f"Convert it with {name}.to(input.dtype)."
        bad_type(where, name, f"a {input.dtype} tensor, as the input is", got, remedy)
    if other.shape != shape:
        bad_value(where, name, f"of shape {tuple(shape)}", f"shape {tuple(other.shape)}")
    if other.device != input.device:
        bad_value(where, name, f"on {input.device}, as the input is", f"a tensor on {other.device}")


def _drops(where: str, p: float | Tensor, training: bool) -> bool:
    """Return whether anything is to be dropped, after a check of the rate."""
    return (isinstance(p, Tensor) or check_p(where, p) > 0) and training


def _stream(
    where: str, input: Tensor, key: Tensor | int | None, generator: torch.Generator | None, offset: int
) -> tuple[Tensor, int]:
    key = ops.draw_key(generator) if key is None else key
    return check_key(where, key, input.device), check_offset(where, offset)


def _takes_separate_operations(input: Tensor) -> bool:
    """Whether the operations are called one by one: transforms know them, and autocast promotes their types."""
    return (
        torch._C._are_functorch_transforms_active()
        or forward_ad._current_level >= 0
        or torch.is_autocast_enabled(input.device.type)
    )


def dropout_add(
    input: Tensor,
    residual: Tensor,
    p: float | Tensor = 0.5,
    *,
    training: bool,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Add a residual to the dropout of an input, in one pass over memory: the end of a transformer's block.

    .. math:: y = r + \frac{m \odot x}{1 - p}, \quad m_i \sim \text{Bernoulli}(1 - p)

    The result has the bits of ``residual + thinout.functional.dropout(input, p, training=training, key=key)``. For
    backward only the key is kept.

    Args:
        input: floating-point tensor of any shape.
        residual: tensor of the same shape, dtype and device.
        p: drop probability in [0, 1].
        training: whether to drop; without it the result is ``input + residual``.
        key: key of the mask; None draws one.
        generator: where the key is drawn; None is torch's default generator.
        offset: second number that the mask is a function of, beside the key.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: p outside [0, 1], another shape or device.
        TypeError: the input is not floating point, or the residual has another dtype.

    Example:
        >>> dropout_add(torch.ones(4), torch.full((4,), 10.0), 0.5, training=True, key=1)
        tensor([12., 10., 12., 10.])
    """
    check_floating_point("dropout_add", "input", input)
    if not torch.is_autocast_enabled(input.device.type):
        _check_other("dropout_add", input, "residual", residual, input.shape)
    if not _drops("dropout_add", p, training):
        return input + residual
    key, offset = _stream("dropout_add", input, key, generator, offset)
    if _takes_separate_operations(input):
        return residual + ops.dropout(input, key, p, offset=offset)
    if isinstance(p, Tensor) or _apply.needs_operator(input) or _apply.needs_operator(residual):
        y: Tensor = torch.ops.thinout.dropout_add(input, residual, key, _apply.rate_tensor(p), offset)
    else:
        y = _fused.DropoutAdd.apply(input, residual, key, Mask(quantise(p), offset))
    return y


def bias_act_dropout(
    input: Tensor,
    bias: Tensor,
    p: float | Tensor = 0.5,
    *,
    activation: Activation,
    training: bool,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Add a bias, apply an activation and drop, keeping only inputs and key: the inside of a perceptron's layer.

    .. math:: y = \frac{m \odot f(x + b)}{1 - p}, \quad m_i \sim \text{Bernoulli}(1 - p)

    On a GPU it is one pass over memory. On a CPU it is PyTorch's own vectors with the mask applied in place, which was
    measured faster than one loop over all three.

    The result has the bits of the three operations (with "gelu", their values up to rounding). For backward the inputs
    and the key are kept, neither the activation nor the mask.

    Args:
        input: floating-point tensor of shape (..., C), C features.
        bias: tensor of shape (C,), of the same dtype and device.
        p: drop probability in [0, 1].
        activation: "none", "relu" or "gelu", the latter by the error function.
        training: whether to drop; without it the result is ``activation(input + bias)``.
        key: key of the mask; None draws one.
        generator: where the key is drawn; None is torch's default generator.
        offset: second number that the mask is a function of, beside the key.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: p outside [0, 1], an unknown activation, another shape or device.
        TypeError: the input is not floating point, or the bias has another dtype.

    Example:
        >>> x = torch.tensor([[1.0, -1.0, 3.0, 4.0]])
        >>> bias_act_dropout(x, torch.ones(4), 0.5, activation="relu", training=True, key=1)
        tensor([[4., 0., 8., 0.]])
    """
    check_floating_point("bias_act_dropout", "input", input)
    if not torch.is_autocast_enabled(input.device.type):
        _check_other("bias_act_dropout", input, "bias", bias, input.shape[-1:])
    check_choice("bias_act_dropout", "activation", activation, ("none", "relu", "gelu"))
    if not _drops("bias_act_dropout", p, training):
        return _fused.activate(input + bias, activation)
    key, offset = _stream("bias_act_dropout", input, key, generator, offset)
    if _takes_separate_operations(input):
        return ops.dropout(_fused.activate(input + bias, activation), key, p, offset=offset)
    if isinstance(p, Tensor) or _apply.needs_operator(input) or _apply.needs_operator(bias):
        y: Tensor = torch.ops.thinout.bias_act_dropout(input, bias, key, _apply.rate_tensor(p), offset, activation)
    else:
        y = _fused.BiasActDropout.apply(input, bias, key, Mask(quantise(p), offset), activation)
    return y
