"""C21: dropout makes training unsmooth from batch to batch, and that hurts prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from thinout.lab.claims._claim import Claim, Effect, Finding, Panel, Size, Unit, grid
from thinout.lab.claims._evidence import Evidence
from thinout.lab.claims._training import SMALL, clean_metrics, examples, images, mlp, recipe_for, train
from thinout.lab.statistics import paired_difference
from thinout.lab.training import evaluating

P, BATCH, STEP = 0.5, 64, 0.02
COUNTS = {"quick": (8, 4, 2), "full": (56, 64, 8)}  # full batches, masks, directions
ARMS = {"none": "no dropout", "p=0.5": "dropout with p = 0.5 after each hidden layer"}


def units(size: Size) -> Sequence[Unit]:
    """Return both arms."""
    return grid(tuple(ARMS), 2 if size == "quick" else 8)


def measure(unit: Unit, size: Size) -> Mapping[str, float]:
    """Train one network, then hold its weights fixed and look at the loss that training saw."""
    splits, p = images(SMALL, unit.seed), {"none": 0.0, "p=0.5": P}[unit.arm]
    model, _ = train(lambda: mlp(p), splits, recipe_for(3600, steps=60 if size == "quick" else 1200), unit.seed)
    num_batches, num_masks, num_directions = COUNTS[size]
    x, labels = examples(splits.train, num_batches * BATCH)
    with torch.no_grad():
        batches = list(zip(torch.split(x, BATCH), torch.split(labels, BATCH), strict=True))
        with evaluating(model):
            plain = torch.stack([cross_entropy(model(inputs), targets) for inputs, targets in batches]).double()
        model.train()
        masked = torch.stack([cross_entropy(model(inputs), targets) for inputs, targets in batches]).double()
        again = torch.stack([cross_entropy(model(batches[0][0]), batches[0][1]) for _ in range(num_masks)]).double()
        curvature = _curvature(model, x[:512], labels[:512], num_masks if p else 1, num_directions)
        single = _curvature(model, x[:512], labels[:512], 1, num_directions)
    return clean_metrics(model, splits) | {
        "spread of the loss": masked.std().item(),
        "spread of the loss without masks": plain.std().item(),
        "spread over mean": (masked.std() / masked.mean()).item(),
        "spread over mean without masks": (plain.std() / plain.mean()).item(),
        "spread of one batch over masks": again.std().item(),
        "curvature, mean over masks": curvature,
        "curvature, one mask": single,
    }


def _curvature(model: nn.Module, x: Tensor, labels: Tensor, num_masks: int, num_directions: int) -> float:
    """Return the mean size of the second derivative of the loss, averaged over fixed masks, along random directions."""
    weights = [parameter.detach().clone() for parameter in model.parameters()]
    found = []
    for direction in range(num_directions):
        torch.manual_seed(10_007 * (1 + direction))
        step = [torch.randn_like(weight) * weight.norm() / weight.numel() ** 0.5 for weight in weights]
        losses = []
        for factor in (-STEP, 0.0, STEP):
            for parameter, weight, change in zip(model.parameters(), weights, step, strict=True):
                parameter.copy_(weight + factor * change)
            total = 0.0
            for mask in range(num_masks):
                torch.manual_seed(mask)  # the same masks at the three points
                total += cross_entropy(model(x), labels).double().item() / num_masks
            losses.append(total)
        found.append(abs(losses[0] - 2 * losses[1] + losses[2]) / STEP**2)
    for parameter, weight in zip(model.parameters(), weights, strict=True):
        parameter.copy_(weight)
    return sum(found) / len(found)


def judge(evidence: Evidence) -> Finding:
    """Ask whether the loss is noisier, whether its expectation is less smooth, and whether prediction is worse."""
    noise, relative = (
        paired_difference(evidence.values("p=0.5", name), evidence.values("p=0.5", f"{name} without masks"))
        for name in ("spread of the loss", "spread over mean")
    )
    single = evidence.mean("p=0.5", "spread of one batch over masks")
    prediction = evidence.difference("p=0.5", "none", "test NLL")
    name = "curvature, mean over masks"
    bend, plain = evidence.mean("p=0.5", name), evidence.mean("none", name)
    masks = paired_difference(evidence.values("p=0.5", name), evidence.values("p=0.5", "curvature, one mask"))
    bends = evidence.difference("p=0.5", "none", name)
    effects = [
        Effect.of("spread of the batch loss, p=0.5, with masks minus without", noise, "nats"),
        Effect.of("the same over the mean loss", relative),
        Effect.of("spread of the loss of one batch over masks, p=0.5", single, "nats"),
        Effect.of("test NLL, p=0.5 minus none", prediction, "nats"),
        Effect.of("curvature of the expected loss, p=0.5", bend),
        Effect.of("curvature of the loss of one mask, p=0.5", evidence.mean("p=0.5", "curvature, one mask")),
        Effect.of("curvature, p=0.5, expected loss minus loss of one mask", masks),
        Effect.of("curvature, none", plain),
        Effect.of("curvature of the expected loss, p=0.5 minus none", bends),
    ]
    noisier = noise.low is not None and noise.low > 0
    worse = prediction.low is not None and prediction.low > 0
    text = (
        f"At the same weights the loss varies {'more' if noisier else 'no more'} from batch to batch with masks "
        f"than without ({noise.mean:+.3f} nats of standard deviation; over the mean loss {relative.mean:+.3f}); the "
        f"expected loss bends by {bend.mean:.2f} along a random direction, where the loss without "
        f"dropout bends by {plain.mean:.2f}; and the test NLL changes by {prediction.mean:+.3f} nats."
    )
    if noisier and worse:
        return Finding(verdict="supported", sentence=text, effects=tuple(effects))
    if noisier:
        condition = "what is meant: a noisier loss, not a worse prediction"
        return Finding(verdict="conditional", condition=condition, sentence=text, effects=tuple(effects))
    return Finding(verdict="refuted", sentence=text, effects=tuple(effects))


CLAIM = Claim(
    id="C21",
    section="4.2.4",
    title="Unsmooth training",
    statement="Dropout makes training unsmooth from batch to batch, and that hurts prediction.",
    hypothesis="At fixed weights the loss of a batch varies more with masks than without, and the trained net predicts "
    "worse.",
    refutation="At fixed weights the loss is not shown to vary more.",
    data="fashion-mnist-small, perceptrons 784-512-512-10; the trained weights held fixed",
    arms=ARMS,
    metric="standard deviation over batches of the training loss of the net with dropout, with masks and without, on "
    "the same batches; test NLL of both nets; beside them the second derivative of the "
    "loss, averaged over 64 masks and of one mask, along random directions of the weights' own size",
    rule="Paired by seed. Supported if the 95 % intervals of both differences, masks minus none and p = 0.5 minus "
    "none, lie above 0, conditional if only that of the spread does, else refuted.",
    units=units,
    measure=measure,
    judge=judge,
    panels=(
        Panel(title="Spread of the loss over batches", value="spread of the loss", what="standard deviation in nats"),
        Panel(title="Curvature of the expected loss", value="curvature, mean over masks", what="second derivative"),
        Panel(title="Curvature of the loss of one mask", value="curvature, one mask", what="second derivative"),
    ),
    data_sets=(SMALL,),
    references=("Wei, Kakade, Ma 2020, arXiv 2002.12915", "Zhang, Zhou, Xu 2021, arXiv 2111.01022"),
)
