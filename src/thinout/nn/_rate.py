"""Settings of a layer, such as its rate `p`: changed at any time, and compiled graphs do not notice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from thinout._checks import check_p

Check = Callable[[str, Any, str], float]


class Setting:
    """A number kept twice: as a float for eager code and as a one-element tensor for compiled graphs.

    A float attribute would be baked into a compiled graph, which is then compiled again for every new value. The tensor
    has one dimension, because dynamo takes a 0-d float64 tensor for a Python number and compiles the graph twice. It
    is no buffer: it enters no state dict and stays on the CPU, where reading it needs no synchronisation. Setting it
    replaces the tensor and never writes into it, since a graph between forward and backward may hold it.

    Args:
        check: takes where, value and name, and returns the value as a float or raises; `check_p` by default.
    """

    def __init__(self, check: Check = check_p) -> None:
        self._check = check

    def __set_name__(self, owner: type, name: str) -> None:
        self._float, self._tensor = f"_{name}", f"_{name}_tensor"
        self._name = name

    def __get__(self, module: nn.Module | None, owner: type | None = None) -> float:
        if module is None:
            return self  # type: ignore[return-value]  # what a descriptor gives on its class
        value: float = module.__dict__[self._float]
        return value

    def __set__(self, module: nn.Module, value: float) -> None:
        number = self._check(type(module).__name__, value, self._name)
        module.__dict__[self._float] = number
        # The device is named so that a meta- or cuda-device context does not move it.
        with torch.inference_mode(False):  # an inference tensor could not be saved for backward
            module.__dict__[self._tensor] = torch.tensor([number], dtype=torch.float64, device="cpu")


def settings(layer: type) -> Iterator[str]:
    """Yield the names of a layer's settings."""
    for base in layer.__mro__:
        yield from (name for name, value in vars(base).items() if isinstance(value, Setting))


class Adjustable(nn.Module):
    """A layer with settings."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Rebuild the tensor form of the settings, which `torch.load` may have moved to another device."""
        super().__setstate__(state)
        for name in settings(type(self)):
            setattr(self, name, state[f"_{name}"])


class Rated(Adjustable):
    """A layer with a rate `p`."""

    p = Setting()


def rate(module: nn.Module, name: str = "p") -> float | Tensor:
    """Return a setting in the form that the code at hand needs: a tensor while compiling, else a float."""
    form = f"_{name}_tensor" if torch.compiler.is_compiling() else f"_{name}"
    value: float | Tensor = module.__dict__[form]
    return value
