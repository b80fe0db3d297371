"""There is no speed of a wrong kernel: values are compared with the reference before anything is timed."""

from __future__ import annotations

import torch
from torch import Tensor

from thinout import functional, ops
from thinout._checks import ThinoutError
from thinout.fused import bias_act_dropout, dropout_add
from thinout.torch_patch import patch_torch

KEY = 1
WINDOW = 1 << 13
GELU_ERROR = 32  # units of rounding; PyTorch's own GELU in float32 errs by up to 12 near -3.4


def check_dropout(x: Tensor, p: float, *, backend: str | None = None) -> None:
    """Compare dropout of a flat tensor, in place and not, and its gradient with the reference.

    The reference is slow, so of large tensors it computes a window at the start, in the middle and at the end.

    Raises:
        ThinoutError: a bit differs.
    """
    y, grad = _with_gradient(x, p, backend)
    inplace = ops.dropout(x.clone(), KEY, p, inplace=True, backend=backend)
    for start in {0, max(0, (x.numel() - WINDOW) // 2), max(0, x.numel() - WINDOW)}:
        window = slice(start, start + WINDOW)
        expected = ops.dropout(x[window], KEY, p, first_index=start, backend="reference")
        gradient = ops.dropout(torch.ones_like(x[window]), KEY, p, first_index=start, backend="reference")
        _require("dropout", x, torch.equal(y[window], expected))
        _require("dropout in place", x, torch.equal(inplace[window], expected))
        _require("the gradient of dropout", x, torch.equal(grad[window], gradient))


def _with_gradient(x: Tensor, p: float, backend: str | None) -> tuple[Tensor, Tensor]:
    leaf = x.detach().clone().requires_grad_()
    y = ops.dropout(leaf, KEY, p, backend=backend)
    (grad,) = torch.autograd.grad(y, leaf, torch.ones_like(y))
    return y.detach(), grad


def check_fused(x: Tensor, residual: Tensor, bias: Tensor, p: float) -> None:
    """Compare the fused forms with the separate operations, GELU with that in float64.

    Raises:
        ThinoutError: they differ by more than the rounding of GELU.
    """
    added = dropout_add(x, residual, p, training=True, key=KEY)
    separate = residual + functional.dropout(x, p, training=True, key=KEY)
    _require("dropout_add", x, torch.equal(added, separate))
    fused = bias_act_dropout(x, bias, p, activation="gelu", training=True, key=KEY)
    exact = functional.dropout(torch.nn.functional.gelu((x + bias).double()), p, training=True, key=KEY)
    rounding = GELU_ERROR * torch.finfo(x.dtype).eps
    _require("bias_act_dropout", x, torch.allclose(fused.double(), exact, rtol=rounding, atol=rounding))


def check_patch(x: Tensor, p: float) -> None:
    """Compare PyTorch's dropout with the patch on with thinout's.

    Raises:
        ThinoutError: a bit differs.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(KEY)
        with patch_torch():
            patched = torch.nn.functional.dropout(x, p)
        torch.manual_seed(KEY)
        _require("patch_torch", x, torch.equal(patched, functional.dropout(x, p, training=True)))


def _require(what: str, x: Tensor, holds: bool) -> None:
    if not holds:
        raise ThinoutError(f"bench: {what} differs from the reference for {x.numel()} {x.dtype} elements; not timed.")
