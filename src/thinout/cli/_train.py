"""`thinout train` and `thinout summary`."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from thinout._checks import bad_usage
from thinout.cli._options import (
    AsJson,
    CaseName,
    DataName,
    Settings,
    SkipBad,
    check_folder,
    checked_recipe,
    data_spec,
    parse_p,
    parse_settings,
)
from thinout.cli._output import duration, out, print_json, print_table, problem, progress_bar
from thinout.lab.case import Case, Run, dropout_arm
from thinout.lab.cases import resolve
from thinout.lab.rows import PARTS, Row, write_row
from thinout.lab.study import STUDY_FILE, held_for_training
from thinout.lab.summary import summarize
from thinout.lab.training import is_main_process, make_tracker, train_run


def train(
    case: CaseName,
    data: DataName = None,
    p: Annotated[str, typer.Option("--p", help="Drop probability.")] = "0.5",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of weights, order, masks and validation cut.")] = 0,
    settings: Settings = None,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Where everything goes. [default: runs/train-CASE-DATA-pP-seedS]")
    ] = None,
    tracker: Annotated[str, typer.Option("--tracker", help="csv or tensorboard.")] = "csv",
    skip_bad: SkipBad = False,
    as_json: AsJson = False,
) -> None:
    """Train one network, and measure it at its best validation epoch, or with --set keep=last at its last.

    Epochs go to epochs.csv (or TensorBoard), the state after each epoch to checkpoint.pt, the weights measured to
    weights.pt. The same command goes on where it was stopped. On several devices:
    accelerate launch --multi_gpu --num_processes 2 -m thinout train CASE.
    """
    data = data_spec(data, skip_bad)
    with redirect_stdout(sys.stderr):  # standard output is for the result, not for what a user's code prints
        resolved = resolve(case, data)
    recipe = checked_recipe(resolved.recipe, parse_settings(settings))
    run = Run(case=case, data=data, arm=dropout_arm(parse_p(p)), seed=seed, recipe=recipe)
    place = folder or Path("runs") / _folder_name(resolved, run)
    check_folder("train", place)
    if (place / STUDY_FILE).exists():
        bad_usage("train", "--folder", "a folder that holds no study", place, "Give another --folder.")
    # One process of several holds the folder: the one that writes there.
    with held_for_training(place, run) if is_main_process() else nullcontext():
        row = _trained(resolved, run, place, tracker)
        if is_main_process():
            write_row(place, row)
    if is_main_process():
        _print_row(row, place, as_json)


def _trained(case: Case, run: Run, place: Path, tracker: str) -> Row:
    with redirect_stdout(sys.stderr), progress_bar() as bar:
        task = bar.add_task("epochs", total=run.recipe.epochs)
        return train_run(
            run,
            case=case,
            tracker=make_tracker(tracker, place),
            checkpoint=place / "checkpoint.pt",
            weights=place / "weights.pt",
            progress=lambda epoch, step, steps, metrics: bar.update(task, completed=epoch - 1 + step / steps),
        )


def _folder_name(case: Case, run: Run) -> str:
    return f"train-{case.name}-{case.data_name}-p{run.arm.p!r}-seed{run.seed}".replace(" ", "-")


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


_COLUMNS: dict[str, tuple[str, Callable[[float], str]]] = {
    "nll": ("NLL", "{:.4f}".format),
    "error": ("error %", _percent),
    "ece": ("ECE %", _percent),
    "auc": ("AUC", "{:.4f}".format),
    "f1": ("F1", "{:.4f}".format),
    "rmse": ("RMSE", "{:.4g}".format),
}
"""What is printed of a part, where the task has it."""


def _title(name: str, metrics: Mapping[str, float]) -> str:
    return _COLUMNS[name][0] + (" [95 %]" if f"{name}_low" in metrics else "")


def _cell(name: str, metrics: Mapping[str, float]) -> str:
    show = _COLUMNS[name][1]
    low, high = (metrics.get(f"{name}_{bound}") for bound in ("low", "high"))
    return show(metrics[name]) if low is None or high is None else f"{show(metrics[name])} [{show(low)}, {show(high)}]"


def _print_row(row: Row, place: Path, as_json: bool) -> None:
    if as_json:
        print_json({"metrics": row.metrics, "best_epoch": row.best_epoch, "status": row.status, "reason": row.reason})
    if row.status == "failed":
        problem(f"{row.reason}")
        raise typer.Exit(1)
    if as_json:
        return
    names = [name for name in _COLUMNS if math.isfinite(row.metrics["test"].get(name, math.nan))]
    print_table(
        f"{row.arm}, measured at epoch {row.best_epoch} of {row.num_epochs}, {duration(row.seconds)}",
        ("part ", *(_title(name, row.metrics["test"]) for name in names)),
        [(part, *(_cell(name, row.metrics[part]) for name in names)) for part in PARTS],
    )
    out.print(f"Everything is in {place}", markup=False, soft_wrap=True)


def summary(
    case: CaseName,
    data: DataName = None,
    p: Annotated[str, typer.Option("--p", help="Drop probability.")] = "0.5",
    skip_bad: SkipBad = False,
    as_json: AsJson = False,
) -> None:
    """Print a network layer by layer: output shapes, parameters, multiply-adds, and where dropout sits."""
    with redirect_stdout(sys.stderr):
        resolved = resolve(case, data_spec(data, skip_bad))
        splits = resolved.splits(0)
        table = summarize(resolved.model(parse_p(p)), tuple(splits.shape), dtype=splits.train[0][0].dtype)
    if as_json:
        layers = [vars(layer) for layer in table.layers]
        totals = {"parameters": table.parameters, "multiply_adds": table.multiply_adds}
        print_json({"case": resolved.name, "input_shape": table.input_shape, "layers": layers, **totals})
        return
    rows = [
        (
            layer.name,
            layer.layer,
            "x".join(map(str, layer.output_shape)),
            layer.formula and layer.formula.partition(" = ")[0],
            f"{layer.parameters:,}" if layer.parameters else "",
            f"{layer.multiply_adds:,}" if layer.multiply_adds else "",
            "" if layer.p is None else f"{layer.p:.3g}",
        )
        for layer in table.layers
    ]
    size = "x".join(map(str, table.input_shape))
    columns = ("name ", "layer ", "output ", "(W-F+2P)/S+1 ", "parameters", "mult-adds", "p")
    print_table(f"{resolved.title or resolved.name}, input {size}", columns, rows)
    out.print(f"\n{table.parameters:,} parameters, {table.multiply_adds:,} multiply-adds an example")
