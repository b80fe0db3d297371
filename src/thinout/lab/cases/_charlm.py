"""The next character of Shakespeare's plays, by an LSTM (locked and weight dropout) or a small causal transformer."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from thinout.lab.case import Case, Recipe
from thinout.lab.cases._names import choose_data
from thinout.lab.data import character_splits, load
from thinout.lab.models import CharLSTM, CharTransformer

LENGTH = 128

_NAMES = ("tinyshakespeare-small", "tinyshakespeare")
_LSTM = Recipe(epochs=15, batch_size=32, lr=4e-3, schedule="cosine", clip_norm=1.0, patience=None)
_TRANSFORMER = Recipe(epochs=10, batch_size=16, lr=2e-3, schedule="cosine", clip_norm=1.0, patience=None)


def _case(name: str, title: str, model: Callable[[float], nn.Module], recipe: Recipe, data: str | None) -> Case:
    data_name = choose_data(name, data, _NAMES)
    return Case(
        name=name,
        title=title,
        model=model,
        data=lambda _seed: character_splits(load(data_name), length=LENGTH),  # contiguous parts: no seed chooses
        data_name=data_name,
        recipe=recipe,
        task="tokens",
    )


def make_case(data: str | None = None) -> Case:
    """Return the LSTM on Tiny Shakespeare."""
    return _case("charlm", "LSTM that predicts characters (2 layers of 128 units)", CharLSTM, _LSTM, data)


def make_weights(data: str | None = None) -> Case:
    """Return the LSTM with its weights from state to state dropped as well, both at the same rate."""
    title = "LSTM that predicts characters (2 layers of 128 units), weight dropout as well"
    return _case("charlm-weights", title, lambda p: CharLSTM(p, weight_p=p), _LSTM, data)


def make_transformer(data: str | None = None) -> Case:
    """Return the transformer on Tiny Shakespeare."""
    title = "Transformer that predicts characters (2 blocks, 96 features, 4 heads)"
    return _case("charlm-transformer", title, CharTransformer, _TRANSFORMER, data)
