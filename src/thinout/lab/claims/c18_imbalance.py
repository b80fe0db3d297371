"""C18: dropout is useless under class imbalance and with few classes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from thinout.lab.claims._claim import Claim, Effect, Finding, Panel, Size, Unit, grid
from thinout.lab.claims._evidence import Evidence
from thinout.lab.claims._training import mlp, read, recipe_for, train
from thinout.lab.data import Splits, split
from thinout.lab.metrics import balanced_error, binary_metrics, nll_by_example
from thinout.lab.training import RunSeeds, predict
from thinout.lab.training._batches import num_examples

RATES = {"none": 0.0, "p=0.2": 0.2, "p=0.5": 0.5}
PAIR = (0, 6)  # T-shirt and shirt, which are hard to tell apart
MAJORITY = 2000
PER_CLASS = 18  # what the rarest of the 43 traffic signs has after the split
RATIOS, WEIGHTED_RATIOS, CLASSES = (1, 10, 100), (10, 100), (2, 5, 10, 43)  # equal classes have equal weights
ARMS = {
    **{name: f"dropout p = {p}, two classes at a ratio of 1 to x" for name, p in RATES.items()},
    **{f"{name}, weighted": f"the same with class weights, p = {p}" for name, p in RATES.items()},
    **{f"{name}, x classes": f"p = {p}, x traffic signs of {PER_CLASS} images each" for name, p in RATES.items()},
}


def units(size: Size) -> Sequence[Unit]:
    """Return every arm at every ratio, and at every number of classes."""
    seeds, few = (2, 1) if size == "quick" else (8, None)
    kinds = ((tuple(RATES), RATIOS), (_arms("weighted"), WEIGHTED_RATIOS), (_arms("x classes"), CLASSES))
    return [unit for arms, xs in kinds for unit in grid(arms, seeds, xs[:few])]


def _arms(kind: str) -> tuple[str, ...]:
    return tuple(arm for arm in ARMS if arm.endswith(kind))


def measure(unit: Unit, size: Size) -> Mapping[str, float]:
    """Train one network on an imbalanced pair of classes, or on a few balanced ones."""
    name, _, kind = unit.arm.partition(", ")
    x = int(unit.x or 1)
    if kind == "x classes":
        splits = _some_classes(unit.seed, x)
    else:
        splits = _subset("fashion-mnist", unit.seed, {PAIR[0]: MAJORITY, PAIR[1]: MAJORITY // x})
    steps = 60 if size == "quick" else 800
    recipe = recipe_for(num_examples(splits.train), steps=steps, class_weights=kind == "weighted")
    num_inputs, num_classes = math.prod(splits.shape), splits.num_classes
    model, _ = train(
        lambda: mlp(RATES[name], num_classes=num_classes, num_inputs=num_inputs), splits, recipe, unit.seed
    )
    logits, labels = predict(model, splits.test)
    values = {
        "balanced error": 100 * balanced_error(logits, labels),
        "NLL": nll_by_example(logits, labels).double().mean().item(),
    }
    return values | binary_metrics(logits, labels) if splits.num_classes == 2 else values


def _some_classes(seed: int, num_classes: int) -> Splits:
    """Return as many images of each of so many traffic signs, drawn by the seed: some are harder than others."""
    chosen = torch.randperm(CLASSES[-1], generator=torch.Generator().manual_seed(seed))[:num_classes]
    return _subset("gtsrb-small", seed, dict.fromkeys(chosen.tolist(), PER_CLASS))


def _subset(name: str, seed: int, counts: Mapping[int, int]) -> Splits:
    """Return so many training images of each class, drawn by the seed, with labels 0, 1, ...

    The validation part is as imbalanced as the training part, as far as it has images; the test part has at most 1,000
    of each class.
    """
    whole = split(read(name), seed=RunSeeds.from_seed(seed).split, validation=0.1)
    generator = torch.Generator().manual_seed(seed)
    largest = max(counts.values())

    def part(dataset: object, shares: Mapping[int, int]) -> TensorDataset:
        if not isinstance(dataset, TensorDataset):
            raise TypeError("split() makes TensorDatasets")
        images, labels = dataset.tensors
        chosen: list[Tensor] = []
        for label, count in shares.items():
            places = torch.nonzero(labels == label).squeeze(1)
            chosen.append(places[torch.randperm(len(places), generator=generator)[:count]])
        order, numbers = torch.cat(chosen), {label: number for number, label in enumerate(shares)}
        return TensorDataset(images[order], torch.tensor([numbers[int(label)] for label in labels[order]]))

    validation = {label: max(2, 300 * count // largest) for label, count in counts.items()}
    parts = part(whole.train, counts), part(whole.validation, validation), part(whole.test, dict.fromkeys(counts, 1000))
    return Splits(*parts, len(counts), whole.shape, whole.mean, whole.std)


def judge(evidence: Evidence) -> Finding:
    """Ask where dropout lowers the balanced error, and whether its effect depends on the imbalance."""
    kinds = (("", RATIOS), (", weighted", WEIGHTED_RATIOS), (", x classes", CLASSES))
    places = [(f"p=0.5{kind}", f"none{kind}", x) for kind, xs in kinds for x in xs]
    cells = [place for place in places if (place[0], place[2]) in evidence.cells]
    effects, helps, harms = list[Effect](), list[str](), list[str]()
    for arm, baseline, x in cells:
        change = evidence.difference(arm, baseline, "balanced error", x)
        place = f"{x} classes" if "classes" in arm else f"1 to {x}{', weighted' if 'weighted' in arm else ''}"
        effects.append(Effect.of(f"balanced error, {place}, p=0.5 minus none", change, "percentage points"))
        if change.p_value is not None and change.p_value < 0.05 / len(cells):
            (helps if change.mean < 0 else harms).append(place)
    text = (
        f"p = 0.5 lowers the balanced error in {len(helps)} of {len(cells)} settings ({', '.join(helps) or 'none'}) "
        f"and raises it in {len(harms)} ({', '.join(harms) or 'none'})."
    )
    hard = [place for place in helps if place.startswith(("1 to ", "2 classes"))]
    if hard:
        return Finding(verdict="refuted", sentence=text, effects=tuple(effects))
    if helps:
        return Finding(verdict="supported", sentence=text, effects=tuple(effects))
    return Finding(verdict="no evidence", sentence=text, effects=tuple(effects))


CLAIM = Claim(
    id="C18",
    section="4.2.1",
    title="Class imbalance and few classes",
    statement="Dropout is useless where classes are imbalanced or few.",
    hypothesis="p = 0.5 lowers the balanced error with balanced classes, and neither with classes at 1 to 10 or 1 to "
    "100, weighted or not, nor with two classes.",
    refutation="It lowers the balanced error in one of those settings.",
    data="Fashion-MNIST: T-shirt against shirt with 2,000 training images of one and 2,000, 200 or 20 of the other; "
    "and 2, 5, 10 and 43 German traffic signs (GTSRB, 3 frames of a track), drawn by the seed, with 18 images each; "
    "early stopping on images of other tracks of the same signs, alike for all arms",
    arms=ARMS,
    metric="balanced test error in per cent; beside it recall, F1, AUC of the rarer class, and NLL",
    rule="Paired by seed, significant at 0.05 over all settings. Refuted if the error falls in a setting with "
    "imbalance or with two classes, supported if it falls in others alone, else no evidence.",
    units=units,
    measure=measure,
    judge=judge,
    panels=(
        Panel(title="Balanced error by imbalance", value="balanced error", what="%", axis="1 to x", log="x",
              arms=("none", "p=0.5", "none, weighted", "p=0.5, weighted")),
        Panel(title="Balanced error by classes", value="balanced error", what="%", axis="classes",
              arms=("none, x classes", "p=0.2, x classes", "p=0.5, x classes")),
    ),
    data_sets=("fashion-mnist", "gtsrb-small"),
)  # fmt: skip
