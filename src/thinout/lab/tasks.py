"""What a network is asked for: one class an example, one token a position, or numbers.

A task turns outputs and targets into a loss, into what is measured, and into the arrays that a row keeps. Lower is
better in every metric that an arm can be judged by.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from thinout._checks import bad_usage, check_choice
from thinout.lab.metrics import binary_metrics, classification_metrics, nll_by_example
from thinout.lab.rows import PRIMARY
from thinout.lab.statistics import share_interval

Arrays = dict[str, npt.NDArray[Any]]


class Task(ABC):
    """How outputs are judged.

    Attributes:
        name: how a case names it.
        shape: the shape of outputs, in words for messages.
        primary: the metrics that an arm can be judged by; the others of `PRIMARY` are absent or NaN.
        refused: fields of a recipe that have no meaning here, and so must be left as they are.
    """

    name: str
    shape: str
    primary: tuple[str, ...] = ("nll", "error")
    refused: tuple[str, ...] = ()

    def check_recipe(self, recipe: object) -> None:
        """Raise UsageError if a `Recipe` asks for what this task cannot do, which would else be ignored or fail."""
        for name in self.refused:
            if value := getattr(recipe, name):
                allowed = f"{type(value)()!r}, which is all that a task of {self.name} knows"
                bad_usage("Recipe", name, allowed, repr(value))

    @abstractmethod
    def losses(self, outputs: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        """Return the loss of each example, (N,): negative log-likelihoods in nats, where nothing is smoothed."""

    @abstractmethod
    def errors(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return what each example adds to the error, (N,); their mean is the error."""

    @abstractmethod
    def problem(self, targets: Tensor, num_outputs: int) -> str | None:
        """Return what is wrong with targets, as a sentence says it after "got"; None where they are right."""

    @abstractmethod
    def output_shape(self, targets: Tensor, num_outputs: int) -> tuple[int, ...]:
        """Return the shape that the outputs for some targets must have."""

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Return ``nll``, ``error`` and ``ece``, NaN where the task has no such number, and perhaps more."""
        nll, error = (values(outputs, targets).double().mean().item() for values in (self.losses, self.errors))
        return {"nll": nll, "error": error, "ece": math.nan}

    def arrays(self, outputs: Tensor, targets: Tensor) -> Arrays:
        """Return what a row keeps of each test example: ``test_nll``, ``test_label`` and what else there is."""
        return {
            "test_nll": self.losses(outputs, targets).numpy(),
            "test_error": self.errors(outputs, targets).numpy(),
            "test_label": targets.double().flatten(1).sum(1).numpy() if targets.dim() > 1 else targets.numpy(),
        }


class Classification(Task):
    """One class an example: logits (N, num_classes) for labels (N,)."""

    name, shape, primary = "classification", "(N, num_classes)", PRIMARY

    def losses(self, outputs: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        """Return cross entropies."""
        if not label_smoothing:
            return nll_by_example(outputs, targets)
        return cross_entropy(outputs, targets, reduction="none", label_smoothing=label_smoothing)

    def errors(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return 1 for each wrong class, else 0."""
        return (outputs.argmax(1) != targets).double()

    def problem(self, targets: Tensor, num_outputs: int) -> str | None:
        """Targets are int64 labels (N,) in [0, num_outputs)."""
        if targets.dtype != torch.int64 or targets.dim() != 1:
            return f"{targets.dtype} of shape {tuple(targets.shape)}"
        return _outside(targets, num_outputs)

    def output_shape(self, targets: Tensor, num_outputs: int) -> tuple[int, ...]:
        """Return (N, num_outputs)."""
        return (len(targets), num_outputs)

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Return NLL, error with its interval, ECE and balanced error; of two classes also recall, F1 and ROC area.

        ``error_low`` and ``error_high`` bound the exact 95 % interval over examples, see `share_interval`.
        """
        found = classification_metrics(outputs, targets)
        interval = share_interval(int(self.errors(outputs, targets).sum()), len(targets))
        found |= {f"error_{bound}": float(getattr(interval, bound)) for bound in ("low", "high")}
        return found | binary_metrics(outputs, targets) if outputs.shape[1] == 2 else found

    def arrays(self, outputs: Tensor, targets: Tensor) -> Arrays:
        """Return ``test_nll``, ``test_prediction`` and ``test_label``, each (N,)."""
        return {
            "test_nll": self.losses(outputs, targets).numpy(),
            "test_prediction": outputs.argmax(1).numpy(),
            "test_label": targets.numpy(),
        }


class Tokens(Task):
    """One class a position of a sequence: logits (N, T, num_classes) for labels (N, T); numbers are means over T."""

    name, shape, refused = "tokens", "(N, T, num_classes)", ("class_weights",)

    def losses(self, outputs: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        """Return the mean cross entropy of each sequence, in nats a token."""
        by_token = cross_entropy(outputs.transpose(1, 2), targets, reduction="none", label_smoothing=label_smoothing)
        return by_token.mean(1)

    def errors(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the share of wrong tokens of each sequence."""
        return (outputs.argmax(2) != targets).double().mean(1)

    def problem(self, targets: Tensor, num_outputs: int) -> str | None:
        """Targets are int64 labels (N, T) in [0, num_outputs)."""
        if targets.dtype != torch.int64 or targets.dim() != 2:
            return f"{targets.dtype} of shape {tuple(targets.shape)}"
        return _outside(targets, num_outputs)

    def output_shape(self, targets: Tensor, num_outputs: int) -> tuple[int, ...]:
        """Return (N, T, num_outputs)."""
        return (*targets.shape, num_outputs)


class Regression(Task):
    r"""Numbers, standardised by mean and deviation of the training part: outputs (N, D) for targets (N, D).

    The likelihood is Gaussian with unit variance on that scale. The error is a share, 1 being what the training mean
    alone would get:

    .. math:: \text{error} = \sum_i (y_i - \hat y_i)^2 / \sum_i y_i^2
    """

    name, shape, refused = "regression", "(N, num_outputs)", ("class_weights", "label_smoothing")

    def losses(self, outputs: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        """Return Gaussian negative log-likelihoods of unit variance, summed over outputs."""
        return (0.5 * (outputs - targets).square() + 0.5 * math.log(2 * math.pi)).sum(1)

    def errors(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return each example's squared error over the mean squared target of all that are given."""
        scale = targets.double().square().sum(1).mean()
        return (outputs - targets).double().square().sum(1) / scale

    def problem(self, targets: Tensor, num_outputs: int) -> str | None:
        """Targets are finite float32 numbers (N, num_outputs)."""
        if not targets.is_floating_point() or targets.dim() != 2 or targets.shape[1] != num_outputs:
            return f"{targets.dtype} of shape {tuple(targets.shape)}"
        return None if targets.isfinite().all() else "numbers that are not finite"

    def output_shape(self, targets: Tensor, num_outputs: int) -> tuple[int, ...]:
        """Return (N, num_outputs)."""
        return tuple(targets.shape)


def _outside(labels: Tensor, num_classes: int) -> str | None:
    low, high = int(labels.min()), int(labels.max())
    return None if low >= 0 and high < num_classes else f"{low} to {high}"


TASKS: dict[str, Task] = {task.name: task for task in (Classification(), Tokens(), Regression())}


def get_task(name: str) -> Task:
    """Return a task by its name.

    Raises:
        ValueError: there is no such task.

    Example:
        >>> get_task("tokens").shape
        '(N, T, num_classes)'
    """
    return TASKS[check_choice("get_task", "task", name, TASKS)]
