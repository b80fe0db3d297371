"""Nested dropout: what is kept is a prefix of the units."""

from __future__ import annotations

import torch
from torch import Tensor

from thinout._checks import bad_value
from thinout.functional._shared import Rate, as_scalar, check_probability, draw_uniform, is_off, select
from thinout.ops._inputs import check_floating_point


def nested_dropout(
    input: Tensor, p: Rate, *, training: bool, dim: int = 1, generator: torch.Generator | None = None
) -> Tensor:
    r"""Keep the first units of each example up to a random one, and drop those behind it.

    .. math:: y_i = x_i \ \text{if } i \le b, \quad y_i = 0 \ \text{otherwise}, \quad b \sim \text{Geometric}(p)

    in training, :math:`y = x` otherwise, for units :math:`i = 1 \ldots K`, without rescaling. Unit :math:`i` is kept
    with probability :math:`(1 - p)^{i - 1}`, the first one always. So the units become ordered, by what they are worth,
    and at test time a prefix of them is a shorter code.

    Args:
        input: floating-point tensor with the examples in dimension 0, unless that is `dim`.
        p: probability in [0, 1] that a prefix ends behind a unit. 0 returns the input itself and draws nothing; 1 keeps
            the first unit alone.
        training: whether to drop.
        dim: dimension of the units. All other dimensions but the first share the prefix of their example.
        generator: where the uniform number an example is drawn; None is torch's default generator.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: p outside [0, 1], a dimension that the input does not have.
        TypeError: the input is not floating point.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> nested_dropout(torch.ones(3, 6), 0.3, training=True)
        tensor([[1., 1., 0., 0., 0., 0.],
                [1., 0., 0., 0., 0., 0.],
                [1., 1., 1., 1., 1., 1.]])

    Source: Rippel, Gelbart, Adams 2014, ICML, arXiv 1402.0915; their :math:`\rho` is :math:`1 - p`.
    """
    where = "nested_dropout"
    p = check_probability(where, p)
    check_floating_point(where, "input", input)
    if not -input.dim() <= dim < input.dim():
        bad_value(where, "dim", f"a dimension of the input {tuple(input.shape)}", dim)
    if is_off(p, training):
        return input
    dim %= input.dim()
    units, examples = [1] * input.dim(), [1] * input.dim()
    examples[0] = input.shape[0]
    units[dim], examples[dim] = input.shape[dim], 1
    number = draw_uniform(input, examples, generator)
    exponent = torch.arange(input.shape[dim], dtype=number.dtype, device=input.device).view(units)
    # One number an example, compared with P(b >= i): what it leaves is a prefix, and 1 > number keeps the first unit.
    keep = number < (1 - as_scalar(p, number)) ** exponent
    return select(keep, input)
