"""Dropouts of channels and cells of maps: weighted channels, checkerboards, and by attention."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from thinout import ops
from thinout._checks import bad_value, check_count, check_positive
from thinout.functional._select import drop_where
from thinout.functional._shared import Rate, as_scalar, check_maps, check_probability, draw_uniform, is_off
from thinout.ops import _apply
from thinout.ops._inputs import check_floating_point


def check_ratio(where: str, name: str, value: object) -> float:
    """Return a number in (0, 1], or raise."""
    ratio = check_positive(where, name, value)
    if ratio > 1:
        bad_value(where, name, "a number in (0, 1]", ratio)
    return ratio


def weighted_channel_dropout(
    input: Tensor,
    p: float | Tensor = 0.1,
    wrs_ratio: float = 0.9,
    *,
    training: bool,
    batched: bool = True,
    eps: float = 1e-6,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Keep channels with a chance that grows with their activity, and drop some of those at random.

    .. math:: s_c = \frac{1}{HW} \sum_{hw} x_{chw}, \quad k_c = u_c^{1 / s_c}, \quad u_c \sim U(0, 1)
    .. math:: y_c = m_c\, x_c\, \frac{\sum_j s_j}{\sum_{j \in M} s_j} \text{ for } c \in M, \quad 0 \text{ for others}

    in training, where M are the :math:`\lceil \text{ratio} \cdot C \rceil` channels with the largest keys k, a sample
    without replacement weighted by s, and :math:`m_c \sim \text{Bernoulli}(1 - p)`; y = x otherwise. No gradient passes
    through the selection; it does through the scale.

    Args:
        input: (N, C, H, W), or (C, H, W) with ``batched=False``; scores must be positive, as after a ReLU.
        p: drop probability of a selected channel, in [0, 1].
        wrs_ratio: share of the channels that is selected, in (0, 1].
        training: whether to drop.
        batched: whether the first dimension is the batch.
        eps: least score of a channel.
        generator: where everything is drawn; None is torch's default generator.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: p outside [0, 1], a ratio outside (0, 1], or an input of another rank.
        TypeError: the input is not floating point.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> x = torch.ones(1, 4, 1, 1)
        >>> weighted_channel_dropout(x, 0.0, 0.5, training=True).flatten()
        tensor([2., 2., 0., 0.])

    Source: Hou, Wang 2019, AAAI 33:8425-8432. The abstract was read: channels are rated by their means, selected by a
    weighted random selection, and a second random gate follows. Assumed: that the scale counts the selected channels
    alone and the gate has none, and the default of p.
    """
    where = "weighted_channel_dropout"
    p = check_probability(where, p)
    check_ratio(where, "wrs_ratio", wrs_ratio)
    check_floating_point(where, "input", input)
    check_maps(where, "HW", input, batched)
    if not training or input.numel() == 0 or (is_off(p, training) and wrs_ratio == 1):
        return input
    x = input if batched else input.unsqueeze(0)
    scores = x.to(torch.promote_types(x.dtype, torch.float32)).mean((2, 3)).clamp(min=eps)
    # The logarithm of the key has its order, and does not underflow for small scores.
    keys = draw_uniform(x, scores.shape, generator).log() / scores.detach()
    chosen = keys.topk(math.ceil(wrs_ratio * x.shape[1]), dim=1).indices
    selected = torch.zeros_like(keys).scatter(1, chosen, torch.ones_like(keys))
    scale = scores.sum(1, keepdim=True) / (scores * selected).sum(1, keepdim=True)
    dropped = selected == 0
    if not is_off(p, training):
        dropped = dropped | ~ops.dropout_mask(tuple(keys.shape), ops.draw_key(generator), p, device=x.device)
    y = drop_where(x, dropped[..., None, None], scale[..., None, None])
    return y if batched else y.squeeze(0)


