"""The registry of layers: one `LayerSpec` each, and every common check of `thinout.testing` runs on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class ErrorInput:
    """A wrong use and what it must be answered with.

    Args:
        error: the class of the exception.
        match: regular expression that its message must match.
        arguments: constructor arguments in place of the spec's.
        input: the input that is wrong, or None where construction must fail.
    """

    error: type[Exception]
    match: str
    arguments: Mapping[str, Any] | None = None
    input: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class LayerSpec:
    """What the common checks need to know of a layer.

    Args:
        layer: the module class.
        arguments: constructor arguments to check it with.
        shape: shape of an input.
        reference: computes the training output from the module and an input, drawing from torch's default generator
            what the layer draws, by the reference backend.
        evaluate: computes the eval output; the default is the identity.
        twin: the torch class that it stands in for, if any.
        any_rank: whether inputs of every rank are allowed, 0-d too.
        errors: wrong uses.
        exceptions: check -> the reason why it does not hold for this layer.
    """

    layer: type[nn.Module]
    shape: tuple[int, ...]
    reference: Callable[[Any, Tensor], Tensor]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    evaluate: Callable[[Any, Tensor], Tensor] = lambda module, x: x
    twin: type[nn.Module] | None = None
    any_rank: bool = False
    errors: tuple[ErrorInput, ...] = ()
    exceptions: Mapping[str, str] = field(default_factory=dict)

    def make(self, **arguments: Any) -> nn.Module:
        """Return a new layer, in training mode."""
        return self.layer(**{**self.arguments, **arguments})

    def example(self, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
        """Return an input with standard normal entries that are a function of the seed."""
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(self.shape, generator=generator, dtype=torch.float64).to(dtype)


REGISTRY: dict[str, LayerSpec] = {}


def register(spec: LayerSpec) -> None:
    """Add a layer to the registry under its class name."""
    REGISTRY[spec.layer.__name__] = spec
