"""Schedules over steps and depth against their published formulas."""

from __future__ import annotations

import copy
import itertools
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import thinout.nn as tnn
from thinout.schedules import (
    Annealed,
    Constant,
    Cosine,
    Curriculum,
    DropoutScheduler,
    Early,
    Late,
    Linear,
    Piecewise,
    Schedule,
    check_schedule,
    expected_depth,
    linear_rates,
    progressive_rates,
)


def rates(schedule: Callable[[int], float], num_steps: int) -> list[float]:
    return [schedule(step) for step in range(num_steps)]


# Curves over steps


@pytest.mark.parametrize("gamma", [0.001, 0.0001])  # of the authors' code, for MNIST and double MNIST
def test_curriculum_is_the_papers_formula_in_terms_of_keeping(gamma: float) -> None:
    theta = 0.75
    for step in (0, 1, 10, 1000, 64_000):
        keep_prob = (1 - theta) * math.exp(-gamma * step) + theta
        assert Curriculum(1 - theta, gamma=gamma)(step) == pytest.approx(1 - keep_prob, abs=1e-15)


@pytest.mark.parametrize("p", [0.1, 0.5, 1.0])
def test_curriculum_starts_at_0_ascends_and_ends_within_e_to_the_minus_10(p: float) -> None:
    num_steps = 500
    values = rates(Curriculum(p, num_steps), num_steps + 1)
    assert values[0] == 0
    assert all(later > earlier for earlier, later in itertools.pairwise(values))
    assert 0 < p - values[-1] <= p * math.exp(-10) * (1 + 1e-9)
    assert Curriculum(p, gamma=10 / num_steps)(123) == values[123]


def test_annealed_is_the_papers_formula() -> None:
    assert rates(Annealed(0.5, 10), 15) == [0.5 * max(0.0, 1 - step / 10) for step in range(15)]
    assert rates(Annealed(0.5, 10), 15) == pytest.approx(rates(Linear(0.5, 0.0, 10), 15), abs=1e-16)


@pytest.mark.parametrize("shape", ["constant", "linear"])
@pytest.mark.parametrize("cutoff", [1, 2, 7])
def test_early_is_exactly_0_from_the_cutoff_on(cutoff: int, shape: str) -> None:
    schedule = Early(0.3, cutoff, shape)
    assert schedule(0) == 0.3
    assert all(schedule(step) == 0.0 for step in range(cutoff, cutoff + 1000))
    assert shape == "linear" or rates(schedule, cutoff) == [0.3] * cutoff


@pytest.mark.parametrize("cutoff", [1, 2, 3, 50])
def test_linear_early_dropout_is_the_authors_linspace(cutoff: int) -> None:
    expected = np.concatenate([np.linspace(0.3, 0.0, cutoff), np.zeros(5)])
    assert rates(Early(0.3, cutoff), cutoff + 5) == pytest.approx(expected.tolist(), abs=1e-15)
    assert cutoff == 1 or Early(0.3, cutoff)(cutoff - 1) == 0.0  # the last early step is 0 already


def test_late_is_a_switch() -> None:
    assert rates(Late(0.4, 3), 6) == [0.0, 0.0, 0.0, 0.4, 0.4, 0.4]
    assert rates(Late(0.4, 3), 6) == rates(Piecewise([(0, 0.0), (3, 0.4)], shape="constant"), 6)


def test_early_and_late_are_two_halves_of_constant() -> None:
    early, late = rates(Early(0.2, 5, "constant"), 9), rates(Late(0.2, 5), 9)
    assert [one + other for one, other in zip(early, late, strict=True)] == rates(Constant(0.2), 9)


def test_linear_meets_its_ends_and_stays() -> None:
    assert rates(Linear(0.1, 0.9, 4), 7) == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9, 0.9, 0.9])
    assert Linear(0.1, 0.9, 4)(0) == 0.1
    assert Linear(0.1, 0.9, 4)(4) == Linear(0.1, 0.9, 4)(10**12) == 0.9


def test_cosine_is_half_a_period() -> None:
    expected = [0.2 + 0.6 * (1 - math.cos(math.pi * step / 8)) / 2 for step in range(9)]
    assert rates(Cosine(0.2, 0.8, 8), 9) == pytest.approx(expected)
    assert Cosine(0.2, 0.8, 8)(0) == 0.2
    assert Cosine(0.2, 0.8, 8)(8) == Cosine(0.2, 0.8, 8)(99) == 0.8
    middle = Cosine(0.2, 0.8, 8)
    assert all(middle(4 - step) + middle(4 + step) == pytest.approx(1.0) for step in range(5))


