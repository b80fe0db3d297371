"""Variational dropout: Gaussian noise whose variance is learned."""

from __future__ import annotations

import math
from typing import Any, Self

import torch
from torch import Tensor, nn

from thinout import functional as F
from thinout._checks import bad_value, check_choice, check_count
from thinout.functional._variational import NOISES, bounded, check_bound
from thinout.nn._concrete import check_initial_p
from thinout.nn._from_torch import TorchTwin, check_source, copy_parameters
from thinout.nn._rate import Adjustable, Setting, rate
from thinout.nn._registry import ErrorInput, LayerSpec, register


class _Variational(Adjustable):
    """What both layers share: the logarithm of the variance, its bound, and the term of the loss."""

    max_alpha = Setting(check_bound)
    regularization_is_total = True
    log_alpha: nn.Parameter
    initial_p: float

    def _configure(self, p: float, max_alpha: float) -> None:
        where = type(self).__name__
        self.initial_p = check_initial_p(where, p)
        self.max_alpha = max_alpha
        if p / (1 - p) > self.max_alpha * (1 + 1e-12):
            largest = self.max_alpha / (1 + self.max_alpha)
            bad_value(where, "p", f"at most {largest}, which is max_alpha={self.max_alpha}", p)

    def _reset_noise(self) -> None:
        nn.init.constant_(self.log_alpha, math.log(self.initial_p) - math.log1p(-self.initial_p))

    @property
    def alpha(self) -> Tensor:
        """Variance of the noise as it is now, in units of what it multiplies squared: of the shape of `log_alpha`."""
        return bounded(self.log_alpha.detach(), self.max_alpha).exp()

    @property
    def p(self) -> float:
        """The mean of the rates alpha / (1 + alpha) as they are now; setting it writes all of them."""
        alpha = self.alpha.double()
        return (alpha / (1 + alpha)).mean().item()

    @p.setter
    def p(self, value: float) -> None:
        p = check_initial_p(type(self).__name__, value)
        with torch.no_grad():
            self.log_alpha.fill_(math.log(p) - math.log1p(-p))

    def _num_factors(self) -> int:
        raise NotImplementedError

    def regularization(self) -> Tensor:
        """Return the KL divergence of all noise from the prior: 0-d, in nats for all training examples."""
        divergence = F.log_uniform_kl(bounded(self.log_alpha, rate(self, "max_alpha")))
        return divergence.sum() * (self._num_factors() / divergence.numel())

    def _repr_of_noise(self) -> str:
        p = self.initial_p if self.log_alpha.is_meta else self.p
        return f"p={p:.6g}, max_alpha={self.max_alpha}"


