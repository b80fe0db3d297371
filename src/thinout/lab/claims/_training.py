"""Small networks on images and their training, as the claims need them: the laboratory's own loop, quick to set up."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from thinout.lab.case import Recipe
from thinout.lab.data import Splits, load, split
from thinout.lab.training import FitResult, RunSeeds, fit, predict, seeded
from thinout.lab.training._batches import Examples, num_examples
from thinout.nn import Dropout

SIDE = 28
SMALL = "fashion-mnist-small"


def images(name: str, seed: int, *, num_train: int | None = None, num_validation: int | None = None) -> Splits:
    """Return a data set of 28x28 images.

    Args:
        name: of the data set.
        seed: of the run, which chooses the validation part.
        num_train: of the training part the first so many of a permutation by the seed; all by default.
        num_validation: the same of the validation part.
    """
    splits = split(read(name), seed=RunSeeds.from_seed(seed).split, validation=0.1)
    train, validation = _some(splits.train, num_train, seed), _some(splits.validation, num_validation, seed)
    return replace(splits, train=train, validation=validation)


def read(name: str) -> Any:
    """Return a data set; a worker reads it once for all its units, as long as it lies in the same place."""
    return _read(name, os.environ.get("THINOUT_DATA"))


@functools.lru_cache(maxsize=2)
def _read(name: str, place: str | None) -> Any:
    return load(name)


def _some(part: Examples, num_chosen: int | None, seed: int) -> Examples:
    if num_chosen is None:
        return part
    if not isinstance(part, TensorDataset):
        raise TypeError("split() makes TensorDatasets")
    chosen = torch.randperm(len(part), generator=torch.Generator().manual_seed(seed))[:num_chosen]
    return TensorDataset(*(tensor[chosen] for tensor in part.tensors))


def mlp(
    p: float,
    hidden: Sequence[int] = (512, 512),
    *,
    input_p: float = 0.0,
    num_classes: int = 10,
    num_inputs: int = SIDE**2,
) -> nn.Sequential:
    """Return a perceptron with ReLU and dropout after each hidden layer, and on its input."""
    layers: list[nn.Module] = [nn.Flatten(), Dropout(input_p)]
    for pair in pairwise((num_inputs, *hidden)):
        layers += [nn.Linear(*pair), nn.ReLU(), Dropout(p)]
    return nn.Sequential(*layers, nn.Linear(hidden[-1], num_classes))


def train(make: Callable[[], nn.Module], splits: Splits, recipe: Recipe, seed: int) -> tuple[nn.Module, FitResult]:
    """Train a new network; all arms of a seed start from the same weights and see the same batches.

    Returns:
        The network with the weights of its best validation epoch, and what its training left.
    """
    seeds = RunSeeds.from_seed(seed)
    with seeded(seeds.init):
        model = make()
    return model, fit(model, splits, recipe, seeds=seeds)


def clean_metrics(model: nn.Module, splits: Splits) -> dict[str, float]:
    """Return NLL and error of the training and the test part with dropout off, and the gap between the NLLs."""
    from thinout.lab.metrics import classification_metrics

    values: dict[str, float] = {}
    for name, part in (("train", splits.train), ("test", splits.test)):
        metrics = classification_metrics(*predict(model, part))
        values |= {f"{name} NLL": metrics["nll"], f"{name} error": 100 * metrics["error"]}
    return values | {"gap": values["test NLL"] - values["train NLL"]}


def recipe_for(num_train: int, *, steps: int = 1500, least: int = 3, most: int = 120, **changes: Any) -> Recipe:
    """Return a recipe of about as many steps for every size of data, with early stopping.

    Example:
        >>> recipe_for(1000).epochs, recipe_for(60_000).epochs
        (100, 3)
    """
    per_epoch = max(1, num_train // 64)
    epochs = max(least, min(most, round(steps / per_epoch)))
    settings: dict[str, Any] = {"epochs": epochs, "batch_size": 64, "lr": 1e-3, "patience": max(3, epochs // 5)}
    return Recipe(**(settings | changes))


def examples(dataset: Examples, count: int | None = None) -> tuple[Tensor, Tensor]:
    """Return the first examples of a data set as two tensors; all of them by default."""
    length = num_examples(dataset)
    pairs = [dataset[index] for index in range(length if count is None else min(count, length))]
    inputs, labels = zip(*pairs, strict=True)
    return torch.stack(inputs), torch.stack(labels)
