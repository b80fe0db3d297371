"""Dropouts that look at how active units are: Jumpout, Max-drop and MaxDropout."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from thinout import ops
from thinout._checks import check_choice, check_not_negative
from thinout.functional._select import drop_where
from thinout.functional._shared import (
    as_scalar,
    check_maps,
    check_probability,
    draw_normal,
    draw_uniform,
    effective_rate,
    is_off,
    times,
)
from thinout.ops._apply import rate_tensor
from thinout.ops._inputs import check_floating_point

MODES = ("channel", "feature")
THRESHOLDS = ("fixed", "uniform")


def jumpout(
    input: Tensor,
    p_min: float | Tensor = 0.01,
    p_max: float | Tensor = 0.6,
    sigma: float | Tensor = 0.1,
    *,
    training: bool,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Drop at a rate that is drawn anew in each call and corrected for the share of active units.

    .. math:: p_0 = \min(p_{\min} + |\epsilon|, p_{\max}), \quad \epsilon \sim N(0, \sigma^2)
    .. math:: p = \min(p_0 / a, p_{\max}), \qquad y = m \odot x\, (1 - p)^{-3/4}, \quad m_i \sim \text{Bernoulli}(1 - p)

    in training, where a is the share of elements above 0; y = x otherwise. The scale lies between that which keeps the
    mean and that which keeps the second moment: :math:`E[y] = x (1 - p)^{1/4}` and
    :math:`E[y^2] = x^2 (1 - p)^{-1/2}`. It belongs after a ReLU.

    Args:
        input: floating-point tensor of any shape.
        p_min: smallest rate, in [0, 1].
        p_max: largest rate, in [0, 1]. 0 returns the input itself and draws nothing; a rate of 1 gives zeros.
        sigma: standard deviation of the normal distribution whose right half spreads the rates, at least 0.
        training: whether to drop.
        generator: where rate and mask are drawn; None is torch's default generator.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: a rate outside [0, 1] or a negative `sigma`.
        TypeError: the input is not floating point.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> jumpout(torch.ones(6), 0.5, 0.5, training=True)  # the rate is 0.5, the scale 2**0.75
        tensor([1.6818, 1.6818, 0.0000, 0.0000, 1.6818, 1.6818])

    Source: Wang, Zhou, Bilmes 2019, ICML, PMLR 97:6668-6676. The abstract was read: a rate from a decreasing
    distribution such as half a normal one, corrected by the share of active units, and a rescaling that trades mean for
    variance. Assumed: the exponent 3/4, one rate for the whole tensor, the clipping, and all three defaults.
    """
    where = "jumpout"
    p_min, p_max = check_probability(where, p_min, "p_min"), check_probability(where, p_max, "p_max")
    if not isinstance(sigma, Tensor):
        check_not_negative(where, sigma, "sigma")
    check_floating_point(where, "input", input)
    if is_off(p_max, training) or input.numel() == 0:
        return input
    spread = draw_normal(input, (1,), generator).abs()
    if input.is_meta:  # no data to count; shapes are all that is asked for
        p = rate_tensor(p_max)
    else:
        share = (torch.count_nonzero(input.detach() > 0).clamp(min=1).view(1) / input.numel()).cpu().double()
        p = torch.minimum(rate_tensor(p_min) + spread.cpu().double() * rate_tensor(sigma), rate_tensor(p_max)) / share
        p = torch.minimum(p, rate_tensor(p_max))
    kept = 1 - rate_tensor(effective_rate(where, p))
    scale = torch.where(kept > 0, kept**-0.75, 1.0)
    return times(ops.dropout(input, ops.draw_key(generator), p, rescale=False), scale)


