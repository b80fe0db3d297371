"""Statistics of a study: what pairs of runs can say, and what they cannot.

A difference is arm minus baseline of a metric where lower is better, so a negative difference is a gain. Arms of a seed
share initial weights, batches and split; therefore everything here works on differences within seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from thinout._checks import bad_value, check_count, check_p, check_positive

Verdict = Literal["helps", "harms", "no evidence", "equivalent", "too few seeds"]
Floats = npt.NDArray[np.float64]

MIN_PAIRS = 5
MAX_SEEDS_NEEDED = 100_000


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean or share with its confidence interval; `low` and `high` are None where n < 2 leaves a mean's unknown."""

    n: int
    mean: float
    low: float | None
    high: float | None
    level: float = 0.95


@dataclass(frozen=True, kw_only=True)
class PairedDifference(Interval):
    """The mean difference within pairs: `sd` over pairs, two-sided `p_value` of "no difference" (None where n < 2)."""

    sd: float | None
    p_value: float | None


@dataclass(frozen=True, kw_only=True)
class Equivalence:
    """Two one-sided tests: `p_value` of "the difference is at least `margin` in size" (None where n < 2)."""

    margin: float
    p_value: float | None


def _values(where: str, name: str, values: npt.ArrayLike, *, ndim: int = 1) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != ndim or array.size == 0:
        bad_value(where, name, f"a non-empty array of {ndim} dimension(s)", f"shape {array.shape}")
    if not np.isfinite(array).all():
        bad_value(where, name, "finite", "NaN or infinity", "Leave such runs out and report them as failed.")
    return array


def _quantile(probability: float, df: int) -> float:
    """Quantile of Student's t distribution."""
    from scipy.special import stdtrit  # scipy is part of the extra `lab`, and only an analysis needs it

    return float(stdtrit(df, probability))


def _check_level(where: str, level: float) -> float:
    if not 0 < check_p(where, level, "level") < 1:
        bad_value(where, "level", "between 0 and 1", level)
    return level


def _half_width(values: Floats, level: float) -> float:
    return _quantile(0.5 + level / 2, len(values) - 1) * float(values.std(ddof=1)) / math.sqrt(len(values))


def _upper_tail(distance: float, standard_error: float, df: int) -> float:
    """P(T > distance / standard_error); a standard error of 0 leaves no doubt."""
    from scipy.special import stdtr

    if standard_error == 0:
        return 0.0 if distance > 0 else 1.0
    return float(stdtr(df, -distance / standard_error))


def mean_interval(values: npt.ArrayLike, level: float = 0.95) -> Interval:
    r"""Return the mean over seeds with its Student interval.

    .. math:: \bar x \pm t_{(1 + level) / 2,\, n - 1} \; s / \sqrt n

    Args:
        values: one number a seed, (n,).
        level: confidence level, between 0 and 1.

    Returns:
        The interval; without bounds for a single value.

    Raises:
        ValueError: `values` is empty or not finite, or `level` is not between 0 and 1.

    Example:
        >>> interval = mean_interval([1.0, 2.0, 3.0])
        >>> interval.mean, round(interval.low, 3), round(interval.high, 3)
        (2.0, -0.484, 4.484)

    Source: Student, 1908, "The probable error of a mean".
    """
    array = _values("mean_interval", "values", values)
    _check_level("mean_interval", level)
    n, mean = len(array), float(array.mean())
    if n < 2:
        return Interval(n=n, mean=mean, low=None, high=None, level=level)
    half = _half_width(array, level)
    return Interval(n=n, mean=mean, low=mean - half, high=mean + half, level=level)


def share_interval(count: int, n: int, level: float = 0.95) -> Interval:
    r"""Return the share of `count` among `n` independent examples with its exact interval.

    The bounds are the shares under which so many, or so few, would come up with probability (1 - level) / 2:

    .. math:: \sum_{k \ge count} \binom n k low^k (1 - low)^{n - k} = \sum_{k \le count} \binom n k high^k
        (1 - high)^{n - k} = (1 - level) / 2

    It covers examples, not seeds: what another test set of this size could have said of this very network.

    Args:
        count: how many of the examples, for example errors.
        n: examples.
        level: confidence level, between 0 and 1.

    Raises:
        ValueError: `n` is not positive, `count` is not in [0, n], or `level` is not between 0 and 1.

    Example:
        >>> interval = share_interval(1, 10)
        >>> interval.mean, round(interval.low, 4), round(interval.high, 4)
        (0.1, 0.0025, 0.445)

    Source: Clopper and Pearson, 1934, "The use of confidence or fiducial limits illustrated in the case of the
    binomial".
    """
    from scipy.special import betaincinv

    check_count("share_interval", "n", n)
    if not 0 <= count <= n:
        bad_value("share_interval", "count", f"in [0, {n}], the number of examples", count)
    tail = (1 - _check_level("share_interval", level)) / 2
    low = float(betaincinv(count, n - count + 1, tail)) if count else 0.0
    high = float(betaincinv(count + 1, n - count, 1 - tail)) if count < n else 1.0
    return Interval(n=n, mean=count / n, low=low, high=high, level=level)


