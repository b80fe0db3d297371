"""Dropout of single elements."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from thinout import functional as F
from thinout import ops
from thinout._checks import check_p
from thinout.functional._shared import drop
from thinout.nn._rate import Rated, rate
from thinout.nn._registry import ErrorInput, LayerSpec, register


class Dropout(Rated, nn.Dropout):
    """Drop elements in training and scale the rest by 1 / (1 - p); see `thinout.functional.dropout`.

    It is a `torch.nn.Dropout`: `isinstance` finds it, it takes the same arguments and loads the same checkpoints. `p`
    can be set at any time, in compiled models too, which are not compiled again for it.

    Args:
        p: drop probability in [0, 1].
        inplace: write the result into the input.
        noise_shape: shape of the mask before it is broadcast: an entry 1 is shared, None is as the input.

    Shape:
        Any; the output is like the input.

    Raises:
        ValueError: p outside [0, 1].
        TypeError: p is not a number.

    Example:
        >>> layer = Dropout(p=0.2)
        >>> layer(torch.ones(2, 3)).shape
        torch.Size([2, 3])
        >>> layer.eval()(torch.ones(3))
        tensor([1., 1., 1.])

    Source: Hinton et al. 2012, arXiv 1207.0580; Srivastava et al. 2014, JMLR 15:1929-1958.
    """

    def __init__(
        self, p: float = 0.5, inplace: bool = False, *, noise_shape: Sequence[int | None] | None = None
    ) -> None:
        super().__init__(check_p(type(self).__name__, p), inplace)
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)

    def forward(
        self,
        input: Tensor,
        *,
        key: Tensor | int | None = None,
        generator: torch.Generator | None = None,
        offset: int = 0,
    ) -> Tensor:
        """Apply dropout in training mode; `key`, `generator` and `offset` as in `thinout.functional.dropout`."""
        # What `functional.dropout` calls, without its keywords, which take small tensors as long as the kernel.
        return drop("dropout", input, rate(self), self.training, self.inplace, self.noise_shape, key, generator, offset)

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return super().extra_repr() + ("" if self.noise_shape is None else f", noise_shape={self.noise_shape}")


class ClassicDropout(Rated, nn.Dropout):
    """Drop elements in training without scaling, and multiply by 1 - p in eval; see `functional.classic_dropout`.

    Args:
        p: drop probability in [0, 1].
        inplace: write the result into the input.

    Shape:
        Any; the output is like the input.

    Raises:
        ValueError: p outside [0, 1].
        TypeError: p is not a number.

    Example:
        >>> ClassicDropout(p=0.5).eval()(torch.ones(3))
        tensor([0.5000, 0.5000, 0.5000])

    Source: Srivastava et al. 2014, JMLR 15:1929-1958, section 4.
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__(check_p(type(self).__name__, p), inplace)

    def forward(
        self,
        input: Tensor,
        *,
        key: Tensor | int | None = None,
        generator: torch.Generator | None = None,
        offset: int = 0,
    ) -> Tensor:
        """Apply the mask in training mode, the factor 1 - p in eval mode."""
        return F.classic_dropout(
            input,
            rate(self),
            training=self.training,
            inplace=self.inplace,
            key=key,
            generator=generator,
            offset=offset,
        )


def _reference(module: nn.Dropout, x: Tensor) -> Tensor:
    rescale = isinstance(module, Dropout)
    noise_shape = getattr(module, "noise_shape", None)
    return ops.dropout(x, ops.draw_key(), module.p, noise_shape=noise_shape, rescale=rescale, backend="reference")


_RATE_ERRORS = tuple(
    ErrorInput(error=error, match=r"`p` must be a number in \[0, 1\], got", arguments={"p": p})
    for p, error in ((-0.1, ValueError), (1.5, ValueError), (float("nan"), ValueError), ("0.5", TypeError))
)
_ELEMENT_ERRORS = (
    *_RATE_ERRORS,
    ErrorInput(
        error=TypeError, match="`input` must be a floating-point tensor", input=torch.ones(3, dtype=torch.int64)
    ),
    ErrorInput(
        error=TypeError, match="`input` must be a floating-point tensor", input=torch.ones(3, dtype=torch.cfloat)
    ),
)

register(
    LayerSpec(
        layer=Dropout,
        arguments={"p": 0.3},
        shape=(5, 4, 3),
        reference=_reference,
        twin=nn.Dropout,
        any_rank=True,
        errors=(
            *_ELEMENT_ERRORS,
            ErrorInput(
                error=ValueError,
                match="`noise_shape` must be of length 2",
                arguments={"noise_shape": (1, None, 1)},
                input=torch.ones(2, 3),
            ),
        ),
    )
)
register(
    LayerSpec(
        layer=ClassicDropout,
        arguments={"p": 0.3},
        shape=(5, 4, 3),
        reference=_reference,
        evaluate=lambda module, x: x * (1 - ops.effective_p(module.p)),
        any_rank=True,
        errors=_ELEMENT_ERRORS,
    )
)
