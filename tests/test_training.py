"""The training loop: its mathematics, its seeds, stopping, resuming, trackers."""

from __future__ import annotations

import csv
import math
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from _tiny import (
    NUM_CLASSES,
    DoubledInputs,
    NoisyPairs,
    Pairs,
    examples,
    mlp,
    run_of,
    tiny_case,
    tiny_splits,
)
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import TensorDataset

from thinout._checks import UsageError
from thinout.lab.case import Recipe
from thinout.lab.training import (
    CheckpointError,
    CsvTracker,
    FitResult,
    RunSeeds,
    TrainingError,
    build_model,
    fit,
    make_tracker,
    predict,
    train_run,
)
from thinout.lab.training._batches import load_batches

SEEDS = RunSeeds.from_seed(7)
WHOLE_BATCH = Recipe(epochs=1, batch_size=50, optimizer="sgd", momentum=0.0, lr=1.0, patience=None)


class InterruptionError(Exception):
    """What stands for Ctrl-C in these tests."""


def train(p: float, recipe: Recipe, **options: object) -> tuple[nn.Module, FitResult]:
    model = build_model(tiny_case(), p, SEEDS)
    return model, fit(model, tiny_splits(), recipe, seeds=SEEDS, **options)  # type: ignore[arg-type]


def weights(model: nn.Module) -> list[Tensor]:
    return [value.detach().clone() for value in model.parameters()]


def assert_equal_weights(one: nn.Module, other: nn.Module) -> None:
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


# The mathematics of a step


def test_a_training_equals_the_loop_that_one_would_write_by_hand() -> None:
    recipe = Recipe(
        epochs=2, batch_size=16, optimizer="sgd", lr=0.1, weight_decay=0.01, label_smoothing=0.1, patience=None
    )
    splits = replace(tiny_splits(), validation=tiny_splits().train)  # so that the second epoch is the better one
    model = build_model(tiny_case(), 0.0, SEEDS)
    result = fit(model, splits, recipe, seeds=SEEDS)
    own = build_model(tiny_case(), 0.0, SEEDS)
    optimizer = torch.optim.SGD(own.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)
    inputs, labels = splits.train.tensors
    for epoch in (1, 2):
        for batch in torch.split(SEEDS.epoch_order(epoch, 50), 16):
            optimizer.zero_grad()
            cross_entropy(own(inputs[batch]), labels[batch], label_smoothing=0.1).backward()
            optimizer.step()
    assert result.best_epoch == 2
    for got, expected in zip(model.parameters(), own.parameters(), strict=True):
        torch.testing.assert_close(got, expected)


def change_of_one_step(**recipe: float) -> Tensor:
    before = torch.cat([value.flatten() for value in weights(build_model(tiny_case(), 0.0, SEEDS))])
    model, _ = train(0.0, replace(WHOLE_BATCH, **recipe))
    return torch.cat([value.flatten() for value in weights(model)]) - before