def paired_difference(arm: npt.ArrayLike, baseline: npt.ArrayLike, level: float = 0.95) -> PairedDifference:
    r"""Return the mean of arm minus baseline with its interval and the paired t test of no difference.

    .. math:: d_i = a_i - b_i, \quad t = \bar d \sqrt n / s_d, \quad p = 2 P(T_{n-1} > |t|)

    Args:
        arm: one number a seed, (n,).
        baseline: the same seeds in the same order, (n,).
        level: confidence level, between 0 and 1.

    Returns:
        The difference; a single pair has no interval and no p-value. Pairs that all differ by the same amount have
        p-value 0, or 1 where that amount is 0.

    Raises:
        ValueError: the arrays differ in length, are empty or not finite, or `level` is not between 0 and 1.

    Example:
        >>> result = paired_difference([1.0, 2.0, 2.0], [2.0, 4.0, 5.0])
        >>> result.mean, round(result.p_value, 4)
        (-2.0, 0.0742)

    Source: Student, 1908, "The probable error of a mean".
    """
    first = _values("paired_difference", "arm", arm)
    second = _values("paired_difference", "baseline", baseline)
    if first.shape != second.shape:
        bad_value("paired_difference", "baseline", f"as long as `arm`, {len(first)}", len(second))
    differences = first - second
    interval = mean_interval(differences, level)
    n = interval.n
    if n < 2:
        return PairedDifference(**vars(interval), sd=None, p_value=None)
    sd = float(differences.std(ddof=1))
    p_value = min(1.0, 2 * _upper_tail(abs(interval.mean), sd / math.sqrt(n), n - 1))
    return PairedDifference(**vars(interval), sd=sd, p_value=p_value)


def holm(p_values: Sequence[float]) -> list[float]:
    r"""Return Holm's adjusted p-values, in the order given: they hold the family-wise error over all of them.

    .. math:: \tilde p_{(i)} = \max_{j \le i} \min(1, (m - j + 1) p_{(j)})

    Args:
        p_values: m p-values in [0, 1].

    Raises:
        ValueError: a p-value is not in [0, 1].

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]

    Source: Holm, 1979, "A simple sequentially rejective multiple test procedure".
    """
    for p_value in p_values:
        check_p("holm", p_value, "p_values")
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def equivalence(differences: npt.ArrayLike, margin: float) -> Equivalence:
    r"""Test that a mean difference is smaller than a margin, by two one-sided t tests.

    .. math:: p = \max\{P(T_{n-1} > (m + \bar d) / se),\; P(T_{n-1} > (m - \bar d) / se)\}

    p < 0.05 exactly when the 90 % interval of the mean difference lies within (-margin, margin).

    Args:
        differences: arm minus baseline, one number a seed, (n,).
        margin: the smallest difference that would matter, in the metric's unit.

    Raises:
        ValueError: `differences` is empty or not finite, or `margin` is not positive.

    Example:
        >>> round(equivalence([-1.0, 0.0, 1.0], 3.0).p_value, 4)
        0.0175

    Source: Schuirmann, 1987, "A comparison of the two one-sided tests procedure and the power approach".
    """
    array = _values("equivalence", "differences", differences)
    margin = check_positive("equivalence", "margin", margin)
    n, mean = len(array), float(array.mean())
    if n < 2:
        return Equivalence(margin=margin, p_value=None)
    standard_error = float(array.std(ddof=1)) / math.sqrt(n)
    tails = (_upper_tail(margin + side * mean, standard_error, n - 1) for side in (1, -1))
    return Equivalence(margin=margin, p_value=max(tails))


