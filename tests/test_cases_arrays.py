"""The cases on drives, series and tables: their networks, their arms, and a smoke run of each in seconds."""

from __future__ import annotations

import dataclasses
import math
import os
import re

import numpy as np
import pytest
import torch

from thinout._checks import UsageError
from thinout.cli import run
from thinout.lab.case import Case, Run, dropout_arm
from thinout.lab.cases import resolve
from thinout.lab.data import ArrayData, Drive, Splits, array_splits, drive_splits
from thinout.lab.metrics import root_mean_squared_error
from thinout.lab.models import ClipNet, SeriesNet, SteeringNet
from thinout.lab.rows import Row
from thinout.lab.summary import summarize
from thinout.lab.training import train_run
from thinout.nn import Dropout, Dropout1d, Dropout3d

needs_data = [
    pytest.mark.data,
    pytest.mark.skipif("THINOUT_DATA" not in os.environ, reason="THINOUT_DATA is not set"),
]
NAMES = ("driving", "video", "video-locked", "series", "health", "imbalanced", "uci")


def drive(num: int = 160) -> Drive:
    """Make a drive in which a bright column shows where to steer."""
    angles = np.sin(np.arange(num) / 7)
    frames = np.zeros((num, 60, 80, 3), np.uint8)
    frames[np.arange(num), :, np.round(39 + 38 * angles).astype(int)] = 255
    return Drive("tiny", frames, angles)


def table(shape: tuple[int, ...], classes: int | None, num: int = 40) -> ArrayData:
    """Make examples whose target depends on their first numbers."""
    numbers = np.random.default_rng(0)
    inputs = numbers.normal(size=(num, *shape))
    if classes is None:
        return ArrayData("tiny", 1, inputs, inputs.reshape(num, -1)[:, :1] ** 2)
    labels = np.arange(num) % classes
    return ArrayData("tiny", classes, inputs + labels.reshape(-1, *(1,) * len(shape)), labels)


def tiny(name: str) -> Case:
    """Return a case with its own network and recipe on tiny data of its shape."""
    case = resolve(name)

    def splits(seed: int) -> Splits:
        if name == "driving":
            return drive_splits(drive(), seed=seed)
        if name.startswith("video"):
            return drive_splits(drive(), seed=seed, clip=8, pool=2, every=4)
        shapes = {"series": ((1, 24), 2), "health": ((30,), 2), "imbalanced": ((8,), 2), "uci": ((13,), None)}
        return array_splits(table(*shapes[name]), seed=seed)

    return dataclasses.replace(case, data=splits)


def train(name: str, p: float = 0.5, **recipe: object) -> Row:
    case = tiny(name)
    recipe = dataclasses.replace(case.recipe, **{"epochs": 1, **recipe})
    return train_run(Run(case=name, data=None, arm=dropout_arm(p), seed=1, recipe=recipe), case=case)


@pytest.mark.parametrize("name", NAMES)
def test_every_case_trains_in_its_smoke_form(name: str) -> None:
    row = train(name)
    assert (row.status, row.reason) == ("done", None)
    for part in ("train", "validation", "test"):
        assert math.isfinite(row.value(resolve(name).metric, part))
        assert ("rmse" in row.metrics[part]) == (resolve(name).task == "regression")
        assert ("auc" in row.metrics[part]) == (resolve(name).task == "classification")


@pytest.mark.parametrize(("name", "error"), [("driving", 0.5), ("health", 0.1)])
def test_a_case_learns_what_is_plain_to_see(name: str, error: float) -> None:
    assert train(name, p=0.2, epochs=12, batch_size=8).value("error") < error


@pytest.mark.parametrize("name", NAMES)
def test_the_initial_weights_do_not_depend_on_p(name: str) -> None:
    starts = []
    for p in (0.0, 0.5, 1.0):
        torch.manual_seed(3)
        starts.append(resolve(name).model(p).state_dict())
    for other in starts[1:]:
        assert all(torch.equal(value, other[key]) for key, value in starts[0].items())


@pytest.mark.parametrize("name", NAMES)
def test_every_case_compares_rates_with_a_baseline(name: str) -> None:
    case = resolve(name)
    assert case.name == name
    assert case.arms[0].name == "none"
    assert {arm.p for arm in case.arms} >= {0.0}
    assert len({arm.name for arm in case.arms}) == len(case.arms) >= 3


