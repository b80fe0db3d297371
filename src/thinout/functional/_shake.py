"""Shake-Shake and ShakeDrop: branches scaled at random, by other numbers in the backward pass than in the forward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from thinout import ops
from thinout._checks import bad_type, bad_value, check_choice, check_interval
from thinout.functional._decide import is_readable
from thinout.functional._shared import check_probability, draw_uniform, effective_rate, times
from thinout.ops._inputs import check_floating_point

LEVELS = {"batch": 0, "image": 1, "channel": 2, "pixel": None}  # how many leading dimensions have noise of their own
Interval = tuple[float, float]


class _Scale(torch.autograd.Function):
    """Forward times `factor`, backward times `other`.

    The derivative that autograd is told is `other` on purpose, in forward mode too. Compiled code takes this class, as
    dynamo takes no `jvp`.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, factor: Tensor, other: Tensor) -> Tensor:
        return x * factor

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[2])
        ctx.save_for_forward(inputs[2])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (other,) = ctx.saved_tensors
        return grad * other, None, None


class _ScaleWithTangent(_Scale):
    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: Any) -> Tensor:
        (other,) = ctx.saved_tensors
        scaled: Tensor = tangent * other
        return scaled


class _Mix(torch.autograd.Function):
    """Forward ``weight * first + (1 - weight) * second``, backward with `other` for the weight; see `_Scale`."""

    generate_vmap_rule = True

    @staticmethod
    def forward(first: Tensor, second: Tensor, weight: Tensor, other: Tensor) -> Tensor:
        return torch.lerp(second, first, weight)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[3])
        ctx.save_for_forward(inputs[3])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (other,) = ctx.saved_tensors
        first = grad * other
        return first, grad - first, None, None


class _MixWithTangent(_Mix):
    @staticmethod
    def jvp(ctx: Any, first: Tensor, second: Tensor, *_: Any) -> Tensor:
        (other,) = ctx.saved_tensors
        return torch.lerp(second, first, other)


def _noise_shape(where: str, input: Tensor, level: str) -> list[int]:
    """Return the shape of noise that has an entry for the batch, each image, each channel or each pixel."""
    own = LEVELS[level]
    if own is None:
        return list(input.shape)
    if input.dim() < own:
        allowed = f'a tensor of at least {own} dimensions at level "{level}"'
        bad_value(where, "input", allowed, f"shape {tuple(input.shape)}", 'Pass level="batch".')
    return [*input.shape[:own], *[1] * (input.dim() - own)]