def paired_bootstrap(
    arm: npt.ArrayLike, baseline: npt.ArrayLike, *, num_resamples: int = 2000, seed: int = 0, level: float = 0.95
) -> Interval:
    r"""Return the mean difference with a percentile interval over test examples, the trained networks held fixed.

    Each example's difference is averaged over seeds; the examples are then drawn with replacement. The interval says
    what another test set of this size could have shown for these very networks: it covers examples, not seeds.

    Args:
        arm: metric of each example, (seeds, examples).
        baseline: the same seeds and examples, (seeds, examples).
        num_resamples: number of bootstrap draws.
        seed: of the draws.
        level: confidence level, between 0 and 1.

    Returns:
        The interval, with n the number of examples.

    Raises:
        ValueError: shapes differ, or values are empty or not finite.

    Example:
        >>> interval = paired_bootstrap([[1.0, 2.0, 4.0]], [[2.0, 3.0, 5.0]])
        >>> interval.mean, interval.low, interval.high
        (-1.0, -1.0, -1.0)

    Source: Efron, 1979, "Bootstrap methods: another look at the jackknife".
    """
    first = _values("paired_bootstrap", "arm", arm, ndim=2)
    second = _values("paired_bootstrap", "baseline", baseline, ndim=2)
    if first.shape != second.shape:
        bad_value("paired_bootstrap", "baseline", f"of the shape of `arm`, {first.shape}", f"shape {second.shape}")
    check_count("paired_bootstrap", "num_resamples", num_resamples)
    _check_level("paired_bootstrap", level)
    differences = (first - second).mean(axis=0)
    generator, n = np.random.default_rng(seed), len(differences)
    means = [differences[generator.integers(n, size=n)].mean() for _ in range(num_resamples)]
    low, high = np.quantile(means, [0.5 - level / 2, 0.5 + level / 2])
    return Interval(n=n, mean=float(differences.mean()), low=float(low), high=float(high), level=level)


def num_seeds_needed(sd: float, effect: float, power: float = 0.8, alpha: float = 0.05) -> int | None:
    r"""Return how many pairs the two-sided paired t test needs to see an effect.

    The smallest n with :math:`P(|T'| > t_{1 - \alpha/2,\, n-1}) \ge power`, where T' has the noncentral t distribution
    with n - 1 degrees of freedom and noncentrality :math:`\sqrt n \; effect / sd`.

    Args:
        sd: standard deviation of the differences over pairs.
        effect: the true mean difference; its sign does not matter.
        power: chance to see it, above alpha and below 1.
        alpha: significance level of the test.

    Returns:
        The number of pairs, at least 2; None above 100,000.

    Raises:
        ValueError: an argument is out of its range.

    Example:
        >>> num_seeds_needed(sd=1.0, effect=0.5)
        34

    Source: Cohen, 1988, "Statistical power analysis for the behavioral sciences", chapter 2.
    """
    check_positive("num_seeds_needed", "sd", sd)
    ratio = check_positive("num_seeds_needed", "effect", abs(effect)) / sd
    if not 0 < alpha < power < 1:
        bad_value("num_seeds_needed", "alpha", "above 0 and below `power`, and `power` below 1", (alpha, power))
    enough = 2
    while _power(enough, ratio, alpha) < power:
        enough *= 2
        if enough > 2 * MAX_SEEDS_NEEDED:
            return None
    too_few = enough // 2
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        too_few, enough = (too_few, middle) if _power(middle, ratio, alpha) >= power else (middle, enough)
    return enough if enough <= MAX_SEEDS_NEEDED else None


def _power(n: int, ratio: float, alpha: float) -> float:
    from scipy.special import nctdtr

    critical, noncentrality = _quantile(1 - alpha / 2, n - 1), ratio * math.sqrt(n)
    # Far tails underflow to NaN for a large noncentrality, where they are 0.
    below, wrong_side = np.nan_to_num([nctdtr(n - 1, noncentrality, bound) for bound in (critical, -critical)])
    return float(1.0 - below + wrong_side)


def verdict(
    difference: float, p_holm: float | None, *, p_equivalence: float | None, num_seeds: int, alpha: float = 0.05
) -> Verdict:
    """Return what may be said about an arm: one of five words.

    Equivalence goes first: a difference that is real, and shown to be smaller than what matters, does not matter.

    Args:
        difference: mean of arm minus baseline; lower is better.
        p_holm: p-value of "no difference", adjusted for the number of arms.
        p_equivalence: p-value of "the difference is at least the margin", adjusted likewise.
        num_seeds: number of pairs; below 5 the answer is "too few seeds".
        alpha: significance level.

    Example:
        >>> verdict(-0.03, 0.001, p_equivalence=0.9, num_seeds=8)
        'helps'
        >>> verdict(-0.03, 0.001, p_equivalence=0.9, num_seeds=4)
        'too few seeds'
    """
    if num_seeds < MIN_PAIRS or p_holm is None or p_equivalence is None:
        return "too few seeds"
    if p_equivalence < alpha:
        return "equivalent"
    if p_holm >= alpha:
        return "no evidence"
    return "helps" if difference < 0 else "harms"
