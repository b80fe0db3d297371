"""Training steps to time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def perceptron(inputs: int = 784, width: int = 1024) -> nn.Module:
    """Return a perceptron with three hidden layers, half of each dropped, and ten outputs."""
    sizes = (inputs, width, width)
    hidden = [layer for size in sizes for layer in (nn.Linear(size, width), nn.ReLU(), nn.Dropout(0.5))]
    return nn.Sequential(*hidden, nn.Linear(width, 10))


def training_step(model: nn.Module, x: Tensor) -> Callable[[], None]:
    """Return a step of SGD on one batch: forward, backward, update."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)

    def step() -> None:
        optimizer.zero_grad(set_to_none=False)
        model(x).square().mean().backward()
        optimizer.step()

    return step
