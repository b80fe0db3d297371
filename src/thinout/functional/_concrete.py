"""Concrete dropout: a continuous relaxation of the mask, through which the rate gets a gradient."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from thinout import ops
from thinout._checks import bad_value, check_count, check_positive
from thinout.functional._shared import Rate, as_scalar, check_maps, check_setting, draw_uniform, times
from thinout.ops import NoiseShape
from thinout.ops._inputs import check_floating_point

# Beyond, 1 / (1 - p) is so large that the penalty of a weight would overflow in float32.
LARGEST_LOGIT = 40.0


def check_temperature(where: str, value: object, name: str) -> float:
    """Return a temperature, which is positive: at 0 the mask is a step, without a gradient."""
    return check_positive(where, name, value)


def _logit(where: str, p_logit: Tensor, like: Tensor) -> Tensor:
    """Return the logit of the rate, 0-d and in float32 at least."""
    check_floating_point(where, "p_logit", p_logit)
    if p_logit.numel() != 1:
        bad_value(where, "p_logit", "of one element", f"shape {tuple(p_logit.shape)}")
    dtype = torch.promote_types(like.dtype, torch.float32)
    return p_logit.reshape(()).to(dtype).clamp(-LARGEST_LOGIT, LARGEST_LOGIT)


def concrete_dropout(
    input: Tensor,
    p_logit: Tensor,
    *,
    temperature: Rate = 0.1,
    training: bool,
    noise_shape: NoiseShape | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Multiply by a continuous mask, so that the rate has a gradient.

    .. math:: y = \frac{(1 - z) \odot x}{1 - p}, \quad p = \text{sigmoid}(l)

    .. math:: z = \text{sigmoid}\left(\frac{l + \log u - \log(1 - u)}{t}\right), \quad u_i \sim \text{U}(0, 1)

    in training, :math:`y = x` otherwise. Each element has noise of its own. For any temperature
    :math:`P(z > 1/2) = p`. The mean is not quite that of the input: :math:`E[1 - z] / (1 - p)` is 0.9985 at t = 0.1 and
    0.9495 at t = 2/3 for p = 0.1, and 1 for p = 0.5.

    The rate is learned only where the loss has the term `concrete_regularization`.

    Args:
        input: floating-point tensor of any shape.
        p_logit: l, of one element; beyond -40 and 40 it acts as these do, and has no gradient.
        temperature: t, positive; small is close to a Bernoulli mask, with gradients that vary more.
        training: whether to apply the mask.
        noise_shape: shape of the mask before it is broadcast: an entry 1 is shared, None is as the input.
        generator: where the noise is drawn; None is torch's default generator.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: the temperature is not positive, p_logit has more than one element, the noise shape does not fit.
        TypeError: the input or p_logit is not floating point.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> y = concrete_dropout(torch.ones(100_000), torch.tensor([0.0]), training=True)
        >>> f"{y.mean():.2f} {(y < 1).float().mean():.2f}"
        '1.00 0.50'

    Source: Gal, Hron, Kendall 2017, "Concrete dropout", NIPS, arXiv 1705.07832.
    """
    where = "concrete_dropout"
    temperature = check_setting(where, "temperature", temperature, check_temperature)
    check_floating_point(where, "input", input)
    logit = _logit(where, p_logit, input)
    shape = input.shape
    if noise_shape is not None:
        ops.check_noise_shape(where, input.shape, noise_shape)
        shape = torch.Size(size if entry is None else entry for size, entry in zip(shape, noise_shape, strict=True))
    if not training:
        return input
    noise = draw_uniform(input, shape, generator).logit_()  # -inf at 0, where an element is kept
    slope = -1 / as_scalar(temperature, noise)
    mask = torch.sigmoid(noise.mul_(slope) + logit * slope)
    return (input * (mask * (1 + logit.exp()))).to(input.dtype)


def concrete_dropout_maps(
    where: str,
    letters: str,
    input: Tensor,
    p_logit: Tensor,
    temperature: Rate,
    training: bool,
    batched: bool,
    generator: torch.Generator | None,
) -> Tensor:
    """Apply concrete dropout with one noise for each map; the rank is never guessed at."""
    check_floating_point(where, "input", input)
    check_maps(where, letters, input, batched)
    noise_shape = [None] * (input.dim() - len(letters)) + [1] * len(letters)
    return concrete_dropout(
        input, p_logit, temperature=temperature, training=training, noise_shape=noise_shape, generator=generator
    )


def concrete_regularization(
    p_logit: Tensor,
    weights: Tensor | Sequence[Tensor],
    num_units: int,
    *,
    weight_regularizer: Rate,
    dropout_regularizer: Rate,
) -> Tensor:
    r"""Return the term of the loss that belongs to one rate and the weights behind it.

    .. math:: R = w \frac{\|W\|^2}{1 - p} - d \, K \, H(p), \quad H(p) = -p \log p - (1 - p) \log(1 - p)

    The first part draws the rate to 0, the second to 0.5. With a Gaussian prior of length scale :math:`\ell` on the
    weights, N training examples and a loss that is the mean negative log-likelihood, :math:`w = \ell^2 / (2 N)` and
    :math:`d = 1 / N`. For the mean squared error in place of a log-likelihood of precision :math:`\tau`, both are
    :math:`2 / \tau` times that. It is :math:`1 / (1 - p)` and not :math:`1 - p`, since with the scale of training the
    mean of the dropped weights is :math:`W`.

    Args:
        p_logit: logit of the rate, of one element.
        weights: W, those of the layers behind; biases are not dropped and do not belong here.
        num_units: K, the number of what is dropped by itself: input features of W, channels where maps are dropped.
        weight_regularizer: w.
        dropout_regularizer: d.

    Returns:
        A 0-d tensor.

    Raises:
        ValueError: p_logit has more than one element.
        TypeError: p_logit is not floating point, num_units is not a whole number.

    Example:
        >>> p_logit, weight = torch.tensor([0.0]), torch.ones(3, 4)
        >>> concrete_regularization(p_logit, weight, 4, weight_regularizer=0.5, dropout_regularizer=1.0)  # 12 - 4 log 2
        tensor(9.2274)

    Source: Gal, Hron, Kendall 2017, arXiv 1705.07832, equations 3 and 4; scales: the authors' code.
    """
    where = "concrete_regularization"
    num_units = check_count(where, "num_units", num_units)
    weights = [weights] if isinstance(weights, Tensor) else weights
    logit = _logit(where, p_logit, p_logit)
    squares = sum(weight.to(torch.promote_types(weight.dtype, torch.float32)).square().sum() for weight in weights)
    logsigmoid = torch.nn.functional.logsigmoid
    entropy = -(logit.sigmoid() * logsigmoid(logit) + (-logit).sigmoid() * logsigmoid(-logit))
    return times(squares * (1 + logit.exp()), weight_regularizer) - times(num_units * entropy, dropout_regularizer)
