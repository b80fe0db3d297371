"""Which kernel serves which tensor: the C++ library, Triton, plain torch, or the reference, all with the same bits."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from types import ModuleType

import torch
from torch import Tensor

from thinout._checks import bad_value
from thinout.ops import _cpu, _reference, _vectorised
from thinout.ops._contract import NARROW, WIDE, Mask

_NAMES = ("cpu", "triton", "torch", "reference")


@functools.cache
def _triton() -> ModuleType | None:
    """Return the Triton kernels, imported on first use only; None where Triton is not installed."""
    if importlib.util.find_spec("triton") is None:
        return None
    return importlib.import_module("thinout.ops._triton")


def available() -> dict[str, str]:
    """Return every backend's name and what it serves, or why it does not."""
    cpu = "CPU tensors, in C++ " + f"({_cpu.isa()})" if _cpu.library() else f"not in use: {_cpu.unavailable_reason()}"
    if importlib.util.find_spec("triton") is None:
        triton = "not in use: triton is not installed"
    else:
        triton = "CUDA and ROCm tensors" if torch.cuda.is_available() else "not in use: no CUDA or ROCm device"
    return {
        "cpu": cpu,
        "triton": triton,
        "torch": "every other tensor; 64 Ki elements on a CPU at 0.8 (p = 0.1) to 1.7 (p = 0.5) times PyTorch's speed",
        "reference": "tests: every tensor, slowly",
    }


def select(x: Tensor) -> str:
    """Return the name of the fastest backend for a tensor."""
    if x.is_cpu and x.dtype in _cpu.DTYPES and _cpu.library():
        return "cpu"
    return "triton" if x.is_cuda and _triton() else "torch"


def _select_mask(device: torch.device) -> str:
    """Return the name of the fastest backend for a mask on a device."""
    if device.type == "cpu":
        return "cpu" if _cpu.library() else "torch"
    return "triton" if device.type == "cuda" and _triton() else "torch"


def _checked(backend: str) -> str:
    if backend not in _NAMES:
        bad_value("dropout", "backend", "one of " + ", ".join(_NAMES), repr(backend))
    return backend


def run(x: Tensor, key: Tensor, mask: Mask, *, out: Tensor | None = None, backend: str | None = None) -> Tensor:
    """Return the masked and scaled `x` in its own strides, written to `out` (which may be `x`) where given."""
    if x.is_neg() or x._is_zerotensor():
        x = x.clone()  # the memory of these two does not hold their values
    if out is not None and not out.is_contiguous():
        return out.copy_(run(x, key, mask, backend=backend))  # kernels write to dense memory alone
    result = torch.empty_like(x) if out is None else out
    # Locals and positions in place of properties and names: small tensors wait for each look-up.
    threshold, offset, wide, rescale, first_index, strides = mask
    steps = WIDE if wide else NARROW
    if threshold == steps:
        return result.zero_()
    if threshold == 0:
        return result if result is x else result.copy_(x)
    match select(x) if backend is None else _checked(backend):
        case "cpu":
            scale = steps / (steps - threshold) if rescale else 1.0
            _cpu.dropout(x, result, int(key), offset, threshold, wide, scale, first_index, strides)
        case "triton":
            _triton().dropout(x, result, key, mask)  # type: ignore[union-attr]  # chosen only where it is installed
        case "torch":
            _vectorised.dropout(x, result, key, mask)
        case _:
            result.copy_(_reference.dropout(x, key, mask))
    return result


def keep_mask(
    shape: tuple[int, ...], key: Tensor, mask: Mask, device: torch.device, backend: str | None = None
) -> Tensor:
    """Return the boolean mask, True where an element is kept."""
    if mask.drops_all or mask.threshold == 0:
        return torch.full(shape, not mask.drops_all, device=device)
    result = torch.empty(shape, dtype=torch.bool, device=device)
    match (backend and _checked(backend)) or _select_mask(device):
        case "cpu":
            threshold, offset, wide, _, first_index, strides = mask
            _cpu.mask(
                result, key=int(key), offset=offset, threshold=threshold, wide=wide,
                first_index=first_index, index_strides=strides,
            )  # fmt: skip
        case "triton":
            return _triton().keep_mask(shape, key, mask, device)  # type: ignore[union-attr, no-any-return]  # as above
        case "torch":
            result.copy_(_vectorised.keep_mask(shape, key, mask, device))
        case _:
            result.copy_(_reference.keep_mask(shape, key, mask, device))
    return result
