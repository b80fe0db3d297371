"""The permutation-invariant networks of the paper on dropout: three hidden layers of 1024 units, with max-norm."""

from __future__ import annotations

import math
from collections.abc import Callable

from thinout.lab.case import Case, Recipe
from thinout.lab.cases._images import image_data
from thinout.lab.data import describe
from thinout.lab.models import MLP

_SMALL = Recipe(epochs=60, optimizer="sgd", lr=0.03, schedule="cosine", max_norm=2.0, patience=None)
_FULL = Recipe(epochs=30, batch_size=128, optimizer="sgd", lr=0.03, schedule="cosine", max_norm=2.0, patience=None)


def maker(name: str, hidden: tuple[int, ...], default: str = "fashion-mnist-small") -> Callable[[str | None], Case]:
    """Return the `make_case` of one architecture."""

    def make_case(data: str | None = None) -> Case:
        data_name, splits = image_data(name, data or default, pad=0)
        known = describe(data_name)
        shape = {"in_features": math.prod(known.shape), "num_classes": known.num_classes}
        return Case(
            name=name,
            title=f"{len(hidden)} hidden layers of {', '.join(map(str, dict.fromkeys(hidden)))} ReLU units",
            model=lambda p: MLP(p, hidden=hidden, **shape),
            data=splits,
            data_name=data_name,
            recipe=_SMALL if data_name.endswith("-small") else _FULL,
        )

    return make_case


make_case = maker("mlp", (1024, 1024, 1024))
make_wide = maker("mlp-2x4096", (4096, 4096))
make_uneven = maker("mlp-deepnet", (1024, 1024, 2048))
