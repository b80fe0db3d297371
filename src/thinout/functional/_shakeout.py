"""Shakeout: dropout of inputs that turns the weights towards sparse ones."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import linear

from thinout import ops
from thinout._checks import check_not_negative, check_p
from thinout.functional._shared import Rate, as_scalar, check_setting, is_off
from thinout.ops._inputs import check_floating_point


def shakeout_linear(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    tau: Rate = 0.5,
    c: Rate = 0.1,
    training: bool,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Apply a linear map whose weights are, input unit by input unit, pushed to their sign times -c or pulled away.

    For each example and input unit :math:`j`, with :math:`s = \text{sign}(W)`,

    .. math:: \tilde W_{ij} = -c s_{ij} \text{ (dropped)}, \quad \frac{W_{ij} + c \tau s_{ij}}{1 - \tau} \text{ (kept)}

    in training, where a unit is dropped with probability :math:`\tau`, and :math:`\tilde W = W` otherwise. The mean is
    :math:`W`, the variance of a weight :math:`(|W_{ij}| + c)^2 \tau / (1 - \tau)`, and 0 for a weight that is 0. With
    :math:`c = 0` it is dropout of the inputs. Two matrix products do it, with :math:`D(x)` the inverted dropout of the
    inputs, and no example has weights of its own:

    .. math:: y = D(x) \, (W + c s)^T - c \, x \, s^T + b

    Args:
        input: (..., F), floating point.
        weight: (G, F).
        bias: (G), or None.
        tau: drop probability of an input unit, in [0, 1]. 0 gives the plain linear map and draws nothing. At 1 every
            weight is :math:`-c s`, which no longer has the mean :math:`W`.
        c: strength of the pull, at least 0.
        training: whether to shake.
        key: key of the mask, which has the shape of the input; None draws one.
        generator: where the key is drawn.
        offset: second number that the mask is a function of.

    Returns:
        (..., G).

    Raises:
        ValueError: tau outside [0, 1], c negative or infinite.
        TypeError: the input is not floating point.

    Example:
        >>> x, w = torch.tensor([[1.0, 1.0]]), torch.tensor([[2.0, -3.0]])
        >>> shakeout_linear(x, w, tau=0.5, c=0.5, training=True, key=1)  # 2 (2 + 0.5 * 0.5) and -0.5 * -1
        tensor([[5.]])

    Source: Kang, Li, Tao 2016, AAAI; 2018, TPAMI, arXiv 1904.06593. The default of c is not the paper's.
    """
    where = "shakeout_linear"
    tau = check_setting(where, "tau", tau, check_p)
    c = check_setting(where, "c", c, check_not_negative)
    check_floating_point(where, "input", input)
    if is_off(tau, training):
        return linear(input, weight, bias)
    if key is None:
        key = ops.draw_key(generator)
    dropped = ops.dropout(input, key, tau, offset=offset)
    if not isinstance(c, Tensor) and c == 0:
        return linear(dropped, weight, bias)
    pull = weight.detach().sign() * as_scalar(c, weight)  # its gradient is 0: without detach it would cost a product
    return linear(dropped, weight + pull, bias) - linear(input, pull)
