"""Dropout of whole channels: the mask of a batch of maps has one entry a map."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from thinout import functional as F
from thinout import ops
from thinout._checks import check_p
from thinout.nn._rate import Rated, rate
from thinout.nn._registry import ErrorInput, LayerSpec, register


class _ChannelDropout(Rated, nn.modules.dropout._DropoutNd):
    """What the three ranks share."""

    _function: ClassVar[Any]

    def __init__(self, p: float = 0.5, inplace: bool = False, *, batched: bool = True) -> None:
        super().__init__(check_p(type(self).__name__, p), inplace)
        self.batched = batched

    def forward(
        self,
        input: Tensor,
        *,
        key: Tensor | int | None = None,
        generator: torch.Generator | None = None,
        offset: int = 0,
    ) -> Tensor:
        """Apply dropout in training mode; `key`, `generator` and `offset` as in `thinout.functional`."""
        y: Tensor = self._function(
            input,
            rate(self),
            training=self.training,
            inplace=self.inplace,
            batched=self.batched,
            key=key,
            generator=generator,
            offset=offset,
        )
        return y

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return super().extra_repr() + ("" if self.batched else ", batched=False")


class Dropout1d(_ChannelDropout, nn.Dropout1d):
    """Drop whole channels of sequences; see `thinout.functional.dropout1d`.

    Args:
        p: drop probability of a channel, in [0, 1].
        inplace: write the result into the input.
        batched: whether inputs are (N, C, L); False for (C, L).

    Shape:
        (N, C, L), or (C, L) with ``batched=False``; the output is like the input.

    Raises:
        ValueError: p outside [0, 1] or an input of another rank.

    Example:
        >>> Dropout1d(p=0.5)(torch.ones(2, 3, 4)).shape
        torch.Size([2, 3, 4])

    Source: Tompson et al. 2015, arXiv 1411.4280.
    """

    _function = staticmethod(F.dropout1d)


class Dropout2d(_ChannelDropout, nn.Dropout2d):
    """Drop whole feature maps of images; see `thinout.functional.dropout2d`.

    Args:
        p: drop probability of a channel, in [0, 1].
        inplace: write the result into the input.
        batched: whether inputs are (N, C, H, W); False for (C, H, W).

    Shape:
        (N, C, H, W), or (C, H, W) with ``batched=False``; the output is like the input.

    Raises:
        ValueError: p outside [0, 1] or an input of another rank.

    Example:
        >>> Dropout2d(p=0.5)(torch.ones(2, 3, 4, 4)).shape
        torch.Size([2, 3, 4, 4])

    Source: Tompson et al. 2015, arXiv 1411.4280.
    """

    _function = staticmethod(F.dropout2d)


class Dropout3d(_ChannelDropout, nn.Dropout3d):
    """Drop whole feature maps of volumes; see `thinout.functional.dropout3d`.

    Args:
        p: drop probability of a channel, in [0, 1].
        inplace: write the result into the input.
        batched: whether inputs are (N, C, D, H, W); False for (C, D, H, W).

    Shape:
        (N, C, D, H, W), or (C, D, H, W) with ``batched=False``; the output is like the input.

    Raises:
        ValueError: p outside [0, 1] or an input of another rank.

    Example:
        >>> Dropout3d(p=0.5)(torch.ones(2, 3, 4, 4, 4)).shape
        torch.Size([2, 3, 4, 4, 4])

    Source: Tompson et al. 2015, arXiv 1411.4280.
    """

    _function = staticmethod(F.dropout3d)


def _reference(module: _ChannelDropout, x: Tensor) -> Tensor:
    noise_shape = [None, None] + [1] * (x.dim() - 2)
    return ops.dropout(x, ops.draw_key(), module.p, noise_shape=noise_shape, backend="reference")


for _layer, _shape in ((Dropout1d, (4, 6, 5)), (Dropout2d, (4, 6, 3, 2)), (Dropout3d, (2, 6, 2, 3, 2))):
    register(
        LayerSpec(
            layer=_layer,
            arguments={"p": 0.3},
            shape=_shape,
            reference=_reference,
            twin=getattr(nn, _layer.__name__),
            errors=(
                ErrorInput(error=ValueError, match=r"`p` must be a number in \[0, 1\], got", arguments={"p": 2}),
                ErrorInput(
                    error=ValueError, match="For one unbatched input pass batched=False", input=torch.ones(_shape[1:])
                ),
                ErrorInput(
                    error=ValueError,
                    match="For a batch pass batched=True",
                    arguments={"batched": False},
                    input=torch.ones(_shape),
                ),
                ErrorInput(
                    error=TypeError,
                    match="`input` must be a floating-point tensor",
                    input=torch.ones(_shape, dtype=torch.int64),
                ),
            ),
        )
    )
