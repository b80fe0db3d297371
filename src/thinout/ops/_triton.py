"""The mask contract on CUDA and ROCm tensors: launches of Triton kernels; imported late, where Triton is installed."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor

from thinout.ops import _triton_kernels as kernels
from thinout.ops import _vectorised
from thinout.ops._contract import Mask, row_major_strides

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
ACTIVATIONS = {"none": 0, "relu": 1, "gelu": 2}
# With the 128 threads of four warps: two independent Philox blocks a thread, sixteen lanes in contiguous runs of eight.
NUM_BLOCKS = 256
# Strided memory: each of a thread's four elements costs a Philox block of its own.
NUM_ELEMENTS = 512
# Multiplications and additions round one by one, as in separate operations, rather than as a fused multiply-add.
OPTIONS = {"enable_fp_fusion": False}


def _key_argument(key: Tensor | int) -> Tensor | int:
    """Return the pointer of a key on the device, which nothing here waits for; of any other its value."""
    return key if isinstance(key, Tensor) and key.is_cuda else int(key)


def _stream(key: Tensor | int, mask: Mask) -> tuple[Any, ...]:
    """Return the arguments from `first_index` to `scale_bits` that every kernel has."""
    # Triton passes a Python float as float32; float64 needs all bits of the scale.
    (scale_bits,) = struct.unpack("<q", struct.pack("<d", mask.scale))
    return mask.first_index, _key_argument(key), mask.offset, mask.threshold, scale_bits


def _run_grid(num: int, mask: Mask) -> tuple[int]:
    lanes = 4 if mask.wide else 8
    blocks = (mask.first_index + num - 1) // lanes - mask.first_index // lanes + 1
    return (triton.cdiv(blocks, NUM_BLOCKS),)


def _device(x: Tensor) -> contextlib.AbstractContextManager[object]:
    """Return a context in which kernels go to the device of x; tests interpret them on the CPU."""
    return torch.cuda.device(x.device) if x.is_cuda else contextlib.nullcontext()


class _Layout(NamedTuple):
    """Sizes and strides, innermost dimension of the output first."""

    sizes: tuple[int, ...]
    x_strides: tuple[int, ...]
    out_strides: tuple[int, ...]
    index_strides: tuple[int, ...]


def _collapse(sizes: Sequence[int], *strides: Sequence[int]) -> _Layout:
    """Return the layout with neighbouring dimensions joined where all strides allow it."""
    dims = [(size, *steps) for size, *steps in zip(sizes, *strides, strict=True) if size != 1]
    dims.sort(key=lambda dim: dim[2])
    joined: list[tuple[int, ...]] = []
    for size, *steps in dims:
        if joined and all(step == joined[-1][0] * inner for step, inner in zip(steps, joined[-1][1:], strict=True)):
            joined[-1] = (joined[-1][0] * size, *joined[-1][1:])
        else:
            joined.append((size, *steps))
    return _Layout(*zip(*(joined or [(1, 1, 1, 1)]), strict=True))


def _is_run(layout: _Layout) -> bool:
    return len(layout.sizes) == 1 and layout.x_strides == layout.out_strides == layout.index_strides == (1,)


def _launch(x: Tensor | None, out: Tensor, key: Tensor | int, mask: Mask) -> None:
    num = out.numel()
    if num == 0:
        return
    index_strides = row_major_strides(out.shape) if mask.index_strides is None else mask.index_strides
    layout = _collapse(out.shape, (out if x is None else x).stride(), out.stride(), index_strides)
    arguments = (x, out, num, *_stream(key, mask))
    with _device(out):
        if _is_run(layout):
            kernels.dropout_kernel[_run_grid(num, mask)](*arguments, WIDE=mask.wide, BLOCK=NUM_BLOCKS, **OPTIONS)
        else:
            grid = (triton.cdiv(num, NUM_ELEMENTS),)
            kernels.strided_kernel[grid](
                *arguments, *layout, NUM_DIMS=len(layout.sizes), WIDE=mask.wide, BLOCK=NUM_ELEMENTS, **OPTIONS
            )


def dropout(x: Tensor, out: Tensor, key: Tensor | int, mask: Mask) -> None:
    """Write the masked and scaled `x` to `out`, which may be `x`."""
    if x.dtype in DTYPES:
        _launch(x, out, key, mask)
    else:
        _vectorised.dropout(x, out, key, mask)


def keep_mask(shape: tuple[int, ...], key: Tensor | int, mask: Mask, device: torch.device) -> Tensor:
    """Return the boolean mask, True where an element is kept."""
    out = torch.empty(shape, dtype=torch.bool, device=device)
    _launch(None, out.view(torch.int8), key, mask)
    return out


def dropout_add(x: Tensor, residual: Tensor, out: Tensor, key: Tensor | int, mask: Mask) -> None:
    """Write residual + dropout(x) to `out`: all dense and row-major, of one shape and dtype, not empty."""
    with _device(x):
        kernels.dropout_add_kernel[_run_grid(x.numel(), mask)](
            x, residual, out, x.numel(), *_stream(key, mask), WIDE=mask.wide, BLOCK=NUM_BLOCKS, **OPTIONS
        )


def bias_act_dropout(
    x: Tensor, bias: Tensor, out: Tensor, key: Tensor | int, mask: Mask, activation: str, *, grad: Tensor | None = None
) -> None:
    """Write dropout(activation(x + bias)), or the gradient of x for that of the result: dense, row-major, not empty."""
    with _device(x):
        kernels.bias_act_dropout_kernel[_run_grid(x.numel(), mask)](
            grad, x, bias, out, x.numel(), bias.numel(), *_stream(key, mask), ACTIVATION=ACTIVATIONS[activation],
            WIDE=mask.wide, BLOCK=NUM_BLOCKS, **OPTIONS,
        )  # fmt: skip
