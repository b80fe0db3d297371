"""The descriptions that PyTorch ships for testing its dropouts (OpInfo), checked with patch_torch() on.

Not run: what PyTorch marks as failing for its own dropout (its TorchScript differentiation checks), and
`native_dropout_backward`, another operator, which takes a mask and draws nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from thinout.torch_patch import torch_patched

pytest.importorskip("expecttest", reason="PyTorch's test helpers import it")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of PyTorch's own imports
    from torch.testing._internal.common_methods_invocations import op_db

ENTRIES = [op for op in op_db if "dropout" in op.name and op.name != "native_dropout_backward"]
FLOATS = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
pytestmark = [
    pytest.mark.parametrize("op", ENTRIES, ids=lambda op: op.formatted_name),
    pytest.mark.filterwarnings("ignore:dropout[23]d. Received"),  # the samples have ranks that PyTorch warns of
]


def _samples(op: Any, dtype: torch.dtype = torch.float64, grad: bool = False) -> Iterator[Any]:
    return op.sample_inputs("cpu", dtype, requires_grad=grad)


def _call(op: Any, sample: Any, x: torch.Tensor) -> torch.Tensor:
    return op.gradcheck_wrapper(op.op, x, *sample.args, **sample.kwargs)


def test_all_entries_are_there(op: Any) -> None:
    assert len(ENTRIES) == 6


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_values_are_those_of_the_line_that_pytorch_draws(op: Any, dtype: torch.dtype) -> None:
    """Every element is one of the two values that PyTorch can give it, in its shape, dtype and strides."""
    for sample in _samples(op, dtype):
        x, p = sample.input, sample.kwargs.get("p", 0.5)
        y = _call(op, sample, x)
        assert (y.shape, y.dtype) == (x.shape, x.dtype)
        if not sample.kwargs.get("training", "alpha" not in op.name) or p == 0:
            assert torch.equal(y, x)
            continue
        a, tolerance = 1.7580993408473766, 16 * torch.finfo(dtype).eps
        slope, shift = (1 / (1 - p), 0.0) if p < 1 else (0.0, 0.0)
        if "alpha" in op.name and p < 1:
            slope = ((1 - p) * (1 + p * a * a)) ** -0.5
            shift = slope * p * a
        dropped = shift - slope * a if "alpha" in op.name else 0.0
        kept = torch.isclose(y.double(), x.double() * slope + shift, rtol=tolerance, atol=10 * tolerance)
        assert (kept | torch.isclose(y.double(), torch.tensor(dropped).double(), atol=tolerance)).all()
    assert "without_train" in op.formatted_name or dtype.itemsize == 2 or torch_patched().served


def test_gradient_and_second_gradient(op: Any) -> None:
    for sample in _samples(op, grad=True):
        assert torch.autograd.gradcheck(lambda x, s=sample: _call(op, s, x), sample.input, fast_mode=True)
        assert torch.autograd.gradgradcheck(lambda x, s=sample: _call(op, s, x), sample.input, fast_mode=True)


def test_forward_mode_gradient(op: Any) -> None:
    for sample in _samples(op, grad=True):
        assert torch.autograd.gradcheck(
            lambda x, s=sample: _call(op, s, x), sample.input, check_forward_ad=True, fast_mode=True
        )


def test_layout_of_the_input_does_not_change_the_result(op: Any) -> None:
    for sample in _samples(op):
        spread = torch.empty(*sample.input.shape, 2, dtype=sample.input.dtype)[..., 0].copy_(sample.input)
        assert spread.is_contiguous() == (spread.numel() <= 1)
        assert torch.equal(_call(op, sample, spread), _call(op, sample, sample.input))


def test_every_dtype_that_pytorch_takes_and_no_other(op: Any) -> None:
    others = {torch.int64, torch.complex64, torch.bool} & op.supported_dtypes("cpu")
    for dtype in others:
        for sample in _samples(op, dtype):
            assert _call(op, sample, sample.input).dtype == dtype


def test_under_vmap(op: Any) -> None:
    """Samples of one key agree; the wrapper seeds, so both calls draw the same."""
    for sample in _samples(op):
        if sample.input.dim() < 2:
            continue
        stacked = torch.stack([sample.input, sample.input])
        y = torch.func.vmap(lambda x, s=sample: _call(op, s, x), randomness="same")(stacked)
        assert torch.equal(y[0], y[1])
