"""Variational dropout: Gaussian noise whose variance is learned, against the pull of a log-uniform prior."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from thinout._checks import bad_value, check_choice, check_positive
from thinout.functional._local_noise import add_noise, full_precision, square
from thinout.functional._shared import Rate, as_scalar, check_setting, draw_normal
from thinout.ops._inputs import check_floating_point

NOISES = ("correlated", "independent")
_K1, _K2, _K3 = 0.63576, 1.87320, 1.48695
_CONSTANT, _C1, _C2, _C3 = 0.635181, 1.16145124, -1.50204118, 0.58629921


def check_bound(where: str, value: object, name: str) -> float:
    """Return a bound of alpha, which is positive; infinity is none."""
    return check_positive(where, name, value, finite=False)


def _wide(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def bounded(log_alpha: Tensor, max_alpha: Rate) -> Tensor:
    """Return log alpha cut off at a bound, in float32 at least."""
    wide = _wide(log_alpha)
    bound = torch.log(max_alpha) if isinstance(max_alpha, Tensor) else math.log(max_alpha)
    return wide.clamp(max=as_scalar(bound, wide)).to(wide.dtype)


def _passed(log_alpha: Tensor, max_alpha: Rate) -> Tensor:
    """Return log alpha cut off at a bound, with the gradient of what is not: else it could never come back."""
    wide = _wide(log_alpha)
    return bounded(log_alpha, max_alpha).detach() + (wide - wide.detach())


def variational_dropout(
    input: Tensor,
    log_alpha: Tensor,
    *,
    training: bool,
    dim: int = -1,
    max_alpha: Rate = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Multiply elements by Gaussian noise whose variance is learned.

    .. math:: y = x \odot \epsilon, \quad \epsilon_i \sim \mathcal{N}(1, \alpha), \quad \alpha = \frac{p}{1 - p}

    in training, :math:`y = x` otherwise. The loss needs `log_uniform_kl` of each unit, without which the noise is
    trained away.

    Args:
        input: floating-point tensor.
        log_alpha: logarithm of the variance, of one element or one for each unit.
        training: whether to apply noise.
        dim: dimension of the units.
        max_alpha: bound of the variance. A logarithm above it acts as the bound, and gets the gradient of the bound.
        generator: where the noise is drawn; None is torch's default generator.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: log_alpha has not one element or that of each unit; max_alpha is not positive.
        TypeError: the input or log_alpha is not floating point.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> y = variational_dropout(torch.ones(100_000, 2), torch.tensor([-40.0, 0.0]), training=True)
        >>> y.std(dim=0).round(decimals=2).tolist()
        [0.0, 1.0]

    Source: Kingma, Salimans, Welling 2015, "Variational dropout and the local reparameterization trick", NIPS, arXiv
    1506.02557.
    """
    where = "variational_dropout"
    max_alpha = check_setting(where, "max_alpha", max_alpha, check_bound)
    check_floating_point(where, "input", input)
    check_floating_point(where, "log_alpha", log_alpha)
    shape: tuple[int, ...] = ()
    if log_alpha.numel() != 1:
        if not -input.dim() <= dim < input.dim() or log_alpha.shape != (input.shape[dim],):
            bad_value(where, "log_alpha", f"of one element or one for each entry of dimension {dim}", log_alpha.shape)
        shape = (-1, *[1] * (input.dim() - 1 - dim % input.dim()))
    if not training:
        return input
    noise = draw_normal(input, generator=generator)
    std = (0.5 * _passed(log_alpha, max_alpha)).exp().reshape(shape).to(noise.dtype)
    return (input * torch.addcmul(torch.ones((), dtype=noise.dtype, device=noise.device), noise, std)).to(input.dtype)


