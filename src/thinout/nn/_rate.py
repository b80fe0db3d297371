"""The attribute `p` of a layer: settable at any time, and compiled graphs do not notice."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from thinout._checks import check_p


class Rate:
    """A probability kept twice: as a float for eager code and as a one-element tensor for compiled graphs.

    A float attribute would be baked into a compiled graph, which is then compiled again for every new value. The tensor
    has one dimension, because dynamo takes a 0-d float64 tensor for a Python number and compiles the graph twice. It
    is no buffer: it enters no state dict and stays on the CPU, where reading it needs no synchronisation. Setting it
    replaces the tensor and never writes into it, since a graph between forward and backward may hold it.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._float, self._tensor = f"_{name}", f"_{name}_tensor"
        self._name = name

    def __get__(self, module: nn.Module | None, owner: type | None = None) -> float:
        if module is None:
            return self  # type: ignore[return-value]  # what a descriptor gives on its class
        value: float = module.__dict__[self._float]
        return value

    def __set__(self, module: nn.Module, value: float) -> None:
        p = check_p(type(module).__name__, value, self._name)
        module.__dict__[self._float] = p
        # The device is named so that a meta- or cuda-device context does not move it.
        with torch.inference_mode(False):  # an inference tensor could not be saved for backward
            module.__dict__[self._tensor] = torch.tensor([p], dtype=torch.float64, device="cpu")


class Rated(nn.Module):
    """A layer with a rate `p`."""

    p = Rate()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Rebuild the tensor form of the rate, which `torch.load` may have moved to another device."""
        super().__setstate__(state)
        self.p = state["_p"]


def rate(module: nn.Module) -> float | Tensor:
    """Return `module.p` in the form that the code at hand needs: a tensor while compiling, else a float."""
    form = "_p_tensor" if torch.compiler.is_compiling() else "_p"
    value: float | Tensor = module.__dict__[form]
    return value
