"""Which calls of PyTorch's dropout thinout serves; the others are PyTorch's."""

from __future__ import annotations

import torch
from torch import Tensor

from thinout.ops import _cpu
from thinout.torch_patch._sites import Site
from thinout.torch_patch._switch import switch

_PLAIN = (Tensor, torch.nn.Parameter)


def break_even(grad: bool) -> int:
    """Return the number of elements from which a call is served."""
    return switch.break_even_with_grad if grad else switch.break_even


def is_plain(x: Tensor) -> bool:
    """Whether a tensor is no subclass and its device, layout and dtype are the kernel's; nothing of it is computed."""
    return type(x) in _PLAIN and x.device.type == "cpu" and x.layout is torch.strided and x.dtype in _cpu.DTYPES


def nothing_to_do(p: float, train: bool) -> bool:
    """Whether PyTorch returns the input itself, or raises for a bad p, at no cost."""
    return not train or not 0 < p <= 1


def is_traced() -> bool:
    """Whether somebody records the operations: a compiler, or a dispatch mode."""
    return torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack() > 0


def reason_for_pytorch(site: Site, x: Tensor, p: float, train: bool, grad: bool) -> str | None:
    """Return why an eager call is handed to PyTorch; None where thinout serves it."""
    if nothing_to_do(p, train):
        return "nothing to drop"
    if x.numel() < break_even(grad):  # asked early: small tensors pay for each line
        return "small"
    if is_traced():
        return "traced"
    if not is_plain(x):
        return "not a plain floating-point CPU tensor"
    if torch._C._are_functorch_transforms_active():
        return "inside an operator under a torch.func transform"
    # The memory behind these two does not hold their values.
    if x.is_neg() or x._is_zerotensor():
        return "lazy negation or zeros"
    if site.channels and (x.dim() < 2 or x.element_size() < 4):
        return "no channels, or channels in half precision"  # PyTorch raises; we could not scale exactly and be faster
    entries = x.size(0) * x.size(1) if site.channels else x.numel()
    return "small" if entries < break_even(grad) * site.cost else None
