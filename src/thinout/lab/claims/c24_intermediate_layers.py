"""C24: dropout has little effect on the output of intermediate layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from thinout import functional as F
from thinout import ops
from thinout.lab.claims._claim import Claim, Effect, Finding, Panel, Size, Unit, grid
from thinout.lab.claims._evidence import Evidence
from thinout.lab.claims._training import SMALL, images, mlp, recipe_for, train
from thinout.lab.training import evaluating

RATES = (0.1, 0.2, 1 / 3, 0.5, 0.8)
HIDDEN, EXAMPLES, MASKS = 512, 256, 32


def units(size: Size) -> Sequence[Unit]:
    """Return each rate."""
    return grid(("dropout",), 2 if size == "quick" else 8, RATES)


def measure(unit: Unit, size: Size) -> Mapping[str, float]:
    """Train a perceptron with dropout, then mask its first hidden layer and look at both layers' outputs."""
    p, splits = float(unit.x or 0), images(SMALL, unit.seed)
    recipe = recipe_for(3600, steps=100 if size == "quick" else 600)
    model, _ = train(lambda: mlp(p, (HIDDEN, HIDDEN)), splits, recipe, unit.seed)
    x = torch.stack([splits.test[index][0] for index in range(EXAMPLES)])
    with evaluating(model):
        layers = list(model.children())
        hidden = nn.Sequential(*layers[:4])(x).double()
        second = layers[5].double()
        clean = second(hidden)
        masked = torch.stack([F.dropout(hidden, p, training=True) for _ in range(MASKS)])
        after = second(masked)
    q = 1 - ops.effective_p(p)
    mean, variance = hidden.mean(0), hidden.var(0, unbiased=False)
    predicted = variance / q + mean**2 * (1 - q) / q
    observed = masked.flatten(0, 1).var(0, unbiased=False)
    used = predicted > 0
    return {
        "mean, masked over clean": (masked.mean() / hidden.mean()).item(),
        "variance, masked over clean": (observed[used].mean() / variance[used].mean()).item(),
        "variance, measured over formula": (observed[used].mean() / predicted[used].mean()).item(),
        "change of the next layer": 100 * ((after - clean).norm(dim=-1) / clean.norm(dim=-1)).mean().item(),
    }


def judge(evidence: Evidence) -> Finding:
    """Ask whether a single pass changes the next layer by less than a tenth."""
    effects, small = [], []
    for x in evidence.xs():
        for name, unit in (
            ("change of the next layer", "%"), ("mean, masked over clean", ""),
            ("variance, masked over clean", ""), ("variance, measured over formula", ""),
        ):  # fmt: skip
            mean = evidence.mean("dropout", name, x)
            effects.append(Effect.of(f"{name}, p = {x:.3g}", mean, unit))
        change = evidence.mean("dropout", "change of the next layer", x)
        small.append((change.high or change.mean) < 10)
    names = "mean, masked over clean", "variance, measured over formula", "change of the next layer"
    mean_ratio, variance_ratio, at_half = (evidence.mean("dropout", name, 0.5).mean for name in names)
    text = (
        f"A pass with p = 0.5 leaves {mean_ratio:.3f} of the mean and has {variance_ratio:.3f} times the variance that "
        f"the formula gives; and it changes the next layer's output by {at_half:.0f} % of its length."
    )
    if all(small):
        return Finding(verdict="supported", sentence=text, effects=tuple(effects))
    if any(small):
        return Finding(verdict="conditional", condition="the rate", sentence=text, effects=tuple(effects))
    return Finding(verdict="refuted", sentence=text, effects=tuple(effects))


CLAIM = Claim(
    id="C24",
    section="2.2",
    title="Effect on intermediate layers",
    statement="Dropout has little effect on the output of intermediate layers.",
    hypothesis="A mask on a hidden layer changes the next layer's output by less than a tenth of its length.",
    refutation="The change is a tenth or more at every rate.",
    data="256 test images of fashion-mnist-small, a perceptron 784-512-512-10 trained with the rate that is measured",
    arms={"dropout": "a mask of rate p on the first hidden layer, 32 masks an image"},
    metric="length of the change of the second layer's pre-activations over their length; beside it mean and variance "
    "of the masked layer against x and v / (1 - p) + mu^2 p / (1 - p)",
    rule="Supported if the upper end of the 95 % interval over seeds is below 10 % at every rate, conditional if at "
    "some, refuted if at none.",
    units=units,
    measure=measure,
    judge=judge,
    panels=(
        Panel(title="Change of the next layer in one pass", value="change of the next layer", what="%", axis="p"),
        Panel(
            title="Variance of the masked layer: measured over formula", value="variance, measured over formula",
            what="ratio", axis="p", level=1.0,
        ),
    ),
    data_sets=(SMALL,),
    references=("Li et al. 2019, arXiv 1801.05134",),
)  # fmt: skip
