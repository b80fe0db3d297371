"""One form of error message, from one place: what was wrong, what is allowed, what to do.

    dropout: `p` must be a number in [0, 1], got 1.5.
    dropout2d: `input` must have 4 dimensions (N, C, H, W), got 3. For one unbatched map pass batched=False.

Values raise ValueError, types raise TypeError. Work that cannot go on for a reason outside of the call (a damaged
file, a folder that somebody holds) raises a `ThinoutError`, which the command line turns into one sentence.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Collection, Sequence
from typing import NoReturn


class ThinoutError(Exception):
    """A failure with one clear sentence for the user; `exit_status` is what a command ends with."""

    exit_status = 1


class UsageError(ThinoutError, ValueError):
    """Something asked for that does not exist or does not fit: the command line ends with status 2."""

    exit_status = 2


def message(where: str, name: str, allowed: str, got: object, remedy: str = "") -> str:
    """Build the one form of message that thinout's errors have.

    Example:
        >>> message("dropout", "p", "a number in [0, 1]", 1.5)
        'dropout: `p` must be a number in [0, 1], got 1.5.'
    """
    text = f"{where}: `{name}` must be {allowed}, got {got}."
    return f"{text} {remedy}" if remedy else text


def bad_value(where: str, name: str, allowed: str, got: object, remedy: str = "") -> NoReturn:
    """Raise the ValueError for a value that is not allowed."""
    raise ValueError(message(where, name, allowed, got, remedy))


def bad_type(where: str, name: str, allowed: str, got: object, remedy: str = "") -> NoReturn:
    """Raise the TypeError for an argument of a wrong type."""
    raise TypeError(message(where, name, allowed, got, remedy))


def bad_usage(where: str, name: str, allowed: str, got: object, remedy: str = "") -> NoReturn:
    """Raise the UsageError for a name or option that a user of the laboratory got wrong."""
    raise UsageError(message(where, name, allowed, got, remedy))


def check_p(where: str, p: object, name: str = "p") -> float:
    """Return a probability as a float, or raise.

    Example:
        >>> check_p("dropout", 0.25)
        0.25
        >>> check_p("dropout", 1.5)
        Traceback (most recent call last):
        ...
        ValueError: dropout: `p` must be a number in [0, 1], got 1.5.
    """
    if type(p) is float:  # asked first: it is what small tensors wait for
        value = p
    elif isinstance(p, bool) or not isinstance(p, numbers.Real):
        bad_type(where, name, "a number in [0, 1]", repr(p))
    else:
        value = float(p)
    if not 0.0 <= value <= 1.0:  # also false for NaN
        bad_value(where, name, "a number in [0, 1]", value)
    return value


def check_p_below_one(where: str, p: object, name: str = "p") -> float:
    """Return a probability below 1 as a float, or raise."""
    value = check_p(where, p, name)
    if value == 1:
        bad_value(where, name, "a number in [0, 1)", value, "At 1 the variance of the noise has no value.")
    return value


def check_finite(where: str, value: object, name: str) -> float:
    """Return a finite number as a float, or raise."""
    return _check_finite(where, value, name, "a finite number", -math.inf)


def check_not_negative(where: str, value: object, name: str) -> float:
    """Return a finite number of at least 0 as a float, or raise."""
    return _check_finite(where, value, name, "a finite number of at least 0", 0.0)


def _check_finite(where: str, value: object, name: str, allowed: str, least: float) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        bad_type(where, name, allowed, repr(value))
    number = float(value)
    if not -math.inf < number < math.inf or number < least:  # no call of math, which dynamo cannot trace of a symbol
        bad_value(where, name, allowed, number)
    return number


def check_positive(where: str, name: str, value: object, *, finite: bool = True) -> float:
    """Return a positive number as a float, or raise."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        bad_type(where, name, "a positive number", repr(value))
    number = float(value)
    if not number > 0 or (finite and number == math.inf):
        bad_value(where, name, "a positive number", number)
    return number


def check_bool(where: str, name: str, value: object) -> bool:
    """Return True or False, or raise: text such as "false" would count as true."""
    if not isinstance(value, bool):
        bad_type(where, name, "True or False", repr(value))
    return value


def check_integer(where: str, name: str, value: object) -> int:
    """Return a whole number, or raise."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        bad_type(where, name, "a whole number", repr(value))
    return int(value)


def check_count(where: str, name: str, value: object, *, at_least: int = 1) -> int:
    """Return a whole number of at least `at_least`, or raise."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        bad_type(where, name, f"a whole number of at least {at_least}", repr(value))
    if value < at_least:
        bad_value(where, name, f"a whole number of at least {at_least}", value)
    return int(value)


def check_interval(where: str, name: str, value: object) -> tuple[float, float]:
    """Return a pair of finite numbers of which the first is not the larger, or raise."""
    allowed = "a pair of finite numbers (low, high), low <= high"
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        bad_type(where, name, allowed, repr(value))
    if any(isinstance(end, bool) or not isinstance(end, numbers.Real) for end in value):
        bad_type(where, name, allowed, repr(value))
    low, high = float(value[0]), float(value[1])
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        bad_value(where, name, allowed, (low, high))
    return low, high


def check_choice(where: str, name: str, value: object, choices: Collection[str]) -> str:
    """Return a name that is one of `choices`, or raise."""
    if not isinstance(value, str) or value not in choices:
        bad_value(where, name, "one of " + ", ".join(sorted(choices)), repr(value))
    return value
