"""C04: a mask, with or without scaling, leaves the expected activation as it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from thinout import functional as F
from thinout import ops
from thinout.lab.claims._claim import Claim, Effect, Finding, Panel, Size, Unit, grid
from thinout.lab.claims._evidence import Evidence

RATES = (0.1, 0.2, 1 / 3, 0.5, 0.8)
_ELEMENTS = {"quick": 1 << 16, "full": 1 << 22}


def units(size: Size) -> Sequence[Unit]:
    """Return both forms at each rate."""
    return grid(("scaled", "unscaled"), seeds=3 if size == "quick" else 10, xs=RATES)


def measure(unit: Unit, size: Size) -> Mapping[str, float]:
    """Mask a constant activation of 1 and return the mean of what is left, and of what the formula says."""
    p = float(unit.x or 0)
    activation = torch.ones(_ELEMENTS[size])
    if unit.arm == "scaled":
        masked = F.dropout(activation, p, training=True)
    else:
        masked = F.classic_dropout(activation, p, training=True)
    return {"mean": masked.double().mean().item(), "formula": 1.0 if unit.arm == "scaled" else 1 - ops.effective_p(p)}


def judge(evidence: Evidence) -> Finding:
    """Compare the means with 1, and with the keep probability."""
    effects, kept, lost = [], True, True
    for x in evidence.xs():
        for arm in ("scaled", "unscaled"):
            mean = evidence.mean(arm, "mean", x)
            effects.append(Effect.of(f"mean, {arm}, p = {x:.3g}", mean))
            low, high = mean.low or mean.mean, mean.high or mean.mean
            if arm == "scaled":
                kept = kept and abs(mean.mean - 1) < 0.01 * x
            else:
                lost = lost and not low <= 1 <= high
    if not kept:
        return Finding(verdict="refuted", sentence="Even the scaled mask changed the mean.", effects=tuple(effects))
    if not lost:
        return Finding(verdict="supported", sentence="Neither mask changed the mean.", effects=tuple(effects))
    return Finding(
        verdict="conditional",
        condition="the factor 1 / (1 - p) on what is kept",
        sentence="With the factor 1 / (1 - p) the mean is kept; without it the mean falls to 1 - p, whatever p is.",
        effects=tuple(effects),
    )


CLAIM = Claim(
    id="C04",
    section="2.2",
    title="Expectation under a mask",
    statement="Masking units with probability p leaves the expected activation as it was, the formula carrying no "
    "scaling factor.",
    hypothesis="The mean of an activation of 1 under a mask of rate p is 1, with the factor 1 / (1 - p) on what is "
    "kept and without it.",
    refutation="A mean that differs from 1: its 95 % interval over seeds does not hold 1.",
    data="activations of 1, masked by the mask contract; nothing is trained",
    arms={"scaled": "kept units times 1 / (1 - p)", "unscaled": "kept units as they are"},
    metric="mean of the masked activations",
    rule="Supported if both forms keep the mean, refuted if the scaled form does not (by more than p / 100), "
    "conditional on scaling if only the unscaled form loses it at every rate.",
    units=units,
    measure=measure,
    judge=judge,
    panels=(Panel(title="Mean of a masked activation of 1", value="mean", what="mean", axis="p", level=1.0),),
    references=("Srivastava et al. 2014, JMLR 15:1929-1958",),
)
