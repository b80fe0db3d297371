"""Layers beside their plain PyTorch formulations, forward and backward.

    python benchmarks/bench_layers.py --out docs/results/bench/layers.json

Every file of benchmarks/layers but those that begin with an underscore has a list ROWS. What the two give was compared
by the tests of the layers; here only their time is.
"""

from __future__ import annotations

import argparse
import importlib
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from layers._row import Row
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from thinout.lab.bench import Measurement, quiet, take_turns

PAIR = ("PyTorch", "thinout")


def families() -> list[str]:
    return sorted(file.stem for file in (Path(__file__).parent / "layers").glob("[!_]*.py"))


def leaves(inputs: Any) -> Any:
    def leaf(x: Any) -> Any:
        floating = isinstance(x, Tensor) and x.is_floating_point()
        return x.clone().requires_grad_() if floating else x

    return tree_map(leaf, inputs)


def step(function: Callable[..., Any], inputs: Any, parameters: Sequence[Tensor]) -> Callable[[], object]:
    """Return forward and backward as a call; without anything that takes a gradient, forward alone."""
    own = leaves(inputs)
    wanted = [x for x in tree_leaves(own) if isinstance(x, Tensor) and x.requires_grad] + list(parameters)

    def call() -> object:
        outputs = [y for y in tree_leaves(function(*own)) if isinstance(y, Tensor) and y.requires_grad]
        if not outputs or not wanted:
            return outputs
        return torch.autograd.grad(outputs, wanted, [torch.ones_like(y) for y in outputs], allow_unused=True)

    return call


def run(row: Row, rounds: int) -> dict[str, Any]:
    torch.manual_seed(0)
    ours: nn.Module = row.ours().train()
    inputs, parameters = row.inputs(), list(ours.parameters())
    contenders = {
        "PyTorch": step(row.plain(ours), inputs, parameters),
        "thinout": step(ours, inputs, parameters),
    }
    shape = [list(x.shape) for x in tree_leaves(inputs) if isinstance(x, Tensor)]
    about = {"layer": row.layer, "repr": repr(ours), "shapes": shape, "heavy": row.heavy, "note": row.note}
    return about | take_turns(contenders, rounds).record([PAIR])


def rows(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    for family in options.families or families():
        for row in importlib.import_module(f"layers.{family}").ROWS:
            if not options.layers or row.layer in options.layers:
                yield {"family": family} | run(row, options.rounds)


def show(row: dict[str, Any]) -> None:
    (ratio,) = row["ratios"]
    goal = 5 if row["heavy"] else 1
    verdict = "" if ratio["median"] >= goal else f"  below {goal}"
    print(f"{row['layer']:<28} {ratio['median']:6.2f} times as fast{verdict}", flush=True)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--families", nargs="*", help="of benchmarks/layers; all by default")
    parser.add_argument("--layers", nargs="*", help="class names; all by default")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args(arguments)


def main() -> None:
    options = parse()
    command = shlex.join(["python", f"benchmarks/{Path(__file__).name}", *sys.argv[1:]])
    measurement = Measurement(command, options.rounds)
    done = []
    with quiet(options.threads):
        for row in rows(options):
            show(row)
            done.append(row)
    if options.out:
        measurement.write(options.out, threads=options.threads, rows=done)


if __name__ == "__main__":
    main()
