"""Data and networks that train in milliseconds."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset

from thinout.lab.case import Case, Recipe, Run, dropout_arm
from thinout.lab.data import Splits
from thinout.nn import Dropout

NUM_FEATURES, NUM_CLASSES = 8, 3


class Pairs(Dataset[tuple[Tensor, int]]):
    """A map-style data set as a user would write it."""

    def __init__(self, inputs: Tensor, labels: Tensor) -> None:
        self.inputs, self.labels = inputs, labels

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.inputs[index], int(self.labels[index])


class NoisyPairs(Pairs):
    """Draws from every generator that a user's augmentation may draw from."""

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        noise = torch.rand(()) + np.random.random() + random.random()  # noqa: NPY002  # as in many a user's data set
        return self.inputs[index] + noise, int(self.labels[index])


class DoubledInputs(TensorDataset):
    """A subclass whose items are not the rows of its tensors."""

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        inputs, labels = super().__getitem__(index)
        return 2 * inputs, labels


def examples(num: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return inputs whose label is a linear function of them."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(num, NUM_FEATURES, generator=generator)
    return inputs, inputs[:, :NUM_CLASSES].argmax(1)


def tiny_splits(seed: int = 0, *, kind: Any = TensorDataset, num_train: int = 50) -> Splits:
    """Return splits of random vectors, as tensors or as a user's own data sets."""
    parts = [kind(*examples(num, seed + i)) for i, num in enumerate((num_train, 20, 30))]
    return Splits(*parts, num_classes=NUM_CLASSES, shape=(1, 1, NUM_FEATURES), mean=(0.0,), std=(1.0,))


def mlp(p: float) -> nn.Module:
    """Return a network of one hidden layer with dropout."""
    return nn.Sequential(nn.Linear(NUM_FEATURES, 16), nn.ReLU(), Dropout(p), nn.Linear(16, NUM_CLASSES))


def tiny_case(recipe: Recipe | None = None) -> Case:
    """Return a case of all this."""
    return Case(name="tiny", model=mlp, data=tiny_splits, recipe=recipe or Recipe(epochs=3, batch_size=16))


def run_of(p: float, seed: int = 7, **changes: object) -> Run:
    """Return a run of the tiny case, with changes to its recipe."""
    recipe = replace(Recipe(epochs=3, batch_size=16), **changes)  # type: ignore[arg-type]
    return Run(case="tiny", data=None, arm=dropout_arm(p), seed=seed, recipe=recipe)
