"""Photos of ants and bees: the set of PyTorch's tutorial on transfer learning, scaled to 256 pixels or as it is.

Official layout: an archive with hymenoptera_data/PART/CLASS/*.jpg, parts train and val, and one GIF file, the notice
that an image was not found, which is passed over. Packed form: folders PART/CLASS of the same photos, scaled to 256
pixels and compressed again, so that their pixels differ from those of the official files.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import numpy as np

from thinout.lab.data._archive import read_members
from thinout.lab.data._decode import decode
from thinout.lab.data._folder import Photos, open_folder
from thinout.lab.data._places import verify
from thinout.lab.data._types import Bytes, DataFile, DataSet, ImageData, Labels, bad_data

_SIDE = 256
_CLASSES = ("ants", "bees")
_PARTS = ("train", "val")


def read(dataset: DataSet, paths: Mapping[str, Path]) -> ImageData:
    """Decode all photos of either form."""
    verify(dataset, paths)
    if "train" in paths:
        folder = open_folder(paths["train"].parent, side=_SIDE)
        train, test = folder.train, folder.test
        return ImageData(
            dataset.name, len(folder.classes), _pixels(train), train.labels.numpy(), _pixels(test), test.labels.numpy()
        )
    (path,) = paths.values()
    data = from_archive(path, name=dataset.name)
    got = (len(data.train_images), len(data.test_images))
    if got != (dataset.num_train, dataset.num_test):
        bad_data(path, "photos", f"{dataset.num_train} + {dataset.num_test}", f"{got[0]} + {got[1]}")
    return data


def from_archive(path: Path, *, name: str) -> ImageData:
    """Read an archive of train/CLASS/*.jpg and val/CLASS/*.jpg, whatever its number of photos.

    Raises:
        DataError: the archive is damaged or unsafe, not in that layout, or a file in it is no image.
    """
    squares: dict[str, dict[tuple[int, str], Bytes]] = {part: {} for part in _PARTS}
    for member, content in read_members(path, suffixes=(".jpg",)):
        part, label, file = ("", "", *PurePosixPath(member).parts)[-3:]
        if part not in squares or label not in _CLASSES:
            bad_data(path, "members", "under train/CLASS or val/CLASS, of ants and bees", repr(member))
        if (key := (_CLASSES.index(label), file)) in squares[part]:
            bad_data(path, "photos", "under names of their own", f"{part}/{label}/{file} twice")
        squares[part][key] = decode(content, f"{path}: {member}", side=_SIDE, crop=True)
    return ImageData(name, len(_CLASSES), *_arrays(path, "train", squares), *_arrays(path, "val", squares))


def _arrays(path: Path, part: str, squares: Mapping[str, Mapping[tuple[int, str], Bytes]]) -> tuple[Bytes, Labels]:
    keys = sorted(squares[part])
    if not keys:
        bad_data(path, "archive", f"one with {part}/CLASS/*.jpg", "none")
    return np.stack([squares[part][key] for key in keys]), np.array([label for label, _ in keys], dtype=np.int64)


def _pixels(photos: Photos) -> Bytes:
    return np.stack([photos[index].permute(1, 2, 0).numpy() for index in range(len(photos))])


ANTS_BEES = DataSet(
    name="ants-bees",
    title="Ants and bees: photos, the shorter side scaled to 256",
    classes=_CLASSES,
    shape=(3, _SIDE, _SIDE),
    num_train=244,
    num_test=153,
    licence="not stated by its publisher (photos from the web; of PyTorch's tutorial on transfer learning)",
    source="https://docs.pytorch.org/tutorials/beginner/transfer_learning_tutorial.html",
    folder="ants-bees",
    files=(DataFile("hymenoptera_data.zip"),),
    read=read,
    other_files=(
        DataFile(
            "train",
            size=4642383,
            sha256="f7dd8765ba768591b544b184042c7e396c5570b34d96cba6ec13542ee15ae9e4",
            is_folder=True,
            folder="ants-bees-256",
        ),
        DataFile(
            "val",
            size=3011963,
            sha256="ad9cac2c65a005bc863a66cc6b70b6359dd9d80bd0bd7260527d1e7e053c4e6f",
            is_folder=True,
            folder="ants-bees-256",
        ),
    ),
    instead="Cases on photos take the unpacked archive, too: `--data PATH/hymenoptera_data --skip-bad`.",
)
