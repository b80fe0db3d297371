"""The training loop: one pass from top to bottom, on Hugging Face Accelerate."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from thinout.lab.case import Recipe
from thinout.lab.data import Splits
from thinout.lab.training._batches import num_examples
from thinout.lab.training._checkpoint import TrainingState, read_checkpoint, write_checkpoint
from thinout.lab.training._seeds import RunSeeds, digest_order, digest_parts, digest_test, digest_weights, seeded
from thinout.lab.training._trackers import Tracker
from thinout.lab.training._trainer import Progress, Trainer


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """What a training leaves behind, beside the model with the weights that its recipe keeps.

    Args:
        best_epoch: epoch (from 1) whose weights are kept: that with the lowest validation NLL, or the last.
        best_nll: its validation NLL in nats.
        history: one record an epoch: ``epoch``, ``train_loss`` (mean over the epoch's steps, dropout on),
            ``train_nll`` and ``train_error`` (eval mode, a fixed sample), ``validation_nll``, ``validation_error``,
            ``lr``, ``seconds``.
        fingerprints: digests of the initial weights (``init``), the order of examples, the split, the test part.
        resumed_epochs: how many of the epochs were trained before, by the command that left the checkpoint.
    """

    best_epoch: int
    best_nll: float
    history: list[dict[str, float]]
    fingerprints: dict[str, str]
    resumed_epochs: int = 0

    @property
    def num_epochs(self) -> int:
        """Epochs trained."""
        return len(self.history)


def fit(  # nine parameters: what is trained, from which randomness, and optional ways to watch or resume it
    model: nn.Module,
    splits: Splits,
    recipe: Recipe,
    *,
    seeds: RunSeeds,
    task: str = "classification",
    tracker: Tracker | None = None,
    checkpoint: Path | None = None,
    identity: str = "",
    progress: Progress | None = None,
) -> FitResult:
    """Train a network in place, stop early, and leave it with the weights of the best validation epoch, or the last.

    Each step minimises the mean loss of a batch, cross entropy by default. Under ``accelerate launch`` each process
    takes its share of every batch, and the mean is taken over the whole batch, so that the recipe means the same with
    any number of them.

    Args:
        model: network from inputs to what the task asks for; by default logits (N, num_classes).
        splits: training, validation and test part; the test part is not looked at.
        recipe: optimiser, schedule, regularisers and stopping.
        seeds: order of the batches and masks; the default generator comes back as it was.
        task: name of a task of `thinout.lab.tasks`.
        tracker: takes the record of each epoch.
        checkpoint: file of the state after each epoch. If it is there, training goes on from it, and ends with the
            very weights of an uninterrupted training.
        identity: what recipe, seeds, initial weights and data do not tell of the training, such as p: a checkpoint
            of another is refused.
        progress: called after each step and each epoch.

    Raises:
        TrainingError: the loss is not finite.
        CheckpointError: the checkpoint is of another training, damaged, or cannot be written.
        UsageError: a part is empty or has no length, or the task has no use of a field of the recipe.

    Example:
        >>> from thinout.lab.cases import resolve
        >>> case, seeds = resolve("lenet5-1998"), RunSeeds.from_seed(0)
        >>> result = fit(case.model(0.5), case.splits(seeds.split), Recipe(epochs=1, batch_size=512), seeds=seeds)
        >>> result.best_epoch, sorted(result.fingerprints)
        (1, ['init', 'order', 'split', 'test'])
    """
    trainer = Trainer.prepare(model, splits, recipe, seeds, task)
    fingerprints = fingerprint(model, splits, seeds)
    state = _start(trainer, checkpoint, identity, fingerprints)
    resumed_epochs = state.epoch
    _log_again(trainer, state, tracker)
    with seeded(seeds.masks):
        while state.epoch < recipe.epochs and not _out_of_patience(state, recipe):
            began = time.perf_counter()
            epoch = state.epoch + 1
            loss = trainer.train_epoch(epoch, progress)
            record = {"epoch": epoch, "train_loss": loss, **trainer.evaluate(epoch), "lr": trainer.lr}
            if recipe.keep == "last" or record["validation_nll"] < state.best_nll:
                state.best_epoch, state.best_nll = epoch, record["validation_nll"]
                state.best_weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
            state.epoch = epoch
            state.history.append(record | {"seconds": time.perf_counter() - began})
            _keep(trainer, state, checkpoint, tracker)
            if progress is not None:
                progress(epoch, trainer.num_steps, trainer.num_steps, state.history[-1])
    model.load_state_dict(state.best_weights)
    return FitResult(
        best_epoch=state.best_epoch,
        best_nll=state.best_nll,
        history=state.history,
        fingerprints=fingerprints,
        resumed_epochs=resumed_epochs,
    )


def fingerprint(model: nn.Module, splits: Splits, seeds: RunSeeds) -> dict[str, str]:
    """Return digests of what the arms of a seed share: initial weights, order of examples, split, test part."""
    return {
        "init": digest_weights(model.state_dict()),
        "order": digest_order(seeds, num_examples(splits.train)),
        "split": digest_parts(splits.train, splits.validation, splits.test),
        "test": digest_test(splits),
    }


def _start(trainer: Trainer, checkpoint: Path | None, identity: str, fingerprints: Mapping[str, str]) -> TrainingState:
    """Return the state to go on from: the checkpoint's, or that of a new training."""
    parts = (identity, trainer.recipe, trainer.seeds, sorted(fingerprints.items()))
    digest = hashlib.sha256(repr(parts).encode()).hexdigest()
    state = read_checkpoint(checkpoint, digest) if checkpoint is not None else None
    if state is None:
        return TrainingState(identity=digest)
    trainer.model.load_state_dict(state.model)
    trainer.optimizer.load_state_dict(state.optimizer)
    return state


def _log_again(trainer: Trainer, state: TrainingState, tracker: Tracker | None) -> None:
    """Tell the tracker what was trained before: a kill may have come between checkpoint and record."""
    if tracker is not None and trainer.accelerator.is_main_process:
        for record in state.history:
            tracker.log(record, step=int(record["epoch"]))


def _keep(trainer: Trainer, state: TrainingState, checkpoint: Path | None, tracker: Tracker | None) -> None:
    """Write the checkpoint and the epoch's record, in one process."""
    if trainer.accelerator.is_main_process:
        if checkpoint is not None:
            state.model, state.optimizer = trainer.model.state_dict(), trainer.optimizer.state_dict()
            write_checkpoint(checkpoint, state)
        if tracker is not None:
            tracker.log(state.history[-1], step=state.epoch)
    trainer.accelerator.wait_for_everyone()


def _out_of_patience(state: TrainingState, recipe: Recipe) -> bool:
    return recipe.patience is not None and state.epoch - state.best_epoch >= recipe.patience
