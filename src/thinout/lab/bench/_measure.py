"""Contenders take turns; what is compared is compared within a round.

The load of a machine drifts by tens of percent within seconds. A ratio of two times taken one after the other does
not, so every statement about speed is a median of such ratios, with the interval that order statistics give it.
"""

from __future__ import annotations

import gc
import math
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch

from thinout._checks import check_count

Call = Callable[[], object]

# Long beside the clock's resolution and a Python call, so that loops around tiny calls cost nothing that counts.
SHORTEST = 1e-3


@dataclass(frozen=True)
class Contender:
    """A call to time, and the context that it runs in, which is entered outside of the timed part."""

    call: Call
    context: Callable[[], AbstractContextManager[object]] = nullcontext


@dataclass(frozen=True)
class Ratio:
    """A median with its 95 % interval; the bounds are None where too few rounds leave them unknown."""

    median: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Times:
    """Seconds of one call, by contender and round."""

    seconds: Mapping[str, Sequence[float]]

    def median(self, name: str) -> float:
        """Return the median time of a contender in seconds."""
        return statistics.median(self.seconds[name])

    def ratio(self, over: str, under: str) -> Ratio:
        """Return the median over rounds of the time of one contender, divided by that of another in the same round.

        Example:
            >>> Times({"a": [2.0, 4.0, 9.0], "b": [1.0, 2.0, 3.0]}).ratio("a", "b").median
            2.0
        """
        pairs = zip(self.seconds[over], self.seconds[under], strict=True)
        return median_interval([one / other for one, other in pairs])

    def record(self, pairs: Sequence[tuple[str, str]]) -> dict[str, object]:
        """Return median times in microseconds, and the ratios of the pairs whose contenders are both here."""
        held = [(over, under) for over, under in pairs if over in self.seconds and under in self.seconds]
        return {
            "microseconds": {name: 1e6 * self.median(name) for name in self.seconds},
            "ratios": [{"over": over, "under": under, **vars(self.ratio(over, under))} for over, under in held],
        }


def median_interval(values: Sequence[float]) -> Ratio:
    r"""Return the median with the order statistics that hold the true one with a probability of at least 95 %.

    .. math:: P(x_{(k+1)} \le m \le x_{(n-k)}) \ge 1 - 2 \sum_{i \le k} \binom{n}{i} 2^{-n}

    for any distribution; the largest such k is taken. Fewer than six values allow none.

    Args:
        values: independent measurements.

    Returns:
        The sample median and its bounds.

    Raises:
        ValueError: there are no values.

    Example:
        >>> median_interval([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
        Ratio(median=3.5, low=1.0, high=6.0)

    Source: David, Nagaraja 2003, Order Statistics, 3rd edition, section 7.1.
    """
    n = check_count("median_interval", "len(values)", len(values))
    below, k = 0.0, -1
    while 2 * (below + math.comb(n, k + 1) / 2**n) <= 0.05:
        k += 1
        below += math.comb(n, k) / 2**n
    ordered = sorted(values)
    low, high = (None, None) if k < 0 else (ordered[k], ordered[n - 1 - k])
    return Ratio(statistics.median(ordered), low, high)


@contextmanager
def quiet(threads: int) -> Iterator[None]:
    """Keep Python's garbage collector still and torch at a number of threads."""
    before, collected = torch.get_num_threads(), gc.isenabled()
    gc.collect()
    gc.disable()
    torch.set_num_threads(check_count("quiet", "threads", threads))
    try:
        yield
    finally:
        torch.set_num_threads(before)
        if collected:
            gc.enable()


def take_turns(
    contenders: Mapping[str, Contender | Call], rounds: int, *, shortest: float = SHORTEST, pause: Call | None = None
) -> Times:
    """Time every contender once a round, in an order drawn anew for each round.

    Args:
        contenders: what to time, by name.
        rounds: how often each has its turn.
        shortest: seconds that a timed part lasts at least; shorter calls are repeated within it.
        pause: called after each round, as a progress bar needs.

    Returns:
        The seconds of one call, by contender and round.

    Raises:
        ValueError: `rounds` is less than 1.

    Example:
        >>> times = take_turns({"sum": lambda: sum(range(100))}, 3, shortest=1e-5)
        >>> len(times.seconds["sum"])
        3
    """
    check_count("take_turns", "rounds", rounds)
    arms = {name: item if isinstance(item, Contender) else Contender(item) for name, item in contenders.items()}
    repeats = {name: _repeats(arm, shortest) for name, arm in arms.items()}
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    order = random.Random(0)
    for _ in range(rounds):
        for name in order.sample(list(arms), len(arms)):
            seconds[name].append(_turn(arms[name], repeats[name]))
        if pause:
            pause()
    return Times(seconds)


def _repeats(contender: Contender, shortest: float) -> int:
    """Warm up, and return how many calls last long enough."""
    _turn(contender, 1)
    return max(1, math.ceil(shortest / _turn(contender, 1)))


def _turn(contender: Contender, repeats: int) -> float:
    call = contender.call
    with contender.context():
        if repeats > 1:
            call()  # brings its own data back into the caches
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        return (time.perf_counter() - start) / repeats
