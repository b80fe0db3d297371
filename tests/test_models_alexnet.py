"""AlexNet: the parameters and sizes of its three published forms, where dropout sits, and equal starts."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import nn

from thinout.lab.models import AlexNet, SmallAlexNet
from thinout.lab.summary import summarize
from thinout.nn import Dropout

FORMS = ("single-tower", "two-towers", "torchvision")


def on_meta(p: float = 0.5, **arguments: Any) -> AlexNet:
    with torch.device("meta"):
        return AlexNet(p, **arguments)


def num_parameters(model: nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters())


def convolution(num_outputs: int, num_inputs: int, kernel: int) -> int:
    return num_outputs * (num_inputs * kernel**2 + 1)


FULLY_CONNECTED = 4096 * (9216 + 1) + 4096 * (4096 + 1) + 1000 * (4096 + 1)
COUNTS = {
    "single-tower": (62_378_344, (11, 96, 3), (5, 256, 96), (3, 384, 256), (3, 384, 384), (3, 256, 384)),
    "two-towers": (60_965_224, (11, 96, 3), (5, 256, 48), (3, 384, 256), (3, 384, 192), (3, 256, 192)),
    "torchvision": (61_100_840, (11, 64, 3), (5, 192, 64), (3, 384, 192), (3, 256, 384), (3, 256, 256)),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_has_the_parameters_of_its_layers(form: Any) -> None:
    expected, *layers = COUNTS[form]
    by_hand = sum(convolution(outputs, inputs, kernel) for kernel, outputs, inputs in layers)
    assert by_hand + FULLY_CONNECTED == num_parameters(on_meta(form=form)) == expected


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("side", [227, 224])
def test_the_sizes_of_the_layers(form: Any, side: int) -> None:
    layers = summarize(on_meta(form=form, side=side), (3, side, side)).layers
    maps = [layer.output_shape[1:] for layer in layers if layer.layer in ("Conv2d", "MaxPool2d")]
    assert maps == [(n, n) for n in (55, 27, 27, 13, 13, 13, 13, 6)]
    linear = [layer.output_shape for layer in layers if layer.layer == "Linear"]
    assert linear == [(4096,), (4096,), (1000,)]
    first = "(227-11+2*0)/4+1 = 55" if side == 227 else "(224-11+2*2)/4+1 = 55"
    assert layers[0].formula == first


def test_the_single_tower_takes_1_1_billion_multiply_adds_and_the_two_towers_fewer() -> None:
    one, two = (summarize(on_meta(form=form, side=227), (3, 227, 227)).multiply_adds for form in FORMS[:2])
    assert one == 55**2 * 96 * 363 + 27**2 * 256 * 2400 + 13**2 * (384 * 2304 + 384 * 3456 + 256 * 3456) + 58_621_952
    assert one - two == (27**2 * 256 * 2400 + 13**2 * (384 * 3456 + 256 * 3456)) // 2


@pytest.mark.parametrize("form", FORMS)
def test_dropout_sits_where_the_source_has_it(form: Any) -> None:
    kinds = [type(layer) for layer in on_meta(0.25, form=form).classifier]
    hidden = [nn.Linear, nn.ReLU]
    expected = [*hidden, Dropout] * 2 if form == "two-towers" else [Dropout, *hidden] * 2
    assert kinds == [*expected, nn.Linear]
    assert {layer.p for layer in on_meta(0.25, form=form).modules() if isinstance(layer, Dropout)} == {0.25}


def test_the_two_towers_meet_only_at_conv3_and_are_normalised_as_in_the_paper() -> None:
    model = on_meta(form="two-towers")
    groups = [layer.groups for layer in model.features if isinstance(layer, nn.Conv2d)]
    assert groups == [1, 2, 1, 2, 2]
    norms = [layer for layer in model.features if isinstance(layer, nn.LocalResponseNorm)]
    assert len(norms) == 2
    x = torch.rand(1, 9, 1, 1) * 30
    window = x[0, 2:7, 0, 0].square().sum()  # five neighbours of map 4
    torch.testing.assert_close(norms[0](x)[0, 4, 0, 0], x[0, 4, 0, 0] / (2 + 1e-4 * window) ** 0.75)


def test_the_state_dict_has_torchvision_s_names_and_shapes() -> None:
    state = {name: tuple(value.shape) for name, value in on_meta(form="torchvision").state_dict().items()}
    assert [name for name in state if name.endswith("weight")] == [
        *(f"features.{index}.weight" for index in (0, 3, 6, 8, 10)),
        *(f"classifier.{index}.weight" for index in (1, 4, 6)),
    ]
    assert state["features.3.weight"] == (192, 64, 5, 5)
    assert state["classifier.1.weight"] == (4096, 9216)


@pytest.mark.parametrize("side", [64, 128])
def test_a_smaller_image_leaves_the_fully_connected_layers_as_they_are(side: int) -> None:
    model = on_meta(num_classes=2, side=side)
    assert num_parameters(model) == 62_378_344 - 998 * 4097
    assert model(torch.zeros(2, 3, side, side, device="meta")).shape == (2, 2)


def test_the_small_one_keeps_the_order_of_layers() -> None:
    layers = summarize(SmallAlexNet(), (3, 64, 64)).layers
    maps = [layer.output_shape[1] for layer in layers if layer.layer in ("Conv2d", "MaxPool2d")]
    assert maps == [32, 15, 15, 7, 7, 7, 7, 3]
    large = summarize(on_meta(form="single-tower"), (3, 224, 224)).layers
    assert [layer.layer for layer in layers if layer.layer != "Flatten"] == [
        layer.layer for layer in large if layer.layer != "AdaptiveAvgPool2d"
    ]


@pytest.mark.parametrize("factory", [SmallAlexNet, lambda p: AlexNet(p, side=64, num_classes=2)], ids=["small", "full"])
def test_the_initial_weights_do_not_depend_on_p(factory: Any) -> None:
    starts = []
    for p in (0.0, 0.5):
        torch.manual_seed(3)
        starts.append(factory(p).state_dict())
    assert all(torch.equal(value, starts[1][name]) for name, value in starts[0].items())
    last = [value for name, value in starts[0].items() if name.endswith("weight")][-1]
    assert last.std() < 0.02  # all classes start nearly alike


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"p": 1.5}, "`p` must be a number in"),
        ({"form": "three-towers"}, "one of single-tower, torchvision, two-towers"),
        ({"side": 62}, "`side` must be a whole number of at least 63"),
        ({"num_classes": 0}, "num_classes"),
    ],
)
def test_what_cannot_be_built_is_refused(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        on_meta(**arguments)


def test_an_image_of_another_size_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match=re.escape("of shape (N, 3, 227, 227), got (1, 3, 224, 224). Scale")):
        on_meta(side=227)(torch.zeros(1, 3, 224, 224, device="meta"))
    with pytest.raises(ValueError, match=re.escape("of shape (N, 3, 64, 64)")):
        SmallAlexNet()(torch.zeros(1, 3, 32, 32))
