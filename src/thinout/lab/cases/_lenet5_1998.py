"""LeCun's LeNet-5, small enough for a study in minutes."""

from __future__ import annotations

from functools import partial

from thinout.lab.case import Case, Recipe
from thinout.lab.cases._images import GREY, SIGNS, image_data
from thinout.lab.cases._lenet5 import RECIPES
from thinout.lab.data import describe
from thinout.lab.models import lenet5_1998

_SMALL = Recipe(epochs=60, lr=2e-3, patience=12)
_SIGNS = Recipe(epochs=120, lr=2e-3, schedule="cosine", patience=None)


def make_case(data: str | None = None) -> Case:
    """Return the case on a set of 28x28 images or on traffic signs; a full set gets few epochs."""
    name, splits = image_data("lenet5-1998", data, known=(*GREY, *SIGNS))
    known = describe(name)
    return Case(
        name="lenet5-1998",
        title="LeNet-5 as of 1998 (6, 16 and 120 channels, 84 hidden units)",
        model=partial(lenet5_1998, in_channels=known.shape[0], num_classes=known.num_classes),
        data=splits,
        data_name=name,
        recipe=_SIGNS if name == "gtsrb-small" else RECIPES.get(name, _SMALL),
    )
