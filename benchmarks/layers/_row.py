"""One layer beside its plain PyTorch formulation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


def normal(*shape: int) -> Tensor:
    """Return standard normal values that do not change from run to run."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@dataclass(frozen=True, kw_only=True)
class Row:
    """What to time: forward and backward of a layer, and of what a user would write without it.

    Args:
        layer: class name.
        ours: makes the layer, in training mode.
        plain: from our layer to a function of the same inputs, with the same weights, in PyTorch's own operations.
        inputs: makes the inputs; floating-point ones get a gradient.
        heavy: whether drawing masks is most of the plain formulation's time, so that ours must be 5 times as fast.
        note: what a reader must know of the plain formulation.
    """

    layer: str
    ours: Callable[[], nn.Module]
    plain: Callable[[nn.Module], Callable[..., Any]]
    inputs: Callable[[], tuple[Any, ...]]
    heavy: bool = False
    note: str = ""
