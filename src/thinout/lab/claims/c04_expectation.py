"""C04: a mask, with or without scaling, leaves the expected activation as it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from thinout import functional as F
from thinout import ops
from thinout.lab.claims._claim import Claim, Effect, Finding, Panel, Size, Unit, grid
from thinout.lab.claims._evidence import Evidence
from thinout.lab.claims._training import SIDE, SMALL, examples, images, recipe_for, train
from thinout.lab.metrics import nll_by_example
from thinout.nn import Dropout

RATES = (0.1, 0.2, 1 / 3, 0.5, 0.8)
HIDDEN, MASKS = 128, 100
_ELEMENTS = {"quick": 1 << 16, "full": 1 << 20}
OUTPUT, COST = "output of a net, off over the mean of masks", "NLL that the missing factor costs a net"


class Unscaled(nn.Module):
    """A mask as the article's formula has it: what is kept stays as it is, and at test time nothing is done.

    Args:
        p: drop probability.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Return x, masked in training."""
        return F.classic_dropout(x, self.p, training=True) if self.training else x


def units(size: Size) -> Sequence[Unit]:
    """Return both forms at each rate."""
    return grid(("scaled", "unscaled"), seeds=3 if size == "quick" else 8, xs=RATES)


def measure(unit: Unit, size: Size) -> Mapping[str, float]:
    """Mask a constant activation of 1, and train a net with such masks; compare means with what is there without."""
    p = float(unit.x or 0)
    activation = torch.ones(_ELEMENTS[size])
    if unit.arm == "scaled":
        masked = F.dropout(activation, p, training=True)
    else:
        masked = F.classic_dropout(activation, p, training=True)
    return _net(unit, size) | {
        "mean": masked.double().mean().item(),
        "formula": 1.0 if unit.arm == "scaled" else 1 - ops.effective_p(p),
    }


def _net(unit: Unit, size: Size) -> dict[str, float]:
    p, splits = float(unit.x or 0), images(SMALL, unit.seed)

    def make() -> nn.Module:
        mask = Dropout(p) if unit.arm == "scaled" else Unscaled(p)
        return nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, HIDDEN), nn.ReLU(), mask, nn.Linear(HIDDEN, 10))

    model, _ = train(make, splits, recipe_for(3600, steps=60 if size == "quick" else 300), unit.seed)
    x, labels = examples(splits.test)
    *layers, mask, last = model.children()
    with torch.no_grad():
        hidden = nn.Sequential(*layers)(x)
        mask.train()
        masked = torch.stack([last(mask(hidden)) for _ in range(MASKS)]).double().mean(0)
        off = last(hidden)
    values = {OUTPUT: (off.double().norm() / masked.norm()).item()}
    if unit.arm == "unscaled":
        scaled = last(hidden * (1 - ops.effective_p(p)))
        nll, rescued = (nll_by_example(logits, labels).double().mean().item() for logits in (off, scaled))
        values[COST] = nll - rescued
    return values


def judge(evidence: Evidence) -> Finding:
    """Compare the means with 1, and what a net says with dropout off with the mean of what it says with masks."""
    effects, kept, lost = list[Effect](), True, True
    for x in evidence.xs():
        for arm in ("scaled", "unscaled"):
            mean = evidence.mean(arm, "mean", x)
            effects.append(Effect.of(f"mean, {arm}, p = {x:.3g}", mean))
            if arm == "scaled":
                kept = kept and abs(mean.mean - 1) < 0.01 * x
            elif mean.low is not None and mean.high is not None:
                lost = lost and not mean.low <= 1 <= mean.high
    for x in evidence.xs():
        for arm in ("scaled", "unscaled"):
            effects.append(Effect.of(f"{OUTPUT}, {arm}, p = {x:.3g}", evidence.mean(arm, OUTPUT, x)))
        effects.append(Effect.of(f"{COST}, p = {x:.3g}", evidence.mean("unscaled", COST, x), "nats"))
    scaled, unscaled = (evidence.mean(arm, OUTPUT, 0.5).mean for arm in ("scaled", "unscaled"))
    cost = evidence.mean("unscaled", COST, 0.5).mean
    if not kept:
        return Finding(verdict="refuted", sentence="Even the scaled mask changed the mean.", effects=tuple(effects))
    if not lost:
        return Finding(verdict="supported", sentence="Neither mask changed the mean.", effects=tuple(effects))
    return Finding(
        verdict="conditional",
        condition="the factor 1 / (1 - p) on what is kept",
        sentence="With the factor 1 / (1 - p) the mean is kept; without it the mean falls to 1 - p, whatever p is. A "
        f"net with p = 0.5 says with dropout off {scaled:.2f} times what it says on average with masks, and "
        f"{unscaled:.2f} times where the factor is missing, which costs it {cost:+.3f} nats.",
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
    refutation="Even with the factor the mean differs from 1 by more than p / 100.",
    data="activations of 1, masked by the mask contract; beside them fashion-mnist-small and a perceptron 784-128-10 "
    "trained with a mask of either form on its hidden layer",
    arms={"scaled": "kept units times 1 / (1 - p)", "unscaled": "kept units as they are"},
    metric="mean of the masked activations; beside it the length of the net's logits with dropout off over that of "
    f"their mean over {MASKS} masks, and the NLL with dropout off minus that with activations times 1 - p",
    rule="Refuted if the scaled form does not keep the mean (by more than p / 100). Otherwise conditional on scaling "
    "if the 95 % interval of the unscaled form's mean leaves 1 out at every rate, else supported.",
    units=units,
    measure=measure,
    judge=judge,
    data_sets=(SMALL,),
    panels=(
        Panel(title="Mean of a masked activation of 1", value="mean", what="mean", axis="p", level=1.0),
        Panel(
            title="Output of a net with dropout off, over its mean with masks",
            value=OUTPUT,
            what="ratio",
            axis="p",
            level=1.0,
        ),
    ),
    references=("Srivastava et al. 2014, JMLR 15:1929-1958",),
)
