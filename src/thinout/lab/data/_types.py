"""What the data registry is made of: files, data sets, images in memory, and the error for data that cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from thinout._checks import ThinoutError, message

Bytes = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


class DataError(ThinoutError):
    """Data that are missing, damaged, or not what they claim to be."""


def bad_data(where: object, name: str, allowed: str, got: object, remedy: str = "") -> NoReturn:
    """Raise the DataError for data that cannot be used."""
    raise DataError(message(str(where), name, allowed, got, remedy))


def unreadable(path: Path, error: OSError) -> NoReturn:
    """Raise the DataError for a file that the system does not let us read."""
    bad_data(path, "file", "readable", error.strerror or error, "Check the path and its permissions.")


def read_bytes(path: Path, *, max_bytes: int) -> bytes:
    """Return the content of a file of at most some bytes; raise DataError where it is larger or cannot be read."""
    try:
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except OSError as error:
        unreadable(path, error)
    if len(content) > max_bytes:
        bad_data(path, "file", f"at most {max_bytes} bytes long", "more")
    return content


@dataclass(frozen=True)
class DataFile:
    """One file of a data set, as its publisher distributes it.

    Args:
        name: file name inside of the data set's folder.
        size: length in bytes; of a folder, of all files in it; 0 where it could not be verified.
        sha256: checksum of the file as distributed, or None where its publisher gives an md5 alone, or where no copy
            could be verified; of a folder, see `tree_sha256`.
        url: where it can be fetched, or None where no address could be verified.
        raw_size: length in bytes after decompression, for a `.gz` file.
        raw_sha256: checksum after decompression, for a `.gz` file or one with a `content_sha256`.
        md5: checksum of the file as distributed, where there is no sha256.
        is_folder: whether it is a folder of files.
        other_names: names under which the same content may lie as well: unpacked, a folder, another archive.
        content_sha256: returns the checksum of what lies under such a name, to be compared with `raw_sha256`.
        folder: sub-folder of the data folder, or None for that of the data set.
    """

    name: str
    size: int = 0
    sha256: str | None = None
    url: str | None = None
    raw_size: int | None = None
    raw_sha256: str | None = None
    md5: str | None = None
    is_folder: bool = False
    other_names: tuple[str, ...] = ()
    content_sha256: Callable[[Path], str] | None = None
    folder: str | None = None

    @property
    def checksum(self) -> str | None:
        """The checksum with its kind, for example ``"sha256:7f0c..."``; None where none is known."""
        known = {"sha256": self.sha256, "md5": self.md5}
        return next((f"{kind}:{digits}" for kind, digits in known.items() if digits), None)


@dataclass(frozen=True, eq=False)
class ImageData:
    """Labelled images in memory, the official training and test parts apart.

    Args:
        name: name for messages and result rows.
        num_classes: labels lie in [0, num_classes).
        train_images: uint8, (N, H, W) or (N, H, W, C).
        train_labels: int64, (N,).
        test_images: uint8, the same shape apart from N.
        test_labels: int64, (N,).
        train_groups: int64, (N,), or None: training images of one group (frames of one film, say) resemble each other
            so much that a split must not tear them apart.
    """

    name: str
    num_classes: int
    train_images: Bytes
    train_labels: Labels
    test_images: Bytes
    test_labels: Labels
    train_groups: Labels | None = None


@dataclass(frozen=True)
class DataSet:
    """What thinout knows about a data set before it reads one byte of it.

    Args:
        name: what the user types.
        title: one line for people.
        classes: class names in label order; of numbers to be predicted, their names.
        shape: of one input; (channels, height, width) of an image, () where a case cuts the inputs.
        num_train: examples in the training part, official where there is such a part; all, where there is no test part.
        num_test: examples in the test part, or 0.
        licence: the licence as its publisher states it.
        source: page where the data can be had by hand.
        folder: sub-folder of the data folder, or None for data that come inside of the package.
        files: what the folder must hold.
        read: turns the files' paths (by file name) into what `load` returns: `ImageData`, or another container.
        other_files: the same data in another form, which is read where the folder does not hold `files`.
        instead: a sentence on what can be used in the place of files that cannot be fetched by a command, or "".
    """

    name: str
    title: str
    classes: tuple[str, ...]
    shape: tuple[int, ...]
    num_train: int
    num_test: int
    licence: str
    source: str
    folder: str | None
    files: tuple[DataFile, ...]
    read: Callable[[DataSet, Mapping[str, Path]], Any]
    other_files: tuple[DataFile, ...] = ()
    instead: str = ""

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)


def check_labelled(where: object, images: Bytes, labels: Labels, num_classes: int) -> None:
    """Raise unless there is one label in [0, num_classes) for each of at least one image."""
    if images.ndim not in (3, 4) or images.dtype != np.uint8:
        bad_data(where, "images", "uint8 of shape (N, H, W) or (N, H, W, C)", f"{images.dtype} of shape {images.shape}")
    if images.size == 0:
        bad_data(where, "images", "at least one image of at least one pixel", f"shape {images.shape}")
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        bad_data(where, "labels", "whole numbers of shape (N,)", f"{labels.dtype} of shape {labels.shape}")
    if len(labels) != len(images):
        bad_data(where, "labels", f"as many as the {len(images)} images", len(labels), "Take both from one source.")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= num_classes:
        bad_data(where, "labels", f"in [0, {num_classes - 1}] for {num_classes} classes", f"{low} to {high}")
