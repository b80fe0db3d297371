"""Continuous noise on single elements: Gaussian factors, Gaussian terms, uniform factors."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from thinout import functional as F
from thinout._checks import bad_value, check_not_negative, check_p_below_one
from thinout.nn._rate import Adjustable, Setting, rate
from thinout.nn._registry import ErrorInput, LayerSpec, register


class GaussianDropout(Adjustable):
    """Multiply by Gaussian noise with the moments of dropout at rate p; see `thinout.functional.gaussian_dropout`.

    Args:
        p: rate in [0, 1), 0.5 by default.
        alpha: variance p / (1 - p) of the noise, in place of p. As an attribute it can be read and set, too.

    Shape:
        Any; the output is like the input.

    Raises:
        ValueError: p outside [0, 1), a negative alpha, or both given.
        TypeError: p or alpha is not a number.

    Example:
        >>> layer = GaussianDropout(alpha=0.25)
        >>> layer
        GaussianDropout(p=0.2)
        >>> layer(torch.ones(2, 3)).shape
        torch.Size([2, 3])

    Source: Srivastava et al. 2014, JMLR 15:1929-1958, section 10; Wang, Manning 2013, ICML.
    """

    p = Setting(check_p_below_one)

    def __init__(self, p: float | None = None, *, alpha: float | None = None) -> None:
        super().__init__()
        if p is not None and alpha is not None:
            bad_value(type(self).__name__, "p", "None where alpha is given", p)
        if alpha is None:
            self.p = 0.5 if p is None else p
        else:
            self.alpha = alpha

    @property
    def alpha(self) -> float:
        """Variance of the noise."""
        return self.p / (1 - self.p)

    @alpha.setter
    def alpha(self, value: float) -> None:
        variance = check_not_negative(type(self).__name__, value, "alpha")
        self.p = variance / (1 + variance)

    def forward(self, input: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Apply noise in training mode."""
        return F.gaussian_dropout(input, rate(self), training=self.training, generator=generator)

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return f"p={self.p}"


class GaussianNoise(Adjustable):
    """Add Gaussian noise to each element; see `thinout.functional.gaussian_noise`.

    Args:
        std: standard deviation of the noise, at least 0.

    Shape:
        Any; the output is like the input.

    Raises:
        ValueError: a negative or infinite std.
        TypeError: std is not a number.

    Example:
        >>> GaussianNoise(0.1).eval()(torch.ones(3))
        tensor([1., 1., 1.])

    Source: Bishop 1995, Neural Computation 7:108-116.
    """

    std = Setting(check_not_negative)

    def __init__(self, std: float) -> None:
        super().__init__()
        self.std = std

    def forward(self, input: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Add noise in training mode."""
        return F.gaussian_noise(input, rate(self, "std"), training=self.training, generator=generator)

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return f"std={self.std}"


class Uout(Adjustable):
    """Multiply elements by uniform noise in [1 - beta, 1 + beta]; see `thinout.functional.uout`.

    Args:
        beta: half the width of the noise, at least 0.

    Shape:
        Any; the output is like the input.

    Raises:
        ValueError: a negative or infinite beta.
        TypeError: beta is not a number.

    Example:
        >>> Uout(0.1)(torch.ones(2, 3)).shape
        torch.Size([2, 3])

    Source: Li, Chen, Hu, Yang 2019, CVPR, arXiv 1801.05134.
    """

    beta = Setting(check_not_negative)

    def __init__(self, beta: float = 0.1) -> None:
        super().__init__()
        self.beta = beta

    def forward(self, input: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Apply noise in training mode."""
        return F.uout(input, rate(self, "beta"), training=self.training, generator=generator)

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return f"beta={self.beta}"


def _float32_at_least(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def _gaussian_dropout(layer: GaussianDropout, x: Tensor) -> Tensor:
    noise = torch.randn(x.shape, dtype=_float32_at_least(x))
    return (x * (1 + noise * math.sqrt(layer.alpha))).to(x.dtype)


def _gaussian_noise(layer: GaussianNoise, x: Tensor) -> Tensor:
    noise = torch.randn(x.shape, dtype=_float32_at_least(x))
    return (x + noise * layer.std).to(x.dtype)


def _uout(layer: Uout, x: Tensor) -> Tensor:
    uniform = torch.rand(x.shape, dtype=_float32_at_least(x))
    return (x * (uniform * (2 * layer.beta) + (1 - layer.beta))).to(x.dtype)


_INTEGERS = ErrorInput(
    error=TypeError, match="`input` must be a floating-point tensor", input=torch.ones(3, dtype=torch.int64)
)
_NO_LIMIT = {"full_rate": "1 is no limit of this setting: the noise is noise, not zeros"}

register(
    LayerSpec(
        layer=GaussianDropout,
        arguments={"p": 0.3},
        shape=(5, 4, 3),
        reference=_gaussian_dropout,
        selects=False,
        any_rank=True,
        errors=(
            *(
                ErrorInput(error=error, match=r"`p` must be a number in \[0, 1[\])], got", arguments={"p": p})
                for p, error in ((1.0, ValueError), (-0.1, ValueError), (float("nan"), ValueError), ("1", TypeError))
            ),
            ErrorInput(error=ValueError, match="`p` must be None where", arguments={"p": 0.5, "alpha": 1.0}),
            ErrorInput(error=ValueError, match="`alpha` must be a finite number", arguments={"alpha": float("inf")}),
            ErrorInput(error=ValueError, match="`alpha` must be a finite number", arguments={"alpha": -1}),
            _INTEGERS,
        ),
        exceptions={"full_rate": "p = 1 is refused: the noise would have no finite variance"},
    )
)
for _layer, _name, _value, _reference in (
    (GaussianNoise, "std", 0.3, _gaussian_noise),
    (Uout, "beta", 0.3, _uout),
):
    register(
        LayerSpec(
            layer=_layer,
            arguments={_name: _value},
            shape=(5, 4, 3),
            reference=_reference,
            rates=(_name,),
            selects=False,
            any_rank=True,
            errors=(
                *(
                    ErrorInput(error=error, match=f"`{_name}` must be a finite number", arguments={_name: wrong})
                    for wrong, error in ((-0.1, ValueError), (float("inf"), ValueError), ("0.1", TypeError))
                ),
                _INTEGERS,
            ),
            exceptions=_NO_LIMIT,
        )
    )
