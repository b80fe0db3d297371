"""One run of a study: resolve the case, train, measure, and leave a row."""

from __future__ import annotations

import dataclasses
import io
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn
from torch.utils.data import Subset, TensorDataset

from thinout._checks import ThinoutError, bad_usage
from thinout.lab.case import Case, Recipe, Run
from thinout.lab.cases import resolve
from thinout.lab.data import Splits
from thinout.lab.metrics import root_mean_squared_error
from thinout.lab.rows import Row, write_atomically
from thinout.lab.tasks import get_task
from thinout.lab.training._batches import Examples, num_examples
from thinout.lab.training._evaluate import first_filters, predict, watch_activations
from thinout.lab.training._loop import FitResult, fit
from thinout.lab.training._provenance import now, provenance
from thinout.lab.training._seeds import RunSeeds, seeded, split_seed
from thinout.lab.training._trackers import Tracker
from thinout.lab.training._trainer import TRAIN_SAMPLE, Progress, Trainer, TrainingError


def train_run(
    run: Run,
    *,
    case: Case | None = None,
    tracker: Tracker | None = None,
    checkpoint: Path | None = None,
    weights: Path | None = None,
    progress: Progress | None = None,
) -> Row:
    """Train one arm of a case from one seed and measure it with the weights that its recipe keeps.

    Args:
        run: what is trained; `run.recipe` is followed as it stands.
        case: the resolved case, or None to resolve `run.case` here.
        tracker: as in `fit`.
        checkpoint: as in `fit`.
        weights: file for the state dict of those weights; it holds tensors only.
        progress: as in `fit`.

    Returns:
        The row. If the training fails (a loss that is not finite, an error inside of the model or the data), a row of
        status ``"failed"`` with the reason.

    Raises:
        UsageError: the case does not exist or its factory does not return what it should.
        DataError: its data cannot be had.
        CheckpointError: as in `fit`.
    """
    started, began = now(), time.perf_counter()
    case = resolve(run.case, run.data) if case is None else case
    seeds = RunSeeds.from_seed(run.seed)
    try:
        splits = case.splits(split_seed(case, run.seed))
        model = build_model(case, run.arm.p, seeds)
        result = fit(
            model, splits, run.recipe, seeds=seeds, task=case.task, tracker=tracker, checkpoint=checkpoint,
            progress=progress, identity=f"{run.case} on {case.data_name}, p={run.arm.p!r}",
        )  # fmt: skip
        row = dataclasses.replace(_row_of(run, "done"), **_fields(result), **measure(model, splits, case.task))
        if weights is not None and is_main_process():
            _write_weights(weights, model)
    except TrainingError as error:
        row = failed_row(run, str(error))
    except ThinoutError:
        raise
    except (Exception, SystemExit) as error:  # a user's code may raise anything, and the other runs must go on
        row = failed_row(run, error_text(error))
    seconds = row.seconds + time.perf_counter() - began
    return dataclasses.replace(row, seconds=seconds, provenance=provenance(started))


def failed_row(run: Run, reason: str) -> Row:
    """Return the row of a run that failed."""
    return dataclasses.replace(_row_of(run, "failed"), reason=reason)


def error_text(error: BaseException) -> str:
    """Return type and text of an error as the reason of a failed run gives them."""
    return f"{type(error).__name__}: {error}"


