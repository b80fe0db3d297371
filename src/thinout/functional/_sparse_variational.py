"""Sparse variational dropout: weights with a variance each, which the prior drives to where a weight can go."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from thinout._checks import bad_type, bad_value
from thinout.functional._local_noise import add_noise, full_precision, square
from thinout.functional._shared import Rate, as_scalar, check_setting, draw_normal
from thinout.functional._variational import check_features
from thinout.ops._inputs import check_floating_point

_EPSILON = 1e-8
# Above, the KL divergence has hardly any slope, but an optimiser that normalises gradients, such as Adam, would drive
# the variance of a weight without any other gradient to infinity.
_LARGEST_LOG_ALPHA = 8.0


def check_threshold(where: str, value: object, name: str) -> float:
    """Return a threshold of log alpha: at least 0, where the noise is as large as the weight; infinity prunes none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        bad_type(where, name, "a number of at least 0", repr(value))
    if not value >= 0:
        bad_value(where, name, "a number of at least 0", float(value))
    return float(value)


def sparse_log_alpha(weight: Tensor, log_sigma2: Tensor) -> Tensor:
    r"""Return the logarithm of the variance of weights in units of their squares.

    .. math:: \log \alpha = \min(\log \sigma^2 - \log(\theta^2 + 10^{-8}), \; 8)

    Above 8 it has no gradient. Code that also cuts it off at -8 takes the prior away from all weights above
    :math:`e^4 \sigma`, which is where most are at the start.

    Args:
        weight: :math:`\theta`.
        log_sigma2: :math:`\log \sigma^2`, of the same shape.

    Returns:
        A tensor of that shape, in float32 at least.

    Raises:
        ValueError: another shape.
        TypeError: weight or log_sigma2 is not floating point.

    Example:
        >>> sparse_log_alpha(torch.tensor([1.0, 0.0]), torch.tensor([-10.0, -10.0]))
        tensor([-10.,   8.])

    Source: Molchanov, Ashukha, Vetrov 2017, arXiv 1701.05369.
    """
    where = "sparse_log_alpha"
    check_floating_point(where, "weight", weight)
    _check_like(where, weight, log_sigma2)
    wide = torch.promote_types(weight.dtype, torch.float32)
    return (log_sigma2.to(wide) - (square(weight) + _EPSILON).log()).clamp(max=_LARGEST_LOG_ALPHA)


def _check_like(where: str, weight: Tensor, log_sigma2: Tensor) -> None:
    check_floating_point(where, "log_sigma2", log_sigma2)
    if log_sigma2.shape != weight.shape:
        bad_value(where, "log_sigma2", f"of the weight's shape {tuple(weight.shape)}", tuple(log_sigma2.shape))


def prune(weight: Tensor, log_sigma2: Tensor, threshold: Rate) -> Tensor:
    """Return weights with 0 where log alpha is not below a threshold."""
    log_alpha = sparse_log_alpha(weight, log_sigma2)
    return torch.where(log_alpha < as_scalar(threshold, log_alpha), weight, 0.0)


def _run(
    apply: Callable[[Tensor, Tensor, Tensor | None], Tensor],
    input: Tensor,
    weight: Tensor,
    log_sigma2: Tensor,
    bias: Tensor | None,
    training: bool,
    threshold: Rate,
    generator: torch.Generator | None,
) -> Tensor:
    if not training:
        return apply(input, prune(weight, log_sigma2, threshold), bias)
    mean = apply(input, weight, bias)
    with full_precision(input):
        wide = square(input)
        variance = apply(wide, log_sigma2.to(wide.dtype).exp(), None)
    return add_noise(mean, variance, draw_normal(variance, generator=generator))


