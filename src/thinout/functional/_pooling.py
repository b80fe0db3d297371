"""Dropout before max-pooling, and the pooling by probabilities that stands for it at test time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as nnf

from thinout import ops
from thinout._checks import bad_value
from thinout.functional._select import drop_where
from thinout.functional._shared import Rate, as_scalar, check_maps, check_probability, effective_rate, per_axis
from thinout.ops._inputs import check_floating_point

Size = int | Sequence[int]


def _num_windows(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    """Return how many windows `torch.nn.MaxPool1d` has along one axis."""
    span = size + 2 * padding - dilation * (kernel - 1) - 1
    count = (-(-span // stride) if ceil_mode else span // stride) + 1
    if ceil_mode and (count - 1) * stride >= size + padding:  # windows that begin behind the input are left out
        count -= 1
    return count


def _windows(
    x: Tensor, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int],
    ceil_mode: bool,
) -> Tensor:  # fmt: skip
    """Return the windows of a max-pool, their elements in a new last dimension, with -inf outside of the input."""
    axes = list(zip(x.shape[-len(kernel) :], kernel, stride, padding, dilation, strict=True))
    counts = [_num_windows(*axis, ceil_mode) for axis in axes]
    margins: list[int] = []
    for (size, width, step, before, gap), count in zip(reversed(axes), reversed(counts), strict=True):
        margins += [before, max(0, (count - 1) * step + gap * (width - 1) + 1 - size - before)]
    padded = nnf.pad(x, margins, value=-math.inf)
    elements = []
    for place in itertools.product(*map(range, kernel)):
        element = padded
        for axis, (at, step, gap, count) in enumerate(zip(place, stride, dilation, counts, strict=True)):
            dim = x.dim() - len(kernel) + axis
            element = element.narrow(dim, at * gap, (count - 1) * step + 1)
            element = element[(..., slice(None, None, step)) + (slice(None),) * (len(kernel) - 1 - axis)]
        elements.append(element)
    return torch.stack(elements, -1)


def _weighted_pool(where: str, windows: Tensor, p: Rate) -> Tensor:
    """Return the expected maximum of what dropout leaves of each window."""
    rate = effective_rate(where, p)
    ranks = torch.arange(windows.shape[-1], device=windows.device, dtype=torch.float64)
    weights = (1 - as_scalar(rate, windows)) * as_scalar(rate, windows) ** ranks
    ordered = windows.sort(-1, descending=True).values
    # What lies outside of the input has no part, and neither has an infinity with weight 0.
    ordered = ordered.masked_fill((ordered == -math.inf) | (weights == 0), 0)
    work = torch.promote_types(windows.dtype, torch.float32)
    return (ordered.to(work) * weights.to(work)).sum(-1).to(windows.dtype)


def _max_pool_dropout(
    where: str,
    letters: str,
    input: Tensor,
    kernel_size: Size,
    p: Rate,
    training: bool,
    stride: Size | None,
    padding: Size,
    dilation: Size,
    ceil_mode: bool,
    batched: bool,
    key: Tensor | int | None,
    generator: torch.Generator | None,
    offset: int,
) -> Tensor:
    p = check_probability(where, p)
    check_floating_point(where, "input", input)
    check_maps(where, letters, input, batched)
    num_axes = len(letters)
    kernel = per_axis(where, "kernel_size", kernel_size, num_axes)
    steps = per_axis(where, "stride", kernel if stride is None else stride, num_axes)
    margins = per_axis(where, "padding", padding, num_axes, at_least=0)
    gaps = per_axis(where, "dilation", dilation, num_axes)
    if any(2 * margin > size for margin, size in zip(margins, kernel, strict=True)):
        bad_value(where, "padding", f"at most half of kernel_size {kernel}", margins)
    pool = nnf.max_pool1d if num_axes == 1 else nnf.max_pool2d
    if not isinstance(p, Tensor) and p == 0:
        return pool(input, kernel, steps, margins, gaps, ceil_mode)
    if not training:
        return _weighted_pool(where, _windows(input, kernel, steps, margins, gaps, ceil_mode), p)
    key = ops.draw_key(generator) if key is None else key
    kept = ops.dropout_mask(tuple(input.shape), key, p, offset=offset, device=input.device)
    y = pool(drop_where(input, ~kept, value=-math.inf), kernel, steps, margins, gaps, ceil_mode)
    return y.masked_fill(y == -math.inf, 0)


def max_pool_dropout1d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    p: float | Tensor = 0.5,
    *,
    training: bool,
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    batched: bool = True,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Max-pool sequences over what dropout leaves; see `max_pool_dropout2d`.

    Args:
        input: (N, C, L), or (C, L) with ``batched=False``.
        kernel_size: length of a window.
        p: drop probability of an element, in [0, 1].
        training: whether to drop; otherwise the expected maximum is returned.
        stride: step between windows; `kernel_size` by default.
        padding: elements added on both sides, which are never the maximum.
        dilation: step between the elements of a window.
        ceil_mode: whether windows may reach over the end.
        batched: whether the first dimension is the batch.
        key: key of the mask; None draws one.
        generator: where the key is drawn.
        offset: second number that the mask is a function of.

    Returns:
        (N, C, L'), with L' as `torch.nn.MaxPool1d` gives.

    Raises:
        ValueError: p outside [0, 1], sizes that do not fit, or an input of another rank.
        TypeError: the input is not floating point.

    Example:
        >>> x = torch.tensor([[[1.0, 2.0, 4.0, 3.0]]])
        >>> max_pool_dropout1d(x, 2, 0.5, training=False)  # 2 / 2 + 1 / 4 and 4 / 2 + 3 / 4
        tensor([[[1.2500, 2.7500]]])

    Source: Wu, Gu 2015, Neural Networks 71, arXiv 1512.00242.
    """
    return _max_pool_dropout(
        "max_pool_dropout1d", "L", input, kernel_size, p, training, stride, padding, dilation, ceil_mode, batched,
        key, generator, offset,
    )  # fmt: skip


