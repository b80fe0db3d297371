"""Checks of what comes in at the doors: tensors, keys and offsets."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from thinout._checks import bad_type, bad_value, check_count, check_p, message

INT64 = torch.iinfo(torch.int64)


def check_floating_point(where: str, name: str, tensor: Tensor) -> None:
    """Raise unless an argument is a floating-point tensor."""
    if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
        if not isinstance(tensor, Tensor):  # a PackedSequence has a method float() too, which would not help
            bad_type(where, name, "a floating-point tensor", repr(type(tensor).__name__))
        bad_type(where, name, "a floating-point tensor", f"a {tensor.dtype} tensor", f"Convert it with {name}.float().")


def check_key(where: str, key: Tensor | int, device: torch.device) -> Tensor:
    """Return a key as a 0-d int64 tensor, or raise."""
    if isinstance(key, numbers.Integral) and not isinstance(key, bool):
        if not INT64.min <= key <= INT64.max:
            bad_value(where, "key", "an integer that int64 holds", key)
        return torch.tensor(int(key), dtype=torch.int64, device="cpu")
    if not isinstance(key, Tensor) or key.dtype != torch.int64:
        got = f"a {key.dtype} tensor" if isinstance(key, Tensor) else repr(key)
        bad_type(where, "key", "an int or an int64 tensor", got, "Draw one with thinout.ops.draw_key().")
    if key.dim() != 0:
        bad_value(where, "key", "a tensor without dimensions", f"shape {tuple(key.shape)}")
    if key.device.type != "cpu" and key.device != device:
        bad_value(where, "key", f"on the CPU or on {device}", f"a key on {key.device}", "Move it with key.to(...).")
    return key


def check_offset(where: str, offset: int) -> int:
    """Return an offset that the counter can hold, or raise."""
    offset = check_count(where, "offset", offset, at_least=0)
    if offset > INT64.max:
        bad_value(where, "offset", "less than 2**63", offset)
    return offset


def check_rate(where: str, p: Tensor, name: str = "p", check: Callable[[str, Any, str], float] = check_p) -> Tensor:
    """Return a setting that is a tensor, or raise; `check` looks at its value in eager code, an operator may else."""
    if p.numel() != 1 or p.device.type != "cpu" or not p.is_floating_point() or p.requires_grad:
        got = f"a {p.dtype} tensor of shape {tuple(p.shape)} on {p.device}"
        got += " that requires a gradient" if p.requires_grad else ""
        bad_value(where, name, "a number, or a floating-point CPU tensor of one element without gradient", got)
    if not torch.compiler.is_compiling() and torch._C._len_torch_dispatch_stack() == 0 and type(p) is Tensor:
        check(where, p.item(), name)
    return p


def check_index(where: str, shape: Sequence[int], first_index: int, strides: Sequence[int]) -> None:
    """Raise unless the mask indices of all elements are in [0, 2**63 - 1)."""
    if isinstance(first_index, torch.SymInt):
        return
    check_count(where, "first_index", first_index, at_least=0)
    if first_index + sum((size - 1) * step for size, step in zip(shape, strides, strict=True)) >= INT64.max:
        bad_value(where, "first_index", "such that every index is less than 2**63 - 1", first_index)


def check_generator(generator: torch.Generator | None) -> None:
    """Raise where a private generator cannot be rewound: in compiled code and where backward recomputes forward."""
    if generator is None:
        return
    remedy = "Pass key=thinout.ops.draw_key(generator), drawn outside of the function."
    if torch.compiler.is_compiling():
        raise RuntimeError(message("dropout", "generator", "None in compiled code", "a generator", remedy))
    if torch._C._current_graph_task_id() != -1:
        raise RuntimeError(
            message("dropout", "generator", "None where checkpointing recomputes", "a generator", remedy)
        )