def test_piecewise_is_interpolation() -> None:
    points = [(2, 0.2), (5, 0.8), (6, 0.0), (10, 0.5)]
    expected = np.interp(range(13), *zip(*points, strict=True))
    assert rates(Piecewise(points), 13) == pytest.approx(expected.tolist(), abs=1e-15)
    steps = [0.2] * 5 + [0.8] + [0.0] * 4 + [0.5] * 3
    assert rates(Piecewise(points, "constant"), 13) == steps


probability = st.floats(0, 1)
count = st.integers(1, 10**6)
schedules = st.one_of(
    st.builds(Constant, probability),
    st.builds(Linear, probability, probability, count),
    st.builds(Cosine, probability, probability, count),
    st.builds(Early, probability, count, st.sampled_from(["constant", "linear"])),
    st.builds(Late, probability, count),
    st.builds(Curriculum, probability, count),
    st.builds(Curriculum, probability, gamma=st.floats(1e-12, 1e12)),
    st.builds(Annealed, probability, count),
    st.builds(
        Piecewise,
        st.dictionaries(count, probability, min_size=1, max_size=5).map(lambda points: sorted(points.items())),
        st.sampled_from(["constant", "linear"]),
    ),
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(schedules, st.integers(0, 2 * 10**6))
def test_no_schedule_leaves_0_to_1(schedule: Schedule, step: int) -> None:
    assert 0.0 <= schedule(step) <= 1.0


@settings(max_examples=100, deadline=None, derandomize=True)
@given(schedules)
def test_a_schedule_prints_as_its_constructor_call(schedule: Schedule) -> None:
    assert eval(repr(schedule)) == schedule
    assert pickle.loads(pickle.dumps(schedule)) == copy.deepcopy(schedule) == schedule
    assert hash(schedule) == hash(copy.deepcopy(schedule))


def test_equal_schedules_print_alike() -> None:
    assert repr(Linear(0, 1, np.int64(10))) == repr(Linear(0.0, 1.0, 10)) == "Linear(start=0.0, end=1.0, num_steps=10)"
    assert repr(Piecewise([[0, 1]])) == "Piecewise(points=((0, 1.0),), shape='linear')"  # type: ignore[list-item]


NUMBER = r"must be a number in \[0, 1\], got"
WHOLE = "must be a whole number of at least 1, got"


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: Constant(1.5), ValueError, f"Constant: `p` {NUMBER} 1.5"),
        (lambda: Constant(math.nan), ValueError, f"Constant: `p` {NUMBER} nan"),
        (lambda: Constant("0.5"), TypeError, f"Constant: `p` {NUMBER} '0.5'"),
        (lambda: Linear(-0.1, 0.5, 10), ValueError, f"Linear: `start` {NUMBER} -0.1"),
        (lambda: Linear(0.1, math.inf, 10), ValueError, f"Linear: `end` {NUMBER} inf"),
        (lambda: Linear(0.1, 0.5, 0), ValueError, f"Linear: `num_steps` {WHOLE} 0"),
        (lambda: Linear(0.1, 0.5, 10.0), TypeError, f"Linear: `num_steps` {WHOLE} 10.0"),
        (lambda: Cosine(0.1, 0.5, -3), ValueError, f"Cosine: `num_steps` {WHOLE} -3"),
        (lambda: Early(0.1, 0), ValueError, f"Early: `cutoff` {WHOLE} 0"),
        (lambda: Early(0.1, 5, "cosine"), ValueError, "Early: `shape` must be one of constant, linear, got 'cosine'"),
        (lambda: Late(2, 5), ValueError, f"Late: `p` {NUMBER} 2.0"),
        (lambda: Annealed(0.5, 0), ValueError, f"Annealed: `num_steps` {WHOLE} 0"),
        (lambda: Curriculum(0.5), ValueError, "given where `gamma` is not, and only there, got num_steps=None and"),
        (lambda: Curriculum(0.5, 10, 0.1), ValueError, "Curriculum: `num_steps` must be given where `gamma` is not"),
        (lambda: Curriculum(0.5, gamma=math.nan), ValueError, "Curriculum: `gamma` must be a positive number"),
        (lambda: Curriculum(0.5, 0), ValueError, f"Curriculum: `num_steps` {WHOLE} 0"),
        (lambda: Piecewise([]), ValueError, r"`points` must be one or more, their steps ascending, got \[\]"),
        (lambda: Piecewise([(0, 0.1), (0, 0.2)]), ValueError, r"steps ascending, got \[0, 0\]"),
        (lambda: Piecewise([(5, 0.1), (2, 0.2)]), ValueError, r"steps ascending, got \[5, 2\]"),
        (lambda: Piecewise([(-1, 0.1)]), ValueError, "`points` must be a whole number of at least 0, got -1"),
        (lambda: Piecewise([(0, 1.1)]), ValueError, f"`points` {NUMBER} 1.1"),
        (lambda: Piecewise([3]), TypeError, "`points` must be pairs of a step and a rate, got 3"),
    ],
)
def test_wrong_schedules_are_refused(make: Callable[[], Schedule], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        make()


@pytest.mark.parametrize("step", [-1, 0.5, math.nan, True, "3"])
def test_a_step_is_a_whole_number(step: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="Linear: `step` must be a whole number of at least 0, got"):
        Linear(0.0, 0.5, 10)(step)


@pytest.mark.parametrize(
    ("schedule", "error", "match"),
    [
        (lambda step: step / 10, ValueError, "got 1.1 at step 11 of"),
        (lambda step: 0.2 - step / 20, ValueError, "at step 5 of"),
        (lambda step: math.nan if step == 7 else 0.1, ValueError, "got nan at step 7 of"),
        (lambda step: None if step == 3 else 0.1, TypeError, "got None at step 3 of"),
        (lambda step: torch.tensor(0.1), TypeError, r"got tensor\(0.1000\) at step 0 of"),
        (0.5, TypeError, "`schedule` must be a function of the step whose values are numbers in"),
    ],
)
def test_a_function_that_leaves_0_to_1_is_refused_with_the_step(
    schedule: Any, error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        check_schedule(schedule, 20)


def test_a_function_that_stays_within_is_returned() -> None:
    schedule = check_schedule(lambda step: step / 19, 20)
    assert schedule(19) == 1.0
    with pytest.raises(ValueError, match="`num_steps` must be a whole number of at least 1, got 0"):
        check_schedule(schedule, 0)


# Rates over depth


def test_the_original_rule_is_the_papers() -> None:
    p_last, depth = 0.5, 54
    survival = [1 - layer / depth * (1 - (1 - p_last)) for layer in range(1, depth + 1)]
    got = linear_rates(p_last, depth)
    assert got == pytest.approx([1 - keep_prob for keep_prob in survival])
    assert got[-1] == p_last
    assert expected_depth(got) == 40.25


@pytest.mark.parametrize("depth", [1, 2, 18, 54, 110])
def test_the_expected_depth_at_one_half_is_three_quarters(depth: int) -> None:
    assert expected_depth(linear_rates(0.5, depth)) == pytest.approx((3 * depth - 1) / 4)


@pytest.mark.parametrize("depth", [1, 2, 12, 24])
def test_the_rule_of_timm_is_a_linspace(depth: int) -> None:
    expected = torch.linspace(0, 0.3, depth, dtype=torch.float64).tolist()
    got = linear_rates(0.3, depth, rule="timm")
    assert got == pytest.approx(expected, abs=1e-15)
    assert got[0] == 0.0
    assert depth == 1 or got[-1] == 0.3


def test_progressive_layer_dropping_is_the_papers_formula() -> None:
    theta, gamma, depth = 0.5, 0.001, 12
    for step in (0, 1, 1000, 50_000):
        now = (1 - theta) * math.exp(-gamma * step) + theta
        expected = [1 - (1 - layer / depth * (1 - now)) for layer in range(1, depth + 1)]
        assert progressive_rates(1 - theta, depth, step, gamma=gamma) == pytest.approx(expected, abs=1e-15)


def test_progressive_layer_dropping_is_curriculum_over_depth() -> None:
    model = nn.Sequential(*(tnn.Dropout(0.1) for _ in range(6)))
    scheduler = DropoutScheduler(model, Curriculum(0.5, gamma=0.01), depth="original")
    scheduler.set_step(77)
    assert list(scheduler.get_last_p().values()) == progressive_rates(0.5, 6, 77, gamma=0.01)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: linear_rates(1.5, 3), f"linear_rates: `p_last` {NUMBER} 1.5"),
        (lambda: linear_rates(0.5, 0), f"linear_rates: `depth` {WHOLE} 0"),
        (lambda: linear_rates(0.5, 3, rule="square"), "`rule` must be one of original, timm, got 'square'"),
        (lambda: progressive_rates(math.nan, 3, 1, gamma=1.0), f"progressive_rates: `p_last` {NUMBER} nan"),
        (lambda: progressive_rates(0.5, 3, -1, gamma=1.0), "`step` must be a whole number of at least 0, got -1"),
        (lambda: progressive_rates(0.5, 3, 1, gamma=0.0), "`gamma` must be a positive number"),
        (lambda: expected_depth([0.5, -0.5]), f"expected_depth: `rates` {NUMBER} -0.5"),
    ],
)
def test_wrong_depths_are_refused(call: Callable[[], object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        call()
