"""C02: dropout prevents co-adaptation of units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from thinout.lab.claims._claim import Claim, Effect, Finding, Panel, Size, Unit, grid
from thinout.lab.claims._evidence import Evidence
from thinout.lab.claims._training import SMALL, examples, images, mlp, recipe_for, train
from thinout.lab.training import evaluating

RATES = {"none": 0.0, "p=0.2": 0.2, "p=0.5": 0.5}
HIDDEN, EXAMPLES = 256, 1000
ARMS = {name: "no dropout" if not p else f"dropout with p = {p} after each hidden layer" for name, p in RATES.items()}


def units(size: Size) -> Sequence[Unit]:
    """Return every arm."""
    return grid(tuple(ARMS), 2 if size == "quick" else 10)


def measure(unit: Unit, size: Size) -> Mapping[str, float]:
    """Train one network; look at its second hidden layer, whole and with units removed, dropout off."""
    splits, p = images(SMALL, unit.seed), RATES[unit.arm]
    recipe = recipe_for(3600, steps=60 if size == "quick" else 1200)
    model, _ = train(lambda: mlp(p, (HIDDEN, HIDDEN)), splits, recipe, unit.seed)
    x, labels = examples(splits.test, EXAMPLES)
    layers = list(model.children())
    with evaluating(model):
        hidden = nn.Sequential(*layers[:-2])(x).double()
        last = layers[-1].double()
        whole = cross_entropy(last(hidden), labels).item()
        one = torch.stack([_loss_without(last, hidden, labels, torch.tensor([unit])) for unit in range(HIDDEN)])
        generator = torch.Generator().manual_seed(unit.seed)
        tenths = [torch.randperm(HIDDEN, generator=generator)[: HIDDEN // 10] for _ in range(50)]
        tenth = torch.stack([_loss_without(last, hidden, labels, chosen) for chosen in tenths])
    active = hidden[:, (hidden > 0).double().mean(0) > 0.02]
    correlation = torch.corrcoef(active.T)
    pairs = correlation[~torch.eye(len(correlation), dtype=torch.bool)]
    return {
        "correlation": pairs.abs().mean().item(),
        "loss when one unit is removed": 1000 * (one.mean().item() - whole),
        "loss when a tenth is removed": tenth.mean().item() - whole,
        "active units": active.shape[1],
    }


def _loss_without(last: nn.Module, hidden: Tensor, labels: Tensor, removed: Tensor) -> Tensor:
    fewer = hidden.clone()
    fewer[:, removed] = 0
    return cross_entropy(last(fewer), labels)


def judge(evidence: Evidence) -> Finding:
    """Ask whether units correlate less, and whether the net misses its units less."""
    correlation = evidence.difference("p=0.5", "none", "correlation")
    removal = evidence.difference("p=0.5", "none", "loss when a tenth is removed")
    effects = (
        Effect.of("mean size of the correlation of two units, p=0.5 minus none", correlation),
        Effect.of("loss when a tenth of the units is removed, p=0.5 minus none", removal, "nats"),
        Effect.of(
            "loss when one unit is removed, p=0.5 minus none",
            evidence.difference("p=0.5", "none", "loss when one unit is removed"), "thousandths of a nat",
        ),
        *(Effect.of(f"{name}, p=0.2 minus none", evidence.difference("p=0.2", "none", name))
          for name in ("correlation", "loss when a tenth is removed")),
    )  # fmt: skip
    less_correlated = correlation.high is not None and correlation.high < 0
    sturdier = removal.high is not None and removal.high < 0
    text = (
        f"With p = 0.5 the mean correlation of two hidden units changes by {correlation.mean:+.3f}, and the loss when "
        f"a tenth of the units is removed by {removal.mean:+.3f} nats."
    )
    if less_correlated and sturdier:
        return Finding(verdict="supported", sentence=text, effects=effects)
    if less_correlated or sturdier:
        half = (
            "units correlate less; that they are missed less was not shown"
            if less_correlated
            else "units are missed less when they are removed, but do not correlate less"
        )
        condition = f"what is meant by co-adaptation: {half}"
        return Finding(verdict="conditional", condition=condition, sentence=text, effects=effects)
    return Finding(verdict="refuted", sentence=text, effects=effects)


CLAIM = Claim(
    id="C02",
    section="2.1",
    title="Co-adaptation",
    statement="Dropout prevents co-adaptation: units cannot rely on the presence of others.",
    hypothesis="Hidden units of a net trained with p = 0.5 correlate less, and its loss rises less when units are "
    "removed.",
    refutation="They correlate no less, and the loss rises no less.",
    data="1,000 test images of fashion-mnist-small, perceptrons 784-256-256-10, the second hidden layer, dropout off",
    arms=ARMS,
    metric="mean absolute correlation of two units that are active on at least 2 % of the images; rise of the NLL "
    "when a random tenth of the units is set to zero, mean over 50 draws",
    rule="Paired by seed. Supported if the 95 % intervals of both differences lie below 0, conditional if one does, "
    "refuted if neither does.",
    units=units,
    measure=measure,
    judge=judge,
    panels=(
        Panel(title="Correlation of two units", value="correlation", what="mean size"),
        Panel(title="Loss when a tenth is removed", value="loss when a tenth is removed", what="rise in nats"),
    ),
    data_sets=(SMALL,),
    references=("Hinton et al. 2012, arXiv 1207.0580",),
)
