"""DropConnect for convolutions."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor, nn

from thinout import functional as F
from thinout.functional._drop_connect import Activation
from thinout.nn._drop_connect import _DropConnect, register_drop_connect
from thinout.nn._from_torch import check_source, copy_parameters
from thinout.nn._rate import rate


class _DropConnectConv(_DropConnect, nn.modules.conv._ConvNd):
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
        p: float = 0.5,
        mode: str = "batch",
        drop_bias: bool = False,
        inverted: bool = True,
        inference: str = "mean",
        num_samples: int = 1000,
        activation: Activation | None = None,
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
        self._configure(
            p,
            mode=mode,
            drop_bias=drop_bias,
            inverted=inverted,
            inference=inference,
            num_samples=num_samples,
            activation=activation,
        )

    @classmethod
    def from_torch(cls, module: nn.modules.conv._ConvNd, p: float = 0.5, **options: Any) -> Self:
        """Return a layer with all attributes of a convolution and copies of its parameters."""
        check_source(cls.__name__, module, cls._twin)
        layer = cls(
            module.in_channels,
            module.out_channels,
            module.kernel_size,
            module.stride,
            module.padding,
            module.dilation,
            module.groups,
            module.bias is not None,
            module.padding_mode,
            torch.device("meta"),
            module.weight.dtype,
            p=p,
            **options,
        )
        copy_parameters(module, layer)
        return layer

    def forward(
        self,
        input: Tensor,
        *,
        key: Tensor | int | None = None,
        generator: torch.Generator | None = None,
        offset: int = 0,
    ) -> Tensor:
        """Apply the layer; `key`, `generator` and `offset` as in `thinout.functional.drop_connect_conv`."""
        x, padding = self._pad(input)
        return F.drop_connect_conv(
            x,
            self.weight,
            self.bias,
            rate(self),
            training=self.training,
            stride=self.stride,
            padding=padding,
            dilation=self.dilation,
            groups=self.groups,
            key=key,
            generator=generator,
            offset=offset,
            **self._options(),
        )

    def _pad(self, x: Tensor) -> tuple[Tensor, int | tuple[int, ...] | str]:
        """Pad as the padding mode says; zeros are left to the convolution."""
        if self.padding_mode == "zeros":
            return x, self.padding
        return nn.functional.pad(x, self._reversed_padding_repeated_twice, mode=self.padding_mode), 0


class DropConnectConv1d(_DropConnectConv, nn.Conv1d):
    """A convolution of sequences whose weights are dropped one by one; see `thinout.functional.drop_connect_conv`.

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
        p: drop probability of a weight, in [0, 1]; p and the following arguments are those of `DropConnectLinear`.
        mode: "batch", "example" or "gaussian".
        drop_bias: whether the bias is dropped too.
        inverted: whether kept weights are scaled in training.
        inference: "mean" or "gaussian".
        num_samples: samples of "gaussian" inference.
        activation: applied to the output, a name or a function.

    Shape:
        (N, C, L) or (C, L), as of `torch.nn.Conv1d`.

    Raises:
        ValueError: p outside [0, 1], an unknown mode, an input of another rank.
        TypeError: p is not a number.

    Example:
        >>> DropConnectConv1d(3, 6, 5, p=0.2)(torch.randn(2, 3, 9)).shape
        torch.Size([2, 6, 5])

    Source: Wan et al. 2013, ICML.
    """

    _twin = nn.Conv1d


class DropConnectConv2d(_DropConnectConv, nn.Conv2d):
    """A convolution of images whose weights are dropped one by one; see `thinout.functional.drop_connect_conv`.

    It is a `torch.nn.Conv2d`: it takes the same arguments and loads the same checkpoints. The "drop_connect" of
    EfficientNet's first code is not this: it is stochastic depth.

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
        p: drop probability of a weight, in [0, 1]; p and the following arguments are those of `DropConnectLinear`.
        mode: "batch", "example" or "gaussian".
        drop_bias: whether the bias is dropped too.
        inverted: whether kept weights are scaled in training.
        inference: "mean" or "gaussian".
        num_samples: samples of "gaussian" inference.
        activation: applied to the output, a name or a function.

    Shape:
        (N, C, H, W) or (C, H, W), as of `torch.nn.Conv2d`.

    Raises:
        ValueError: p outside [0, 1], an unknown mode, an input of another rank.
        TypeError: p is not a number.

    Example:
        >>> layer = DropConnectConv2d.from_torch(torch.nn.Conv2d(3, 6, 3, stride=2), p=0.2)
        >>> layer
        DropConnectConv2d(3, 6, kernel_size=(3, 3), stride=(2, 2), p=0.2)
        >>> layer(torch.randn(2, 3, 9, 9)).shape
        torch.Size([2, 6, 4, 4])

    Source: Wan et al. 2013, ICML.
    """

    _twin = nn.Conv2d


class DropConnectConv3d(_DropConnectConv, nn.Conv3d):
    """A convolution of volumes whose weights are dropped one by one; see `thinout.functional.drop_connect_conv`.

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
        padding_mode: "zeros", "reflect", "replicate" or "circular".
        device: where the parameters are.
        dtype: their type.
        p: drop probability of a weight, in [0, 1]; p and the following arguments are those of `DropConnectLinear`.
        mode: "batch", "example" or "gaussian".
        drop_bias: whether the bias is dropped too.
        inverted: whether kept weights are scaled in training.
        inference: "mean" or "gaussian".
        num_samples: samples of "gaussian" inference.
        activation: applied to the output, a name or a function.

    Shape:
        (N, C, D, H, W) or (C, D, H, W), as of `torch.nn.Conv3d`.

    Raises:
        ValueError: p outside [0, 1], an unknown mode, an input of another rank.
        TypeError: p is not a number.

    Example:
        >>> DropConnectConv3d(1, 2, 3, p=0.2)(torch.randn(2, 1, 5, 5, 5)).shape
        torch.Size([2, 2, 3, 3, 3])

    Source: Wan et al. 2013, ICML.
    """

    _twin = nn.Conv3d


for _layer, _size in ((DropConnectConv1d, (5,)), (DropConnectConv2d, (3, 2)), (DropConnectConv3d, (2, 2, 1))):
    register_drop_connect(
        _layer,
        {"in_channels": 2, "out_channels": 4, "kernel_size": 2, "padding": 1, "groups": 2},
        (2, 2, *_size),
        torch.ones(2, 3, *_size),
        r"`input` must be \(N, 2, ...\) or",
    )
