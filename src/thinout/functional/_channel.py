"""Dropout of whole channels: the mask of a batch of maps has one entry a map."""

from __future__ import annotations

import torch
from torch import Tensor

from thinout.functional._shared import check_maps, drop
from thinout.ops._inputs import check_floating_point


def _channel_dropout(
    where: str,
    letters: str,
    input: Tensor,
    p: float | Tensor,
    training: bool,
    inplace: bool,
    batched: bool,
    key: Tensor | int | None,
    generator: torch.Generator | None,
    offset: int,
) -> Tensor:
    check_floating_point(where, "input", input)
    check_maps(where, letters, input, batched)
    noise_shape = [None] * (input.dim() - len(letters)) + [1] * len(letters)
    return drop(where, input, p, training, inplace, noise_shape, key, generator, offset)


def dropout1d(
    input: Tensor,
    p: float | Tensor = 0.5,
    *,
    training: bool,
    inplace: bool = False,
    batched: bool = True,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Drop whole channels of a batch of sequences: the mask has shape (N, C, 1).

    Args:
        input: (N, C, L), or (C, L) with ``batched=False``; the rank is never guessed at.
        p: drop probability of a channel, in [0, 1].
        training: whether to drop.
        inplace: write the result into the input.
        batched: whether the first dimension is the batch.
        key: key of the mask; None draws one.
        generator: where the key is drawn.
        offset: second number that the mask is a function of.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: p outside [0, 1] or an input of another rank.
        TypeError: the input is not floating point.

    Example:
        >>> dropout1d(torch.ones(1, 3, 2), 0.5, training=True, key=1)
        tensor([[[2., 2.],
                 [0., 0.],
                 [2., 2.]]])

    Source: Tompson, Goroshin, Jain, LeCun, Bregler 2015, arXiv 1411.4280.
    """
    return _channel_dropout("dropout1d", "L", input, p, training, inplace, batched, key, generator, offset)


def dropout2d(
    input: Tensor,
    p: float | Tensor = 0.5,
    *,
    training: bool,
    inplace: bool = False,
    batched: bool = True,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Drop whole feature maps of a batch of images: the mask has shape (N, C, 1, 1).

    `torch.nn.functional.dropout2d` takes a 3-D input for (N, C, L) and warns; here it is an error, or one unbatched
    image if you say so.

    Args:
        input: (N, C, H, W), or (C, H, W) with ``batched=False``.
        p: drop probability of a channel, in [0, 1].
        training: whether to drop.
        inplace: write the result into the input.
        batched: whether the first dimension is the batch.
        key: key of the mask; None draws one.
        generator: where the key is drawn.
        offset: second number that the mask is a function of.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: p outside [0, 1] or an input of another rank.
        TypeError: the input is not floating point.

    Example:
        >>> dropout2d(torch.ones(1, 3, 1, 2), 0.5, training=True, key=1)[0, :, 0]
        tensor([[2., 2.],
                [0., 0.],
                [2., 2.]])

    Source: Tompson et al. 2015, arXiv 1411.4280.
    """
    return _channel_dropout("dropout2d", "HW", input, p, training, inplace, batched, key, generator, offset)


def dropout3d(
    input: Tensor,
    p: float | Tensor = 0.5,
    *,
    training: bool,
    inplace: bool = False,
    batched: bool = True,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Drop whole feature maps of a batch of volumes: the mask has shape (N, C, 1, 1, 1).

    Args:
        input: (N, C, D, H, W), or (C, D, H, W) with ``batched=False``.
        p: drop probability of a channel, in [0, 1].
        training: whether to drop.
        inplace: write the result into the input.
        batched: whether the first dimension is the batch.
        key: key of the mask; None draws one.
        generator: where the key is drawn.
        offset: second number that the mask is a function of.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: p outside [0, 1] or an input of another rank.
        TypeError: the input is not floating point.

    Example:
        >>> dropout3d(torch.ones(1, 3, 1, 1, 1), 0.5, training=True, key=1).flatten()
        tensor([2., 0., 2.])

    Source: Tompson et al. 2015, arXiv 1411.4280.
    """
    return _channel_dropout("dropout3d", "DHW", input, p, training, inplace, batched, key, generator, offset)
