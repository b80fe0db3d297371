"""LeCun's LeNet-5, small enough for a study in minutes."""

from __future__ import annotations

from thinout.lab.case import Case, Recipe
from thinout.lab.cases._images import image_data
from thinout.lab.models import lenet5_1998

_SMALL = Recipe(epochs=60, lr=2e-3, patience=12)
_FULL = Recipe(epochs=12, batch_size=128, schedule="cosine", patience=None)


def make_case(data: str | None = None) -> Case:
    """Return the case on one of the 28x28 image sets; a full set gets 12 epochs with a falling learning rate."""
    name, splits = image_data("lenet5-1998", data)
    return Case(
        name="lenet5-1998",
        title="LeNet-5 as of 1998 (6, 16 and 120 channels, 84 hidden units)",
        model=lenet5_1998,
        data=splits,
        data_name=name,
        recipe=_SMALL if name.endswith("-small") else _FULL,
    )
