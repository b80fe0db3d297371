"""C15: dropout adds parameters and memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import thinout.nn as tnn
from thinout.lab.claims._claim import Claim, Effect, Finding, Panel, Size, Unit, grid
from thinout.lab.claims._evidence import Evidence

WIDTHS = (128, 256, 512)
BATCH, CLASSES, P = 4096, 10, 0.5
LAYERS: dict[str, Callable[[], nn.Module]] = {
    "none": nn.Identity,
    "PyTorch": lambda: nn.Dropout(P),
    "thinout": lambda: tnn.Dropout(P),
}


def units(size: Size) -> Sequence[Unit]:
    """Return every implementation at every width."""
    return grid(tuple(LAYERS), 1, WIDTHS[:2] if size == "quick" else WIDTHS)


def measure(unit: Unit, size: Size) -> Mapping[str, float]:
    """Count parameters, entries of the state dict, and bytes that a training step keeps for its backward pass."""
    width = int(unit.x or 0)
    make = LAYERS[unit.arm]
    model = nn.Sequential(
        nn.Linear(width, width),
        nn.Tanh(),
        make(),
        nn.Linear(width, width),
        nn.Tanh(),
        make(),
        nn.Linear(width, CLASSES),
    )
    kept: dict[int, int] = {}
    x, labels = torch.randn(BATCH, width), torch.randint(CLASSES, (BATCH,))

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()  # what two operations share counts once
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        cross_entropy(model(x), labels)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        cross_entropy(model(x), labels).backward()  # type: ignore[no-untyped-call]  # torch's
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    activations = sum(size for place, size in kept.items() if place not in weights)
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "entries of the state dict": len(model.state_dict()),
        "kept for backward, KiB": activations / 1024,
        "elements masked": 2 * BATCH * width,
        "peak of a step, KiB": _peak_bytes(profile) / 1024,
    }


def _peak_bytes(profile: torch.profiler.profile) -> float:
    """Return the largest sum of what a step had allocated and not yet freed, from the profiler's own record."""
    record: Any = profile.profiler.kineto_results  # type: ignore[union-attr]  # it ran
    events: list[Any] = [event for event in record.events() if event.name() == "[memory]"]
    in_use = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        in_use += event.nbytes()
        peak = max(peak, in_use)
    return peak


def judge(evidence: Evidence) -> Finding:
    """Compare counts, which are exact, at the largest width."""
    x, effects = evidence.xs()[-1], []
    counts = {arm: evidence.values(arm, "parameters", x)[0] for arm in LAYERS}
    kept = {arm: 1024 * evidence.values(arm, "kept for backward, KiB", x)[0] for arm in LAYERS}
    elements = evidence.values("none", "elements masked", x)[0]
    for arm in ("PyTorch", "thinout"):
        effects.append(Effect(name=f"parameters added, {arm}, width {x:g}", value=counts[arm] - counts["none"]))
        per_element = (kept[arm] - kept["none"]) / elements
        peaks = [evidence.values(name, "peak of a step, KiB", x)[0] for name in (arm, "none")]
        effects.append(Effect(name=f"peak of a step over that without dropout, {arm}", value=peaks[0] / peaks[1]))
        effects.append(Effect(name=f"kept for backward by an element, {arm}", value=per_element, unit="bytes"))
    more_parameters = any(counts[arm] > counts["none"] for arm in LAYERS)
    masks = {arm: (kept[arm] - kept["none"]) / elements for arm in ("PyTorch", "thinout")}
    text = (
        f"Dropout adds no parameter. In training PyTorch keeps {masks['PyTorch']:.1f} bytes more for each element than "
        f"the net without dropout, and thinout, which keeps a key in place of the mask, {masks['thinout']:.1f}."
    )
    if more_parameters:
        return Finding(verdict="supported", sentence="There are more parameters.", effects=tuple(effects))
    if min(masks.values()) >= 1:
        condition = "what is meant: memory of training, not parameters"
        return Finding(verdict="conditional", condition=condition, sentence=text, effects=tuple(effects))
    return Finding(verdict="refuted", sentence=text, effects=tuple(effects))


CLAIM = Claim(
    id="C15",
    section="4.1.2",
    title="Parameters and memory",
    statement="Dropout adds parameters, and memory to hold them.",
    hypothesis="A net has more parameters, more entries in its state dict, and needs more memory for a training step "
    "with dropout than without.",
    refutation="The counts are equal.",
    data=f"perceptrons with two hidden layers of tanh, batches of {BATCH} random inputs",
    arms={"none": "no dropout", "PyTorch": "torch.nn.Dropout", "thinout": "thinout.nn.Dropout"},
    metric="parameters; bytes of the tensors kept for the backward pass, weights not counted and shared memory once; "
    "the peak of what a step has allocated",
    rule="Supported if there are more parameters. Otherwise conditional if every implementation keeps at least one "
    "byte an element more than the net without dropout, refuted if one keeps less than that.",
    units=units,
    measure=measure,
    judge=judge,
    panels=(
        Panel(title="Kept for the backward pass", value="kept for backward, KiB", what="KiB", axis="width", log="xy"),
        Panel(title="Peak of a step", value="peak of a step, KiB", what="KiB", axis="width", log="xy"),
        Panel(title="Parameters", value="parameters", what="parameters", axis="width", log="xy"),
    ),
)
