"""Every registered layer passes every common check."""

import inspect

import pytest
import torch

import thinout.nn
from thinout.testing import CHECKS

SPECS = thinout.nn.REGISTRY


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("layer", SPECS)
def test_check(layer, check):
    spec = SPECS[layer]
    if check in spec.exceptions:
        pytest.skip(f"{layer} is excepted: {spec.exceptions[check]}")
    CHECKS[check](spec)


def test_every_public_layer_is_registered():
    layers = {
        value.__name__  # not the name that it goes by: an alias is no other layer
        for module in (thinout.nn, thinout.nn.experimental)
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, torch.nn.Module)
    }
    assert layers == set(SPECS)


def test_every_spec_is_checked_for_wrong_settings():
    for name, spec in SPECS.items():
        for setting in spec.rates or ("",):
            assert any(f"`{setting}" in wrong.match for wrong in spec.errors), f"{name}: {setting}"
