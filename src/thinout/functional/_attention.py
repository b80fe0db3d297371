"""Dropout inside of attention: of weights, of keys before the softmax, of columns, of heads.

Shape letters: N batch, H heads, Q queries, K keys, E features.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from thinout import ops
from thinout._checks import bad_value, check_choice, check_count
from thinout.functional._shared import as_scalar, check_probability, draw_keys, is_off, may_happen
from thinout.ops._inputs import check_floating_point


def drop_attention(
    input: Tensor,
    p: float | Tensor = 0.1,
    *,
    mode: str = "element",
    window: int = 1,
    stop_gradient: bool = True,
    training: bool,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Drop attention weights and divide each row by what is left of it, so that it still sums to 1.

    .. math:: y_{ij} = \frac{m_{ij} a_{ij}}{\sum_k m_{ik} a_{ik}}

    Plain dropout multiplies by :math:`1 / (1 - p)` instead: its rows sum to 1 in expectation only, with variance
    :math:`\frac{p}{1 - p} \sum_j a_{ij}^2`. A row that would lose all of its weights keeps them as they are.

    Args:
        input: attention weights after the softmax, (\*, Q, K).
        p: drop probability of a weight, in [0, 1].
        mode: "element", or "column" to drop a key for all queries at once.
        window: length of the spans of neighbouring keys that are dropped together. Spans begin with probability
            :math:`1 - (1 - p)^{1 / w}`, so that each weight is dropped with probability p exactly; the paper's
            :math:`p / w` drops fewer, since spans overlap.
        stop_gradient: take the sum that a row is divided by for a constant in backward, as the paper does.
        training: whether to drop.
        key: key of the mask; None draws one.
        generator: where the key is drawn.
        offset: second number that the mask is a function of.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: p outside [0, 1], an unknown mode, a window below 1, an input of fewer than two dimensions.
        TypeError: the input is not floating point.

    Example:
        >>> drop_attention(torch.tensor([[0.5, 0.3, 0.1, 0.1]]), 0.5, training=True, key=1)
        tensor([[0.8333, 0.0000, 0.1667, 0.0000]])

    Source: Lin, Liu, Huang, Chen, Qiu, Huang 2019, "DropAttention", arXiv 1907.11065.
    """
    where = "drop_attention"
    p = check_probability(where, p)
    check_choice(where, "mode", mode, ("column", "element"))
    check_count(where, "window", window)
    _check_weights(where, input)
    if is_off(p, training):
        return input
    key = ops.draw_key(generator) if key is None else key
    noise_shape = [None] * (input.dim() - 2) + [1 if mode == "column" else None, None]
    if window == 1:
        kept = ops.dropout(input, key, p, noise_shape=noise_shape, rescale=False, offset=offset)
    else:
        sizes = [size if entry is None else entry for size, entry in zip(input.shape, noise_shape, strict=True)]
        kept = torch.where(_keep_outside_of_spans(sizes, p, window, key, offset, input.device), input, 0.0)
    total = kept.sum(-1, keepdim=True, dtype=torch.promote_types(input.dtype, torch.float32))
    empty = total.detach() == 0
    if isinstance(p, Tensor):  # compiled code cannot ask for the rate before, and 0 leaves the rows as they are
        empty = empty | (as_scalar(p, total) == 0)
    if stop_gradient:
        y = kept.div_(total.detach().masked_fill(empty, 1.0))
    else:
        y = (kept / total.masked_fill(empty, 1.0)).to(input.dtype)
    return torch.where(empty, input, y) if may_happen(empty) else y


def _keep_outside_of_spans(
    sizes: list[int], p: float | Tensor, window: int, key: Tensor | int, offset: int, device: torch.device
) -> Tensor:
    """Return a mask whose zeros come in spans of neighbours in the last dimension, each entry dropped at rate p."""
    *lead, size = sizes
    rate = 1 - (1 - p) ** (1 / window)
    # Spans may begin before the first entry: else the first ones would be dropped less often.
    seeds = ops.dropout_mask((*lead, size + window - 1), key, rate, offset=offset, wide=True, device=device)
    keep = seeds[..., :size]
    for shift in range(1, window):
        keep = keep & seeds[..., shift : shift + size]
    return keep


def _check_weights(where: str, input: Tensor) -> None:
    check_floating_point(where, "input", input)
    if input.dim() < 2:
        bad_value(where, "input", "a tensor of at least 2 dimensions (*, Q, K)", f"shape {tuple(input.shape)}")


