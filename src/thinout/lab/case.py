"""What a study is made of: a case (model, data, recipe), its arms, and one run of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

from torch import nn

from thinout._checks import bad_type, check_bool, check_choice, check_count, check_not_negative, check_p, check_positive
from thinout.lab.data import Splits

Optimizer = Literal["adam", "sgd"]
Schedule = Literal["constant", "cosine", "linear", "step"]
Keep = Literal["best", "last"]
Metric = Literal["nll", "error", "ece", "balanced_error"]
TaskName = Literal["classification", "tokens", "regression"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is trained; every field can be overridden by an arm.

    Args:
        epochs: the most passes over the training part.
        batch_size: examples a step.
        optimizer: ``"adam"`` or ``"sgd"`` (with Nesterov momentum).
        lr: learning rate at the start.
        schedule: learning rate over the optimiser steps: constant, cosine to 0, linear to 0, or a tenth after one half
            and after three quarters of the steps (``"step"``).
        momentum: of SGD.
        weight_decay: L2 coefficient, decoupled (AdamW) for Adam.
        clip_norm: largest global norm of the gradient, or None.
        clip_value: largest absolute value of a gradient's entry, or None.
        max_norm: largest L2 norm of a unit's incoming weights after each step, or None.
        patience: stop after this many epochs without a better validation loss; None trains all epochs.
        label_smoothing: share of the target spread evenly over the classes, in the training loss only.
            Not in regression.
        class_weights: whether each example counts in the training loss by the inverse frequency of its class, scaled
            so that the mean weight is 1. In classification alone.
        keep: the weights that are measured: of the epoch with the best validation loss (``"best"``), or of the last
            epoch (``"last"``), and then all epochs are trained, whatever `patience` says.

    Example:
        >>> Recipe(epochs=5, lr=0.01).batch_size
        64
    """

    epochs: int = 60
    batch_size: int = 64
    optimizer: Optimizer = "adam"
    lr: float = 1e-3
    schedule: Schedule = "constant"
    momentum: float = 0.9
    weight_decay: float = 0.0
    clip_norm: float | None = None
    clip_value: float | None = None
    max_norm: float | None = None
    patience: int | None = 10
    label_smoothing: float = 0.0
    class_weights: bool = False
    keep: Keep = "best"

    def __post_init__(self) -> None:
        check_count("Recipe", "epochs", self.epochs)
        check_count("Recipe", "batch_size", self.batch_size)
        check_choice("Recipe", "optimizer", self.optimizer, ("adam", "sgd"))
        check_choice("Recipe", "keep", self.keep, ("best", "last"))
        check_choice("Recipe", "schedule", self.schedule, ("constant", "cosine", "linear", "step"))
        check_positive("Recipe", "lr", self.lr)
        for name in ("momentum", "label_smoothing"):
            check_p("Recipe", getattr(self, name), name)
        check_not_negative("Recipe", self.weight_decay, "weight_decay")
        for name in ("clip_norm", "clip_value", "max_norm"):
            if getattr(self, name) is not None:
                check_positive("Recipe", name, getattr(self, name))
        if self.patience is not None:
            check_count("Recipe", "patience", self.patience)
        check_bool("Recipe", "class_weights", self.class_weights)


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One treatment: a drop probability, and what it changes in the recipe.

    Args:
        name: how tables and folders call it, for example ``"p=0.5"`` or ``"weight-decay"``.
        p: drop probability that the model is built with.
        recipe: fields of the recipe that this arm overrides.
    """

    name: str
    p: float = 0.0
    recipe: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            bad_type("Arm", "name", "a string", repr(self.name))
        check_p("Arm", self.p)


BASELINE = Arm(name="none")
WEIGHT_DECAY = Arm(name="weight-decay", recipe={"weight_decay": 1e-2})


def dropout_arm(p: float) -> Arm:
    """Return the arm of one drop probability; p = 0 is the baseline.

    Its name has all digits of p, but three of a fraction such as 1/3, which no decimal writes out.

    Example:
        >>> dropout_arm(0.2001).name, dropout_arm(1 / 3).name
        ('p=0.2001', 'p=0.333')
    """
    p = check_p("dropout_arm", p)
    is_decimal = float(f"{p:.12g}") == p
    is_fraction = float(Fraction(p).limit_denominator(99)) == p
    digits = f"{p:.3g}" if is_fraction and not is_decimal else repr(p).removesuffix(".0")
    return Arm(name=f"p={digits}", p=p) if p else BASELINE


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model, its data and how it is trained: what a study asks its question about.

    Args:
        name: short name, used in folders and reports.
        model: factory that takes the drop probability and returns a new network; it must draw the same initial
            weights for every p, so that all arms of a seed start alike.
        data: the splits, or a function from a seed to splits (the seed decides the validation cut).
        recipe: how it is trained.
        data_name: how reports call the data.
        title: one line for a reader.
        task: what the network is asked for: ``"classification"``, ``"tokens"`` (a class a position) or
            ``"regression"``; see `thinout.lab.tasks`.
        metric: the primary metric, the one that gets verdicts: ``"nll"``, ``"error"``, or of a classification
            ``"ece"`` or ``"balanced_error"``.
        arms: the treatments compared; the first is the baseline.
        has_numbered_splits: whether `data` is called with the run's own seed (0, 1, 2 ...), for data that come in
            numbered splits; else with one derived from it, which says nothing to a reader.

    Example:
        >>> from torch import nn
        >>> from thinout.lab.data import load, split
        >>> case = Case(
        ...     name="linear",
        ...     model=lambda p: nn.Sequential(nn.Flatten(), nn.Dropout(p), nn.Linear(28 * 28, 10)),
        ...     data=lambda seed: split(load("fashion-mnist-small"), seed=seed),
        ...     recipe=Recipe(epochs=3),
        ... )
        >>> [arm.name for arm in case.arms]
        ['none', 'p=0.2', 'p=0.333', 'p=0.5']
    """

    name: str
    model: Callable[[float], nn.Module]
    data: Splits | Callable[[int], Splits]
    recipe: Recipe = field(default_factory=Recipe)
    data_name: str = "own data"
    title: str = ""
    task: TaskName = "classification"
    metric: Metric = "nll"
    arms: tuple[Arm, ...] = (BASELINE, dropout_arm(0.2), dropout_arm(1 / 3), dropout_arm(0.5))
    has_numbered_splits: bool = False

    def splits(self, seed: int) -> Splits:
        """Return the data of one seed."""
        return self.data(seed) if callable(self.data) else self.data


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training of one arm from one seed; small and picklable, so that it can travel to any worker.

    Args:
        case: built-in name or ``module:function``, resolved by the worker.
        data: name of a registered data set, or None for the case's own.
        arm: the treatment.
        seed: what initial weights, order, masks and validation cut derive from.
        recipe: the case's recipe with the command's and the arm's overrides already in it.
    """

    case: str
    data: str | None
    arm: Arm
    seed: int
    recipe: Recipe

    def config(self) -> dict[str, Any]:
        """Return what identifies this run, as JSON can hold it."""
        return dataclasses.asdict(self)
