"""Download a data set into the cache folder, with checksums; nothing half-done ever bears a final name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from thinout.lab.data._places import FileCheck, cache_folder, check_files, require
from thinout.lab.data._registry import describe
from thinout.lab.data._types import DataFile, DataSet, bad_data

Progress = Callable[[str, int, int], None]
_CHUNK = 2**16
_TIMEOUT = 30  # seconds without a byte
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
        bad_data("fetch", str(state.path), f"of {state.file.checksum}", "another one", remedy)
    return state.path if state.state in ("ok", "unverified") else None


def _download(dataset: DataSet, file: DataFile, progress: Progress | None) -> Path:
    import pooch

    folder = cache_folder() / (file.folder or dataset.folder or dataset.name)
    by_hand = f"the file into {folder} by hand; see {dataset.source}."
    if file.url is None or file.checksum is None:
        bad_data("fetch", file.name, "a file with a verified address", "none", f"Put {by_hand}")
    pooch.get_logger().setLevel("WARNING")  # progress is the caller's matter

    def downloader(url: str, target: str, _pooch: object) -> None:
        _stream(url, Path(target), file, progress)

    try:
        path = pooch.retrieve(file.url, file.checksum, file.name, folder, downloader=downloader)
    except (OSError, ValueError) as error:  # network (requests' errors are OSErrors) and disk; wrong length or checksum
        got = f"{type(error).__name__}: {error}"
        bad_data("fetch", file.url, "a file that can be downloaded", got, f"Call it again, or put {by_hand}")
    return Path(path)


def _stream(url: str, target: Path, file: DataFile, progress: Progress | None) -> None:
    # Not pooch.HTTPDownloader: that leaves the connection open on failure, and takes an answer of any length.
    import requests

    done = 0
    with requests.get(url, stream=True, timeout=_TIMEOUT, headers=_IDENTITY) as answer, target.open("wb") as output:
        answer.raise_for_status()
        for chunk in answer.iter_content(_CHUNK):
            done += len(chunk)
            if done > file.size:
                raise ValueError(f"more than the expected {file.size} bytes")
            output.write(chunk)
            if progress is not None:
                progress(file.name, done, file.size)
    if done < file.size:
        raise ValueError(f"broke off after {done} of {file.size} bytes")
