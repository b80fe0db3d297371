"""Run what is missing of a study. One coordinator writes the rows; workers only return them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from thinout._checks import ThinoutError
from thinout.lab.case import Run
from thinout.lab.rows import Row
from thinout.lab.study._folder import (
    StudyError,
    StudyStoppedError,
    check_owner,
    claim,
    finished_row,
    held,
    keep,
    reserved,
)
from thinout.lab.study._plan import Study
from thinout.lab.study._workers import LocalWorkers, WorkerKilledError, as_they_end
from thinout.lab.training import error_text, failed_row, train_run

Train = Callable[[Run], Row]
Progress = Callable[[Row, int, int], None]
_ONE_RUN_AT_A_TIME = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class StudyOutcome:
    """What a folder holds when a command ends.

    Args:
        study: what was run.
        folder: where its rows lie.
        rows: of all runs, in the order of `Study.runs`.
        num_kept: runs that were finished before this command.
    """

    study: Study
    folder: Path
    rows: tuple[Row, ...]
    num_kept: int

    @property
    def failed(self) -> tuple[Row, ...]:
        """Return the rows of the runs that failed; the same command tries them again."""
        return tuple(row for row in self.rows if row.status == "failed")


def run_study(
    study: Study,
    folder: Path | str,
    *,
    executor: Executor | None = None,
    train: Train = train_run,
    progress: Progress | None = None,
    about: Mapping[str, Any] | None = None,
) -> StudyOutcome:
    """Make every run of a study that has no finished row yet, and return all its rows.

    A finished run is never made again; a failed, killed or interrupted one is. A run that fails leaves a row with its
    reason, and the others go on.

    Args:
        study: from `plan`.
        folder: where the study lives; made if absent.
        executor: where runs are made: `LocalWorkers`, `dask_workers`, or any other; None for one process a core.
        train: makes one run; must be importable in a worker.
        progress: called with each new row, the number of finished runs, and the number of all.
        about: what a report says beside the results (as in `write_report`), kept in the folder; None leaves it.

    Raises:
        UsageError: the folder holds another study, or a run is asked for what does not exist.
        StudyError: another command holds the folder, the disk is full, or the workers are gone.
        StudyStoppedError: Ctrl-C; what was finished is kept.
        RowError: a row in the folder is damaged.
    """
    folder = Path(folder)
    with held(folder):
        claim(folder, study, about)
        try:
            with reserved(folder), contextlib.ExitStack() as stack:
                workers = stack.enter_context(LocalWorkers()) if executor is None else executor
                return _complete(study, _Coordinator(folder, workers, progress), train)
        except KeyboardInterrupt:
            num_runs = len(study.runs())
            raise StudyStoppedError(
                f"run_study: stopped. {num_runs - len(remaining(study, folder))} of {num_runs} runs are finished and "
                f"kept in {folder}. Give the same command again to go on."
            ) from None


def remaining(study: Study, folder: Path | str) -> list[Run]:
    """Return the runs that the next command would make.

    Raises:
        UsageError: the folder holds another study.
        RowError: a row in the folder is damaged, or another study's.
    """
    check_owner(Path(folder), study)
    return [run for run in study.runs() if finished_row(Path(folder), run) is None]


def run_key(run: Run) -> tuple[str, int]:
    """Return what tells a run from the others of its study."""
    return run.arm.name, run.seed


def _complete(study: Study, coordinator: _Coordinator, train: Train) -> StudyOutcome:
    runs, folder = study.runs(), coordinator.folder
    kept = {run_key(run): row for run in runs if (row := finished_row(folder, run))}
    rows = kept | coordinator.make([run for run in runs if run_key(run) not in kept], train, len(kept))
    return StudyOutcome(study=study, folder=folder, rows=tuple(rows[run_key(run)] for run in runs), num_kept=len(kept))


class _Coordinator:
    """Submits runs, writes each row as it comes, and saves what is finished when it has to stop."""

    def __init__(self, folder: Path, executor: Executor, progress: Progress | None) -> None:
        self.folder = folder
        self.executor = executor
        self.progress = progress or (lambda *_: None)
        self.made: dict[tuple[str, int], Row] = {}

    def make(self, runs: list[Run], train: Train, num_kept: int) -> dict[tuple[str, int], Row]:
        futures = {self.executor.submit(train_alone, train, run): run for run in runs}
        try:
            for future in as_they_end(futures):
                row = self._keep(future, futures[future])
                self.progress(row, num_kept + len(self.made), num_kept + len(runs))
        finally:
            self._save(futures)
        return self.made

    def _keep(self, future: Future[Row], run: Run) -> Row:
        row = _row(future, run)
        self.made[run_key(run)] = row
        try:
            keep(self.folder, row)
        except KeyboardInterrupt:
            del self.made[run_key(run)]  # not written: `_save` does it again
            raise
        return row

    def _save(self, futures: dict[Future[Row], Run]) -> None:
        """Cancel what has not begun, and write what has ended since."""
        for future, run in futures.items():
            if not future.cancel() and future.done() and run_key(run) not in self.made and not future.exception():
                self._keep(future, run)


def train_alone(train: Train, run: Run) -> Row:
    """Make a run on one thread with nothing beside it in its process, since torch's default generator is shared."""
    with _ONE_RUN_AT_A_TIME:
        num_threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return train(run)
        except ThinoutError:
            raise
        except Exception as error:  # a user's error may not survive the way to the coordinator, its text does
            return failed_row(run, error_text(error))
        finally:
            torch.set_num_threads(num_threads)


def _row(future: Future[Row], run: Run) -> Row:
    error = CancelledError() if future.cancelled() else future.exception()
    if error is None:
        return future.result()
    if isinstance(error, CancelledError):
        raise StudyError(
            "run_study: the workers are gone. Every finished run is kept. Give the same command again to go on."
        ) from error
    if isinstance(error, ThinoutError):
        raise error
    return failed_row(run, str(error) if isinstance(error, WorkerKilledError) else error_text(error))