def shake_shake(
    first: Tensor,
    second: Tensor,
    *,
    level: str = "image",
    training: bool,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Mix two branches at random, and their gradients by another random number.

    .. math:: y = \alpha f_1 + (1 - \alpha) f_2, \quad \alpha \sim U(0, 1) \qquad\text{(forward)}
    .. math:: g_1 = \beta g, \quad g_2 = (1 - \beta) g, \quad \beta \sim U(0, 1) \qquad\text{(backward)}

    in training, and :math:`\alpha = \beta = 1/2` otherwise. Both numbers are drawn in the forward pass. Add the
    residual yourself: ``x + shake_shake(branch1(x), branch2(x), ...)``.

    Args:
        first: floating-point tensor (N, ...), the output of a branch.
        second: a tensor like it, the output of the other branch.
        level: "image" draws for each example, "batch" once.
        training: whether to mix at random.
        generator: where the numbers are drawn.

    Returns:
        A tensor like the inputs.

    Raises:
        ValueError: inputs of different shapes, another level, or a 0-d input at level "image".
        TypeError: an input is not floating point, or the two have different dtypes.

    Example:
        >>> shake_shake(torch.ones(2, 3), torch.zeros(2, 3), training=False)
        tensor([[0.5000, 0.5000, 0.5000],
                [0.5000, 0.5000, 0.5000]])

    Source: Gastaldi 2017, arXiv 1705.07485.
    """
    where = "shake_shake"
    check_choice(where, "level", level, ("batch", "image"))
    check_floating_point(where, "first", first)
    check_floating_point(where, "second", second)
    if first.shape != second.shape:
        bad_value(where, "second", f"of the shape of `first`, {tuple(first.shape)}", f"shape {tuple(second.shape)}")
    if first.dtype != second.dtype:
        bad_type(where, "second", f"of the dtype of `first`, {first.dtype}", second.dtype)
    shape = _noise_shape(where, first, level)
    if not training:
        return torch.lerp(second, first, 0.5)
    weights = draw_uniform(first, (2, *shape), generator).to(first.dtype)
    mix = _Mix if torch.compiler.is_compiling() else _MixWithTangent
    mixed: Tensor = mix.apply(first, second, weights[0], weights[1])
    return mixed


def shake_drop(
    input: Tensor,
    p: float | Tensor = 0.5,
    *,
    alpha: Interval = (-1.0, 1.0),
    beta: Interval = (0.0, 1.0),
    level: str = "image",
    training: bool,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Scale a residual branch at random with probability p, and its gradient by another random number.

    .. math:: y = (b + \alpha - b \alpha) f, \quad \alpha \sim U(\alpha_0, \alpha_1) \qquad\text{(forward)}
    .. math:: g_f = (b + \beta - b \beta) g, \quad \beta \sim U(\beta_0, \beta_1) \qquad\text{(backward)}

    in training, with one :math:`b \sim \text{Bernoulli}(1 - p)` for the batch: 1 leaves the branch as it is. Otherwise
    :math:`y = c f` and :math:`g_f = c g` with the mean :math:`c = 1 - p + p (\alpha_0 + \alpha_1) / 2` for the range of
    alpha that is given.

    Args:
        input: floating-point tensor (N, ...), what the branch gave; add the residual yourself.
        p: probability in [0, 1] that the branch is shaken. 0 returns the input itself and draws nothing.
        alpha: range of the factor in the forward pass; (0, 0) drops the branch.
        beta: range of the factor in the backward pass.
        level: whether alpha and beta are drawn for the "batch", each "image", "channel" or "pixel".
        training: whether to shake.
        generator: where key and numbers are drawn.

    Returns:
        A tensor like the input; the input itself where b is 1 in eager code.

    Raises:
        ValueError: p outside [0, 1], a range that is none, another level, or an input of too few dimensions.
        TypeError: the input is not floating point.

    Example:
        >>> shake_drop(torch.ones(3), p=0.5, training=False)
        tensor([0.5000, 0.5000, 0.5000])
        >>> shake_drop(torch.ones(3), p=0.5, alpha=(0, 2), training=False)
        tensor([1., 1., 1.])

    Source: Yamada, Iwamura, Akiba, Kise 2019, IEEE Access 7, arXiv 1802.02375.
    """
    where = "shake_drop"
    p = check_probability(where, p)
    low, high = check_interval(where, "alpha", alpha)
    other_low, other_high = check_interval(where, "beta", beta)
    check_choice(where, "level", level, LEVELS)
    check_floating_point(where, "input", input)
    shape = _noise_shape(where, input, level)
    if not isinstance(p, Tensor) and p == 0:
        return input
    if not training:
        drop_prob = effective_rate(where, p)
        return times(input, 1 - drop_prob + drop_prob * ((low + high) / 2))
    key = ops.draw_key(generator)
    noise = draw_uniform(input, (2, *shape), generator)
    keep = ops.dropout_mask((1,), key, p, device=key.device)
    if is_readable(key) and keep:
        return input
    keep = keep.reshape(()).to(input.device)
    factor = torch.where(keep, 1.0, low + (high - low) * noise[0]).to(input.dtype)
    other = torch.where(keep, 1.0, other_low + (other_high - other_low) * noise[1]).to(input.dtype)
    scale = _Scale if torch.compiler.is_compiling() else _ScaleWithTangent
    scaled: Tensor = scale.apply(input, factor, other)
    return scaled