def test_rare_classes_are_weighted_in_arms_of_their_own() -> None:
    arms = resolve("imbalanced").arms
    found = {(arm.p, arm.recipe.get("class_weights", False)) for arm in arms}
    assert found == {(p, weights) for p in (0.0, 0.2, 0.5) for weights in (False, True)}


def test_the_regressor_is_the_papers() -> None:
    boston, protein = resolve("uci").model(0.05), resolve("uci", "uci-protein").model(0.05)
    assert sum(weight.numel() for weight in boston.parameters()) == 14 * 50 + 51
    assert sum(weight.numel() for weight in protein.parameters()) == 10 * 100 + 101
    assert [layer.p for layer in boston.modules() if isinstance(layer, Dropout)] == [0.05, 0.05]


@pytest.mark.parametrize("shape", [(1, 24), (6, 100), (1, 427)])
def test_series_of_any_length_go_through_one_network(shape: tuple[int, int]) -> None:
    model = SeriesNet(0.3, in_channels=shape[0], num_classes=4)
    assert model(torch.zeros(3, *shape)).shape == (3, 4)
    kinds = [type(layer) for layer in model.modules() if isinstance(layer, (Dropout, Dropout1d))]
    assert kinds == [Dropout1d, Dropout1d, Dropout]


def masks_of(drop: str) -> torch.Tensor:
    """Return what the first dropout layer of a ClipNet drops of ones, (N, C, T, H, W)."""
    model = ClipNet(0.5, drop=drop)
    layer = next(layer for layer in model.modules() if isinstance(layer, (Dropout, Dropout3d)))
    return layer(torch.ones(4, 12, 8, 6, 6)) == 0


def test_channels_of_a_clip_are_dropped_whole() -> None:
    dropped = masks_of("channels")
    assert (dropped == dropped[:, :, :1, :1, :1]).all()
    assert 0 < dropped.double().mean() < 1


def test_a_locked_mask_is_one_for_all_times_and_differs_between_places() -> None:
    dropped = masks_of("locked")
    assert (dropped == dropped[:, :, :1]).all()
    assert not (dropped == dropped[:, :, :, :1, :1]).all()


@pytest.mark.parametrize(
    ("model", "shape", "sentence"),
    [
        (SteeringNet(), (2, 3, 120, 160), "of shape (N, 3, 60, 80), got (2, 3, 120, 160)"),
        (ClipNet(), (2, 3, 30, 40), "of shape (N, 3, T, 30, 40)"),
        (SeriesNet(in_channels=2), (2, 1, 9), "of shape (N, 2, length)"),
    ],
)
def test_an_input_of_another_shape_is_refused(model: torch.nn.Module, shape: tuple[int, ...], sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        model(torch.zeros(shape))


@pytest.mark.parametrize("network", [SteeringNet, ClipNet, SeriesNet])
def test_a_rate_that_is_no_probability_is_refused(network: type[torch.nn.Module]) -> None:
    with pytest.raises(ValueError, match="`p` must be a number in"):
        network(1.5)


@pytest.mark.parametrize(("name", "shape"), [("driving", (3, 60, 80)), ("video-locked", (3, 8, 30, 40))])
def test_the_summary_shows_where_dropout_sits(name: str, shape: tuple[int, ...]) -> None:
    layers = summarize(resolve(name).model(0.25), shape).layers
    assert {layer.p for layer in layers if "Dropout" in layer.layer} == {0.25}


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("series", "gunpiont", "Did you mean gunpoint?"),
        ("uci", "boston", "one of uci-boston, uci-concrete"),
        ("driving", "mnist", "one of donkey-tub"),
    ],
)
def test_another_data_set_is_refused(name: str, data: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=re.escape(sentence)):
        resolve(name, data)


def test_the_rmse_is_in_the_target_s_unit() -> None:
    outputs, targets = torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [1.0]])
    assert root_mean_squared_error(outputs, targets, (3.0,)) == 3.0
    two = root_mean_squared_error(torch.zeros(1, 2), torch.ones(1, 2), (3.0, 4.0))
    assert two == 5.0


class TestOnRealData:
    pytestmark = needs_data

    @pytest.mark.parametrize("name", ["series", "health", "uci"])
    def test_the_commands_run(self, name: str, tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["summary", name]) == 0
        folder = ["--folder", str(tmp_path / "train"), "--set", "epochs=1"]
        assert run(["train", name, "--p", "0.5", *folder]) == 0
        assert run(["study", name, "--dry-run", "--seeds", "5"]) == 0
        assert capsys.readouterr().out
