"""What the cases on images share: which sets they take, and how those are split."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from thinout._checks import bad_usage
from thinout.lab.data import Splits, load, split

DEFAULT = "fashion-mnist-small"
NAMES = ("fashion-mnist-small", "mnist-small", "fashion-mnist", "mnist")


def image_data(case: str, data: str | None, *, pad: int = 2) -> tuple[str, Callable[[int], Splits]]:
    """Return the name of a data set and the function from a seed to its splits; None is the default."""
    name = DEFAULT if data is None else data
    if name not in NAMES:
        nearest = difflib.get_close_matches(name, NAMES, n=1)
        remedy = f"Did you mean {nearest[0]}?" if nearest else ""
        bad_usage(f"case {case}", "data", "one of " + ", ".join(NAMES), repr(name), remedy)
    # Of a full set a tenth is plenty to choose an epoch on; of a small one a tenth would be 400 images.
    validation = 0.2 if name.endswith("-small") else 0.1
    return name, lambda seed: split(load(name), seed=seed, validation=validation, pad=pad)
