"""The analysis itself: rows in, arms compared, one arm chosen on validation and compared on test."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from thinout._checks import bad_usage, check_choice, check_positive
from thinout.lab.analysis import _wording
from thinout.lab.analysis._results import METRICS, Analysis, ArmResult, Convergence, FailedRun, Headline
from thinout.lab.rows import PRIMARY, Row
from thinout.lab.statistics import (
    Floats,
    Interval,
    PairedDifference,
    equivalence,
    holm,
    mean_interval,
    num_seeds_needed,
    paired_bootstrap,
    paired_difference,
    verdict,
)

LEVEL = 0.95
RELATIVE_MARGIN = 0.01
Pairs = list[tuple[Row, Row]]


def analyse(
    rows: Sequence[Row], *, metric: str = "nll", baseline: str = "none", margin: float | None = None
) -> Analysis:
    """Compare the arms of a study with its baseline, and answer with one arm chosen on validation.

    Differences are arm minus baseline within seeds; only seeds that both have finished are paired. The arms' verdicts
    are corrected for their number by Holm's method, on the primary metric alone. The headline's arm has the lowest mean
    paired difference on validation, the baseline standing at 0; it is compared once, on test. Validation and test
    are measured on the same networks, so an arm that was lucky in training is lucky in both: where the headline
    would not stand the correction, a note says so.

    Args:
        rows: rows of one study, in any order.
        metric: primary metric: ``"nll"`` (nats), ``"error"``, ``"ece"`` or ``"balanced_error"`` (shares); lower is
            better.
        baseline: name of the arm that the others are compared with.
        margin: largest difference that does not matter, in the metric's unit; None: 1 % of the baseline's mean on
            validation, so that nothing is set by the test part.

    Raises:
        ValueError: `metric` is not one of these, or `margin` is not positive.
        UsageError: no run of the baseline has finished.

    Example:
        >>> def row(arm, p, seed, nll):
        ...     metrics = {part: {"nll": nll, "error": 0.1, "ece": 0.02} for part in ("train", "validation", "test")}
        ...     return Row(arm=arm, p=p, seed=seed, status="done", metrics=metrics, best_epoch=4, num_epochs=10)
        >>> rows = [row("none", 0.0, seed, 0.50 + seed / 100) for seed in range(5)]
        >>> rows += [row("p=0.5", 0.5, seed, 0.45 + seed / 90) for seed in range(5)]
        >>> analyse(rows).headline.sentence
        'Dropout helps here: p=0.5 lowers test NLL by 0.0478 [0.0456, 0.0500] nats (5 seeds, p-value < 0.0001).'
    """
    check_choice("analyse", "metric", metric, PRIMARY)
    usable = [row for row in rows if _is_usable(row, metric)]
    done = _by_arm(usable)
    if baseline not in done:
        got = ", ".join(done) or "no finished run"
        bad_usage("analyse", "baseline", "an arm with a finished run", f"{baseline!r} among {got}", "Run it first.")
    margin = _margin(margin, done[baseline], metric)
    pairs = {arm: _pairs(done[arm], done[baseline]) for arm in done if arm != baseline}
    others = _compared(done, pairs, metric, margin)
    failed = tuple(_failure(row) for row in rows if not _is_usable(row, metric))
    convergence, late = _convergence(usable), [row for row in usable if not _has_converged(row)]
    headline, choice_notes = _headline(done[baseline][0], others, pairs, metric, margin)
    return Analysis(
        metric=metric,
        baseline=baseline,
        margin=margin,
        level=LEVEL,
        arms=(_summary(done[baseline], metric), *others),
        headline=headline,
        convergence=convergence,
        failed=failed,
        notes=(*choice_notes, *_wording.notes(convergence, late, failed, pairs)),
    )


def _is_usable(row: Row, metric: str) -> bool:
    return row.status == "done" and all(math.isfinite(row.value(metric, part)) for part in ("validation", "test"))


def _failure(row: Row) -> FailedRun:
    reason = row.reason or ("no reason given" if row.status == "failed" else "its primary metric is not finite")
    return FailedRun(arm=row.arm, seed=row.seed, reason=reason)


def _by_arm(rows: Sequence[Row]) -> dict[str, list[Row]]:
    arms: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: (row.p, row.arm, row.seed)):
        arms.setdefault(row.arm, []).append(row)
    return arms


def _pairs(arm: Sequence[Row], baseline: Sequence[Row]) -> Pairs:
    seeds = {row.seed: row for row in baseline}
    return [(row, seeds[row.seed]) for row in arm if row.seed in seeds]


def _margin(margin: float | None, baseline: Sequence[Row], metric: str) -> float:
    if margin is not None:
        return check_positive("analyse", "margin", margin)
    return RELATIVE_MARGIN * mean_interval([row.value(metric, "validation") for row in baseline]).mean


def _convergence(rows: Sequence[Row]) -> Convergence:
    return Convergence(num_runs=len(rows), num_converged=sum(map(_has_converged, rows)))


def _has_converged(row: Row) -> bool:
    return 5 * _best_epoch(row) <= 4 * row.num_epochs


def _best_epoch(row: Row) -> float:
    """Return the epoch of the lowest validation NLL, which `row.best_epoch` is not where the last one was kept."""
    curve = {record["epoch"]: record.get("validation_nll", math.nan) for record in row.history}
    finite = [epoch for epoch, nll in curve.items() if math.isfinite(nll)]
    return min(finite, key=lambda epoch: curve[epoch], default=row.best_epoch)  # of equals the first, as `fit` keeps it


def _interval(values: Sequence[float]) -> Interval | None:
    finite = [value for value in values if math.isfinite(value)]
    return mean_interval(finite, LEVEL) if finite else None


def _difference(pairs: Pairs, metric: str, part: str = "test") -> PairedDifference:
    arm, baseline = zip(*((row.value(metric, part), other.value(metric, part)) for row, other in pairs), strict=True)
    return paired_difference(arm, baseline, LEVEL)


def _p_equivalence(pairs: Pairs, metric: str, margin: float) -> float | None:
    if margin == 0:  # a baseline without any error: nothing is within 1 % of it
        return 1.0
    return equivalence([row.value(metric) - other.value(metric) for row, other in pairs], margin).p_value


def _summary(rows: Sequence[Row], metric: str) -> ArmResult:
    return ArmResult(
        arm=rows[0].arm,
        p=rows[0].p,
        seeds=tuple(row.seed for row in rows),
        metrics={name: _interval([row.value(name) for row in rows]) for name in dict.fromkeys((metric, *METRICS))},
        validation=mean_interval([row.value(metric, "validation") for row in rows], LEVEL),
        convergence=_convergence(rows),
        other_differences={},
    )


def _compared(
    done: Mapping[str, Sequence[Row]], pairs: Mapping[str, Pairs], metric: str, margin: float
) -> list[ArmResult]:
    differences = {arm: _difference(pairs[arm], metric) for arm in pairs if pairs[arm]}
    p_holm = _holm({arm: difference.p_value for arm, difference in differences.items()})
    p_equivalence = _holm({arm: _p_equivalence(pairs[arm], metric, margin) for arm in differences})
    results = []
    for arm in pairs:
        difference = differences.get(arm)
        comparison = {
            "paired_seeds": tuple(row.seed for row, _ in pairs[arm]),
            "difference": difference,
            "p_holm": p_holm.get(arm),
            "p_equivalence": p_equivalence.get(arm),
            "verdict": verdict(
                difference.mean if difference else 0.0,
                p_holm.get(arm),
                p_equivalence=p_equivalence.get(arm),
                num_seeds=len(pairs[arm]),
            ),
            "other_differences": {
                name: _interval([row.value(name) - other.value(name) for row, other in pairs[arm]])
                for name in METRICS
                if name != metric
            },
        }
        results.append(ArmResult(**vars(_summary(done[arm], metric)) | comparison))
    return results


def _holm(p_values: Mapping[str, float | None]) -> dict[str, float]:
    known = {arm: p_value for arm, p_value in p_values.items() if p_value is not None}
    return dict(zip(known, holm(list(known.values())), strict=True))


def _headline(
    baseline: Row, others: Sequence[ArmResult], pairs: Mapping[str, Pairs], metric: str, margin: float
) -> tuple[Headline, list[str]]:
    gains = {arm.arm: _difference(pairs[arm.arm], metric, "validation").mean for arm in others if arm.paired_seeds}
    best = min(others, key=lambda arm: gains.get(arm.arm, 0.0), default=None)
    if best is None or gains.get(best.arm, 0.0) >= 0:
        sentence = _wording.baseline_sentence(baseline.arm, metric, others)
        word = verdict(0.0, 1.0, p_equivalence=1.0, num_seeds=max((len(pairs[arm]) for arm in pairs), default=0))
        return Headline(arm=baseline.arm, p=baseline.p, is_baseline=True, verdict=word, sentence=sentence), []
    return _chosen(best, pairs[best.arm], metric, margin)


def _chosen(arm: ArmResult, pairs: Pairs, metric: str, margin: float) -> tuple[Headline, list[str]]:
    difference, p_equivalence = _difference(pairs, metric), _p_equivalence(pairs, metric, margin)
    changed = _recipe_changes(*pairs[0])
    word = verdict(difference.mean, difference.p_value, p_equivalence=p_equivalence, num_seeds=difference.n)
    needed = None
    if word == "no evidence" and difference.sd and difference.mean:
        needed = num_seeds_needed(difference.sd, difference.mean)
    headline = Headline(
        arm=arm.arm,
        p=arm.p,
        is_baseline=False,
        verdict=word,
        sentence=_wording.verdict_sentence(
            arm.arm, arm.p > 0 and not changed, word, difference=difference, metric=metric, margin=margin, seeds=needed
        ),
        difference=difference,
        p_equivalence=p_equivalence,
        bootstrap=_bootstrap(pairs, metric),
        num_seeds_needed=needed,
        also_changed=changed,
    )
    found = (_wording.choice_note(arm, word), _wording.confounding_note(arm.arm, arm.p, changed))
    return headline, [note for note in found if note]


def _recipe_changes(row: Row, other: Row) -> tuple[str, ...]:
    """Return the fields in which the recipes of two rows differ, of those that both have."""
    one, two = row.config.get("recipe", {}), other.config.get("recipe", {})
    return tuple(sorted(name for name in one.keys() & two.keys() if one[name] != two[name]))


def _bootstrap(pairs: Pairs, metric: str) -> Interval | None:
    rows = [row for row, _ in pairs] + [other for _, other in pairs]
    digests = {row.fingerprints.get("test") for row in rows}  # None in rows that were made before there was one
    if len(digests) > 1 or not all(np.array_equal(_labels(row), _labels(rows[0])) for row in rows):
        return None  # other examples in another seed: there is no common example to resample
    values = [values for row in rows if (values := _per_example(row, metric)) is not None]
    if len(values) < len(rows):
        return None
    return paired_bootstrap(np.stack(values[: len(pairs)]), np.stack(values[len(pairs) :]), level=LEVEL)


def _labels(row: Row) -> npt.NDArray[Any]:
    return row.arrays.get("test_label", np.empty(0))


def _per_example(row: Row, metric: str) -> Floats | None:
    labels = _labels(row)
    if metric == "nll":
        values = row.arrays.get("test_nll", np.empty(0)).astype(np.float64)
    elif metric == "error" and "test_error" in row.arrays:
        values = row.arrays["test_error"].astype(np.float64)
    elif metric == "error":
        values = (row.arrays.get("test_prediction", np.empty(0)) != labels).astype(np.float64)
    else:
        return None  # neither calibration error nor balanced error is a mean over examples
    return values if values.size and values.shape == labels.shape and np.isfinite(values).all() else None
