"""C14: dropout raises diversity: the sub-networks form an ensemble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from thinout.lab.claims._claim import Claim, Effect, Finding, Panel, Size, Unit, grid
from thinout.lab.claims._evidence import Evidence
from thinout.lab.claims._passes import masked_passes
from thinout.lab.claims._training import SMALL, images, mlp, recipe_for, train
from thinout.lab.metrics import classification_metrics
from thinout.lab.training import predict

MEMBERS = {"quick": 3, "full": 10}
ARMS = {
    "sub-networks": "one net trained with p = 0.5; its members are passes with a mask",
    "independent nets": "as many nets trained without dropout from other initial weights and orders",
}


def units(size: Size) -> Sequence[Unit]:
    """Return both kinds of ensemble."""
    return grid(tuple(ARMS), 2 if size == "quick" else 8)


def measure(unit: Unit, size: Size) -> Mapping[str, float]:
    """Make an ensemble; report its members' disagreement, and what averaging them gains."""
    splits, members = images(SMALL, unit.seed), MEMBERS[size]
    recipe = recipe_for(3600, steps=60 if size == "quick" else 800)
    if unit.arm == "sub-networks":
        model, _ = train(lambda: mlp(0.5), splits, recipe, unit.seed)
        probabilities, labels = masked_passes(model, splits.test, members, seed=unit.seed)
        whole = predict(model, splits.test)[0].softmax(1)
    else:
        nets = [
            train(lambda: mlp(0.0), splits, recipe, 1000 * (1 + member) + unit.seed)[0] for member in range(members)
        ]
        outputs = [predict(net, splits.test) for net in nets]
        probabilities, labels = torch.stack([logits.softmax(1) for logits, _ in outputs]), outputs[0][1]
        whole = probabilities[0]
    classes = probabilities.argmax(2)
    pairs = torch.combinations(torch.arange(members))
    disagreement = torch.stack([(classes[a] != classes[b]).double().mean() for a, b in pairs.tolist()]).mean()
    single = [_metrics(member, labels) for member in probabilities]
    average = _metrics(probabilities.mean(0), labels)
    return {
        "disagreement": 100 * disagreement.item(),
        "error of a member": 100 * sum(each["error"] for each in single) / members,
        "error of the average": 100 * average["error"],
        "gain of averaging": 100 * (sum(each["error"] for each in single) / members - average["error"]),
        "NLL of the average": average["nll"],
        "NLL of the whole net": _metrics(whole, labels)["nll"],
        "gain over the whole net": _metrics(whole, labels)["nll"] - average["nll"],
    }


def _metrics(probabilities: Tensor, labels: Tensor) -> dict[str, float]:
    return classification_metrics(probabilities.clamp(min=1e-12).log(), labels)


def judge(evidence: Evidence) -> Finding:
    """Ask whether members disagree, and whether averaging them is worth anything beside the whole net."""
    gain = evidence.mean("sub-networks", "gain of averaging")
    over_whole = evidence.mean("sub-networks", "gain over the whole net")
    effects = [
        Effect.of(f"{name}, {arm}", evidence.mean(arm, name), unit)
        for name, unit in (("disagreement", "%"), ("gain of averaging", "percentage points"))
        for arm in ARMS
    ]
    effects.append(Effect.of("gain over the whole net, sub-networks", over_whole, "nats"))
    effects.append(
        Effect.of(
            "error of the average, sub-networks minus independent nets",
            evidence.difference("sub-networks", "independent nets", "error of the average"), "percentage points",
        )
    )  # fmt: skip
    text = (
        f"Two sub-networks disagree on {evidence.mean('sub-networks', 'disagreement').mean:.1f} % of the images, two "
        f"nets trained apart on {evidence.mean('independent nets', 'disagreement').mean:.1f} %. Averaging gains "
        f"{gain.mean:.2f} percentage points over a sub-network, and {over_whole.mean:+.4f} nats over the whole net."
    )
    if gain.low is None or gain.low <= 0:
        return Finding(verdict="refuted", sentence=text, effects=tuple(effects))
    if over_whole.low is not None and over_whole.low > 0:
        return Finding(verdict="supported", sentence=text, effects=tuple(effects))
    condition = "what the average is compared with: better than its members, not than the net with dropout off"
    return Finding(verdict="conditional", condition=condition, sentence=text, effects=tuple(effects))


CLAIM = Claim(
    id="C14",
    section="4.1.1",
    title="Diversity",
    statement="Dropout raises diversity: it trains an ensemble of different sub-networks.",
    hypothesis="Passes with different masks disagree, their average is better than one of them, and better than the "
    "net with dropout off.",
    refutation="Averaging passes gains nothing over a single one.",
    data="fashion-mnist-small, perceptrons 784-512-512-10; ten members",
    arms=ARMS,
    metric="share of test images on which two members disagree; error of a member minus error of the average; NLL of "
    "the net with dropout off minus NLL of the average",
    rule="Supported if the 95 % intervals of both gains of the sub-networks lie above 0, conditional if only that "
    "over a member does, else refuted.",
    units=units,
    measure=measure,
    judge=judge,
    panels=(
        Panel(title="Disagreement of two members", value="disagreement", what="% of test images"),
        Panel(title="Error of a member", value="error of a member", what="test error in %"),
        Panel(title="Error of the average", value="error of the average", what="test error in %"),
    ),
    data_sets=(SMALL,),
    references=("Srivastava et al. 2014, JMLR 15:1929-1958, section 7.5",),
)
