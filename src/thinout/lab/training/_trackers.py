"""Where the epoch records of a training are logged: a CSV file, or TensorBoard through Accelerate."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from thinout._checks import bad_usage
from thinout.lab.rows import write_atomically


class Tracker(Protocol):
    """What `fit` needs of a tracker: the interface of `accelerate.tracking.GeneralTracker`."""

    def log(self, values: dict[str, float], step: int | None) -> None:
        """Take the record of an epoch; step is its number."""

    def finish(self) -> None:
        """Close what is open."""


class CsvTracker:
    """Keep one line an epoch in a CSV file; `fit` logs the epochs of its checkpoint again, so nothing is read back.

    Args:
        path: the file.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "epochs.csv")
        >>> CsvTracker(path).log({"epoch": 1, "train_loss": 0.5}, step=1)
        >>> path.read_text().split()
        ['epoch,train_loss', '1,0.5']
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._records: list[Mapping[str, float]] = []

    def log(self, values: dict[str, float], step: int | None) -> None:
        """Write the record of one epoch."""
        self._records.append(values)
        buffer = io.StringIO(newline="")
        writer = csv.DictWriter(buffer, fieldnames=list(values))
        writer.writeheader()
        writer.writerows(self._records)
        write_atomically(self.path, buffer.getvalue().encode())

    def finish(self) -> None:
        """Nothing is open between two epochs."""


def make_tracker(name: str, folder: Path) -> Tracker:
    """Return the tracker ``"csv"`` (``epochs.csv`` in the folder) or ``"tensorboard"`` (event files in the folder).

    Raises:
        UsageError: another name.
    """
    if name == "csv":
        return CsvTracker(folder / "epochs.csv")
    if name != "tensorboard":
        bad_usage("make_tracker", "name", "csv or tensorboard", repr(name))
    from accelerate.state import PartialState
    from accelerate.tracking import TensorBoardTracker

    PartialState()  # the tracker asks it for the main process
    tracker = TensorBoardTracker("", logging_dir=folder)
    tracker.start()
    logging: Tracker = tracker
    return logging
