"""Alpha dropout: dropped elements become the value at which SELU saturates, and mean and variance stay."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from thinout import functional as F
from thinout import ops
from thinout._checks import check_finite, check_p, check_positive
from thinout.nn._rate import Rated, rate
from thinout.nn._registry import ErrorInput, LayerSpec, register


class AlphaDropout(Rated, nn.AlphaDropout):
    """Drop elements to SELU's negative saturation and keep mean and variance; see `functional.alpha_dropout`.

    It is a `torch.nn.AlphaDropout` that honours `inplace`.

    Args:
        p: drop probability in [0, 1].
        inplace: write the result into the input.
        mean: mean of the input; 0 behind SELU.
        var: variance of the input; 1 behind SELU.

    Shape:
        Any; the output is like the input.

    Raises:
        ValueError: p outside [0, 1], a variance that is not positive.
        TypeError: a setting is not a number.

    Example:
        >>> AlphaDropout(p=0.1)(torch.ones(2, 3)).shape
        torch.Size([2, 3])

    Source: Klambauer, Unterthiner, Mayr, Hochreiter 2017, NIPS, arXiv 1706.02515.
    """

    def __init__(self, p: float = 0.5, inplace: bool = False, *, mean: float = 0.0, var: float = 1.0) -> None:
        super().__init__(check_p(type(self).__name__, p), inplace)
        self.mean = check_finite(type(self).__name__, mean, "mean")
        self.var = check_positive(type(self).__name__, "var", var)

    def forward(
        self,
        input: Tensor,
        *,
        key: Tensor | int | None = None,
        generator: torch.Generator | None = None,
        offset: int = 0,
    ) -> Tensor:
        """Apply alpha dropout in training mode."""
        return F.alpha_dropout(
            input,
            rate(self),
            training=self.training,
            inplace=self.inplace,
            mean=self.mean,
            var=self.var,
            key=key,
            generator=generator,
            offset=offset,
        )

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return super().extra_repr() + _moments(self)


class FeatureAlphaDropout(Rated, nn.FeatureAlphaDropout):
    """Drop whole channels to SELU's negative saturation; see `thinout.functional.feature_alpha_dropout`.

    Args:
        p: drop probability of a channel, in [0, 1].
        inplace: write the result into the input.
        batched: whether inputs are (N, C, ...); False for (C, ...).
        mean: mean of the input; 0 behind SELU.
        var: variance of the input; 1 behind SELU.

    Shape:
        (N, C, ...), or (C, ...) with ``batched=False``; the output is like the input.

    Raises:
        ValueError: p outside [0, 1], a variance that is not positive, too few dimensions.
        TypeError: a setting is not a number.

    Example:
        >>> FeatureAlphaDropout(p=0.1)(torch.ones(2, 3, 4, 4)).shape
        torch.Size([2, 3, 4, 4])

    Source: Klambauer et al. 2017, arXiv 1706.02515; Tompson et al. 2015, arXiv 1411.4280.
    """

    def __init__(
        self, p: float = 0.5, inplace: bool = False, *, batched: bool = True, mean: float = 0.0, var: float = 1.0
    ) -> None:
        super().__init__(check_p(type(self).__name__, p), inplace)
        self.batched = batched
        self.mean = check_finite(type(self).__name__, mean, "mean")
        self.var = check_positive(type(self).__name__, "var", var)

    def forward(
        self,
        input: Tensor,
        *,
        key: Tensor | int | None = None,
        generator: torch.Generator | None = None,
        offset: int = 0,
    ) -> Tensor:
        """Apply alpha dropout in training mode."""
        return F.feature_alpha_dropout(
            input,
            rate(self),
            training=self.training,
            inplace=self.inplace,
            batched=self.batched,
            mean=self.mean,
            var=self.var,
            key=key,
            generator=generator,
            offset=offset,
        )

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return super().extra_repr() + ("" if self.batched else ", batched=False") + _moments(self)


def _moments(layer: AlphaDropout | FeatureAlphaDropout) -> str:
    return "" if (layer.mean, layer.var) == (0, 1) else f", mean={layer.mean}, var={layer.var}"


def _reference(layer: AlphaDropout | FeatureAlphaDropout, x: Tensor) -> Tensor:
    p, saturation = ops.effective_p(layer.p), -1.0507009873554804934193349852946 * 1.6732632423543772848170429916717
    gap = saturation - layer.mean
    a = (layer.var / ((1 - p) * (p * gap * gap + layer.var))) ** 0.5
    dropped = layer.mean + a * (1 - p) * gap  # A a' + B; kept elements are then A (x - a') above it
    noise_shape = [None, None] + [1] * (x.dim() - 2) if isinstance(layer, FeatureAlphaDropout) else None
    keep = ops.dropout_mask(tuple(x.shape), ops.draw_key(), layer.p, noise_shape=noise_shape, backend="reference")
    work = x.to(torch.promote_types(x.dtype, torch.float32))
    shift, constant = torch.tensor([-a * saturation, dropped], dtype=work.dtype)
    # The two add in another order, since one has the sum of the constants for a whole channel.
    kept = work * a + shift + constant if noise_shape is None else work * a + (shift + constant)
    return torch.where(keep, kept, constant).to(x.dtype)


_ERRORS = (
    *(
        ErrorInput(error=error, match=r"`p` must be a number in \[0, 1\], got", arguments={"p": p})
        for p, error in ((-0.1, ValueError), (1.5, ValueError), (float("nan"), ValueError), ("0.5", TypeError))
    ),
    ErrorInput(error=ValueError, match="`var` must be a positive number", arguments={"var": 0.0}),
    ErrorInput(error=ValueError, match="`mean` must be a finite number", arguments={"mean": float("nan")}),
    ErrorInput(
        error=TypeError,
        match="`input` must be a floating-point tensor",
        input=torch.ones(3, 3, dtype=torch.int64),
    ),
)

register(
    LayerSpec(
        layer=AlphaDropout,
        arguments={"p": 0.3},
        shape=(5, 4, 3),
        reference=_reference,
        selects=False,
        twin=nn.AlphaDropout,
        any_rank=True,
        errors=_ERRORS,
    )
)
register(
    LayerSpec(
        layer=FeatureAlphaDropout,
        arguments={"p": 0.3},
        shape=(5, 7, 2, 3),
        reference=_reference,
        selects=False,
        twin=nn.FeatureAlphaDropout,
        errors=(
            *_ERRORS,
            ErrorInput(error=ValueError, match="at least 2 dimensions .* pass batched=False", input=torch.ones(3)),
            ErrorInput(
                error=ValueError,
                match="at least 1 dimensions",
                arguments={"batched": False},
                input=torch.tensor(1.0),
            ),
        ),
    )
)
