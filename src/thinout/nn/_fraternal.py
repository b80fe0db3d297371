"""Fraternal dropout."""

from __future__ import annotations

import torch
from torch import Tensor

from thinout import functional as F
from thinout._checks import check_choice, check_nonnegative
from thinout.functional._fraternal import REDUCTIONS
from thinout.nn._rate import Adjustable, Setting, rate
from thinout.nn._registry import ErrorInput, LayerSpec, register


class FraternalLoss(Adjustable):
    """The price of the distance between two passes of one model under two masks; see `functional.fraternal_loss`.

    The loss of a step is half the sum of both passes' losses, plus this.

    Args:
        kappa: price, 0 or more; can be set at any time.
        reduction: "mean" over all examples, or "none", a value for each.

    Shape:
        Two outputs before the softmax, (*, m), to a 0-d tensor, or to (*) with "none".

    Raises:
        ValueError: a negative kappa, an unknown reduction, outputs of different shapes.

    Example:
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Dropout(0.5))
        >>> fraternal, x, target = FraternalLoss(), torch.randn(2, 4), torch.tensor([0, 2])
        >>> first, second = model(x), model(x)
        >>> cross_entropy = torch.nn.functional.cross_entropy
        >>> loss = (cross_entropy(first, target) + cross_entropy(second, target)) / 2 + fraternal(first, second)
        >>> loss.backward()

    Source: Zolna, Arpit, Suhubdy, Bengio 2018, "Fraternal dropout", ICLR, arXiv 1711.00066.
    """

    kappa = Setting(lambda where, value, name: check_nonnegative(where, name, value))

    def __init__(self, kappa: float = 0.15, *, reduction: str = "mean") -> None:
        super().__init__()
        self.kappa = kappa
        self.reduction = check_choice(type(self).__name__, "reduction", reduction, REDUCTIONS)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the price."""
        return F.fraternal_loss(first, second, kappa=rate(self, "kappa"), reduction=self.reduction)

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return f"kappa={self.kappa}" + ("" if self.reduction == "mean" else f", reduction={self.reduction!r}")


def _inputs(dtype: torch.dtype, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    first, second = torch.randn(2, 4, 3, generator=generator, dtype=torch.float64).to(dtype)
    return first, second


def _price(module: FraternalLoss, first: Tensor, second: Tensor) -> Tensor:
    rows = [(one - other).pow(2).sum() / first.shape[-1] for one, other in zip(first, second, strict=True)]
    return torch.stack(rows) * module.kappa


_DETERMINISTIC = "it draws nothing: the masks are those of the two passes"
register(
    LayerSpec(
        layer=FraternalLoss,
        arguments={"kappa": 0.15, "reduction": "none"},
        inputs=_inputs,
        reference=_price,
        evaluate=_price,
        full=lambda module, first, second: (first - second).square().mean(-1),
        rates=("kappa",),
        selects=False,
        tolerance=1e-6,
        errors=(
            ErrorInput(error=ValueError, match="`kappa` must be a number of at least 0", arguments={"kappa": -1}),
            ErrorInput(error=TypeError, match="`kappa` must be a number of at least 0", arguments={"kappa": "1"}),
            ErrorInput(error=ValueError, match="`reduction` must be one of", arguments={"reduction": "sum"}),
            ErrorInput(
                error=ValueError, match="`second` must be of the shape", input=(torch.ones(2, 3), torch.ones(3))
            ),
        ),
        exceptions={"reproducible": _DETERMINISTIC, "compile": _DETERMINISTIC, "vmap": _DETERMINISTIC},
    )
)
