"""From the rows of a study to what the figures draw."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from thinout.lab.report._text import is_number
from thinout.lab.report.figures import ArmCurves, Band, Estimate
from thinout.lab.rows import Row
from thinout.lab.statistics import mean_interval

Floats = npt.NDArray[np.float64]


def done(rows: Iterable[Row], arm: str) -> list[Row]:
    """Return the finished rows of an arm, ordered by seed."""
    return sorted((row for row in rows if row.arm == arm and row.status == "done"), key=lambda row: row.seed)


def estimate(name: str, values: Iterable[object], *, place: int = 0, scale: float = 1.0) -> Estimate:
    """Return mean and interval of what is finite among some values."""
    finite = [float(value) * scale for value in values if isinstance(value, (int, float)) and is_number(value)]
    if not finite:
        return Estimate(name=name, mean=None, place=place)
    interval = mean_interval(finite)
    return Estimate(name=name, mean=interval.mean, low=interval.low, high=interval.high, place=place)


def arm_curves(rows: Sequence[Row], *, name: str, place: int) -> ArmCurves:
    """Return the training and validation NLL of an arm, epoch by epoch."""
    validation = [_history(row, "validation_nll") for row in rows]
    return ArmCurves(
        name=name,
        place=place,
        train=_band([_history(row, "train_nll") for row in rows]),
        validation=_band(validation),
        seeds=validation,
        best_epochs=[row.best_epoch for row in rows],
    )


def zero_shares(arms: Sequence[tuple[str, int, Sequence[Row]]]) -> list[tuple[str, list[Estimate]]]:
    """Return (layer, share of zeros in percent of each arm), in the order of the network.

    Args:
        arms: (name, place, rows) of the arms compared.
    """
    names = list(dict.fromkeys(str(layer["name"]) for _, _, rows in arms for row in rows for layer in row.layers))
    return [
        (name, [estimate(arm, _shares(rows, name), place=place, scale=100.0) for arm, place, rows in arms])
        for name in names
    ]


def confusion_counts(rows: Sequence[Row]) -> npt.NDArray[np.int64] | None:
    """Return counts of (true class, predicted class) summed over the runs, or None where none kept predictions."""
    kept = [row.arrays for row in rows if {"test_label", "test_prediction"} <= row.arrays.keys()]
    kept = [arrays for arrays in kept if arrays["test_label"].size]
    if not kept:
        return None
    num_classes = 1 + max(int(max(a["test_label"].max(), a["test_prediction"].max())) for a in kept)
    counts = np.zeros((num_classes, num_classes), dtype=np.int64)
    for arrays in kept:
        np.add.at(counts, (arrays["test_label"], arrays["test_prediction"]), 1)
    return counts


def paired_filters(
    first: Sequence[Row],
    second: Sequence[Row],
) -> tuple[int, npt.NDArray[Any], npt.NDArray[Any]] | None:
    """Return (seed, filters, filters) of the lowest seed for which both arms kept the filters they learned."""
    others = {row.seed: row for row in second}
    for row in first:
        mine, its = row.arrays.get("filters"), others[row.seed].arrays.get("filters") if row.seed in others else None
        if mine is not None and its is not None and _are_drawable(mine, its):
            return row.seed, mine, its
    return None


def _are_drawable(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> bool:
    return all(maps.ndim == 3 and maps.size > 0 and np.isfinite(maps).all() for maps in (first, second))


def _history(row: Row, name: str) -> Floats:
    return np.array([epoch.get(name, np.nan) for epoch in row.history], dtype=np.float64)


def _shares(rows: Sequence[Row], name: str) -> list[object]:
    return [layer.get("zero_share") for row in rows for layer in row.layers if str(layer["name"]) == name]


def _band(losses: Sequence[Floats]) -> Band:
    shortest = min((len(loss) for loss in losses), default=0)
    epochs = [estimate("", [float(loss[epoch]) for loss in losses]) for epoch in range(shortest)]
    columns = [[_or_nan(value) for value in (item.mean, item.low, item.high)] for item in epochs]
    mean, low, high = np.array(columns, dtype=np.float64).reshape(-1, 3).T
    return Band(mean=mean, low=low, high=high)


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value
