"""C03: at test time dropout must be off, or predictions are wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from thinout.lab.claims._claim import Claim, Effect, Finding, Panel, Size, Unit, grid
from thinout.lab.claims._evidence import Evidence
from thinout.lab.claims._passes import masked_passes
from thinout.lab.claims._training import SMALL, images, mlp, recipe_for, train
from thinout.lab.metrics import classification_metrics
from thinout.lab.training import predict

P = 0.5
PASSES = {"1 pass": 1, "5 passes": 5, "50 passes": 50, "200 passes": 200}
ARMS = {
    "off": "dropout off, as ever",
    **{name: f"dropout on, the probabilities of {count} pass(es) averaged" for name, count in PASSES.items()},
    "off, unscaled": "dropout off, and the factor 1 / (1 - p) of training left out: activations twice as large as "
    "trained",
}


def units(size: Size) -> Sequence[Unit]:
    """Return every way to predict."""
    return grid(tuple(ARMS), 2 if size == "quick" else 8)


def measure(unit: Unit, size: Size) -> Mapping[str, float]:
    """Train the seed's network, which is the same for every arm, and predict in the arm's way."""
    splits = images(SMALL, unit.seed)
    recipe = recipe_for(3600, steps=60 if size == "quick" else 1200)
    model, _ = train(lambda: mlp(P), splits, recipe, unit.seed)
    if unit.arm in PASSES:
        probabilities, labels = masked_passes(model, splits.test, PASSES[unit.arm], seed=unit.seed)
        logits = probabilities.mean(0).clamp(min=1e-12).log()
    else:
        logits, labels = predict(_unscaled(model) if unit.arm == "off, unscaled" else model, splits.test)
    metrics = classification_metrics(logits.float(), labels)
    return {"NLL": metrics["nll"], "error": 100 * metrics["error"], "ECE": 100 * metrics["ece"]}


class _Doubled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x / (1 - P)


def _unscaled(model: nn.Module) -> nn.Module:
    """Return a network whose hidden units are as large as those that a mask leaves in training, all of them."""
    layers = [_Doubled() if type(layer).__name__ == "Dropout" and index > 1 else layer
              for index, layer in enumerate(model.children())]  # fmt: skip
    return nn.Sequential(*layers)


def judge(evidence: Evidence) -> Finding:
    """Compare every way with dropout off."""
    effects = [
        Effect.of(f"{name}, {arm} minus off", evidence.difference(arm, "off", name), unit)
        for arm in list(ARMS)[1:]
        for name, unit in (("NLL", "nats"), ("error", "percentage points"))
    ]
    one, many = evidence.difference("1 pass", "off", "NLL"), evidence.difference("200 passes", "off", "NLL")
    text = (
        f"A single pass with dropout on costs {one.mean:+.3f} nats and "
        f"{evidence.difference('1 pass', 'off', 'error').mean:+.2f} percentage points; the average of 200 passes "
        f"{many.mean:+.3f} nats and {evidence.difference('200 passes', 'off', 'error').mean:+.2f} points."
    )
    single_is_worse = one.low is not None and one.low > 0
    average_is_worse = many.low is not None and many.low > 0
    if single_is_worse and average_is_worse:
        return Finding(verdict="supported", sentence=text, effects=tuple(effects))
    if single_is_worse:
        condition = "how many passes are averaged: with one it must be off, with many it may stay on"
        return Finding(verdict="conditional", condition=condition, sentence=text, effects=tuple(effects))
    return Finding(verdict="refuted", sentence=text, effects=tuple(effects))


CLAIM = Claim(
    id="C03",
    section="2.2",
    title="Off at test time",
    statement="At test time dropout must be off, or the predictions are wrong.",
    hypothesis="Predictions with dropout on have a higher NLL than with dropout off, averaged over passes or not.",
    refutation="A single pass is no worse.",
    data="fashion-mnist-small, a perceptron 784-512-512-10 trained with p = 0.5",
    arms=ARMS,
    metric="test NLL of the (averaged) probabilities; beside it error and calibration",
    rule="Paired by seed. Supported if the 95 % interval of one pass minus off and that of 200 passes minus off lie "
    "above 0, conditional if only that of one pass does, else refuted.",
    units=units,
    measure=measure,
    judge=judge,
    panels=(
        Panel(title="Test NLL", value="NLL", what="test NLL in nats"),
        Panel(title="Test error", value="error", what="test error in %"),
        Panel(title="Calibration error", value="ECE", what="ECE in %"),
    ),
    data_sets=(SMALL,),
    references=("Gal, Ghahramani 2016, arXiv 1506.02142", "Srivastava et al. 2014, JMLR 15:1929-1958, section 7.5"),
)
