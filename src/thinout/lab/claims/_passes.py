"""Predictions with dropout on, pass by pass."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from thinout.lab.training import predict, seeded
from thinout.lab.training._batches import Examples
from thinout.nn import Dropout


class _AlwaysOn(Dropout):
    """Dropout that eval mode does not switch off."""

    def forward(self, input: Tensor, **how: object) -> Tensor:
        self.training = True
        return super().forward(input)


def masked_passes(model: nn.Module, dataset: Examples, num_passes: int, *, seed: int) -> tuple[Tensor, Tensor]:
    """Return probabilities (num_passes, N, num_classes) with the dropout layers of a Sequential on, and the labels."""
    layers = [_AlwaysOn(layer.p) if isinstance(layer, Dropout) else layer for layer in model.children()]
    stochastic = nn.Sequential(*layers)
    probabilities, labels = [], torch.empty(0)
    with seeded(1_000_003 + seed):
        for _ in range(num_passes):
            logits, labels = predict(stochastic, dataset)
            probabilities.append(logits.softmax(1))
    return torch.stack(probabilities), labels
