"""Stratified selections that are the same on every machine and under every NumPy version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from thinout.lab.data._types import ImageData, Labels, bad_data

Indices = npt.NDArray[np.int64]


def permutation(bits: np.random.PCG64, length: int) -> Indices:
    """Return a random permutation of `range(length)`.

    NumPy promises the same raw stream for ever (NEP 19), but not the same `Generator.permutation`: hence the sort of
    raw 64-bit words. Two equal words (probability below length**2 / 2**65) would keep their order.
    """
    return np.argsort(bits.random_raw(length), kind="stable").astype(np.int64)


def class_counts(labels: Labels) -> dict[int, int]:
    """Return how many labels each class has that occurs, in class order."""
    classes, counts = np.unique(labels, return_counts=True)
    return dict(zip(classes.tolist(), counts.tolist(), strict=True))


def stratified_indices(labels: Labels, counts: Mapping[int, int], bits: np.random.PCG64) -> Indices:
    """Choose `counts[c]` positions of every class c at random, and return them in random order."""
    chosen = []
    for label, count in sorted(counts.items()):
        places = np.flatnonzero(labels == label)
        if len(places) < count:
            bad_data("stratified_subset", f"class {label}", f"of at least {count} images", len(places))
        chosen.append(places[permutation(bits, len(places))[:count]])
    indices = np.concatenate(chosen)
    return indices[permutation(bits, len(indices))]


def stratified_subset(data: ImageData, *, name: str, train: int, test: int, seed: int) -> ImageData:
    """Cut the same number of images of every class from both parts of a data set.

    Args:
        data: the full set.
        name: name of the subset.
        train: images per class of the training part.
        test: images per class of the test part.
        seed: decides the choice and the order.

    Raises:
        DataError: a class has too few images.
    """
    bits = np.random.PCG64(seed)
    kept = stratified_indices(data.train_labels, dict.fromkeys(range(data.num_classes), train), bits)
    held = stratified_indices(data.test_labels, dict.fromkeys(range(data.num_classes), test), bits)
    return replace(
        data,
        name=name,
        train_images=data.train_images[kept],
        train_labels=data.train_labels[kept],
        test_images=data.test_images[held],
        test_labels=data.test_labels[held],
    )
