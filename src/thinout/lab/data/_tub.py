"""A drive as Donkeycar records it: a "tub" of camera frames with the driver's steering.

Official layout: a folder with ``catalog_N.catalog`` (a JSON record a line), ``manifest.json`` (which names deleted
records) and ``images/``; before version 4 ``record_N.json`` beside the images. An archive of such a folder is read
without being unpacked.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from thinout.lab.data._archive import read_members
from thinout.lab.data._arrays import Floats
from thinout.lab.data._decode import open_image, to_rgb
from thinout.lab.data._places import verify
from thinout.lab.data._types import Bytes, DataFile, DataSet, bad_data, unreadable

HEIGHT, WIDTH = 60, 80  # half of what the camera gives: lines on the floor are several pixels wide still
MAX_FRAMES = 100_000
MAX_FILE = 2**26
_SUFFIXES = (".catalog", ".json", ".jpg", ".jpeg", ".png")
_OLD_RECORD = re.compile(r"record_(\d+)\.json$")
_DELETED = "deleted_indexes"


@dataclass(frozen=True, eq=False)
class Drive:
    """The frames of one drive in their order.

    Args:
        name: name for messages.
        frames: uint8 (N, 60, 80, 3).
        angles: float64 (N,), the driver's steering from -1 (left) to 1 (right).
    """

    name: str
    frames: Bytes
    angles: Floats


def read_drive(dataset: DataSet, paths: Mapping[str, Path]) -> Drive:
    """Read the tub in either form, and hold it against the published number of frames."""
    verify(dataset, paths)
    ((_, path),) = paths.items()
    drive = read_tub(path, name=dataset.name)
    if len(drive.frames) != dataset.num_train:
        bad_data(path, "frames", f"{dataset.num_train}", len(drive.frames), "This is another tub.")
    return drive


def read_tub(path: str | os.PathLike[str], *, name: str) -> Drive:
    """Read a tub of at most 100,000 records: one drive.

    Args:
        path: the folder, or an archive of it.
        name: of the drive.

    Raises:
        DataError: a record or an image is damaged, missing or there twice, a record holds no angle in [-1, 1], or the
            archive is unsafe.
    """
    path = Path(path)
    members = _read_folder(path) if path.is_dir() else read_members(path, suffixes=_SUFFIXES)
    files = {PurePosixPath(name): content for name, content in members if not PurePosixPath(name).name.startswith("._")}
    records = _records(path, files)
    if not 0 < len(records) <= MAX_FRAMES:
        bad_data(path, "records", f"1 to {MAX_FRAMES}", len(records), "A tub holds catalog_N.catalog or record_N.json.")
    images: dict[str, bytes] = {}
    for file, content in files.items():
        if file.suffix in _SUFFIXES[2:]:
            _add(path, "image", images, file.name, content)
    frames, angles = [], []
    for number in sorted(records):
        where = f"{path}, record {number}"
        angles.append(_angle(where, records[number]))
        frames.append(_frame(where, records[number], images))
    return Drive(name, np.stack(frames), np.array(angles))


def _read_folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    try:
        for path in sorted(folder.rglob("*")):
            if path.is_symlink():
                bad_data(folder, "tub", "of plain files and folders", f"the link {path.name!r}")
            if path.suffix in _SUFFIXES and path.is_file():
                if path.stat().st_size > MAX_FILE:
                    bad_data(path, "file", f"of at most {MAX_FILE} bytes", "more")
                yield path.relative_to(folder).as_posix(), path.read_bytes()
    except OSError as error:
        unreadable(folder, error)


def _records(path: Path, files: Mapping[PurePosixPath, bytes]) -> dict[int, dict[str, Any]]:
    records: dict[int, dict[str, Any]] = {}
    deleted: set[int] = set()
    for file, content in files.items():
        if file.suffix == ".catalog":
            for record in _lines(path, file, content):
                _add(path, "record", records, _index(path, file, record), record)
        elif found := _OLD_RECORD.match(file.name):
            for record in _lines(path, file, content, as_one=True):
                _add(path, "record", records, int(found[1]), record)
        elif file.name == "manifest.json":
            for line in _lines(path, file, content, only_objects=False):
                deleted.update(_deleted(path, file, line))
    return {number: record for number, record in records.items() if number not in deleted}


def _add(path: Path, what: str, found: dict[Any, Any], key: int | str, value: object) -> None:
    """Add a record or an image; each drive counts from 0, so that of two the one would hide the other."""
    if key in found:
        bad_data(path, what, "there once", f"{key} twice", "Give one tub, the folder of one drive.")
    found[key] = value


def _lines(
    path: Path, file: PurePosixPath, content: bytes, *, as_one: bool = False, only_objects: bool = True
) -> Iterator[dict[str, Any]]:
    lines = [content] if as_one else content.splitlines()
    for number, line in enumerate(lines, start=1):
        where = f"{path}: {file}, line {number}"
        try:
            value = json.loads(line) if line.strip() else {}
        except (ValueError, RecursionError) as error:
            bad_data(where, "record", "JSON", f"{type(error).__name__}: {error}")
        if isinstance(value, dict):
            if value or not only_objects:
                yield value
        elif only_objects:
            bad_data(where, "record", "a JSON object", type(value).__name__)


def _deleted(path: Path, file: PurePosixPath, line: dict[str, Any]) -> list[int]:
    indices = line.get(_DELETED, [])
    if not isinstance(indices, list) or not all(type(index) is int for index in indices):
        bad_data(f"{path}: {file}", _DELETED, "a list of whole numbers", repr(indices))
    return indices


def _index(path: Path, file: PurePosixPath, record: dict[str, Any]) -> int:
    index = record.get("_index")
    if not isinstance(index, int) or isinstance(index, bool) or index < 0:
        bad_data(f"{path}: {file}", "_index", "a whole number", repr(index))
    return index


def _angle(where: str, record: dict[str, Any]) -> float:
    angle = record.get("user/angle")
    if isinstance(angle, bool) or not isinstance(angle, (int, float)) or not -1 <= angle <= 1:
        bad_data(where, "user/angle", "a number in [-1, 1]", repr(angle))
    return float(angle)


def _frame(where: str, record: dict[str, Any], images: Mapping[str, bytes]) -> Bytes:
    name = record.get("cam/image_array")
    if not isinstance(name, str) or name not in images:
        bad_data(where, "cam/image_array", "the name of an image in the tub", repr(name))
    from PIL import Image

    with open_image(images[name], f"{where}: {name}") as image:
        pixels = to_rgb(image, f"{where}: {name}")
    # Means of 2x2 pixels where the camera gives 160x120.
    return np.asarray(pixels.resize((WIDTH, HEIGHT), Image.Resampling.BOX), dtype=np.uint8)


DONKEY_TUB = DataSet(
    name="donkey-tub",
    title="Donkeycar: 1,000 frames of one drive with the driver's steering",
    classes=("steering",),
    shape=(3, HEIGHT, WIDTH),
    num_train=1_000,
    num_test=0,
    licence="MIT, of the Donkeycar project",
    source="https://github.com/autorope/donkeycar/blob/main/donkeycar/tests/tub/tub.tar.gz",
    folder="donkey-tub",
    files=(
        DataFile(
            "tub.tar.gz",
            size=3_818_781,
            sha256="eeff6616aea3ce8ef41a53dc7e8cf5b5e36bce34587219f71e1b211d783a1985",
        ),
    ),
    read=read_drive,
    other_files=(DataFile("tub", is_folder=True),),
)
