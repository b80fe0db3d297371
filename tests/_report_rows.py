"""Rows as a study could have left them, every number out of one seeded generator: food for the report's tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from thinout.lab.rows import Row

ARMS = {"none": 0.0, "p=0.2": 0.2, "p=0.333": 1 / 3, "p=0.5": 0.5}
CLASS_NAMES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
NUM_EPOCHS = 30


def make_rows(
    *,
    arms: dict[str, float] | None = None,
    num_seeds: int = 5,
    num_classes: int = 10,
    num_test: int = 400,
    has_filters: bool = True,
    seed: int = 0,
) -> list[Row]:
    """Make one row a run of arms x seeds."""
    generator = np.random.default_rng(seed)
    starts = generator.normal(scale=0.004, size=num_seeds)
    rows = [
        _row(generator, name, p, run_seed, float(starts[run_seed]), (num_classes, num_test, has_filters))
        for name, p in (arms or ARMS).items()
        for run_seed in range(num_seeds)
    ]
    return sorted(rows, key=lambda row: (row.p, row.arm, row.seed))


def failed_row(arm: str = "p=0.5", seed: int = 99, reason: str = "the loss turned NaN in epoch 3") -> Row:
    """Make the row of a run that failed."""
    return Row(arm=arm, p=0.5, seed=seed, status="failed", reason=reason, provenance=_provenance(seed))


def _row(
    generator: np.random.Generator,
    arm: str,
    p: float,
    seed: int,
    start: float,
    sizes: tuple[int, int, bool],
) -> Row:
    num_classes, num_test, has_filters = sizes
    skill = 0.31 - 0.12 * p + 0.1 * p**2 + start + float(generator.normal(scale=0.006))
    history = _history(generator, p, skill)
    best = int(np.argmin([epoch["validation_nll"] for epoch in history])) + 1
    arrays = _arrays(generator, skill, num_classes, num_test)
    error = float((arrays["test_label"] != arrays["test_prediction"]).mean())
    if has_filters:
        arrays["filters"] = generator.normal(scale=0.3 - 0.2 * p, size=(6, 5, 5)).astype(np.float32)
    return Row(
        arm=arm, p=p, seed=seed, status="done",
        config={"case": "lenet5-1998", "data": "fashion-mnist-small", "arm": {"name": arm, "p": p, "recipe": {}},
                "seed": seed, "recipe": {"epochs": NUM_EPOCHS, "batch_size": 64, "lr": 1e-3}},
        metrics={
            "train": _metrics(generator, skill - 0.12 + 0.1 * p + float(generator.normal(scale=0.005)), 0.05),
            "validation": _metrics(generator, skill + 0.01, 0.11),
            "test": {**_metrics(generator, skill, error), "error": error},
        },
        best_epoch=best, num_epochs=len(history), history=history, seconds=float(generator.normal(14, 1)),
        layers=[
            {"name": name, "zero_share": float(share + 0.15 * p + generator.normal(scale=0.01)), "mean": 0.4}
            for name, share in (("conv1", 0.35), ("conv2", 0.52), ("fc1", 0.61), ("fc2", 0.66))
        ],
        fingerprints={"init": f"w{seed:04x}", "order": f"o{seed:04x}", "split": f"s{seed:04x}"},
        provenance=_provenance(seed), arrays=arrays,
    )  # fmt: skip


def _history(generator: np.random.Generator, p: float, skill: float) -> list[dict[str, float]]:
    epochs = np.arange(1, NUM_EPOCHS - int(generator.integers(6)) + 1)
    fall = 1.4 * np.exp(-epochs / 3.5)
    train = skill - 0.06 + 0.08 * p + fall - 0.006 * epochs * (1 - p) + generator.normal(scale=0.004, size=len(epochs))
    rise = 0.012 * np.maximum(epochs - 10, 0) * (0.6 - p)
    validation = skill + 0.01 + fall + rise + generator.normal(scale=0.004, size=len(epochs))
    return [
        {"epoch": int(epoch), "train_loss": float(train[i] + 0.2 * p), "train_nll": float(max(train[i], 0.01)),
         "validation_nll": float(validation[i]), "validation_error": float(0.36 * validation[i]), "lr": 1e-3,
         "seconds": 0.5}
        for i, epoch in enumerate(epochs)
    ]  # fmt: skip


def _metrics(generator: np.random.Generator, nll: float, error: float) -> dict[str, float]:
    return {"nll": float(nll), "error": float(error), "ece": float(0.02 + generator.uniform(0, 0.01))}


def _arrays(generator: np.random.Generator, skill: float, num_classes: int, num_test: int) -> dict[str, Any]:
    labels = np.arange(num_test) % num_classes
    wrong = generator.uniform(size=num_test) < skill / 2.6
    guesses = np.where(wrong, (labels + generator.choice([1, 2, 4, 6], size=num_test)) % num_classes, labels)
    nll = generator.gamma(0.5, 2 * skill, size=num_test)
    return {"test_nll": nll.astype(np.float32), "test_prediction": guesses, "test_label": labels}


def _provenance(seed: int) -> dict[str, Any]:
    return {
        "thinout": "0.1.0", "torch": "2.13.0", "python": "3.11.2", "platform": "Linux x86_64", "cpu": "a CPU",
        "threads": 1, "revision": "0123abcdef0123abcdef+", "started": f"2025-01-01T00:{seed:02d}:00+00:00",
    }  # fmt: skip
