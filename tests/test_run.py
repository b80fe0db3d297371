"""The row that a run leaves, its failures, its estimate, and a training in two processes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from _tiny import Pairs, run_of, tiny_case, tiny_splits
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from thinout._checks import ThinoutError, UsageError
from thinout.lab import rows
from thinout.lab.case import Case, Recipe, Run, dropout_arm
from thinout.lab.cases import resolve
from thinout.lab.data import Splits
from thinout.lab.rows import RowError, read_row, row_path, write_row
from thinout.lab.training import FitResult, RunSeeds, build_model, estimate_seconds, fit, train_run


def test_a_row_holds_what_the_contract_says_and_survives_the_disk(tmp_path: Path) -> None:
    run = Run(
        case="lenet5-1998",
        data=None,
        arm=dropout_arm(0.2),
        seed=0,
        recipe=Recipe(epochs=1, batch_size=512, patience=None),
    )
    row = train_run(run)
    assert (row.status, row.reason, row.best_epoch, row.num_epochs) == ("done", None, 1, 1)
    assert list(row.metrics) == ["train", "validation", "test"]
    names = {"nll", "error", "error_low", "error_high", "ece", "balanced_error"}
    assert all(set(values) == names for values in row.metrics.values())
    assert all(0 <= part["error_low"] < part["error"] < part["error_high"] <= 1 for part in row.metrics.values())
    assert row.arrays["test_nll"].shape == row.arrays["test_label"].shape == (2000,)
    assert row.arrays["test_nll"].mean(dtype="float64") == pytest.approx(row.metrics["test"]["nll"], rel=1e-6)
    assert (row.arrays["test_prediction"] != row.arrays["test_label"]).mean() == row.metrics["test"]["error"]
    assert row.arrays["filters"].shape == (6, 5, 5)
    assert [site["name"] for site in row.layers] == ["features.1", "features.4", "features.7", "classifier.2"]
    assert all(0 < site["zero_share"] < 1 and site["mean"] > 0 for site in row.layers)
    assert row.history[0]["validation_nll"] == pytest.approx(row.metrics["validation"]["nll"], rel=1e-6)
    assert {"torch", "python", "cpu", "threads", "revision", "started", "ended"} <= set(row.provenance)
    back = read_row(write_row(tmp_path, row))
    assert back.config["recipe"]["batch_size"] == 512
    assert back.metrics == row.metrics
    assert row_path(tmp_path, row.arm, 0).exists()


def test_a_row_cut_off_between_its_two_files_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row of the failed run must not stand beside the arrays of the repetition."""
    failed = train_run(run_of(0.5, optimizer="sgd", lr=1e30), case=tiny_case())
    path = write_row(tmp_path, failed)
    write, written = rows.write_atomically, []

    def cut_off(path: Path, content: bytes) -> None:
        if written:
            raise KeyboardInterrupt
        written.append(path)
        write(path, content)

    monkeypatch.setattr(rows, "write_atomically", cut_off)
    with pytest.raises(KeyboardInterrupt):
        write_row(tmp_path, train_run(run_of(0.5), case=tiny_case()))
    assert written == [path.with_suffix(".npz")]
    assert not path.exists()


@pytest.mark.parametrize("key", ["arm", "metrics", "arrays", "history"])
def test_a_row_that_lacks_something_is_named(tmp_path: Path, key: str) -> None:
    path = write_row(tmp_path, train_run(run_of(0.5), case=tiny_case()))
    content = json.loads(path.read_text())
    del content[key]
    path.write_text(json.dumps(content))
    with pytest.raises(RowError, match=r"seed-7\.json"):
        read_row(path)


def test_a_row_without_the_metrics_of_a_part_is_named(tmp_path: Path) -> None:
    path = write_row(tmp_path, train_run(run_of(0.5), case=tiny_case()))
    content = json.loads(path.read_text())
    del content["metrics"]["validation"]["ece"]
    path.write_text(json.dumps(content))
    with pytest.raises(RowError, match=r"seed-7\.json .*: validation\. Delete it"):
        read_row(path)


def test_zero_share_and_mean_are_those_of_the_activations() -> None:
    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale, self.activation = nn.Parameter(torch.zeros(())), nn.ReLU()

        def forward(self, inputs: Tensor) -> Tensor:
            pattern = torch.tensor([-1.0, 3.0, 0.0, -2.0]).expand(len(inputs), 4)
            return self.activation(pattern)[:, :3] + self.scale

    case = Case(name="fixed", model=lambda p: Fixed(), data=tiny_splits)
    row = train_run(run_of(0.0, epochs=1), case=case)
    assert row.layers == [{"name": "activation", "zero_share": 0.75, "mean": 0.75}]
    assert "filters" not in row.arrays


