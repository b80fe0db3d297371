"""What the tests of studies run: a tiny case, and makers of runs that do what a test asks. Importable by workers."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import TensorDataset

from thinout.lab.case import BASELINE, Case, Recipe, Run, dropout_arm
from thinout.lab.data import Splits
from thinout.lab.rows import Row
from thinout.lab.study import Study
from thinout.lab.training import train_run

ARMS = (BASELINE, dropout_arm(0.5))


def make_case() -> Case:
    """A perceptron on 96 points in two classes, trained in milliseconds."""
    return Case(
        name="tiny",
        model=lambda p: nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Dropout(p), nn.Linear(8, 2)),
        data=_splits,
        recipe=Recipe(epochs=3, batch_size=16),
        arms=ARMS,
    )


def _splits(seed: int) -> Splits:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(96, 1, 4, 4, generator=generator)
    labels = (images.mean(dim=(1, 2, 3)) > 0).long()
    parts = [TensorDataset(images[i : i + 32], labels[i : i + 32]) for i in (0, 32, 64)]
    return Splits(*parts, num_classes=2, shape=(1, 4, 4))


def make_study(num_seeds: int = 2) -> Study:
    """The study of the tiny case, without the checks of `plan`."""
    return Study(case="_study_runs:make_case", arms=ARMS, seeds=tuple(range(num_seeds)), recipe=make_case().recipe)


def made_row(run: Run, status: str = "done", reason: str | None = None) -> Row:
    """A row without any training, its numbers taken from the run."""
    nll = 1.0 + 0.01 * run.seed - 0.1 * run.arm.p
    metrics = {part: {"nll": nll, "error": 0.1, "ece": 0.05} for part in ("train", "validation", "test")}
    done = {"metrics": metrics, "best_epoch": 1, "num_epochs": 3} if status == "done" else {}
    return Row(arm=run.arm.name, p=run.arm.p, seed=run.seed, status=status, reason=reason, config=run.config(), **done)


def train_after(seconds: float, run: Run) -> Row:
    """Train for real, after a pause that leaves a test the time to kill something."""
    time.sleep(seconds)
    return train_run(run)


def train_or_die(folder: Path, run: Run) -> Row:
    """Die of SIGKILL: always in arm p=0.5 of seed 1, and the first time in the baseline of seed 0; leave a trace."""
    with (folder / f"{run.arm.name}-{run.seed}").open("a") as trace:
        trace.write("x")
    first = (folder / f"{run.arm.name}-{run.seed}").stat().st_size == 1
    if (run.arm.p, run.seed) == (0.5, 1) or ((run.arm.p, run.seed) == (0.0, 0) and first):
        os.kill(os.getpid(), signal.SIGKILL)
    return made_row(run)


class UnpicklableError(Exception):
    """An error that cannot be built again from its text, as pickle does it."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


def raises_what_does_not_pickle(run: Run) -> Row:
    """Fail in the arm p=0.5; print first, as user code may."""
    sys.stdout.write("a user's print\n")
    if run.arm.p:
        raise UnpicklableError("no such column", 3)
    return made_row(run)


def threads_row(run: Run) -> Row:
    """A row that tells the number of threads that the run was given."""
    row = made_row(run)
    row.provenance["threads"] = torch.get_num_threads()
    return row


def without_times(row: Row) -> dict[str, object]:
    """All of a row that a second training must give again."""
    content = {name: value for name, value in vars(row).items() if name not in ("seconds", "provenance")}
    content["history"] = [{k: v for k, v in epoch.items() if k != "seconds"} for epoch in row.history]
    content["arrays"] = {name: array.tolist() for name, array in row.arrays.items()}
    return content
