"""Continuous noise on single elements: Gaussian factors, Gaussian terms, uniform factors."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from thinout._checks import bad_value, check_not_negative, check_p_below_one
from thinout.functional._shared import Rate, as_scalar, check_setting, draw_normal, draw_uniform, is_off
from thinout.ops._inputs import check_floating_point


def _root(variance: Rate) -> Rate:
    return torch.sqrt(variance) if isinstance(variance, Tensor) else math.sqrt(variance)


def gaussian_dropout(
    input: Tensor,
    p: Rate | None = None,
    *,
    alpha: Rate | None = None,
    training: bool,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Multiply elements by Gaussian noise that has the mean and the variance of inverted dropout at rate `p`.

    .. math:: y = x \odot \epsilon, \quad \epsilon_i \sim \mathcal{N}(1, \alpha), \quad \alpha = \frac{p}{1 - p}

    in training, :math:`y = x` otherwise. With :math:`x` fixed, :math:`E[y] = x` and :math:`\text{Var}[y] = x^2 \alpha`.
    Nothing is dropped, and a factor is negative with probability :math:`\Phi(-1 / \sqrt{\alpha})`, 16 % at p = 0.5.

    Args:
        input: floating-point tensor of any shape.
        p: rate in [0, 1), 0.5 by default. 0 returns the input itself and draws nothing; 1 has no finite variance.
        alpha: variance of the noise, not its standard deviation, in place of `p`.
        training: whether to apply noise.
        generator: where the noise is drawn; None is torch's default generator.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: p outside [0, 1), a negative alpha, or both given.
        TypeError: the input is not floating point.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> y = gaussian_dropout(torch.ones(100_000), 0.2, training=True)
        >>> f"{y.mean():.2f} {y.var():.2f}"
        '1.00 0.25'

    Source: Srivastava et al. 2014, JMLR 15:1929-1958, section 10; Wang, Manning 2013, ICML, "Fast dropout training".
    """
    where = "gaussian_dropout"
    if p is not None and alpha is not None:
        bad_value(where, "p", "None where alpha is given", p)
    if alpha is not None:
        variance = check_setting(where, "alpha", alpha, check_not_negative)
    else:
        p = check_setting(where, "p", 0.5 if p is None else p, check_p_below_one)
        variance = p / (1 - p)
    check_floating_point(where, "input", input)
    if is_off(variance, training):
        return input
    noise = draw_normal(input, generator=generator)
    noise.mul_(as_scalar(_root(variance), noise)).add_(1)
    return (input * noise).to(input.dtype)


def gaussian_noise(input: Tensor, std: Rate, *, training: bool, generator: torch.Generator | None = None) -> Tensor:
    r"""Add Gaussian noise to each element.

    .. math:: y = x + \sigma \epsilon, \quad \epsilon_i \sim \mathcal{N}(0, 1) \qquad\text{(training)}

    and :math:`y = x` otherwise. Unlike dropout it does not scale with the input, so its size has to be chosen.

    Args:
        input: floating-point tensor of any shape.
        std: standard deviation :math:`\sigma` of the noise, at least 0. 0 returns the input itself and draws nothing.
        training: whether to add noise.
        generator: where the noise is drawn; None is torch's default generator.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: a negative or infinite std.
        TypeError: the input is not floating point.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> f"{gaussian_noise(torch.zeros(100_000), 0.3, training=True).std():.2f}"
        '0.30'

    Source: Bishop 1995, Neural Computation 7:108-116, "Training with noise is equivalent to Tikhonov regularization".
    """
    where = "gaussian_noise"
    std = check_setting(where, "std", std, check_not_negative)
    check_floating_point(where, "input", input)
    if is_off(std, training):
        return input
    noise = draw_normal(input, generator=generator)
    return (input + noise.mul_(as_scalar(std, noise))).to(input.dtype)


def uout(input: Tensor, beta: Rate = 0.1, *, training: bool, generator: torch.Generator | None = None) -> Tensor:
    r"""Multiply elements by uniform noise around 1, which shifts the variance far less than dropout.

    .. math:: y = x \odot (1 + r), \quad r_i \sim \mathcal{U}(-\beta, \beta) \qquad\text{(training)}

    and :math:`y = x` otherwise. With :math:`x` fixed, :math:`E[y] = x`, :math:`\text{Var}[y] = x^2 \beta^2 / 3` and
    :math:`|y - x| \le \beta |x|`. The variance of a zero-mean input is multiplied by :math:`(3 + \beta^2) / 3`.

    Args:
        input: floating-point tensor of any shape.
        beta: half the width of the noise, at least 0. 0 returns the input itself and draws nothing.
        training: whether to apply noise.
        generator: where the noise is drawn; None is torch's default generator.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: a negative or infinite beta.
        TypeError: the input is not floating point.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> uout(torch.full((4,), 10.0), 0.1, training=True)
        tensor([ 9.9925, 10.5364,  9.1770,  9.2641])

    Source: Li, Chen, Hu, Yang 2019, CVPR, arXiv 1801.05134. The default beta is not verified against the paper.
    """
    where = "uout"
    beta = check_setting(where, "beta", beta, check_not_negative)
    check_floating_point(where, "input", input)
    if is_off(beta, training):
        return input
    factor = draw_uniform(input, generator=generator)
    factor.mul_(as_scalar(2 * beta, factor)).add_(as_scalar(1 - beta, factor))
    return (input * factor).to(input.dtype)
