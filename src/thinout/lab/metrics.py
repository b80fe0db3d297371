"""How good the predictions of a classifier are: likelihood, error, calibration."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from thinout._checks import check_count


def nll_by_example(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the negative log-likelihood of each example's label in nats, (N,).

    Args:
        logits: (N, num_classes).
        labels: int64, (N,).
    """
    return cross_entropy(logits, labels, reduction="none")


def classification_error(logits: Tensor, labels: Tensor) -> float:
    """Return the share of examples whose most probable class is not the label, in [0, 1]."""
    return (logits.argmax(1) != labels).double().mean().item()


def expected_calibration_error(logits: Tensor, labels: Tensor, *, num_bins: int = 15) -> float:
    r"""Return the expected calibration error: the mean gap between confidence and accuracy over bins of confidence.

    .. math:: \sum_b \frac{n_b}{n} \lvert \mathrm{accuracy}_b - \mathrm{confidence}_b \rvert

    Bins are equally wide, closed on the left. Equals torchmetrics' ``multiclass_calibration_error(norm="l1")``, whose
    import alone costs seconds in every worker.

    Args:
        logits: (N, num_classes).
        labels: int64, (N,).
        num_bins: bins over [0, 1].

    Example:
        >>> logits = torch.log(torch.tensor([[0.8, 0.2], [0.8, 0.2]]))
        >>> round(expected_calibration_error(logits, torch.tensor([0, 1])), 4)
        0.3

    Source:
        Guo, Pleiss, Sun, Weinberger 2017, "On calibration of modern neural networks", arXiv 1706.04599.
    """
    check_count("expected_calibration_error", "num_bins", num_bins)
    confidence, predicted = logits.double().softmax(1).max(1)
    boundaries = torch.linspace(0, 1, num_bins + 1, dtype=torch.float64, device=logits.device)
    bins = torch.bucketize(confidence, boundaries[1:-1], right=True)
    surplus = (predicted == labels).double() - confidence
    gaps = torch.zeros(num_bins, dtype=torch.float64, device=logits.device).index_add_(0, bins, surplus)
    return gaps.abs().sum().item() / len(labels)


def classification_metrics(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Return ``nll`` (nats), ``error`` and ``ece`` (shares) of a set of predictions.

    Example:
        >>> classification_metrics(torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64))["nll"]  # log 2
        0.6931471824645996
    """
    return {
        "nll": nll_by_example(logits, labels).double().mean().item(),
        "error": classification_error(logits, labels),
        "ece": expected_calibration_error(logits, labels),
        "balanced_error": balanced_error(logits, labels),
    }


def root_mean_squared_error(outputs: Tensor, targets: Tensor, std: Sequence[float] = (1.0,)) -> float:
    """Return the root of the mean squared distance between outputs and targets, both (N, D), in the targets' own unit.

    Args:
        outputs: standardised predictions.
        targets: standardised targets.
        std: what each of the D targets was divided by.

    Example:
        >>> root_mean_squared_error(torch.zeros(2, 1), torch.ones(2, 1), (5.0,))
        5.0
    """
    distances = (outputs - targets).double() * torch.tensor(std, dtype=torch.float64)
    return distances.square().sum(1).mean().sqrt().item()


def balanced_error(logits: Tensor, labels: Tensor) -> float:
    """Return the mean over the classes that occur of the share of their examples taken for another, in [0, 1].

    A guess of the most frequent class has the balanced error 1 - 1 / num_classes, however frequent it is.

    Example:
        >>> always_first = torch.tensor([[1.0, 0.0]]).expand(4, 2)
        >>> balanced_error(always_first, torch.tensor([0, 0, 0, 1]))
        0.5
    """
    wrong = (logits.argmax(1) != labels).double()
    shares = [wrong[labels == label].mean().item() for label in torch.unique(labels)]
    return sum(shares) / len(shares)


def binary_metrics(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Return ``recall``, ``f1`` and ``auc`` of class 1 among two classes; higher is better, unlike elsewhere.

    ``auc`` is the probability that an example of class 1 has the higher score for it than one of class 0, ties counted
    by half; NaN where a class does not occur. F1 is 0 where class 1 is never predicted and never right.

    Example:
        >>> logits = torch.tensor([[0.0, 2.0], [0.0, 1.0], [0.0, -1.0], [0.0, -2.0]])
        >>> binary_metrics(logits, torch.tensor([1, 0, 1, 0]))
        {'recall': 0.5, 'f1': 0.5, 'auc': 0.75}
    """
    predicted, positive = logits.argmax(1) == 1, labels == 1
    hits = (predicted & positive).sum().item()
    count, num_predicted = positive.sum().item(), predicted.sum().item()
    scores = (logits[:, 1] - logits[:, 0]).double()
    ours, others = scores[positive], scores[~positive].sort().values
    below = torch.searchsorted(others, ours, right=False) + torch.searchsorted(others, ours, right=True)
    return {
        "recall": hits / count if count else float("nan"),
        "f1": 2 * hits / (count + num_predicted) if count + num_predicted else 0.0,
        "auc": below.double().mean().item() / (2 * len(others)) if count and len(others) else float("nan"),
    }
