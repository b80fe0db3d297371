"""Targeted dropout: modules that act on a weight."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from thinout import functional as F
from thinout import ops
from thinout._checks import check_integer, check_p
from thinout.nn._rate import Adjustable, Setting, rate
from thinout.nn._registry import ErrorInput, LayerSpec, register


class _Targeted(Adjustable):
    """What both forms share."""

    alpha = Setting()
    gamma = Setting()
    _function: ClassVar[Any]

    def __init__(self, alpha: float, gamma: float, *, dim: int = 0) -> None:
        super().__init__()
        where = type(self).__name__
        self.alpha = check_p(where, alpha, "alpha")
        self.gamma = check_p(where, gamma, "gamma")
        self.dim = check_integer(where, "dim", dim)

    def forward(
        self,
        weight: Tensor,
        *,
        key: Tensor | int | None = None,
        generator: torch.Generator | None = None,
        offset: int = 0,
    ) -> Tensor:
        """Drop candidates in training mode, prune them in eval mode."""
        dropped: Tensor = self._function(
            weight,
            alpha=rate(self, "alpha"),
            gamma=rate(self, "gamma"),
            training=self.training,
            dim=self.dim,
            key=key,
            generator=generator,
            offset=offset,
        )
        return dropped

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return f"alpha={self.alpha}, gamma={self.gamma}" + (f", dim={self.dim}" if self.dim else "")


class TargetedWeightDropout(_Targeted):
    """Drop weights of small magnitude in training, prune them in eval; see `functional.targeted_weight_dropout`.

    It acts on a weight. As a parametrization it acts on the weight of a layer, and leaves pruned weights behind:

        from torch.nn.utils import parametrize
        parametrize.register_parametrization(layer, "weight", TargetedWeightDropout(alpha=0.5, gamma=0.5))
        ...
        parametrize.remove_parametrizations(layer.eval(), "weight", leave_parametrized=True)

    Both numbers can be set at any time, to let them grow over the first steps of training as the authors do.

    Args:
        alpha: drop probability of a candidate, in [0, 1].
        gamma: share of the weights of each output unit that are candidates, in [0, 1].
        dim: dimension of the output units: 0 for `torch.nn.Linear` and convolutions, 1 for transposed convolutions.

    Shape:
        A weight of 2 or more dimensions; the output is like it.

    Raises:
        ValueError: alpha or gamma outside [0, 1], a weight of fewer than 2 dimensions.

    Example:
        >>> layer = TargetedWeightDropout(alpha=0.5, gamma=0.5)
        >>> layer.eval()(torch.tensor([[0.1, -3.0, 0.2, 2.0]]))
        tensor([[ 0., -3.,  0.,  2.]])

    Source: Gomez, Zhang, Kamalakara, Madaan, Swersky, Gal, Hinton 2019, arXiv 1905.13678.
    """

    _function = staticmethod(F.targeted_weight_dropout)


class TargetedUnitDropout(_Targeted):
    """Drop output units of small norm in training, prune them in eval; see `functional.targeted_unit_dropout`.

    It acts on a weight, and is used as `TargetedWeightDropout` is.

    Args:
        alpha: drop probability of a candidate unit, in [0, 1].
        gamma: share of the output units that are candidates, in [0, 1].
        dim: dimension of the output units.

    Shape:
        A weight of 2 or more dimensions; the output is like it.

    Raises:
        ValueError: alpha or gamma outside [0, 1], a weight of fewer than 2 dimensions.

    Example:
        >>> layer = TargetedUnitDropout(alpha=0.5, gamma=0.5)
        >>> layer.eval()(torch.tensor([[0.1, 0.1], [3.0, 4.0]]))
        tensor([[0., 0.],
                [3., 4.]])

    Source: Gomez et al. 2019, arXiv 1905.13678.
    """

    _function = staticmethod(F.targeted_unit_dropout)


def _candidates(module: _Targeted, weight: Tensor) -> Tensor:
    """Find the candidates unit by unit, by sorting."""
    candidates = torch.zeros_like(weight, dtype=torch.bool)
    if isinstance(module, TargetedUnitDropout):
        norms = [row.float().norm().item() for row in weight]
        limit = [*sorted(norms), float("inf")][int(module.gamma * len(norms) + 1e-9)]
        for row, norm in enumerate(norms):
            candidates[row] = norm < limit
        return candidates
    for row in range(weight.shape[0]):
        sizes = weight[row].abs().flatten()
        order = [*sizes.sort().values.tolist(), float("inf")]
        candidates[row] = weight[row].abs() < order[int(module.gamma * len(sizes) + 1e-9)]
    return candidates


def _reference(module: _Targeted, weight: Tensor) -> Tensor:
    units = isinstance(module, TargetedUnitDropout)
    noise_shape = [None, *[1] * (weight.dim() - 1)] if units else None
    dropped = ops.dropout(
        weight, ops.draw_key(), module.alpha, noise_shape=noise_shape, rescale=False, backend="reference"
    )
    return torch.where(_candidates(module, weight), dropped, weight)


for _layer in (TargetedWeightDropout, TargetedUnitDropout):
    register(
        LayerSpec(
            layer=_layer,
            arguments={"alpha": 0.5, "gamma": 0.75},
            shape=(16, 4, 2),
            reference=_reference,
            evaluate=lambda module, weight: weight.masked_fill(_candidates(module, weight), 0.0),
            rates=("alpha", "gamma"),
            errors=(
                ErrorInput(
                    error=ValueError,
                    match=r"`alpha` must be a number in \[0, 1\], got 1.5",
                    arguments={"alpha": 1.5, "gamma": 0.5},
                ),
                ErrorInput(
                    error=ValueError,
                    match=r"`gamma` must be a number in \[0, 1\], got nan",
                    arguments={"alpha": 0.5, "gamma": float("nan")},
                ),
                ErrorInput(
                    error=TypeError,
                    match="`dim` must be a whole number, got 0.5",
                    arguments={"alpha": 0.5, "gamma": 0.5, "dim": 0.5},
                ),
                ErrorInput(error=ValueError, match="`weight` must be of 2 or more dimensions", input=torch.ones(3)),
                ErrorInput(
                    error=TypeError,
                    match="`weight` must be a floating-point tensor",
                    input=torch.ones(2, 3, dtype=torch.int64),
                ),
            ),
        )
    )
