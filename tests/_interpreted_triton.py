"""The Triton kernels in Triton's interpreter, beside the compiled ones of the same process."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import numpy as np
import torch
import triton
import triton.language as tl
from triton.runtime.interpreter import InterpreterBuilder, TensorHandle


def _round_to_nearest_bfloat16() -> None:
    """Give the interpreter the rounding of a GPU: its own conversion of float32 to bfloat16 cuts bits off."""
    convert = InterpreterBuilder.cast_impl

    def cast_impl(self, src, dst_type):
        if src.dtype.scalar == tl.float32 and dst_type.scalar == tl.bfloat16:
            values = torch.from_numpy(np.ascontiguousarray(src.data)).bfloat16()
            return TensorHandle(values.view(torch.int16).numpy().view(np.uint16), tl.bfloat16)
        return convert(self, src, dst_type)

    InterpreterBuilder.cast_impl = cast_impl


def _copy(name: str) -> ModuleType:
    spec = importlib.util.find_spec(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _load() -> ModuleType:
    """Return a copy of thinout.ops._triton that takes CPU tensors."""
    launches = _copy("thinout.ops._triton")
    with triton.knobs.runtime.scope():
        triton.knobs.runtime.interpret = True
        launches.kernels = _copy("thinout.ops._triton_kernels")
    return launches


_round_to_nearest_bfloat16()
kernels = _load()
