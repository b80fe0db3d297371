"""The statistics of a study against published examples, closed forms and exact tests."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from thinout.lab.statistics import (
    equivalence,
    holm,
    mean_interval,
    num_seeds_needed,
    paired_bootstrap,
    paired_difference,
    share_interval,
    verdict,
)

# Cushny and Peebles 1905, the example of Student 1908: hours of sleep gained with two drugs by the same ten patients.
DRUG_1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
DRUG_2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]


def upper_tail(t: float, df: int) -> float:
    """P(T > t) for 1 and 2 degrees of freedom, in closed form."""
    return 0.5 - math.atan(t) / math.pi if df == 1 else 0.5 - t / (2 * math.sqrt(2 + t * t))


def test_paired_difference_gives_the_published_numbers_of_the_sleep_data():
    """The values that R prints for t.test(extra ~ group, data = sleep, paired = TRUE)."""
    result = paired_difference(DRUG_1, DRUG_2)
    assert result.n == 10
    assert result.mean == pytest.approx(-1.58)
    assert result.p_value == pytest.approx(0.002832890, abs=5e-9)
    assert (result.low, result.high) == pytest.approx((-2.4598858, -0.7001142), abs=5e-8)


def test_paired_difference_is_scipys_paired_t():
    generator = np.random.default_rng(1)
    for n in (2, 3, 8, 50):
        arm, baseline = generator.normal(size=(2, n))
        result, truth = paired_difference(arm, baseline, 0.9), stats.ttest_rel(arm, baseline)
        assert result.p_value == pytest.approx(truth.pvalue, rel=1e-12)
        assert (result.low, result.high) == pytest.approx(tuple(truth.confidence_interval(0.9)), rel=1e-10)


def test_interval_of_two_values_is_cauchy_in_closed_form():
    """With one degree of freedom the 97.5 % quantile is tan(0.475 pi)."""
    interval = mean_interval([1.0, 3.0])
    half = math.tan(0.475 * math.pi)  # the standard error of 1 and 3 is 1
    assert (interval.low, interval.mean, interval.high) == pytest.approx((2 - half, 2.0, 2 + half))


def test_one_value_has_no_interval_and_no_p_value():
    result = paired_difference([1.0], [3.0])
    assert (result.n, result.mean, result.low, result.high, result.sd, result.p_value) == (1, -2.0, *[None] * 4)
    assert equivalence([1.0], 2.0).p_value is None


def test_pairs_without_spread_leave_no_doubt():
    assert paired_difference([1.0, 2.0], [1.0, 2.0]).p_value == 1.0
    assert paired_difference([1.0, 2.0], [2.0, 3.0]).p_value == 0.0
    assert equivalence([0.0, 0.0], 0.1).p_value == 0.0
    assert equivalence([0.25, 0.25], 0.1).p_value == 1.0


def test_interval_covers_at_its_level():
    """Exact binomial test of 2,000 simulated studies of 5 seeds; false-alarm rate 1e-7, seed fixed."""
    samples = np.random.default_rng(7).normal(3.0, 2.0, size=(2000, 5))
    intervals = [mean_interval(sample) for sample in samples]
    covered = sum(interval.low <= 3.0 <= interval.high for interval in intervals)
    assert stats.binomtest(covered, len(samples), 0.95).pvalue > 1e-7


@pytest.mark.parametrize(("count", "n"), [(0, 20), (1, 10), (17, 49), (152, 2527), (20, 20)])
def test_share_interval_is_scipys_exact_one(count: int, n: int):
    expected = stats.binomtest(count, n).proportion_ci(0.9, method="exact")
    found = share_interval(count, n, level=0.9)
    assert (found.mean, found.low, found.high) == pytest.approx((count / n, expected.low, expected.high), abs=1e-9)


def test_share_interval_of_none_follows_the_rule_of_three():
    # Of 0 in n the upper bound solves (1 - high)^n = 0.025: 1 - 0.025^(1/n), by hand.
    assert share_interval(0, 100).high == pytest.approx(1 - 0.025**0.01)
    assert share_interval(0, 100).low == 0


@pytest.mark.parametrize(("count", "n"), [(-1, 5), (6, 5), (0, 0)])
def test_share_interval_refuses_what_is_no_share(count: int, n: int):
    with pytest.raises(ValueError, match="share_interval"):
        share_interval(count, n)


def test_holm_by_hand():
    # Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1 = 0.02, 0.03, 0.06, 0.04, then never less than before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


def test_holm_holds_the_family_wise_error():
    """Uniform p-values: P(some adjusted < 0.05) = 1 - (1 - 0.05 / 3)^3; exact test, false-alarm rate 1e-7."""
    p_values = np.random.default_rng(3).uniform(size=(4000, 3))
    alarms = sum(min(holm(list(row))) < 0.05 for row in p_values)
    assert stats.binomtest(alarms, len(p_values), 1 - (1 - 0.05 / 3) ** 3).pvalue > 1e-7


def test_equivalence_by_hand():
    # Differences -1, 0, 1 and 0, 1, 2: standard error 1 / sqrt 3, two degrees of freedom.
    assert equivalence([-1, 0, 1], 3.0).p_value == pytest.approx(upper_tail(3 * math.sqrt(3), 2))
    assert equivalence([0, 1, 2], 3.0).p_value == pytest.approx(upper_tail(2 * math.sqrt(3), 2))
    assert equivalence([0, -1, -2], 3.0).p_value == pytest.approx(upper_tail(2 * math.sqrt(3), 2))
    assert equivalence([0.5, 1.5], 2.0).p_value == pytest.approx(upper_tail(2.0, 1))


def test_equivalence_is_the_ninety_percent_interval_within_the_margin():
    generator, outcomes = np.random.default_rng(5), set()
    for _ in range(200):
        differences = generator.normal(0.3, 0.5, size=6)
        interval = mean_interval(differences, 0.9)
        within = interval.low > -0.6 and interval.high < 0.6
        assert (equivalence(differences, 0.6).p_value < 0.05) == within
        outcomes.add(within)
    assert outcomes == {True, False}


def test_bootstrap_of_two_examples_in_closed_form():
    """Means of resamples are 0, 1/2, 1 with chances 1/4, 1/2, 1/4.

    The quantiles 0.3 and 0.7 are both 1/2 unless 600 of 2,000 draws fall on one side: P < 2e-6, and the seed is fixed.
    """
    arm, baseline = [[1.0, 4.0], [3.0, 4.0]], [[1.0, 3.0], [3.0, 3.0]]
    inner, outer = (paired_bootstrap(arm, baseline, level=level) for level in (0.4, 0.95))
    assert (inner.n, inner.mean, inner.low, inner.high) == (2, 0.5, 0.5, 0.5)
    assert (outer.low, outer.high) == (0.0, 1.0)


def test_bootstrap_of_many_examples_is_close_to_the_normal_interval():
    """Width within 10 % of 2 * 1.96 sd / sqrt N; a bootstrap of 2,000 draws has 3 % of noise: false alarm < 1e-3,
    with a fixed seed."""
    generator = np.random.default_rng(0)
    baseline = generator.normal(size=(3, 4000))
    arm = baseline + generator.normal(-0.1, 1.0, size=(3, 4000))
    interval = paired_bootstrap(arm, baseline, seed=4)
    width = 2 * 1.959964 * (arm - baseline).mean(axis=0).std() / math.sqrt(4000)
    assert interval.high - interval.low == pytest.approx(width, rel=0.1)
    assert interval == paired_bootstrap(arm, baseline, seed=4)


@pytest.mark.parametrize(("effect", "n"), [(0.2, 199), (0.5, 34), (0.8, 15), (1.0, 10)])
def test_num_seeds_needed_gives_the_published_sizes(effect: float, n: int):
    """Sample sizes of G*Power 3.1 for the paired t test, two-sided, alpha 0.05, power 0.8."""
    assert num_seeds_needed(1.0, effect) == n
    assert num_seeds_needed(2.0, -2 * effect) == n


def test_num_seeds_needed_gives_up_above_a_hundred_thousand():
    assert num_seeds_needed(1.0, 0.01) == 78491
    assert num_seeds_needed(1.0, 0.001) is None
    assert num_seeds_needed(1.0, 1000.0) == 2


@pytest.mark.parametrize(
    ("difference", "p_holm", "p_equivalence", "num_seeds", "expected"),
    [
        (-0.1, 0.01, 0.9, 5, "helps"),
        (0.1, 0.01, 0.9, 5, "harms"),
        (-0.1, 0.05, 0.9, 5, "no evidence"),
        (-0.1, 0.5, 0.01, 5, "equivalent"),
        (-0.1, 0.01, 0.01, 5, "equivalent"),
        (-0.1, 0.01, 0.9, 4, "too few seeds"),
        (-0.1, None, None, 1, "too few seeds"),
    ],
)
def test_verdict(difference, p_holm, p_equivalence, num_seeds, expected):
    assert verdict(difference, p_holm, p_equivalence=p_equivalence, num_seeds=num_seeds) == expected


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: mean_interval([]), r"mean_interval: `values` must be a non-empty array"),
        (lambda: mean_interval([1.0, math.nan]), r"mean_interval: `values` must be finite, got NaN"),
        (lambda: mean_interval([1.0, 2.0], 1.0), r"mean_interval: `level` must be between 0 and 1, got 1.0"),
        (lambda: paired_difference([1.0], [1.0, 2.0]), r"`baseline` must be as long as `arm`, 1, got 2"),
        (lambda: paired_bootstrap([[1.0]], [[1.0, 2.0]]), r"`baseline` must be of the shape of `arm`"),
        (lambda: equivalence([1.0, 2.0], 0.0), r"equivalence: `margin` must be a positive number, got 0.0"),
        (lambda: num_seeds_needed(1.0, 0.0), r"num_seeds_needed: `effect` must be a positive number, got 0.0"),
        (lambda: num_seeds_needed(1.0, 1.0, power=0.01), r"num_seeds_needed: `alpha` must be above 0 and below"),
        (lambda: holm([1.5]), r"holm: `p_values` must be a number in \[0, 1\], got 1.5"),
    ],
)
def test_bad_values_get_one_clear_sentence(call, text):
    with pytest.raises(ValueError, match=text):
        call()