def test_clipping_by_norm_shortens_the_step_and_keeps_its_direction() -> None:
    free, clipped = change_of_one_step(), change_of_one_step(clip_norm=0.01)
    assert clipped.norm().item() == pytest.approx(0.01, rel=1e-3)
    torch.testing.assert_close(clipped / clipped.norm(), free / free.norm(), rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(change_of_one_step(clip_norm=1e6), free)


def test_clipping_by_value_clamps_each_entry() -> None:
    free, clipped = change_of_one_step(), change_of_one_step(clip_value=0.01)
    torch.testing.assert_close(clipped, free.clamp(-0.01, 0.01), rtol=1e-3, atol=1e-7)
    assert (free.abs() > 0.01).any()


def test_weight_decay_pulls_every_weight_towards_zero() -> None:
    start = torch.cat([value.flatten() for value in weights(build_model(tiny_case(), 0.0, SEEDS))])
    torch.testing.assert_close(change_of_one_step(weight_decay=0.1) - change_of_one_step(), -0.1 * start)


def test_max_norm_holds_after_training() -> None:
    model, _ = train(0.5, Recipe(epochs=2, batch_size=16, lr=0.1, max_norm=0.3))
    for layer in (model[0], model[3]):  # type: ignore[index]  # a Sequential
        assert (layer.weight.norm(dim=1) <= 0.3 * (1 + 1e-6)).all()


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1, 1, 1, 1]),
        ("linear", [1, 0.75, 0.5, 0.25]),
        ("cosine", [1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2]),
        ("step", [1, 1, 0.1, 0.01]),
    ],
)
def test_the_learning_rate_follows_its_schedule(schedule: str, expected: list[float]) -> None:
    _, result = train(0.0, Recipe(epochs=4, batch_size=50, lr=1e-3, schedule=schedule, patience=None))  # type: ignore[arg-type]
    assert [record["lr"] * 1e3 for record in result.history] == pytest.approx(expected)


def test_a_data_set_of_ones_own_trains_as_tensors_do() -> None:
    model, result = train(0.5, Recipe(epochs=2, batch_size=16))
    own = build_model(tiny_case(), 0.5, SEEDS)
    own_result = fit(own, tiny_splits(kind=Pairs), Recipe(epochs=2, batch_size=16), seeds=SEEDS)
    assert_equal_weights(model, own)
    assert own_result.best_nll == result.best_nll


def test_a_subclass_of_tensor_data_gives_its_own_items() -> None:
    doubled, seeds = tiny_splits(kind=DoubledInputs), SEEDS
    inputs, _ = predict(nn.Identity(), doubled.test)  # type: ignore[arg-type]  # an Identity returns its inputs
    assert torch.equal(inputs, 2 * doubled.test.tensors[0])
    plain, own = build_model(tiny_case(), 0.0, seeds), build_model(tiny_case(), 0.0, seeds)
    twice = [TensorDataset(2 * part.tensors[0], part.tensors[1]) for part in (doubled.train, doubled.validation)]
    fit(plain, replace(doubled, train=twice[0], validation=twice[1]), Recipe(epochs=1), seeds=seeds)
    fit(own, doubled, Recipe(epochs=1), seeds=seeds)
    assert_equal_weights(plain, own)


class Watching(nn.Module):
    """A network that keeps what it was given, in training and in evaluation."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.net, self.seen = mlp(p), []

    def forward(self, inputs: Tensor) -> Tensor:
        self.seen.append(inputs.clone())
        return self.net(inputs)


def seen_by(p: float) -> list[Tensor]:
    model = Watching(p)
    fit(model, tiny_splits(kind=NoisyPairs), Recipe(epochs=2, batch_size=16, patience=None), seeds=SEEDS)
    predict(model, tiny_splits(kind=NoisyPairs).test)
    return model.seen


def test_arms_see_the_same_batches_of_a_data_set_that_draws_random_numbers() -> None:
    """Dropout draws from torch's generator between the batches, so without seeds of their own the noise differs."""
    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002  # the generator that is shared
    without, dropped = seen_by(0.0), seen_by(0.5)
    assert len(without) == len(dropped) > 8
    assert all(torch.equal(one, other) for one, other in zip(without, dropped, strict=True))
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002  # likewise


def test_the_noise_of_a_data_set_differs_between_epochs_and_batches() -> None:
    """The sum of each batch's inputs less that without noise: eight draws out of a continuum."""
    inputs = tiny_splits().train.tensors[0]
    batches = [batch for epoch in (1, 2) for batch in torch.split(SEEDS.epoch_order(epoch, 50), 16)]
    seen = [batch for batch in seen_by(0.0) if len(batch) in (16, 2)]
    noise = [float((got - inputs[batch])[0, 0]) for got, batch in zip(seen, batches, strict=True)]
    assert len({round(value, 6) for value in noise}) == 8


