"""C09: dropout helps to avoid local optima."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from thinout import functional as F
from thinout.lab.claims._claim import Claim, Effect, Finding, Panel, Size, Unit, Verdict, grid
from thinout.lab.claims._evidence import Evidence

RESTARTS, STEPS, LR = 100, 2000, 0.05
# Chosen by plain descent alone, on two seeds that are not among those compared: it solves 73 to 95 % of the restarts.
PROBLEMS = ("exclusive or, 2 units", "parity of 3 bits, 3 units", "parity of 4 bits, 6 units")
SIZES = ((2, 2), (3, 3), (4, 6))  # bits, hidden units
RATES = {"none": 0.0, "p=0.1": 0.1, "p=0.3": 0.3}
NOISES = {"noise of p=0.1": 0.1, "noise of p=0.3": 0.3}
ARMS = {
    "none": "plain gradient descent with momentum 0.9 on all examples",
    "p=0.1": "dropout with p = 0.1 on the hidden layer",
    "p=0.3": "dropout with p = 0.3 on the hidden layer",
    **{
        name: f"no dropout, but isotropic Gaussian noise added to the gradient, its length that of the noise which p = "
        f"{p} adds at the same place"
        for name, p in NOISES.items()
    },
}


def units(size: Size) -> Sequence[Unit]:
    """Return every arm on every problem."""
    return grid(tuple(ARMS), 2 if size == "quick" else 8, range(len(PROBLEMS)))


def measure(unit: Unit, size: Size) -> Mapping[str, float]:
    """Train many restarts side by side; report how many end with every example right, and the clean loss."""
    torch.manual_seed(unit.seed)
    x, y, hidden = _problem(int(unit.x or 0))
    restarts, steps = (20, 300) if size == "quick" else (RESTARTS, STEPS)
    weights = [
        (torch.randn(restarts, x.shape[1], hidden) / math.sqrt(x.shape[1])),
        torch.zeros(restarts, 1, hidden),
        (torch.randn(restarts, hidden, 1) / math.sqrt(hidden)),
        torch.zeros(restarts, 1, 1),
    ]
    momenta = [torch.zeros_like(weight) for weight in weights]
    torch.manual_seed(1_000_003 + unit.seed)
    for step in range(steps):
        lr = LR * (1 - step / steps)  # to 0, so that noise does not decide where it ends
        for weight, momentum, gradient in zip(weights, momenta, _gradients(unit.arm, weights, x, y), strict=True):
            momentum.mul_(0.9).add_(gradient)
            weight.sub_(lr * momentum)
    logits = _net(weights, x, 0.0)
    losses = _losses(logits, y)
    right = ((logits > 0) == (y > 0.5)).all(1)
    return {"solved": 100 * right.double().mean().item(), "clean loss": losses.median().item()}


def _problem(number: int) -> tuple[Tensor, Tensor, int]:
    bits, hidden = SIZES[number]
    x = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * bits)
    return x, (x.prod(1) < 0).float(), hidden


def _net(weights: Sequence[Tensor], x: Tensor, p: float) -> Tensor:
    first, bias, second, last = weights
    hidden = torch.tanh(x @ first + bias)  # (restarts, examples, hidden)
    logits: Tensor = (F.dropout(hidden, p, training=p > 0) @ second + last).squeeze(2)
    return logits


def _losses(logits: Tensor, y: Tensor) -> Tensor:
    target = y.expand_as(logits)
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none").mean(1)


def _gradient(weights: Sequence[Tensor], x: Tensor, y: Tensor, p: float) -> list[Tensor]:
    leaves = [weight.requires_grad_() for weight in weights]
    gradient = torch.autograd.grad(_losses(_net(leaves, x, p), y).sum(), leaves)
    for leaf in leaves:
        leaf.requires_grad_(False)
    return list(gradient)


def _gradients(arm: str, weights: Sequence[Tensor], x: Tensor, y: Tensor) -> list[Tensor]:
    if arm not in NOISES:
        return _gradient(weights, x, y, RATES[arm])
    clean, masked = _gradient(weights, x, y, 0.0), _gradient(weights, x, y, NOISES[arm])
    length = sum((a - b).square().flatten(1).sum(1) for a, b in zip(clean, masked, strict=True))
    noise = [torch.randn_like(gradient) for gradient in clean]
    own = sum(each.square().flatten(1).sum(1) for each in noise)
    factor = (torch.as_tensor(length) / torch.as_tensor(own)).sqrt().view(-1, 1, 1)
    return [gradient + factor * each for gradient, each in zip(clean, noise, strict=True)]


def judge(evidence: Evidence) -> Finding:
    """Compare the shares of solved restarts with those of plain descent and of plain noise of the same length."""
    solved, losses = list[Effect](), list[Effect]()
    better, worse, beats_noise = list[str](), list[str](), list[str]()
    level = 0.05 / (2 * len(PROBLEMS))
    for x, problem in enumerate(PROBLEMS):
        for arm, noise in zip(("p=0.1", "p=0.3"), NOISES, strict=True):
            change, over_noise = (evidence.difference(arm, other, "solved", x) for other in ("none", noise))
            loss = evidence.difference(arm, "none", "clean loss", x)
            solved.append(Effect.of(f"{problem}: solved, {arm} minus none", change, "percentage points"))
            solved.append(Effect.of(f"{problem}: solved, {arm} minus {noise}", over_noise, "percentage points"))
            losses.append(Effect.of(f"{problem}: clean loss of the median restart, {arm} minus none", loss, "nats"))
            if change.p_value is None or change.p_value >= level:
                continue
            (better if change.mean > 0 else worse).append(f"{problem} ({arm})")
            if change.mean > 0 and over_noise.low is not None and over_noise.low > 0:
                beats_noise.append(f"{problem} ({arm})")
    text = (
        f"Of {2 * len(PROBLEMS)} comparisons of dropout with plain descent, more restarts were solved in {len(better)} "
        f"({'; '.join(better) or 'none'}) and fewer in {len(worse)} ({'; '.join(worse) or 'none'})."
    )
    effects = tuple(solved + losses)
    if len(beats_noise) == 2 * len(PROBLEMS):
        return Finding(verdict="supported", sentence=text, effects=effects)
    if not better:
        verdict: Verdict = "refuted" if worse else "no evidence"
        return Finding(verdict=verdict, sentence=text, effects=effects)
    if not beats_noise:
        text += " Where more were solved, plain noise of the same length was not shown to do less."
        return Finding(verdict="refuted", sentence=text, effects=effects)
    text += f" More than with plain noise of the same length: {'; '.join(beats_noise)}."
    return Finding(verdict="conditional", condition="the problem and the rate", sentence=text, effects=effects)


CLAIM = Claim(
    id="C09",
    section="2.3",
    title="Local optima",
    statement="Dropout helps training to avoid local optima.",
    hypothesis="On small problems that plain descent solves from some starting points only, more restarts are solved "
    "with dropout, and more than with gradient noise of the same length.",
    refutation="Not more restarts are solved, or no more than with plain noise.",
    data="exclusive or with 2 tanh units, parity of 3 bits with 3 and of 4 bits with 6; full batches, 100 restarts a "
    "seed, the learning rate falling to zero",
    arms=ARMS,
    metric="share of restarts that end with every example classified right, dropout off; beside it the median clean "
    "loss",
    rule="Two rates on three problems, paired by seed, significant at 0.05 over six comparisons; better than noise "
    "where the 95 % interval of dropout minus noise of the same length lies above 0. Supported if dropout is better in "
    "all, and better than noise; refuted if it is better in none and worse in some, or better than plain descent but "
    "nowhere shown better than noise; conditional if better than both in some; else no evidence.",
    units=units,
    measure=measure,
    judge=judge,
    panels=(
        Panel(title="Restarts solved", value="solved", what="%", axis="problem: 0 exclusive or, 1 parity of 3, 2 of 4"),
        Panel(title="Clean loss of the median restart", value="clean loss", what="nats", axis="problem", log="y"),
    ),
)
