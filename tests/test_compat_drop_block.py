"""DropBlock under the names of torchvision and timm: what their own suites check of it, and their arguments.

Random tests compare counts with the mean map of the closed form at 6 standard errors, for fixed seeds.
"""

import inspect
import math

import pytest
import torch

import thinout.functional as F
from thinout.compat import timm, torchvision
from thinout.nn import LayerSpec
from thinout.testing import CHECKS

MODULES = {2: torchvision.DropBlock2d, 3: torchvision.DropBlock3d}
VISION = {2: torchvision.drop_block2d, 3: torchvision.drop_block3d}


def names(function):
    return [*inspect.signature(function).parameters]


def test_arguments_come_in_the_order_of_the_other_library():
    for function in VISION.values():
        assert names(function) == ["input", "p", "block_size", "inplace", "eps", "training"]
    for module in MODULES.values():
        assert names(module) == ["p", "block_size", "inplace", "eps"]
    options = ["drop_prob", "block_size", "gamma_scale", "with_noise", "inplace", "couple_channels", "scale_by_keep"]
    assert names(timm.drop_block_2d) == ["x", *options]
    assert names(timm.DropBlock2d) == [*options, "kwargs"]


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("p", [0.0, 0.5])
@pytest.mark.parametrize("block_size", [5, 11])
@pytest.mark.parametrize("inplace", [False, True])
def test_rate_zero_is_the_identity_and_a_block_of_the_whole_map_drops_all_of_it(axes, p, block_size, inplace):
    x = torch.ones(5, 3, *(11,) * axes)
    layer = MODULES[axes](p, block_size, inplace)
    y = layer(x)
    assert (y is x) == (inplace or p == 0)
    if p == 0:
        assert torch.equal(y, torch.ones_like(y))
    if block_size == 11:
        assert all(int(each.count_nonzero()) in (0, 11**axes) for each in y.flatten(0, 1))


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("p", [0.1, 0.2])
def test_the_share_of_dropped_cells(axes, p):
    """Near p, as torchvision's suite asks for at 15 %, and at the mean of the closed form, which lies below p."""
    maps = torch.cat([(VISION[axes](torch.ones(50, 4, *(11,) * axes), p, 3) == 0).flatten(0, 1) for _ in range(5)])
    share = maps.double().flatten(1).mean(1)
    expected = F.drop_block_rates((11,) * axes, p, 3).mean()
    assert abs(share.mean() - expected) < 6 * share.std() / math.sqrt(len(share))
    assert abs(share.mean() - p) < 0.15 * p


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("p", [0.0, 1.0])
def test_tracing_sees_one_node(axes, p):
    model = torch.nn.Sequential(torch.nn.Identity(), MODULES[axes](p, 5))
    graph = torch.fx.symbolic_trace(model)
    calls = [node for node in graph.graph.nodes if node.op == "call_function"]
    assert [node.target for node in calls] == [VISION[axes]]
    x = torch.randn(2, 3, *(7,) * axes)
    assert torch.equal(graph(x), x if p == 0 else torch.zeros_like(x))


def test_blocks_that_torchvision_refuses_are_taken():
    for block_size, size in ((4, 9), (7, 6), (6, 6)):
        y = torchvision.drop_block2d(torch.ones(40, 3, size, size), 0.5, block_size)
        assert 0 < y.count_nonzero() < y.numel()


def test_functions_drop_unless_told_not_to_and_modules_follow_their_mode():
    x = torch.ones(2, 3, 9, 9)
    assert not torch.equal(torchvision.drop_block2d(x, 0.5, 3), x)
    assert torchvision.drop_block2d(x, 0.5, 3, training=False) is x
    assert torchvision.DropBlock2d(0.5, 3).eval()(x) is x
    assert timm.DropBlock2d(0.5, 3).eval()(x) is x


def test_eps_is_added_to_the_number_of_kept_cells():
    x = torch.ones(1, 1, 9, 9, dtype=torch.float64)
    y = torchvision.drop_block2d(x, 0.3, 3, eps=10.0)
    kept = int(y.count_nonzero())
    assert y.max().item() == 81 / (kept + 10)
    with pytest.raises(ValueError, match="`eps` must be a finite number of at least 0"):
        torchvision.drop_block2d(x, 0.3, 3, eps=-1.0)


def test_the_names_are_thinouts_dropblock():
    x = torch.randn(2, 3, 9, 9)
    for ours, theirs in (
        ({"scale": "batch"}, lambda: torchvision.drop_block2d(x, 0.3, 3, eps=0.0)),
        ({"scale": "none", "per_channel": False}, lambda: timm.drop_block_2d(x, 0.3, 3, scale_by_keep=False)),
        ({"scale": "none"}, lambda: timm.drop_block_2d(x, 0.3, 3, couple_channels=False, scale_by_keep=False)),
    ):
        torch.manual_seed(3)
        expected = F.drop_block2d(x, 0.3, 3, training=True, **ours)
        torch.manual_seed(3)
        assert torch.equal(theirs(), expected)


