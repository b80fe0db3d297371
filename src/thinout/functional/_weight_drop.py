"""Dropout of the weights of any module: the masks of one call."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from thinout import ops
from thinout.functional._shared import check_probability, draw_keys, is_off
from thinout.ops._inputs import check_floating_point


def drop_weights(
    weights: Mapping[str, Tensor],
    p: float | Tensor = 0.5,
    *,
    training: bool,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> dict[str, Tensor]:
    r"""Drop elements of named weights, for one call of the module that they belong to.

    .. math:: \tilde{W} = \frac{M \odot W}{1 - p}, \quad M_{ij} \sim \text{Bernoulli}(1 - p)

    What is returned goes into `torch.func.functional_call`; the weights themselves stay as they are and receive the
    gradients. `thinout.nn.WeightDrop` does both.

    Args:
        weights: name -> weight. Each has a mask of its own, made from one key.
        p: drop probability of an element, in [0, 1]. 0 gives the weights themselves and draws nothing; 1 gives zeros.
        training: whether to drop.
        key: key of the masks; None draws one.
        generator: where the key is drawn.
        offset: second number that the masks are a function of.

    Returns:
        name -> dropped weight.

    Raises:
        ValueError: p outside [0, 1].
        TypeError: a weight is not floating point.

    Example:
        >>> drop_weights({"weight": torch.ones(2, 4)}, 0.5, training=True, key=1)["weight"]
        tensor([[2., 0., 2., 0.],
                [2., 0., 0., 0.]])

    Source: Merity, Keskar, Socher 2018, "Regularizing and optimizing LSTM language models", ICLR, arXiv 1708.02182.
    """
    p = check_probability("drop_weights", p)
    for name, weight in weights.items():
        check_floating_point("drop_weights", name, weight)
    if is_off(p, training) or not weights:
        return dict(weights)
    device = next(iter(weights.values())).device
    keys = draw_keys("drop_weights", len(weights), key, generator, device)
    return {
        name: ops.dropout(weight, own_key, p, offset=offset)
        for own_key, (name, weight) in zip(keys, weights.items(), strict=True)
    }
