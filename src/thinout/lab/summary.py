"""A network layer by layer: output shapes, parameters, multiply-adds, and where dropout sits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from thinout.lab.training import evaluating

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_RECURRENT = (nn.RNN, nn.LSTM, nn.GRU)
_WINDOWS = (*_CONVOLUTIONS, nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool2d, nn.AvgPool3d)


@dataclass(frozen=True, kw_only=True)
class LayerSummary:
    """One layer, in the order in which it ran.

    Args:
        name: its path inside of the model, for example ``"features.0"``.
        layer: its class.
        output_shape: of one example, without the batch dimension.
        parameters: how many it holds.
        multiply_adds: of one example; of convolutions, linear and recurrent layers, 0 for others (the products of
            attention weights, which are no layer, are not counted).
        p: drop probability, or None where the layer drops nothing.
        formula: how the last output size comes about, for example ``"(32-5+2*0)/1+1 = 28"``; None for layers without
            a window, or whose output has another size than the formula's.
    """

    name: str
    layer: str
    output_shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    p: float | None = None
    formula: str | None = None


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The layers of a network and their totals.

    Args:
        layers: in the order in which they ran.
        input_shape: of one example.
        parameters: of the whole model, shared ones counted once.
        trainable_parameters: those that need a gradient.
        multiply_adds: of one example.
    """

    layers: tuple[LayerSummary, ...]
    input_shape: tuple[int, ...]
    parameters: int
    trainable_parameters: int
    multiply_adds: int


def output_size(size: int, kernel: int, *, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    r"""Return how many places a window has.

    .. math:: \lfloor (W - F + 2P) / S \rfloor + 1, \quad F = \mathrm{dilation} \, (\mathrm{kernel} - 1) + 1

    Example:
        >>> output_size(32, 5), output_size(28, 2, stride=2)
        (28, 14)
    """
    return (size - (dilation * (kernel - 1) + 1) + 2 * padding) // stride + 1


def summarize(model: nn.Module, input_shape: tuple[int, ...], *, dtype: torch.dtype | None = None) -> Summary:
    """Run one example of zeros through a network in eval mode and describe every layer that ran.

    Args:
        model: the network; its mode and weights stay as they are.
        input_shape: of one example, without the batch dimension.
        dtype: of the input, int64 for numbers of words, say; None is that of the weights.

    Example:
        >>> from thinout.lab.models import LeNet5
        >>> summary = summarize(LeNet5(0.5), (1, 32, 32))
        >>> [(layer.name, layer.p) for layer in summary.layers if layer.p is not None]
        [('classifier.0', 0.5), ('classifier.3', 0.5)]
    """
    layers: list[LayerSummary] = []
    shown = [
        (name, module)
        for name, module in model.named_modules()
        if not list(module.children()) or _drop_probability(module) is not None  # the latter: it drops around a layer
    ]
    handles = [module.register_forward_hook(_recorder(name, layers)) for name, module in shown]
    first = next(model.parameters(), torch.zeros(()))
    try:
        with evaluating(model):
            model(torch.zeros(1, *input_shape, dtype=dtype or first.dtype, device=first.device))
    finally:
        for handle in handles:
            handle.remove()
    weights = list(model.parameters())
    return Summary(
        layers=tuple(layers),
        input_shape=tuple(input_shape),
        parameters=sum(weight.numel() for weight in weights),
        trainable_parameters=sum(weight.numel() for weight in weights if weight.requires_grad),
        multiply_adds=sum(layer.multiply_adds for layer in layers),
    )


def _recorder(name: str, layers: list[LayerSummary]) -> Callable[[nn.Module, tuple[Tensor, ...], Any], None]:
    def record(module: nn.Module, inputs: tuple[Tensor, ...], result: Any) -> None:
        output = result[0] if isinstance(result, tuple) else result  # of a recurrent layer: behind it come the states
        layers.append(
            LayerSummary(
                name=name,
                layer=type(module).__name__,
                output_shape=tuple(output.shape[1:]),
                parameters=sum(weight.numel() for weight in module.parameters(recurse=False)),
                multiply_adds=_multiply_adds(module, output),
                p=_drop_probability(module),
                formula=_formula(module, inputs[0].shape[-1], output.shape[-1]),
            )
        )

    return record


def _multiply_adds(module: nn.Module, output: Tensor) -> int:
    # Each output element takes as many as a unit has incoming weights.
    if isinstance(module, (*_CONVOLUTIONS, nn.Linear)):
        return output[0].numel() * module.weight[0].numel()
    if isinstance(module, _RECURRENT):
        weights = (weight.numel() for name, weight in module.named_parameters() if name.startswith("weight"))
        return sum(weights) * output.shape[1 if module.batch_first else 0]  # each weight once a step
    return 0


def _drop_probability(module: nn.Module) -> float | None:
    p = getattr(module, "p", None)
    return float(p) if isinstance(p, (int, float)) else None


def _formula(module: nn.Module, size: int, got: int) -> str | None:
    if not isinstance(module, _WINDOWS) or isinstance(module.padding, str):
        return None
    kernel, stride, padding = (_last(value) for value in (module.kernel_size, module.stride, module.padding))
    dilation = _last(getattr(module, "dilation", 1))
    if output_size(size, kernel, stride=stride, padding=padding, dilation=dilation) != got:  # ceil_mode, say
        return None
    return f"({size}-{dilation * (kernel - 1) + 1}+2*{padding})/{stride}+1 = {got}"


def _last(value: int | tuple[int, ...]) -> int:
    return value[-1] if isinstance(value, tuple) else value
