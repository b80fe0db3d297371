"""Dropout whose strength is a function of the example: standout and information dropout."""

from __future__ import annotations

import torch
from torch import Tensor

from thinout._checks import bad_value, check_finite, check_not_negative
from thinout.functional._shared import Rate, as_scalar, check_setting, draw_normal, draw_uniform, is_off, select
from thinout.ops._inputs import check_floating_point


def standout(
    hidden: Tensor,
    preactivation: Tensor,
    *,
    alpha: Rate = 1.0,
    beta: Rate = 0.0,
    training: bool,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Keep each hidden unit with a probability that rises with its own pre-activation.

    .. math:: \pi = \text{sigmoid}(\alpha a + \beta), \quad y = m \odot h, \quad m_i \sim \text{Bernoulli}(\pi_i)

    in training, :math:`y = \pi \odot h` otherwise, where :math:`h = g(a)` and :math:`a = W x`. No gradient flows
    through :math:`\pi`, in eval mode neither. With :math:`\alpha = 0` it is classic dropout that keeps
    :math:`\text{sigmoid}(\beta)`.

    Args:
        hidden: activations :math:`h`, floating point, of any shape.
        preactivation: :math:`a`, in the shape of `hidden`.
        alpha: slope of the keep probability.
        beta: shift of the keep probability.
        training: whether to drop; otherwise the activations are multiplied by their keep probability.
        generator: where the uniform numbers that decide are drawn; None is torch's default generator. They are
            float32 at least, whatever the type of the input.

    Returns:
        A tensor like `hidden`.

    Raises:
        ValueError: shapes differ; alpha or beta is not finite.
        TypeError: `hidden` is not floating point.

    Example:
        >>> h = torch.tensor([-20.0, 20.0])
        >>> standout(h, h, training=True)
        tensor([ 0., 20.])
        >>> standout(torch.ones(2), torch.zeros(2), training=False)
        tensor([0.5000, 0.5000])

    Source: Ba, Frey 2013, NIPS, "Adaptive dropout for training deep neural networks", the form whose belief network
    shares the weights. That it is not trained through the units that it drops is assumed.
    """
    where = "standout"
    alpha = check_setting(where, "alpha", alpha, check_finite)
    beta = check_setting(where, "beta", beta, check_finite)
    check_floating_point(where, "hidden", hidden)
    if preactivation.shape != hidden.shape:
        allowed = f"of the shape {tuple(hidden.shape)} of `hidden`"
        bad_value(where, "preactivation", allowed, f"shape {tuple(preactivation.shape)}")
    # In half precision sigmoid has no values between 0.9961 (bfloat16) and 1.
    belief = preactivation.detach().to(torch.promote_types(hidden.dtype, torch.float32))
    keep_prob = torch.sigmoid(belief * as_scalar(alpha, belief) + as_scalar(beta, belief))
    if not training:
        return (hidden * keep_prob).to(hidden.dtype)
    keep = draw_uniform(hidden, generator=generator) < keep_prob
    return select(keep, hidden)


def _check_logits(where: str, input: Tensor, logits: Tensor) -> None:
    check_floating_point(where, "input", input)
    check_floating_point(where, "logits", logits)
    if logits.dim() > input.dim() or any(
        own not in (1, size) for own, size in zip(reversed(logits.shape), reversed(input.shape), strict=False)
    ):
        allowed = f"of a shape that broadcasts to {tuple(input.shape)}"
        bad_value(where, "logits", allowed, f"shape {tuple(logits.shape)}")


def information_dropout(
    input: Tensor,
    logits: Tensor,
    *,
    alpha_max: Rate = 0.7,
    training: bool,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Multiply elements by log-normal noise whose size is learned, as a function of the example.

    .. math:: y = x \odot \exp(\alpha \odot \epsilon), \quad \epsilon_i \sim \mathcal{N}(0, 1)

    with :math:`\alpha = \alpha_{\max} \, \text{sigmoid}(l)` in training, :math:`y = x` otherwise: the median of the
    noise is 1, its mean :math:`\exp(\alpha^2 / 2)`. The loss needs :math:`\beta` times `information_penalty`, without
    which the noise is trained away.

    Args:
        input: activations, floating point, of any shape.
        logits: :math:`l`, as a layer gives them that sees what the layer of the activations sees; of the same shape, or
            of one that broadcasts to it.
        alpha_max: bound of the noise, at least 0. 0 returns the input itself and draws nothing.
        training: whether to apply noise.
        generator: where the noise is drawn; None is torch's default generator.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: alpha_max negative or infinite; logits of another shape.
        TypeError: input or logits are not floating point.

    Example:
        >>> x = torch.ones(2, 3)
        >>> information_dropout(x, torch.zeros(2, 3), training=True).shape
        torch.Size([2, 3])
        >>> information_dropout(x, torch.zeros(2, 3), training=False) is x
        True

    Source: Achille, Soatto 2016, arXiv 1611.01353. The default of alpha_max is that of the authors' code.
    """
    where = "information_dropout"
    alpha_max = check_setting(where, "alpha_max", alpha_max, check_not_negative)
    _check_logits(where, input, logits)
    if is_off(alpha_max, training):
        return input
    noise = draw_normal(input, generator=generator)
    noise.mul_(as_scalar(alpha_max, noise))
    return (input * torch.exp(torch.sigmoid(logits.to(noise.dtype)) * noise)).to(input.dtype)


def information_penalty(input: Tensor, logits: Tensor) -> Tensor:
    r"""Return what the activations of `information_dropout` tell about the example, up to a constant.

    .. math:: -\frac{1}{N} \sum_{n, i} \log \frac{\alpha_{ni}}{\alpha_{\max}} = \frac{1}{N} \sum_{n, i} \log(1 + e^{-l})

    It is the Kullback-Leibler divergence of :math:`y` from a log-uniform prior, up to the constant that makes it 0
    where the noise is largest. It suits activations that are ReLU's.

    Args:
        input: activations, (N, ...).
        logits: those of `information_dropout`.

    Returns:
        A 0-d tensor, in nats per example: summed over elements, averaged over the first dimension.

    Raises:
        ValueError: logits of another shape.
        TypeError: input or logits are not floating point.

    Example:
        >>> information_penalty(torch.ones(2, 3), torch.zeros(2, 3))  # 3 log 2
        tensor(2.0794)

    Source: Achille, Soatto 2016, arXiv 1611.01353, and the authors' code, which sums over all elements, those with
    activation 0 too.
    """
    _check_logits("information_penalty", input, logits)
    work = logits.to(torch.promote_types(logits.dtype, torch.float32))
    num_examples = input.shape[0] if input.dim() else 1
    return torch.nn.functional.softplus(-work).expand(input.shape).sum() / max(num_examples, 1)
