"""Splits of photos for AlexNet: from a folder, or from any set of colour images in memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from thinout.lab.data._folder import PhotoFolder
from thinout.lab.data._split import Splits, cut, validation_indices
from thinout.lab.data._types import ImageData
from thinout.lab.data._view_splits import tensors
from thinout.lab.data._views import Images, Photo, Viewed, colour_components

_SAMPLE = 1000  # training images, evenly spaced, whose colours stand for those of all


def square_side(size: int) -> int:
    """Return the side of the square that squares of a size are cut from: 256 for 224 and 227, as in the paper."""
    return 256 if size in (224, 227) else round(size * 256 / 224)


def photo_splits(data: PhotoFolder | ImageData, *, seed: int, size: int, validation: float = 0.2) -> Splits:
    """Split photos and show them to a network as the 2012 paper does.

    A training image is a random square of the scaled photo, mirrored half of the time, with a random shift along the
    principal components of the training part's colours; others are the square in its middle. Colours are centred and
    scaled by mean and standard deviation of the training part.

    Args:
        data: a folder, or images in memory.
        seed: decides which training images are held out, where the data have no validation part of their own.
        size: side of the square that the network takes; photos are scaled to `square_side` of it before.
        validation: share of every class that is held out, in (0, 1).

    Raises:
        ValueError, TypeError, DataError: as `split`.
    """
    images, labels, kept, held = _training_part(data, seed, validation)
    mean, std, noise = _colours(images, kept)
    plain = Photo(size, square_side(size), mean, std)
    moving = replace(plain, noise=noise)
    if isinstance(data, PhotoFolder):
        own, test = data.validation, Viewed(data.test, data.test.labels, plain)
        checked = Viewed(images, labels, plain, held) if own is None else Viewed(own, own.labels, plain)
        num_classes = len(data.classes)
    else:
        test = Viewed(*tensors(data.test_images, data.test_labels), plain)
        checked, num_classes = Viewed(images, labels, plain, held), data.num_classes
    return Splits(
        train=Viewed(images, labels, moving, kept),
        validation=checked,
        test=test,
        num_classes=num_classes,
        shape=(3, size, size),
        plain_train=Viewed(images, labels, plain, kept),
    )


def _training_part(
    data: PhotoFolder | ImageData, seed: int, validation: float
) -> tuple[Images, Tensor, Tensor, Tensor]:
    if isinstance(data, ImageData):
        kept, held = cut(data, seed=seed, validation=validation)
        images, labels = tensors(data.train_images, data.train_labels)
        return images, labels, torch.from_numpy(kept), torch.from_numpy(held)
    labels = data.train.labels
    if data.validation is not None:
        return data.train, labels, torch.arange(len(labels)), torch.arange(0)
    held = validation_indices(data.name, labels.numpy(), validation, seed)
    kept = np.setdiff1d(np.arange(len(labels)), held)
    return data.train, labels, torch.from_numpy(kept), torch.from_numpy(held)


def _colours(images: Images, kept: Tensor) -> tuple[tuple[float, ...], tuple[float, ...], Tensor]:
    """Return mean, standard deviation and principal components of the colours of the training part."""
    chosen = kept[torch.arange(min(_SAMPLE, len(kept))) * len(kept) // min(_SAMPLE, len(kept))]
    pixels = torch.cat([images[index].flatten(1).T[::7] for index in chosen.tolist()]).double() / 255
    std, mean = torch.std_mean(pixels, 0)
    return tuple(mean.tolist()), tuple(std.clamp(min=1e-3).tolist()), colour_components(pixels)
