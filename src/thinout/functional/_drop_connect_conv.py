"""DropConnect for convolutions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from thinout._checks import bad_value
from thinout.functional._drop_connect import Activation, Operation, Options, check_options, run
from thinout.functional._shared import check_probability
from thinout.ops._inputs import check_floating_point

_CONVOLUTIONS: dict[int, Callable[..., Tensor]] = {
    1: torch.nn.functional.conv1d,
    2: torch.nn.functional.conv2d,
    3: torch.nn.functional.conv3d,
}


def drop_connect_conv(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    p: float | Tensor = 0.5,
    *,
    training: bool,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
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
    r"""Convolve with filters whose weights are dropped one by one in training; see `drop_connect_linear`.

    .. math:: y = a(u), \quad u = \frac{M \odot W}{1 - p} * x + b, \quad M \sim \text{Bernoulli}(1 - p)

    A mask is one for all positions of a map. With ``mode="gaussian"`` positions are independent: each has the mean and
    the variance that masks give, two together have not their covariance.

    Args:
        input: (N, C, *S), or (C, *S) for one example, with S of as many dimensions as the filters have.
        weight: (out, C / groups, *K), of 1, 2 or 3 dimensions K.
        bias: (out,), or None.
        p: drop probability of a weight, in [0, 1]. 0 draws nothing; 1 gives a(bias).
        training: whether to drop.
        stride: as in `torch.nn.functional.conv2d`; so are padding, dilation and groups.
        padding: number of zeros at each side, "same" or "valid".
        dilation: distance of the filters' elements.
        groups: number of groups of channels.
        mode: "batch", one mask for all examples; "example", one mask each, which takes memory for N weights; or
            "gaussian".
        drop_bias: whether the bias is dropped too, at the same rate.
        inverted: whether the scale 1 / (1 - p) is applied in training.
        inference: "mean" or "gaussian".
        num_samples: samples of "gaussian" inference.
        activation: applied to the output, a name or a function; "gaussian" inference needs it.
        key: key of the mask; None draws one. The Gaussian forms have no key.
        generator: where the key, or the Gaussian noise, is drawn.
        offset: second number that the mask is a function of.

    Returns:
        (N, out, *S'), or (out, *S').

    Raises:
        ValueError: p outside [0, 1], an input of another rank or number of channels, an unknown mode.
        TypeError: the input is not floating point.

    Example:
        >>> drop_connect_conv(torch.ones(1, 1, 4), torch.ones(1, 1, 2), p=0.5, training=True, key=1)
        tensor([[[2., 2., 2.]]])

    Source: Wan, Zeiler, Zhang, LeCun, Fergus 2013, ICML.
    """
    where, rank = "drop_connect_conv", weight.dim() - 2
    p = check_probability(where, p)
    check_floating_point(where, "input", input)
    check_options(where, mode, inference, num_samples, activation)
    if rank not in _CONVOLUTIONS:
        bad_value(where, "weight", "of 3, 4 or 5 dimensions", f"shape {tuple(weight.shape)}")
    channels = groups * weight.shape[1]
    if input.dim() not in (rank + 1, rank + 2) or input.shape[-rank - 1] != channels:
        allowed = f"(N, {channels}, ...) or ({channels}, ...) with {rank} dimensions behind"
        bad_value(where, "input", allowed, f"shape {tuple(input.shape)}")
    convolve = _CONVOLUTIONS[rank]

    def apply(x: Tensor, weight: Tensor, bias: Tensor | None, groups: int = groups) -> Tensor:
        return convolve(x, weight, bias, stride, padding, dilation, groups)

    def each(x: Tensor, weight: Tensor) -> Tensor:
        # One convolution with as many groups as there are examples.
        examples, features = weight.shape[:2]
        y = apply(x.flatten(0, 1).unsqueeze(0), weight.flatten(0, 1), None, examples * groups)
        return y.reshape(examples, features, *y.shape[2:])

    operation = Operation(apply, each, rank, input.dim() == rank + 2)
    options = Options(where, p, mode, drop_bias, inverted, inference, num_samples, activation)
    return run(operation, options, input, weight, bias, training, key, generator, offset)
