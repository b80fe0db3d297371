"""Dropout of frequencies instead of positions."""

from __future__ import annotations

import contextlib
import math

import torch
from torch import Tensor

from thinout import ops
from thinout._checks import check_not_negative
from thinout.functional._shared import as_scalar, check_maps, check_probability, is_off
from thinout.ops._inputs import check_floating_point


def cosine_transform(num: int, like: Tensor) -> Tensor:
    r"""Return the orthonormal matrix of the cosine transform (DCT-II), frequencies in rows."""
    work = torch.promote_types(like.dtype, torch.float32)
    positions = torch.arange(num, device=like.device)
    # The angle is reduced while it is a whole number of steps: a cosine in float32 loses large angles.
    steps = (2 * positions + 1) * positions.unsqueeze(1) % (4 * num)
    matrix = torch.cos(steps.to(work) * (math.pi / (2 * num))) * math.sqrt(2 / num)
    return torch.where(positions.unsqueeze(1) == 0, math.sqrt(1 / num), matrix)


def _without_autocast(device: str) -> contextlib.AbstractContextManager[object]:
    available = torch.amp.is_autocast_available(device)
    return torch.autocast(device, enabled=False) if available else contextlib.nullcontext()


def spectral_dropout(
    input: Tensor,
    p: float | Tensor = 0.5,
    eta: float | Tensor = 0.0,
    *,
    training: bool,
    batched: bool = True,
    rescale: bool = True,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Drop coefficients of the cosine transform of maps: the weak ones always, the others at random.

    .. math:: z = C_H\, x\, C_W^T, \qquad y = C_H^T \left(\frac{m \odot z}{1 - p}\right) C_W
    .. math:: m_k = 0 \text{ where } |z_k| \le \eta, \quad m_k \sim \text{Bernoulli}(1 - p) \text{ elsewhere}

    in training, and y = x otherwise. C is the orthonormal DCT-II matrix, so energy is kept: for p = 0 and
    :math:`\eta = 0` nothing changes, and with :math:`\eta = 0` the mean of y is x.

    Args:
        input: (N, C, H, W), or (C, H, W) with ``batched=False``.
        p: drop probability of a coefficient, in [0, 1].
        eta: threshold at or below which coefficients are always removed, in units of the input.
        training: whether to drop.
        batched: whether the first dimension is the batch.
        rescale: whether kept coefficients are multiplied by 1 / (1 - p).
        key: key of the mask; None draws one.
        generator: where the key is drawn.
        offset: second number that the mask is a function of.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: p outside [0, 1], a negative threshold, or an input of another rank.
        TypeError: the input is not floating point.

    Example:
        >>> x = torch.ones(1, 1, 2, 4)
        >>> x[..., 0] = 3
        >>> spectral_dropout(x, 0.0, 2.0, training=True)  # only the mean is strong enough
        tensor([[[[1.5000, 1.5000, 1.5000, 1.5000],
                  [1.5000, 1.5000, 1.5000, 1.5000]]]])

    Source: Khan, Hayat, Porikli 2019, Neural Networks 110, arXiv 1711.08591. The paper's abstract was read: weak
    coefficients are removed in a fixed basis. That kept ones are rescaled and that eval is the identity are choices
    made here.
    """
    where = "spectral_dropout"
    p = check_probability(where, p)
    if not isinstance(eta, Tensor):
        check_not_negative(where, eta, "eta")
    check_floating_point(where, "input", input)
    check_maps(where, "HW", input, batched)
    off = is_off(p, training)
    if not training or input.numel() == 0 or (off and not isinstance(eta, Tensor) and eta == 0):
        return input
    rows, columns = (cosine_transform(num, input) for num in input.shape[-2:])
    # A product of matrices in bfloat16, which autocast would make of it, is no orthonormal transform.
    with _without_autocast(input.device.type):
        coefficients = rows @ input.to(rows.dtype) @ columns.mT
        strong = coefficients.masked_fill(coefficients.abs() <= as_scalar(eta, coefficients), 0)
        if not off:
            key = ops.draw_key(generator) if key is None else key
            strong = ops.dropout(strong, key, p, offset=offset, rescale=rescale)
        return (rows.mT @ strong @ columns).to(input.dtype)
