"""What layers that stand in for a torch layer with parameters share."""

from __future__ import annotations

from torch import nn
from torch.nn.utils import parametrize

from thinout._checks import bad_type, bad_value


def check_source(where: str, module: object, kind: type[nn.Module]) -> None:
    """Raise unless a module is of the torch class that a layer is made from, with plain parameters."""
    if not isinstance(module, kind):
        bad_type(where, "module", f"a torch.nn.{kind.__name__}", repr(type(module).__name__))
    if parametrize.is_parametrized(module):
        remedy = "Call torch.nn.utils.parametrize.remove_parametrizations first."
        bad_value(where, "module", "without parametrizations", f"{type(module).__name__}", remedy)


def copy_parameters(source: nn.Module, layer: nn.Module) -> None:
    """Give a layer copies of the parameters of another module, and its mode."""
    for name, parameter in source.named_parameters(recurse=False):
        copy = nn.Parameter(parameter.detach().clone(), requires_grad=parameter.requires_grad)
        setattr(layer, name, copy)
    layer.train(source.training)
