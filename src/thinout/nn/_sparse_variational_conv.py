"""Sparse variational dropout for convolutions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from thinout import functional as F
from thinout.nn._rate import rate
from thinout.nn._sparse_variational import _SparseVariational, register_sparse_variational


class _SparseVariationalConv(_SparseVariational, nn.modules.conv._ConvNd):
    """What the three ranks share."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, ...],
        stride: int | tuple[int, ...] = 1,
        padding: int | tuple[int, ...] | str = 0,
        dilation: int | tuple[int, ...] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        threshold: float = 3.0,
        initial_log_sigma2: float = -10.0,
    ) -> None:
        construct: Any = super().__init__  # of torch's convolution of this rank
        construct(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )
        self._configure(threshold, initial_log_sigma2)

    @staticmethod
    def _arguments(module: Any) -> dict[str, Any]:
        names = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups")
        return {
            **{name: getattr(module, name) for name in (*names, "padding_mode")},
            "bias": module.bias is not None,
            "dtype": module.weight.dtype,
        }

    def forward(self, input: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Apply the layer: with noise in training mode, pruned in eval mode."""
        x = input
        padding: int | str | tuple[int, ...] = self.padding
        if self.padding_mode != "zeros":  # zeros are left to the convolution
            x, padding = nn.functional.pad(x, self._reversed_padding_repeated_twice, mode=self.padding_mode), 0
        return F.sparse_variational_conv(
            x,
            self.weight,
            self.log_sigma2,
            self.bias,
            training=self.training,
            stride=self.stride,
            padding=padding,
            dilation=self.dilation,
            groups=self.groups,
            threshold=rate(self, "threshold"),
            generator=generator,
        )


class SparseVariationalConv1d(_SparseVariationalConv, nn.Conv1d):
    """A convolution of sequences that learns which weights it can do without; see `SparseVariationalLinear`.

    It is a `torch.nn.Conv1d`: it takes the same arguments and loads the same checkpoints.

    Args:
        in_channels: number of input channels; the following arguments are those of `torch.nn.Conv1d`.
        out_channels: number of output channels.
        kernel_size: length of the filters.
        stride: step of the filters.
        padding: padding at both sides, a number, "same" or "valid".
        dilation: distance of the filters' elements.
        groups: number of groups of channels.
        bias: whether there is a bias.
        padding_mode: "zeros", "reflect", "replicate" or "circular".
        device: where the parameters are.
        dtype: their type.
        threshold: of log alpha, at least 0, from which a weight is 0 in eval mode.
        initial_log_sigma2: logarithm of the variance to begin with.

    Shape:
        (N, C, L) or (C, L), as of `torch.nn.Conv1d`.

    Raises:
        ValueError: a negative threshold, an input of another rank.

    Example:
        >>> SparseVariationalConv1d(3, 6, 5)(torch.randn(2, 3, 9)).shape
        torch.Size([2, 6, 5])

    Source: Molchanov, Ashukha, Vetrov 2017, arXiv 1701.05369.
    """

    _twin = nn.Conv1d


class SparseVariationalConv2d(_SparseVariationalConv, nn.Conv2d):
    """A convolution of images that learns which weights it can do without; see `SparseVariationalLinear`.

    It is a `torch.nn.Conv2d`: it takes the same arguments and loads the same checkpoints.

    Args:
        in_channels: number of input channels; the following arguments are those of `torch.nn.Conv2d`.
        out_channels: number of output channels.
        kernel_size: size of the filters.
        stride: step of the filters.
        padding: padding at all sides, a number, a pair, "same" or "valid".
        dilation: distance of the filters' elements.
        groups: number of groups of channels.
        bias: whether there is a bias.
        padding_mode: "zeros", "reflect", "replicate" or "circular".
        device: where the parameters are.
        dtype: their type.
        threshold: of log alpha, at least 0, from which a weight is 0 in eval mode.
        initial_log_sigma2: logarithm of the variance to begin with.

    Shape:
        (N, C, H, W) or (C, H, W), as of `torch.nn.Conv2d`.

    Raises:
        ValueError: a negative threshold, an input of another rank.

    Example:
        >>> layer = SparseVariationalConv2d.from_torch(nn.Conv2d(3, 6, 3, padding="same"))
        >>> layer(torch.randn(2, 3, 9, 9)).shape
        torch.Size([2, 6, 9, 9])

    Source: Molchanov, Ashukha, Vetrov 2017, arXiv 1701.05369.
    """

    _twin = nn.Conv2d


class SparseVariationalConv3d(_SparseVariationalConv, nn.Conv3d):
    """A convolution of volumes that learns which weights it can do without; see `SparseVariationalLinear`.

    It is a `torch.nn.Conv3d`: it takes the same arguments and loads the same checkpoints.

    Args:
        in_channels: number of input channels; the following arguments are those of `torch.nn.Conv3d`.
        out_channels: number of output channels.
        kernel_size: size of the filters.
        stride: step of the filters.
        padding: padding at all sides, a number, a triple, "same" or "valid".
        dilation: distance of the filters' elements.
        groups: number of groups of channels.
        bias: whether there is a bias.
        padding_mode: "zeros", "replicate" or "circular".
        device: where the parameters are.
        dtype: their type.
        threshold: of log alpha, at least 0, from which a weight is 0 in eval mode.
        initial_log_sigma2: logarithm of the variance to begin with.

    Shape:
        (N, C, D, H, W) or (C, D, H, W), as of `torch.nn.Conv3d`.

    Raises:
        ValueError: a negative threshold, an input of another rank.

    Example:
        >>> SparseVariationalConv3d(3, 6, 2)(torch.randn(2, 3, 4, 4, 4)).shape
        torch.Size([2, 6, 3, 3, 3])

    Source: Molchanov, Ashukha, Vetrov 2017, arXiv 1701.05369.
    """

    _twin = nn.Conv3d


for _layer, _rank, _sizes in (
    (SparseVariationalConv1d, 1, (4,)),
    (SparseVariationalConv2d, 2, (3, 3)),
    (SparseVariationalConv3d, 3, (2, 2, 2)),
):
    register_sparse_variational(
        _layer,
        {"in_channels": 2, "out_channels": 4, "kernel_size": 2, "groups": 2},
        (2, 2, *_sizes),
        torch.ones(2, 3, *_sizes),
        r"`input` must be \(N, 2, \.\.\.\) or \(2, \.\.\.\) with . dimensions behind",
    )
