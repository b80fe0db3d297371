"""C16: gradient clipping is a dropout-based regulariser that reduces parameters and keeps generalisation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from thinout.lab.claims._claim import Claim, Effect, Finding, Panel, Size, Unit, grid
from thinout.lab.claims._evidence import Evidence
from thinout.lab.claims._training import SMALL, clean_metrics, images, mlp, recipe_for, train
from thinout.lab.statistics import PairedDifference

SETTINGS: dict[str, tuple[float, dict[str, Any]]] = {
    "none": (0.0, {}),
    "clip value": (0.0, {"clip_value": 0.01}),
    "clip norm": (0.0, {"clip_norm": 0.5}),
    "p=0.5": (0.5, {}),
}
MARGIN = 0.02  # nats
ARMS = {
    "none": "neither",
    "clip value": "each entry of the gradient limited to 0.01 in size",
    "clip norm": "the gradient's global norm limited to 0.5",
    "p=0.5": "dropout with p = 0.5 after each hidden layer, no clipping",
}


def units(size: Size) -> Sequence[Unit]:
    """Return every arm."""
    return grid(tuple(ARMS), 2 if size == "quick" else 10)


def measure(unit: Unit, size: Size) -> Mapping[str, float]:
    """Train one network by SGD, whose steps clipping really changes, and measure it."""
    splits, (p, changes) = images(SMALL, unit.seed), SETTINGS[unit.arm]
    steps = 100 if size == "quick" else 1500
    recipe = recipe_for(3600, steps=steps, optimizer="sgd", lr=0.05, schedule="cosine", **changes)
    model, _ = train(lambda: mlp(p), splits, recipe, unit.seed)
    count = sum(parameter.numel() for parameter in model.parameters())
    nonzero = sum(int(parameter.count_nonzero()) for parameter in model.parameters())
    return clean_metrics(model, splits) | {"parameters": count, "parameters that are not zero": nonzero}


def judge(evidence: Evidence) -> Finding:
    """Compare counts of parameters, gaps and losses."""
    effects = [
        Effect.of(f"{name}, {arm} minus none", evidence.difference(arm, "none", name), unit)
        for name, unit in (("gap", "nats"), ("test NLL", "nats"), ("test error", "percentage points"))
        for arm in list(ARMS)[1:]
    ]
    counts = {arm: set(evidence.values(arm, "parameters")) for arm in ARMS}
    fewer = any(max(counts[arm]) < min(counts["none"]) for arm in ("clip value", "clip norm"))
    effects.append(
        Effect(
            name="parameters that clipping removes",
            value=max(counts["none"]) - min(min(counts["clip value"]), min(counts["clip norm"])),
        )
    )
    gaps = {arm: evidence.difference(arm, "none", "gap") for arm in list(ARMS)[1:]}
    losses = {arm: evidence.difference(arm, "none", "test NLL") for arm in list(ARMS)[1:]}
    keeps = all(_is_kept(losses[arm]) for arm in ("clip value", "clip norm"))
    text = (
        f"Clipping {'removes parameters' if fewer else 'removes no parameter and drops nothing'}. It changes the test "
        f"NLL by {losses['clip value'].mean:+.3f} (value) and {losses['clip norm'].mean:+.3f} nats (norm), dropout by "
        f"{losses['p=0.5'].mean:+.3f}; the gap between test and training NLL by {gaps['clip value'].mean:+.3f}, "
        f"{gaps['clip norm'].mean:+.3f} and {gaps['p=0.5'].mean:+.3f}."
    )
    if fewer and keeps:
        return Finding(verdict="supported", sentence=text, effects=tuple(effects))
    if fewer or keeps:
        condition = "the part: " + (
            "generalisation is kept; no parameter goes, and nothing is dropped" if keeps
            else "parameters go, but generalisation is not shown to be kept"
        )  # fmt: skip
        return Finding(verdict="conditional", condition=condition, sentence=text, effects=tuple(effects))
    return Finding(verdict="refuted", sentence=text, effects=tuple(effects))


def _is_kept(difference: PairedDifference) -> bool:
    return difference.high is not None and difference.high < MARGIN


CLAIM = Claim(
    id="C16",
    section="4.1.2",
    title="Gradient clipping",
    statement="Gradient clipping is a dropout-based regulariser that reduces the parameters and keeps generalisation.",
    hypothesis="With clipping a trained net has fewer parameters, and predicts no worse.",
    refutation="As many parameters, and a prediction that is not shown to be as good.",
    data="fashion-mnist-small, perceptrons 784-512-512-10, SGD with momentum",
    arms=ARMS,
    metric="number of parameters; test NLL, dropout off; beside them test minus training NLL",
    rule=f"Generalisation is kept if with both forms of clipping the 95 % interval of the paired difference in test "
    f"NLL lies below {MARGIN} nats. Supported if there are fewer parameters and it is kept, conditional if one of "
    "the two holds, else refuted.",
    units=units,
    measure=measure,
    judge=judge,
    panels=(
        Panel(title="Generalisation gap", value="gap", what="test minus training NLL"),
        Panel(title="Test NLL", value="test NLL", what="test NLL in nats"),
        Panel(title="Parameters", value="parameters", what="parameters"),
    ),
    data_sets=(SMALL,),
    references=("Pascanu, Mikolov, Bengio 2013, arXiv 1211.5063",),
)
