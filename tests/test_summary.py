"""The summary of a network: shapes by the formula, parameters, multiply-adds, dropout."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from thinout.lab.models import LeNet5, lenet5_1998
from thinout.lab.summary import output_size, summarize


def test_the_shapes_of_the_article_s_net() -> None:
    layers = {layer.name: layer for layer in summarize(LeNet5(num_classes=43), (1, 32, 32)).layers}
    shapes = [layers[f"features.{i}"].output_shape for i in (0, 2, 3, 5, 6)]
    assert shapes == [(32, 28, 28), (32, 14, 14), (64, 10, 10), (64, 5, 5), (1600,)]
    assert layers["features.0"].formula == "(32-5+2*0)/1+1 = 28"
    assert layers["features.2"].formula == "(28-2+2*0)/2+1 = 14"
    assert layers["classifier.4"].output_shape == (43,)


def test_totals_of_the_article_s_net() -> None:
    summary = summarize(LeNet5(num_classes=43), (1, 32, 32))
    assert summary.parameters == summary.trainable_parameters == 6_785_963
    assert summary.multiply_adds == 28**2 * 25 * 32 + 10**2 * 25 * 32 * 64 + 1600 * 4096 + 4096 * 43


def test_dropout_rates_stand_where_dropout_sits() -> None:
    rates = [(layer.name, layer.p) for layer in summarize(lenet5_1998(0.2), (1, 32, 32)).layers if layer.p is not None]
    assert rates == [("classifier.0", 0.2), ("classifier.3", 0.2)]


@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("dilation", [1, 2])
def test_the_formula_agrees_with_torch(kernel: int, stride: int, padding: int, dilation: int) -> None:
    layer = nn.Conv2d(1, 1, kernel, stride=stride, padding=padding, dilation=dilation)
    size = layer(torch.zeros(1, 1, 13, 13)).shape[-1]
    assert output_size(13, kernel, stride=stride, padding=padding, dilation=dilation) == size
    assert str(summarize(layer, (1, 13, 13)).layers[0].formula).endswith(f"+1 = {size}")


def test_grouped_convolutions_cost_their_share() -> None:
    summary = summarize(nn.Conv2d(4, 8, 3, groups=2), (4, 5, 5))
    assert (summary.multiply_adds, summary.parameters) == (3 * 3 * 8 * 2 * 9, 8 * 2 * 9 + 8)


def test_a_size_that_the_formula_does_not_give_has_no_formula() -> None:
    layers = summarize(nn.Sequential(nn.MaxPool2d(2, ceil_mode=True), nn.Conv2d(1, 1, 3, padding="same")), (1, 5, 5))
    assert [(layer.output_shape, layer.formula) for layer in layers.layers] == [((1, 3, 3), None)] * 2


def test_the_model_stays_as_it_was() -> None:
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Dropout(0.5))
    model[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    summarize(model, (1, 4, 4))
    assert [module.training for module in model.modules()] == [True, True, False]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not model[0]._forward_hooks