def test_a_loss_that_is_no_number_fails_the_run_with_its_reason() -> None:
    row = train_run(run_of(0.0, optimizer="sgd", lr=1e30), case=tiny_case())
    assert row.status == "failed"
    assert re.search(r"`loss` must be finite, got .* in epoch 1, step \d+\. Lower lr", str(row.reason))


def test_an_error_inside_of_the_model_fails_the_run_with_its_reason() -> None:
    case = replace(tiny_case(), model=lambda p: nn.Linear(5, 3))
    row = train_run(run_of(0.0), case=case)
    assert (row.status, row.metrics) == ("failed", {})
    assert str(row.reason).startswith("RuntimeError: mat1 and mat2 shapes cannot be multiplied")


def test_an_error_of_the_data_function_fails_the_run_with_its_reason() -> None:
    def missing(seed: int) -> Splits:
        raise FileNotFoundError("no such folder: /data")

    row = train_run(run_of(0.0), case=replace(tiny_case(), data=missing))
    assert (row.status, row.reason) == ("failed", "FileNotFoundError: no such folder: /data")


def test_a_factory_that_raises_or_returns_another_thing_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"returns a torch\.nn\.Module, got 'net'"):
        train_run(run_of(0.0), case=replace(tiny_case(), model=lambda p: "net"))  # type: ignore[arg-type,return-value]
    with pytest.raises(UsageError, match=r"ZeroDivisionError: .*division"):
        train_run(run_of(0.0), case=replace(tiny_case(), model=lambda p: nn.Linear(1, int(1 / p))))


