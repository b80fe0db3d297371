"""The wide LeNet-5: 4096 hidden units behind dropout, the form in which over-fitting is strong."""

from __future__ import annotations

from functools import partial

from thinout.lab.case import Case, Recipe
from thinout.lab.cases._images import GREY, SIGNS, image_data
from thinout.lab.data import describe
from thinout.lab.models import LeNet5

_SMALL = Recipe(epochs=40, patience=8)
_FULL = Recipe(epochs=12, batch_size=128, schedule="cosine", patience=None)
_SIGNS = Recipe(epochs=80, schedule="cosine", patience=None, label_smoothing=0.05)
_ALL_SIGNS = Recipe(epochs=15, batch_size=128, schedule="cosine", patience=None, label_smoothing=0.05)

RECIPES = {"fashion-mnist": _FULL, "mnist": _FULL, "gtsrb-small": _SIGNS, "gtsrb": _ALL_SIGNS}


def make_case(data: str | None = None) -> Case:
    """Return the case on a set of 28x28 images or on traffic signs; a full set gets few epochs."""
    name, splits = image_data("lenet5", data, known=(*GREY, *SIGNS))
    known = describe(name)
    return Case(
        name="lenet5",
        title="LeNet-5 (32 and 64 channels, 4096 hidden units)",
        model=partial(LeNet5, in_channels=known.shape[0], num_classes=known.num_classes),
        data=splits,
        data_name=name,
        recipe=RECIPES.get(name, _SMALL),
    )
