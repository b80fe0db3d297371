"""Hard-concrete gates: continuous switches that are exactly 0 or 1 most of the time, with a countable norm."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from thinout._checks import bad_value, check_finite, check_positive
from thinout.functional._shared import draw_uniform
from thinout.ops._inputs import check_floating_point


def check_stretch(where: str, beta: float, gamma: float, zeta: float) -> None:
    """Raise unless the gates can reach both 0 and 1."""
    check_positive(where, "beta", beta)
    if check_finite(where, gamma, "gamma") >= 0:
        bad_value(where, "gamma", "a negative number", gamma)
    if check_finite(where, zeta, "zeta") <= 1:
        bad_value(where, "zeta", "a number above 1", zeta)


def hard_concrete(
    log_alpha: Tensor,
    *,
    training: bool,
    shape: Sequence[int] | None = None,
    beta: float = 2 / 3,
    gamma: float = -0.1,
    zeta: float = 1.1,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Sample hard-concrete gates in training; in evaluation return their estimate without noise.

    .. math:: s = \sigma\left(\frac{\log u - \log(1 - u) + \log\alpha}{\beta}\right), \quad u \sim \text{U}(0, 1)

    .. math:: z = \min(1, \max(0, s (\zeta - \gamma) + \gamma))

    In evaluation :math:`s = \sigma(\log\alpha)`. A gate that is cut off at 0 or 1 passes no gradient in that call.

    Args:
        log_alpha: location of each gate; large is open.
        training: whether to sample.
        shape: shape of the sample, to which log_alpha is broadcast; that of log_alpha by default.
        beta: temperature, positive.
        gamma: lower end of the stretched interval, negative.
        zeta: upper end of the stretched interval, above 1.
        generator: where the noise is drawn; None is torch's default generator.

    Returns:
        Gates in [0, 1], in the type of log_alpha: of the given shape in training, else of log_alpha's.

    Raises:
        ValueError: beta, gamma or zeta outside of their ranges.
        TypeError: log_alpha is not floating point.

    Example:
        >>> hard_concrete(torch.tensor([-4.0, 0.0, 4.0]), training=False)
        tensor([0.0000, 0.5000, 1.0000])

    Source: Louizos, Welling, Kingma 2018, "Learning sparse neural networks through L0 regularization", ICLR, arXiv
    1712.01312.
    """
    check_floating_point("hard_concrete", "log_alpha", log_alpha)
    check_stretch("hard_concrete", beta, gamma, zeta)
    location = log_alpha.to(torch.promote_types(log_alpha.dtype, torch.float32))
    if training:
        noise = torch.logit(draw_uniform(log_alpha, shape, generator))  # -inf at 0, which is a closed gate
        location = (noise + location) / beta
    gates = torch.sigmoid(location) * (zeta - gamma) + gamma
    return gates.clamp(0.0, 1.0).to(log_alpha.dtype)


def hard_concrete_l0(log_alpha: Tensor, *, beta: float = 2 / 3, gamma: float = -0.1, zeta: float = 1.1) -> Tensor:
    r"""Return the probability that each gate is not 0; its sum is the expected L0 norm of the gates.

    .. math:: P(z > 0) = \sigma\left(\log\alpha - \beta \log\frac{-\gamma}{\zeta}\right)

    Args:
        log_alpha: location of each gate.
        beta: temperature, positive.
        gamma: lower end of the stretched interval, negative.
        zeta: upper end of the stretched interval, above 1.

    Returns:
        Probabilities of the shape of log_alpha.

    Raises:
        ValueError: beta, gamma or zeta outside of their ranges.
        TypeError: log_alpha is not floating point.

    Example:
        >>> hard_concrete_l0(torch.tensor([-4.0, 0.0, 4.0]))
        tensor([0.0831, 0.8318, 0.9963])

    Source: Louizos et al. 2018, arXiv 1712.01312, equation 12.
    """
    check_floating_point("hard_concrete_l0", "log_alpha", log_alpha)
    check_stretch("hard_concrete_l0", beta, gamma, zeta)
    return torch.sigmoid(log_alpha - beta * math.log(-gamma / zeta))
