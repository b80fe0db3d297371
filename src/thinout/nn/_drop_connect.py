"""DropConnect: layers whose weights are dropped one by one; here what they share, and the linear layer."""

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
    """What linear layers and convolutions share: the settings of the noise. `_twin` is torch's class."""

    _twin: ClassVar[type[nn.Module]]
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

    _twin = nn.Linear

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


class _Plain(nn.Module):
    """A layer as torch's own class applies it."""

    def __init__(self, layer: _DropConnect) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer._twin.forward(self.layer, x)
        return y


def _bias_alone(module: _DropConnect, x: Tensor) -> Tensor:
    weight = torch.zeros_like(module.get_parameter("weight"))
    y: Tensor = torch.func.functional_call(_Plain(module), {"layer.weight": weight}, (torch.zeros_like(x),))
    return y.detach()


def _reference(module: _DropConnect, x: Tensor) -> Tensor:
    """Compute the output example by example, with the mask of each."""
    key, weight, bias = ops.draw_key(), module.get_parameter("weight"), module.get_parameter("bias")

    def drop(parameter: Tensor, number: int, its_key: Tensor) -> Tensor:
        shape = (number + 1, *parameter.shape) if module.mode == "example" else parameter.shape
        masked = ops.dropout(parameter.expand(shape), its_key, module.p, rescale=module.inverted, backend="reference")
        return masked[number] if module.mode == "example" else masked

    def one(number: int) -> Tensor:
        state = {"layer.weight": drop(weight, number, key)}
        if module.drop_bias:
            state["layer.bias"] = drop(bias, number, key - 0x61C8864680B583EB)
        y: Tensor = torch.func.functional_call(_Plain(module), state, (x[number],))
        return y

    return torch.stack([one(number) for number in range(x.shape[0])])


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


def register_drop_connect(
    layer: type[_DropConnect], arguments: dict[str, Any], shape: tuple[int, ...], wrong: Tensor, match: str
) -> None:
    """Register a layer with an input of a wrong shape and what is said of it."""
    register(
        LayerSpec(
            layer=layer,
            arguments={**arguments, "p": 0.3},
            shape=shape,
            reference=_reference,
            evaluate=lambda module, x: _Plain(module)(x),
            full=_bias_alone,
            selects=False,
            tolerance=1e-5,
            errors=(
                *(
                    ErrorInput(error=error, match=said, arguments={**arguments, **options})
                    for options, error, said in _OPTION_ERRORS
                ),
                ErrorInput(error=ValueError, match=match, input=wrong),
                _INTEGERS,
            ),
            twin=layer._twin,
        )
    )


register_drop_connect(
    DropConnectLinear,
    {"in_features": 5, "out_features": 6},
    (3, 5),
    torch.ones(3, 4),
    "`input` must be of 5 features in its last dimension",
)
