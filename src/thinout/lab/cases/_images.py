"""What the cases on small images share: which sets they take, and how those are split."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection
from functools import partial

from thinout._checks import bad_usage
from thinout.lab.data import Sign, Splits, load, sign_splits, split

DEFAULT = "fashion-mnist-small"
GREY = ("fashion-mnist-small", "mnist-small", "fashion-mnist", "mnist")
SIGNS = ("gtsrb-small", "gtsrb")

SIGN_VIEW = Sign(degrees=12, shift=0.1, scale=0.12, stretch=0.1, shear=0.1, blur=1.0, local=True)
"""How signs are seen, and moved in training: by what one sign differs from the next as a driver nears them."""


def image_data(
    case: str, data: str | None, *, known: Collection[str] = GREY, pad: int = 2
) -> tuple[str, Callable[[int], Splits]]:
    """Return the name of a data set and the function from a seed to its splits.

    Args:
        case: name of the case, for messages.
        data: name of a data set, or None for the default.
        known: names that the case takes.
        pad: black pixels added on each side of a 28x28 image.
    """
    name = DEFAULT if data is None else data
    if name not in known:
        nearest = difflib.get_close_matches(name, known, n=1)
        remedy = f"Did you mean {nearest[0]}?" if nearest else ""
        bad_usage(f"case {case}", "data", "one of " + ", ".join(known), repr(name), remedy)
    if name in SIGNS:
        return name, partial(_signs, name)
    # Of a full set a tenth is plenty to choose an epoch on; of a small one a tenth would be 400 images.
    return name, partial(_grey, name, 0.2 if name.endswith("-small") else 0.1, pad)


def _grey(name: str, validation: float, pad: int, seed: int) -> Splits:
    return split(load(name), seed=seed, validation=validation, pad=pad)


def _signs(name: str, seed: int) -> Splits:
    return sign_splits(load(name), seed=seed, validation=0.2, view=SIGN_VIEW)
