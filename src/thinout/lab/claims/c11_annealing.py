"""C11: dropout acts like simulated annealing, and so does better on massive data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from thinout import functional as F
from thinout.lab.claims._claim import Claim, Effect, Finding, Panel, Size, Unit, grid
from thinout.lab.claims._evidence import Evidence
from thinout.lab.claims._training import clean_metrics, images, mlp, recipe_for
from thinout.lab.training import RunSeeds, fit, seeded
from thinout.schedules import Annealed, Constant, Curriculum, DropoutScheduler, Schedule

P, SIZES = 0.5, (300, 3000, 30_000)
NUM, FEATURES, STEPS = 60, 20, 6000
ARMS = {
    "none": "no dropout",
    "constant": f"p = {P} throughout, dropout as the article describes it",
    "annealed": f"p falling from {P} to 0, as a temperature does",
    "curriculum": f"p rising from 0 to {P}",
}


def units(size: Size) -> Sequence[Unit]:
    """Return every arm at every number of training images."""
    return grid(tuple(ARMS), 2 if size == "quick" else 8, SIZES[:1] if size == "quick" else SIZES)


def schedule(arm: str, num_steps: int) -> Schedule:
    """Return the rate of an arm over the steps of a training."""
    choices: dict[str, Schedule] = {
        "none": Constant(0.0),
        "constant": Constant(P),
        "annealed": Annealed(P, num_steps=num_steps),
        "curriculum": Curriculum(P, num_steps=num_steps),
    }
    return choices[arm]


def measure(unit: Unit, size: Size) -> Mapping[str, float]:
    """Train a perceptron under the schedule; and find where the same schedule leads linear least squares."""
    num_train = int(unit.x or 0)
    splits, seeds = images("fashion-mnist", unit.seed, num_train=num_train), RunSeeds.from_seed(unit.seed)
    recipe = recipe_for(num_train, steps=100 if size == "quick" else 1200)
    with seeded(seeds.init):
        model = mlp(P)
    num_steps = recipe.epochs * -(-num_train // recipe.batch_size)
    scheduler = DropoutScheduler(model, schedule(unit.arm, num_steps), match=["4", "7"])
    per_epoch = -(-num_train // recipe.batch_size)
    fit(
        model, splits, recipe, seeds=seeds,
        progress=lambda epoch, step, *_: scheduler.set_step(min((epoch - 1) * per_epoch + step, num_steps)),
    )  # fmt: skip
    return clean_metrics(model, splits) | _least_squares(unit, 600 if size == "quick" else STEPS)


def _least_squares(unit: Unit, num_steps: int) -> dict[str, float]:
    """Return how far descent with dropout on the inputs ends from the clean optimum, and from a ridge solution."""
    generator = torch.Generator().manual_seed(unit.seed)
    x = torch.randn(NUM, FEATURES, generator=generator, dtype=torch.float64)
    y = x @ torch.randn(FEATURES, generator=generator, dtype=torch.float64)
    y = y + 0.5 * torch.randn(NUM, generator=generator, dtype=torch.float64)
    clean = torch.linalg.lstsq(x, y).solution
    gram = x.T @ x
    ridge = torch.linalg.solve(gram + P / (1 - P) * torch.diag(gram.diagonal()), x.T @ y)
    weights, average = torch.zeros(FEATURES, dtype=torch.float64), torch.zeros(FEATURES, dtype=torch.float64)
    rates = schedule(unit.arm, num_steps)
    torch.manual_seed(unit.seed)
    for step in range(num_steps):
        masked = F.dropout(x, rates(step), training=True)
        weights = weights - 0.05 / NUM * masked.T @ (masked @ weights - y)
        if step >= 0.9 * num_steps:  # the mean of the last tenth: where it settles, without the noise of its steps
            average += weights / (num_steps - -(-9 * num_steps // 10))
    return {
        "way to least squares": ((average - clean).norm() / clean.norm()).item(),
        "way to ridge": ((average - ridge).norm() / clean.norm()).item(),
    }


def judge(evidence: Evidence) -> Finding:
    """Ask whether constant dropout ends at the clean optimum, and whether its gain grows with the data."""
    xs = evidence.xs()
    effects = [
        Effect.of(f"{name}, {arm}", evidence.mean(arm, name, xs[-1]))
        for name in ("way to least squares", "way to ridge")
        for arm in ARMS
    ]
    gains = {}
    for arm in list(ARMS)[1:]:
        for x in xs:
            gains[arm, x] = evidence.difference(arm, "none", "test NLL", x)
            effects.append(Effect.of(f"test NLL, {x:,.0f} images, {arm} minus none", gains[arm, x], "nats"))
    constant, annealed = (evidence.mean(arm, "way to least squares", xs[-1]) for arm in ("constant", "annealed"))
    anneals = (constant.high or constant.mean) < 0.1
    first, last = gains["constant", xs[0]], gains["constant", xs[-1]]
    grows = last.mean < first.mean and last.high is not None and last.high < 0
    text = (
        f"In least squares constant dropout settles {constant.mean:.2f} of the solution's length away from the "
        f"optimum of the clean loss and {evidence.mean('constant', 'way to ridge', xs[-1]).mean:.2f} from a ridge "
        f"solution, annealed dropout {annealed.mean:.2f} from the optimum. On images constant dropout changes the "
        f"test NLL by {first.mean:+.3f} nats with {xs[0]:,.0f} images and by {last.mean:+.3f} with {xs[-1]:,.0f}."
    )
    if anneals and grows:
        return Finding(verdict="supported", sentence=text, effects=tuple(effects))
    if anneals or grows:
        condition = "the half: " + ("its end point" if anneals else "the effect of more data")
        return Finding(verdict="conditional", condition=condition, sentence=text, effects=tuple(effects))
    return Finding(verdict="refuted", sentence=text, effects=tuple(effects))


CLAIM = Claim(
    id="C11",
    section="2.3",
    title="Like simulated annealing",
    statement="Dropout acts like simulated annealing, and therefore does better on massive data.",
    hypothesis="Training with a constant rate ends at the optimum of the loss without noise, as annealing does; and "
    "what dropout gains grows with the amount of data.",
    refutation="It ends elsewhere, and gains no more with more data.",
    data="linear least squares of 60 examples and 20 features with dropout on the inputs; Fashion-MNIST with 300 to "
    "30,000 training images and a perceptron 784-512-512-10",
    arms=ARMS,
    metric="distance of the mean of the last tenth of the iterates to the least-squares solution over its length; "
    "test NLL",
    rule="The first half holds if the upper end of the 95 % interval of constant dropout's distance is below 0.1; the "
    "second if its gain in test NLL is larger at the largest size than at the smallest and its interval lies below 0 "
    "there. Supported if both hold, conditional if one does, else refuted.",
    units=units,
    measure=measure,
    judge=judge,
    panels=(
        Panel(title="Test NLL", value="test NLL", what="test NLL in nats", axis="training images", log="x"),
        Panel(
            title="Distance to least squares",
            value="way to least squares",
            what="of its length",
            axis="training images",
            log="x",
        ),
    ),
    data_sets=("fashion-mnist",),
    references=("Rennie, Goel, Thomas 2014, Annealed dropout", "Morerio et al. 2017, arXiv 1703.06229"),
)