class VariationalDropout(_Variational):
    """Multiply units by Gaussian noise whose variance is learned; see `thinout.functional.variational_dropout`.

    Add ``thinout.regularization(model, num_examples)`` to the loss: without it the noise is trained away.

    Args:
        num_units: number of units, the size of dimension `dim`.
        p: rate to begin with, alpha = p / (1 - p). As an attribute it is the mean rate as it is now, and can be set.
        alpha_per: "layer", one variance for all, or "unit", one for each.
        dim: dimension of the units: -1 for linear layers, 1 for the channels of maps.
        max_alpha: bound of the variance; 1 in the paper, infinity for none.
        device: where the parameter is.
        dtype: its type.

    Shape:
        Any with `num_units` in dimension `dim`; the output is like the input.

    Raises:
        ValueError: p not inside of (0, 1) or above the bound, an unknown `alpha_per`, an input of other units.
        TypeError: p is not a number.

    Example:
        >>> layer = VariationalDropout(20, 0.2, alpha_per="unit")
        >>> layer(torch.randn(8, 20)).shape
        torch.Size([8, 20])
        >>> f"{layer.p:.1f} {layer.alpha[0]:.2f}"
        '0.2 0.25'

    Source: Kingma, Salimans, Welling 2015, "Variational dropout and the local reparameterization trick", NIPS, arXiv
    1506.02557, section 3.2.
    """

    def __init__(
        self,
        num_units: int,
        p: float = 0.1,
        *,
        alpha_per: str = "layer",
        dim: int = -1,
        max_alpha: float = 1.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        where = type(self).__name__
        self.num_units = check_count(where, "num_units", num_units)
        self.alpha_per = check_choice(where, "alpha_per", alpha_per, ("layer", "unit"))
        self.dim = dim
        self._configure(p, max_alpha)
        size = 1 if alpha_per == "layer" else num_units
        self.log_alpha = nn.Parameter(torch.empty(size, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Go back to the rate of the beginning."""
        self._reset_noise()

    def forward(self, input: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Apply noise in training mode."""
        if not -input.dim() <= self.dim < input.dim() or input.shape[self.dim] != self.num_units:
            allowed = f"of {self.num_units} units in dimension {self.dim}"
            bad_value(type(self).__name__, "input", allowed, f"shape {tuple(input.shape)}")
        return F.variational_dropout(
            input,
            self.log_alpha,
            training=self.training,
            dim=self.dim,
            max_alpha=rate(self, "max_alpha"),
            generator=generator,
        )

    def _num_factors(self) -> int:
        return self.num_units

    def extra_repr(self) -> str:
        """Return the arguments of the constructor, with the rate as it is now."""
        return f"{self.num_units}, {self._repr_of_noise()}, alpha_per={self.alpha_per!r}, dim={self.dim}"


class VariationalLinear(_Variational, TorchTwin, nn.Linear):
    """A linear layer whose weights have Gaussian noise of a learned variance; see `functional.variational_linear`.

    It is a `torch.nn.Linear`: it takes the same arguments and loads the same checkpoints, whose noise stays as it is.
    Add ``thinout.regularization(model, num_examples)`` to the loss: without it the noise is trained away.

    Args:
        in_features: size of an input.
        out_features: size of an output.
        bias: whether there is a bias.
        device: where the parameters are.
        dtype: their type.
        p: rate to begin with, alpha = p / (1 - p). As an attribute it is the mean rate as it is now, and can be set.
        noise: "independent", for each weight by itself, or "correlated", one factor for all weights of an input unit.
        alpha_per: "layer", one variance for all; "unit", one for each output unit of independent and for each input
            unit of correlated noise; or "weight", with independent noise.
        max_alpha: bound of the variance; 1 in the paper, infinity for none.

    Shape:
        (*, in_features) to (*, out_features).

    Raises:
        ValueError: p not inside of (0, 1) or above the bound, an unknown noise, `alpha_per` that it cannot have.
        TypeError: p is not a number.

    Example:
        >>> layer = VariationalLinear(20, 30, p=0.2)
        >>> layer(torch.randn(8, 20)).shape
        torch.Size([8, 30])
        >>> layer.regularization().shape
        torch.Size([])

    Source: Kingma, Salimans, Welling 2015, arXiv 1506.02557.
    """

    _own_parameters = ("log_alpha",)

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        p: float = 0.1,
        noise: str = "independent",
        alpha_per: str = "layer",
        max_alpha: float = 1.0,
    ) -> None:
        super().__init__(in_features, out_features, bias, device, dtype)
        where = type(self).__name__
        self.noise = check_choice(where, "noise", noise, NOISES)
        choices = ("layer", "unit", "weight") if noise == "independent" else ("layer", "unit")
        self.alpha_per = check_choice(where, "alpha_per", alpha_per, choices)
        self._configure(p, max_alpha)
        units = (out_features, 1) if noise == "independent" else (in_features,)
        shape = {"layer": (1,), "unit": units, "weight": (out_features, in_features)}[alpha_per]
        self.log_alpha = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
        self._reset_noise()

    @classmethod
    def from_torch(cls, module: nn.Linear, **options: Any) -> Self:
        """Return a layer with copies of a linear layer's parameters; `options` are arguments of the constructor."""
        check_source(cls.__name__, module, nn.Linear)
        like = module.weight
        bias = module.bias is not None
        layer = cls(module.in_features, module.out_features, bias, torch.device("meta"), like.dtype, **options)
        copy_parameters(module, layer)
        layer.log_alpha = nn.Parameter(torch.empty_like(layer.log_alpha, device=like.device), like.requires_grad)
        layer._reset_noise()
        return layer

    def reset_parameters(self) -> None:
        """Draw weights as `torch.nn.Linear` does and go back to the rate of the beginning."""
        super().reset_parameters()
        if "log_alpha" in self._parameters:  # it is not while torch's constructor is at work
            self._reset_noise()

    def forward(self, input: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Apply the layer, with noise in training mode."""
        return F.variational_linear(
            input,
            self.weight,
            self.bias,
            self.log_alpha,
            training=self.training,
            noise=self.noise,
            max_alpha=rate(self, "max_alpha"),
            generator=generator,
        )

    def _num_factors(self) -> int:
        return self.in_features if self.noise == "correlated" else self.weight.numel()

    def extra_repr(self) -> str:
        """Return the arguments of the constructor, with the rate as it is now."""
        options = f"noise={self.noise!r}, alpha_per={self.alpha_per!r}"
        return f"{super().extra_repr()}, {self._repr_of_noise()}, {options}"


def _dropout(module: VariationalDropout, x: Tensor) -> Tensor:
    dtype = torch.promote_types(x.dtype, torch.float32)
    noise = torch.randn(x.shape, dtype=dtype)
    return (x * (1 + module.log_alpha.detach().to(dtype).exp().sqrt() * noise)).to(x.dtype)


def _linear(module: VariationalLinear, x: Tensor) -> Tensor:
    """Compute each output from the moments of its weights."""
    dtype = torch.promote_types(x.dtype, torch.float32)
    mean = nn.functional.linear(x, module.weight, module.bias)
    weight, alpha, wide = module.weight.to(dtype), module.log_alpha.to(dtype).exp(), x.to(dtype)
    variance = (wide.unsqueeze(-2) * weight).square().mul(alpha).sum(-1)
    noise = torch.randn(variance.shape, dtype=dtype)
    return (mean + variance.sqrt() * noise).detach().to(x.dtype)


_WRONG = (
    ({"p": 0}, ValueError, r"`p` must be a number in \(0, 1\), got 0"),
    ({"p": -0.5}, ValueError, r"`p` must be a number in \[0, 1\], got -0.5"),
    ({"p": "0.5"}, TypeError, r"`p` must be a number in \[0, 1\], got '0.5'"),
    ({"p": 0.6}, ValueError, "`p` must be at most 0.5, which is max_alpha=1.0, got 0.6"),
    ({"max_alpha": 0.0}, ValueError, "`max_alpha` must be a positive number, got 0.0"),
    ({"alpha_per": "batch"}, ValueError, "`alpha_per` must be one of layer, unit"),
)
_EXCEPTIONS = {
    "zero_rate": "its rate is learned and never 0; a bound of 0 is refused",
    "full_rate": "its rate is learned; 1 is no limit of the bound",
}

register(
    LayerSpec(
        layer=VariationalDropout,
        arguments={"num_units": 4, "p": 0.05, "alpha_per": "unit"},
        shape=(5, 3, 4),
        reference=_dropout,
        rates=("max_alpha",),
        selects=False,
        tolerance=1e-6,
        errors=(
            *(
                ErrorInput(error=error, match=said, arguments={"num_units": 4, **wrong})
                for wrong, error, said in _WRONG
            ),
            ErrorInput(error=ValueError, match="`num_units` must be a whole number", arguments={"num_units": 0}),
            ErrorInput(error=ValueError, match="`input` must be of 4 units in dimension -1", input=torch.ones(4, 3)),
            ErrorInput(
                error=TypeError,
                match="`input` must be a floating-point tensor",
                input=torch.ones(3, 4, dtype=torch.int64),
            ),
        ),
        exceptions=_EXCEPTIONS,
    )
)
_SIZE = {"in_features": 5, "out_features": 6}
register(
    LayerSpec(
        layer=VariationalLinear,
        arguments={**_SIZE, "p": 0.05, "alpha_per": "unit"},
        shape=(3, 2, 5),
        reference=_linear,
        evaluate=lambda module, x: nn.functional.linear(x, module.weight, module.bias),
        rates=("max_alpha",),
        selects=False,
        tolerance=1e-5,
        twin=nn.Linear,
        errors=(
            *(ErrorInput(error=error, match=said, arguments={**_SIZE, **wrong}) for wrong, error, said in _WRONG),
            ErrorInput(
                error=ValueError,
                match="`alpha_per` must be one of layer, unit, got 'weight'",
                arguments={**_SIZE, "noise": "correlated", "alpha_per": "weight"},
            ),
            ErrorInput(
                error=ValueError,
                match="`noise` must be one of correlated, independent, got 'A'",
                arguments={**_SIZE, "noise": "A"},
            ),
            ErrorInput(error=ValueError, match="`input` must be of 5 features", input=torch.ones(3, 4)),
            ErrorInput(
                error=TypeError,
                match="`input` must be a floating-point tensor",
                input=torch.ones(3, 5, dtype=torch.int64),
            ),
        ),
        exceptions=_EXCEPTIONS,
    )
)
