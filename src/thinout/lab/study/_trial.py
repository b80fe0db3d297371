"""A case tried before a study of it: its data looked at, and a few examples sent through the network of every arm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from thinout._checks import ThinoutError, UsageError, bad_usage
from thinout.lab.case import Arm, Case
from thinout.lab.data import Splits
from thinout.lab.tasks import Task, get_task
from thinout.lab.training import RunSeeds, build_model, error_text, predict, split_seed

NUM_TRIED = 4
_PARTS = ("train", "validation", "test")


def try_case(case: Case, arms: Sequence[Arm], seed: int, *, metric: str = "nll") -> None:
    """Raise UsageError unless the task has the metric, and the data of a seed and every arm's network can be used."""
    # Asked of the task, not of a few examples: on those a metric may be NaN that the whole part has.
    if metric not in (measured := get_task(case.task).primary):
        bad_usage("plan", "metric", f"one of {', '.join(measured)}, which are those of {case.task}", repr(metric))
    seeds = RunSeeds.from_seed(seed)
    splits = _load(case, split_seed(case, seed))
    _check_splits(case, splits)
    for arm in arms:
        model = build_model(case, arm.p, seeds)
        for part in _PARTS:
            _try_batch(case, splits, part, model)


def _load(case: Case, seed: int) -> Splits:
    try:
        splits = case.splits(seed)
    except ThinoutError:
        raise
    except (Exception, SystemExit) as error:  # the function is the user's and may raise anything
        raise UsageError(f"plan: the data of {case.name} raised {error_text(error)}. Mend it.") from error
    if not isinstance(splits, Splits):
        bad_usage("plan", "data", "Splits, or a function from a seed to Splits", repr(splits))
    return splits


def _check_splits(case: Case, splits: Splits) -> None:
    where, num_classes, task = f"case {case.name}", splits.num_classes, get_task(case.task)
    least = 1 if case.task == "regression" else 2
    if not isinstance(num_classes, int) or num_classes < least:
        bad_usage(where, "num_classes", f"a whole number of at least {least}", repr(num_classes))
    for name in _PARTS:
        part: Any = getattr(splits, name)
        if not hasattr(part, "__len__") or not len(part):
            got = "none" if hasattr(part, "__len__") else repr(part)
            bad_usage(where, name, "a map-style data set of at least one example", got)
        if type(part) is TensorDataset and len(part.tensors) == 2:
            _check_targets(where, name, part.tensors[1], num_classes, task)


def _try_batch(case: Case, splits: Splits, part: str, model: nn.Module) -> None:
    where, dataset = f"case {case.name}", getattr(splits, part)
    num_tried = min(NUM_TRIED, len(dataset))
    try:
        outputs, targets = predict(model, dataset, torch.arange(num_tried))
    except (Exception, SystemExit) as error:  # network and data are the user's and may raise anything
        raise UsageError(
            f"plan: the first {num_tried} examples of the {part} part of {case.name} cannot go through its network: "
            f"{error_text(error)}. Mend the model or the data."
        ) from error
    task = get_task(case.task)
    _check_targets(where, part, targets, splits.num_classes, task)
    expected = task.output_shape(targets, splits.num_classes)
    if tuple(outputs.shape) != expected:
        allowed = f"a network with an output of shape {task.shape}, here {expected}"
        bad_usage(where, "model", allowed, tuple(outputs.shape))


def _check_targets(where: str, part: str, targets: Tensor, num_classes: int, task: Task) -> None:
    problem = task.problem(targets, num_classes)
    if problem and task.name == "regression":
        bad_usage(where, part, f"with finite floating-point targets of shape (N, {num_classes})", problem)
    if problem and problem[0] == "t":  # torch.int32 of shape ...: a type or a shape, not a range
        shape = "(N,)" if task.name == "classification" else "(N, T)"
        bad_usage(where, part, f"labelled with torch.int64 of shape {shape}", problem)
    if problem:
        bad_usage(where, part, f"labelled in [0, {num_classes - 1}] for {num_classes} classes", problem)
