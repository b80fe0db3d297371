"""Stochastic depth as torchvision and timm have it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.fx
from torch import Tensor

from thinout import nn
from thinout._checks import bad_value, check_count, check_p
from thinout.functional import stochastic_depth as _stochastic_depth

torch.fx.wrap("_stochastic_depth")  # one node of a graph


def stochastic_depth(input: Tensor, p: float, mode: str, training: bool = True) -> Tensor:
    """Drop the output of a residual branch; `torchvision.ops.stochastic_depth`.

    Args:
        input: floating-point tensor (N, ...).
        p: drop probability in [0, 1].
        mode: "row" drops examples, "batch" all or nothing.
        training: whether to drop. True by default, as there: pass ``self.training``.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: p outside [0, 1] or a mode of another name.

    Example:
        >>> stochastic_depth(torch.ones(2, 3), 1.0, "row")
        tensor([[0., 0., 0.],
                [0., 0., 0.]])
    """
    return _stochastic_depth(input, p, mode=mode, training=training)


class StochasticDepth(nn.StochasticDepth):
    """Drop the output of a residual branch; `torchvision.ops.StochasticDepth`.

    Args:
        p: drop probability in [0, 1].
        mode: "row" drops examples, "batch" all or nothing.

    Shape:
        (N, ...); the output is like the input.

    Raises:
        ValueError: p outside [0, 1] or a mode of another name.

    Example:
        >>> StochasticDepth(0.2, "row")
        StochasticDepth(p=0.2, mode=row)
    """

    def __init__(self, p: float, mode: str) -> None:
        super().__init__(p, mode)

    def extra_repr(self) -> str:
        """Return the arguments as torchvision prints them."""
        return f"p={self.p}, mode={self.mode}"


def drop_path(x: Tensor, drop_prob: float = 0.0, training: bool = False, scale_by_keep: bool = True) -> Tensor:
    """Drop the output of a residual branch for whole examples; `timm.layers.drop_path`.

    Args:
        x: floating-point tensor (N, ...).
        drop_prob: drop probability in [0, 1].
        training: whether to drop.
        scale_by_keep: whether what is kept is multiplied by 1 / (1 - drop_prob).

    Returns:
        A tensor like the input.

    Raises:
        ValueError: a probability outside [0, 1].

    Example:
        >>> drop_path(torch.ones(2, 3))
        tensor([[1., 1., 1.],
                [1., 1., 1.]])
    """
    drop_prob = check_p("drop_path", drop_prob, "drop_prob")
    return _stochastic_depth(x, drop_prob, scaled=scale_by_keep, training=training)


class DropPath(nn.StochasticDepth):
    """Drop the output of a residual branch for whole examples; `timm.layers.DropPath`.

    Args:
        drop_prob: drop probability in [0, 1], the `p` of thinout's layers.
        scale_by_keep: whether what is kept is multiplied by 1 / (1 - drop_prob).

    Shape:
        (N, ...); the output is like the input.

    Raises:
        ValueError: a probability outside [0, 1].

    Example:
        >>> DropPath(0.1)
        DropPath(drop_prob=0.100)
    """

    def __init__(self, drop_prob: float = 0.0, scale_by_keep: bool = True) -> None:
        super().__init__(check_p(type(self).__name__, drop_prob, "drop_prob"), scaled=scale_by_keep)

    @property
    def drop_prob(self) -> float:
        """The drop probability."""
        return self.p

    @drop_prob.setter
    def drop_prob(self, value: float) -> None:
        self.p = check_p(type(self).__name__, value, "drop_prob")

    @property
    def scale_by_keep(self) -> bool:
        """Whether what is kept is scaled."""
        return self.scaled

    @scale_by_keep.setter
    def scale_by_keep(self, value: bool) -> None:
        self.scaled = value

    def extra_repr(self) -> str:
        """Return the probability as timm prints it."""
        return f"drop_prob={self.drop_prob:0.3f}"


def calculate_drop_path_rates(
    drop_path_rate: float, depths: int | Sequence[int], stagewise: bool = False
) -> list[float] | list[list[float]]:
    r"""Return the rate of each block, from 0 for the first to the full rate for the last.

    .. math:: p_l = p \frac{l - 1}{L - 1}, \quad l = 1, ..., L

    `timm.layers.calculate_drop_path_rates`, in double precision.

    Args:
        drop_path_rate: rate p of the last block, in [0, 1].
        depths: number of blocks, or of the blocks of each stage.
        stagewise: return a list for each stage.

    Raises:
        ValueError: a rate outside [0, 1] or a negative depth, or `stagewise` with one depth.

    Example:
        >>> calculate_drop_path_rates(0.5, 3)
        [0.0, 0.25, 0.5]
        >>> calculate_drop_path_rates(0.5, [1, 2], stagewise=True)
        [[0.0], [0.25, 0.5]]
    """
    where = "calculate_drop_path_rates"
    p = check_p(where, drop_path_rate, "drop_path_rate")
    if isinstance(depths, int) and stagewise:
        bad_value(where, "depths", "a sequence of depths where `stagewise` is True", depths)
    given = [depths] if isinstance(depths, int) else depths
    stages = [check_count(where, "depths", depth, at_least=0) for depth in given]
    total = sum(stages)
    rates = [p * (block / max(total - 1, 1)) for block in range(total)]
    if not stagewise:
        return rates
    ends = list(itertools.accumulate(stages))
    return [rates[end - depth : end] for depth, end in zip(stages, ends, strict=True)]
