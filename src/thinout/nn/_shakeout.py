"""Shakeout: dropout of inputs that turns the weights towards sparse ones."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor, nn

from thinout import functional as F
from thinout import ops
from thinout._checks import check_not_negative, check_p
from thinout.nn._from_torch import check_source, copy_parameters
from thinout.nn._rate import Adjustable, Setting, rate
from thinout.nn._registry import ErrorInput, LayerSpec, register


class ShakeoutLinear(Adjustable, nn.Linear):
    """A linear layer with shakeout of its input units in training; see `thinout.functional.shakeout_linear`.

    It is a `torch.nn.Linear` and loads its checkpoints.

    Args:
        in_features: size of the input.
        out_features: size of the output.
        bias: whether there is a bias, which is never shaken.
        tau: drop probability of an input unit, in [0, 1].
        c: strength of the pull towards the signs of the weights, at least 0; 0 is dropout of the inputs.
        device: device of the parameters.
        dtype: type of the parameters.

    Shape:
        (..., in_features) to (..., out_features).

    Raises:
        ValueError: tau outside [0, 1], c negative or infinite.
        TypeError: tau or c is not a number.

    Example:
        >>> layer = ShakeoutLinear(4, 3, tau=0.3, c=0.05)
        >>> layer(torch.randn(2, 4)).shape
        torch.Size([2, 3])

    Source: Kang, Li, Tao 2016, AAAI; 2018, TPAMI, arXiv 1904.06593.
    """

    tau = Setting(check_p)
    c = Setting(check_not_negative)

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        tau: float = 0.5,
        c: float = 0.1,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_features, out_features, bias, device=device, dtype=dtype)
        self.tau = tau
        self.c = c

    @classmethod
    def from_torch(cls, module: nn.Linear, *, tau: float = 0.5, c: float = 0.1) -> Self:
        """Return a layer with copies of the parameters of a `torch.nn.Linear`, in its mode; nothing is drawn.

        Raises:
            TypeError: `module` is no `torch.nn.Linear`.
            ValueError: the weights of `module` are computed from others.

        Example:
            >>> ShakeoutLinear.from_torch(nn.Linear(4, 3, bias=False), c=0.05)
            ShakeoutLinear(in_features=4, out_features=3, bias=False, tau=0.5, c=0.05)
        """
        check_source(cls.__name__, module, nn.Linear)
        layer = cls(module.in_features, module.out_features, module.bias is not None, tau=tau, c=c, device="meta")
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
        """Apply the linear map, shaken in training mode."""
        return F.shakeout_linear(
            input,
            self.weight,
            self.bias,
            tau=rate(self, "tau"),
            c=rate(self, "c"),
            training=self.training,
            key=key,
            generator=generator,
            offset=offset,
        )

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return f"{super().extra_repr()}, tau={self.tau}, c={self.c}"


def _reference(layer: ShakeoutLinear, x: Tensor) -> Tensor:
    """Compute the output with one weight matrix an example, as the paper writes it."""
    tau = ops.effective_p(layer.tau)
    keep = ops.dropout_mask(tuple(x.shape), ops.draw_key(), layer.tau, backend="reference").unsqueeze(-2)
    weight, bias = (own.to(torch.promote_types(x.dtype, torch.float32)) for own in (layer.weight, layer.bias))
    sign = weight.detach().sign()
    shaken = torch.where(keep, (weight + layer.c * tau * sign) / (1 - tau), -layer.c * sign)
    return ((shaken @ x.to(weight.dtype).unsqueeze(-1)).squeeze(-1) + bias).to(x.dtype)


def _plain(layer: nn.Linear, x: Tensor) -> Tensor:
    return nn.functional.linear(x, layer.weight, layer.bias)


def _full(layer: ShakeoutLinear, x: Tensor) -> Tensor:
    return layer.bias - layer.c * x @ layer.weight.sign().T


def _wrong(**arguments: Any) -> dict[str, Any]:
    return {"in_features": 6, "out_features": 5} | arguments


register(
    LayerSpec(
        layer=ShakeoutLinear,
        arguments=_wrong(tau=0.3, c=0.2),
        shape=(4, 6),
        reference=_reference,
        evaluate=_plain,
        rates=("tau", "c"),
        full=_full,
        selects=False,
        twin=nn.Linear,
        tolerance=1e-6,
        errors=(
            *(
                ErrorInput(error=error, match=r"`tau` must be a number in \[0, 1\]", arguments=_wrong(tau=tau))
                for tau, error in ((-0.1, ValueError), (1.5, ValueError), (float("nan"), ValueError), ("1", TypeError))
            ),
            *(
                ErrorInput(error=error, match="`c` must be a finite number of at least 0", arguments=_wrong(c=c))
                for c, error in ((-0.1, ValueError), (float("inf"), ValueError), ("1", TypeError))
            ),
        ),
    )
)
