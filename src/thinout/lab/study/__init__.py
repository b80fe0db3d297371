"""A study: arms x seeds of one case, run anywhere, resumed after anything, each row counted once."""

from __future__ import annotations

from thinout.lab.study._folder import (
    STUDY_FILE,
    StudyError,
    StudyStoppedError,
    held_for_training,
    read_about,
    read_study,
    study_rows,
)
from thinout.lab.study._plan import Study, describe_study, estimate, plan
from thinout.lab.study._run import StudyOutcome, remaining, run_study
from thinout.lab.study._workers import LocalWorkers, WorkerKilledError, as_they_end, dask_workers, num_cores

__all__ = [
    "STUDY_FILE",
    "LocalWorkers",
    "Study",
    "StudyError",
    "StudyOutcome",
    "StudyStoppedError",
    "WorkerKilledError",
    "as_they_end",
    "dask_workers",
    "describe_study",
    "estimate",
    "held_for_training",
    "num_cores",
    "plan",
    "read_about",
    "read_study",
    "remaining",
    "run_study",
    "study_rows",
]
