"""Pictures of what layers learn: the continuous mask and the pull of its two parts, and which weights are left out."""

from __future__ import annotations

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

import thinout.nn as tnn
from pictures._canvas import ACCENT, INK, KEPT, figure, mask, values
from thinout import functional as F


def _lines(axes: Axes, title: str, x: Tensor, lines: dict[str, tuple[Tensor, str]], columns: str, rows: str) -> None:
    for label, (y, colour) in lines.items():
        axes.plot(x.numpy(), y.numpy(), color=colour, linewidth=1.6, label=label)
    axes.set_title(title, fontsize=9, color=INK)
    axes.set_xlabel(columns, fontsize=8, color=INK)
    axes.set_ylabel(rows, fontsize=8, color=INK)
    axes.tick_params(labelsize=7, colors=INK)
    axes.legend(fontsize=7, frameon=False, labelcolor=INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _term(rates: Tensor, weight_regularizer: float, dropout_regularizer: float) -> Tensor:
    weight = torch.full((1, 20), 0.5)
    terms = [
        F.concrete_regularization(
            rate.logit(), weight, 20, weight_regularizer=weight_regularizer, dropout_regularizer=dropout_regularizer
        )
        for rate in rates
    ]
    return torch.stack(terms)


def _concrete() -> Figure:
    drawn, axes = figure(4, width=2.4, height=2.4)
    for panel, temperature in zip(axes[:2], (0.1, 2 / 3), strict=True):
        torch.manual_seed(3)
        y = tnn.ConcreteDropout(0.4, temperature=temperature)(torch.ones(8, 12)).detach()
        values(panel, y, f"ones, p = 0.4, temperature {temperature:.1f}", rows="examples", columns="units")
    rates = torch.linspace(0.01, 0.9, 90).double()
    _lines(
        axes[2],
        "term of the loss",
        rates,
        {"weights": (_term(rates, 0.5, 0.0), ACCENT), "entropy": (_term(rates, 0.0, 1.0), KEPT)},
        "p",
        "nats",
    )
    log_alpha = torch.linspace(-7, 4, 100).double()
    _lines(
        axes[3],
        "KL divergence of a weight",
        log_alpha,
        {"log-uniform prior": (F.log_uniform_kl(log_alpha), KEPT)},
        "log α",
        "nats",
    )
    return drawn


def _sparse() -> Figure:
    torch.manual_seed(5)
    layer = tnn.SparseVariationalLinear(12, 8, initial_log_sigma2=-3.0)
    with torch.no_grad():
        layer.weight.normal_()
        layer.weight.mul_(layer.weight.abs()).mul_(0.25)
    drawn, axes = figure(3, width=2.6, height=2.3)
    names = {"rows": "outputs", "columns": "inputs"}
    values(axes[0], layer.weight, "weights θ", span=0.5, **names)
    values(axes[1], layer.log_alpha, "log α where σ² = 0.05", span=8.0, **names)
    pruned: nn.Linear = layer.to_torch()  # type: ignore[assignment]
    mask(axes[2], pruned.weight != 0, f"kept in evaluation: {1 - layer.sparsity():.0%}", **names)
    return drawn


def draw() -> dict[str, Figure]:
    """Return both pictures."""
    return {"learned": _concrete(), "learned-sparse": _sparse()}
