"""Whether the patch is on, and the counts of what it served."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from threading import Lock

from thinout.ops import _cpu

# Elements from which a call is served, without and with autograd. Below, what the call costs in Python outweighs what
# the kernel saves. Measured by benchmarks/bench_patch.py on 2 cores of an AVX-512 EPYC with torch 2.13.
BREAK_EVEN = 1024
BREAK_EVEN_WITH_GRAD = 4096
# The same where there is no C++ library and masks come from torch operations.
BREAK_EVEN_WITHOUT_LIBRARY = 1 << 16


class Tally:
    """A count that threads add to without a lock, which small calls would wait for: one step of C."""

    def __init__(self) -> None:
        self.add = itertools.count().__next__
        self._num_reads = 0

    def read(self) -> int:
        """Return the count; the caller holds the lock of the switch."""
        value = self.add() - self._num_reads
        self._num_reads += 1
        return value


class Switch:
    """The one state of the patch in a process: how many times it is entered, and counts since the first entry.

    `active` is read without a lock by every dropout of the process.
    """

    def __init__(self) -> None:
        self.lock = Lock()
        self.depth = 0
        self.active = False
        self.break_even = BREAK_EVEN
        self.break_even_with_grad = BREAK_EVEN_WITH_GRAD
        self.served: Counter[str] = Counter()
        self.handed_over: Counter[str] = Counter()
        self.small = Tally()  # of `handed_over`, those of the commonest reason

    def enter(self) -> None:
        """Open one more patch; the caller holds the lock."""
        if self.depth == 0:
            self.served.clear()
            self.handed_over.clear()
            self.small = Tally()
            if _cpu.library() is None:  # asked here, since a compiler cannot trace the answer
                self.break_even = self.break_even_with_grad = BREAK_EVEN_WITHOUT_LIBRARY
        self.depth += 1
        self.active = True

    def leave(self) -> None:
        """Close one patch; the caller holds the lock."""
        self.depth -= 1
        self.active = self.depth > 0

    def count(self, counter: Counter[str], name: str) -> None:
        """Add one; a plain += would lose counts between threads."""
        with self.lock:
            counter[name] += 1

    def handed(self) -> dict[str, int]:
        """Return the calls handed to PyTorch, by reason; the caller holds the lock."""
        small = self.small.read() + self.handed_over["small"]
        others = {reason: count for reason, count in self.handed_over.items() if reason != "small"}
        return others | {"small": small} if small else others


switch = Switch()


def _renew_lock() -> None:
    """Give a forked child a lock of its own: another thread of the parent may have held the old one."""
    switch.lock = Lock()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_renew_lock)
