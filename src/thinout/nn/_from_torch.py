"""What layers that stand in for a torch layer with parameters share."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn.utils import parametrize

from thinout._checks import bad_type, bad_value


def check_source(where: str, module: object, kind: type[nn.Module]) -> None:
    """Raise unless a module is of the torch class that a layer is made from, with plain parameters."""
    if not isinstance(module, kind):
        bad_type(where, "module", f"a torch.nn.{kind.__name__}", repr(type(module).__name__))
    if parametrize.is_parametrized(module):
        remedy = "Call torch.nn.utils.parametrize.remove_parametrizations first."
        bad_value(where, "module", "without parametrizations", f"{type(module).__name__}", remedy)

    computed = sorted(name for name in ("weight", "bias") if isinstance(vars(module).get(name), Tensor))
    if computed:  # by the older forms: torch.nn.utils.weight_norm, spectral_norm, prune
        remedy = "End the weight norm, spectral norm or pruning first."
        bad_value(where, "module", "one whose weights are parameters", f"one that computes its {computed[0]}", remedy)


def copy_parameters(source: nn.Module, layer: nn.Module) -> None:
    """Give a layer copies of the parameters of another module, and its mode."""
    for name, parameter in source.named_parameters(recurse=False):
        copy = nn.Parameter(parameter.detach().clone(), requires_grad=parameter.requires_grad)
        setattr(layer, name, copy)
    layer.train(source.training)


class TorchTwin(nn.Module):
    """A layer with parameters beside those of the torch class that it stands in for.

    A checkpoint of the torch class has none of them: they then keep the values that they have.
    """

    _own_parameters: ClassVar[tuple[str, ...]]

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        *rest: Any,
    ) -> None:
        super()._load_from_state_dict(state_dict, prefix, local_metadata, strict, missing_keys, *rest)
        own = [prefix + name for name in self._own_parameters]
        if prefix + "weight" in state_dict and not any(name in state_dict for name in own):
            missing_keys[:] = [name for name in missing_keys if name not in own]
