"""Whether the patch is on, and the counts of what it served."""

from __future__ import annotations

import os
from collections import Counter
from threading import Lock


class Switch:
    """The one state of the patch in a process: how many times it is entered, and counts since the first entry.

    `active` is read without a lock by every dropout of the process.
    """

    def __init__(self) -> None:
        self.lock = Lock()
        self.depth = 0
        self.active = False
        self.served: Counter[str] = Counter()
        self.handed_over: Counter[str] = Counter()

    def count(self, counter: Counter[str], name: str) -> None:
        """Add one; a plain += would lose counts between threads."""
        with self.lock:
            counter[name] += 1


switch = Switch()


def _renew_lock() -> None:
    """Give a forked child a lock of its own: another thread of the parent may have held the old one."""
    switch.lock = Lock()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_renew_lock)
