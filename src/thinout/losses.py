"""Losses that go with dropout: they have no masks of their own and are no layers, but modules of two predictions.

loss = RDropLoss(alpha=5.0)
loss(model(x), model(x), y)
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from thinout import functional as F
from thinout._checks import check_choice, check_not_negative, check_p
from thinout.functional._fraternal import REDUCTIONS
from thinout.nn._rate import Adjustable, Setting, rate

__all__ = ["FraternalLoss", "RDropLoss", "r_drop"]


class RDropLoss(Adjustable):
    """Cross entropies of two predictions for one input, and their divergence; see `thinout.functional.r_drop_loss`.

    Args:
        alpha: weight of the divergence, 0 or more; can be set at any time.
        ignore_index: class of targets that are padding.
        label_smoothing: part of the target that is spread over all classes, in [0, 1].

    Shape:
        Logits (*, K) twice and targets (*) to a scalar.

    Raises:
        ValueError: a negative alpha, label smoothing outside [0, 1], shapes that do not fit.

    Example:
        >>> import torch
        >>> first, second = torch.randn(2, 8, 10)
        >>> RDropLoss(alpha=5.0)(first, second, torch.arange(8)).shape
        torch.Size([])

    Source: Liang et al. 2021, NeurIPS, arXiv 2106.14448.
    """

    alpha = Setting(check_not_negative)

    def __init__(self, alpha: float = 1.0, *, ignore_index: int = -100, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.alpha = alpha
        self.ignore_index = ignore_index
        self.label_smoothing = check_p(type(self).__name__, label_smoothing, "label_smoothing")

    def forward(self, first: Tensor, second: Tensor, target: Tensor) -> Tensor:
        """Return the loss."""
        return F.r_drop_loss(
            first,
            second,
            target,
            alpha=rate(self, "alpha"),
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
        )

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return f"alpha={self.alpha}, ignore_index={self.ignore_index}, label_smoothing={self.label_smoothing}"


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
        >>> import torch
        >>> model = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5))
        >>> fraternal, x, target = FraternalLoss(), torch.randn(2, 4), torch.tensor([0, 2])
        >>> first, second = model(x), model(x)
        >>> cross_entropy = nn.functional.cross_entropy
        >>> loss = (cross_entropy(first, target) + cross_entropy(second, target)) / 2 + fraternal(first, second)
        >>> loss.backward()

    Source: Zolna, Arpit, Suhubdy, Bengio 2018, "Fraternal dropout", ICLR, arXiv 1711.00066.
    """

    kappa = Setting(check_not_negative)

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


def r_drop(model: nn.Module, inputs: Tensor | tuple[Any, ...], target: Tensor, **options: Any) -> Tensor:
    """Return the R-Drop loss of a model: two passes with different masks in training, one pass in eval.

    In eval the two passes of a deterministic model are one, so the loss is twice the cross entropy, as in training at
    rates of 0: the values of both modes can be compared.

    Args:
        model: returns logits, classes last.
        inputs: what the model takes; a tuple is several arguments.
        target: classes.
        options: of `thinout.functional.r_drop_loss`.

    Returns:
        A scalar.

    Example:
        >>> import torch
        >>> import thinout.nn as tnn
        >>> model = nn.Sequential(nn.Linear(4, 8), tnn.Dropout(0.3), nn.Linear(8, 3))
        >>> r_drop(model, torch.randn(5, 4), torch.tensor([0, 1, 2, 0, 1]), alpha=0.5).backward()

    Source: Liang et al. 2021, NeurIPS, arXiv 2106.14448.
    """
    arguments = inputs if isinstance(inputs, tuple) else (inputs,)
    first = model(*arguments)
    second = model(*arguments) if model.training else first
    return F.r_drop_loss(first, second, target, **options)
