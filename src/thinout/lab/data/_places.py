"""Where the files of a data set lie: the folder THINOUT_DATA first, then the user's cache folder."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from thinout.lab.data._types import DataError, DataFile, DataSet, bad_data, unreadable

BUNDLED = Path(__file__).parent / "bundled"
BUNDLED_SET = "fashion-mnist-small"


@dataclass(frozen=True)
class FileCheck:
    """State of one file of a data set.

    Args:
        file: what was looked for.
        path: where it was found, or None.
        size: its length in bytes, or None.
        state: "ok", "differs" (checksum) or "missing".
    """

    file: DataFile
    path: Path | None
    size: int | None
    state: Literal["ok", "differs", "missing"]


def cache_folder() -> Path:
    """Return the folder that downloads go to: THINOUT_CACHE, or the system's cache folder for the user."""
    if folder := os.environ.get("THINOUT_CACHE"):
        return Path(folder)
    import pooch

    return Path(pooch.os_cache("thinout"))


def search_folders(dataset: DataSet) -> list[Path]:
    """Return the folders where files of the data set are looked for, in that order."""
    if dataset.folder is None:
        return [BUNDLED]
    roots = [Path(folder)] if (folder := os.environ.get("THINOUT_DATA")) else []
    return [root / dataset.folder for root in [*roots, cache_folder()]]


def find(dataset: DataSet, file: DataFile) -> Path | None:
    """Return the first path where the file lies, compressed, (without `.gz`) raw or under another name, or None."""
    for folder in search_folders(dataset):
        for name in dict.fromkeys((file.name, file.name.removesuffix(".gz"))):
            if os.path.isfile(folder / name):  # Path.is_file raises where a folder on the way is forbidden
                return folder / name
        for name in file.other_names:
            if os.path.exists(folder / name):  # a file or a folder
                return folder / name
    return None


def require(dataset: DataSet) -> dict[str, Path]:
    """Return the path of every file of the data set, or say what is missing and what to do about it."""
    found = {file.name: find(dataset, file) for file in dataset.files}
    missing = [" or ".join((file.name, *file.other_names)) for file in dataset.files if found[file.name] is None]
    if missing:
        looked = " or ".join(str(folder) for folder in search_folders(dataset))
        bad_data(dataset.name, "files", f"in {looked}", f"no {', '.join(missing)}", _remedy(dataset))
    return {name: path for name, path in found.items() if path is not None}


def check_files(dataset: DataSet) -> list[FileCheck]:
    """Compare the checksums of all files of a data set."""
    return [_check_file(dataset, file) for file in dataset.files]


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file as hexadecimal digits."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(2**20):
                digest.update(chunk)
    except OSError as error:
        unreadable(path, error)
    return digest.hexdigest()


def _check_file(dataset: DataSet, file: DataFile) -> FileCheck:
    path = find(dataset, file)
    if path is None:
        return FileCheck(file, None, None, "missing")
    is_raw = path.name != file.name
    try:
        got = file.content_sha256(path) if is_raw and file.content_sha256 else file_sha256(path)
    except DataError:  # an archive that cannot be read
        got = None
    is_ok = got == (file.raw_sha256 if is_raw else file.sha256)
    return FileCheck(file, path, path.stat().st_size, "ok" if is_ok else "differs")


def _remedy(dataset: DataSet) -> str:
    if dataset.folder is None:
        return "It is part of the package: install thinout again."
    can_fetch = all(file.url for file in dataset.files)
    way = f"Get it with `thinout data fetch {dataset.name}`" if can_fetch else f"Get it from {dataset.source}"
    return f"{way}, or set THINOUT_DATA to the folder that holds {dataset.folder}/; {BUNDLED_SET} needs no download."
