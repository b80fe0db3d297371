"""FractalNet's joins: the mean of the paths that survive."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from thinout import ops
from thinout._checks import bad_type, bad_value, check_count
from thinout.functional._decide import is_readable
from thinout.functional._depth import check_mode
from thinout.functional._shared import Rate, check_probability, draw_keys, is_off
from thinout.ops._inputs import check_floating_point


def draw_index(count: int, size: int, key: Tensor, offset: int) -> Tensor:
    """Return `size` whole numbers, uniform over 0, ..., count - 1, that are a function of key and offset.

    Masks of one key at growing rates drop growing sets: how many of the rates 1/count, 2/count, ... drop an element is
    a uniform number. In the wide format its probabilities are exact to 2**-32.
    """
    index = torch.zeros(size, dtype=torch.int64, device=key.device)
    for step in range(1, count):
        kept = ops.dropout_mask((size,), key, step / count, offset=offset, wide=True, device=key.device)
        index = index + kept.logical_not()
    return index


def _check_inputs(where: str, inputs: Sequence[Tensor], mode: str) -> None:
    if not inputs:
        bad_value(where, "inputs", "at least one tensor", "none")
    first = inputs[0]
    for x in inputs:
        check_floating_point(where, "inputs", x)
        if x.shape != first.shape:
            bad_value(where, "inputs", f"all of the shape {tuple(first.shape)}", f"shape {tuple(x.shape)}")
        if x.dtype != first.dtype:
            bad_type(where, "inputs", f"all of the dtype {first.dtype}", x.dtype)
    check_mode(where, first, mode)


def _mean(inputs: Sequence[Tensor]) -> Tensor:
    """Return the mean, summed in float32 at least."""
    if len(inputs) == 1:
        return inputs[0]
    dtype = inputs[0].dtype
    work = torch.promote_types(dtype, torch.float32)
    total = inputs[0].to(work) + inputs[1].to(work)
    for x in inputs[2:]:
        total = total + x.to(work)
    return (total / len(inputs)).to(dtype)


def _survivors(
    num_paths: int,
    size: int,
    p: Rate,
    global_ratio: Rate,
    num_columns: int,
    join: int,
    keys: Sequence[Tensor],
    offset: int,
) -> Tensor:
    """Return which paths survive, (paths, size), at least one in each column."""
    gate, columns, local, spare = keys[0], keys[1], keys[2 + 2 * join], keys[3 + 2 * join]
    paths = torch.arange(num_paths, device=gate.device)[:, None]
    asked = is_readable(gate)
    is_local = ops.dropout_mask((size,), gate, global_ratio, offset=offset, device=gate.device)
    keep = ops.dropout_mask((num_paths, size), local, p, offset=offset, device=gate.device)
    if not asked or not keep.any(dim=0).all():
        keep = keep | (~keep.any(dim=0) & (paths == draw_index(num_paths, size, spare, offset)))
    if not asked or not is_local.all():
        column = draw_index(num_columns, size, columns, offset)
        keep = torch.where(is_local, keep, (paths == column) | (column >= num_paths))
    return keep


def _mean_of_rows(inputs: Sequence[Tensor], keep: Tensor) -> Tensor:
    """Return the mean over the paths that are kept, row by row; `keep` can be read."""
    dtype = inputs[0].dtype
    work = torch.promote_types(dtype, torch.float32)
    keep = keep.to(inputs[0].device)
    parts = [
        x.to(work).index_fill(0, kept.logical_not().nonzero()[:, 0], 0.0)  # a copy, so that it can be added to
        for x, kept in zip(inputs, keep.unbind(), strict=True)
    ]
    total = parts[0]
    for part in parts[1:]:
        total.add_(part)
    return total.div_(keep.sum(dim=0).reshape(-1, *[1] * (total.dim() - 1))).to(dtype)


def _selected_mean(inputs: Sequence[Tensor], keep: Tensor) -> Tensor:
    """Return the mean over the paths that are kept, for one row or all alike, by operations that can be recorded."""
    dtype = inputs[0].dtype
    work = torch.promote_types(dtype, torch.float32)
    tail = [1] * (inputs[0].dim() - 1)
    keep = keep.reshape(len(inputs), -1, *tail).to(inputs[0].device) if inputs[0].dim() else keep[:, 0]
    total = torch.zeros_like(inputs[0], dtype=work)
    for x, kept in zip(inputs, keep.unbind(), strict=True):
        total = torch.where(kept, total + x.to(work), total)  # selected: a dropped infinity does not count
    return (total / keep.sum(dim=0)).to(dtype)


def fractal_join(
    inputs: Sequence[Tensor],
    p: float | Tensor = 0.15,
    *,
    global_ratio: float | Tensor = 0.5,
    num_columns: int | None = None,
    join: int = 0,
    mode: str = "batch",
    training: bool,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Join paths by the mean of those that survive, of which there is always one.

    .. math:: y = \frac{1}{|S|} \sum_{k \in S} x_k

    In training :math:`S` is drawn in one of two ways. Locally, with probability 1 - global_ratio, each path is dropped
    with probability p; where all are, a random one stays. Globally, one column of the network is drawn, and its path
    alone survives. Otherwise :math:`S` is all paths. Nothing else is scaled.

    A network has one column or none: give all its joins the same `key` in a forward pass, and each its own number
    `join`. They then agree on whether the pass is global and on the column, and drop locally each for itself.

    Args:
        inputs: floating-point tensors of one shape (N, ...), those of column 0, 1, ... of the network: first the column
            that passes through the most joins.
        p: drop probability of a path in local passes, in [0, 1]; at 1 one random path survives.
        global_ratio: probability of a global pass, in [0, 1]. Where both rates are 0 nothing is drawn.
        num_columns: columns of the network; None where each has a path here. Where the column that was drawn has none,
            nothing of this join is used behind, and it gives the mean of all.
        join: number of the join in the network.
        mode: "batch" draws once for all rows, "row" for each.
        training: whether to drop.
        key: key of the masks; None draws one.
        generator: where the key is drawn.
        offset: second number that the masks are a function of.

    Returns:
        A tensor like an input; the input itself where one alone is left.

    Raises:
        ValueError: a rate outside [0, 1], no inputs, inputs of different shapes, fewer columns than inputs.
        TypeError: an input is not floating point, or their dtypes differ.

    Example:
        >>> paths = [torch.full((2,), 1.0), torch.full((2,), 4.0), torch.full((2,), 10.0)]
        >>> fractal_join(paths, training=False)
        tensor([5., 5.])
        >>> fractal_join(paths, 0.5, global_ratio=0.0, training=True, key=1)
        tensor([1., 1.])

    Source: Larsson, Maire, Shakhnarovich 2017, ICLR, arXiv 1605.07648.
    """
    where = "fractal_join"
    p = check_probability(where, p)
    global_ratio = check_probability(where, global_ratio, "global_ratio")
    _check_inputs(where, inputs, mode)
    num_columns = len(inputs) if num_columns is None else check_count(where, "num_columns", num_columns)
    if num_columns < len(inputs):
        bad_value(where, "num_columns", f"at least the number of inputs, {len(inputs)}", num_columns)
    join = check_count(where, "join", join, at_least=0)
    if is_off(p, training) and is_off(global_ratio, training):
        return _mean(inputs)
    keys = draw_keys(where, 4 + 2 * join, key, generator, inputs[0].device)
    size = 1 if mode == "batch" else inputs[0].shape[0]
    keep = _survivors(len(inputs), size, p, global_ratio, num_columns, join, keys, offset)
    if not is_readable(keys[0]):
        return _selected_mean(inputs, keep)
    if mode == "row":
        return _mean_of_rows(inputs, keep)
    return _mean([x for x, kept in zip(inputs, keep[:, 0].tolist(), strict=True) if kept])