@pytest.mark.parametrize("kind", [TensorDataset, Pairs, DoubledInputs])
def test_an_empty_share_of_a_batch_is_a_batch_of_no_examples(kind: Any) -> None:
    """The examples beside it are those that they would be without it."""
    dataset, device = kind(*examples(5, 0)), torch.device("cpu")
    shares = [torch.tensor([3, 1]), torch.tensor([], dtype=torch.int64), torch.tensor([4])]
    full, empty, last = load_batches(dataset, shares, device)
    assert [part.shape for part in empty] == [(0, 8), (0,)]
    assert [part.dtype for part in empty] == [torch.float32, torch.int64]
    for batch, places in ((full, [3, 1]), (last, [4])):
        assert torch.equal(batch[0], torch.stack([dataset[place][0] for place in places]))


def test_an_empty_part_is_refused() -> None:
    splits = replace(tiny_splits(), train=TensorDataset(torch.zeros(0, 8), torch.zeros(0, dtype=torch.int64)))
    with pytest.raises(UsageError, match="length of at least 1"):
        fit(mlp(0.0), splits, Recipe(epochs=1), seeds=SEEDS)


# Seeds


def test_the_seeds_of_a_run_differ_from_each_other_and_from_those_of_other_runs() -> None:
    seeds = [RunSeeds.from_seed(seed) for seed in range(50)]
    values = {value for one in seeds for value in (one.init, one.order, one.masks, one.split)}
    assert len(values) == 200
    masks = {seeds[0].epoch_masks(epoch, rank) for epoch in range(1, 20) for rank in range(4)}
    assert len(masks) == 19 * 4


def test_training_leaves_the_default_generator_as_it_was() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(0.5, Recipe(epochs=1))
    assert torch.equal(torch.rand(3), expected)


def test_the_arms_of_a_seed_share_start_order_and_split_and_seeds_do_not() -> None:
    rows = {(p, seed): train_run(run_of(p, seed), case=tiny_case()) for p in (0.0, 0.5) for seed in (1, 2)}
    assert rows[0.0, 1].fingerprints == rows[0.5, 1].fingerprints
    for name in ("init", "order", "split", "test"):
        assert rows[0.0, 1].fingerprints[name] != rows[0.0, 2].fingerprints[name]


def test_a_dropout_layer_that_only_one_arm_has_does_not_hide_the_equal_start() -> None:
    def with_layer_or_without(p: float) -> nn.Module:
        layers = [nn.Linear(8, 16), nn.Dropout(p), nn.Linear(16, 3)]
        return nn.Sequential(*(layers if p else layers[::2]))

    case = replace(tiny_case(), model=with_layer_or_without)
    rows = [train_run(run_of(p, epochs=1), case=case) for p in (0.0, 0.5)]
    assert rows[0].fingerprints["init"] == rows[1].fingerprints["init"]


def test_masks_differ_between_epochs() -> None:
    # One step an epoch at a learning rate too small to matter: the training loss changes by the masks alone.
    _, result = train(0.5, Recipe(epochs=3, batch_size=50, lr=1e-12, patience=None))
    assert len({round(record["train_loss"], 6) for record in result.history}) == 3
    _, without = train(0.0, Recipe(epochs=3, batch_size=50, lr=1e-12, patience=None))
    assert len({round(record["train_loss"], 4) for record in without.history}) == 1


# Stopping


def test_training_stops_when_patience_ends_and_keeps_the_best_weights() -> None:
    inputs, labels = examples(20, 1)
    contradicting = TensorDataset(inputs, (labels + 1) % NUM_CLASSES)
    splits = replace(tiny_splits(), validation=contradicting)
    model = build_model(tiny_case(), 0.0, SEEDS)
    result = fit(model, splits, Recipe(epochs=40, batch_size=8, lr=0.01, patience=3), seeds=SEEDS)
    curve = [record["validation_nll"] for record in result.history]
    assert (result.best_epoch, result.num_epochs) == (1, 4)
    assert curve == sorted(curve)
    logits, targets = predict(model, splits.validation)
    assert cross_entropy(logits, targets).item() == pytest.approx(result.best_nll, rel=1e-6)