@pytest.mark.parametrize("size", [(7, 7), (4, 8), (10, 5), (3, 3), (8, 16), (14, 7)])
@pytest.mark.parametrize("block_size", [2, 3, 4, 5, 6])
def test_any_map_and_any_block_keep_the_shape(size, block_size):
    assert timm.drop_block_2d(torch.ones(2, 3, *size), 0.1, block_size).shape == (2, 3, *size)


def test_rate_zero_returns_the_input_and_draws_nothing():
    x, state = torch.randn(2, 3, 8, 8), torch.get_rng_state()
    assert timm.drop_block_2d(x, 0.0, 3) is x
    assert timm.DropBlock2d(0.0)(x) is x
    assert timm.drop_block_2d(x, 0.5, 3, gamma_scale=0.0) is x
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("gamma_scale", [1.0, 0.25])
def test_gamma_scale_is_a_factor_of_the_rate(gamma_scale):
    y = timm.drop_block_2d(torch.ones(200, 16, 28, 28), 0.1, 7, gamma_scale, couple_channels=False, scale_by_keep=False)
    share = (y == 0).double().mean((2, 3)).flatten()
    expected = F.drop_block_rates((28, 28), 0.1 * gamma_scale, 7).mean()
    assert abs(share.mean() - expected) < 6 * share.std() / math.sqrt(3200)


def test_channels_are_coupled_on_request():
    x = torch.ones(2, 4, 16, 16)
    coupled = timm.DropBlock2d(0.3, 5)(x) == 0
    own = timm.DropBlock2d(0.3, 5, couple_channels=False)(x) == 0
    assert torch.equal(coupled, coupled[:, :1].expand_as(coupled))
    assert not torch.equal(own[:, 0], own[:, 1])


def test_kept_values_are_scaled_on_request():
    x = torch.ones(2, 3, 16, 16)
    scaled, plain = (timm.drop_block_2d(x, 0.3, 5, scale_by_keep=scale) for scale in (True, False))
    assert scaled[scaled != 0].min() > 1
    assert scaled.mean().item() == pytest.approx(1, rel=1e-6)
    assert set(plain.flatten().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("couple_channels", [True, False])
def test_noise_fills_blocks_and_leaves_the_rest_alone(couple_channels):
    x = torch.full((20, 3, 16, 16), 9.0)
    y = timm.drop_block_2d(x, 0.3, 5, with_noise=True, couple_channels=couple_channels)
    noise = y[y != 9]
    num = len(noise) / 3 if couple_channels else len(noise)
    assert abs(noise.mean()) < 6 / math.sqrt(num)
    assert abs(noise.var() - 1) < 6 * math.sqrt(2 / num)
    assert torch.equal(y[:, 0], y[:, 1]) == couple_channels


@pytest.mark.parametrize("with_noise", [True, False])
def test_inplace_returns_the_input(with_noise):
    x = torch.ones(2, 3, 8, 8)
    torch.manual_seed(1)
    expected = timm.drop_block_2d(x.clone(), 0.3, 3, with_noise=with_noise)
    torch.manual_seed(1)
    assert timm.drop_block_2d(x, 0.3, 3, with_noise=with_noise, inplace=True) is x
    assert torch.equal(x, expected)


def test_arguments_of_older_versions_are_taken_and_others_refused():
    for options in ({"batchwise": True}, {"fast": False}, {"batchwise": False, "fast": True}):
        assert timm.DropBlock2d(0.2, **options).drop_prob == 0.2
    with pytest.raises(TypeError, match=r"`kwargs` must be batchwise or fast, .* got unknown"):
        timm.DropBlock2d(0.2, unknown=True)
    with pytest.raises(ValueError, match="`drop_prob` must be a number in"):
        timm.DropBlock2d(1.5)
    with pytest.raises(ValueError, match="such that drop_prob \\* gamma_scale is at most 1"):
        timm.DropBlock2d(0.5, gamma_scale=3.0)


def test_the_rate_has_both_names():
    layer = timm.DropBlock2d(0.2)
    layer.drop_prob = 0.4
    assert layer.p == 0.4
    layer.p = 0.3
    assert layer.drop_prob == 0.3


def reference(module, x):
    return F.drop_block2d(
        x, module.p, 3, training=True, per_channel=isinstance(module, torchvision.DropBlock2d), scale="batch"
    )


SPECS = {
    "torchvision": LayerSpec(
        layer=torchvision.DropBlock2d,
        arguments={"p": 0.3, "block_size": 3},
        shape=(3, 2, 7, 8),
        reference=reference,
        selects=False,
        tolerance=1e-6,  # eps
    ),
    "timm": LayerSpec(
        layer=timm.DropBlock2d,
        arguments={"drop_prob": 0.3, "block_size": 3},
        shape=(4, 2, 7, 8),
        reference=reference,
        selects=False,
        tolerance=1e-6,
    ),
}


@pytest.mark.parametrize("library", SPECS)
@pytest.mark.parametrize("check", ["reference", "compile", "inplace", "empty", "copies", "vmap", "repr", "export"])
def test_the_common_checks_hold(library, check):
    CHECKS[check](SPECS[library])
