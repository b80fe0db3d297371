"""Time series of the UCR and UEA archives, by a small convolutional network."""

from __future__ import annotations

from functools import partial

from thinout.lab.case import BASELINE, Case, Recipe, dropout_arm
from thinout.lab.cases._names import choose_data
from thinout.lab.data import Splits, array_splits, describe, load
from thinout.lab.models import SeriesNet

EPOCHS = {
    "italypowerdemand": 150,
    "gunpoint": 200,
    "arrowhead": 300,
    "osuleaf": 80,
    "basicmotions": 150,
    "japanesevowels": 50,
}
"""The sets, and epochs that make about a thousand steps of each."""


def make_case(data: str | None = None) -> Case:
    """Return the case on one of six sets."""
    name = choose_data("series", data, tuple(EPOCHS))
    known = describe(name)
    return Case(
        name="series",
        title="Convolutions over time (32, 64 and 64 channels)",
        model=partial(SeriesNet, in_channels=known.shape[0], num_classes=known.num_classes),
        data=partial(_splits, name),
        data_name=name,
        recipe=Recipe(epochs=EPOCHS[name], batch_size=8, lr=3e-3, schedule="cosine", patience=None),
        arms=(BASELINE, dropout_arm(0.1), dropout_arm(0.2), dropout_arm(0.5)),
    )


def _splits(name: str, seed: int) -> Splits:
    return array_splits(load(name), seed=seed)
