"""Our kernels under PyTorch's dropout functions at the dispatcher: registered once in a process, and never taken back.

To unregister a kernel while another thread calls it kills the process. So the kernels stay, and hand over to the
kernel that they stand for while the patch is off, which costs about 2 us a call.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from thinout.ops import _apply, draw_key
from thinout.torch_patch._eligible import is_plain, is_traced, nothing_to_do, reason_for_pytorch
from thinout.torch_patch._sites import SITES, Site, is_extreme
from thinout.torch_patch._switch import switch

_FUNCTORCH = "FuncTorchDynamicLayerFrontMode"

Kernel = Callable[[Any, Tensor, float, bool], Tensor]


def _eager_kernel(name: str, site: Site, original: Kernel, *, autograd: bool) -> Kernel:
    """Return the kernel of a function; `autograd` says whether it stands above autograd or below it."""

    def kernel(keys: Any, x: Tensor, p: float, train: bool) -> Tensor:
        if not switch.active:
            return original(keys, x, p, train)
        if train and 0 < p <= 1 and x.numel() < switch.break_even:  # small whatever else: it waits for each line
            switch.small.add()
            return original(keys, x, p, train)
        grad = autograd and x.requires_grad and torch.is_grad_enabled()
        reason = reason_for_pytorch(site, x, p, train, grad)
        if reason is not None:
            switch.count(switch.handed_over, reason)
            return original(keys, x, p, train)
        switch.count(switch.served, name)
        return site.run(x, p, grad)

    return kernel


def _functorch_kernel(original: Kernel) -> Kernel:
    """Return the kernel that `torch.func` transforms reach first."""

    def kernel(keys: Any, x: Tensor, p: float, train: bool) -> Tensor:
        if not switch.active:
            return original(keys, x, p, train)
        if nothing_to_do(p, train) or is_traced() or not is_plain(x):
            switch.count(switch.handed_over, "torch.func transform")
            return original(keys, x, p, train)
        switch.count(switch.served, "dropout")
        rate = _apply.rate_tensor(p)
        return _apply.apply_traced(x, draw_key(), rate, 0, is_extreme(p), True, 0, None)

    return kernel


@functools.cache
def register() -> object:
    """Register the kernels, and return what holds them."""
    # Not torch.library.Library: that one unregisters at exit, while daemon threads still run.
    library = torch._C._dispatch_library("IMPL", "aten", "", __file__, 1)
    for name, site in SITES.items():
        originals = {key: _original(name, key) for key in ("AutogradCPU", "CPU")}
        for key, original in originals.items():
            _implement(library, name, key, _eager_kernel(name, site, original, autograd=key == "AutogradCPU"))
    with warnings.catch_warnings():  # of overriding a kernel, which is meant
        warnings.simplefilter("ignore")
        _implement(library, "dropout", _FUNCTORCH, _functorch_kernel(_original("dropout", _FUNCTORCH)))
    return library


def _implement(library: Any, name: str, key: str, kernel: Kernel) -> None:
    library.impl(name, key, kernel, True)  # True: with the set of dispatch keys as first argument


def _original(name: str, key: str) -> Kernel:
    """Return PyTorch's own kernel; `OpOverload.decompose` would give a Python decomposition with other random bits."""
    kernel: Kernel = torch.library.get_kernel(f"aten::{name}", key).call_boxed
    return kernel
