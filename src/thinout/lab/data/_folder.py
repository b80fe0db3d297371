"""A folder of images in the layout of ImageNet: PART/CLASS/IMAGE, with the parts train, val and perhaps test."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from thinout.lab.data._decode import decode, open_image
from thinout.lab.data._types import DataError, bad_data, unreadable

SKIP_BAD = "?skip-bad"
"""At the end of a folder's name: leave out what cannot be read. It stands in the name so that a result row and every
worker, wherever it is, know of it."""

IN_MEMORY = 2**30
"""Folders whose scaled images fit into this many bytes are decoded once, when they are opened."""

_LAYOUT = "Expected: PATH/train/CLASS/*.jpg and PATH/val/CLASS/*.jpg."
_NAMED = 5
_log = logging.getLogger("thinout")


@dataclass(frozen=True, eq=False)
class Photos:
    """Images of one part of a folder, each the middle square of the photo, scaled.

    Args:
        paths: of the files.
        labels: int64, (N,).
        side: of the squares in pixels.
        pixels: uint8 (N, 3, side, side), or None: each is decoded when it is asked for.
    """

    paths: tuple[Path, ...]
    labels: Tensor
    side: int
    pixels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int, /) -> Tensor:
        """Return one square, uint8 (3, side, side)."""
        return _square(self.paths[index], self.side) if self.pixels is None else self.pixels[index]


@dataclass(frozen=True, eq=False, kw_only=True)
class PhotoFolder:
    """What `open_folder` finds.

    Args:
        name: of the folder.
        classes: names of the sub-folders of ``train``, in their order.
        train: training part.
        test: part for the final comparison: ``test`` where there is one, else ``val``.
        validation: ``val`` where there is a ``test`` beside it, else None.
        skipped: files that were left out, with the reason.
    """

    name: str
    classes: tuple[str, ...]
    train: Photos
    test: Photos
    validation: Photos | None = None
    skipped: tuple[str, ...] = field(default=())


def open_folder(spec: str | os.PathLike[str], *, side: int = 256) -> PhotoFolder:
    """Open a folder of images in the layout of ImageNet.

    Every file is looked at: those of a folder that fits into memory (`IN_MEMORY`) are decoded, of a larger one the
    headers are read. With `SKIP_BAD` each is decoded, however large the folder. Names that begin with a dot are passed
    over.

    Args:
        spec: the folder; with `SKIP_BAD` at its end, files that are no images are left out, with a warning, instead
            of being an error.
        side: of the squares that photos are cut to, in pixels.

    Raises:
        DataError: there is no such folder, a part or a class is missing or empty, there is only one class, or files
            are no images; the message counts them and names the first.
    """
    text = os.fspath(spec)
    root, skip_bad = Path(text.removesuffix(SKIP_BAD)), text.endswith(SKIP_BAD)
    if not os.path.isdir(root):
        bad_data(root, "data", "a folder of images, or the name of a data set", "nothing of that name", _LAYOUT)
    parts = {part: _list_part(root, part) for part in ("train", "val", "test") if os.path.isdir(root / part)}
    if "train" not in parts or len(parts) == 1:
        bad_data(root, "folder", "one with train and val in it", f"{', '.join(parts) or 'neither'}", _LAYOUT)
    classes = tuple(parts["train"])
    if len(classes) < 2:
        bad_data(root / "train", "folder", "one of at least two classes", ", ".join(classes) or "none", _LAYOUT)
    for part, found in parts.items():
        if strange := sorted(set(found) - set(classes)):
            bad_data(root / part, "classes", "those of train", ", ".join(strange))
    num_files = sum(len(files) for found in parts.values() for files in found.values())
    bad: list[str] = []
    keep = num_files * 3 * side**2 <= IN_MEMORY
    opened = {
        part: _open_part(root, found, classes, side, bad, keep=keep, skip_bad=skip_bad) for part, found in parts.items()
    }
    _report_bad(root, bad, skip_bad)
    for part, photos in opened.items():
        _check_classes(root / part, photos, classes, needs_all=part == "train")
    test = opened.get("test", opened.get("val"))
    validation = opened.get("val") if "test" in opened else None
    if test is None:  # parts has val or test, see above
        bad_data(root, "folder", "one with val or test in it", "neither", _LAYOUT)
    return PhotoFolder(
        name=root.name, classes=classes, train=opened["train"], test=test, validation=validation, skipped=tuple(bad)
    )


def class_names(spec: str | os.PathLike[str]) -> tuple[str, ...]:
    """Return the classes of a folder, without a look at its images.

    Raises:
        DataError: there is no such folder with ``train`` in it, or only one class.
    """
    root = Path(os.fspath(spec).removesuffix(SKIP_BAD))
    if not os.path.isdir(root / "train"):
        bad_data(root, "data", "a folder of images, or the name of a data set", "no folder with train in it", _LAYOUT)
    classes = tuple(_list_part(root, "train"))
    if len(classes) < 2:
        bad_data(root / "train", "folder", "one of at least two classes", ", ".join(classes) or "none", _LAYOUT)
    return classes


def _list_part(root: Path, part: str) -> dict[str, list[Path]]:
    """Return the entries of each class folder, both in the order of their names."""
    try:
        folders = sorted(path for path in (root / part).iterdir() if path.is_dir() and not path.name.startswith("."))
        return {
            folder.name: sorted(path for path in folder.iterdir() if not path.name.startswith("."))
            for folder in folders
        }
    except OSError as error:
        unreadable(root / part, error)


def _open_part(
    root: Path,
    found: dict[str, list[Path]],
    classes: tuple[str, ...],
    side: int,
    bad: list[str],
    *,
    keep: bool,
    skip_bad: bool,
) -> Photos:
    paths, labels, squares = [], [], []
    for label, name in enumerate(classes):
        for path in found.get(name, []):
            try:
                if keep:
                    squares.append(_square(path, side))
                elif skip_bad:
                    _square(path, side)
                else:
                    open_image(path, path).close()
            except DataError as error:
                bad.append(f"{path.relative_to(root)} ({str(error).partition(', got ')[2].partition('. ')[0]})")
                continue
            paths.append(path)
            labels.append(label)
    pixels = torch.stack(squares) if squares else None
    return Photos(tuple(paths), torch.tensor(labels, dtype=torch.int64), side, pixels)


def _report_bad(root: Path, bad: list[str], skip_bad: bool) -> None:
    if not bad:
        return
    named = "; ".join(bad[:_NAMED]) + (f"; and {len(bad) - _NAMED} more" if len(bad) > _NAMED else "")
    if skip_bad:
        _log.warning("%s: %d files skipped: %s", root, len(bad), named)
        return
    bad_data(root, "files", "images", f"{len(bad)} that are not: {named}", "Remove them, or leave them out: --skip-bad")


def _check_classes(place: Path, photos: Photos, classes: tuple[str, ...], *, needs_all: bool) -> None:
    if not len(photos):
        bad_data(place, "folder", "one with images in it", "none", _LAYOUT)
    counts = torch.bincount(photos.labels, minlength=len(classes)).tolist()
    if needs_all and 0 in counts:
        bad_data(place, f"class {classes[counts.index(0)]}", "of at least one image", "none")


def _square(path: Path, side: int) -> Tensor:
    return torch.from_numpy(decode(path, path, side=side, crop=True).transpose(2, 0, 1).copy())
