"""Swapout: dropout on both arms of a residual block."""

from __future__ import annotations

import torch
from torch import Tensor

from thinout import ops
from thinout._checks import bad_value
from thinout.functional._shared import Rate, check_probability, draw_keys, effective_rate, is_off, times
from thinout.ops import NoiseShape
from thinout.ops._inputs import check_floating_point


def swapout(
    input: Tensor,
    branch: Tensor,
    *,
    p_skip: Rate = 0.5,
    p_branch: Rate = 0.5,
    training: bool,
    noise_shape: NoiseShape | None = None,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Drop elements of the skip connection and of the branch of a residual block by masks of their own.

    .. math:: y = m_1 \odot x + m_2 \odot F(x), \quad y = (1 - p_1) \, x + (1 - p_2) \, F(x)

    in training and otherwise. A unit gives 0, :math:`x`, :math:`F(x)` or their sum. Special cases:
    :math:`p_1 = p_2 = 0` is a residual block, :math:`p_1 = 1` is classic dropout of a layer, :math:`p_1 = 0` with a
    mask a row is stochastic depth without rescaling.

    Args:
        input: :math:`x`, floating point, of any shape.
        branch: :math:`F(x)`, of the same shape and type.
        p_skip: drop probability :math:`p_1` of elements of the input, in [0, 1].
        p_branch: drop probability :math:`p_2` of elements of the branch, in [0, 1].
        training: whether to drop; otherwise both are multiplied by their keep probabilities, as the masks quantise
            them. Where batch normalisation follows, the authors advise to average samples instead.
        noise_shape: shape of both masks before they are broadcast: an entry 1 is shared, None is as the input.
        key: key that both masks are made from; None draws one.
        generator: where the key is drawn.
        offset: second number that the masks are a function of.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: a rate outside [0, 1], shapes that differ, a noise shape that does not fit.
        TypeError: input or branch are not floating point.

    Example:
        >>> x, branch = torch.full((8,), 1.0), torch.full((8,), 10.0)
        >>> swapout(x, branch, training=True, key=1)
        tensor([11.,  0., 11., 10.,  1., 10.,  0.,  0.])

    Source: Singh, Hoiem, Forsyth 2016, NIPS, arXiv 1605.06465.
    """
    where = "swapout"
    p_skip = check_probability(where, p_skip, "p_skip")
    p_branch = check_probability(where, p_branch, "p_branch")
    check_floating_point(where, "input", input)
    check_floating_point(where, "branch", branch)
    if branch.shape != input.shape:
        bad_value(where, "branch", f"of the shape {tuple(input.shape)} of `input`", f"shape {tuple(branch.shape)}")
    if noise_shape is not None:
        ops.check_noise_shape(where, input.shape, noise_shape)
    if not training:
        return times(input, 1 - effective_rate(where, p_skip)) + times(branch, 1 - effective_rate(where, p_branch))
    if is_off(p_skip, training) and is_off(p_branch, training):
        return input + branch
    keys = draw_keys(where, 2, key, generator, input.device)
    skip = ops.dropout(input, keys[0], p_skip, offset=offset, noise_shape=noise_shape, rescale=False)
    return skip + ops.dropout(branch, keys[1], p_branch, offset=offset, noise_shape=noise_shape, rescale=False)