def checkerboard_dropout2d(
    input: Tensor,
    cell: int = 1,
    *,
    training: bool,
    batched: bool = True,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Drop the black or the white cells of a checkerboard, as a fair coin decides for each example.

    .. math:: y_{ij} = 2 x_{ij} \text{ if } (\lfloor i / g \rfloor + \lfloor j / g \rfloor) \ \text{mod}\ 2 = b
    .. math:: y_{ij} = 0 \text{ otherwise}, \quad b \sim \text{Bernoulli}(1/2)

    in training; y = x in eval mode. Each cell is dropped half of the time, so the mean is kept.

    Args:
        input: (N, C, H, W), or (C, H, W) with ``batched=False``.
        cell: side g of a cell, in elements.
        training: whether to drop.
        batched: whether the first dimension is the batch.
        key: key of the coins; None draws one.
        generator: where the key is drawn.
        offset: second number that the coins are a function of.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: a cell below 1 or an input of another rank.
        TypeError: the input is not floating point.

    Example:
        >>> checkerboard_dropout2d(torch.ones(1, 1, 2, 5), training=True, key=0)[0, 0]
        tensor([[0., 2., 0., 2., 0.],
                [2., 0., 2., 0., 2.]])

    Source: Nguyen, Choi, Yang 2022, IEEE Access 10:76044-76054. The abstract was read: a checkerboard takes the place
    of DropBlock's random centres. Assumed: everything else, that is cells over the whole map, one coin for all channels
    of an example, and the factor 2.
    """
    where = "checkerboard_dropout2d"
    check_count(where, "cell", cell)
    check_floating_point(where, "input", input)
    check_maps(where, "HW", input, batched)
    if not training or input.numel() == 0:
        return input
    x = input if batched else input.unsqueeze(0)
    key = ops.draw_key(generator) if key is None else key
    white = ops.dropout_mask((x.shape[0], 1, 1, 1), key, 0.5, offset=offset, device=x.device)
    rows, columns = (torch.arange(size, device=x.device) // cell for size in x.shape[2:])
    odd = (rows.unsqueeze(1) + columns) % 2 == 1
    y = drop_where(x, odd == white, torch.full((1,) * 4, 2.0, device=x.device))
    return y if batched else y.squeeze(0)


def attention_drop_layer(
    input: Tensor,
    p: float | Tensor = 0.75,
    gamma: float | Tensor = 0.9,
    *,
    training: bool,
    per_example: bool = False,
    batched: bool = True,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Hide the most attended region of maps, or weight maps by their attention, as one coin decides.

    .. math:: a_{ij} = \frac{1}{C} \sum_c x_{cij}
    .. math:: y = x \odot [a < \gamma \max a] \text{ with probability } p, \quad y = x \odot \sigma(a) \text{ otherwise}

    in training; y = x otherwise. The maximum is that of each example.

    Args:
        input: (N, C, H, W), or (C, H, W) with ``batched=False``.
        p: probability of hiding, in [0, 1].
        gamma: share of the largest attention at and above which cells are hidden, in [0, 1].
        training: whether to act.
        per_example: whether each example has a coin of its own; else there is one a call.
        batched: whether the first dimension is the batch.
        key: key of the coin; None draws one.
        generator: where the key is drawn.
        offset: second number that the coin is a function of.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: p or gamma outside [0, 1], or an input of another rank.
        TypeError: the input is not floating point.

    Example:
        >>> x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
        >>> attention_drop_layer(x, 1.0, 0.7, training=True)
        tensor([[[[1., 2.],
                  [0., 0.]]]])

    Source: Choe, Shim 2019, CVPR, arXiv 1908.10028. Code that names the authors' repository was read, and this follows
    it: one coin for the batch, no rescaling, the gradient passing through the attention of the second branch. The
    defaults are those in use there; the paper itself was not read.
    """
    where = "attention_drop_layer"
    p, gamma = check_probability(where, p), check_probability(where, gamma, "gamma")
    check_floating_point(where, "input", input)
    check_maps(where, "HW", input, batched)
    if not training or input.numel() == 0:
        return input
    key = ops.draw_key(generator) if key is None and not is_off(p, training) else key
    own_coins = batched and per_example
    traced = isinstance(p, Tensor) or torch._C._are_functorch_transforms_active() or _apply.needs_operator(input)
    if own_coins or traced:
        coins = (input.shape[0], 1, 1, 1) if own_coins else (1,) * input.dim()
        hiding = ~_coins(coins, key, p, offset, input.device)
        hidden = hiding & _most_attended(input, gamma)
        return drop_where(input, hidden, torch.where(hiding, 1.0, _importance(input)))
    # One coin is read where its key is, which is the CPU: only one of the two branches is then computed.
    place = key.device if isinstance(key, Tensor) else torch.device("cpu")
    if _coins((1,), key, p, offset, place):
        return (input * _importance(input)).to(input.dtype)
    return drop_where(input, _most_attended(input, gamma))


def _coins(shape: tuple[int, ...], key: Tensor | int | None, p: Rate, offset: int, device: torch.device) -> Tensor:
    """Return which coins say to weight; all do where there is no key."""
    if key is None:
        return torch.ones(shape, dtype=torch.bool, device=device)
    return ops.dropout_mask(shape, key, p, offset=offset, device=device)


def _importance(input: Tensor) -> Tensor:
    return torch.sigmoid(input.to(torch.promote_types(input.dtype, torch.float32)).mean(-3, keepdim=True))


def _most_attended(input: Tensor, gamma: Rate) -> Tensor:
    level = input.detach().to(torch.promote_types(input.dtype, torch.float32)).mean(-3, keepdim=True)
    return level >= as_scalar(gamma, level) * level.amax((-2, -1), keepdim=True)
