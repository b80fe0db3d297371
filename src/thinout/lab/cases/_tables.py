"""Networks on tables: health, rare classes, and regression."""

from __future__ import annotations

from functools import partial

from thinout.lab.case import BASELINE, Arm, Case, Recipe, dropout_arm
from thinout.lab.cases._names import choose_data
from thinout.lab.data import Splits, array_splits, describe, load
from thinout.lab.models import MLP

HEALTH = ("breast-cancer", "heart-disease")
IMBALANCED = ("yeast6", "abalone19", "page-blocks0", "winequality-red-4", "kddcup-rootkit-imap-vs-back")
REGRESSION = tuple(
    f"uci-{name}"
    for name in ("boston", "concrete", "energy", "kin8nm", "naval", "power-plant", "protein", "wine-red", "yacht")
)
_RATES = (0.2, 0.5)


def make_health(data: str | None = None) -> Case:
    """Return the case on findings of patients; its metrics hold ``auc`` and ``balanced_error``."""
    name = choose_data("health", data, HEALTH)
    return Case(
        name="health",
        title="Two hidden layers of 64 ReLU units on findings of patients",
        model=partial(_network, describe(name).shape[0]),
        data=partial(_splits, name),
        data_name=name,
        recipe=Recipe(epochs=100, batch_size=32, patience=15),
        arms=(BASELINE, *map(dropout_arm, _RATES)),
    )


def make_imbalanced(data: str | None = None) -> Case:
    """Return the case on rare classes: each rate with and without weights of the classes in the loss."""
    name = choose_data("imbalanced", data, IMBALANCED)
    weights = {"class_weights": True}
    plain = (BASELINE, *map(dropout_arm, _RATES))
    weighted = (Arm(name="weights", recipe=weights), *(Arm(name=f"weights+p={p}", p=p, recipe=weights) for p in _RATES))
    return Case(
        name="imbalanced",
        title="Two hidden layers of 64 ReLU units, one class rare",
        model=partial(_network, describe(name).shape[0]),
        data=partial(_splits, name),
        data_name=name,
        recipe=Recipe(epochs=60, batch_size=64, patience=15),
        metric="balanced_error",
        arms=(*plain, *weighted),
    )


def make_uci(data: str | None = None) -> Case:
    """Return the case of the papers on regression with dropout: one hidden layer, test part number `seed`."""
    name = choose_data("uci", data, REGRESSION)
    hidden = 100 if name == "uci-protein" else 50
    return Case(
        name="uci",
        title=f"One hidden layer of {hidden} ReLU units, numbers predicted",
        model=partial(_regressor, describe(name).shape[0], hidden),
        data=partial(_splits, name),
        data_name=name,
        recipe=Recipe(epochs=200 if hidden == 50 else 20, batch_size=32, lr=5e-3, schedule="cosine", patience=None),
        task="regression",
        metric="error",
        arms=(BASELINE, *map(dropout_arm, (0.005, 0.01, 0.05, 0.1))),
        has_numbered_splits=True,
    )


def _network(num_features: int, p: float) -> MLP:
    return MLP(p, input_p=0.0, in_features=num_features, num_classes=2, hidden=(64, 64))


def _regressor(num_features: int, hidden: int, p: float) -> MLP:
    return MLP(p, input_p=p, in_features=num_features, num_classes=1, hidden=(hidden,))


def _splits(name: str, seed: int) -> Splits:
    return array_splits(load(name), seed=seed)
