"""The folder of a study: who holds it, which study it is of, and which rows count."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import warnings
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

from thinout._checks import ThinoutError, UsageError
from thinout.lab.case import Run
from thinout.lab.rows import Row, RowError, read_row, row_path, write_atomically, write_row
from thinout.lab.study._plan import Study

STUDY_FORMAT = 1
RESERVE_BYTES = 4 * 2**20
_RESERVE = ".reserve"


class StudyError(ThinoutError):
    """A study that cannot go on, for a reason outside of its runs."""


class StudyStoppedError(StudyError):
    """A study that was interrupted from the keyboard."""


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder as its only coordinator; raises StudyError with the holder's name where somebody else does.

    The lock belongs to the open file, so it goes with the process, however that ends: none is ever stale.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "study.lock").open("a+")
    except OSError as error:
        raise StudyError(f"run_study: {folder} cannot be used ({error.strerror}). Give another folder.") from error
    with file:
        _lock(file, folder)
        file.truncate(0)
        json.dump({"pid": os.getpid(), "host": socket.gethostname(), "started": _now()}, file)
        file.flush()
        yield
        file.truncate(0)


def claim(folder: Path, study: Study) -> None:
    """Make a folder this study's, or raise UsageError where it holds another one."""
    if not check_owner(folder, study):
        content = {"format": STUDY_FORMAT} | study.to_dict()
        write_atomically(folder / "study.json", json.dumps(content, indent=1, sort_keys=True).encode())


def check_owner(folder: Path, study: Study) -> bool:
    """Return whether a folder is this study's, False where it is nobody's; raise UsageError where it is another's."""
    path = folder / "study.json"
    if not path.exists():
        return False
    content = {"format": STUDY_FORMAT} | study.to_dict()
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise StudyError(f"run_study: {path} cannot be read ({error}). Give another folder.") from error
    differences = _differences(_named_arms(found), _named_arms(content))
    if differences:
        raise UsageError(
            f"run_study: {folder} holds another study: {'; '.join(differences)}. Give another folder, or the options "
            "of the study there. (A study is fixed before it runs: adding to it after a look at its result would make "
            "its p-values wrong.)"
        )
    return True


def finished_row(folder: Path, run: Run) -> Row | None:
    """Return the row of a finished run, or None where the run is still to be made.

    Raises:
        RowError: the row is damaged, or another study's.
    """
    path = row_path(folder, run.arm.name, run.seed)
    if not path.exists():
        return None
    row = read_row(path)
    if row.config != json.loads(json.dumps(run.config())):
        raise RowError(f"run_study: {path} is a row of another study. Give another folder, or delete that row.")
    return row if row.status == "done" else None


@contextlib.contextmanager
def reserved(folder: Path) -> Iterator[None]:
    """Keep some disk space back for the rows of runs that end when the disk is full; sweep what a killed one left."""
    try:
        for leftover in folder.glob("rows/*/.seed-*"):
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


def _cannot_write(folder: Path, error: OSError, kept: str) -> StudyError:
    return StudyError(
        f"run_study: cannot write to {folder} ({error.strerror}). {kept}. Free space and give the same command again."
    )


def _lock(file: IO[str], folder: Path) -> None:
    if sys.platform == "win32":
        warnings.warn(f"No lock on this system: let no second command use {folder}.", stacklevel=4)
        return
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StudyError(f"run_study: {folder} is held by {_holder(file)}. Wait for it, or stop it.") from error
    except OSError as error:
        raise StudyError(f"run_study: {folder} cannot be locked ({error.strerror}). Give a local folder.") from error


def _holder(file: IO[str]) -> str:
    file.seek(0)
    try:
        holder = json.loads(file.read())
        return f"process {holder['pid']} on {holder['host']} since {holder['started']}"
    except (ValueError, KeyError, TypeError):
        return "another process"  # that has only just taken the lock


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _named_arms(content: Any) -> Any:
    """Give the arms as a mapping from their names, so that a difference names one arm."""
    try:
        arms = {arm["name"]: {key: arm[key] for key in arm if key != "name"} for arm in content["arms"]}
        return content | {"arms": arms, "order of arms": list(arms)}
    except (KeyError, TypeError):
        return content  # not a study.json that this version wrote: compared as it stands


def _differences(found: Any, asked: Any, name: str = "") -> list[str]:
    """Name each entry that differs between two contents of study.json."""
    if isinstance(found, dict) and isinstance(asked, dict):
        keys = [*asked, *(key for key in found if key not in asked)]
        pairs = ((f"{name}.{key}" if name else key, found.get(key), asked.get(key)) for key in keys)
        return [text for key, there, here in pairs for text in _differences(there, here, key)]
    if found == asked:
        return []
    return [f"{name} is {json.dumps(found)} there, not {json.dumps(asked)}"]
