"""A stand-in for `torch.nn.functional.dropout`, which is how code that is compiled while the patch is on reaches us.

Compilers see the functions that a program names, not the kernels behind them: a graph made from a changed kernel would
outlive the change in the compiler's caches, in memory and on disk. A changed function they notice by themselves.
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

from thinout import ops
from thinout.torch_patch._eligible import break_even, is_plain, nothing_to_do
from thinout.torch_patch._sites import is_extreme
from thinout.torch_patch._switch import switch

_original = F.dropout
_is_scripting = torch.jit.is_scripting  # type: ignore[attr-defined]  # torch.jit does not list it


def _is_served(x: Tensor, p: float, training: bool) -> bool:
    if not switch.active or not torch.compiler.is_compiling() or nothing_to_do(p, training):
        return False
    return is_plain(x) and x.numel() >= break_even(x.requires_grad)


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Do what `torch.nn.functional.dropout` does; in compiled code, with thinout's operator."""
    # Two ifs: TorchScript leaves out a block under is_scripting alone, and cannot compile what is in this one.
    if not _is_scripting():  # noqa: SIM102
        if _is_served(input, p, training):
            return ops.dropout(input, ops.draw_key(), p, wide=is_extreme(p), inplace=inplace)
    return _original(input, p, training, inplace)


@functools.cache
def _let_dynamo_learn_names() -> None:
    """Have Dynamo look up, once, which functions are PyTorch's; looked up later, ours would pass for one of them."""
    from torch._dynamo import trace_rules  # slow to import, hence only when a patch opens

    trace_rules.get_torch_obj_rule_map()


def install() -> None:
    """Put the stand-in into `torch.nn.functional`, unless somebody else has put a function of theirs there."""
    _let_dynamo_learn_names()
    if F.dropout is _original:
        F.dropout = dropout


def remove() -> None:
    """Put the original back, unless somebody else has put a function of theirs on top of ours."""
    if F.dropout is dropout:
        F.dropout = _original
