"""What PyTorch's own tests of its dropout modules (test/nn/test_dropout.py) demand, with patch_torch() on.

Every behaviour of that file that a CPU can show is here, in our words. Excluded: `test_native_dropout_corner_case`,
which PyTorch runs on accelerators alone. Bounds on means are PyTorch's; their false-alarm rates are in the docstrings.
"""

from __future__ import annotations

import itertools
import re

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from thinout.torch_patch import torch_patched

LAYOUTS = (torch.contiguous_format, torch.channels_last)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(20261123)


@pytest.mark.parametrize(("layer", "shape"), [(nn.AlphaDropout, (5000,)), (nn.FeatureAlphaDropout, (1000, 4, 2, 3, 5))])
@pytest.mark.parametrize("p", [0.2, 0.5, 0.8])
def test_alpha_dropout_keeps_mean_and_deviation(layer: type[nn.Module], shape: tuple[int, ...], p: float) -> None:
    """Within 0.1: at least 5 standard errors for the mean at p = 0.8; the seed is fixed."""
    x = torch.randn(shape, requires_grad=True)
    y = layer(p)(x)
    assert abs(y.mean() - x.mean()) < 0.1
    assert abs(y.std() - x.std()) < 0.1
    y.backward(x.detach())
    assert torch_patched().served


@pytest.mark.parametrize("p", [-0.1, 1.1])
def test_a_bad_rate_is_refused(p: float) -> None:
    for layer in (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d):
        with pytest.raises(ValueError, match="has to be between 0 and 1"):
            layer(p)
    with pytest.raises(ValueError, match="has to be between 0 and 1"):
        F.dropout(torch.ones(1), p)
    with pytest.raises(RuntimeError, match="has to be between 0 and 1"):
        torch.dropout(torch.ones(1), p, True)


CASES = [
    (nn.Dropout, (1000,), torch.float32, torch.contiguous_format),
    (nn.Dropout, (1000,), torch.bfloat16, torch.contiguous_format),
    (nn.Dropout1d, (13, 300, 11), torch.float64, torch.contiguous_format),
    (nn.Dropout2d, (1000, 4, 3, 5), torch.float32, torch.contiguous_format),
    (nn.Dropout2d, (1000, 4, 3, 5), torch.float32, torch.channels_last),
    (nn.Dropout3d, (1000, 4, 2, 3, 5), torch.float32, torch.contiguous_format),
]


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize(("layer", "shape", "dtype", "layout"), CASES)
def test_mean_layout_and_eval(
    layer: type[nn.Dropout], shape: tuple[int, ...], dtype: torch.dtype, layout: torch.memory_format, inplace: bool
) -> None:
    """Means within 0.05 of 0.8 on at least 1,000 masks: 4.9 standard errors of 0.0101 each; the seed is fixed."""
    x = torch.full(shape, 0.8, dtype=dtype).contiguous(memory_format=layout).requires_grad_()
    y = layer(0.2, inplace)(x + 0 if inplace else x)
    assert y.is_contiguous(memory_format=layout)
    assert abs(y.mean() - 0.8) < 0.05
    y.backward(x.detach())
    assert x.grad.is_contiguous(memory_format=layout)
    assert abs(x.grad.mean() - 0.8) < 0.05
    evaluated = layer(0.2, inplace).eval()
    assert torch.equal(evaluated(x.detach()), x.detach())
    assert repr(evaluated) == f"{layer.__name__}(p=0.2, inplace={inplace})"


@pytest.mark.parametrize("layer", [nn.Dropout, nn.Dropout2d, nn.Dropout3d])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.filterwarnings("ignore:dropout3d. Received")
def test_gaps_in_memory(layer: type[nn.Dropout], layout: torch.memory_format) -> None:
    """A rate of 1e-10 drops one of these 54 elements with probability 5.4e-9."""
    x = torch.empty(2, 3, 3, 6, memory_format=layout)[..., ::2].fill_(1.0)
    for p in (0.0, 1e-10):
        y = layer(p)(x)
        assert torch.equal(y, x)
        assert p == 0 or y.is_contiguous(memory_format=layout)


