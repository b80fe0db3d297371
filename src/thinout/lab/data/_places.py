"""Where the files of a data set lie: the folder THINOUT_DATA first, then the user's cache folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from thinout.lab.data._types import DataError, DataFile, DataSet, bad_data, unreadable

BUNDLED = Path(__file__).parent / "bundled"
BUNDLED_SET = "fashion-mnist-small"
_WITHOUT = "`thinout study lenet5` needs no download."  # no set stands in for any other: cases differ


@dataclass(frozen=True)
class FileCheck:
    """State of one file of a data set.

    Args:
        file: what was looked for.
        path: where it was found, or None.
        size: its length in bytes, or None.
        state: "ok", "differs" (checksum), "unverified" (no checksum is known) or "missing".
    """

    file: DataFile
    path: Path | None
    size: int | None
    state: Literal["ok", "differs", "unverified", "missing"]


def cache_folder() -> Path:
    """Return the folder that downloads go to: THINOUT_CACHE, or the system's cache folder for the user."""
    if folder := os.environ.get("THINOUT_CACHE"):
        return Path(folder)
    import pooch

    return Path(pooch.os_cache("thinout"))


def search_folders(dataset: DataSet, file: DataFile) -> list[Path]:
    """Return the folders where a file of the data set is looked for, in that order."""
    folder = file.folder or dataset.folder
    if folder is None:
        return [BUNDLED]
    roots = [Path(root)] if (root := os.environ.get("THINOUT_DATA")) else []
    return [root / folder for root in [*roots, cache_folder()]]


def find(dataset: DataSet, file: DataFile) -> Path | None:
    """Return the first path where the file lies, compressed, (without `.gz`) raw or under another name, or None."""
    for folder in search_folders(dataset, file):
        for name in dict.fromkeys((file.name, file.name.removesuffix(".gz"))):
            # Path.is_file raises where a folder on the way is forbidden
            if os.path.isdir(folder / name) if file.is_folder else os.path.isfile(folder / name):
                return folder / name
        for name in file.other_names:
            if os.path.exists(folder / name):  # a file or a folder
                return folder / name
    return None


def present_files(dataset: DataSet) -> tuple[DataFile, ...]:
    """Return the files that a data set is read from: `files`, or `other_files` where only those are all there.

    Where neither are, these are the ones to be got: those that can be fetched, if any.
    """
    forms = _forms(dataset)
    here = (files for files in forms if all(find(dataset, file) for file in files))
    return next(here, next(filter(_can_fetch, forms), dataset.files))


def require(dataset: DataSet) -> dict[str, Path]:
    """Return the path of every file of the data set, or say what is missing and what to do about it."""
    found = {file.name: find(dataset, file) for file in present_files(dataset)}
    if None in found.values():
        forms = _forms(dataset)
        looked = dict.fromkeys(str(path) for files in forms for path in search_folders(dataset, files[0]))
        missing = [
            ", ".join(" or ".join((file.name, *file.other_names)) for file in files if find(dataset, file) is None)
            for files in forms
        ]
        instead = "" if dataset.folder is None else f" {_WITHOUT}"
        got = f"no {', nor instead '.join(missing)}"
        bad_data(dataset.name, "files", f"in {' or '.join(looked)}", got, how_to_get(dataset) + instead)
    return {name: path for name, path in found.items() if path is not None}


def how_to_get(dataset: DataSet) -> str:
    """Return how to get the files of a data set, in a sentence or two: by a command only where that can work."""
    if dataset.folder is None:
        return "It is part of the package: install thinout again."
    forms = _forms(dataset)
    can_fetch = any(map(_can_fetch, forms))
    way = f"Get it with `thinout data fetch {dataset.name}`" if can_fetch else f"Get it from {dataset.source}"
    folders = dict.fromkeys(f"{files[0].folder or dataset.folder}/" for files in forms)
    instead = f" {dataset.instead}" if dataset.instead else ""
    return f"{way}, or set THINOUT_DATA to the folder that holds {' or '.join(folders)}.{instead}"


def _forms(dataset: DataSet) -> list[tuple[DataFile, ...]]:
    """Return the forms in which a data set may lie here; the files of one form have one folder."""
    return [files for files in (dataset.files, dataset.other_files) if files]


def _can_fetch(files: tuple[DataFile, ...]) -> bool:
    return all(file.url and file.checksum for file in files)


def check_files(dataset: DataSet) -> list[FileCheck]:
    """Compare the checksums of all files of a data set."""
    return [_check_file(dataset, file) for file in present_files(dataset)]


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file as hexadecimal digits."""
    return _digest(path, "sha256")


def tree_sha256(folder: Path) -> str:
    """Return the sha256 of the sorted lines ``sha256 of the file, two spaces, path in the folder`` of a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [f"{file_sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def checksum(file: DataFile, path: Path) -> str | None:
    """Return the checksum of the kind that is known of a file, as `DataFile.checksum` writes it; None where none is."""
    if file.checksum is None:
        return None
    if file.is_folder:
        return f"sha256:{tree_sha256(path)}"
    kind = file.checksum.partition(":")[0]
    return f"{kind}:{_digest(path, kind)}"


def verify(dataset: DataSet, paths: Mapping[str, Path]) -> None:
    """Raise DataError unless every file at one of the paths has its checksum, where one is known."""
    for file in (*dataset.files, *dataset.other_files):
        if file.name in paths and (got := checksum(file, paths[file.name])) != file.checksum:
            remedy = f"This is another or a damaged file. Replace it; see {dataset.source}."
            bad_data(paths[file.name], "file", f"of {file.checksum}", got, remedy)


def _digest(path: Path, kind: str) -> str:
    digest = hashlib.new(kind, usedforsecurity=False)
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
    if not is_raw and file.checksum is None:
        return FileCheck(file, path, path.stat().st_size, "unverified")
    try:
        if is_raw:
            got = (file.content_sha256 or file_sha256)(path)
            is_ok = got == file.raw_sha256
        else:
            is_ok = checksum(file, path) == file.checksum
    except DataError:  # an archive that cannot be read
        is_ok = False
    return FileCheck(file, path, path.stat().st_size, "ok" if is_ok else "differs")
