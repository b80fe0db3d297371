"""Nested dropout: what is kept is a prefix of the units."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from thinout import functional as F
from thinout._checks import check_integer, check_p
from thinout.nn._rate import Rated, rate
from thinout.nn._registry import ErrorInput, LayerSpec, register


class NestedDropout(Rated):
    """Keep a random prefix of the units of each example; see `thinout.functional.nested_dropout`.

    Args:
        p: probability in [0, 1] that a prefix ends behind a unit; the mean length is 1 / p if there are enough units.
        dim: dimension of the units.

    Shape:
        (N, ...) with the units in dimension `dim`; the output is like the input.

    Raises:
        ValueError: p outside [0, 1], a dimension that the input does not have.
        TypeError: p is not a number.

    Example:
        >>> NestedDropout(p=0.1)(torch.ones(2, 8)).shape
        torch.Size([2, 8])

    Source: Rippel, Gelbart, Adams 2014, ICML, arXiv 1402.0915.
    """

    def __init__(self, p: float, *, dim: int = 1) -> None:
        super().__init__()
        self.p = check_p(type(self).__name__, p)
        self.dim = check_integer(type(self).__name__, "dim", dim)

    def forward(self, input: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Drop the units behind the prefix in training mode."""
        return F.nested_dropout(input, rate(self), training=self.training, dim=self.dim, generator=generator)

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return f"p={self.p}, dim={self.dim}"


def _reference(layer: NestedDropout, x: Tensor) -> Tensor:
    """Draw the lengths of the prefixes by the inverse of the geometric distribution."""
    numbers = torch.rand(len(x), dtype=torch.promote_types(x.dtype, torch.float32)).tolist()
    y = torch.zeros_like(x)
    for row, number in enumerate(numbers):
        length = math.ceil(math.log(number) / math.log(1 - layer.p)) if number else x.shape[1]
        y[row, :length] = x[row, :length]
    return y


def _first(layer: NestedDropout, x: Tensor) -> Tensor:
    return torch.cat((x[:, :1], torch.zeros_like(x[:, 1:])), dim=1)


register(
    LayerSpec(
        layer=NestedDropout,
        arguments={"p": 0.2},
        shape=(8, 6, 2),
        reference=_reference,
        full=_first,
        errors=(
            *(
                ErrorInput(error=error, match=r"`p` must be a number in \[0, 1\], got", arguments={"p": p})
                for p, error in ((-0.1, ValueError), (1.5, ValueError), (float("nan"), ValueError), ("0.5", TypeError))
            ),
            ErrorInput(error=ValueError, match="`dim` must be a dimension of the input", input=torch.ones(3)),
            ErrorInput(
                error=TypeError,
                match="`input` must be a floating-point tensor",
                input=torch.ones(3, 3, dtype=torch.int64),
            ),
        ),
    )
)