def max_drop2d(
    input: Tensor,
    p: float | Tensor = 0.1,
    mode: str = "feature",
    *,
    training: bool,
    batched: bool = True,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Zero the largest activation of a map, or of a position, with probability p.

    .. math:: y_{nchw} = 0 \text{ if } x_{nchw} = \max \text{ and } m = 0, \quad y_{nchw} = x_{nchw} \text{ otherwise}

    in training, with the maximum over the map (n, c) and one draw a map (mode "feature"), or over the channels at
    (n, h, w) and one draw a position (mode "channel"); y = x otherwise. Of equal maxima all are zeroed. Nothing is
    rescaled.

    Args:
        input: (N, C, H, W), or (C, H, W) with ``batched=False``.
        p: probability that a maximum is zeroed, in [0, 1].
        mode: "feature" or "channel".
        training: whether to drop.
        batched: whether the first dimension is the batch.
        key: key of the mask; None draws one.
        generator: where the key is drawn.
        offset: second number that the mask is a function of.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: p outside [0, 1], another mode, or an input of another rank.
        TypeError: the input is not floating point.

    Example:
        >>> x = torch.tensor([[[[1.0, 3.0], [2.0, 0.0]]]])
        >>> max_drop2d(x, 1.0, training=True)
        tensor([[[[1., 0.],
                  [2., 0.]]]])

    Source: Park, Kwak 2016, ACCV, LNCS 10112:189-204. The abstract was read: activations that are highest across the
    map or across channels are dropped. Assumed: one draw for each maximum and no rescaling.
    """
    where = "max_drop2d"
    p = check_probability(where, p)
    check_choice(where, "mode", mode, MODES)
    check_floating_point(where, "input", input)
    check_maps(where, "HW", input, batched)
    if is_off(p, training) or input.numel() == 0:
        return input
    x = input.detach()
    dims = (-2, -1) if mode == "feature" else (-3,)
    largest = x.amax(dims, keepdim=True)
    key = ops.draw_key(generator) if key is None else key
    kept = ops.dropout_mask(tuple(largest.shape), key, p, offset=offset, device=input.device)
    return drop_where(input, x == largest.masked_fill(kept, math.nan))  # which nothing is equal to


def max_dropout(
    input: Tensor,
    p: float | Tensor = 0.3,
    threshold: str = "uniform",
    *,
    training: bool,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Zero the most active units: those in the upper part of the range of a tensor's values.

    .. math:: y_i = 0 \text{ if } \frac{x_i - \min x}{\max x - \min x} > 1 - r, \quad y_i = x_i \text{ otherwise}

    in training, with :math:`r \sim U(0, p)` drawn once a call, or r = p; y = x otherwise. Nothing is rescaled. p is the
    part of the range of values that is cut off, and no drop probability: how many units lie in it is up to the data.

    Args:
        input: floating-point tensor of any shape; minimum and maximum are taken over all of it.
        p: largest part of the range, in [0, 1].
        threshold: "uniform" draws r, "fixed" takes r = p, which is not random at all.
        training: whether to drop.
        generator: where r is drawn; None is torch's default generator of the device.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: p outside [0, 1] or another threshold.
        TypeError: the input is not floating point.

    Example:
        >>> x = torch.tensor([0.0, 1.0, 6.0, 8.0, 10.0])
        >>> max_dropout(x, 0.3, "fixed", training=True)
        tensor([0., 1., 6., 0., 0.])

    Source: Goncalves dos Santos, Colombo, Roder, Papa 2020, ICPR, arXiv 2007.13723. Copies of the authors' code were
    read: they take the range of the whole tensor and a fixed threshold. Assumed: that the random threshold of the
    paper is uniform.
    """
    where = "max_dropout"
    p = check_probability(where, p)
    check_choice(where, "threshold", threshold, THRESHOLDS)
    check_floating_point(where, "input", input)
    if is_off(p, training) or input.numel() == 0:
        return input
    x = input.detach()
    low, high = x.amin(), x.amax()
    part: float | Tensor = as_scalar(p, x)
    if threshold == "uniform":
        part = draw_uniform(x, (), generator) * part
    # A tensor of equal values has a range of 0, and nothing in it is above the rest.
    return drop_where(input, x - low > (1 - part) * (high - low))
