"""How much longer a run of a study takes than a bare training loop on the same batches.

Both train LeNet-5 (1998) on fashion-mnist-small from the same weights, alternately in one process. The bare loop
gathers batches, steps, reads the loss, and measures the validation part after each epoch, as early stopping must.
`train_run` adds Accelerate, checks, history, the clean training loss, the copy of the best weights, reading and
splitting the data, digests, and the final measurement of all three parts. Before anything is timed, both must end an
epoch in the same weights. The processor's time stands beside the wall clock's, since other programs disturb it less.

    python benchmarks/bench_training_overhead.py --rounds 5 --out overhead.json
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from thinout.lab.case import Case, Recipe, Run, dropout_arm
from thinout.lab.cases import resolve
from thinout.lab.data import Splits
from thinout.lab.training import RunSeeds, build_model, fit, train_run

P, SEED = 0.5, 0
SEEDS = RunSeeds.from_seed(SEED)


def train_bare(model: nn.Module, splits: Splits, recipe: Recipe) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.lr, weight_decay=0.0, fused=True)
    inputs, labels = splits.train.tensors
    validation = [part.split(256) for part in splits.validation.tensors]
    for epoch in range(1, recipe.epochs + 1):
        torch.manual_seed(SEEDS.epoch_masks(epoch, 0))
        model.train()
        total = 0.0
        for batch in torch.split(SEEDS.epoch_order(epoch, len(inputs)), recipe.batch_size):
            loss = cross_entropy(model(inputs[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        model.eval()
        with torch.no_grad():
            for part, targets in zip(*validation, strict=True):
                cross_entropy(model(part), targets).item()


def check_equal(case: Case, splits: Splits, recipe: Recipe) -> None:
    start = build_model(case, P, SEEDS)
    one, other = copy.deepcopy(start), copy.deepcopy(start)
    once = Recipe(epochs=1, batch_size=recipe.batch_size, lr=recipe.lr, patience=None)
    train_bare(one, splits, once)
    fit(other, splits, once, seeds=SEEDS)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def timed(work: Callable[[], object]) -> dict[str, float]:
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return {"wall": time.perf_counter() - wall, "processor": time.process_time() - processor}


def measure(rounds: int, epochs: int) -> dict[str, Any]:
    case = resolve("lenet5-1998")
    splits, recipe = case.splits(SEEDS.split), Recipe(epochs=epochs, patience=None)
    run = Run(case="lenet5-1998", data=None, arm=dropout_arm(P), seed=SEED, recipe=recipe)
    check_equal(case, splits, recipe)

    def bare() -> None:
        train_bare(build_model(case, P, SEEDS), splits, recipe)

    def full() -> None:
        if train_run(run, case=case).status != "done":
            raise SystemExit("the run failed")

    pairs = []
    for number in range(rounds):
        order = (bare, full) if number % 2 else (full, bare)
        pairs.append({work.__name__: timed(work) for work in order})
    ratios = {clock: [pair["full"][clock] / pair["bare"][clock] for pair in pairs] for clock in ("wall", "processor")}
    return {"ratios": ratios, "seconds": pairs, "epochs": epochs, "threads": torch.get_num_threads()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    result = measure(options.rounds, options.epochs) | {"torch": torch.__version__, "machine": platform.platform()}
    for clock, ratios in result["ratios"].items():
        # From 5 rounds on, the range covers the true median with a probability of at least 1 - 2 / 2**5 = 94 %.
        median, low, high = statistics.median(ratios), min(ratios), max(ratios)
        print(f"run / bare loop, {clock} time: median {median:.3f}, range {low:.3f} to {high:.3f} of {len(ratios)}")
    if options.out:
        options.out.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
