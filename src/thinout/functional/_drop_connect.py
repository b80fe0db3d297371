"""DropConnect: dropout of single weights; here what layers share, and the linear one."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from thinout import ops
from thinout._checks import bad_type, bad_value, check_choice, check_count
from thinout.functional._shared import (
    Rate,
    check_probability,
    draw_keys,
    draw_normal,
    effective_rate,
    is_off,
    times,
)
from thinout.ops._inputs import check_floating_point

MODES = ("batch", "example", "gaussian")
INFERENCE = ("mean", "gaussian")
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "elu": torch.nn.functional.elu,
    "gelu": torch.nn.functional.gelu,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "silu": torch.nn.functional.silu,
    "softplus": torch.nn.functional.softplus,
    "tanh": torch.tanh,
}
_CHUNK = 1 << 20  # numbers that Gaussian inference draws at a time
_CACHED = 1 << 19  # weights of examples that a product of rows takes at a time, few enough to stay in the cache

Activation = str | Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Operation:
    """A layer's arithmetic.

    Args:
        apply: from input, weight and bias to the output.
        each: from input and one weight an example to the output.
        trailing: number of dimensions behind the output's features.
        batched: whether the input has a dimension of examples.
    """

    apply: Callable[[Tensor, Tensor, Tensor | None], Tensor]
    each: Callable[[Tensor, Tensor], Tensor]
    trailing: int
    batched: bool


@dataclass(frozen=True)
class Options:
    """How to drop and what to do at test time; see `drop_connect_linear`."""

    where: str
    p: Rate
    mode: str
    drop_bias: bool
    inverted: bool
    inference: str
    num_samples: int
    activation: Activation | None

    def activate(self, u: Tensor) -> Tensor:
        """Apply the activation, if there is one."""
        if self.activation is None:
            return u
        return (ACTIVATIONS[self.activation] if isinstance(self.activation, str) else self.activation)(u)


def check_options(
    where: str, mode: str, inference: str, num_samples: int, activation: Activation | None
) -> tuple[str, str, int]:
    """Return mode, inference and number of samples, or raise."""
    if isinstance(activation, str):
        check_choice(where, "activation", activation, ACTIVATIONS)
    elif activation is not None and not callable(activation):
        bad_type(where, "activation", "a name, a function of a tensor or None", repr(activation))
    if check_choice(where, "inference", inference, INFERENCE) == "gaussian" and activation is None:
        remedy = "Without one the average over samples is the mean itself."
        bad_value(where, "activation", "given where inference='gaussian'", None, remedy)
    return check_choice(where, "mode", mode, MODES), inference, check_count(where, "num_samples", num_samples)


def run(
    operation: Operation,
    options: Options,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    training: bool,
    key: Tensor | int | None,
    generator: torch.Generator | None,
    offset: int,
) -> Tensor:
    """Apply a layer with whatever noise its options ask for."""
    sampled = not is_off(options.p, True) and (training or options.inference == "gaussian")
    if not sampled:
        keep = 1.0 if training or options.inverted else 1 - effective_rate(options.where, options.p)
        return options.activate(operation.apply(input, *_scale(options, weight, bias, keep)))
    if training and options.mode != "gaussian":
        return options.activate(_masked(operation, options, input, weight, bias, key, generator, offset))
    if key is not None:
        bad_value(options.where, "key", "None where the noise is Gaussian", repr(key), "Pass generator= in its place.")
    normal = _moments(operation, options, input, weight, bias)
    if training:
        return options.activate(normal.sample(normal.mean.shape, generator))
    return _average(options, normal, generator)


def _scale(options: Options, weight: Tensor, bias: Tensor | None, factor: Rate) -> tuple[Tensor, Tensor | None]:
    """Multiply what is dropped by a factor."""
    if not isinstance(factor, Tensor) and factor == 1:
        return weight, bias
    return times(weight, factor), times(bias, factor) if options.drop_bias and bias is not None else bias


def _masked(
    operation: Operation,
    options: Options,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    key: Tensor | int | None,
    generator: torch.Generator | None,
    offset: int,
) -> Tensor:
    keys = draw_keys(options.where, 1 + options.drop_bias, key, generator, input.device)

    def drop(parameter: Tensor, its_key: Tensor, first_index: int = 0) -> Tensor:
        return ops.dropout(
            parameter, its_key, options.p, offset=offset, rescale=options.inverted, first_index=first_index
        )

    examples = input.shape[0] if options.mode == "example" and operation.batched else None
    if examples is None:
        dropped = drop(bias, keys[1]) if options.drop_bias and bias is not None else bias
        return operation.apply(input, drop(weight, keys[0]), dropped)
    if examples == 0:
        return operation.apply(input, weight, bias)
    chunk = examples
    if operation.trailing == 0 and not torch.compiler.is_compiling():
        chunk = max(1, _CACHED // max(1, weight.numel()))
    outputs = [
        operation.each(part, drop(weight.expand(len(part), *weight.shape), keys[0], number * chunk * weight.numel()))
        for number, part in enumerate(torch.split(input, chunk))
    ]
    output = outputs[0] if len(outputs) == 1 else torch.cat(outputs)
    if bias is None:
        return output
    if options.drop_bias:
        bias = drop(bias.expand(examples, *bias.shape), keys[1])
        middle = output.dim() - 2 - operation.trailing  # between the examples and the features
        bias = bias.reshape(examples, *[1] * middle, -1)
    return output + bias.reshape(*bias.shape, *[1] * operation.trailing)


def _factors(options: Options) -> tuple[Rate, Rate]:
    """Return what the mean and the variance of a dropped weight are, in units of the weight and of its square."""
    p = effective_rate(options.where, options.p)
    if not options.inverted:
        return 1 - p, p * (1 - p)
    if not isinstance(p, Tensor):
        return (1.0, p / (1 - p)) if p < 1 else (0.0, 0.0)
    keep = 1 - p  # a rate of 1 drops all, without a division by 0
    return (keep > 0).to(p.dtype), torch.where(keep > 0, p / keep.clamp(min=2.0**-16), 0.0)


class _Normal(NamedTuple):
    """The normal distribution of the output, of deviation root * scale; only the root has a gradient."""

    mean: Tensor
    root: Tensor
    scale: Tensor

    def sample(self, shape: Sequence[int], generator: torch.Generator | None) -> Tensor:
        noise = draw_normal(self.mean, shape, generator) * self.scale
        return torch.addcmul(self.mean, self.root, noise).to(self.mean.dtype)


def _moments(operation: Operation, options: Options, input: Tensor, weight: Tensor, bias: Tensor | None) -> _Normal:
    """Return mean and deviation of the output over masks of the weights."""
    mean_factor, variance_factor = _factors(options)
    mean = operation.apply(input, *_scale(options, weight, bias, mean_factor))
    dropped_bias = _square(bias) if options.drop_bias and bias is not None else None
    with _full_precision(input):
        variance = operation.apply(_square(input), _square(weight), dropped_bias)
    # The slope of the root at 0 is infinite, and an output without input has no variance: there 1 stands for it.
    positive = variance.detach() > 0
    scale = times(positive.to(variance.dtype), variance_factor**0.5)
    return _Normal(mean, torch.where(positive, variance, 1.0).sqrt(), scale)


def _square(x: Tensor) -> Tensor:
    """Square in float32 at least: in float16 the square of 300 is infinite."""
    return x.to(torch.promote_types(x.dtype, torch.float32)).square()


def _full_precision(x: Tensor) -> contextlib.AbstractContextManager[Any]:
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else contextlib.nullcontext()


def _average(options: Options, normal: _Normal, generator: torch.Generator | None) -> Tensor:
    """Return the mean of the activation over samples, drawn in chunks of a bounded size."""
    mean = normal.mean
    total = torch.zeros_like(normal.root)
    chunk = max(1, _CHUNK // max(1, mean.numel()))
    for start in range(0, options.num_samples, chunk):
        count = min(chunk, options.num_samples - start)
        samples = normal.sample((count, *mean.shape), generator)
        total = total + options.activate(samples).sum(0, dtype=total.dtype)
    return (total / options.num_samples).to(mean.dtype)


def drop_connect_linear(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    p: float | Tensor = 0.5,
    *,
    training: bool,
    mode: str = "batch",
    drop_bias: bool = False,
    inverted: bool = True,
    inference: str = "mean",
    num_samples: int = 1000,
    activation: Activation | None = None,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Apply a linear map whose weights are dropped one by one in training.

    .. math:: y = a(u), \quad u = \frac{M \odot W}{1 - p} x + b, \quad M_{ij} \sim \text{Bernoulli}(1 - p)

    Over masks, :math:`E[u] = W x + b` and :math:`\text{Var}[u] = \frac{p}{1 - p} (W \odot W)(x \odot x)`. With
    ``mode="gaussian"`` u is drawn from the normal distribution of these moments, for each output by itself, and no
    weight is masked (the local reparametrisation). With ``inverted=False``, the paper's form, kept weights are not
    scaled, the factors of mean and variance are 1 - p and p (1 - p), and test time uses (1 - p) W.

    In evaluation ``inference="mean"`` gives a(E[u]), and ``inference="gaussian"`` the paper's average of a(u) over
    samples of that normal distribution, which is something else for an activation that is not linear.

    A dropped weight that is infinite or NaN is 0; an infinite input meets dropped weights in a product, and is NaN.

    Args:
        input: (N, *, in), or (in,) for one example.
        weight: (out, in).
        bias: (out,), or None.
        p: drop probability of a weight, in [0, 1]. 0 draws nothing; 1 gives a(bias).
        training: whether to drop.
        mode: "batch", one mask for all examples; "example", one mask for each index of the first dimension, which takes
            memory for N weights; or "gaussian".
        drop_bias: whether the bias is dropped too, at the same rate.
        inverted: whether the scale 1 / (1 - p) is applied in training.
        inference: "mean" or "gaussian".
        num_samples: samples of "gaussian" inference.
        activation: a, applied to the output: the name of a function (elu, gelu, relu, sigmoid, silu, softplus, tanh) or
            a function. "gaussian" inference needs it.
        key: key of the mask; None draws one. The Gaussian forms have no key.
        generator: where the key, or the Gaussian noise, is drawn.
        offset: second number that the mask is a function of.

    Returns:
        (N, *, out).

    Raises:
        ValueError: p outside [0, 1], an input whose last dimension is not the weight's, an unknown mode.
        TypeError: the input is not floating point.

    Example:
        >>> drop_connect_linear(torch.ones(2, 4), torch.ones(3, 4), p=0.5, training=True, key=1)
        tensor([[4., 2., 2.],
                [4., 2., 2.]])
        >>> drop_connect_linear(torch.ones(2, 4), torch.ones(3, 4), p=0.5, training=True, mode="example", key=1)
        tensor([[4., 2., 2.],
                [6., 2., 2.]])

    Source: Wan, Zeiler, Zhang, LeCun, Fergus 2013, "Regularization of neural networks using DropConnect", ICML; local
    reparametrisation: Kingma, Salimans, Welling 2015, arXiv 1506.02557, and Wang, Manning 2013, ICML.
    """
    where = "drop_connect_linear"
    p = check_probability(where, p)
    check_floating_point(where, "input", input)
    check_options(where, mode, inference, num_samples, activation)
    if input.dim() == 0 or input.shape[-1] != weight.shape[1]:
        bad_value(where, "input", f"of {weight.shape[1]} features in its last dimension", f"shape {tuple(input.shape)}")
    operation = Operation(torch.nn.functional.linear, _linear_each, 0, input.dim() > 1)
    options = Options(where, p, mode, drop_bias, inverted, inference, num_samples, activation)
    return run(operation, options, input, weight, bias, training, key, generator, offset)


def _linear_each(x: Tensor, weight: Tensor) -> Tensor:
    if x.dim() == 2:  # a product and a sum are faster than matrix products of one row
        return (weight * x.unsqueeze(1)).sum(-1)
    rows = x.reshape(x.shape[0], math.prod(x.shape[1:-1]), x.shape[-1])
    return torch.bmm(rows, weight.transpose(1, 2)).reshape(*x.shape[:-1], weight.shape[1])
