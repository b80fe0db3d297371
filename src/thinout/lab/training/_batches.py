"""Batches by index: gathers from tensors in memory, or a DataLoader over any other map-style data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset

from thinout._checks import UsageError, message
from thinout.lab.data import Viewed
from thinout.lab.training._seeds import derive, seeded_everywhere

Examples = Dataset[Any]
"""A map-style data set of pairs: input tensor, label."""

EVALUATION_BATCH = 256


def num_examples(dataset: Examples) -> int:
    """Return the length of a data set that has one."""
    length = len(dataset) if hasattr(dataset, "__len__") else 0
    if length == 0:
        remedy = "Give a torch.utils.data.Dataset with __getitem__ and __len__."
        raise UsageError(message("fit", "splits", "data sets with a length of at least 1", repr(dataset), remedy))
    return length


def all_targets(dataset: Examples) -> Tensor:
    """Return the target of every example, stacked."""
    if type(dataset) is TensorDataset:
        return dataset.tensors[1]
    if type(dataset) is Viewed:
        return dataset.labels
    return torch.stack([torch.as_tensor(dataset[index][1]) for index in range(num_examples(dataset))])


def load_batches(
    dataset: Examples, indices: Sequence[Tensor], device: torch.device, *, seed: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (inputs, labels) on the device for each tensor of indices; of an empty one, a batch of length 0.

    What a data set draws at random in `__getitem__` comes from `seed` and the number of the batch alone.
    """
    if type(dataset) is TensorDataset:  # a subclass may do more in __getitem__ than index
        # Data that fit into memory: a gather costs microseconds where a DataLoader collates example by example.
        inputs, labels = dataset.tensors
        for chosen in indices:
            yield inputs[chosen].to(device), labels[chosen].to(device)
        return
    # A process may have no share of a short batch. Nothing cannot be collated, so the first example tells the shape.
    places = [chosen.tolist() or [0] for chosen in indices]
    # An own generator: the loader draws a seed for its workers, which must not come out of the masks' generator.
    batches = iter(DataLoader(dataset, batch_sampler=places, generator=torch.Generator()))
    for number, chosen in enumerate(indices):
        with seeded_everywhere(derive(seed, number)[0]):
            inputs, labels = next(batches)
        yield inputs[: len(chosen)].to(device), labels[: len(chosen)].to(device)
