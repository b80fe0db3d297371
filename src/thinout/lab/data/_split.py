"""Cut data into training, validation and test tensors that a model can be fed with."""

from __future__ import annotations

import numbers
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad as pad_edges
from torch.utils.data import Dataset, TensorDataset

from thinout._checks import bad_type, bad_value, check_count
from thinout.lab.data._sampling import Indices, class_counts, stratified_indices
from thinout.lab.data._types import Bytes, ImageData, Labels, bad_data, check_labelled


@dataclass(frozen=True, eq=False)
class Splits:
    """Training, validation and test data; each item is (input, target): an int64 label, labels or numbers.

    Args:
        train: what a model learns from.
        validation: what rates and epochs are chosen on.
        test: the official test part, for the one final comparison.
        num_classes: labels lie in [0, num_classes); of a regression, how many numbers a target has.
        shape: of one input; (channels, height, width) of an image, padding included.
        mean: what `split` subtracted: mean of the training part's pixels for each channel, on the scale [0, 1].
        std: what `split` divided by, their standard deviation.
        plain_train: the training part without what is drawn at random for each look at it, which is what it is
            measured on; None where nothing is drawn.
        target_std: what numbers to be predicted were divided by, for errors in their own unit; () of classes.
        test_digest: sha256 of the test examples before statistics of the training part went into them, which differ
            from seed to seed; empty where the test part itself tells.
    """

    train: Dataset[tuple[Tensor, ...]]
    validation: Dataset[tuple[Tensor, ...]]
    test: Dataset[tuple[Tensor, ...]]
    num_classes: int
    shape: tuple[int, ...]
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    plain_train: Dataset[tuple[Tensor, ...]] | None = None
    target_std: tuple[float, ...] = ()
    test_digest: str = ""

    @property
    def measured_train(self) -> Dataset[tuple[Tensor, ...]]:
        """The training part as it is measured."""
        return self.train if self.plain_train is None else self.plain_train


def split(data: ImageData, *, seed: int, validation: float = 0.2, pad: int = 0) -> Splits:
    """Cut a stratified validation part off the training part, and normalise all three parts alike.

    With pixels x in [0, 1], m and s the mean and standard deviation of the training part (without validation and
    without padding), every part becomes (pad(x) - m) / s: the padding is black, not grey.

    Args:
        data: what `load` returns, or images of your own.
        seed: decides which images are held out for validation; the same seed gives the same split everywhere.
        validation: share of every class that is held out, in (0, 1); at least one image of a class is on each side.
        pad: black pixels added on each of the four sides (2 makes 28 x 28 into 32 x 32).

    Raises:
        ValueError: seed, validation or pad out of range.
        TypeError: one of them is not a number.
        DataError: empty data, fewer than two classes, a class with one image, labels out of range, constant images.

    Example:
        >>> from thinout.lab.data import load
        >>> splits = split(load("fashion-mnist-small"), seed=0, pad=2)
        >>> len(splits.train), len(splits.validation), len(splits.test), splits.shape
        (3200, 800, 2000, (1, 32, 32))
    """
    check_count("split", "pad", pad, at_least=0)
    kept, held = cut(data, seed=seed, validation=validation)
    mean, std = channel_statistics(data.name, data.train_images[kept])

    def part(images: Bytes, labels: Labels) -> TensorDataset:
        return TensorDataset(_normalised(images, pad, mean, std), torch.from_numpy(labels.astype(np.int64)))

    train = part(data.train_images[kept], data.train_labels[kept])
    held_out = part(data.train_images[held], data.train_labels[held])
    test = part(data.test_images, data.test_labels)
    channels, height, width = train.tensors[0].shape[1:]
    return Splits(train, held_out, test, data.num_classes, (channels, height, width), mean, std)


