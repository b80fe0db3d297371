"""C07: dropout makes the network more robust."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from thinout.lab.claims._claim import Claim, Effect, Finding, Panel, Size, Unit, grid
from thinout.lab.claims._evidence import Evidence
from thinout.lab.claims._training import SMALL, examples, images, mlp, recipe_for, train
from thinout.lab.metrics import classification_error
from thinout.lab.training import evaluating

ARMS = {
    "none": "no dropout",
    "hidden": "dropout with p = 0.5 after each hidden layer",
    "input": "dropout with p = 0.3 on the input",
    "both": "dropout on input and hidden layers",
}
RATES = {"none": (0.0, 0.0), "hidden": (0.5, 0.0), "input": (0.0, 0.3), "both": (0.5, 0.3)}


def _delete(x: Tensor, labels: Tensor, model: nn.Module) -> Tensor:
    return x * (torch.rand(x.shape) >= 0.5)


def _noise(x: Tensor, labels: Tensor, model: nn.Module) -> Tensor:
    return x + torch.randn(x.shape)


def _occlude(x: Tensor, labels: Tensor, model: nn.Module) -> Tensor:
    y, side = x.clone(), 10
    for image, (top, left) in zip(y, torch.randint(x.shape[-1] - side + 1, (len(x), 2)).tolist(), strict=True):
        image[..., top : top + side, left : left + side] = 0
    return y


def _adversarial(x: Tensor, labels: Tensor, model: nn.Module) -> Tensor:
    leaf = x.clone().requires_grad_()
    gradient = torch.autograd.grad(cross_entropy(model(leaf), labels), leaf)[0]
    return x + 0.1 * gradient.sign()


PERTURBATIONS: dict[str, Callable[[Tensor, Tensor, nn.Module], Tensor]] = {
    "half of the pixels deleted": _delete,
    "Gaussian noise, sd 1": _noise,
    "a block of 10x10 occluded": _occlude,
    "adversarial step of 0.1": _adversarial,
}


def units(size: Size) -> Sequence[Unit]:
    """Return every arm."""
    return grid(tuple(ARMS), 2 if size == "quick" else 10)


def measure(unit: Unit, size: Size) -> Mapping[str, float]:
    """Train one network and test it on clean images and on images changed in four ways, the same for all arms."""
    splits, (hidden_p, input_p) = images(SMALL, unit.seed), RATES[unit.arm]
    recipe = recipe_for(3600, steps=60 if size == "quick" else 1200)
    model, _ = train(lambda: mlp(hidden_p, input_p=input_p), splits, recipe, unit.seed)
    x, labels = examples(splits.test)
    values = {"clean": _error(model, x, labels)}
    model.eval()
    for name, change in PERTURBATIONS.items():
        torch.manual_seed(unit.seed)
        values[name] = _error(model, change(x, labels, model), labels)
        values[f"{name}: rise"] = values[name] - values["clean"]
    return values


def _error(model: nn.Module, x: Tensor, labels: Tensor) -> float:
    with evaluating(model):
        return 100 * classification_error(model(x), labels)


def judge(evidence: Evidence) -> Finding:
    """Ask under which changes the error rises less with which dropout: beyond what dropout does to clean images."""
    effects, helps, harms = list[Effect](), list[str](), list[str]()
    comparisons = len(PERTURBATIONS) * (len(ARMS) - 1)
    for arm in list(ARMS)[1:]:
        effects.append(
            Effect.of(f"clean images, {arm} minus none", evidence.difference(arm, "none", "clean"), "points")
        )
        for name in PERTURBATIONS:
            change = evidence.difference(arm, "none", f"{name}: rise")
            effects.append(Effect.of(f"{name}: rise of the error, {arm} minus none", change, "points"))
            raw = evidence.difference(arm, "none", name)
            effects.append(Effect.of(f"{name}: error, {arm} minus none", raw, "points"))
            if change.p_value is not None and change.p_value < 0.05 / comparisons:
                (helps if change.mean < 0 else harms).append(f"{name} ({arm})")
    text = (
        f"With dropout the error rises less when images are changed in {len(helps)} of {comparisons} comparisons and "
        f"more in {len(harms)}."
    )
    if helps:
        text += f" Less: {'; '.join(helps)}."
    if harms:
        text += f" More: {'; '.join(harms)}."
    if len(helps) == comparisons:
        return Finding(verdict="supported", sentence=text, effects=tuple(effects))
    if helps:
        condition = "the kind of change, and where dropout sits"
        return Finding(verdict="conditional", condition=condition, sentence=text, effects=tuple(effects))
    return Finding(verdict="refuted" if harms else "no evidence", sentence=text, effects=tuple(effects))


CLAIM = Claim(
    id="C07",
    section="2.3, 5",
    title="Robustness",
    statement="Dropout makes the network more robust.",
    hypothesis="With dropout, wherever it sits, the test error rises less when pixels are deleted, noise is added, a "
    "block is occluded, and a small adversarial step is made.",
    refutation="It rises less under none of these, and more under some.",
    data="fashion-mnist-small, perceptrons 784-512-512-10; images normalised, so that the noise is as large as the "
    "data",
    arms=ARMS,
    metric="test error in per cent on changed images minus that on clean ones, dropout off",
    rule="Paired by seed, significant at 0.05 over all comparisons with none. Supported if it rises less in "
    "all, conditional if in some, refuted if in none while more in some, else no evidence.",
    units=units,
    measure=measure,
    judge=judge,
    panels=tuple(Panel(title=name[0].upper() + name[1:], value=name, what="test error in %") for name in PERTURBATIONS),
    data_sets=(SMALL,),
    references=("van der Maaten et al. 2013, Learning with marginalized corrupted features",),
)
