"""Concrete dropout of whole channels: layers that learn the rate at which they drop maps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from thinout._checks import bad_value
from thinout.functional._concrete import concrete_dropout_maps
from thinout.nn._concrete import _Concrete, register_concrete
from thinout.nn._rate import rate
from thinout.nn._registry import ErrorInput


class _ConcreteMaps(_Concrete):
    """What the layers for maps share."""

    _temperature_default = 2 / 3

    def __init__(
        self,
        p: float = 0.1,
        *,
        following: nn.Module | Sequence[nn.Module] | None = None,
        num_units: int | None = None,
        temperature: float | None = None,
        weight_regularizer: float = 5e-9,
        dropout_regularizer: float = 1.0,
        batched: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            p,
            following=following,
            num_units=num_units,
            temperature=temperature,
            weight_regularizer=weight_regularizer,
            dropout_regularizer=dropout_regularizer,
            device=device,
            dtype=dtype,
        )
        self.batched = batched

    def forward(self, input: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Apply the mask in training mode."""
        return concrete_dropout_maps(
            f"concrete_dropout{len(self._letters)}d",
            self._letters,
            input,
            self.p_logit,
            rate(self, "temperature"),
            self.training,
            self.batched,
            generator,
        )

    def _count(self, layer: nn.Module) -> int:
        channels = getattr(layer, "in_channels", None)  # the weight of a grouped convolution does not have them all
        if not isinstance(channels, int):
            remedy = "Before another layer pass num_units, the number of channels that are dropped."
            bad_value(type(self).__name__, "following", "a convolution", type(layer).__name__, remedy)
        return channels

    def extra_repr(self) -> str:
        """Return the arguments of the constructor, with the rate as it is now."""
        return super().extra_repr() + ("" if self.batched else ", batched=False")


class ConcreteDropout1d(_ConcreteMaps):
    """Drop whole channels of sequences by a continuous mask and learn the rate; see `ConcreteDropout`.

    Args:
        p: rate to begin with, in (0, 1).
        following: the convolution that sees the dropped channels, or several.
        num_units: number of channels that are dropped, where it is not the input channels of `following`.
        temperature: of the mask, positive; 2/3 by default, as in the authors' code for images.
        weight_regularizer: as in `ConcreteDropout`; so are the following arguments.
        dropout_regularizer: 1 for the bound on the evidence.
        batched: whether inputs are (N, C, L); False for (C, L).
        device: where the parameter is.
        dtype: its type.

    Shape:
        (N, C, L), or (C, L) with ``batched=False``; the output is like the input.

    Raises:
        ValueError: p not inside of (0, 1), an input of another rank.

    Example:
        >>> conv = nn.Conv1d(3, 6, 5)
        >>> conv(ConcreteDropout1d(0.1, following=conv)(torch.randn(2, 3, 9))).shape
        torch.Size([2, 6, 5])

    Source: Gal, Hron, Kendall 2017, arXiv 1705.07832.
    """

    _letters = "L"
    _twin = nn.Dropout1d


class ConcreteDropout2d(_ConcreteMaps):
    """Drop whole feature maps of images by a continuous mask and learn the rate; see `ConcreteDropout`.

    Args:
        p: rate to begin with, in (0, 1).
        following: the convolution that sees the dropped channels, or several.
        num_units: number of channels that are dropped, where it is not the input channels of `following`.
        temperature: of the mask, positive; 2/3 by default, as in the authors' code for images.
        weight_regularizer: as in `ConcreteDropout`; so are the following arguments.
        dropout_regularizer: 1 for the bound on the evidence.
        batched: whether inputs are (N, C, H, W); False for (C, H, W).
        device: where the parameter is.
        dtype: its type.

    Shape:
        (N, C, H, W), or (C, H, W) with ``batched=False``; the output is like the input.

    Raises:
        ValueError: p not inside of (0, 1), an input of another rank.

    Example:
        >>> conv = nn.Conv2d(3, 6, 3)
        >>> conv(ConcreteDropout2d(0.1, following=conv)(torch.randn(2, 3, 9, 9))).shape
        torch.Size([2, 6, 7, 7])

    Source: Gal, Hron, Kendall 2017, arXiv 1705.07832.
    """

    _letters = "HW"
    _twin = nn.Dropout2d


class ConcreteDropout3d(_ConcreteMaps):
    """Drop whole feature maps of volumes by a continuous mask and learn the rate; see `ConcreteDropout`.

    Args:
        p: rate to begin with, in (0, 1).
        following: the convolution that sees the dropped channels, or several.
        num_units: number of channels that are dropped, where it is not the input channels of `following`.
        temperature: of the mask, positive; 2/3 by default, as in the authors' code for images.
        weight_regularizer: as in `ConcreteDropout`; so are the following arguments.
        dropout_regularizer: 1 for the bound on the evidence.
        batched: whether inputs are (N, C, D, H, W); False for (C, D, H, W).
        device: where the parameter is.
        dtype: its type.

    Shape:
        (N, C, D, H, W), or (C, D, H, W) with ``batched=False``; the output is like the input.

    Raises:
        ValueError: p not inside of (0, 1), an input of another rank.

    Example:
        >>> ConcreteDropout3d(0.1)(torch.randn(2, 3, 4, 4, 4)).shape
        torch.Size([2, 3, 4, 4, 4])

    Source: Gal, Hron, Kendall 2017, arXiv 1705.07832.
    """

    _letters = "DHW"
    _twin = nn.Dropout3d


for _layer, _shape in (
    (ConcreteDropout1d, (4, 6, 5)),
    (ConcreteDropout2d, (4, 6, 3, 2)),
    (ConcreteDropout3d, (2, 6, 2, 3, 2)),
):
    register_concrete(
        _layer,
        _shape,
        nn.utils.skip_init(nn.Linear, 3, 2),
        "`following` must be a convolution, got Linear. Before another layer pass num_units",
        ErrorInput(
            error=ValueError,
            match=r"`input` must be a tensor of . dimensions \(N, C, .*For one unbatched input pass batched=False",
            input=torch.ones(_shape[1:]),
        ),
    )