def drop_key(
    input: Tensor,
    p: float | Tensor = 0.1,
    *,
    training: bool,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Set attention logits to minus infinity at random, so that the softmax spreads the weight over the other keys.

    Nothing is scaled: the softmax normalises. A query that would lose all keys that it can see keeps all of them, so
    that no row is NaN; a row that was all minus infinity before stays so.

    Args:
        input: logits before the softmax, (\*, Q, K), with minus infinity where a query must not look.
        p: drop probability of a key, for each query, in [0, 1].
        training: whether to drop.
        key: key of the mask; None draws one.
        generator: where the key is drawn.
        offset: second number that the mask is a function of.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: p outside [0, 1] or an input of fewer than two dimensions.
        TypeError: the input is not floating point.

    Example:
        >>> drop_key(torch.zeros(1, 4), 0.5, training=True, key=1).softmax(-1)
        tensor([[0.5000, 0.0000, 0.5000, 0.0000]])

    Source: Li, Hu, Nie et al. 2023, "DropKey", CVPR, arXiv 2208.02646.
    """
    where = "drop_key"
    p = check_probability(where, p)
    _check_weights(where, input)
    if is_off(p, training):
        return input
    key = ops.draw_key(generator) if key is None else key
    keep = ops.dropout_mask(tuple(input.shape), key, p, offset=offset, device=input.device)
    infinite = keep.to(input.dtype).reciprocal_().sub_(1)  # 0 where kept, else infinity
    # Dropping to 0 and subtracting is several times as fast as filling by a mask, and backward needs no mask.
    y = ops.dropout(input, key, p, rescale=False, offset=offset).sub_(infinite)
    blind = y.detach().amax(-1, keepdim=True) == -math.inf if input.size(-1) else keep
    return torch.where(blind, input, y) if may_happen(blind) else y


def drop_head(
    input: Tensor,
    p: float | Tensor = 0.1,
    *,
    dim: int = 1,
    training: bool,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Drop whole attention heads of each example and scale the survivors by their number.

    .. math:: y_h = \frac{H}{\sum_g m_g} m_h x_h

    An example that would lose all heads keeps one, chosen uniformly: what masks conditioned on a survivor tend to as p
    goes to 1. By symmetry :math:`E[y] = x` exactly.

    Args:
        input: outputs of heads, (N, H, \*) by default.
        p: drop probability of a head, in [0, 1].
        dim: the dimension of the heads; the first dimension is the batch, unless it is that of the heads.
        training: whether to drop.
        key: key of the mask; None draws one.
        generator: where the key is drawn.
        offset: second number that the mask is a function of.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: p outside [0, 1] or a dimension that the input does not have.
        TypeError: the input is not floating point.

    Example:
        >>> drop_head(torch.ones(1, 4, 1, 1), 0.5, training=True, key=1).flatten()
        tensor([2., 0., 2., 0.])

    Source: Zhou, Ge, Xu, Wei, Zhou 2020, "Scheduled DropHead", Findings of EMNLP, arXiv 2004.13342.
    """
    where = "drop_head"
    p = check_probability(where, p)
    check_floating_point(where, "input", input)
    if not -input.dim() <= dim < input.dim():
        bad_value(where, "dim", f"a dimension of the input {tuple(input.shape)}", dim)
    if is_off(p, training):
        return input
    dim %= input.dim()
    first, second = draw_keys(where, 2, key, generator, input.device)
    own = {0, dim}
    sizes = tuple(size if place in own else 1 for place, size in enumerate(input.shape))
    kept = ops.dropout_mask(sizes, first, p, offset=offset, device=input.device)
    count = kept.sum(dim, keepdim=True)
    work = torch.promote_types(input.dtype, torch.float32)
    scaled = (input * (input.size(dim) / count.clamp(min=1).to(work))).to(input.dtype)
    y = ops.dropout(scaled, first, p, noise_shape=sizes, rescale=False, offset=offset, inplace=True)
    if not may_happen(count == 0):
        return y
    chosen = (count == 0) & _one_hot(sizes, dim, second, offset, input.device)
    return torch.where(chosen, (input * input.size(dim)).to(input.dtype), y)


def _one_hot(sizes: tuple[int, ...], dim: int, key: Tensor, offset: int, device: torch.device) -> Tensor:
    """Return a mask with one True along a dimension, uniform to within 2**-32 times its size."""
    rows = tuple(1 if place == dim else size for place, size in enumerate(sizes))
    bits = ops.dropout_mask((*rows, 32), key, 0.5, offset=offset, device=device)
    word = (bits.long() << torch.arange(32, device=device)).sum(-1)
    place = torch.arange(sizes[dim], device=device).view([-1] + [1] * (len(sizes) - dim - 1))
    return place == (word * sizes[dim]) >> 32
