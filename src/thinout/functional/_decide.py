"""Decisions that Python itself takes by a mask: which layers to call, which paths to read."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch import distributed as dist

from thinout._checks import bad_type, bad_value


def is_readable(key: Tensor) -> bool:
    """Whether Python may ask for the values of a mask of this key.

    It cannot while a graph is compiled or traced, and not under `vmap`, where each sample has its own.
    """
    if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:
        return False
    while torch._C._functorch.is_functorch_wrapped_tensor(key):
        if torch._C._functorch.is_batchedtensor(key):
            return False
        key = torch._C._functorch.get_unwrapped(key)
    return type(key) is Tensor and not key.is_meta  # a fake tensor is a subclass


def share_key(key: Tensor, device: torch.device) -> Tensor:
    """Return the key that rank 0 of the default process group has, or the key itself where there is none.

    The message goes by way of the device of the input, which the backend of the group knows.
    """
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return key
    shared = key.to(device, copy=True)
    dist.broadcast(shared, src=0)
    return shared.to(key.device)


def call_branch(where: str, branch: Callable[[Tensor], Tensor], input: Tensor) -> Tensor:
    """Return what a layer that may be left out gives, after making sure that it has the shape of its input."""
    output = branch(input)
    if not isinstance(output, Tensor):
        bad_type(where, "output of a layer", "a tensor", type(output).__name__)
    if output.shape != input.shape:
        allowed = f"of the shape of its input, {tuple(input.shape)}, since it can be left out"
        bad_value(where, "output of a layer", allowed, tuple(output.shape))
    return output
