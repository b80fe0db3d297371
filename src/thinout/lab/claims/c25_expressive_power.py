"""C25: dropout keeps the expressive power of the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from thinout.lab.claims._claim import Claim, Effect, Finding, Panel, Size, Unit, grid
from thinout.lab.claims._evidence import Evidence
from thinout.lab.claims._training import SMALL, clean_metrics, images, mlp, recipe_for, train

RATES = {"none": 0.0, "p=0.2": 0.2, "p=0.5": 0.5, "p=0.8": 0.8}
WIDTHS = (8, 32, 128, 256)
NUM_TRAIN = 500


def units(size: Size) -> Sequence[Unit]:
    """Return every rate at every width."""
    return grid(tuple(RATES), 2 if size == "quick" else 8, WIDTHS[::3] if size == "quick" else WIDTHS)


def measure(unit: Unit, size: Size) -> Mapping[str, float]:
    """Train without early stopping on the validation part, and report the fit of the training part, dropout off."""
    splits, width = images(SMALL, unit.seed, num_train=NUM_TRAIN), int(unit.x or 0)
    steps = 100 if size == "quick" else 1500
    recipe = recipe_for(NUM_TRAIN, steps=steps, most=1000, patience=None, schedule="cosine", lr=3e-3)
    # Validated on the training part: the epoch kept is the one that fits it best.
    fitted = type(splits)(
        splits.train, splits.train, splits.test, splits.num_classes, splits.shape, splits.mean, splits.std
    )
    model, _ = train(lambda: mlp(RATES[unit.arm], (width, width)), fitted, recipe, unit.seed)
    return clean_metrics(model, fitted)


def judge(evidence: Evidence) -> Finding:
    """Ask at which widths nets with dropout fit the training set as well as those without."""
    effects, kept = [], []
    for x in evidence.xs():
        for arm in list(RATES)[1:]:
            change = evidence.difference(arm, "none", "train error", x)
            effects.append(Effect.of(f"training error, width {x:g}, {arm} minus none", change, "percentage points"))
            kept.append((x, arm, (change.high if change.high is not None else change.mean) < 1.0))
    good = {arm: [x for x, name, yes in kept if name == arm and yes] for arm in list(RATES)[1:]}
    text = "Within 1 percentage point of the training error without dropout: " + "; ".join(
        f"{arm} at " + (", ".join(f"width {x:g}" for x in xs) if xs else "no width") for arm, xs in good.items()
    )
    if all(yes for _, _, yes in kept):
        return Finding(verdict="supported", sentence=f"{text}.", effects=tuple(effects))
    if not any(yes for _, _, yes in kept):
        return Finding(verdict="refuted", sentence=f"{text}.", effects=tuple(effects))
    condition = "width and rate"
    return Finding(verdict="conditional", condition=condition, sentence=f"{text}.", effects=tuple(effects))


CLAIM = Claim(
    id="C25",
    section="2.3",
    title="Expressive power",
    statement="Dropout keeps the expressive power of the network.",
    hypothesis="A net trained with dropout fits its training set as well, with dropout off, as the same net trained "
    "without, at every width and rate.",
    refutation="It fits worse at every width and rate.",
    data="500 training images of fashion-mnist-small, perceptrons with two hidden layers, 1,500 steps",
    arms={
        name: "no dropout" if not p else f"dropout with p = {p} after each hidden layer" for name, p in RATES.items()
    },
    metric="training error in per cent with dropout off, at the epoch of the best fit",
    rule="Paired by seed; as well means that the upper end of the 95 % interval of the difference is below 1 "
    "percentage point. Supported if so everywhere, refuted if nowhere, else conditional.",
    units=units,
    measure=measure,
    judge=judge,
    panels=(
        Panel(
            title="Training error, dropout off", value="train error", what="training error in %", axis="width", log="x"
        ),
        Panel(title="Test error", value="test error", what="test error in %", axis="width", log="x"),
    ),
    data_sets=(SMALL,),
)