def sparse_variational_linear(
    input: Tensor,
    weight: Tensor,
    log_sigma2: Tensor,
    bias: Tensor | None = None,
    *,
    training: bool,
    threshold: Rate = 3.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Apply a linear map with additive noise on each weight in training, and without noisy weights in evaluation.

    .. math:: y_j \sim \mathcal{N}\left(\sum_i \theta_{ji} x_i + b_j, \; \sum_i \sigma_{ji}^2 x_i^2\right)

    In evaluation weights with :math:`\log \alpha = \log \sigma^2 - \log \theta^2` of at least `threshold` are 0. The
    loss needs `log_uniform_kl` of `sparse_log_alpha`, summed over weights.

    Args:
        input: (*, in).
        weight: :math:`\theta`, (out, in).
        log_sigma2: :math:`\log \sigma^2`, (out, in).
        bias: b, (out,), or None.
        training: whether to draw noise.
        threshold: 3 prunes what Gaussian dropout would have a rate of more than 0.95 for; infinity prunes nothing.
        generator: where the noise is drawn; None is torch's default generator.

    Returns:
        (*, out).

    Raises:
        ValueError: shapes that do not fit, a negative threshold.
        TypeError: the input is not floating point.

    Example:
        >>> weight, log_sigma2 = torch.tensor([[1.0, 0.1]]), torch.tensor([[-10.0, 0.0]])
        >>> sparse_variational_linear(torch.ones(1, 2), weight, log_sigma2, training=False)
        tensor([[1.]])

    Source: Molchanov, Ashukha, Vetrov 2017, "Variational dropout sparsifies deep neural networks", ICML, arXiv
    1701.05369.
    """
    where = "sparse_variational_linear"
    threshold = check_setting(where, "threshold", threshold, check_threshold)
    check_features(where, input, weight)
    _check_like(where, weight, log_sigma2)
    return _run(torch.nn.functional.linear, input, weight, log_sigma2, bias, training, threshold, generator)


def sparse_variational_conv(
    input: Tensor,
    weight: Tensor,
    log_sigma2: Tensor,
    bias: Tensor | None = None,
    *,
    training: bool,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    threshold: Rate = 3.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Convolve with additive noise on each weight in training; see `sparse_variational_linear`.

    .. math:: y \sim \mathcal{N}\left(\theta * x + b, \; \sigma^2 * x^2\right)

    Each position of an output map is drawn for itself.

    Args:
        input: (N, C, *S), or (C, *S) for one example, with S of as many dimensions as the filters have.
        weight: (out, C / groups, *K), of 1, 2 or 3 dimensions K.
        log_sigma2: of the same shape.
        bias: (out,), or None.
        training: whether to draw noise.
        stride: as in `torch.nn.functional.conv2d`; so are padding, dilation and groups.
        padding: number of zeros at each side, "same" or "valid".
        dilation: distance of the filters' elements.
        groups: number of groups of channels.
        threshold: log alpha from which a weight is 0 in evaluation.
        generator: where the noise is drawn; None is torch's default generator.

    Returns:
        (N, out, *S'), or (out, *S').

    Raises:
        ValueError: shapes that do not fit, a negative threshold.
        TypeError: the input is not floating point.

    Example:
        >>> weight, log_sigma2 = torch.tensor([[[1.0, 0.1]]]), torch.tensor([[[-10.0, 0.0]]])
        >>> sparse_variational_conv(torch.arange(4.0).view(1, 1, 4), weight, log_sigma2, training=False)
        tensor([[[0., 1., 2.]]])

    Source: Molchanov, Ashukha, Vetrov 2017, arXiv 1701.05369.
    """
    where, rank = "sparse_variational_conv", weight.dim() - 2
    threshold = check_setting(where, "threshold", threshold, check_threshold)
    check_floating_point(where, "input", input)
    _check_like(where, weight, log_sigma2)
    if rank not in _CONVOLUTIONS:
        bad_value(where, "weight", "of 3, 4 or 5 dimensions", f"shape {tuple(weight.shape)}")
    channels = groups * weight.shape[1]
    if input.dim() not in (rank + 1, rank + 2) or input.shape[-rank - 1] != channels:
        allowed = f"(N, {channels}, ...) or ({channels}, ...) with {rank} dimensions behind"
        bad_value(where, "input", allowed, f"shape {tuple(input.shape)}")

    def apply(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return _CONVOLUTIONS[rank](x, weight, bias, stride, padding, dilation, groups)

    return _run(apply, input, weight, log_sigma2, bias, training, threshold, generator)


_CONVOLUTIONS: dict[int, Callable[..., Tensor]] = {
    1: torch.nn.functional.conv1d,
    2: torch.nn.functional.conv2d,
    3: torch.nn.functional.conv3d,
}
