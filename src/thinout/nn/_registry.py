"""The registry of layers: one `LayerSpec` each, and every common check of `thinout.testing` runs on it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

Inputs = tuple[Any, ...]
FLOATING = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


@dataclass(frozen=True, kw_only=True)
class ErrorInput:
    """A wrong use and what it must be answered with.

    Args:
        error: the class of the exception.
        match: regular expression that its message must match.
        arguments: constructor arguments in place of the spec's.
        input: the input that is wrong, a tuple of several, or None where construction must fail.
    """

    error: type[Exception]
    match: str
    arguments: Mapping[str, Any] | None = None
    input: Tensor | Inputs | None = None


@dataclass(frozen=True, kw_only=True)
class LayerSpec:
    """What the common checks need to know of a layer.

    Functions of the layer and its inputs are called as ``function(module, *inputs)``.

    Args:
        layer: the module class.
        reference: computes the training output, drawing from torch's default generator what the layer draws, by the
            reference backend.
        shape: shape of the input, where there is one floating-point input.
        inputs: from a dtype and a generator to the inputs, where they are others.
        arguments: constructor arguments to check it with.
        evaluate: computes the eval output; the default is the first input.
        rates: attributes that are settable numbers, with constructor arguments of the same names; the checks of edges
            set all of them.
        zero: computes the output where all rates are 0; the default is `evaluate`.
        full: computes the output where all rates are 1, drawing as `reference` does; the default is zeros like the
            first input.
        selects: whether an output element is either 0 or a fixed multiple of the input's.
        twin: the torch class that it stands in for, if any.
        any_rank: whether inputs of every rank are allowed, 0-d too.
        dtypes: floating-point types that it takes.
        tolerance: largest difference from the reference, relative to its largest absolute value, where the two sum in
            another order; 0 demands equal bits.
        errors: wrong uses.
        exceptions: check -> the reason why it does not hold for this layer.
    """

    layer: type[nn.Module]
    reference: Callable[..., Any]
    shape: tuple[int, ...] = ()
    inputs: Callable[[torch.dtype, torch.Generator], Inputs] | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    evaluate: Callable[..., Any] = lambda module, x, *rest: x
    rates: tuple[str, ...] = ("p",)
    zero: Callable[..., Any] | None = None
    full: Callable[..., Any] | None = None
    selects: bool = True
    twin: type[nn.Module] | None = None
    any_rank: bool = False
    dtypes: tuple[torch.dtype, ...] = FLOATING
    tolerance: float = 0.0
    errors: tuple[ErrorInput, ...] = ()
    exceptions: Mapping[str, str] = field(default_factory=dict)

    def make(self, **arguments: Any) -> nn.Module:
        """Return a new layer, in training mode; its parameters are the same each time."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return self.layer(**copy.deepcopy({**self.arguments, **arguments}))

    def example(self, dtype: torch.dtype = torch.float32, seed: int = 0) -> Inputs:
        """Return inputs, standard normal by default, that are a function of the seed."""
        generator = torch.Generator().manual_seed(seed)
        if self.inputs is not None:
            return self.inputs(dtype, generator)
        return (torch.randn(self.shape, generator=generator, dtype=torch.float64).to(dtype),)


REGISTRY: dict[str, LayerSpec] = {}


def register(spec: LayerSpec) -> None:
    """Add a layer to the registry under its class name."""
    REGISTRY[spec.layer.__name__] = spec
