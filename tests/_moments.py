"""Comparisons of random values with what they must be on average.

Each comparison raises a false alarm with a probability of about 2e-9 (six standard errors, or an exact binomial test at
that level), so that a file with a few hundred of them has a family-wise rate below 1e-6 a run with fresh seeds.
"""

from scipy.stats import binomtest

ERRORS = 6.0
LEVEL = 2e-9


def assert_mean(values, expected):
    """Compare the mean of independent values, whose deviation is estimated from themselves."""
    values = values.detach().double().flatten()
    error = values.std() / len(values) ** 0.5
    rounding = 1e-12 * abs(expected)  # all that there is where the values are equal
    distance = abs(values.mean() - expected)
    assert distance <= ERRORS * error + rounding, f"{values.mean()} is not {expected}, error {error}"


def assert_variance(values, expected, mean):
    """Compare the variance of independent values whose mean is known: the mean of their squared distances from it."""
    assert_mean((values.detach().double() - mean).square(), expected)


def assert_rate(events, expected):
    """Compare the rate of independent events, by the exact binomial test."""
    test = binomtest(int(events.sum()), events.numel(), float(expected))
    assert test.pvalue > LEVEL, f"{test.statistic} is not {expected} of {events.numel()}"