def cut(data: ImageData, *, seed: int, validation: float) -> tuple[Indices, Indices]:
    """Return which training images stay in the training part, and which are held out for validation.

    The choice is stratified by class. Of images in groups (`ImageData.train_groups`), whole groups are chosen, so that
    no image of the one part has a sibling in the other.

    Args:
        data: images.
        seed: decides the choice.
        validation: share of every class that is held out, of its images or of its groups.

    Raises:
        ValueError, TypeError, DataError: as `split`; of data in groups, each class needs two.
    """
    share = check_share(validation)
    check_count("split", "seed", seed, at_least=0)
    _check_data(data)
    if data.train_groups is None:
        held = validation_indices(data.name, data.train_labels, share, seed)
    else:
        groups, first = np.unique(data.train_groups, return_index=True)
        chosen = validation_indices(data.name, data.train_labels[first], share, seed, what="groups of training images")
        held = np.flatnonzero(np.isin(data.train_groups, groups[chosen]))
    return np.setdiff1d(np.arange(len(data.train_labels)), held), held


def check_share(validation: object) -> float:
    """Return the share that is held out as a float, or raise."""
    if isinstance(validation, bool) or not isinstance(validation, numbers.Real):
        bad_type("split", "validation", "a number in (0, 1)", repr(validation))
    share = float(validation)
    if not 0.0 < share < 1.0:  # also false for NaN
        bad_value("split", "validation", "a number in (0, 1)", share)
    return share


def _check_data(data: ImageData) -> None:
    check_labelled(f"{data.name} (train)", data.train_images, data.train_labels, data.num_classes)
    check_labelled(f"{data.name} (test)", data.test_images, data.test_labels, data.num_classes)
    if data.train_images.shape[1:] != data.test_images.shape[1:]:
        bad_data(data.name, "test_images", f"of shape {data.train_images.shape[1:]}", data.test_images.shape[1:])
    if data.train_groups is not None and data.train_groups.shape != data.train_labels.shape:
        bad_data(data.name, "train_groups", "one number an image", f"shape {data.train_groups.shape}")


def validation_indices(name: str, labels: Labels, share: float, seed: int, *, what: str = "training images") -> Indices:
    """Return the places of the labels of every class that are held out.

    Args:
        name: of the data set, for messages.
        labels: int64, (N,).
        share: of every class that is held out; at least one of a class is on each side.
        seed: decides which.
        what: what is labelled, for messages.

    Raises:
        DataError: fewer than two classes, or a class of one.
    """
    counts = class_counts(labels)
    if len(counts) < 2:
        bad_data(name, "train_labels", "of at least two classes", f"{len(counts)}")
    for label, count in counts.items():
        if count < 2:
            remedy = "One goes to training and one to validation."
            bad_data(name, f"class {label}", f"of at least 2 {what}", count, remedy)
    counts = {
        label: min(max(round(count * share), 1), count - 1)  # no class may vanish from either side
        for label, count in counts.items()
    }
    return np.sort(stratified_indices(labels, counts, np.random.PCG64(seed)))


def channel_statistics(name: str, images: Bytes) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of the pixels of each channel, on the scale [0, 1]."""
    # Sums of whole numbers: exact, and so the same on every machine, whatever the number of threads.
    pixels = images.reshape(-1, images.shape[3] if images.ndim == 4 else 1)
    total = pixels.sum(axis=0, dtype=np.int64)
    squares = np.square(pixels, dtype=np.uint16).sum(axis=0, dtype=np.int64)
    count = len(pixels)
    # The variance times count**2, still in whole numbers, of Python's kind that cannot overflow.
    spread = [count * int(square) - int(sum_) ** 2 for sum_, square in zip(total, squares, strict=True)]
    if min(spread) == 0:
        bad_data(name, "train_images", "different from each other in every channel", "one constant value")
    mean = tuple(int(sum_) / count / 255 for sum_ in total)
    return mean, tuple(value**0.5 / count / 255 for value in spread)


def _normalised(images: Bytes, pad: int, mean: tuple[float, ...], std: tuple[float, ...]) -> torch.Tensor:
    pixels = torch.from_numpy(images)
    pixels = pixels.permute(0, 3, 1, 2) if images.ndim == 4 else pixels.unsqueeze(1)  # (N, C, H, W)
    scaled = pad_edges(pixels, (pad, pad, pad, pad)).to(torch.float32, memory_format=torch.contiguous_format).div_(255)
    centre, scale = torch.tensor(mean).view(1, -1, 1, 1), torch.tensor(std).view(1, -1, 1, 1)
    return scaled.sub_(centre).div_(scale)
