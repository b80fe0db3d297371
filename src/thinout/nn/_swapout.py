"""Swapout: dropout on both arms of a residual block."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from thinout import functional as F
from thinout import ops
from thinout._checks import check_p
from thinout.nn._rate import Adjustable, Setting, rate
from thinout.nn._registry import ErrorInput, LayerSpec, register


class Swapout(Adjustable):
    """Join the arms of a residual block, each dropped by a mask of its own; see `thinout.functional.swapout`.

    Args:
        p_skip: drop probability of elements of the skip connection, in [0, 1].
        p_branch: drop probability of elements of the branch, in [0, 1].
        noise_shape: shape of both masks before they are broadcast: an entry 1 is shared, None is as the input.

    Shape:
        Two inputs of one shape; the output is like them.

    Raises:
        ValueError: a rate outside [0, 1], inputs of different shapes.
        TypeError: a rate is not a number.

    Example:
        >>> block, join = torch.nn.Linear(4, 4), Swapout(p_skip=0.2, p_branch=0.5)
        >>> x = torch.randn(2, 4)
        >>> join(x, block(x)).shape
        torch.Size([2, 4])

    Source: Singh, Hoiem, Forsyth 2016, NIPS, arXiv 1605.06465.
    """

    p_skip = Setting()
    p_branch = Setting()

    def __init__(
        self, p_skip: float = 0.5, p_branch: float = 0.5, *, noise_shape: Sequence[int | None] | None = None
    ) -> None:
        super().__init__()
        self.p_skip = check_p(type(self).__name__, p_skip, "p_skip")
        self.p_branch = check_p(type(self).__name__, p_branch, "p_branch")
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)

    def forward(
        self,
        input: Tensor,
        branch: Tensor,
        *,
        key: Tensor | int | None = None,
        generator: torch.Generator | None = None,
        offset: int = 0,
    ) -> Tensor:
        """Join input and branch: by masks in training mode, by their keep probabilities in eval mode."""
        return F.swapout(
            input,
            branch,
            p_skip=rate(self, "p_skip"),
            p_branch=rate(self, "p_branch"),
            training=self.training,
            noise_shape=self.noise_shape,
            key=key,
            generator=generator,
            offset=offset,
        )

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        shared = "" if self.noise_shape is None else f", noise_shape={self.noise_shape}"
        return f"p_skip={self.p_skip}, p_branch={self.p_branch}{shared}"


def _inputs(dtype: torch.dtype, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    x, branch = torch.randn(2, 5, 4, 3, generator=generator, dtype=torch.float64)
    return x.to(dtype), branch.to(dtype)


_GOLDEN = 0x9E3779B97F4A7C15 - 2**64


def _reference(layer: Swapout, x: Tensor, branch: Tensor) -> Tensor:
    key = ops.draw_key()
    keep_skip = ops.dropout_mask(tuple(x.shape), key, layer.p_skip, backend="reference")
    keep_branch = ops.dropout_mask(tuple(x.shape), key + _GOLDEN, layer.p_branch, backend="reference")
    zero = torch.zeros_like(x)
    return torch.where(keep_skip, x, zero) + torch.where(keep_branch, branch, zero)


def _evaluate(layer: Swapout, x: Tensor, branch: Tensor) -> Tensor:
    return x * (1 - ops.effective_p(layer.p_skip)) + branch * (1 - ops.effective_p(layer.p_branch))


register(
    LayerSpec(
        layer=Swapout,
        arguments={"p_skip": 0.3, "p_branch": 0.6},
        inputs=_inputs,
        reference=_reference,
        evaluate=_evaluate,
        rates=("p_skip", "p_branch"),
        selects=False,
        errors=(
            *(
                ErrorInput(error=error, match=rf"`{name}` must be a number in \[0, 1\], got", arguments={name: wrong})
                for name in ("p_skip", "p_branch")
                for wrong, error in (
                    (-0.1, ValueError),
                    (1.5, ValueError),
                    (float("nan"), ValueError),
                    ("1", TypeError),
                )
            ),
            ErrorInput(
                error=ValueError,
                match=r"`branch` must be of the shape \(2, 3\)",
                input=(torch.ones(2, 3), torch.ones(3)),
            ),
            ErrorInput(
                error=TypeError,
                match="`branch` must be a floating-point tensor",
                input=(torch.ones(2), torch.ones(2, dtype=torch.int64)),
            ),
            ErrorInput(
                error=ValueError,
                match="`noise_shape` must be of length 2",
                arguments={"noise_shape": (1, None, 1)},
                input=(torch.ones(2, 3), torch.ones(2, 3)),
            ),
        ),
    )
)
