"""LeNet-5: its size, where dropout sits, equal starts, and the cases built on it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from thinout._checks import UsageError
from thinout.lab.cases import names, resolve
from thinout.lab.models import LeNet5, lenet5_1998
from thinout.nn import Dropout


def num_parameters(model: nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters())


@pytest.mark.parametrize(("in_channels", "expected"), [(1, 6_785_963), (3, 6_787_563)])
def test_the_article_s_net_has_the_parameters_of_its_layers(in_channels: int, expected: int) -> None:
    convolutions = (25 * in_channels + 1) * 32 + (25 * 32 + 1) * 64
    linear = (1600 + 1) * 4096 + (4096 + 1) * 43
    assert convolutions + linear == expected
    assert num_parameters(LeNet5(in_channels=in_channels, num_classes=43)) == expected


def test_the_net_of_1998_has_the_parameters_of_its_layers() -> None:
    expected = 26 * 6 + (25 * 6 + 1) * 16 + (25 * 16 + 1) * 120 + 121 * 84 + 85 * 10
    assert num_parameters(lenet5_1998()) == expected == 61_706


@pytest.mark.parametrize("factory", [LeNet5, lenet5_1998])
def test_dropout_sits_on_the_input_of_every_fully_connected_layer(factory: type[LeNet5]) -> None:
    layers = list(factory(0.25).classifier)
    before = [layers[i - 1] for i, layer in enumerate(layers) if isinstance(layer, nn.Linear)]
    assert [(type(layer), layer.p) for layer in before] == [(Dropout, 0.25)] * 2
    assert sum(isinstance(layer, nn.Dropout) for layer in factory(0.25).modules()) == len(before)


@pytest.mark.parametrize(("num_classes", "in_channels"), [(10, 1), (43, 3)])
def test_logits_have_one_column_a_class(num_classes: int, in_channels: int) -> None:
    model = LeNet5(num_classes=num_classes, in_channels=in_channels, hidden=(8, 6), channels=(2, 3, 4))
    assert model(torch.zeros(5, in_channels, 32, 32)).shape == (5, num_classes)


def test_an_image_of_another_size_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match=re.escape("of shape (N, 1, 32, 32), got (2, 1, 28, 28). Pad")):
        lenet5_1998()(torch.zeros(2, 1, 28, 28))


@pytest.mark.parametrize("p", [1.5, -0.1, float("nan")])
def test_a_rate_that_is_no_probability_is_refused(p: float) -> None:
    with pytest.raises(ValueError, match="`p` must be a number in"):
        LeNet5(p)


def test_the_initial_weights_do_not_depend_on_p() -> None:
    starts = []
    for p in (0.0, 0.5, 1.0):
        torch.manual_seed(3)
        starts.append(lenet5_1998(p).state_dict())
    for other in starts[1:]:
        assert all(torch.equal(value, other[name]) for name, value in starts[0].items())


def test_every_built_in_case_has_its_name_and_a_baseline() -> None:
    for name in names():
        case = resolve(name)
        assert (case.name, case.arms[0].p) == (name, 0.0)


def test_the_data_of_a_case_are_padded_to_32() -> None:
    assert resolve("lenet5-1998").splits(0).shape == (1, 32, 32)


@pytest.mark.parametrize(
    ("spec", "data", "sentence"),
    [
        ("lenet", None, "Did you mean lenet5?"),
        ("zzz", None, ", lenet5, lenet5-1998, "),
        ("lenet5", "mnist-smal", "Did you mean mnist-small?"),
        ("no_such_module_of_mine:make", None, "cannot be imported"),
        ("math:no_such_function", None, "with a function of math"),
        ("math:pi", None, "with a function of math"),
        ("os:getcwd", None, "returns a thinout.lab.case.Case"),
        ("os:getcwd", "mnist", "which brings its own"),
        ("math:sqrt", None, "math:sqrt raised TypeError"),
        (":", None, "cannot be imported"),
    ],
)
def test_a_case_that_cannot_be_had_ends_in_one_sentence(spec: str, data: str | None, sentence: str) -> None:
    with pytest.raises(UsageError, match=re.escape(sentence)) as caught:
        resolve(spec, data)
    assert "\n" not in str(caught.value)


def test_a_case_of_ones_own_is_found_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a_case_of_my_own.py").write_text(
        "import dataclasses\n"
        "from thinout.lab.cases import resolve\n"
        "def make_case():\n"
        "    return dataclasses.replace(resolve('lenet5-1998'), name='mine')\n"
    )
    monkeypatch.chdir(tmp_path)
    assert resolve("a_case_of_my_own:make_case").name == "mine"
