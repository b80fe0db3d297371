"""Do learned rates land where a sweep of fixed rates has its best? Written down once.

    python scripts/learned_rate.py --out docs/results/learned-rate.json

Regression: y = w x + noise of variance 1, dropout on the features. For each fixed rate the weights that minimise the
training loss solve a linear system, and their expected loss on new data is known, so that the sweep is exact. So is
the rate that each bound on the evidence prefers, over several sizes of the problem (`bounds`). For one of them the
rates are learned by training, too (`regression`).

Fashion-MNIST (the part in the package): a linear classifier of 512 fixed random features, dropout on the features,
1,000 training images, the loss on the 2,000 test images (`fashion-mnist`). With 4,000 images, which were tried first,
no rate gains anything worth measuring.

The gain of a rate is how much less its loss on new data is than without dropout, in the mean over data sets or seeds.
The plateau are the rates that keep three quarters of the gain of the best fixed rate.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import thinout
import thinout.nn as tnn
from thinout import functional as F
from thinout.lab.bench import Measurement
from thinout.lab.data import load

RATES = (0.0, 0.01, *(0.02 * step for step in range(1, 46)))
COARSE = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
PROBLEMS = tuple(  # features, examples, variance of the signal
    (features, round(features * ratio), signal) for features in (20, 50) for ratio in (2.4, 10) for signal in (0.3, 1.0)
)
TRAINED = (50, 120, 1.0)
NUM_DATA_SETS, NUM_TRAINED, NUM_SEEDS = 24, 8, 6
KEEPS = 0.75

Trained = tuple[float, float]
"""The loss on new data and the rate at the end."""
Make = Callable[[nn.Linear], nn.Module]
"""From a linear layer to the dropout before it."""


def train(
    drop: nn.Module, linear: nn.Linear, loss: Callable[[nn.Module], Tensor], num_examples: int, steps: int
) -> nn.Sequential:
    """Train a dropout layer and a linear layer; the rate takes larger steps than the weights, and all end at 0."""
    model = nn.Sequential(drop, linear)
    rates = list(drop.parameters())
    groups = [{"params": linear.parameters(), "lr": 3e-3}, {"params": rates, "lr": 3e-2}]
    optimizer = torch.optim.Adam(groups if rates else groups[:1])
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
    for _ in range(steps):
        total = loss(model)
        if rates:
            total = total + thinout.regularization(model, num_examples)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        decay.step()
    return model.eval()


Problem = tuple[int, int, float]


def regression(problem: Problem, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return features, targets and the true weights of one data set."""
    features, examples, signal = problem
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(examples, features, generator=generator)
    weight = torch.randn(features, generator=generator) * (signal / features) ** 0.5
    return x, x @ weight + torch.randn(examples, generator=generator), weight


def new_loss(weight: Tensor, true: Tensor) -> float:
    """Return the expected negative log-likelihood of new data, without its constant."""
    return 0.5 * (1 + float((weight - true).square().sum()))


def divergences(p: float) -> dict[str, float]:
    """Return what each bound takes for one unit at a rate, in nats."""
    if p == 0:
        return {"ConcreteDropout": 0.0, "VariationalDropout": math.inf}
    alpha = torch.tensor(p / (1 - p), dtype=torch.float64)
    kl = float(F.log_uniform_kl(alpha.log())) if p <= 0.5 else math.inf  # where alpha is at most 1
    return {"ConcreteDropout": p * math.log(p) + (1 - p) * math.log1p(-p), "VariationalDropout": kl}


def sweep(problem: Problem, seed: int) -> tuple[list[float], dict[str, float]]:
    """Return the loss on new data at each rate, and the rate that each bound prefers."""
    x, y, true = (part.double() for part in regression(problem, seed))
    moments, target = x.T @ x / len(x), x.T @ y / len(x)
    losses, bounds = [], []
    for p in RATES:
        noise = p / (1 - p) * moments.diagonal()
        weight = torch.linalg.solve(moments + noise.diag(), target)
        losses.append(new_loss(weight, true))
        fit = 0.5 * float((y - x @ weight).square().mean() + (weight.square() * noise).sum())
        bounds.append({name: fit + problem[0] * unit / problem[1] for name, unit in divergences(p).items()})
    return losses, {name: RATES[min(range(len(RATES)), key=lambda i: bounds[i][name])] for name in bounds[0]}


def exact(problem: Problem) -> dict[str, Any]:
    """Return what the bounds prefer on one problem, beside the best rate."""
    sweeps = [sweep(problem, seed) for seed in range(NUM_DATA_SETS)]
    fixed = {p: [losses[i] for losses, _ in sweeps] for i, p in enumerate(RATES)}
    preferred = {
        name: [(losses[RATES.index(rates[name])], rates[name]) for losses, rates in sweeps] for name in sweeps[0][1]
    }
    features, examples, signal = problem
    result = judge(fixed, preferred)
    del result["losses"]
    return {"features": features, "examples": examples, "signal": signal, **result}


