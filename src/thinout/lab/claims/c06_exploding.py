"""C06: dropout reduces exploding gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from thinout.lab.claims._claim import Claim, Effect, Finding, Size, Unit, grid
from thinout.lab.claims._deep import ARMS, DEPTHS, gradient_norms, panels, profile
from thinout.lab.claims._evidence import Evidence

GAINS = {"tanh": 2.0, "ReLU": 1.7}  # above 1 and above sqrt(2): gradients grow from layer to layer


def units(size: Size) -> Sequence[Unit]:
    """Return every arm at every depth."""
    return grid(tuple(ARMS), 2 if size == "quick" else 10, (5, 20) if size == "quick" else DEPTHS)


def measure(unit: Unit, size: Size) -> Mapping[str, float]:
    """Return how much larger the gradient of the first layer is."""
    return gradient_norms(unit, size, GAINS)


def judge(evidence: Evidence) -> Finding:
    """Compare dropout with nothing at the greatest depth."""
    depth, effects = evidence.xs()[-1], list[Effect]()
    smaller, larger = list[bool](), list[bool]()
    for activation in GAINS:
        change = evidence.difference("dropout", "none", activation, depth)
        name = f"{activation}, depth {depth:g}: log10(first / last), dropout minus none"
        effects.append(Effect.of(name, change))
        smaller.append(change.high is not None and change.high < 0)
        larger.append(change.low is not None and change.low > 0)
        for arm in ("stochastic depth", "residual", "layer norm"):
            other = evidence.difference(arm, "none", activation, depth)
            name = f"{activation}, depth {depth:g}: {arm} minus none"
            effects.append(Effect.of(name, other))
        effects += profile(evidence, activation, depth)
    if all(smaller):
        return Finding(verdict="supported", sentence="Gradients grow less with dropout.", effects=tuple(effects))
    if any(smaller):
        name = ", ".join(name for name, yes in zip(GAINS, smaller, strict=True) if yes)
        others = ", ".join(name for name, yes in zip(GAINS, larger, strict=True) if yes) or "no other"
        text = f"Gradients grow less with dropout with {name}, and more with {others}."
        return Finding(verdict="conditional", condition="the activation", sentence=text, effects=tuple(effects))
    text = "Gradients that grow from layer to layer grow no less with dropout."
    if all(larger):
        text = "Gradients that grow from layer to layer grow faster with dropout, whose factor 1 / (1 - p) adds to it."
    return Finding(verdict="refuted", sentence=text, effects=tuple(effects))


CLAIM = Claim(
    id="C06",
    section="4.1.1",
    title="Exploding gradients",
    statement="Dropout reduces the problem of exploding gradients.",
    hypothesis="In nets whose gradients grow from layer to layer towards the input, dropout makes the gradient at the "
    "first hidden state smaller relative to that at the last.",
    refutation="At depth 50 the ratio is not smaller with dropout than without.",
    data="Gaussian inputs, random labels, nets at their initial weights: tanh with gain 2, ReLU with gain 1.7",
    arms=ARMS,
    metric="log10 of the gradient's norm at the first hidden state over that at the last, mean over 4 masks; "
    "beside it the norms of the gradients of the weights, in fifths of the layers",
    rule="Paired by seed at the greatest depth. Supported if the 95 % interval of dropout minus none lies below 0 for "
    "both activations, conditional if for one, refuted if for none.",
    units=units,
    measure=measure,
    judge=judge,
    panels=panels(GAINS),
    references=("Schoenholz et al. 2017, arXiv 1611.01232",),
)
