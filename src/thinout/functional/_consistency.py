"""Distances between two predictions for one input, made with different masks."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as torch_functional

from thinout._checks import bad_value, check_not_negative, check_p
from thinout.functional._shared import Rate, check_integers, check_mask, check_setting, times
from thinout.ops._inputs import check_floating_point


def _check_pair(where: str, first: Tensor, second: Tensor) -> None:
    check_floating_point(where, "first", first)
    check_floating_point(where, "second", second)
    if first.dim() == 0 or first.shape != second.shape:
        bad_value(where, "second", f"of the shape {tuple(first.shape)} of `first`", tuple(second.shape))


def _mean(per_example: Tensor, mask: Tensor | None) -> Tensor:
    """Average over examples, padding left out before anything is summed; over none it is 0."""
    work = torch.promote_types(per_example.dtype, torch.float32)  # in float16 a sum over a batch may be infinite
    if mask is None:
        mean = per_example.sum(dtype=work) / max(1, per_example.numel())
    else:
        mean = torch.where(mask, per_example, 0.0).sum(dtype=work) / mask.sum().clamp(min=1)
    return mean.to(per_example.dtype)


def _without_impossible(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Return log-probabilities that are equal numbers where both are minus infinity, so that their difference is 0."""
    impossible = (first == -math.inf) & (second == -math.inf)
    return first.masked_fill(impossible, 0.0), second.masked_fill(impossible, 0.0)


def symmetric_kl(first: Tensor, second: Tensor, *, mask: Tensor | None = None) -> Tensor:
    r"""Return the mean of the two Kullback-Leibler divergences between two predictions.

    .. math:: \frac{1}{2} [\text{KL}(P \| Q) + \text{KL}(Q \| P)] = \frac{1}{2} \sum_c (P_c - Q_c) \log(P_c / Q_c)

    summed over classes and averaged over examples ("batchmean"). Both sides take gradients.

    Args:
        first: logits (\*, K), classes last.
        second: logits of the same shape.
        mask: bool (\*), True at examples and False at padding, which is left out before the reduction.

    Returns:
        A scalar.

    Raises:
        ValueError: shapes that differ.
        TypeError: logits that are not floating point, a mask that is not bool.

    Example:
        >>> symmetric_kl(torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.0]]))
        tensor(0.1155)

    Source: Kullback, Leibler 1951; as a loss Liang et al. 2021, arXiv 2106.14448.
    """
    where = "symmetric_kl"
    _check_pair(where, first, second)
    if mask is not None:
        check_mask(where, "mask", mask, first.shape[:-1])
    return _symmetric_kl(first.log_softmax(-1), second.log_softmax(-1), mask)


def _symmetric_kl(log_first: Tensor, log_second: Tensor, mask: Tensor | None) -> Tensor:
    log_first, log_second = _without_impossible(log_first, log_second)
    terms = (log_first.exp() - log_second.exp()) * (log_first - log_second)
    return 0.5 * _mean(terms.sum(-1), mask)


def js_divergence(first: Tensor, second: Tensor, *, mask: Tensor | None = None) -> Tensor:
    r"""Return the Jensen-Shannon divergence between two predictions, which is at most log 2.

    .. math:: \frac{1}{2} \text{KL}(P \| M) + \frac{1}{2} \text{KL}(Q \| M), \quad M = \frac{1}{2} (P + Q)

    summed over classes and averaged over examples. It is the consistency term of HiddenCut.

    Args:
        first: logits (\*, K), classes last.
        second: logits of the same shape.
        mask: bool (\*), True at examples and False at padding, which is left out before the reduction.

    Returns:
        A scalar.

    Raises:
        ValueError: shapes that differ.
        TypeError: logits that are not floating point, a mask that is not bool.

    Example:
        >>> js_divergence(torch.tensor([[100.0, 0.0]]), torch.tensor([[0.0, 100.0]]))
        tensor(0.6931)

    Source: Lin 1991, IEEE Transactions on Information Theory 37(1):145-151; Chen et al. 2021, arXiv 2106.00149.
    """
    where = "js_divergence"
    _check_pair(where, first, second)
    if mask is not None:
        check_mask(where, "mask", mask, first.shape[:-1])
    log_first, log_second = _without_impossible(first.log_softmax(-1), second.log_softmax(-1))
    log_middle = torch.logaddexp(log_first, log_second) - math.log(2)
    terms = [
        each.exp() * (each - log_middle).masked_fill(each == -math.inf, 0.0)  # 0 log 0 is 0
        for each in (log_first, log_second)
    ]
    return 0.5 * _mean((terms[0] + terms[1]).sum(-1), mask)


def r_drop_loss(
    first: Tensor,
    second: Tensor,
    target: Tensor,
    *,
    alpha: Rate = 1.0,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> Tensor:
    r"""Return the R-Drop loss of two predictions for one input: both cross entropies, and their divergence.

    .. math:: L = -\log P(y) - \log Q(y) + \frac{\alpha}{2} \left[\text{KL}(P \| Q) + \text{KL}(Q \| P)\right]

    the paper's form, averaged over examples ("batchmean", for both parts alike). The form in the README of the authors'
    code halves or leaves out one of the cross entropies and sums the divergence over the batch: its alpha is half of
    this one's, divided by the batch size. Both sides take gradients.

    Args:
        first: logits of the first pass, (\*, K), classes last.
        second: logits of the second pass, with other masks.
        target: (\*) classes, integers.
        alpha: weight of the divergence.
        ignore_index: class of targets that are padding; they are left out of both parts, before any reduction.
        label_smoothing: part of the target that is spread over all classes, in [0, 1].

    Returns:
        A scalar.

    Raises:
        ValueError: shapes that do not fit, a negative or infinite alpha, label smoothing outside [0, 1].
        TypeError: logits that are not floating point, targets that are no integers.

    Example:
        >>> logits = torch.tensor([[2.0, 0.0]])
        >>> r_drop_loss(logits, logits, torch.tensor([0]), alpha=5.0)  # twice the cross entropy
        tensor(0.2539)

    Source: Liang, Wu, Li, Wang, Meng, Qin, Chen, Zhang, Liu 2021, "R-Drop", NeurIPS, arXiv 2106.14448.
    """
    where = "r_drop_loss"
    _check_pair(where, first, second)
    check_integers(where, "target", target)
    if target.shape != first.shape[:-1]:
        remedy = "Move the classes to the last dimension of the logits."
        bad_value(where, "target", f"of shape {tuple(first.shape[:-1])}", tuple(target.shape), remedy)
    alpha = check_setting(where, "alpha", alpha, check_not_negative)
    label_smoothing = check_p(where, label_smoothing, "label_smoothing")
    target = target.long()  # in uint8 -100 is class 156
    mask = target != ignore_index
    log_first, log_second = first.log_softmax(-1), second.log_softmax(-1)
    entropies = _cross_entropy(log_first, target, mask, label_smoothing)
    entropies = entropies + _cross_entropy(log_second, target, mask, label_smoothing)
    return entropies + times(_symmetric_kl(log_first, log_second, mask), alpha)


def _cross_entropy(log_probs: Tensor, target: Tensor, mask: Tensor, label_smoothing: float) -> Tensor:
    labels = target.masked_fill(~mask, 0)
    flat = log_probs.flatten(0, -2) if log_probs.dim() > 1 else log_probs[None]
    loss = torch_functional.nll_loss(flat, labels.flatten(), reduction="none").view(target.shape)
    if label_smoothing:
        loss = (1 - label_smoothing) * loss - label_smoothing * log_probs.mean(-1)
    return _mean(loss, mask)
