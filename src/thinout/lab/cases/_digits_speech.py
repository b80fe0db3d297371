"""Spoken digits, by a small convolutional net on log-mel spectrograms."""

from __future__ import annotations

from thinout.lab.case import Case, Recipe
from thinout.lab.cases._names import choose_data
from thinout.lab.data import load, recording_splits
from thinout.lab.models import SpectrogramNet


def make_case(data: str | None = None) -> Case:
    """Return the case on the Free Spoken Digit Dataset, with its official test part."""
    name = choose_data("digits-speech", data, ("fsdd",))
    return Case(
        name="digits-speech",
        title="Convolutions on a log-mel spectrogram (16, 32 and 64 channels, 128 hidden units)",
        model=SpectrogramNet,
        data=lambda seed: recording_splits(load(name), seed=seed),
        data_name=name,
        recipe=Recipe(epochs=30, batch_size=32, schedule="cosine", patience=None),
    )
