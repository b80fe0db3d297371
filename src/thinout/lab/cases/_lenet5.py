"""The wide LeNet-5: 4096 hidden units behind dropout, the form in which over-fitting is strong."""

from __future__ import annotations

from thinout.lab.case import Case, Recipe
from thinout.lab.cases._images import image_data
from thinout.lab.models import LeNet5

_SMALL = Recipe(epochs=40, patience=8)
_FULL = Recipe(epochs=12, batch_size=128, schedule="cosine", patience=None)


def make_case(data: str | None = None) -> Case:
    """Return the case on one of the 28x28 image sets; a full set gets 12 epochs with a falling learning rate."""
    name, splits = image_data("lenet5", data)
    return Case(
        name="lenet5",
        title="LeNet-5 (32 and 64 channels, 4096 hidden units)",
        model=LeNet5,
        data=splits,
        data_name=name,
        recipe=_SMALL if name.endswith("-small") else _FULL,
    )
