"""What an analysis holds: frozen records that a report draws and `results.json` keeps."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from thinout.lab.statistics import Interval, PairedDifference, Verdict

METRICS = ("nll", "error", "gap", "ece", "seconds")


@dataclass(frozen=True, kw_only=True)
class Convergence:
    """How many runs had their best validation epoch before the last fifth of the epochs that they trained."""

    num_runs: int
    num_converged: int

    @property
    def share(self) -> float:
        """Share of the runs that converged; 0 where there is none."""
        return self.num_converged / self.num_runs if self.num_runs else 0.0

    @property
    def converged(self) -> bool:
        """Whether at least 90 % of the runs converged."""
        return self.num_runs > 0 and 10 * self.num_converged >= 9 * self.num_runs


@dataclass(frozen=True, kw_only=True)
class FailedRun:
    """A run without a usable result; it is part of no number of the analysis."""

    arm: str
    seed: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class ArmResult:
    """One arm: its numbers, and its comparison with the baseline.

    Args:
        arm: name of the arm.
        p: its drop probability.
        seeds: the seeds with a finished run.
        metrics: each of `METRICS`, on test -> mean and interval over seeds; None where no run has a finite value.
        validation: the primary metric on the validation part.
        convergence: of this arm's runs.
        paired_seeds: the seeds with a finished run of this arm and of the baseline; empty for the baseline.
        difference: arm minus baseline of the primary metric on test; None for the baseline, and without a pair.
        p_holm: the difference's p-value, adjusted for the number of arms.
        p_equivalence: p-value of "the difference is at least the margin", adjusted likewise.
        verdict: what may be said; None for the baseline.
        other_differences: the other metrics' paired differences: intervals without a verdict.
    """

    arm: str
    p: float
    seeds: tuple[int, ...]
    metrics: dict[str, Interval | None]
    validation: Interval
    convergence: Convergence
    paired_seeds: tuple[int, ...] = ()
    difference: PairedDifference | None = None
    p_holm: float | None = None
    p_equivalence: float | None = None
    verdict: Verdict | None = None
    other_differences: dict[str, Interval | None]


@dataclass(frozen=True, kw_only=True)
class Headline:
    """The answer: the arm that was best on validation, compared once, on test, with the baseline.

    Args:
        arm: name of the chosen arm; the baseline's where nothing beat it on validation.
        p: its drop probability.
        is_baseline: whether the baseline was chosen, so that nothing was compared.
        verdict: by the plain p-values, since one comparison was made.
        sentence: the answer in plain words.
        difference: arm minus baseline on test, over seeds; None where the baseline was chosen.
        p_equivalence: p-value of "the difference is at least the margin".
        bootstrap: interval of the same difference over test examples; None where rows hold no examples to compare.
        num_seeds_needed: pairs that would show an effect of the observed size with power 0.8, for "no evidence" only.
        also_changed: fields of the recipe in which the arm differs from the baseline, beside its p.
    """

    arm: str
    p: float
    is_baseline: bool
    verdict: Verdict
    sentence: str
    difference: PairedDifference | None = None
    p_equivalence: float | None = None
    bootstrap: Interval | None = None
    num_seeds_needed: int | None = None
    also_changed: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """What a study shows.

    Args:
        metric: the primary metric; lower is better.
        baseline: name of the arm that the others are compared with.
        margin: largest difference that does not matter, in the metric's unit.
        level: confidence level of all intervals.
        arms: the baseline first, then by drop probability and name.
        headline: the answer.
        convergence: over all runs.
        failed: runs without a usable result.
        notes: what a reader must know beside the numbers, one sentence each.
    """

    metric: str
    baseline: str
    margin: float
    level: float
    arms: tuple[ArmResult, ...]
    headline: Headline
    convergence: Convergence
    failed: tuple[FailedRun, ...]
    notes: tuple[str, ...]

    def arm(self, name: str) -> ArmResult:
        """Return the result of one arm; raises KeyError for a name that the study does not have."""
        return {arm.arm: arm for arm in self.arms}[name]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        content = asdict(self)
        content["convergence"] |= {"share": self.convergence.share, "converged": self.convergence.converged}
        return content
