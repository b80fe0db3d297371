"""The steps of a training: a model with its optimiser, prepared by Accelerate, and its data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from thinout._checks import ThinoutError, message
from thinout.companions import max_norm_
from thinout.lab.case import Recipe
from thinout.lab.data import Splits
from thinout.lab.tasks import Task, get_task
from thinout.lab.training._batches import Examples, all_targets, load_batches, num_examples
from thinout.lab.training._evaluate import predict
from thinout.lab.training._seeds import RunSeeds

if TYPE_CHECKING:
    from accelerate import Accelerator

Progress = Callable[[int, int, int, Mapping[str, float]], None]
"""Called as ``progress(epoch, step, num_steps, metrics)``: after each step with ``train_loss``, and after each epoch
(step = num_steps) with its whole record."""

TRAIN_SAMPLE = 256
"""Training examples on which the clean NLL of an epoch is measured; all of them are measured once, at the end."""


class TrainingError(ThinoutError):
    """A training that cannot go on, for example since its loss is not a number."""


@dataclass(kw_only=True)
class Trainer:
    """What an epoch needs: the model as given and as Accelerate runs it, its optimiser, and its data.

    Args:
        accelerator: devices, precision, processes.
        model: as the user gave it.
        wrapped: as Accelerate runs it (DistributedDataParallel, autocast).
        optimizer: of the model's parameters.
        splits: the data.
        recipe: how it is trained.
        seeds: order and masks.
        task: how outputs are judged.
        class_weights: what an example of each class counts in the training loss, (num_classes,); None: all alike.
        lr: learning rate of the last step.
    """

    accelerator: Accelerator
    model: nn.Module
    wrapped: nn.Module
    optimizer: torch.optim.Optimizer
    splits: Splits
    recipe: Recipe
    seeds: RunSeeds
    task: Task
    class_weights: Tensor | None = None
    lr: float = 0.0

    @classmethod
    def prepare(
        cls, model: nn.Module, splits: Splits, recipe: Recipe, seeds: RunSeeds, task: str = "classification"
    ) -> Trainer:
        """Let Accelerate prepare a model and its new optimiser."""
        from accelerate import Accelerator

        get_task(task).check_recipe(recipe)
        accelerator = Accelerator()
        num_examples(splits.validation)
        wrapped, optimizer = accelerator.prepare(model, make_optimizer(model, recipe))
        return cls(
            accelerator=accelerator, model=model, wrapped=wrapped, optimizer=optimizer,
            splits=splits, recipe=recipe, seeds=seeds, task=get_task(task),
            class_weights=_class_weights(splits, accelerator.device) if recipe.class_weights else None,
        )  # fmt: skip  # one thought a line

    @property
    def num_steps(self) -> int:
        """Steps of an epoch."""
        return math.ceil(num_examples(self.splits.train) / self.recipe.batch_size)

    def train_epoch(self, epoch: int, progress: Progress | None) -> float:
        """Take the steps of one epoch and return the mean training loss."""
        recipe, accelerator, parameters = self.recipe, self.accelerator, list(self.model.parameters())
        order = torch.split(self.seeds.epoch_order(epoch, num_examples(self.splits.train)), recipe.batch_size)
        shares = [self._share(batch) for batch in order]
        torch.manual_seed(self.seeds.epoch_masks(epoch, accelerator.process_index))
        self.wrapped.train()
        total = 0.0
        seed = self.seeds.epoch_loads(epoch, accelerator.process_index)
        batches = zip(order, load_batches(self.splits.train, shares, accelerator.device, seed=seed), strict=True)
        for step, (batch, (inputs, labels)) in enumerate(batches):
            self._set_learning_rate((epoch - 1) * self.num_steps + step)
            loss = self._loss(inputs, labels, len(batch))
            self.model.zero_grad()  # the optimiser's, as Accelerate wraps it, inspects its signature at every step
            accelerator.backward(loss)
            if recipe.clip_value is not None:
                accelerator.clip_grad_value_(parameters, recipe.clip_value)
            if recipe.clip_norm is not None:
                accelerator.clip_grad_norm_(parameters, recipe.clip_norm)
            self.optimizer.step()
            if recipe.max_norm is not None:
                max_norm_(self.model, recipe.max_norm)
            value = self._mean(loss.detach()).item()
            _check_finite("loss", value, f"{value} in epoch {epoch}, step {step + 1}")
            total += value * len(batch)
            if progress is not None:
                progress(epoch, step + 1, self.num_steps, {"train_loss": value})
        return total / num_examples(self.splits.train)

    def evaluate(self, epoch: int) -> dict[str, float]:
        """Measure the validation part and a sample of the training part, in eval mode."""
        num_train = num_examples(self.splits.train)
        # Evenly spaced, so that data sorted by class are sampled alike.
        train = torch.arange(min(TRAIN_SAMPLE, num_train)) * num_train // min(TRAIN_SAMPLE, num_train)
        validation = torch.arange(num_examples(self.splits.validation))
        train_nll, train_error = self._measure(self.splits.measured_train, train)
        nll, error = self._measure(self.splits.validation, validation)
        _check_finite("validation loss", nll, f"{nll} after epoch {epoch}")
        return {
            "train_nll": train_nll,
            "train_error": train_error,
            "validation_nll": nll,
            "validation_error": error,
        }

    def _loss(self, inputs: Tensor, labels: Tensor, batch_size: int) -> Tensor:
        # Summed, and divided by the size of the whole batch: processes may hold unequal shares of it, and their
        # gradients are averaged.
        losses = self.task.losses(self.wrapped(inputs), labels, label_smoothing=self.recipe.label_smoothing)
        if self.class_weights is not None:
            losses = losses * self.class_weights[labels]
        share: Tensor = losses.sum() * (self.accelerator.num_processes / batch_size)
        return share

    def _measure(self, dataset: Examples, indices: Tensor) -> tuple[float, float]:
        share = self._share(indices)
        sums = torch.zeros(2, dtype=torch.float64)
        if len(share):
            outputs, targets = predict(self.model, dataset, share)
            measured = self.task.losses(outputs, targets), self.task.errors(outputs, targets)
            sums = torch.stack([values.double().sum() for values in measured])
        nll, error = self._mean(sums) * (self.accelerator.num_processes / len(indices))
        return nll.item(), error.item()

    def _share(self, batch: Tensor) -> Tensor:
        rank: int = self.accelerator.process_index
        return torch.tensor_split(batch, self.accelerator.num_processes)[rank]

    def _mean(self, value: Tensor) -> Tensor:
        if self.accelerator.num_processes == 1:
            return value
        mean: Tensor = self.accelerator.reduce(value.to(self.accelerator.device), reduction="mean")
        return mean.cpu()

    def _set_learning_rate(self, step: int) -> None:
        self.lr = learning_rate(self.recipe, step, self.recipe.epochs * self.num_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimiser: AdamW, or SGD with Nesterov momentum."""
    if recipe.optimizer == "adam":
        return torch.optim.AdamW(model.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True)
    return torch.optim.SGD(
        model.parameters(),
        lr=recipe.lr,
        momentum=recipe.momentum,
        nesterov=recipe.momentum > 0,
        weight_decay=recipe.weight_decay,
    )


def learning_rate(recipe: Recipe, step: int, num_steps: int) -> float:
    """Return the learning rate of a step (from 0) of a training of `num_steps` steps.

    Example:
        >>> [round(learning_rate(Recipe(lr=1.0, schedule="cosine"), step, 4), 3) for step in range(4)]
        [1.0, 0.854, 0.5, 0.146]
    """
    done = step / num_steps
    factors = {
        "constant": 1.0,
        "cosine": 0.5 * (1 + math.cos(math.pi * done)),
        "linear": 1 - done,
        "step": 1.0 if done < 0.5 else 0.1 if done < 0.75 else 0.01,
    }
    return recipe.lr * factors[recipe.schedule]


def _class_weights(splits: Splits, device: torch.device) -> Tensor:
    """Return the inverse frequency of each class among the training examples, scaled to a mean of 1 over examples."""
    counts = torch.bincount(all_targets(splits.train), minlength=splits.num_classes)
    return (counts.sum() / (counts.count_nonzero() * counts.clamp(min=1))).float().to(device)


def _check_finite(name: str, value: float, got: str) -> None:
    if not math.isfinite(value):
        raise TrainingError(message("fit", name, "finite", got, "Lower lr, or set clip_norm."))
