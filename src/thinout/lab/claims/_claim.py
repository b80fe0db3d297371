"""What a claim is made of: what is fixed before it runs, what is measured, and what that is judged to say."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from thinout._checks import ThinoutError
from thinout.lab.claims._evidence import Evidence
from thinout.lab.statistics import Interval, PairedDifference

Size = Literal["quick", "full"]
Verdict = Literal["supported", "refuted", "conditional", "no evidence"]
VERDICTS: tuple[Verdict, ...] = ("supported", "refuted", "conditional", "no evidence")


class ClaimError(ThinoutError):
    """A claim that cannot be run or judged."""


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One measurement to make; small and picklable, so that it can travel to any worker.

    Args:
        arm: name of the arm.
        seed: what everything random in it derives from; units of one seed are paired.
        x: place on the claim's axis, such as a depth or a data size; None where there is no axis.
    """

    arm: str
    seed: int
    x: float | None = None

    @property
    def name(self) -> str:
        """Name of its file."""
        place = "" if self.x is None else f"-{self.x:g}"
        return f"{self.arm}{place}-seed-{self.seed}".replace(" ", "_").replace("/", "_")


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A number that a verdict rests on, with its interval.

    Args:
        name: what it is, in words.
        value: the estimate.
        low: lower bound of the 95 % interval, or None where there is none.
        high: upper bound.
        unit: unit of all three; empty for a plain number.
        n: seeds or pairs.
        p_value: of "there is no effect", where a test was made.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    unit: str = ""
    n: int = 1
    p_value: float | None = None

    @classmethod
    def of(cls, name: str, interval: Interval, unit: str = "") -> Effect:
        """Return a mean or a paired difference as an effect."""
        p_value = interval.p_value if isinstance(interval, PairedDifference) else None
        return cls(
            name=name,
            value=interval.mean,
            low=interval.low,
            high=interval.high,
            unit=unit,
            n=interval.n,
            p_value=p_value,
        )


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What the measurements say.

    Args:
        verdict: of the claim as it is stated.
        sentence: the finding in plain words, with its numbers.
        effects: what it rests on.
        condition: on what it depends, for ``"conditional"``.
    """

    verdict: Verdict
    sentence: str
    effects: tuple[Effect, ...] = ()
    condition: str = ""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A picture of a claim: lines with intervals over the axis, or bars where there is no axis.

    Args:
        title: what it shows.
        value: name of the measured value.
        what: label of the value's axis, with its unit.
        axis: label of the horizontal axis.
        arms: which arms; empty for all.
        log: axes that are logarithmic: any of ``"x"`` and ``"y"``.
        level: value at which a thin line is drawn, for example what a formula predicts.
    """

    title: str
    value: str
    what: str
    axis: str = ""
    arms: tuple[str, ...] = ()
    log: str = ""
    level: float | None = None


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A statement that can be wrong, and how it is put to the test. All of it is fixed before the run.

    Args:
        id: ``"C01"`` ... ``"C25"``.
        section: section of the article.
        title: a few words.
        statement: what the article claims, in our own words.
        hypothesis: what is measured in place of the words.
        refutation: what would refute it.
        data: what it is measured on.
        arms: name -> what it is; the first is the baseline.
        metric: what decides.
        rule: how the verdict follows from it.
        units: from the size to the measurements to make, in the order in which they are made.
        measure: makes one measurement: named numbers, in a worker that runs nothing else.
        judge: from the evidence to the finding.
        panels: its pictures.
        data_sets: registered data sets that it cannot do without.
        shares: id of another claim whose measurements this one judges; empty for its own.
        is_timed: whether it measures time, so that its units are made one after the other.
        is_always_measured: whether it reads what changes by itself, so that every run measures it anew.
        references: papers that the statement or the measurement goes back to.
    """

    id: str
    section: str
    title: str
    statement: str
    hypothesis: str
    refutation: str
    data: str
    arms: Mapping[str, str]
    metric: str
    rule: str
    units: Callable[[Size], Sequence[Unit]]
    measure: Callable[[Unit, Size], Mapping[str, float]]
    judge: Callable[[Evidence], Finding]
    panels: tuple[Panel, ...] = ()
    data_sets: tuple[str, ...] = ()
    shares: str = ""
    is_timed: bool = False
    is_always_measured: bool = False
    references: tuple[str, ...] = ()

    @property
    def registration(self) -> dict[str, Any]:
        """Return what was fixed before the run, in words."""
        fixed = ("id", "statement", "hypothesis", "refutation", "data", "metric", "rule", "data_sets")
        return {name: getattr(self, name) for name in fixed} | {"arms": dict(self.arms)}

    def digest(self, size: Size) -> str:
        """Return the digest of the registration and of the units: measurements of another one are not its own."""
        content = self.registration | {"units": [asdict(unit) for unit in self.units(size)]}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def source(self) -> str:
        """Return the digest of the file that defines it, which tells whether the code was changed after a run."""
        return hashlib.sha256(inspect.getsource(inspect.getmodule(self.measure)).encode()).hexdigest()  # type: ignore[arg-type]  # a function has one


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What one unit left behind.

    Args:
        unit: what was measured.
        values: named numbers.
        seconds: time that it took.
        provenance: versions, hardware, revision, times.
        claim: digest of the claim's registration.
        source: digest of the file that measured.
    """

    unit: Unit
    values: dict[str, float]
    seconds: float
    claim: str
    source: str
    provenance: dict[str, Any] = field(default_factory=dict)


def grid(arms: Sequence[str], seeds: int, xs: Sequence[float] | None = None) -> list[Unit]:
    """Return the units of all arms, places and seeds, seed by seed, so that an early stop leaves pairs.

    Example:
        >>> [unit.name for unit in grid(["none", "p=0.5"], 2)]
        ['none-seed-0', 'p=0.5-seed-0', 'none-seed-1', 'p=0.5-seed-1']
    """
    places: Sequence[float | None] = [None] if xs is None else xs
    return [Unit(arm=arm, seed=seed, x=x) for seed in range(seeds) for x in places for arm in arms]


def collect(measurements: Sequence[Measurement]) -> Evidence:
    """Return measurements in the form that a judge reads."""
    cells: dict[tuple[str, float | None], dict[int, Mapping[str, float]]] = {}
    for each in measurements:
        cells.setdefault((each.unit.arm, each.unit.x), {})[each.unit.seed] = each.values
    return Evidence({place: dict(sorted(seeds.items())) for place, seeds in cells.items()}, np.nan)