def variational_linear(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    log_alpha: Tensor,
    *,
    training: bool,
    noise: str = "independent",
    max_alpha: Rate = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Apply a linear map whose weights have Gaussian noise of a learned variance.

    With ``noise="independent"`` each weight has the distribution :math:`\mathcal{N}(W_{ji}, \alpha W_{ji}^2)` for
    itself, and what is drawn is the output, for each example (the local reparametrisation):

    .. math:: y_j \sim \mathcal{N}\left(\sum_i W_{ji} x_i + b_j, \; \sum_i \alpha W_{ji}^2 x_i^2\right)

    With ``noise="correlated"`` all weights of an input unit share one factor: it is Gaussian noise on the input.

    .. math:: y = W (x \odot \epsilon) + b, \quad \epsilon_i \sim \mathcal{N}(1, \alpha)

    In evaluation the weights are their means.

    Args:
        input: (*, in).
        weight: W, (out, in).
        bias: b, (out,), or None.
        log_alpha: logarithm of alpha, that broadcasts to the weights for independent noise: of shape (1,), (out, 1) or
            (out, in); to the input units for correlated noise: (1,) or (in,).
        training: whether to draw.
        noise: "independent" or "correlated".
        max_alpha: bound of alpha. A logarithm above it acts as the bound, and gets the gradient of the bound.
        generator: where the noise is drawn; None is torch's default generator.

    Returns:
        (*, out).

    Raises:
        ValueError: an unknown noise, shapes that do not fit, max_alpha is not positive.
        TypeError: the input is not floating point.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> x, weight = torch.ones(100_000, 4), torch.ones(1, 4)
        >>> y = variational_linear(x, weight, None, torch.zeros(1), training=True)
        >>> f"{y.mean():.1f} {y.var():.1f}"
        '4.0 4.0'

    Source: Kingma, Salimans, Welling 2015, arXiv 1506.02557, sections 3.1 (independent) and 3.2 (correlated).
    """
    where = "variational_linear"
    max_alpha = check_setting(where, "max_alpha", max_alpha, check_bound)
    check_choice(where, "noise", noise, NOISES)
    check_features(where, input, weight)
    shapes = [(1,), (weight.shape[0], 1), tuple(weight.shape)] if noise == "independent" else [(1,), weight.shape[1:]]
    if log_alpha.shape not in shapes:
        allowed = "of shape " + " or ".join(str(tuple(shape)) for shape in shapes)
        bad_value(where, "log_alpha", allowed, tuple(log_alpha.shape))
    linear = torch.nn.functional.linear
    if not training:
        return linear(input, weight, bias)
    if noise == "correlated":
        noisy = variational_dropout(input, log_alpha, training=True, max_alpha=max_alpha, generator=generator)
        return linear(noisy, weight, bias)
    mean = linear(input, weight, bias)
    with full_precision(input):
        variance = linear(square(input), square(weight) * _passed(log_alpha, max_alpha).exp())
    return add_noise(mean, variance, draw_normal(variance, generator=generator))


def check_features(where: str, input: Tensor, weight: Tensor) -> None:
    """Raise unless an input fits the weight of a linear map."""
    check_floating_point(where, "input", input)
    if input.dim() == 0 or input.shape[-1] != weight.shape[1]:
        bad_value(where, "input", f"of {weight.shape[1]} features in its last dimension", f"shape {tuple(input.shape)}")


def log_uniform_kl(log_alpha: Tensor) -> Tensor:
    r"""Return the KL divergence of :math:`\mathcal{N}(\theta, \alpha \theta^2)` from the log-uniform prior, in nats.

    .. math:: \text{KL} \approx \frac{1}{2} \log(1 + \alpha^{-1}) + k_1 \, \text{sigmoid}(-k_2 - k_3 \log \alpha)

    It is positive, falls with alpha, and is at most 0.0094 off for any alpha. The exact value, up to a constant that
    makes it 0 for large alpha, is :math:`\frac{1}{2} (E[\psi(1/2 + K)] - \psi(1/2))` with K a Poisson variable of mean
    :math:`1 / (2 \alpha)`.

    Args:
        log_alpha: logarithm of alpha, of any shape.

    Returns:
        A tensor of that shape, in float32 at least. Its sum is the divergence of all weights.

    Raises:
        TypeError: log_alpha is not floating point.

    Example:
        >>> log_uniform_kl(torch.tensor([0.1, 1.0, 20.0]).log())
        tensor([1.7235, 0.4312, 0.0255])

    Source: Molchanov, Ashukha, Vetrov 2017, "Variational dropout sparsifies deep neural networks", ICML, arXiv
    1701.05369, equation 14.
    """
    check_floating_point("log_uniform_kl", "log_alpha", log_alpha)
    wide = _wide(log_alpha)
    return 0.5 * torch.nn.functional.softplus(-wide) + _K1 * torch.sigmoid(-(_K2 + _K3 * wide))


def log_uniform_kl_polynomial(log_alpha: Tensor) -> Tensor:
    r"""Return the approximation of `log_uniform_kl` in the paper of 2015, which is for alpha of at most 1.

    .. math:: \text{KL} \approx 0.635181 - \frac{1}{2} \log\alpha - c_1 \alpha - c_2 \alpha^2 - c_3 \alpha^3

    The constant makes it exact for small alpha; it is then up to 0.04 too small for alpha in [0.05, 1]. Above 1 it
    rises to infinity or falls below 0: it is here to compare with, and no layer uses it.

    Args:
        log_alpha: logarithm of alpha.

    Returns:
        A tensor of that shape, in float32 at least.

    Raises:
        TypeError: log_alpha is not floating point.

    Example:
        >>> log_uniform_kl_polynomial(torch.tensor([0.1, 1.0]).log())
        tensor([1.6848, 0.3895])

    Source: Kingma, Salimans, Welling 2015, arXiv 1506.02557, equation 14.
    """
    check_floating_point("log_uniform_kl_polynomial", "log_alpha", log_alpha)
    wide = _wide(log_alpha)
    alpha = wide.exp()
    return _CONSTANT - 0.5 * wide - alpha * (_C1 + alpha * (_C2 + alpha * _C3))
