"""Photos of ants and bees: the set of PyTorch's tutorial on transfer learning, scaled to 256 pixels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from thinout.lab.data._folder import Photos, open_folder
from thinout.lab.data._places import verify
from thinout.lab.data._types import Bytes, DataFile, DataSet, ImageData

_SIDE = 256


def read(dataset: DataSet, paths: Mapping[str, Path]) -> ImageData:
    """Decode all photos."""
    verify(dataset, paths)
    folder = open_folder(paths["train"].parent, side=_SIDE)
    train, test = folder.train, folder.test
    return ImageData(
        dataset.name, len(folder.classes), _pixels(train), train.labels.numpy(), _pixels(test), test.labels.numpy()
    )


def _pixels(photos: Photos) -> Bytes:
    return np.stack([photos[index].permute(1, 2, 0).numpy() for index in range(len(photos))])


ANTS_BEES = DataSet(
    name="ants-bees",
    title="Ants and bees: photos, the shorter side scaled to 256",
    classes=("ants", "bees"),
    shape=(3, _SIDE, _SIDE),
    num_train=244,
    num_test=153,
    licence="not stated by its publisher (photos from the web; of PyTorch's tutorial on transfer learning)",
    source="https://docs.pytorch.org/tutorials/beginner/transfer_learning_tutorial.html",
    folder="ants-bees-256",
    files=(
        DataFile(
            "train",
            size=4642383,
            sha256="f7dd8765ba768591b544b184042c7e396c5570b34d96cba6ec13542ee15ae9e4",
            is_folder=True,
        ),
        DataFile(
            "val",
            size=3011963,
            sha256="ad9cac2c65a005bc863a66cc6b70b6359dd9d80bd0bd7260527d1e7e053c4e6f",
            is_folder=True,
        ),
    ),
    read=read,
)