def test_strides_of_every_permutation() -> None:
    """At rates 0.3 to 0.7 an output of at least 24 elements is all kept with probability below 2e-4; seed fixed."""
    x = torch.ones(2, 3, 4, 5)
    for order in itertools.permutations(range(4)):
        back = [order.index(dim) for dim in range(4)]
        for rows, columns in itertools.product((0, 1), repeat=2):
            view = x.permute(order).contiguous().permute(back)[rows:, columns:]
            for p in (1e-10, 0.3, 0.5, 0.7):
                y = nn.Dropout(p)(view)
                assert y.permute(order).is_contiguous()
                assert abs(y.mean() - 1) < 1
                assert torch.equal(view, y) == (p == 1e-10)


@pytest.mark.parametrize(("layer", "shape"), [(nn.Dropout1d, (50, 2)), (nn.Dropout3d, (50, 2, 2, 2))])
@pytest.mark.parametrize("inplace", [False, True])
def test_without_a_batch_as_with_a_batch_of_one(layer: type[nn.Dropout], shape: tuple[int, ...], inplace: bool) -> None:
    x = torch.rand(shape)
    results = []
    for batched in (False, True):
        torch.manual_seed(1)
        y = layer(0.5, inplace)(x.clone()[None] if batched else x.clone())
        results.append(y.reshape(shape))
    assert torch.equal(*results)


@pytest.mark.parametrize(
    ("layer", "shape"), [(nn.Dropout1d, (10, 4, 2)), (nn.Dropout2d, (10, 4, 2, 2)), (nn.Dropout3d, (10, 4, 2, 2, 2))]
)
@pytest.mark.parametrize("inplace", [False, True])
def test_complete_channels_are_dropped(layer: type[nn.Dropout], shape: tuple[int, ...], inplace: bool) -> None:
    """All 40 channels live or all die with probability 2**-39."""
    live = layer(0.5, inplace)(torch.ones(shape)).flatten(2).count_nonzero(-1)
    assert set(live.unique().tolist()) == {0, torch.ones(shape)[0, 0].numel()}


@pytest.mark.parametrize(
    ("layer", "shape", "text"),
    [
        (nn.Dropout2d, (1, 2, 2, 2, 2), "Received a 5-D input to dropout2d"),
        (nn.Dropout2d, (1, 2), "Received a 2-D input to dropout2d"),
        (nn.Dropout2d, (1, 2, 2), "assuming that channel-wise 1D dropout behavior is desired"),
        (nn.Dropout3d, (1, 2, 2, 2, 2, 2), "Received a 6-D input to dropout3d"),
        (nn.Dropout3d, (1, 2, 2), "Received a 3-D input to dropout3d"),
    ],
)
def test_other_ranks_are_warned_of(layer: type[nn.Dropout], shape: tuple[int, ...], text: str) -> None:
    with pytest.warns(UserWarning, match=re.escape(text)):
        layer(0.5)(torch.rand(shape))


@pytest.mark.parametrize("dims", [1, 4])
def test_dropout1d_refuses_other_ranks(dims: int) -> None:
    with pytest.raises(RuntimeError, match=f"Expected 2D or 3D input, but received a {dims}D input"):
        nn.Dropout1d(0.5)(torch.rand((2,) * dims))


def test_feature_dropout_refuses_one_dimension() -> None:
    with pytest.raises(RuntimeError, match="at least 2 dimensions"):
        torch.feature_dropout(torch.ones(5), 0.5, True)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0, 2), ()])
def test_empty_and_0d(shape: tuple[int, ...]) -> None:
    for inplace in (False, True):
        x = torch.ones(shape, requires_grad=True)
        y = F.dropout(x * 1, 0.5, inplace=inplace)
        y.sum().backward()
        assert y.shape == x.shape
        assert torch.equal(x.grad, y)