def test_the_last_weights_are_kept_on_request() -> None:
    inputs, labels = examples(20, 1)
    splits = replace(tiny_splits(), validation=TensorDataset(inputs, (labels + 1) % NUM_CLASSES))
    recipe = Recipe(epochs=6, batch_size=16, lr=0.01, patience=1, keep="last")
    model = build_model(tiny_case(), 0.0, SEEDS)
    result = fit(model, splits, recipe, seeds=SEEDS)
    losses = [record["validation_nll"] for record in result.history]
    assert min(losses) == losses[0]  # what patience would have stopped at, and "best" kept
    assert (result.num_epochs, result.best_epoch, result.best_nll) == (6, 6, losses[-1])
    logits, targets = predict(model, splits.validation)
    assert torch.nn.functional.cross_entropy(logits, targets).item() == pytest.approx(losses[-1], rel=1e-5)


def test_without_patience_all_epochs_are_trained() -> None:
    _, result = train(0.0, Recipe(epochs=6, lr=1.0, patience=None))
    assert result.num_epochs == 6


def test_a_loss_that_is_no_number_ends_the_training_with_epoch_and_step() -> None:
    with pytest.raises(TrainingError, match=r"`loss` must be finite, got .* in epoch 1, step \d"):
        train(0.0, Recipe(epochs=2, batch_size=16, optimizer="sgd", lr=1e30))


# Resuming


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("stop", [(1, 4), (3, 2), (4, 4)])
def test_an_interrupted_training_ends_with_the_very_weights(
    tmp_path: Path, optimizer: str, stop: tuple[int, int]
) -> None:
    recipe = Recipe(epochs=5, batch_size=16, optimizer=optimizer, lr=0.01, schedule="cosine", patience=3)  # type: ignore[arg-type]
    model, result = train(0.5, recipe)

    def interrupt(epoch: int, step: int, _num_steps: int, metrics: Mapping[str, float]) -> None:
        if (epoch, step) == stop and (step < 4 or "validation_nll" in metrics):
            raise InterruptionError

    checkpoint = tmp_path / "checkpoint.pt"
    with pytest.raises(InterruptionError):
        train(0.5, recipe, checkpoint=checkpoint, progress=interrupt)
    resumed, again = train(0.5, recipe, checkpoint=checkpoint)
    assert again.resumed_epochs == (stop[0] if stop[1] == 4 else stop[0] - 1)
    assert_equal_weights(resumed, model)
    drop_times = [[{**record, "seconds": 0} for record in one.history] for one in (result, again)]
    assert drop_times[0] == drop_times[1]
    assert (again.best_epoch, again.fingerprints) == (result.best_epoch, result.fingerprints)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    recipe, checkpoint = Recipe(epochs=2), tmp_path / "checkpoint.pt"
    model, _ = train(0.5, recipe, checkpoint=checkpoint)
    written = checkpoint.stat().st_mtime_ns
    again, result = train(0.5, recipe, checkpoint=checkpoint)
    assert_equal_weights(model, again)
    assert (result.resumed_epochs, checkpoint.stat().st_mtime_ns) == (2, written)


