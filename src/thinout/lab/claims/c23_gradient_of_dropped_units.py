"""C23: the gradient still reaches dropped units, and the important units are the ones that get it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import TensorDataset

from thinout import functional as F
from thinout import ops
from thinout.lab.claims._claim import Claim, Effect, Finding, Panel, Size, Unit, grid
from thinout.lab.claims._evidence import Evidence
from thinout.lab.claims._training import SMALL, images, mlp, recipe_for, train

RATES = (0.2, 0.5, 0.8)
HIDDEN, EXAMPLES = 256, 64


def units(size: Size) -> Sequence[Unit]:
    """Return each rate."""
    return grid(("dropout",), 2 if size == "quick" else 10, RATES)


def measure(unit: Unit, size: Size) -> Mapping[str, float]:
    """Train a perceptron, then look at the gradients of its hidden units, example by example."""
    p, splits = float(unit.x or 0), images(SMALL, unit.seed)
    model, _ = train(
        lambda: mlp(p, (HIDDEN,)), splits, recipe_for(3600, steps=100 if size == "quick" else 600), unit.seed
    )
    if not isinstance(splits.test, TensorDataset):
        raise TypeError("split() makes TensorDatasets")
    x, labels = (tensor[:EXAMPLES] for tensor in splits.test.tensors)
    layers = list(model.children())
    first, last = layers[2], layers[-1]
    units_before = first(x.flatten(1)).detach().requires_grad_()
    active = units_before.relu()
    clean = cross_entropy(last(active), labels, reduction="sum")
    importance = (torch.autograd.grad(clean, units_before)[0] * units_before).abs()  # of the loss, to first order
    key = ops.draw_key()
    kept = ops.dropout_mask((EXAMPLES, HIDDEN), key, p)
    loss = cross_entropy(last(F.dropout(units_before.relu(), p, training=True, key=key)), labels, reduction="sum")
    gradient = torch.autograd.grad(loss, units_before)[0]
    works = units_before > 0  # a unit that ReLU silences gets no gradient with or without dropout
    dropped, spared = works & ~kept, works & kept
    ranks = importance[works].double().argsort().argsort().double()
    chosen = kept[works].double()
    return {
        "dropped units with any gradient": 100 * (gradient[dropped] != 0).double().mean().item(),
        "kept units with a gradient": 100 * (gradient[spared] != 0).double().mean().item(),
        "correlation of importance and being kept": torch.corrcoef(torch.stack([ranks, chosen]))[0, 1].item(),
    }


def judge(evidence: Evidence) -> Finding:
    """Ask whether any dropped unit had a gradient, and whether important ones were kept more often."""
    effects, leaks, correlations = [], 0.0, []
    for x in evidence.xs():
        for name in ("dropped units with any gradient", "correlation of importance and being kept"):
            mean = evidence.mean("dropout", name, x)
            effects.append(Effect.of(f"{name}, p = {x:g}", mean, "%" if "gradient" in name else ""))
        leaks = max(leaks, evidence.values("dropout", "dropped units with any gradient", x).max())
        correlation = evidence.mean("dropout", "correlation of importance and being kept", x)
        correlations.append(correlation.mean)
    if leaks == 0 and all(abs(value) <= 0.02 for value in correlations):
        text = (
            "In every pass each dropped unit had a gradient of exactly zero, and which units were dropped had nothing "
            "to do with their importance: a random choice, made anew each time."
        )
        return Finding(verdict="refuted", sentence=text, effects=tuple(effects))
    if leaks > 0 and all(value > 0.02 for value in correlations):
        return Finding(verdict="supported", sentence="Dropped units had a gradient.", effects=tuple(effects))
    text = (
        f"At most {leaks:.2g} % of dropped units had a gradient; the correlation of importance and being kept lies "
        f"between {min(correlations):+.3f} and {max(correlations):+.3f}."
    )
    return Finding(verdict="conditional", condition="the statement's half", sentence=text, effects=tuple(effects))


CLAIM = Claim(
    id="C23",
    section="2.2, 2.3",
    title="Gradients of dropped units",
    statement="The gradient still reaches the units that are dropped; and it is the important units that get it.",
    hypothesis="In a pass with a mask, dropped units have a gradient that is not zero; and units that matter more for "
    "the loss are kept more often.",
    refutation="Every dropped unit has a gradient of exactly zero, and importance and being kept are uncorrelated.",
    data="64 test images of fashion-mnist-small, a perceptron 784-256-10 trained with dropout",
    arms={"dropout": "a mask of rate p on the hidden layer"},
    metric="share of dropped active units whose gradient is not zero; rank correlation of a unit's first-order effect "
    "on the loss with being kept",
    rule="Refuted if no dropped unit of any pass has a gradient and the mean correlation is within 0.02 of zero at "
    "every rate, supported if some have one and that correlation is above 0.02 at every rate, else conditional.",
    units=units,
    measure=measure,
    judge=judge,
    panels=(
        Panel(title="Units with a gradient: kept", value="kept units with a gradient", what="%", axis="p"),
        Panel(title="Units with a gradient: dropped", value="dropped units with any gradient", what="%", axis="p"),
    ),
    data_sets=(SMALL,),
)
