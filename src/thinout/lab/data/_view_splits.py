"""Splits of images that the training part sees through another view than the others."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from thinout.lab.data._split import Splits, cut
from thinout.lab.data._types import Bytes, ImageData, Labels
from thinout.lab.data._views import Sign, Viewed


def sign_splits(data: ImageData, *, seed: int, validation: float = 0.2, view: Sign | None = None) -> Splits:
    """Cut a validation part off traffic signs, track by track, and standardise each image by itself.

    Args:
        data: what ``load("gtsrb")`` returns; with `ImageData.train_groups`, whole groups are held out.
        seed: decides which.
        validation: share of the tracks of every class that is held out, in (0, 1).
        view: how a training image is moved, anew for every look at it, and what all images are put through; None: as
            `Sign()`.

    Raises:
        ValueError, TypeError, DataError: as `split`.

    Example:
        >>> from thinout.lab.data import load
        >>> splits = sign_splits(load("fashion-mnist-small"), seed=0)
        >>> abs(splits.test[0][0].mean().item()) < 1e-6
        True
    """
    kept, held = cut(data, seed=seed, validation=validation)
    plain = Sign() if view is None else view.still()

    def part(images: Tensor, labels: Tensor) -> Dataset[tuple[Tensor, ...]]:
        if plain.size is not None:  # scaled up, all images of a large set would not fit into memory
            return Viewed(images, labels, plain)
        # In parts, since a view needs several times the memory of what it returns.
        inputs = torch.cat([plain(images[at : at + 4096]) for at in range(0, len(images), 4096)])
        return TensorDataset(inputs, labels)

    train_images, train_labels = tensors(data.train_images, data.train_labels)
    test = part(*tensors(data.test_images, data.test_labels))
    train = part(train_images[kept], train_labels[kept])
    channels, height, width = test[0][0].shape
    return Splits(
        train=train if view is None else Viewed(train_images, train_labels, view, torch.from_numpy(kept)),
        validation=part(train_images[held], train_labels[held]),
        test=test,
        num_classes=data.num_classes,
        shape=(channels, height, width),
        plain_train=None if view is None else train,
    )


def tensors(images: Bytes, labels: Labels) -> tuple[Tensor, Tensor]:
    """Return images as uint8 (N, C, H, W) and labels as int64."""
    pixels = torch.from_numpy(images)
    pixels = pixels.permute(0, 3, 1, 2) if images.ndim == 4 else pixels.unsqueeze(1)
    return pixels, torch.from_numpy(labels).long()
