"""Measurements by arm, place and seed, and the statistics that judges need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from thinout.lab.statistics import Interval, PairedDifference, mean_interval, paired_difference

Floats = npt.NDArray[np.float64]
Place = tuple[str, float | None]


@dataclass(frozen=True)
class Evidence:
    """What was measured.

    Args:
        cells: (arm, x) -> seed -> named numbers.
        missing: what stands for a number that a unit did not give.

    Example:
        >>> none, half = {0: {"nll": 0.5}, 1: {"nll": 0.6}}, {0: {"nll": 0.4}, 1: {"nll": 0.5}}
        >>> evidence = Evidence({("none", None): none, ("p=0.5", None): half})
        >>> round(evidence.difference("p=0.5", "none", "nll").mean, 3)
        -0.1
    """

    cells: Mapping[Place, Mapping[int, Mapping[str, float]]]
    missing: float = float("nan")

    def arms(self) -> list[str]:
        """Return the names of the arms, in the order of the units."""
        return list(dict.fromkeys(arm for arm, _ in self.cells))

    def xs(self, arm: str | None = None) -> list[float]:
        """Return the places on the axis, in rising order; of one arm, or of all."""
        return sorted({x for name, x in self.cells if x is not None and arm in (None, name)})

    def values(self, arm: str, name: str, x: float | None = None) -> Floats:
        """Return a value of an arm at a place, seed by seed; NaN where a unit did not give it."""
        return np.array([seed.get(name, self.missing) for seed in self.cells[arm, x].values()], dtype=np.float64)

    def mean(self, arm: str, name: str, x: float | None = None) -> Interval:
        """Return mean and 95 % interval over seeds."""
        return mean_interval(self.values(arm, name, x))

    def pairs(self, arm: str, baseline: str, name: str, x: float | None = None) -> tuple[Floats, Floats]:
        """Return the values of two arms at a place for the seeds that both have."""
        ours, theirs = self.cells[arm, x], self.cells[baseline, x]
        seeds = [seed for seed in ours if seed in theirs]
        one, other = ([cell[seed].get(name, self.missing) for seed in seeds] for cell in (ours, theirs))
        return np.array(one, dtype=np.float64), np.array(other, dtype=np.float64)

    def difference(self, arm: str, baseline: str, name: str, x: float | None = None) -> PairedDifference:
        """Return the mean difference within seeds, arm minus baseline, with interval and p-value."""
        return paired_difference(*self.pairs(arm, baseline, name, x))

    def ratio(self, arm: str, baseline: str, name: str, x: float | None = None) -> PairedDifference:
        """Return the geometric mean of the ratios within seeds, arm over baseline; p-value of "the ratio is 1"."""
        one, other = self.pairs(arm, baseline, name, x)
        logs = paired_difference(np.log(one), np.log(other))
        low, high = (None if bound is None else float(np.exp(bound)) for bound in (logs.low, logs.high))
        return PairedDifference(
            n=logs.n, mean=float(np.exp(logs.mean)), low=low, high=high, sd=logs.sd, p_value=logs.p_value
        )
