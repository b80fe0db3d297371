"""Each case on images in a smoke form of seconds: a few examples, one epoch, and a row that is done."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from _photos import noise, write_photos
from torch import Tensor, nn

from thinout._checks import UsageError
from thinout.lab.case import Case, Run, dropout_arm
from thinout.lab.cases import _images, resolve
from thinout.lab.data import ImageData, Splits, Viewed
from thinout.lab.rows import Row
from thinout.lab.study import plan
from thinout.lab.summary import summarize
from thinout.lab.training import train_run


def signs(num_train: int = 6) -> ImageData:
    """Return a few random images of each of the 43 classes, two a track."""
    labels = np.repeat(np.arange(43), num_train).astype(np.int64)
    images = np.stack([noise(label, 32, 32) // 4 + 3 * label for label in labels.tolist()]).astype(np.uint8)
    groups = labels * 1000 + np.tile(np.arange(num_train) // 2, 43)
    return ImageData("gtsrb-small", 43, images, labels, images[::6], labels[::6], groups)


def smoke(case: Case, name: str, p: float = 0.5) -> Row:
    """Train one epoch; the losses must be finite, and every tensor of weights must have moved."""
    built: list[tuple[nn.Module, list[Tensor]]] = []

    def watched(p: float) -> nn.Module:
        model = case.model(p)
        built.append((model, [weight.detach().clone() for weight in model.parameters()]))
        return model

    recipe = dataclasses.replace(case.recipe, epochs=1, batch_size=8)
    run = Run(case=name, data=None, arm=dropout_arm(p), seed=0, recipe=recipe)
    row = train_run(run, case=dataclasses.replace(case, model=watched))
    assert row.status == "done", row.reason
    assert 0 <= row.metrics["test"]["error"] <= 1
    assert all(math.isfinite(row.metrics[part]["nll"]) for part in ("train", "validation", "test"))
    ((model, before),) = built
    assert not any(map(torch.equal, model.parameters(), before))
    return row


def few(case: Case, num: int = 24) -> Case:
    """Return the case with the first examples of its parts only."""

    def data(seed: int) -> Splits:
        splits = case.splits(seed)
        parts = {
            part: torch.utils.data.TensorDataset(*(values[:num] for values in getattr(splits, part).tensors))
            for part in ("train", "validation", "test")
        }
        return dataclasses.replace(splits, **parts)

    return dataclasses.replace(case, data=data)


@pytest.mark.parametrize("name", ["mlp", "mlp-2x4096", "mlp-deepnet"])
def test_mlps(name: str) -> None:
    smoke(few(resolve(name), 16), name)


@pytest.mark.parametrize("name", ["lenet5", "lenet5-1998", "alexnet-64"])
def test_traffic_signs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (_images, resolve.__globals__["_alexnet"]):
        monkeypatch.setattr(module, "load", lambda name: signs())
    case = resolve(name, "gtsrb-small")
    splits = case.splits(0)
    assert isinstance(splits.train, Viewed)
    assert len(splits.validation) == 43 * 2
    assert summarize(case.model(0.5), splits.shape).layers[-1].output_shape == (43,)
    smoke(case, name)


@pytest.mark.parametrize("name", ["alexnet-64", "alexnet-128"])
def test_photos(name: str, tmp_path: Path) -> None:
    smoke(resolve(name, str(write_photos(tmp_path / "photos", num=2))), name)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("alexnet", 62_378_344), ("alexnet-2012", 60_965_224), ("alexnet-torchvision", 61_100_840)],
)
def test_the_full_alexnets_take_photos_at_their_size(name: str, parameters: int, tmp_path: Path) -> None:
    case = resolve(name, str(write_photos(tmp_path / "photos", num=2, side=224)))
    splits = case.splits(0)
    with torch.device("meta"):
        model = case.model(0.5)
    assert sum(weight.numel() for weight in model.parameters()) == parameters - 998 * 4097
    assert model(splits.train[0][0][None].to("meta")).shape == (1, 2)
    assert [arm.name for arm in case.arms] == ["none", "p=0.333", "p=0.5"]
    assert len(splits.train) == 2  # one step of a batch of two
    smoke(case, name)


def test_a_small_net_learns_a_folder_of_two_colours(tmp_path: Path) -> None:
    case = resolve("alexnet-64", str(write_photos(tmp_path / "photos", num=10)))
    recipe = dataclasses.replace(case.recipe, epochs=12, batch_size=8)
    row = train_run(Run(case="alexnet-64", data=None, arm=dropout_arm(1 / 3), seed=0, recipe=recipe), case=case)
    assert row.status == "done", row.reason
    assert row.metrics["train"]["error"] <= 0.05  # one class is red, the other green


def test_a_study_of_photos_is_planned(tmp_path: Path) -> None:
    study = plan("alexnet-64", data=str(write_photos(tmp_path / "photos", num=3)), arms=None, seeds=2, recipe={})
    assert len(study.runs()) == 6


@pytest.mark.parametrize("name", ["lenet5", "mlp"])
def test_a_set_that_a_case_does_not_take_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="one of fashion-mnist-small, mnist-small"):
        resolve(name, "ants-bees")