def is_main_process() -> bool:
    """Whether this process is the one of an ``accelerate launch`` that writes and prints."""
    from accelerate.state import PartialState
    from accelerate.utils import parse_flag_from_env

    # As the Accelerator will ask it: the first to ask decides what the processes talk through.
    return bool(PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU")).is_main_process)


def _write_weights(path: Path, model: nn.Module) -> None:
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    write_atomically(path, buffer.getvalue())


def build_model(case: Case, p: float, seeds: RunSeeds) -> nn.Module:
    """Return the case's network with the initial weights of a seed.

    Raises:
        UsageError: the factory raises, or returns something else than a module.
    """
    with seeded(seeds.init):
        try:
            model = case.model(p)
        except (Exception, SystemExit) as error:  # the factory is the user's and may raise anything
            allowed = f"a factory that can be called with p={p:g}"
            bad_usage(f"case {case.name}", "model", allowed, error_text(error))
    if not isinstance(model, nn.Module):
        bad_usage(f"case {case.name}", "model", "a factory that returns a torch.nn.Module", repr(model))
    return model


def measure(model: nn.Module, splits: Splits, task: str = "classification") -> dict[str, Any]:
    """Return the fields of a row that come from a trained network: ``metrics``, ``layers``, ``arrays``."""
    judge = get_task(task)
    train, validation = predict(model, splits.measured_train), predict(model, splits.validation)
    with watch_activations(model) as layers:
        test = predict(model, splits.test)
    parts, arrays = {"train": train, "validation": validation, "test": test}, judge.arrays(*test)
    filters = first_filters(model)
    if filters is not None:
        arrays["filters"] = filters.numpy()
    metrics = {name: judge.metrics(*predictions) for name, predictions in parts.items()}
    if splits.target_std:
        for name, predictions in parts.items():
            metrics[name]["rmse"] = root_mean_squared_error(*predictions, splits.target_std)
    return {"metrics": metrics, "layers": layers, "arrays": arrays}


def estimate_seconds(
    case: Case, *, recipe: Recipe | None = None, p: float = 0.5, num_steps: int = 10, num_threads: int | None = None
) -> float:
    """Measure a few steps and a short evaluation, and return the seconds that one epoch takes.

    Args:
        case: what would be trained.
        recipe: how; None for the case's own.
        p: drop probability of the network measured.
        num_steps: steps measured, after two that warm up; the median counts.
        num_threads: threads of torch during the measurement, as the workers will have; None leaves them.
    """
    recipe, seeds = recipe or case.recipe, RunSeeds.from_seed(0)
    splits = case.splits(split_seed(case, 0))
    length = (num_steps + _WARM_UP) * recipe.batch_size
    short = dataclasses.replace(
        splits,
        train=_head(splits.train, length),
        validation=_head(splits.validation, TRAIN_SAMPLE),
        plain_train=None if splits.plain_train is None else _head(splits.plain_train, length),
    )
    ends: list[float] = []
    with _threads(num_threads), seeded(seeds.masks):
        trainer = Trainer.prepare(build_model(case, p, seeds), short, recipe, seeds, case.task)
        trainer.train_epoch(1, lambda *_: ends.append(time.perf_counter()))
        began = time.perf_counter()
        trainer.evaluate(1)
        evaluation = time.perf_counter() - began
    steps = np.diff(ends)[_WARM_UP - 1 :]
    step = float(np.median(steps)) if len(steps) else 0.0
    evaluated = [min(TRAIN_SAMPLE, num_examples(part)) for part in (short.train, short.validation)]
    by_example = evaluation / sum(evaluated)
    num_evaluated = min(TRAIN_SAMPLE, num_examples(splits.train)) + num_examples(splits.validation)
    return step * math.ceil(num_examples(splits.train) / recipe.batch_size) + by_example * num_evaluated


_WARM_UP = 2


def _row_of(run: Run, status: Literal["done", "failed"]) -> Row:
    return Row(arm=run.arm.name, p=run.arm.p, seed=run.seed, status=status, config=run.config())


def _fields(result: FitResult) -> dict[str, Any]:
    return {
        "best_epoch": result.best_epoch,
        "num_epochs": result.num_epochs,
        "history": result.history,
        "fingerprints": result.fingerprints,
        "seconds": sum(record["seconds"] for record in result.history[: result.resumed_epochs]),
    }


def _head(dataset: Examples, length: int) -> Any:
    length = min(length, num_examples(dataset))
    if type(dataset) is TensorDataset:
        return TensorDataset(*(tensor[:length] for tensor in dataset.tensors))
    return Subset(dataset, range(length))


@contextmanager
def _threads(num_threads: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    try:
        if num_threads is not None:
            torch.set_num_threads(num_threads)
        yield
    finally:
        torch.set_num_threads(before)
