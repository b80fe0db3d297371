"""Layers made from torch's: what cannot be copied is refused before anything is made."""

import warnings

import pytest
from torch import nn
from torch.nn.utils import prune

import thinout.nn as tnn

MADE = [
    (tnn.DropConnectLinear, lambda: nn.Linear(3, 4)),
    (tnn.DropConnectConv1d, lambda: nn.Conv1d(2, 3, 2)),
    (tnn.ShakeoutLinear, lambda: nn.Linear(3, 4)),
    (tnn.EmbeddingDropout, lambda: nn.Embedding(5, 3)),
]


def old_norm(norm):
    def make(source: nn.Module) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            norm(source)

    return make


@pytest.mark.parametrize(
    "compute",
    [
        lambda source: nn.utils.parametrizations.weight_norm(source),
        old_norm(nn.utils.weight_norm),
        old_norm(nn.utils.spectral_norm),
        lambda source: prune.l1_unstructured(source, "weight", 0.5),
    ],
    ids=["parametrization", "weight_norm", "spectral_norm", "prune"],
)
@pytest.mark.parametrize(("layer", "make"), MADE)
def test_weights_computed_from_others_are_refused(layer, make, compute) -> None:
    # A copy of the parameters alone would leave the layer's own weight unset: its memory is whatever was there.
    source = make()
    compute(source)
    with pytest.raises(ValueError, match=rf"{layer.__name__}: `module` must be (without|one whose)"):
        layer.from_torch(source)


@pytest.mark.parametrize(("layer", "make"), MADE)
def test_another_class_is_refused(layer, make) -> None:
    with pytest.raises(TypeError, match=rf"{layer.__name__}: `module` must be a torch.nn.{type(make()).__name__}"):
        layer.from_torch(nn.Bilinear(2, 2, 2))


def test_pruning_made_permanent_can_be_copied() -> None:
    source = nn.Linear(3, 4)
    prune.l1_unstructured(source, "weight", 0.5)
    prune.remove(source, "weight")
    assert (tnn.DropConnectLinear.from_torch(source).weight == source.weight).all()
