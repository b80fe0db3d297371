"""The networks of the paper on dropout: sizes, rates of inputs and of units, indifference to the order of pixels."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch

from thinout.lab.cases import resolve
from thinout.lab.models import MLP
from thinout.nn import Dropout


@pytest.mark.parametrize(
    ("hidden", "expected"),
    [((1024,) * 3, 2_913_290), ((4096, 4096), 20_037_642), ((1024, 1024, 2048), 3_973_130)],
)
def test_the_parameters_are_those_of_the_layers(hidden: tuple[int, ...], expected: int) -> None:
    widths = (784, *hidden, 10)
    assert sum((a + 1) * b for a, b in pairwise(widths)) == expected
    with torch.device("meta"):
        assert sum(weight.numel() for weight in MLP(hidden=hidden).parameters()) == expected


@pytest.mark.parametrize(
    ("arguments", "rates"),
    [
        ({"p": 0.5}, [0.2, 0.5, 0.5, 0.5]),
        ({"p": 0.0}, [0.0, 0.0, 0.0, 0.0]),
        ({"p": 0.5, "input_p": 0.1, "hidden": (8,)}, [0.1, 0.5]),
    ],
)
def test_inputs_are_dropped_less_often_than_units_and_never_in_the_baseline(
    arguments: dict[str, Any], rates: list[float]
) -> None:
    assert [layer.p for layer in MLP(**arguments).modules() if isinstance(layer, Dropout)] == rates


def test_the_initial_weights_do_not_depend_on_p() -> None:
    starts = []
    for p in (0.0, 0.5):
        torch.manual_seed(3)
        starts.append(MLP(p, hidden=(16, 16)).state_dict())
    assert all(torch.equal(value, starts[1][name]) for name, value in starts[0].items())


def test_pixels_may_come_in_any_order() -> None:
    model, images = MLP(hidden=(32,)).eval(), torch.randn(4, 1, 28, 28)
    order = torch.randperm(784)
    shuffled = MLP(hidden=(32,)).eval()
    state = model.state_dict()
    shuffled.load_state_dict(state | {"layers.2.weight": state["layers.2.weight"][:, order]})
    torch.testing.assert_close(shuffled(images.flatten(1)[:, order]), model(images))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"p": 1.1}, "`p` must"),
        ({"input_p": -0.1}, "`input_p` must"),
        ({"hidden": ()}, "`hidden` must"),
        ({"hidden": (8, 0)}, "`width` must"),
    ],
)
def test_what_cannot_be_built_is_refused(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        MLP(**arguments)


@pytest.mark.parametrize("name", ["mlp", "mlp-2x4096", "mlp-deepnet"])
def test_the_case_bounds_the_norms_and_takes_images_as_they_are(name: str) -> None:
    case = resolve(name)
    assert case.recipe.max_norm is not None
    assert case.splits(0).shape == (1, 28, 28)
