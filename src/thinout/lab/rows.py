"""The row: what one run leaves behind, and the only truth about it.

A run ``ARM/SEED`` of a study folder leaves two files. ``rows/ARM/seed-SEED.npz`` holds its arrays and is written first;
``rows/ARM/seed-SEED.json`` holds the row with the digest of the arrays and is written last. Each is written to a
temporary name, synced and renamed, so that a row is there whole or not at all, after a kill or a power cut too.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from thinout._checks import ThinoutError

ROW_FORMAT = 1
PARTS = ("train", "validation", "test")
METRICS = frozenset({"nll", "error", "ece"})  # of every task, NaN where it has no such number
PRIMARY = ("nll", "error", "ece", "balanced_error")  # what an arm can be judged by: lower is better


class RowError(ThinoutError):
    """A row file that cannot be what a run wrote."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """The result of one run.

    Args:
        arm: name of the arm.
        p: its drop probability.
        seed: the run's seed.
        status: ``"done"`` or ``"failed"``.
        reason: why it failed, one sentence.
        config: `Run.config()`.
        metrics: part (``train``, ``validation``, ``test``; clean, in eval mode, at `best_epoch`) ->
            {``nll``, ``error``, ``ece`` and what else the task measures, such as ``error_low`` and ``error_high``, the
            exact 95 % interval of a classification's error}; errors and ECE as shares, NLL in nats.
        best_epoch: epoch (from 1) whose weights were measured: that with the lowest validation loss, or the last where
            the recipe keeps that.
        num_epochs: epochs trained.
        history: one dict an epoch: ``epoch``, ``train_loss`` (mean of the training loss, dropout on), ``train_nll``,
            ``validation_nll``, ``validation_error``, ``lr``, ``seconds``.
        seconds: time of the whole run.
        layers: one dict an activation site: ``name``, ``zero_share`` (share of exact zeros after it, eval mode, test
            images), ``mean`` (mean activation).
        fingerprints: digests of initial weights, order of batches, split and test part: equal over the arms of a seed.
        provenance: versions, hardware, threads, git revision, times.
        arrays: test set, example by example: ``test_nll`` (N,), ``test_prediction`` (N,), ``test_label`` (N,);
            ``filters`` (C, h, w) of the first convolution, where there is one.
    """

    arm: str
    p: float
    seed: int
    status: Literal["done", "failed"]
    reason: str | None = None
    config: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    best_epoch: int = 0
    num_epochs: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    layers: list[dict[str, Any]] = field(default_factory=list)
    fingerprints: dict[str, str] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, npt.NDArray[Any]] = field(default_factory=dict)

    def value(self, metric: str, part: str = "test") -> float:
        """Return one number of the row; ``gap`` is test minus train NLL, ``seconds`` the time of the run."""
        if metric == "gap":
            return self.metrics["test"]["nll"] - self.metrics["train"]["nll"]
        return self.seconds if metric == "seconds" else self.metrics[part].get(metric, math.nan)


def write_atomically(path: Path, content: bytes | memoryview) -> None:
    """Write a file so that it is there whole or not at all: temporary name, sync, rename, sync of the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.chmod(temporary, 0o644)  # mkstemp lets nobody else read
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def finite(value: Any) -> Any:
    """Return a value as JSON can hold it: what is not a finite number is None.

    Example:
        >>> finite({"nll": float("nan"), "error": (0.1,)})
        {'nll': None, 'error': [0.1]}
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): finite(item) for name, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, (list, tuple)) else value


def row_path(folder: Path, arm: str, seed: int) -> Path:
    """Return where the row of a run lies in a study folder."""
    return folder / "rows" / arm / f"seed-{seed}.json"


def write_row(folder: Path, row: Row) -> Path:
    """Write a row and its arrays; the row file last, since it is what counts."""
    path = row_path(folder, row.arm, row.seed)
    path.unlink(missing_ok=True)  # a failed run's: beside the arrays of its repetition it would look damaged
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **row.arrays)
    arrays = buffer.getvalue()
    write_atomically(path.with_suffix(".npz"), arrays)
    content = asdict(row) | {"format": ROW_FORMAT, "arrays": hashlib.sha256(arrays).hexdigest()}
    write_atomically(path, json.dumps(content, indent=1, sort_keys=True).encode())
    return path


def read_row(path: Path) -> Row:
    """Read one row back; raises RowError where the files are not what a run wrote."""
    try:
        content = json.loads(path.read_text())
        arrays = path.with_suffix(".npz").read_bytes()
    except (OSError, ValueError) as error:
        raise RowError(f"read_row: {path} cannot be read ({error}). Delete it and run the study again.") from error
    if not isinstance(content, dict) or content.pop("format", None) != ROW_FORMAT:
        raise RowError(f"read_row: {path} is not a row of format {ROW_FORMAT}. Delete it and run the study again.")
    if content.pop("arrays", None) != hashlib.sha256(arrays).hexdigest():
        raise RowError(f"read_row: the arrays beside {path} are not its own. Delete both and run the study again.")
    _check_keys(path, content)
    with np.load(io.BytesIO(arrays), allow_pickle=False) as file:
        return Row(**content, arrays={name: file[name] for name in file.files})


def _check_keys(path: Path, content: dict[str, Any]) -> None:
    wrong = content.keys() ^ (Row.__dataclass_fields__.keys() - {"arrays"})
    if not wrong and content["status"] == "done":
        found = content["metrics"] if isinstance(content["metrics"], dict) else {}
        wrong = {part for part in PARTS if METRICS - set(found.get(part) or ())}
    if wrong:
        names = ", ".join(sorted(wrong))
        raise RowError(f"read_row: {path} lacks, or should not have: {names}. Delete it and run the study again.")


def read_rows(folder: Path) -> list[Row]:
    """Read all rows of a study folder, ordered by arm and seed."""
    rows = [read_row(path) for path in folder.glob("rows/*/seed-*.json")]
    return sorted(rows, key=lambda row: (row.p, row.arm, row.seed))
