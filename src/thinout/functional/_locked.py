"""Dropout with one mask for all time steps of a sequence, padded or packed."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from thinout import ops
from thinout._checks import bad_value
from thinout.functional._shared import Rate, as_scalar, check_probability, drop, effective_rate, is_off
from thinout.ops._inputs import check_floating_point

Sequences = TypeVar("Sequences", Tensor, PackedSequence)


def locked_dropout(
    input: Sequences,
    p: Rate = 0.5,
    *,
    training: bool,
    batch_first: bool = False,
    inplace: bool = False,
    batched: bool = True,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Sequences:
    r"""Drop the same features at every step of a sequence ("variational", "locked").

    .. math:: y_{tn} = \frac{m_n \odot x_{tn}}{1 - p}, \quad m_{nj} \sim \text{Bernoulli}(1 - p)

    The mask has one entry for each sequence and feature, whatever the layout: under one key a padded batch, time first
    or batch first, and a packed one lose the same features.

    Args:
        input: (L, N, C), or (N, L, C) with ``batch_first=True``; (L, C) with ``batched=False``; or a `PackedSequence`,
            which says itself where its sequences are.
        p: drop probability of a feature, in [0, 1].
        training: whether to drop.
        batch_first: whether the first dimension is the batch and the second one time.
        inplace: write the result into the input.
        batched: whether there is a batch dimension; the rank is never guessed at.
        key: key of the mask; None draws one. Consecutive chunks of a sequence share a mask if they share a key.
        generator: where the key is drawn.
        offset: second number that the mask is a function of.

    Returns:
        A tensor or packed sequence like the input.

    Raises:
        ValueError: p outside [0, 1] or an input of another rank.
        TypeError: the input is not floating point.

    Example:
        >>> locked_dropout(torch.ones(3, 1, 4), 0.5, training=True, key=1)[:, 0]
        tensor([[2., 0., 2., 0.],
                [2., 0., 2., 0.],
                [2., 0., 2., 0.]])

    Source: Gal, Ghahramani 2016, arXiv 1512.05287; Merity, Keskar, Socher 2018, arXiv 1708.02182.
    """
    where = "locked_dropout"
    if isinstance(input, PackedSequence):
        check_floating_point(where, "input.data", input.data)
        if is_off(check_probability(where, p), training):
            return input
        key = ops.draw_key(generator) if key is None else key
        data = drop_features(where, input.data, input, key, p, offset)
        return input._replace(data=input.data.copy_(data) if inplace else data)
    names = ["L", "C"] if not batched else ["N", "L", "C"] if batch_first else ["L", "N", "C"]
    check_floating_point(where, "input", input)
    if input.dim() != len(names):
        other = "one unbatched sequence" if batched else "a batch"
        allowed = f"a tensor of {len(names)} dimensions ({', '.join(names)}) or a PackedSequence"
        bad_value(where, "input", allowed, f"shape {tuple(input.shape)}", f"For {other} pass batched={not batched}.")
    noise_shape = [1 if name == "L" else None for name in names]
    return drop(where, input, p, training, inplace, noise_shape, key, generator, offset)


def drop_features(
    where: str,
    x: Tensor,
    packed: PackedSequence | None,
    key: Tensor | int,
    p: Rate,
    offset: int,
    first_index: int = 0,
) -> Tensor:
    """Apply a mask (N, C) at every step of a padded batch (L, N, C), or of the rows of a packed one."""
    if packed is None:
        return ops.dropout(x, key, p, offset=offset, noise_shape=(1, None, None), first_index=first_index)
    shape = (int(packed.batch_sizes[0]), *x.shape[1:])
    keep = ops.dropout_mask(shape, key, p, offset=offset, first_index=first_index, device=x.device)
    # Rows in the arithmetic of the contract: what is kept is scaled in float32 at least, the rest selected away.
    work = torch.promote_types(x.dtype, torch.float32)
    scaled = (x.to(work) * as_scalar(keep_scale(where, p), x)).to(x.dtype)
    return torch.where(keep.index_select(0, sequence_of_rows(packed)), scaled, 0.0)


def sequence_of_rows(packed: PackedSequence) -> Tensor:
    """Return which sequence of the batch, as it was before sorting, each row of a packed sequence belongs to."""
    sizes = packed.batch_sizes
    starts = (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
    places = (torch.arange(int(sizes.sum())) - starts).to(packed.data.device)
    return places if packed.sorted_indices is None else packed.sorted_indices.index_select(0, places)


def keep_scale(where: str, p: Rate) -> Rate:
    """Return what kept elements are multiplied by, 1 / (1 - p) of the quantised rate; 1 where nothing is kept."""
    rate = effective_rate(where, p)
    if isinstance(rate, Tensor):
        return 1 / (1 - torch.where(rate == 1, 0.0, rate))
    return 1.0 if rate == 1 else 1 / (1 - rate)
