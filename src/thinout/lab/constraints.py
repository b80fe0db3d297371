"""Companions of dropout that act on weights."""

from __future__ import annotations

import torch
from torch import nn

from thinout._checks import check_positive

_CONSTRAINED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


@torch.no_grad()
def max_norm_(model: nn.Module, c: float) -> nn.Module:
    r"""Scale the incoming weights of each unit back into a ball of radius c, in place.

    .. math:: w_j \leftarrow w_j \min(1, c / \lVert w_j \rVert_2)

    The incoming weights of a unit are a row of a linear layer's weight, or a filter of a convolution (all dimensions
    but 0). Biases are left alone, and so, bit for bit, are weights inside of the ball. Call it after every optimiser
    step; the optimiser's momentum is not projected.

    Args:
        model: network whose linear and convolutional layers are constrained.
        c: largest L2 norm. A bound of the classical, non-inverted dropout becomes ``(1 - p) * c`` here.

    Returns:
        The model.

    Raises:
        ValueError: c is not positive.

    Example:
        >>> layer = nn.Linear(2, 1)
        >>> _ = layer.weight.data.copy_(torch.tensor([[3.0, 4.0]]))
        >>> max_norm_(layer, 1.0).weight.data
        tensor([[0.6000, 0.8000]])

    Source:
        Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15, 5.1.
    """
    check_positive("max_norm_", "c", c)
    for layer in model.modules():
        if isinstance(layer, _CONSTRAINED):
            layer.weight.copy_(torch.renorm(layer.weight, p=2, dim=0, maxnorm=c))
    return model
