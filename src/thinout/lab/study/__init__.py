"""A study: arms x seeds of one case, run anywhere, resumed after anything, each row counted once."""

from __future__ import annotations

from thinout.lab.study._folder import StudyError, StudyStoppedError
from thinout.lab.study._plan import Study, estimate, plan
from thinout.lab.study._run import StudyOutcome, remaining, run_study
from thinout.lab.study._workers import LocalWorkers, WorkerKilledError, dask_workers, num_cores

__all__ = [
    "LocalWorkers",
    "Study",
    "StudyError",
    "StudyOutcome",
    "StudyStoppedError",
    "WorkerKilledError",
    "dask_workers",
    "estimate",
    "num_cores",
    "plan",
    "remaining",
    "run_study",
]
