"""Download a data set into the cache folder, with checksums; nothing half-done ever bears a final name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from thinout.lab.data._places import FileCheck, cache_folder, check_files, require
from thinout.lab.data._registry import describe
from thinout.lab.data._types import DataFile, DataSet, bad_data

Progress = Callable[[str, int, int], None]
_CHUNK = 2**16
_IDENTITY = {"Accept-Encoding": "identity"}  # else a server may compress the .gz again, and the length says nothing


def fetch(name: str, progress: Progress | None = None) -> list[Path]:
    """Download the files of a data set that are not yet in THINOUT_DATA or the cache folder.

    A download goes to a temporary name and gets its final one when its checksum is right; an interrupted one leaves
    nothing under the final name, and the next call starts it again.

    Args:
        name: one of `names()`.
        progress: called as `progress(file name, bytes so far, bytes in all)`.

    Returns:
        The paths of all files of the data set.

    Raises:
        UsageError: no such data set.
        DataError: a file cannot be fetched, is not what was expected, or has no verified address.

    Example:
        >>> [path.name for path in fetch("fashion-mnist-small")]  # part of the package: nothing to download
        ['fashion-mnist-small.npz']
    """
    dataset = describe(name)
    if dataset.folder is None:
        return list(require(dataset).values())
    return [_present(state) or _download(dataset, state.file, progress) for state in check_files(dataset)]


def _present(state: FileCheck) -> Path | None:
    if state.state == "differs" and state.path is not None and not state.path.is_relative_to(cache_folder()):
        remedy = "Remove or replace it: it hides any copy that is fetched into the cache folder."
        bad_data("fetch", str(state.path), f"of sha256 {state.file.sha256}", "another one", remedy)
    return state.path if state.state == "ok" else None


def _download(dataset: DataSet, file: DataFile, progress: Progress | None) -> Path:
    import pooch

    folder = cache_folder() / (dataset.folder or dataset.name)
    by_hand = f"Call it again, or put the file into {folder} by hand; see {dataset.source}."
    if file.url is None:
        bad_data("fetch", file.name, "a file with a verified address", "none", by_hand)
    pooch.get_logger().setLevel("WARNING")  # progress is the caller's matter
    downloader = pooch.HTTPDownloader(
        progressbar=_Meter(file, progress), chunk_size=_CHUNK, timeout=30, headers=_IDENTITY
    )
    try:
        path = pooch.retrieve(file.url, f"sha256:{file.sha256}", file.name, folder, downloader=downloader)
    except (OSError, ValueError) as error:  # network and disk; wrong checksum or length
        bad_data("fetch", file.url, "a file that can be downloaded", f"{type(error).__name__}: {error}", by_hand)
    return Path(path)


class _Meter:
    """What pooch calls a progress bar: hands counts on, and ends a download that is longer than it should be."""

    def __init__(self, file: DataFile, progress: Progress | None) -> None:
        self.total = file.size
        self._file = file
        self._progress = progress
        self._done = 0

    def update(self, count: int) -> None:
        self._done += count
        if self._done >= self._file.size + 2 * _CHUNK:  # counts are whole chunks, the last one may be shorter
            raise ValueError(f"more than the expected {self._file.size} bytes")
        if self._progress is not None:
            self._progress(self._file.name, min(self._done, self._file.size), self._file.size)

    def reset(self) -> None:
        self._done = 0

    def close(self) -> None:
        """Nothing to close: pooch asks for it."""
