"""What the cases share that take one or two data sets of their own."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from thinout._checks import bad_usage


def choose_data(case: str, data: str | None, allowed: Sequence[str]) -> str:
    """Return the name of a case's data set; None is the first that is allowed."""
    if data is None:
        return allowed[0]
    if data not in allowed:
        near = difflib.get_close_matches(data, allowed, n=1)
        bad_usage(
            f"case {case}",
            "data",
            "one of " + ", ".join(allowed),
            repr(data),
            f"Did you mean {near[0]}?" if near else "",
        )
    return data
