"""Dropout of frequencies instead of positions."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from thinout import functional as F
from thinout import ops
from thinout._checks import check_not_negative, check_p
from thinout.nn._rate import Rated, Setting, rate
from thinout.nn._registry import ErrorInput, LayerSpec, register


class SpectralDropout(Rated):
    """Drop coefficients of the cosine transform of maps in training; see `thinout.functional.spectral_dropout`.

    Args:
        p: drop probability of a coefficient, in [0, 1].
        eta: threshold at or below which coefficients are always removed, in units of the input; can be set at any time.
        batched: whether inputs are (N, C, H, W); False for (C, H, W).
        rescale: whether kept coefficients are multiplied by 1 / (1 - p).

    Shape:
        (N, C, H, W), or (C, H, W) with ``batched=False``; the output is like the input.

    Raises:
        ValueError: p outside [0, 1], a negative threshold, or an input of another rank.

    Example:
        >>> SpectralDropout(0.2, 0.1)(torch.ones(2, 3, 8, 8)).shape
        torch.Size([2, 3, 8, 8])

    Source: Khan, Hayat, Porikli 2019, Neural Networks 110, arXiv 1711.08591.
    """

    eta = Setting(check_not_negative)

    def __init__(self, p: float = 0.5, eta: float = 0.0, *, batched: bool = True, rescale: bool = True) -> None:
        super().__init__()
        self.p = check_p("SpectralDropout", p)
        self.eta = eta
        self.batched, self.rescale = batched, rescale

    def forward(
        self,
        input: Tensor,
        *,
        key: Tensor | int | None = None,
        generator: torch.Generator | None = None,
        offset: int = 0,
    ) -> Tensor:
        """Drop coefficients in training mode; `key`, `generator` and `offset` as in `thinout.functional`."""
        return F.spectral_dropout(
            input,
            rate(self),
            rate(self, "eta"),
            training=self.training,
            batched=self.batched,
            rescale=self.rescale,
            key=key,
            generator=generator,
            offset=offset,
        )

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return f"p={self.p}, eta={self.eta}, batched={self.batched}, rescale={self.rescale}"


def _waves(num: int) -> Tensor:
    """Return the cosines of the transform, one by one."""
    rows = [[math.cos(math.pi * (2 * i + 1) * k / (2 * num)) for i in range(num)] for k in range(num)]
    norms = torch.tensor([1 / num] + [2 / num] * (num - 1), dtype=torch.float64).sqrt()
    return norms.unsqueeze(1) * torch.tensor(rows, dtype=torch.float64)


def _transformed(module: SpectralDropout, x: Tensor, kept: Tensor | float) -> Tensor:
    rows, columns = _waves(x.shape[2]), _waves(x.shape[3])
    z = torch.einsum("ki,ncij,lj->nckl", rows, x.double(), columns)
    z = torch.where(z.abs() > module.eta, z, 0) * kept
    return torch.einsum("ki,nckl,lj->ncij", rows, z, columns).to(x.dtype)


def _reference(module: SpectralDropout, x: Tensor) -> Tensor:
    kept = ops.dropout_mask(tuple(x.shape), ops.draw_key(), module.p, backend="reference")
    return _transformed(module, x, kept / (1 - ops.effective_p(module.p)))


register(
    LayerSpec(
        layer=SpectralDropout,
        arguments={"p": 0.3, "eta": 0.25},
        shape=(2, 3, 5, 4),
        reference=_reference,
        zero=lambda module, x: _transformed(module, x, 1.0),
        selects=False,
        tolerance=1e-5,  # of the sums over a map
        errors=(
            *(
                ErrorInput(error=ValueError, match=r"`p` must be a number in \[0, 1\], got", arguments={"p": p})
                for p in (-0.1, 1.5, float("nan"))
            ),
            *(
                ErrorInput(
                    error=ValueError, match="`eta` must be a finite number of at least 0", arguments={"eta": eta}
                )
                for eta in (-1.0, float("nan"), float("inf"))
            ),
            ErrorInput(error=TypeError, match="`eta` must be a finite number of at least 0", arguments={"eta": "1"}),
            ErrorInput(error=ValueError, match="For one unbatched input pass batched=False", input=torch.ones(3, 5, 4)),
            ErrorInput(
                error=TypeError,
                match="`input` must be a floating-point tensor",
                input=torch.ones(2, 3, 5, 4, dtype=torch.int64),
            ),
        ),
    )
)
