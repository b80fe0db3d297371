"""Fraternal dropout: two passes under two masks, and a price for their distance."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import mse_loss

from thinout._checks import bad_value, check_choice, check_not_negative
from thinout.functional._shared import Rate, check_setting, times
from thinout.ops._inputs import check_floating_point

REDUCTIONS = ("mean", "none")


def fraternal_loss(first: Tensor, second: Tensor, *, kappa: Rate = 0.15, reduction: str = "mean") -> Tensor:
    r"""Return the price of the distance between the outputs of two passes of one model under two masks.

    .. math:: \frac{\kappa}{m} \lVert z_1 - z_2 \rVert^2

    with m the number of outputs, averaged over examples. Over masks its mean is :math:`2 \kappa / m` times the sum of
    the outputs' variances. The whole loss is :math:`\frac{1}{2} (L(z_1) + L(z_2))` plus this.

    Args:
        first: outputs before the softmax, (*, m).
        second: outputs of the other pass, of the same shape.
        kappa: price, 0 or more.
        reduction: "mean" over all examples, or "none", a value for each.

    Returns:
        A 0-d tensor, or one of shape (*).

    Raises:
        ValueError: the shapes differ, a negative kappa.
        TypeError: the outputs are not floating point.

    Example:
        >>> import torch
        >>> fraternal_loss(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 4.0]]), kappa=0.5)
        tensor(1.)

    Source: Zolna, Arpit, Suhubdy, Bengio 2018, "Fraternal dropout", ICLR, arXiv 1711.00066; the default kappa is that
    of the authors' program.
    """
    where = "fraternal_loss"
    kappa = check_setting(where, "kappa", kappa, check_not_negative)
    check_floating_point(where, "first", first)
    check_floating_point(where, "second", second)
    check_choice(where, "reduction", reduction, REDUCTIONS)
    if first.shape != second.shape or first.dim() == 0:
        bad_value(where, "second", f"of the shape {tuple(first.shape)} and not 0-d", tuple(second.shape))
    distance = mse_loss(first, second, reduction=reduction).to(first.dtype)  # autocast makes it float32
    return times(distance if reduction == "mean" else distance.mean(-1), kappa)
