"""Targeted dropout: of weights that pruning by magnitude would remove, so that the network does without them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from thinout import ops
from thinout._checks import bad_value
from thinout.functional._shared import Rate, check_probability, is_off
from thinout.ops._inputs import check_floating_point, check_key

_ROUNDING = 1e-9  # 0.29 * 100 is 28.999999999999996, and means 29


def targeted_weight_dropout(
    weight: Tensor,
    *,
    alpha: float | Tensor,
    gamma: float | Tensor,
    training: bool,
    dim: int = 0,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Drop weights of small magnitude with probability alpha in training, and prune all of them in evaluation.

    Of the :math:`F` weights of each output unit, those below the order statistic of rank
    :math:`\lfloor\gamma F\rfloor + 1` in magnitude are candidates; no other weight is ever touched. Of a candidate w

    .. math:: y = (1 - d)\, w, \quad d \sim \text{Bernoulli}(\alpha) \ \text{in training}, \ d = 1 \ \text{otherwise}

    Nothing is rescaled. "Below" is strict: of weights of equal magnitude none is a candidate, unless all are (gamma 1).
    The choice of candidates has no gradient.

    Args:
        weight: of 2 or more dimensions.
        alpha: drop probability of a candidate, in [0, 1]. 1 gives in training what evaluation gives, 0 the weight.
        gamma: share of candidates, in [0, 1]; :math:`\gamma F` is rounded down. 0 gives the weight itself.
        training: whether to drop at random; otherwise all candidates are 0.
        dim: dimension of the output units: 0 for `torch.nn.Linear` and convolutions, 1 for transposed convolutions.
        key: key of the mask; None draws one.
        generator: where the key is drawn.
        offset: second number that the mask is a function of.

    Returns:
        A tensor like the weight.

    Raises:
        ValueError: alpha or gamma outside [0, 1], fewer than 2 dimensions, a dimension that the weight does not have.
        TypeError: the weight is not floating point.

    Example:
        >>> weight = torch.tensor([[0.1, -3.0, 0.2, 2.0], [1.0, 1.0, 1.0, 1.0]])
        >>> targeted_weight_dropout(weight, alpha=0.5, gamma=0.5, training=False)
        tensor([[ 0., -3.,  0.,  2.],
                [ 1.,  1.,  1.,  1.]])

    Source: Gomez, Zhang, Kamalakara, Madaan, Swersky, Gal, Hinton 2019, "Learning sparse networks using targeted
    dropout", arXiv 1905.13678.
    """
    where = "targeted_weight_dropout"
    gamma = _check(where, weight, alpha, gamma, dim)
    if is_off(gamma, True):
        return weight
    units = weight.detach().abs().movedim(dim, 0)
    threshold, every = _threshold(units.flatten(1), gamma)
    threshold = threshold.reshape(-1, *[1] * (weight.dim() - 1)).movedim(0, dim)
    candidates = (weight.detach().abs() < threshold) | every
    return _drop(where, weight, candidates, alpha, training, key, generator, offset)


def targeted_unit_dropout(
    weight: Tensor,
    *,
    alpha: float | Tensor,
    gamma: float | Tensor,
    training: bool,
    dim: int = 0,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Drop whole output units of small norm with probability alpha in training, and prune all of them in evaluation.

    Of the :math:`U` output units, those whose weights have an L2 norm below the order statistic of rank
    :math:`\lfloor\gamma U\rfloor + 1` are candidates; otherwise as `targeted_weight_dropout`. Of a candidate u

    .. math:: y_u = (1 - d_u)\, w_u, \quad d_u \sim \text{Bernoulli}(\alpha), \quad d_u = 1 \ \text{in evaluation}

    A dropped unit loses its weights and keeps its bias.

    Args:
        weight: of 2 or more dimensions.
        alpha: drop probability of a candidate unit, in [0, 1].
        gamma: share of candidate units, in [0, 1]; :math:`\gamma U` is rounded down.
        training: whether to drop at random; otherwise all candidates are 0.
        dim: dimension of the output units.
        key: key of the mask; None draws one.
        generator: where the key is drawn.
        offset: second number that the mask is a function of.

    Returns:
        A tensor like the weight.

    Raises:
        ValueError: alpha or gamma outside [0, 1], fewer than 2 dimensions, a dimension that the weight does not have.
        TypeError: the weight is not floating point.

    Example:
        >>> weight = torch.tensor([[0.1, 0.1], [3.0, 4.0], [1.0, 0.0], [0.0, 2.0]])
        >>> targeted_unit_dropout(weight, alpha=0.5, gamma=0.5, training=False)
        tensor([[0., 0.],
                [3., 4.],
                [0., 0.],
                [0., 2.]])

    Source: Gomez et al. 2019, arXiv 1905.13678.
    """
    where = "targeted_unit_dropout"
    gamma = _check(where, weight, alpha, gamma, dim)
    if is_off(gamma, True):
        return weight
    others = [other for other in range(weight.dim()) if other != dim % weight.dim()]
    wide = torch.promote_types(weight.dtype, torch.float32)
    norms = torch.linalg.vector_norm(weight.detach(), dim=others, keepdim=True, dtype=wide)
    threshold, every = _threshold(norms.reshape(1, -1), gamma)
    candidates = (norms < threshold.reshape(())) | every
    return _drop(where, weight, candidates, alpha, training, key, generator, offset)


def _check(where: str, weight: Tensor, alpha: Rate, gamma: Rate, dim: int) -> Rate:
    check_probability(where, alpha, "alpha")
    check_floating_point(where, "weight", weight)
    if weight.dim() < 2:
        bad_value(where, "weight", "of 2 or more dimensions", f"shape {tuple(weight.shape)}")
    if not -weight.dim() <= dim < weight.dim():
        bad_value(where, "dim", f"a dimension of the weight {tuple(weight.shape)}", dim)
    return check_probability(where, gamma, "gamma")


def _threshold(sizes: Tensor, gamma: Rate) -> tuple[Tensor, bool | Tensor]:
    """Return the magnitude below which an entry of a row is a candidate, (rows, 1), and whether every one is."""
    count = sizes.shape[1]
    if count == 0 or sizes.shape[0] == 0:
        return sizes.new_zeros(sizes.shape[0], 1), False
    if isinstance(gamma, Tensor):
        index = torch.floor(gamma * count + _ROUNDING).to(sizes.device, torch.int64)
        order = sizes.sort(dim=1).values
        return order.index_select(1, index.clamp(max=count - 1)), index >= count
    number = math.floor(gamma * count + _ROUNDING)
    if number >= count:
        return sizes[:, :1], True
    # The largest of the smallest ones, unsorted: several times as fast as sorting.
    return sizes.topk(number + 1, dim=1, largest=False, sorted=False).values.amax(1, keepdim=True), False


def _drop(
    where: str,
    weight: Tensor,
    candidates: Tensor,
    alpha: Rate,
    training: bool,
    key: Tensor | int | None,
    generator: torch.Generator | None,
    offset: int,
) -> Tensor:
    """Drop candidates, which are as the weight or one a unit."""
    if not training:
        return torch.where(candidates, 0.0, weight)
    if is_off(alpha, True):
        return weight
    key = ops.draw_key(generator) if key is None else check_key(where, key, weight.device)
    keep = ops.dropout_mask(tuple(candidates.shape), key, alpha, offset=offset, device=weight.device)
    return torch.where(candidates & ~keep, 0.0, weight)
