"""The folder of a study: who holds it, which study it is of, and which rows count."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import socket
import sys
import warnings
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from thinout._checks import ThinoutError, UsageError
from thinout.lab.case import Recipe, Run
from thinout.lab.rows import Row, RowError, read_row, read_rows, row_path, write_atomically, write_row
from thinout.lab.study._plan import Study

STUDY_FORMAT = 1
RESERVE_BYTES = 4 * 2**20
STUDY_FILE, ABOUT_FILE = "study.json", "about.json"
_RESERVE = ".reserve"
_LEFTOVERS = ("rows/*/.seed-*", f".{_RESERVE}.*", f".{STUDY_FILE}.*", f".{ABOUT_FILE}.*")


class StudyError(ThinoutError):
    """A study that cannot go on, for a reason outside of its runs."""


class StudyStoppedError(StudyError):
    """A study that was interrupted from the keyboard."""


@contextlib.contextmanager
def held(folder: Path, where: str = "run_study") -> Iterator[None]:
    """Hold a folder as the only one that writes there; raises StudyError with the holder's name where another does.

    The lock belongs to the open file, so it goes with the process, however that ends: none is ever stale.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "study.lock").open("a+b", buffering=0)  # nothing may be left to write when it is closed
    except OSError as error:
        raise StudyError(f"{where}: {folder} cannot be used ({error.strerror}). Give another folder.") from error
    with file:
        _lock(file, folder, where)
        _sign(file, folder, where)
        yield
        file.truncate(0)


@contextlib.contextmanager
def held_for_training(folder: Path, run: Run) -> Iterator[None]:
    """Hold a folder for a single training.

    Raises:
        StudyError: another process holds it.
        UsageError: it has the finished row of another training.
        RowError: a row there is damaged.
    """
    with held(folder, "train"):
        for row in read_rows(folder):
            # A failed one leaves no weights, and the next try has another recipe.
            if row.status == "done" and (differences := _differences(_completed(row.config), _config(run))):
                raise UsageError(
                    f"train: {folder} holds another training: {'; '.join(differences)}. Give another --folder."
                )
        yield


def claim(folder: Path, study: Study, about: Mapping[str, Any] | None = None) -> None:
    """Make a folder this study's, or raise UsageError where it holds another one; keep what a report says of it."""
    files = {} if check_owner(folder, study) else {STUDY_FILE: {"format": STUDY_FORMAT} | study.to_dict()}
    files |= {} if about is None else {ABOUT_FILE: dict(about)}
    try:
        for name, content in files.items():
            write_atomically(folder / name, json.dumps(content, indent=1, sort_keys=True).encode())
    except OSError as error:
        raise _cannot_write(folder, error, "Nothing was begun") from error


def read_study(folder: Path) -> Study:
    """Read which study a folder is of; raises StudyError, naming the file, where that cannot be told."""
    content = _read_json(folder / STUDY_FILE)
    try:
        if content["format"] != STUDY_FORMAT:
            raise ValueError(f"format {content['format']} is not {STUDY_FORMAT}")
        return Study.from_dict(content)
    except (KeyError, TypeError, ValueError) as error:
        text = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise StudyError(
            f"read_study: {folder / STUDY_FILE} is not what a study wrote ({text}). Give another folder."
        ) from error


def read_about(folder: Path) -> dict[str, Any]:
    """Read what a report says of a study beside its results; empty where nothing was kept."""
    path = folder / ABOUT_FILE
    content = _read_json(path) if path.exists() else {}
    if not isinstance(content, dict):
        raise StudyError(f"read_about: {path} is not what a study wrote. Delete it.")
    return content


def check_owner(folder: Path, study: Study) -> bool:
    """Return whether a folder is this study's, False where it is nobody's; raise UsageError where it is another's."""
    if not (folder / STUDY_FILE).exists():
        return False
    differences = _differences(_named_arms(read_study(folder)), _named_arms(study))
    if differences:
        raise UsageError(
            f"run_study: {folder} holds another study: {'; '.join(differences)}. Give another folder, or the options "
            "of the study there. (A study is fixed before it runs: adding to it after a look at its result would make "
            "its p-values wrong.)"
        )
    return True


def study_rows(study: Study, folder: Path) -> list[Row]:
    """Return the rows, finished and failed, that a folder has of a study's runs; other files there do not count.

    Raises:
        RowError: a row is damaged, or another study's.
    """
    return [row for run in study.runs() if (row := _recorded_row(folder, run))]


