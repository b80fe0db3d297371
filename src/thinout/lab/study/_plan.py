"""What a study is, checked before anything is trained."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thinout._checks import ThinoutError, UsageError, bad_usage, check_count
from thinout.lab.case import Arm, Recipe, Run
from thinout.lab.cases import resolve
from thinout.lab.data import describe
from thinout.lab.data import names as data_names
from thinout.lab.rows import PRIMARY
from thinout.lab.study._trial import try_case
from thinout.lab.tasks import get_task
from thinout.lab.training import TrainingError, estimate_seconds

WORKER_START_SECONDS = 4.0
_RECIPE_FIELDS = [field.name for field in dataclasses.fields(Recipe)]
_FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=+-]*")  # an arm's rows lie in a folder of its name
_LONGEST_NAME = 100  # file systems take 255 bytes


@dataclass(frozen=True, kw_only=True)
class Study:
    """The question of a study, complete: whatever changes here is another study.

    Args:
        case: built-in name or ``module:function``.
        data: name of a registered data set, or None for the case's own.
        arms: the treatments; the first is the baseline.
        seeds: each arm is trained once from each.
        recipe: the case's recipe with the overrides of the command; an arm's own come on top.
        metric: the primary metric.
    """

    case: str
    data: str | None = None
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    recipe: Recipe
    metric: str = "nll"

    @property
    def baseline(self) -> str:
        """Name of the arm that the others are compared with."""
        return self.arms[0].name

    def runs(self) -> list[Run]:
        """Return all runs, seeds outermost, so that a study that is cut short holds complete pairs."""
        return [
            Run(case=self.case, data=self.data, arm=arm, seed=seed, recipe=_overridden(self.recipe, arm.recipe))
            for seed in self.seeds
            for arm in self.arms
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the study as JSON holds it."""
        content: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Study:
        """Return the study that `to_dict` described; raises KeyError, TypeError or ValueError for anything else."""
        return cls(
            case=content["case"],
            data=content["data"],
            arms=_checked_arms(tuple(Arm(**arm) for arm in content["arms"])),
            seeds=_checked_seeds(content["seeds"]),
            recipe=Recipe(**content["recipe"]),
            metric=_checked_metric(content["metric"]),
        )


def plan(
    case: str,
    *,
    data: str | None = None,
    arms: Sequence[Arm] | None = None,
    seeds: int | Sequence[int] = 5,
    recipe: Mapping[str, Any] | None = None,
    metric: str | None = None,
) -> Study:
    """Return a study of a case, after everything that can be wrong with it has been looked at.

    The case is resolved, the data of the first seed loaded, and a few examples sent through the network of every arm.

    Args:
        case: built-in name or ``module:function``.
        data: name of a registered data set, or None for the case's own.
        arms: the treatments, the baseline first; None for the case's own.
        seeds: how many (0, 1, 2, ...), or which.
        recipe: fields of the case's recipe to override.
        metric: primary metric: ``"nll"``, ``"error"``, or of a classification ``"ece"`` or ``"balanced_error"``; None
            for the case's own.

    Raises:
        UsageError: the case, its model, its data, an arm, a recipe field, the seeds or the metric cannot be used.
        DataError: the data cannot be had.

    Example:
        >>> study = plan("lenet5-1998", seeds=2, recipe={"epochs": 3})
        >>> len(study.runs()), study.runs()[0].arm.name, study.recipe.epochs
        (8, 'none', 3)
    """
    resolved = resolve(case, data)
    study = Study(
        case=case,
        data=data,
        arms=_checked_arms(resolved.arms if arms is None else tuple(arms)),
        seeds=_checked_seeds(seeds),
        recipe=_overridden(resolved.recipe, recipe or {}),
        metric=_checked_metric(metric or resolved.metric),
    )
    for run in study.runs():  # builds every arm's recipe
        get_task(resolved.task).check_recipe(run.recipe)
    try_case(resolved, study.arms, study.seeds[0], metric=study.metric)
    return study


def describe_study(study: Study) -> dict[str, Any]:
    """Return what a report says of a study's case and data: ``title``, ``data_name`` and ``class_names``.

    Raises:
        UsageError: the case does not exist.
    """
    case = resolve(study.case, study.data)
    about: dict[str, Any] = {"title": case.title or case.name, "data_name": case.data_name}
    return about | ({"class_names": describe(case.data_name).classes} if case.data_name in data_names() else {})


def estimate(study: Study, *, jobs: int, num_runs: int | None = None) -> float | None:
    """Return about how many seconds a study takes at most, from a few measured steps on one thread.

    None where the steps cannot be measured, because the training fails in the first of them.

    It is an upper bound where a recipe stops early, and knows nothing of cores that share their memory's bandwidth.

    Args:
        study: what is to be run.
        jobs: runs at a time.
        num_runs: runs that are left; None for all.
    """
    runs = study.runs()
    if num_runs == 0:
        return 0.0
    try:
        p = max(arm.p for arm in study.arms)
        epoch = estimate_seconds(resolve(study.case, study.data), recipe=study.recipe, p=p, num_threads=1)
    except TrainingError:
        return None  # each run says for itself how it fails
    except ThinoutError:
        raise
    except Exception:  # a user's code may raise anything; likewise
        return None
    epochs = sum(run.recipe.epochs for run in runs) / len(runs)
    rounds = math.ceil((len(runs) if num_runs is None else num_runs) / jobs)
    return rounds * epochs * epoch + (WORKER_START_SECONDS if rounds else 0.0)


def _checked_metric(metric: str) -> str:
    if metric not in PRIMARY:
        bad_usage("plan", "metric", "one of " + ", ".join(PRIMARY), repr(metric))
    return metric


def _checked_arms(arms: tuple[Arm, ...]) -> tuple[Arm, ...]:
    if not arms:
        bad_usage("plan", "arms", "at least one arm", "none")
    if others := [arm for arm in arms if not isinstance(arm, Arm)]:
        bad_usage("plan", "arms", "a sequence of Arm", repr(others[0]))
    names = [arm.name for arm in arms]
    for name in names:
        if not _FOLDER_NAME.fullmatch(name):
            bad_usage("plan", "arms", "named with letters, digits and . _ = + -", repr(name), "Rename the arm.")
        if len(name) > _LONGEST_NAME:
            allowed = f"named with at most {_LONGEST_NAME} characters"
            bad_usage("plan", "arms", allowed, f"{len(name)} in {name[:20]}...", "Rename the arm.")
        if names.count(name) > 1:
            bad_usage("plan", "arms", "different arms", f"{name} twice", "Leave one out, or give it another name.")
    return arms


def _checked_seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    if not isinstance(seeds, Sequence):
        return tuple(range(check_count("plan", "seeds", seeds)))
    checked = tuple(check_count("plan", "seeds", seed, at_least=0) for seed in seeds)
    if not checked or len(set(checked)) < len(checked):
        bad_usage("plan", "seeds", "a number of seeds, or different seeds", list(seeds))
    return checked


def _overridden(recipe: Recipe, overrides: Mapping[str, Any]) -> Recipe:
    if not isinstance(overrides, Mapping):
        bad_usage("plan", "recipe", "a mapping from fields to values", repr(overrides))
    for name in overrides:
        if name not in _RECIPE_FIELDS:
            bad_usage("plan", "recipe", "made of " + ", ".join(_RECIPE_FIELDS), repr(name))
    try:
        return dataclasses.replace(recipe, **overrides)
    except (TypeError, ValueError) as error:
        raise UsageError(str(error)) from error
