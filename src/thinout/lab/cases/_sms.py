"""Spam among short messages, by a network on n-grams of words and characters."""

from __future__ import annotations

from thinout.lab.case import Case, Recipe
from thinout.lab.cases._names import choose_data
from thinout.lab.data import load, message_splits
from thinout.lab.models import NgramNet


def make_case(data: str | None = None) -> Case:
    """Return the case on the SMS Spam Collection; its metrics hold ``f1`` of the class spam."""
    name = choose_data("sms", data, ("sms-spam",))
    return Case(
        name="sms",
        title="Bag of n-grams (32,768 buckets of 32 features, 64 hidden units)",
        model=NgramNet,
        data=lambda seed: message_splits(load(name), seed=seed),
        data_name=name,
        recipe=Recipe(epochs=30, batch_size=32, lr=1e-3, patience=6),
    )