def finished_row(folder: Path, run: Run) -> Row | None:
    """Return the row of a finished run, or None where the run is still to be made.

    Raises:
        RowError: the row is damaged, or another study's.
    """
    row = _recorded_row(folder, run)
    return row if row and row.status == "done" else None


def _recorded_row(folder: Path, run: Run) -> Row | None:
    path = row_path(folder, run.arm.name, run.seed)
    if not path.exists():
        return None
    row = read_row(path)
    if _completed(row.config) != _config(run):
        raise RowError(f"run_study: {path} is a row of another study. Give another folder, or delete that row.")
    return row


def _config(run: Run) -> Any:
    return json.loads(json.dumps(run.config()))


def _completed(config: dict[str, Any]) -> dict[str, Any]:
    """Return a row's config with the fields that recipes did not have when it was written, as `read_study` does."""
    try:
        return config | {"recipe": dataclasses.asdict(Recipe(**config["recipe"]))}
    except (KeyError, TypeError, ValueError):
        return config  # no recipe of ours: it differs, whatever is missing


@contextlib.contextmanager
def reserved(folder: Path) -> Iterator[None]:
    """Keep some disk space back for the rows of runs that end when the disk is full; sweep what a killed one left."""
    try:
        for leftover in (path for pattern in _LEFTOVERS for path in folder.glob(pattern)):
            leftover.unlink()
        write_atomically(folder / _RESERVE, bytes(RESERVE_BYTES))
    except OSError as error:
        raise _cannot_write(folder, error, "Nothing was begun") from error
    try:
        yield
    finally:
        (folder / _RESERVE).unlink(missing_ok=True)


def keep(folder: Path, row: Row) -> None:
    """Write a row; where that fails, write it into the reserved space, and raise StudyError either way."""
    try:
        write_row(folder, row)
    except OSError as error:
        (folder / _RESERVE).unlink(missing_ok=True)
        try:
            write_row(folder, row)
        except OSError as again:
            raise _cannot_write(folder, again, f"All but {row.arm} seed {row.seed} is kept") from again
        raise _cannot_write(folder, error, "Every finished run is kept") from error


def _cannot_write(folder: Path, error: OSError, kept: str, where: str = "run_study") -> StudyError:
    return StudyError(
        f"{where}: cannot write to {folder} ({error.strerror}). {kept}. Free space and give the same command again."
    )


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise StudyError(f"read_study: {path} cannot be read ({error}). Give another folder.") from error


def _sign(file: BinaryIO, folder: Path, where: str) -> None:
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "started": _now()}
    try:
        file.truncate(0)
        file.write(json.dumps(holder).encode())
    except OSError as error:
        raise _cannot_write(folder, error, "Nothing was begun", where) from error


def _lock(file: BinaryIO, folder: Path, where: str) -> None:
    if sys.platform == "win32":
        warnings.warn(f"No lock on this system: let no second command use {folder}.", stacklevel=4)
        return
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StudyError(f"{where}: {folder} is held by {_holder(file)}. Wait for it, or stop it.") from error
    except OSError as error:
        raise StudyError(f"{where}: {folder} cannot be locked ({error.strerror}). Give a local folder.") from error


def _holder(file: BinaryIO) -> str:
    file.seek(0)
    try:
        holder = json.loads(file.read())
        return f"process {holder['pid']} on {holder['host']} since {holder['started']}"
    except (ValueError, KeyError, TypeError):
        return "another process"  # that has only just taken the lock


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _named_arms(study: Study) -> dict[str, Any]:
    """Return a study with its arms as a mapping from their names, so that a difference names one arm."""
    content = study.to_dict()
    arms = {arm["name"]: {key: arm[key] for key in arm if key != "name"} for arm in content["arms"]}
    return content | {"arms": arms, "order of arms": list(arms)}


def _differences(found: Any, asked: Any, name: str = "") -> list[str]:
    """Name each entry that differs between two contents of study.json."""
    if isinstance(found, dict) and isinstance(asked, dict):
        keys = [*asked, *(key for key in found if key not in asked)]
        pairs = ((f"{name}.{key}" if name else key, found.get(key), asked.get(key)) for key in keys)
        return [text for key, there, here in pairs for text in _differences(there, here, key)]
    if found == asked:
        return []
    return [f"{name} is {json.dumps(found)} there, not {json.dumps(asked)}"]
