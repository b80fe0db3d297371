"""A layer out of the torch module that it stands in for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from torch import nn

from thinout.nn._from_torch import check_source

Layer = TypeVar("Layer", bound=nn.Module)


def from_twin(layer: type[Layer], twin: type[nn.Module], module: nn.Module, names: Iterable[str], **own: Any) -> Layer:
    """Return a layer with the arguments, parameters, dtype, device and mode of a torch module.

    Args:
        layer: class of the new layer; its parameters have the names of the module's.
        twin: the torch class that the module must be of.
        module: what is copied; it shares nothing with the new layer.
        names: arguments that are attributes of the module.
        own: the other arguments.
    """
    check_source(f"{layer.__name__}.from_torch", module, twin)
    like = next(module.parameters())
    arguments = {name: getattr(module, name) for name in names} | own
    # Made without memory, so that no initial weights are drawn from the caller's generator.
    made = layer(**arguments, device="meta", dtype=like.dtype).to_empty(device=like.device)
    made.load_state_dict(module.state_dict())
    for parameter, other in zip(made.parameters(), module.parameters(), strict=True):
        parameter.requires_grad_(other.requires_grad)
    return made.train(module.training)
