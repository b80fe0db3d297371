"""Stochastic depth: dropout of whole residual branches."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from thinout import ops
from thinout._checks import bad_type, bad_value, check_choice
from thinout.functional._decide import call_branch, is_readable, share_key
from thinout.functional._shared import check_probability, draw_uniform, drop, is_off
from thinout.ops._inputs import check_floating_point

MODES = ("batch", "row")


def check_mode(where: str, input: Tensor, mode: str) -> None:
    """Raise unless `mode` is one of "row" and "batch" and the input has rows where they are dropped."""
    check_choice(where, "mode", mode, MODES)
    if mode == "row" and input.dim() == 0:
        bad_value(where, "input", "a tensor of at least 1 dimension (N, ...)", "a 0-d tensor", 'Pass mode="batch".')


def stochastic_depth(
    input: Tensor,
    p: float | Tensor = 0.5,
    *,
    mode: str = "row",
    scaled: bool = True,
    training: bool,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Drop the output of a residual branch, for whole examples or for the whole batch ("drop path").

    .. math:: y_n = \frac{m_n}{1 - p} f_n, \quad m_n \sim \text{Bernoulli}(1 - p) \qquad\text{(training)}

    and :math:`y = f` otherwise, for the residual branch's output :math:`f` and examples :math:`n`. It belongs on the
    branch alone, ``x + stochastic_depth(branch(x), ...)``: on the sum it would drop the example. It saves no time,
    since the branch was computed; `stochastic_depth_block` does.

    Args:
        input: floating-point tensor (N, ...), what the branch gave.
        p: drop probability in [0, 1]. 0 returns the input itself and draws nothing.
        mode: "row" drops examples, by a mask of shape (N, 1, ...); "batch" all or nothing, by one of shape (1, ...).
        scaled: whether what is kept is multiplied by 1 / (1 - p). Without it the mean in training is (1 - p) f, and
            evaluation does not match it.
        training: whether to drop.
        key: key of the mask; None draws one.
        generator: where the key is drawn.
        offset: second number that the mask is a function of.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: p outside [0, 1], a mode of another name, or a 0-d input in mode "row".
        TypeError: the input is not floating point.

    Example:
        >>> stochastic_depth(torch.ones(4, 3), 0.5, training=True, key=1)
        tensor([[2., 2., 2.],
                [0., 0., 0.],
                [2., 2., 2.],
                [0., 0., 0.]])
        >>> stochastic_depth(torch.ones(4, 3), 0.5, mode="batch", training=True, key=4).unique()
        tensor([0.])

    Source: Huang, Sun, Liu, Sedra, Weinberger 2016, arXiv 1603.09382 (per batch, scaled at test time). Per example and
    scaled in training is the form that came after it.
    """
    check_mode("stochastic_depth", input, mode)
    rows = [None if mode == "row" else 1] * min(input.dim(), 1)
    noise_shape = rows + [1] * (input.dim() - len(rows))
    return drop("stochastic_depth", input, p, training, False, noise_shape, key, generator, offset, rescale=scaled)


def num_kept_rows(num_rows: int, p: float) -> int:
    """Return how many rows of a batch a branch computes: the whole number next to (1 - p) N, at least 1 below p = 1."""
    return max(1, int((1 - p) * num_rows + 0.5)) if p < 1 else 0


def stochastic_depth_block(
    input: Tensor,
    branch: Callable[[Tensor], Tensor],
    *,
    p: float | Tensor = 0.5,
    mode: str = "row",
    skip: bool = True,
    sync: bool = True,
    training: bool,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Add a residual branch that is computed only where it is kept.

    .. math:: y_n = x_n + \frac{N}{K} f(x_S)_n \ (n \in S), \qquad y_n = x_n \ (n \notin S) \qquad\text{(mode row)}
    .. math:: y = x + \frac{m}{1 - p} f(x), \quad m \sim \text{Bernoulli}(1 - p) \qquad\text{(mode batch)}

    and :math:`y = x + f(x)` outside training. In mode "row", :math:`S` is a uniformly random set of exactly
    :math:`K` of the :math:`N` examples, K the whole number next to (1 - p) N and at least 1 below p = 1: the branch
    always runs, on K rows, and the drop rate is 1 - K/N. In mode "batch" the branch is called once or not at all.

    Compiled graphs and `vmap` cannot leave a call out: there mode "batch" computes the branch and selects. In mode
    "row" the number of rows is a shape of a compiled graph, which dynamo compiles again for a second p.

    Args:
        input: floating-point tensor (N, ...).
        branch: function whose output has the shape of its input; of its rows alone, so no batch statistics.
        p: drop probability in [0, 1]; 0 and 1 draw nothing in mode "row".
        mode: "row" or "batch".
        skip: False computes the branch always and selects, which mode "batch" needs where every parameter must take
            part in every step (DDP without `find_unused_parameters`, FSDP).
        sync: in mode "batch" with `skip`, whether the processes of an initialised `torch.distributed` decide alike, by
            the key of rank 0; one message a call.
        training: whether to drop.
        generator: where noise and keys are drawn.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: p outside [0, 1], another mode, a 0-d input, or a branch that changes the shape.
        TypeError: the input is not floating point, or p is a tensor in mode "row".

    Example:
        >>> rows = []
        >>> def branch(x):
        ...     rows.append(len(x))
        ...     return torch.ones_like(x)
        >>> y = stochastic_depth_block(torch.zeros(8, 2), branch, p=0.75, training=True)
        >>> rows, y.sum(dim=0), y.max()
        ([2], tensor([8., 8.]), tensor(4.))

    Source: Huang et al. 2016, arXiv 1603.09382 (mode "batch"); Oquab et al. 2023 (DINOv2), arXiv 2304.07193, section 5
    (mode "row").
    """
    where = "stochastic_depth_block"
    p = check_probability(where, p)
    check_mode(where, input, mode)
    check_floating_point(where, "input", input)
    if is_off(p, training) or (mode == "row" and input.shape[0] == 0):
        return input + call_branch(where, branch, input).to(input.dtype)
    if mode == "batch":
        return _whole_batch(where, input, branch, p, skip, sync, generator)
    if isinstance(p, Tensor):
        bad_type(where, "p", 'a number in mode "row", where it fixes a shape', "a tensor")
    return _some_rows(where, input, branch, num_kept_rows(input.shape[0], p), generator)


def _some_rows(
    where: str, input: Tensor, branch: Callable[[Tensor], Tensor], kept: int, generator: torch.Generator | None
) -> Tensor:
    if kept == 0:
        return input
    num_rows = input.shape[0]
    rows = draw_uniform(input, (num_rows,), generator).argsort()[:kept]
    residual = call_branch(where, branch, input.index_select(0, rows))
    return input.index_add(0, rows, residual.to(input.dtype), alpha=num_rows / kept)


def _whole_batch(
    where: str,
    input: Tensor,
    branch: Callable[[Tensor], Tensor],
    p: float | Tensor,
    skip: bool,
    sync: bool,
    generator: torch.Generator | None,
) -> Tensor:
    key = ops.draw_key(generator)
    if not skip or not is_readable(key):
        residual = call_branch(where, branch, input).to(input.dtype)
        return input + ops.dropout(residual, key, p, noise_shape=[1] * input.dim())
    if sync:
        key = share_key(key, input.device)
    if not ops.dropout_mask((1,), key, p, device=key.device):
        return input
    residual = call_branch(where, branch, input).to(input.dtype)
    return torch.add(input, residual, alpha=1 / (1 - ops.effective_p(float(p))))