def max_pool_dropout2d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    p: float | Tensor = 0.5,
    *,
    training: bool,
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    batched: bool = True,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Max-pool maps over what dropout leaves, and at test time pool by the probabilities of being the maximum.

    .. math:: y = \max_{i: m_i = 1} a_i \text{ (training)}
    .. math:: y = \sum_{i=1}^{n} (1 - p) p^{n - i} a_{(i)} \text{ (otherwise)}

    with the elements of a window in order, :math:`a_{(1)} \le \dots \le a_{(n)}`. Where all of a window is dropped, the
    output is 0; nothing is rescaled. The eval output is exactly the mean of the training output. For inputs that are
    not negative, as after a ReLU, this is dropout followed by max-pooling; for others a dropped element is out of the
    contest, where a zero in its place would win it.

    Args:
        input: (N, C, H, W), or (C, H, W) with ``batched=False``.
        kernel_size: side of a window, or one for each axis.
        p: drop probability of an element, in [0, 1]. 0 is a max-pool and draws nothing.
        training: whether to drop; otherwise the expected maximum is returned.
        stride: step between windows; `kernel_size` by default.
        padding: elements added on both sides, which are never the maximum.
        dilation: step between the elements of a window.
        ceil_mode: whether windows may reach over the end.
        batched: whether the first dimension is the batch.
        key: key of the mask; None draws one.
        generator: where the key is drawn.
        offset: second number that the mask is a function of.

    Returns:
        (N, C, H', W'), with the sizes that `torch.nn.MaxPool2d` gives.

    Raises:
        ValueError: p outside [0, 1], sizes that do not fit, or an input of another rank.
        TypeError: the input is not floating point.

    Example:
        >>> x = torch.arange(1.0, 17).view(1, 1, 4, 4)
        >>> max_pool_dropout2d(x, 2, 0.5, training=True, key=0)  # one window is dropped whole
        tensor([[[[ 2.,  0.],
                  [13., 16.]]]])

    Source: Wu, Gu 2015, Neural Networks 71, arXiv 1512.00242.
    """
    return _max_pool_dropout(
        "max_pool_dropout2d", "HW", input, kernel_size, p, training, stride, padding, dilation, ceil_mode, batched,
        key, generator, offset,
    )  # fmt: skip
