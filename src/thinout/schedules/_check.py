"""What a schedule is asked for, and the check of what it answers."""

from __future__ import annotations

import functools
import numbers
from collections.abc import Callable
from typing import TypeVar

from thinout._checks import bad_type, bad_value, check_count

RateSchedule = Callable[[int], float]
"""A rate as a function of the number of steps that the optimiser has taken."""

_Schedule = TypeVar("_Schedule", bound=RateSchedule)
_ALLOWED = "a function of the step whose values are numbers in [0, 1]"


def rate_at(where: str, schedule: RateSchedule, step: int) -> float:
    """Return the rate of a schedule at a step, or raise with the step."""
    if not callable(schedule):
        bad_type(where, "schedule", _ALLOWED, repr(schedule))
    value = schedule(step)
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        bad_type(where, "schedule", _ALLOWED, f"{value!r} at step {step} of {describe(schedule)}")
    if not 0.0 <= value <= 1.0:  # also false for NaN
        bad_value(where, "schedule", _ALLOWED, f"{value} at step {step} of {describe(schedule)}")
    return float(value)


def check_schedule(schedule: _Schedule, num_steps: int) -> _Schedule:
    """Return a schedule after asking for its rate at each step of a training, or raise at the first that is wrong.

    The schedules of this module cannot be wrong; a function of your own is better asked before a long training.

    Args:
        schedule: function from the step to the rate.
        num_steps: number of steps of the training.

    Raises:
        ValueError: a rate is outside of [0, 1] or NaN; the message names the step.
        TypeError: a rate is no number, or the schedule no function.

    Example:
        >>> check_schedule(lambda step: step / 100, num_steps=1000)
        Traceback (most recent call last):
        ...
        ValueError: check_schedule: `schedule` must be a function of the step whose values are numbers in [0, 1], \
got 1.01 at step 101 of thinout.schedules._check.<lambda>.
    """
    for step in range(check_count("check_schedule", "num_steps", num_steps)):
        rate_at("check_schedule", schedule, step)
    return schedule


def describe(schedule: RateSchedule) -> str:
    """Return what tells a schedule from others in another process: no address of memory."""
    if isinstance(schedule, functools.partial):
        arguments = [repr(value) for value in schedule.args]
        arguments += [f"{name}={value!r}" for name, value in schedule.keywords.items()]
        return f"{describe(schedule.func)}({', '.join(arguments)})"
    if hasattr(schedule, "__qualname__"):
        return f"{schedule.__module__}.{schedule.__qualname__}"
    if repr(schedule) == object.__repr__(schedule):
        return f"{type(schedule).__module__}.{type(schedule).__qualname__}"
    return repr(schedule)
