"""Alpha dropout: dropped elements become the value at which SELU saturates, and mean and variance stay."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from thinout import ops
from thinout._checks import bad_value, check_finite, check_positive
from thinout.functional._shared import Rate, as_scalar, check_probability, effective_rate, is_off
from thinout.ops import NoiseShape
from thinout.ops._inputs import check_floating_point

SATURATION = -1.7580993408473766
"""The limit of SELU at minus infinity, ``-lambda * alpha``."""


def _affine(p: Rate, mean: float, var: float) -> tuple[Rate, Rate, Rate]:
    """Return what kept elements are scaled by, what is added before the mask, and the value of dropped elements."""
    keep, gap = 1 - p, SATURATION - mean
    spread = keep * (p * gap * gap + var)
    scale: Rate
    if isinstance(spread, Tensor):
        scale = torch.where(spread > 0, torch.sqrt(var / spread), 0.0)
    else:
        scale = math.sqrt(var / spread) if spread > 0 else 0.0  # nothing is kept: all elements take the mean
    drops = p > 0  # where nothing is dropped nothing is added, so that the input comes through bit for bit
    return scale, drops * (scale * -SATURATION), drops * (mean + scale * keep * gap)


def _drop_elements(
    x: Tensor, key: Tensor | int, p: Rate, offset: int, scale: Rate, shift: Rate, dropped: Rate
) -> Tensor:
    """Return ``scale * x + shift + dropped``, the first two terms where it is kept alone."""
    # A dropped element is 0 before the last sum, whatever it was, and so the mask is needed once and stored nowhere.
    shifted = (x * as_scalar(scale, x)).add_(as_scalar(shift, x))
    return ops.dropout(shifted, key, p, offset=offset, rescale=False, inplace=True).add_(as_scalar(dropped, x))


def _drop_channels(
    x: Tensor, key: Tensor | int, p: Rate, offset: int, scale: Rate, shift: Rate, dropped: Rate, noise_shape: NoiseShape
) -> Tensor:
    """Return the same for a mask that is so small that it can be made a factor and a term."""
    small = tuple(size if entry is None else 1 for size, entry in zip(x.shape, noise_shape, strict=True))
    keep = ops.dropout_mask(small, key, p, offset=offset, device=x.device).to(x.dtype)
    y = x * (keep * as_scalar(scale, x))
    with torch.no_grad():  # the gradient of the product is right, but a product with 0 keeps a NaN
        ops.dropout(y.detach(), key, p, offset=offset, noise_shape=noise_shape, rescale=False, inplace=True)
    return y.add_((keep * as_scalar(shift, x)).add_(as_scalar(dropped, x)))


def _alpha_dropout(
    where: str,
    input: Tensor,
    p: Rate,
    training: bool,
    inplace: bool,
    mean: float,
    var: float,
    noise_shape: NoiseShape | None,
    key: Tensor | int | None,
    generator: torch.Generator | None,
    offset: int,
) -> Tensor:
    p = check_probability(where, p)
    check_floating_point(where, "input", input)
    mean, var = check_finite(where, mean, "mean"), check_positive(where, "var", var)
    if is_off(p, training):
        return input
    if key is None:
        key = ops.draw_key(generator)
    affine = _affine(effective_rate(where, p), mean, var)
    work = input.to(torch.promote_types(input.dtype, torch.float32))
    if noise_shape is None:
        y = _drop_elements(work, key, p, offset, *affine)
    else:
        y = _drop_channels(work, key, p, offset, *affine, noise_shape)
    y = y.to(input.dtype)
    return input.copy_(y) if inplace else y


def alpha_dropout(
    input: Tensor,
    p: Rate = 0.5,
    *,
    training: bool,
    inplace: bool = False,
    mean: float = 0.0,
    var: float = 1.0,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Set elements to the negative saturation of SELU at random, and keep mean and variance by an affine map.

    .. math:: y = A \, (m \odot x + (1 - m) \, a') + B, \quad m_i \sim \text{Bernoulli}(1 - p)

    in training, :math:`y = x` otherwise, where :math:`a' = -\lambda \alpha = -1.7581`. For inputs of mean :math:`\mu`
    and variance :math:`\nu`

    .. math:: A = \sqrt{\nu / ((1 - p) \, (p \, (a' - \mu)^2 + \nu))}, \quad B = \mu - A \, ((1 - p) \, \mu + p \, a')

    so that the output has the same :math:`\mu` and :math:`\nu`, over inputs and masks together: the moments of one
    sample scatter as those of any sample do. A zero is not mapped to zero. No mask is stored.

    Args:
        input: floating-point tensor of any shape.
        p: drop probability in [0, 1]. 0 returns the input itself and draws nothing. At 1 nothing is left that could
            have a variance: every element is the mean, with zero gradient.
        training: whether to drop.
        inplace: write the result into the input.
        mean: mean :math:`\mu` of the input; 0 behind SELU.
        var: variance :math:`\nu` of the input; 1 behind SELU.
        key: key of the mask; None draws one.
        generator: where the key is drawn.
        offset: second number that the mask is a function of.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: p outside [0, 1], a variance that is not positive.
        TypeError: the input is not floating point.

    Example:
        >>> alpha_dropout(torch.zeros(4), 0.5, training=True, key=1)
        tensor([ 0.7792, -0.7792,  0.7792, -0.7792])

    Source: Klambauer, Unterthiner, Mayr, Hochreiter 2017, NIPS, arXiv 1706.02515.
    """
    return _alpha_dropout("alpha_dropout", input, p, training, inplace, mean, var, None, key, generator, offset)


def feature_alpha_dropout(
    input: Tensor,
    p: Rate = 0.5,
    *,
    training: bool,
    inplace: bool = False,
    batched: bool = True,
    mean: float = 0.0,
    var: float = 1.0,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Set whole channels to the negative saturation of SELU; see `alpha_dropout`. The mask has shape (N, C, 1, ...).

    `torch.nn.functional.feature_alpha_dropout` takes the first two dimensions for (N, C) whatever the input is, and so
    drops rows (C, H) of an unbatched map. Here an unbatched input is one if you say so.

    Args:
        input: (N, C, ...), or (C, ...) with ``batched=False``.
        p: drop probability of a channel, in [0, 1].
        training: whether to drop.
        inplace: write the result into the input.
        batched: whether the first dimension is the batch.
        mean: mean of the input.
        var: variance of the input.
        key: key of the mask; None draws one.
        generator: where the key is drawn.
        offset: second number that the mask is a function of.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: p outside [0, 1], a variance that is not positive, too few dimensions.
        TypeError: the input is not floating point.

    Example:
        >>> feature_alpha_dropout(torch.zeros(1, 3, 2), 0.5, training=True, key=1)
        tensor([[[ 0.7792,  0.7792],
                 [-0.7792, -0.7792],
                 [ 0.7792,  0.7792]]])

    Source: Klambauer et al. 2017, arXiv 1706.02515; whole channels as in Tompson et al. 2015, arXiv 1411.4280.
    """
    where, named = "feature_alpha_dropout", 2 if batched else 1
    if input.dim() < named:
        letters = "(N, C, ...)" if batched else "(C, ...)"
        allowed = f"a tensor of at least {named} dimensions {letters}"
        remedy = "For one unbatched input pass batched=False." if batched else ""
        bad_value(where, "input", allowed, f"shape {tuple(input.shape)}", remedy)
    noise_shape = [None] * named + [1] * (input.dim() - named)
    return _alpha_dropout(where, input, p, training, inplace, mean, var, noise_shape, key, generator, offset)
