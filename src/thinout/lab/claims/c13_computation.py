"""C13: dropout lightens computation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

import thinout.nn as tnn
from thinout.lab.bench import quiet, take_turns
from thinout.lab.claims._claim import Claim, Effect, Finding, Panel, Size, Unit, grid
from thinout.lab.claims._evidence import Evidence

WIDTH, BATCH, BLOCK = 1024, 128, 32
RATES = (0.2, 0.5, 0.8)
ARMS = {
    "dense": "two linear layers without dropout",
    "element masks": "thinout.nn.Dropout on the hidden layer: a mask of every element of every example",
    "unit masks": "the same units dropped for the whole batch, and their rows and columns not computed",
    "block masks": f"the same with blocks of {BLOCK} neighbouring units",
}


def units(size: Size) -> Sequence[Unit]:
    """Return each kind of mask at each rate; a unit times its own form and the dense one in turns."""
    return grid(tuple(ARMS)[1:], 1 if size == "quick" else 8, RATES[1:2] if size == "quick" else RATES)


def measure(unit: Unit, size: Size) -> Mapping[str, float]:
    """Return time and multiply-adds of forward and backward, each over the dense form's."""
    torch.manual_seed(unit.seed)
    p, rounds = float(unit.x or 0), 5 if size == "quick" else 15
    first, second = nn.Linear(WIDTH, WIDTH, bias=False), nn.Linear(WIDTH, WIDTH, bias=False)
    x = torch.randn(BATCH, WIDTH, requires_grad=True)
    forms = {"dense": _dense(first, second, nn.Identity()), "own": _form(unit.arm, p, first, second)}
    with quiet(1):
        times = take_turns({name: _step(form, x, first, second) for name, form in forms.items()}, rounds)
    kept = 1.0 if unit.arm == "element masks" else _num_kept(unit.arm, p) / WIDTH
    ratio = times.ratio("own", "dense")
    return {"time over dense": ratio.median, "multiply-adds over dense": kept}


Form = Callable[[Tensor], Tensor]


def _dense(first: nn.Linear, second: nn.Linear, dropout: nn.Module) -> Form:
    def run(x: Tensor) -> Tensor:
        y: Tensor = second(dropout(first(x).relu()))
        return y

    return run


def _num_kept(arm: str, p: float) -> int:
    size = BLOCK if arm == "block masks" else 1
    return size * max(1, round((1 - p) * WIDTH / size))


def _form(arm: str, p: float, first: nn.Linear, second: nn.Linear) -> Form:
    if arm == "element masks":
        return _dense(first, second, tnn.Dropout(p))
    size = BLOCK if arm == "block masks" else 1
    kept = _num_kept(arm, p)

    def run(x: Tensor) -> Tensor:
        chosen = torch.randperm(WIDTH // size)[: kept // size]
        rows = first.weight.view(-1, size, WIDTH)[chosen].view(kept, WIDTH)
        columns = second.weight.view(WIDTH, -1, size)[:, chosen].reshape(WIDTH, kept)
        return ((x @ rows.T).relu() * (WIDTH / kept)) @ columns.T

    return run


def _step(form: Form, x: Tensor, *layers: nn.Linear) -> Callable[[], object]:
    inputs = [x, *(layer.weight for layer in layers)]
    grad = torch.ones(BATCH, WIDTH)
    return lambda: torch.autograd.grad(form(x), inputs, grad)


def judge(evidence: Evidence) -> Finding:
    """Ask which masks take less time than no mask."""
    effects, lighter = [], {}
    for arm in list(ARMS)[1:]:
        for x in evidence.xs():
            time = evidence.mean(arm, "time over dense", x)
            effects.append(Effect.of(f"time over dense, {arm}, p = {x:g}", time))
            lighter[arm, x] = time.high is not None and time.high < 1
    x = 0.5
    text = "; ".join(
        f"{arm}: {evidence.mean(arm, 'time over dense', x).mean:.2f} times the time of no dropout and "
        f"{evidence.mean(arm, 'multiply-adds over dense', x).mean:.2f} times its multiply-adds"
        for arm in list(ARMS)[1:]
    )
    text = f"At p = 0.5, {text}."
    if all(lighter.values()):
        return Finding(verdict="supported", sentence=text, effects=tuple(effects))
    if not any(lighter.values()):
        return Finding(verdict="refuted", sentence=text, effects=tuple(effects))
    condition = "mask and rate: " + ", ".join(f"{arm} at p = {x:g}" for (arm, x), less in lighter.items() if less)
    return Finding(verdict="conditional", condition=condition, sentence=text, effects=tuple(effects))


CLAIM = Claim(
    id="C13",
    section="4.1.1",
    title="Computation",
    statement="Dropout lightens computation, since dropped units need not be computed.",
    hypothesis="Forward and backward of two layers take less time with dropout between them than without, whatever the "
    "mask.",
    refutation="They take no less time with any kind of mask.",
    data=f"two linear layers of {WIDTH} units, batches of {BATCH} random inputs, one CPU thread",
    arms=ARMS,
    metric="time of forward and backward over that of the dense form, median of ratios taken in turns; beside it the "
    "multiply-adds of the matrix products",
    rule="Supported if the 95 % interval over seeds lies below 1 for every mask at every rate, refuted if for none, "
    "else conditional.",
    units=units,
    measure=measure,
    judge=judge,
    is_timed=True,
    panels=(
        Panel(title="Time over no dropout", value="time over dense", what="ratio", axis="p", level=1.0),
        Panel(
            title="Multiply-adds over no dropout", value="multiply-adds over dense", what="ratio", axis="p", level=1.0
        ),
    ),
    references=("Graham, Reizenstein, Robinson 2015, arXiv 1502.02478", "Song et al. 2019, arXiv 1805.08939"),
)