def test_a_run_counts_the_seconds_before_an_interruption_too(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.pt"
    first = train_run(run_of(0.5), case=tiny_case(), checkpoint=checkpoint)
    again = train_run(run_of(0.5), case=tiny_case(), checkpoint=checkpoint)
    assert again.seconds >= sum(record["seconds"] for record in first.history)


def test_a_refused_checkpoint_is_no_failed_run(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.pt"
    checkpoint.write_bytes(b"no checkpoint")
    with pytest.raises(ThinoutError, match="cannot be read"):
        train_run(run_of(0.5), case=tiny_case(), checkpoint=checkpoint)


def test_a_network_in_bfloat16_with_a_convolution_leaves_a_row() -> None:
    """Its filters are those of the weights, as float32: a mean over one input channel changes nothing."""

    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(1, 2, 3).bfloat16(), nn.Linear(8, 3).bfloat16()

        def forward(self, inputs: Tensor) -> Tensor:
            images = torch.cat([inputs, inputs], 1).view(-1, 1, 4, 4).bfloat16()
            return self.head(self.conv(images).flatten(1))

    case = Case(name="half", model=lambda p: Half(), data=tiny_splits)
    row = train_run(run_of(0.0, epochs=1, lr=1e-12), case=case)
    assert (row.status, row.reason) == ("done", None)
    start = build_model(case, 0.0, RunSeeds.from_seed(7)).conv.weight  # a step of 1e-12 is too small for bfloat16
    assert row.arrays["filters"].dtype == "float32"
    assert torch.equal(torch.from_numpy(row.arrays["filters"]), start.detach()[:, 0].float())


def test_the_estimate_counts_all_steps_of_an_epoch() -> None:
    class Slow(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            time.sleep(0.005)
            return super().forward(input)

    case = Case(name="slow", model=lambda p: Slow(8, 3), data=tiny_splits(num_train=400), recipe=Recipe(batch_size=8))
    seconds = estimate_seconds(case, num_steps=5)
    assert 50 * 0.005 <= seconds < 5.0  # 50 steps of at least 5 ms; above, a machine 20 times slower passes


# Several processes

TWO_PROCESSES = """
import sys, torch
sys.path.insert(0, sys.argv[1])
from thinout.lab.case import Recipe
from thinout.lab.cases import resolve
from thinout.lab.training import RunSeeds, build_model, fit
import test_run
from accelerate import PartialState
model, result = getattr(test_run, sys.argv[3])()
state = PartialState()
torch.save({"weights": model.state_dict(), "nll": result.best_nll, "processes": state.num_processes},
           f"{sys.argv[2]}/{state.process_index}.pt")
state.destroy_process_group()
"""


def two_process_training() -> tuple[nn.Module, FitResult]:
    """Train on 199 images: the last batch of 7 splits into shares of 4 and 3."""
    case, seeds = resolve("lenet5-1998"), RunSeeds.from_seed(0)
    splits = case.splits(seeds.split)
    splits = replace(
        splits,
        train=TensorDataset(*(tensor[:199] for tensor in splits.train.tensors)),
        validation=TensorDataset(*(tensor[:51] for tensor in splits.validation.tensors)),
    )
    model = build_model(case, 0.0, seeds)
    return model, fit(model, splits, Recipe(epochs=2, batch_size=64, optimizer="sgd", lr=0.01), seeds=seeds)


def training_with_an_empty_share() -> tuple[nn.Module, FitResult]:
    """Train on 5 examples of a data set of one's own: the last batch has one, and none for the second process."""
    model = build_model(tiny_case(), 0.0, RunSeeds.from_seed(0))
    recipe = Recipe(epochs=2, batch_size=2, optimizer="sgd", lr=0.01)
    return model, fit(model, tiny_splits(kind=Pairs, num_train=5), recipe, seeds=RunSeeds.from_seed(0))


@pytest.mark.parametrize("training", [two_process_training, training_with_an_empty_share])
def test_two_processes_train_as_one_does(tmp_path: Path, training: Callable[[], tuple[nn.Module, FitResult]]) -> None:
    script = tmp_path / "train.py"
    script.write_text(TWO_PROCESSES)
    # `--multi_gpu` is Accelerate's word for torch's launcher; with ACCELERATE_USE_CPU the processes talk through gloo.
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    command = [*launch, str(script), str(Path(__file__).parent), str(tmp_path), training.__name__]
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    model, result = training()
    assert first["processes"] == 2
    for name, value in model.state_dict().items():
        assert torch.equal(first["weights"][name], second["weights"][name])
        torch.testing.assert_close(first["weights"][name], value, rtol=1e-4, atol=1e-5)
    assert first["nll"] == second["nll"] == pytest.approx(result.best_nll, rel=1e-4)


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    code = "import sys, thinout.lab.training, thinout.lab.cases, thinout.lab.summary; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert not {"accelerate", "matplotlib", "scipy", "torchmetrics", "tensorboard"} & set(modules.stdout.split())


def test_the_test_part_has_one_digest_over_seeds_of_an_image_set():
    """Its normalisation differs from seed to seed, its images do not: so the bootstrap over test images can be made."""
    from thinout.lab.data import load, split
    from thinout.lab.training._loop import fingerprint

    images, model = load("fashion-mnist-small"), torch.nn.Linear(1, 1)
    prints = []
    for seed in range(3):
        seeds = RunSeeds.from_seed(seed)
        prints.append(fingerprint(model, split(images, seed=seeds.split, pad=2), seeds))
    assert len({each["test"] for each in prints}) == 1
    assert len({each["split"] for each in prints}) == 3


@pytest.mark.parametrize("form", ["photo_splits", "sign_splits"])
def test_images_of_other_pixels_are_other_data(form: str) -> None:
    """Two forms of one set have the same labels in the same order: the official archive, and a packed copy."""
    from thinout.lab import data
    from thinout.lab.training._loop import fingerprint

    found, model = [], torch.nn.Linear(1, 1)
    for pixels in (0, 0, 1):
        images = np.random.default_rng(pixels).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
        labels = np.arange(40) % 4
        given = data.ImageData("set", 4, images, labels, images[:8], labels[:8])
        options = {"size": 32} if form == "photo_splits" else {}
        splits = getattr(data, form)(given, seed=1, **options)
        found.append(fingerprint(model, splits, RunSeeds.from_seed(1)))
    assert found[0] == found[1]
    assert found[0]["split"] != found[2]["split"]
    assert found[0]["test"] != found[2]["test"]


def test_the_test_part_has_one_digest_over_seeds_of_a_published_split_of_arrays():
    from thinout.lab.data import ArrayData, array_splits
    from thinout.lab.training._loop import fingerprint

    inputs, model = np.random.default_rng(0).normal(size=(40, 3)), torch.nn.Linear(1, 1)

    def prints(test_parts):
        data = ArrayData("made", 2, inputs, np.arange(40) % 2, test_parts=test_parts)
        found = []
        for seed in range(3):
            seeds = RunSeeds.from_seed(seed)
            found.append(fingerprint(model, array_splits(data, seed=seeds.split), seeds))
        return [len({each[name] for each in found}) for name in ("test", "split")]

    assert prints((np.arange(30, 40),)) == [1, 3]
    assert prints(()) == [3, 3]  # each seed draws its own
