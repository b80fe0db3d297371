"""C05: dropout reduces vanishing gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from thinout.lab.claims._claim import Claim, Effect, Finding, Size, Unit, Verdict, grid
from thinout.lab.claims._deep import ARMS, DEPTHS, gradient_norms, panels, profile
from thinout.lab.claims._evidence import Evidence

GAINS = {"tanh": 0.9, "ReLU": 1.2}  # below 1 and below sqrt(2): without help, gradients shrink from layer to layer


def units(size: Size) -> Sequence[Unit]:
    """Return every arm at every depth."""
    return grid(tuple(ARMS), 2 if size == "quick" else 10, (5, 20) if size == "quick" else DEPTHS)


def measure(unit: Unit, size: Size) -> Mapping[str, float]:
    """Return how much smaller the gradient of the first layer is."""
    return gradient_norms(unit, size, GAINS)


def judge(evidence: Evidence) -> Finding:
    """Compare dropout with nothing and with the scale of its factor alone, at the greatest depth."""
    depth, effects = evidence.xs()[-1], list[Effect]()
    beats_none, beats_scale = list[bool](), list[bool]()
    for activation in GAINS:
        for baseline, results in (("none", beats_none), ("scale", beats_scale)):
            change = evidence.difference("dropout", baseline, activation, depth)
            name = f"{activation}, depth {depth:g}: log10(first / last), dropout minus {baseline}"
            effects.append(Effect.of(name, change))
            results.append(change.low is not None and change.low > 0)
        for arm in ("stochastic depth", "residual", "layer norm"):
            change = evidence.difference(arm, "none", activation, depth)
            name = f"{activation}, depth {depth:g}: {arm} minus none"
            effects.append(Effect.of(name, change))
        effects += profile(evidence, activation, depth)
    verdict: Verdict = "refuted"
    if all(beats_scale) and any(beats_none):
        verdict, text = "supported", "Dropout keeps the gradient of early layers larger than the scale alone would."
    elif not any(beats_none):
        text = "Dropout makes the gradient of early layers no larger with either activation."
    elif not any(beats_scale):
        text = (
            "Where the gradient of early layers is larger with dropout, the factor 1 / (1 - p) does it: the same "
            "net without masks, its weights scaled alike, does no worse."
        )
    else:
        verdict = "conditional"
        text = "Beyond its mere scale, dropout keeps the gradient of early layers larger with one activation alone."
    condition = "the activation" if verdict == "conditional" else ""
    return Finding(verdict=verdict, sentence=text, effects=tuple(effects), condition=condition)


CLAIM = Claim(
    id="C05",
    section="2.3, 4.1.1",
    title="Vanishing gradients",
    statement="Dropout reduces the problem of vanishing gradients.",
    hypothesis="In nets whose gradients shrink from layer to layer, dropout makes the gradient at the first hidden "
    "state larger relative to that at the last, by more than its factor 1 / (1 - p) does as a mere scale of weights.",
    refutation="At depth 50 the gradient is not larger than without dropout, or not larger than with the scale alone.",
    data="Gaussian inputs, random labels, nets at their initial weights: tanh with gain 0.9, ReLU with gain 1.2",
    arms=ARMS,
    metric="log10 of the gradient's norm at the first hidden state over that at the last, mean over 4 masks; "
    "beside it the norms of the gradients of the weights, in fifths of the layers",
    rule="Paired by seed at the greatest depth. Supported if the 95 % interval of dropout minus scale lies above 0 for "
    "both activations, refuted if it does for none (or if dropout minus none does for none), else conditional.",
    units=units,
    measure=measure,
    judge=judge,
    panels=panels(GAINS),
    references=("Schoenholz et al. 2017, arXiv 1611.01232", "Huang et al. 2016, arXiv 1603.09382"),
)
