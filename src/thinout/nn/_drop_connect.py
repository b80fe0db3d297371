"""DropConnect: linear layers and convolutions whose weights are dropped one by one."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from thinout import functional as F
from thinout import ops
from thinout._checks import check_p
from thinout.functional._drop_connect import Activation, check_options
from thinout.nn._from_torch import check_source, copy_parameters
from thinout.nn._rate import Rated, rate
from thinout.nn._registry import ErrorInput, LayerSpec, register

_DEFAULTS = {
    "mode": "batch",
    "drop_bias": False,
    "inverted": True,
    "inference": "mean",
    "num_samples": 1000,
    "activation": None,
}


class _DropConnect(Rated):
    """What linear layers and convolutions share: the settings of the noise."""

    mode: str
    drop_bias: bool
    inverted: bool
    inference: str
    num_samples: int
    activation: Activation | None

    def _configure(self, p: float, **options: Any) -> None:
        where = type(self).__name__
        self.p = check_p(where, p)
        check_options(where, *(options[name] for name in ("mode", "inference", "num_samples", "activation")))
        for name in _DEFAULTS:
            setattr(self, name, options[name])

    def _options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _DEFAULTS}

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        options = [f"{name}={value!r}" for name, value in self._options().items() if value != _DEFAULTS[name]]
        return ", ".join([super().extra_repr(), f"p={self.p}", *options])


class DropConnectLinear(_DropConnect, nn.Linear):
    """A linear layer whose weights are dropped one by one in training; see `thinout.functional.drop_connect_linear`.

    It is a `torch.nn.Linear`: it takes the same arguments and loads the same checkpoints.

    Args:
        in_features: size of an input.
        out_features: size of an output.
        bias: whether there is a bias.
        device: where the parameters are.
        dtype: their type.
        p: drop probability of a weight, in [0, 1].
        mode: "batch", one mask for all examples; "example", one mask each, which takes memory for N weights; or
            "gaussian", noise of the same mean and variance on each output.
        drop_bias: whether the bias is dropped too.
        inverted: whether kept weights are scaled in training; otherwise weights are scaled in eval.
        inference: "mean", or "gaussian" for the paper's average of the activation over samples.
        num_samples: samples of "gaussian" inference.
        activation: applied to the output, a name or a function; "gaussian" inference needs it.

    Shape:
        (N, *, in_features) to (N, *, out_features).

    Raises:
        ValueError: p outside [0, 1], an unknown mode, "gaussian" inference without an activation.
        TypeError: p is not a number.

    Example:
        >>> layer = DropConnectLinear(20, 30, p=0.5, mode="example")
        >>> layer(torch.randn(8, 20)).shape
        torch.Size([8, 30])
        >>> DropConnectLinear.from_torch(torch.nn.Linear(20, 30), p=0.2)
        DropConnectLinear(in_features=20, out_features=30, bias=True, p=0.2)

    Source: Wan, Zeiler, Zhang, LeCun, Fergus 2013, "Regularization of neural networks using DropConnect", ICML.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
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
        super().__init__(in_features, out_features, bias, device, dtype)
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
    def from_torch(cls, module: nn.Linear, p: float = 0.5, **options: Any) -> Self:
        """Return a layer with copies of a linear layer's parameters; `options` are arguments of the constructor."""
        check_source(cls.__name__, module, nn.Linear)
        layer = cls(
            module.in_features,
            module.out_features,
            module.bias is not None,
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
        """Apply the layer; `key`, `generator` and `offset` as in `thinout.functional.drop_connect_linear`."""
        return F.drop_connect_linear(
            input,
            self.weight,
            self.bias,
            rate(self),
            training=self.training,
            key=key,
            generator=generator,
            offset=offset,
            **self._options(),
        )


class _DropConnectConv(_DropConnect, nn.modules.conv._ConvNd):
    """What the three ranks share."""

    _twin: ClassVar[type[nn.modules.conv._ConvNd]]

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


def _plain(module: nn.Module, x: Tensor) -> Tensor:
    """Compute what torch's own class computes with the layer's weights."""
    kind: Any = nn.Linear if isinstance(module, DropConnectLinear) else module._twin
    return kind.forward(module, x)  # type: ignore[no-any-return]


def _bias_alone(module: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        weight = torch.zeros_like(module.get_parameter("weight"))
        return torch.func.functional_call(module.eval(), {"weight": weight}, (torch.zeros_like(x),))  # type: ignore[no-any-return]


def _reference(module: _DropConnect, x: Tensor) -> Tensor:
    """Compute the output example by example, with the mask of each."""
    key, weight, bias = ops.draw_key(), module.get_parameter("weight"), module.get_parameter("bias")

    def drop(parameter: Tensor, number: int, its_key: Tensor) -> Tensor:
        shape = (number + 1, *parameter.shape) if module.mode == "example" else parameter.shape
        masked = ops.dropout(parameter.expand(shape), its_key, module.p, rescale=module.inverted, backend="reference")
        return masked[number] if module.mode == "example" else masked

    def one(number: int) -> Tensor:
        state = {"weight": drop(weight, number, key)}
        if module.drop_bias:
            state["bias"] = drop(bias, number, key - 0x61C8864680B583EB)
        plain = _Plain(module)
        return torch.func.functional_call(plain, {f"layer.{n}": w for n, w in state.items()}, (x[number],))  # type: ignore[no-any-return]

    return torch.stack([one(number) for number in range(x.shape[0])])


class _Plain(nn.Module):
    """A layer as torch's own class would apply it."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return _plain(self.layer, x)


_INTEGERS = ErrorInput(
    error=TypeError, match="`input` must be a floating-point tensor", input=torch.ones(3, 4, dtype=torch.int64)
)
_OPTION_ERRORS = (
    ({"p": 1.5}, ValueError, r"`p` must be a number in \[0, 1\], got 1.5"),
    ({"p": float("nan")}, ValueError, r"`p` must be a number in \[0, 1\], got nan"),
    ({"mode": "row"}, ValueError, "`mode` must be one of batch, example, gaussian, got 'row'"),
    ({"inference": "median"}, ValueError, "`inference` must be one of gaussian, mean, got 'median'"),
    ({"inference": "gaussian"}, ValueError, "`activation` must be given where inference='gaussian', got None"),
    ({"activation": "swish"}, ValueError, "`activation` must be one of elu, gelu, relu"),
    ({"activation": 3}, TypeError, "`activation` must be a name, a function of a tensor or None, got 3"),
    ({"num_samples": 0}, ValueError, "`num_samples` must be a whole number of at least 1, got 0"),
)


def _register(layer: type[nn.Module], arguments: dict[str, Any], shape: tuple[int, ...], wrong: Tensor) -> None:
    shape_error = "`input` must be " + ("of 5 features" if layer is DropConnectLinear else r"\(N, 2, ...\) or")
    register(
        LayerSpec(
            layer=layer,
            arguments={**arguments, "p": 0.3},
            shape=shape,
            reference=_reference,
            evaluate=_plain,
            full=_bias_alone,
            selects=False,
            tolerance=1e-5,
            errors=(
                *(
                    ErrorInput(error=error, match=match, arguments={**arguments, **options})
                    for options, error, match in _OPTION_ERRORS
                ),
                ErrorInput(error=ValueError, match=shape_error, input=wrong),
                _INTEGERS,
            ),
            twin=nn.Linear if layer is DropConnectLinear else layer._twin,  # type: ignore[attr-defined]
        )
    )


_register(DropConnectLinear, {"in_features": 5, "out_features": 6}, (3, 5), torch.ones(3, 4))
for _layer, _size in ((DropConnectConv1d, (5,)), (DropConnectConv2d, (3, 2)), (DropConnectConv3d, (2, 2, 1))):
    _register(
        _layer,
        {"in_channels": 2, "out_channels": 4, "kernel_size": 2, "padding": 1, "groups": 2},
        (2, 2, *_size),
        torch.ones(2, 3, *_size),
    )
