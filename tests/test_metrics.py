"""Metrics against closed forms and torchmetrics."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torchmetrics.functional.classification import multiclass_calibration_error

from thinout.lab.metrics import (
    classification_error,
    classification_metrics,
    expected_calibration_error,
    nll_by_example,
)


@pytest.mark.parametrize("num_classes", [2, 10, 43])
def test_uniform_predictions_cost_log_c(num_classes: int) -> None:
    logits, labels = torch.full((6, num_classes), 2.5), torch.arange(6) % num_classes
    assert nll_by_example(logits, labels).tolist() == pytest.approx([math.log(num_classes)] * 6, rel=1e-6)


def test_perfect_predictions_cost_nothing() -> None:
    labels = torch.tensor([0, 2, 1])
    metrics = classification_metrics(1000.0 * nn.functional.one_hot(labels, 3), labels)
    assert metrics == {"nll": 0.0, "error": 0.0, "ece": 0.0, "balanced_error": 0.0}


def test_error_is_the_share_of_wrong_labels() -> None:
    logits = torch.tensor([[2.0, 1.0], [0.0, 1.0], [0.0, 1.0], [3.0, 1.0]])
    assert classification_error(logits, torch.tensor([0, 0, 1, 1])) == 0.5


def test_calibration_error_by_hand() -> None:
    # Confidence 0.9 and right once of twice: gap 0.4 over 2 of 5. Confidence 0.6, right twice of thrice: 1/15 over 3.
    chances = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6], [0.4, 0.6]], dtype=torch.float64)
    labels = torch.tensor([0, 1, 0, 1, 0])
    assert expected_calibration_error(chances.log(), labels) == pytest.approx((2 * 0.4 + 3 / 15) / 5, rel=1e-9)


@pytest.mark.parametrize("num_bins", [1, 5, 15])
def test_calibration_error_agrees_with_torchmetrics(num_bins: int) -> None:
    logits = torch.randn(500, 7, generator=torch.Generator().manual_seed(1)) * 2
    labels = torch.randint(0, 7, (500,), generator=torch.Generator().manual_seed(2))
    expected = multiclass_calibration_error(logits.softmax(1), labels, num_classes=7, n_bins=num_bins, norm="l1")
    assert expected_calibration_error(logits, labels, num_bins=num_bins) == pytest.approx(expected.item(), abs=1e-6)