def test_a_checkpoint_of_another_training_is_refused_and_kept(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.pt"
    train(0.5, Recipe(epochs=1), checkpoint=checkpoint)
    content = checkpoint.read_bytes()
    with pytest.raises(CheckpointError, match=r"belongs to a training with another .* \(--folder\)"):
        train(0.5, Recipe(epochs=1, lr=0.5), checkpoint=checkpoint)
    assert checkpoint.read_bytes() == content


def test_a_checkpoint_of_another_p_is_refused(tmp_path: Path) -> None:
    """The weights, the recipe, the seeds and the data of the two runs are the same."""
    checkpoint = tmp_path / "checkpoint.pt"
    train_run(run_of(0.5), case=tiny_case(), checkpoint=checkpoint)
    with pytest.raises(CheckpointError, match="another case, p, recipe"):
        train_run(run_of(0.5001), case=tiny_case(), checkpoint=checkpoint)


@pytest.mark.parametrize("place", [0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.999])
def test_a_bit_turned_anywhere_in_a_checkpoint_is_told(tmp_path: Path, place: float) -> None:
    """Left to itself torch.load takes a weight of 1e37, and raises errors of many kinds in its index."""
    checkpoint = tmp_path / "checkpoint.pt"
    train(0.5, Recipe(epochs=1), checkpoint=checkpoint)
    content = bytearray(checkpoint.read_bytes())
    content[int(place * len(content))] ^= 0x40
    checkpoint.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"cannot be read\. Delete it to start again"):
        train(0.5, Recipe(epochs=1), checkpoint=checkpoint)


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 cut short"])
def test_a_damaged_checkpoint_ends_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    checkpoint = tmp_path / "checkpoint.pt"
    checkpoint.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"cannot be read\. Delete it to start again"):
        train(0.5, Recipe(epochs=1), checkpoint=checkpoint)


def test_a_checkpoint_that_cannot_be_written_ends_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="cannot be written"):
        train(0.5, Recipe(epochs=1), checkpoint=tmp_path / "file" / "checkpoint.pt")


# Trackers


def test_the_csv_tracker_has_one_line_an_epoch_also_after_an_interruption(tmp_path: Path) -> None:
    recipe = Recipe(epochs=3, batch_size=16)
    _, result = train(0.5, recipe, tracker=make_tracker("csv", tmp_path))

    def interrupt(epoch: int, _step: int, _num_steps: int, _metrics: Mapping[str, float]) -> None:
        if epoch == 3:
            raise InterruptionError

    with pytest.raises(InterruptionError):
        train(0.5, recipe, tracker=make_tracker("csv", tmp_path), progress=interrupt)
    train(0.5, recipe, tracker=make_tracker("csv", tmp_path))
    with (tmp_path / "epochs.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [float(line["validation_nll"]) for line in lines] == [r["validation_nll"] for r in result.history]


def test_a_kill_between_checkpoint_and_record_costs_no_record(tmp_path: Path) -> None:
    recipe, checkpoint = Recipe(epochs=3, batch_size=16), tmp_path / "checkpoint.pt"

    class Killed(CsvTracker):
        def log(self, values: dict[str, float], step: int | None) -> None:
            if values["epoch"] == 2:
                raise InterruptionError
            super().log(values, step)

    with pytest.raises(InterruptionError):
        train(0.5, recipe, tracker=Killed(tmp_path / "epochs.csv"), checkpoint=checkpoint)
    _, result = train(0.5, recipe, tracker=make_tracker("csv", tmp_path), checkpoint=checkpoint)
    assert result.resumed_epochs == 2
    with (tmp_path / "epochs.csv").open(newline="") as file:
        assert [line["epoch"] for line in csv.DictReader(file)] == ["1", "2", "3"]


def test_the_tensorboard_tracker_writes_the_validation_curve(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tracker = make_tracker("tensorboard", tmp_path)
    _, result = train(0.5, Recipe(epochs=2, batch_size=16), tracker=tracker)
    tracker.finish()
    events = EventAccumulator(str(tmp_path)).Reload().Scalars("validation_nll")
    curve = [(record["epoch"], pytest.approx(record["validation_nll"], rel=1e-6)) for record in result.history]
    assert [(event.step, event.value) for event in events] == curve


def test_an_unknown_tracker_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="csv or tensorboard"):
        make_tracker("wandb", tmp_path)