def learn_regression(make: Make, seed: int) -> Trained:
    x, y, true = regression(TRAINED, seed)
    torch.manual_seed(seed)
    linear = nn.Linear(x.shape[1], 1, bias=False)
    drop = make(linear)
    many = x.expand(4, *x.shape)  # four masks a step
    train(drop, linear, lambda model: 0.5 * (model(many).squeeze(-1) - y).square().mean(), len(x), 1500)
    return new_loss(linear.weight.detach()[0], true), rate(drop)


def images() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return random features and labels of the training and the test images."""
    data = load("fashion-mnist-small")
    train_x, test_x = (
        torch.from_numpy(part).flatten(1).float() / 255 for part in (data.train_images, data.test_images)
    )
    mean, std = train_x.mean(), train_x.std()
    generator = torch.Generator().manual_seed(99)
    weight = torch.randn(784, 512, generator=generator) / 28
    bias = 0.3 * torch.randn(512, generator=generator)
    train_x, test_x = (((part - mean) / std @ weight + bias).relu() for part in (train_x, test_x))
    few = torch.randperm(len(train_x), generator=generator)[:1000]
    return train_x[few], torch.from_numpy(data.train_labels)[few], test_x, torch.from_numpy(data.test_labels)


def classify(make: Make, seed: int, data: tuple[Tensor, Tensor, Tensor, Tensor]) -> Trained:
    x, y, test_x, test_y = data
    torch.manual_seed(seed)
    linear = nn.Linear(x.shape[1], 10)
    drop = make(linear)

    def loss(model: nn.Module) -> Tensor:
        batch = torch.randint(len(x), (200,))
        return nn.functional.cross_entropy(model(x[batch]), y[batch])

    model = train(drop, linear, loss, len(x), 1200)
    with torch.no_grad():
        return float(nn.functional.cross_entropy(model(test_x), test_y)), rate(drop)


def rate(drop: nn.Module) -> float:
    value: float = drop.p  # type: ignore[assignment]
    return value


def judge(fixed: dict[float, list[float]], learned: dict[str, list[Trained]]) -> dict[str, Any]:
    """Return means, the plateau, and whether each learned arm is in it."""
    means = {p: statistics.mean(losses) for p, losses in fixed.items()}
    best = min(means, key=lambda p: means[p])
    allowed = means[best] + (1 - KEEPS) * (means[0.0] - means[best])
    arms = {
        name: {
            "rate": statistics.mean(rate for _, rate in runs),
            "rates": [rate for _, rate in runs],
            "loss": statistics.mean(loss for loss, _ in runs),
            "keeps_of_the_gain": (means[0.0] - statistics.mean(loss for loss, _ in runs)) / (means[0.0] - means[best]),
            "in_the_plateau": statistics.mean(loss for loss, _ in runs) <= allowed,
        }
        for name, runs in learned.items()
    }
    plateau = [p for p, mean in means.items() if mean <= allowed]
    return {
        "losses": [{"p": p, "mean": mean, "all": fixed[p]} for p, mean in means.items()],
        "best_rate": best,
        "plateau": [min(plateau), max(plateau)],
        "learned": arms,
    }


def show(title: str, result: dict[str, Any]) -> dict[str, Any]:
    low, high = result["plateau"]
    print(f"{title}: best fixed rate {result['best_rate']:.2f}, plateau {low:.2f} to {high:.2f}")
    for name, arm in result["learned"].items():
        print(f"  {name:<28} rate {arm['rate']:.3f}  keeps {100 * arm['keeps_of_the_gain']:.0f} %", flush=True)
    return result


def arms() -> dict[str, Make]:
    return {
        "ConcreteDropout from 0.1": lambda linear: tnn.ConcreteDropout(0.1, following=linear),
        "ConcreteDropout from 0.5": lambda linear: tnn.ConcreteDropout(0.5, following=linear),
        "VariationalDropout from 0.1": lambda linear: tnn.VariationalDropout(linear.in_features, 0.1),
    }


def on_regression() -> dict[str, Any]:
    seeds = range(NUM_TRAINED)
    sweeps = [sweep(TRAINED, seed)[0] for seed in seeds]
    fixed = {p: [losses[i] for losses in sweeps] for i, p in enumerate(RATES)}
    return judge(fixed, {name: [learn_regression(make, seed) for seed in seeds] for name, make in arms().items()})


def on_images() -> dict[str, Any]:
    data = images()

    def runs(make: Make) -> list[Trained]:
        return [classify(make, seed, data) for seed in range(NUM_SEEDS)]

    fixed = {p: [loss for loss, _ in runs(lambda linear, p=p: tnn.Dropout(p))] for p in COARSE}
    return judge(fixed, {name: runs(make) for name, make in arms().items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    path = parser.parse_args().out
    torch.set_num_threads(1)
    measurement = Measurement(f"python scripts/learned_rate.py --out {path}", 1)
    results = {
        "bounds": [
            show(f"{features} features, {examples} examples, signal {signal}", exact((features, examples, signal)))
            for features, examples, signal in PROBLEMS
        ],
        "regression": show("regression", on_regression()),
        "fashion-mnist": show("Fashion-MNIST", on_images()),
    }
    measurement.write(path, keeps=KEEPS, **results)


if __name__ == "__main__":
    main()
