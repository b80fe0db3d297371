"""How often a cell of a map is dropped by blocks: DropBlock's rates in closed form."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from thinout._checks import check_count, check_p
from thinout.functional._shared import Rate, effective_rate, per_axis
from thinout.ops._apply import rate_tensor

_FINER = 256  # times that one step of the search narrows its interval
_STEPS = 5  # to 2**-40, well below the 2**-32 that the wide mask format resolves


class Grid(NamedTuple):
    """A map and the blocks that fall into it, an entry an axis; no block is larger than the map."""

    sizes: tuple[int, ...]
    blocks: tuple[int, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The places where a block can begin and still lie inside of the map."""
        return tuple(size - block + 1 for size, block in zip(self.sizes, self.blocks, strict=True))


def make_grid(sizes: Sequence[int], blocks: Sequence[int]) -> Grid:
    """Return the grid, with the blocks clipped to the map."""
    return Grid(tuple(sizes), tuple(min(block, size) for block, size in zip(blocks, sizes, strict=True)))


def seed_rate(p: Rate, grid: Grid, exact: bool) -> Rate:
    """Return the probability of a seed, in the form of `p`, or as a tensor where a solution is compiled."""
    if exact:
        if isinstance(p, Tensor) or torch.compiler.is_compiling():
            return _solve(rate_tensor(p), grid)
        return _solved(p, grid)
    hits = math.prod(grid.sizes) / (math.prod(grid.blocks) * math.prod(grid.seeds))
    if isinstance(p, Tensor):
        return torch.where(p >= 1, torch.ones_like(p), p * hits)
    return 1.0 if p >= 1 else p * hits


def mean_rate(gamma: Rate, grid: Grid) -> Rate:
    """Return the share of a map that is dropped on average at the seed rate `gamma`."""
    if isinstance(gamma, Tensor) or torch.compiler.is_compiling():
        return _mean(rate_tensor(gamma), grid)
    return _averaged(gamma, grid)


@functools.lru_cache(maxsize=1024)
def _solved(p: float, grid: Grid) -> float:
    return _solve(rate_tensor(p), grid).item()


@functools.lru_cache(maxsize=1024)
def _averaged(gamma: float, grid: Grid) -> float:
    return _mean(rate_tensor(gamma), grid).item()


def _coverage(size: int, block: int) -> list[int]:
    """Return the number of seeds along one axis whose block covers each cell."""
    last = size - block
    return [min(cell, last) - max(0, cell - block + 1) + 1 for cell in range(size)]


def _histogram(grid: Grid) -> tuple[Tensor, Tensor]:
    """Return the numbers of seeds that cells are covered by, and the share of the map that has each number.

    Along one axis the numbers rise from 1 to the most, stay there, and fall again.
    """
    numbers = shares = torch.ones(1, dtype=torch.float64, device="cpu")
    for size, block, seeds in zip(*grid, grid.seeds, strict=True):
        most = min(block, seeds)
        along = torch.arange(1, most + 1, dtype=torch.float64, device="cpu")
        cells = torch.where(along < most, 2, size - 2 * (most - 1)).double() / size
        numbers, shares = (numbers.unsqueeze(1) * along).flatten(), (shares.unsqueeze(1) * cells).flatten()
    return numbers, shares


def _mean(gamma: Tensor, grid: Grid) -> Tensor:
    numbers, shares = _histogram(grid)
    return (_dropped(gamma.unsqueeze(-1), numbers) * shares).sum(-1)


def _dropped(gamma: Tensor, number: Tensor) -> Tensor:
    """Return 1 - (1 - gamma)**number without cancellation at small rates."""
    return -torch.expm1(number * torch.log1p(-gamma))


def _solve(p: Tensor, grid: Grid) -> Tensor:
    """Return the seed rate at which the mean drop rate is `p`: a bisection into 256 parts at once.

    It is the same few operations for every rate, so compiled graphs hold it, and it holds at p = 0 and p = 1, where
    Newton's method divides by zero.
    """
    low, width = torch.zeros_like(p), 1.0
    fractions = torch.arange(_FINER + 1, dtype=torch.float64, device="cpu") / _FINER
    for _ in range(_STEPS):
        below = (_mean(low + fractions * width, grid) < p).sum()
        width /= _FINER
        low = low + (below - 1).clamp(0, _FINER - 1) * width
    return low + width / 2


def drop_block_rates(
    size: int | Sequence[int], p: float, block_size: int | Sequence[int] = 7, *, exact: bool = False
) -> Tensor:
    r"""Return the probability of each cell of a map to be dropped by DropBlock, in closed form.

    .. math:: P(\text{cell } i) = 1 - (1 - \gamma)^{n_i}, \quad n_i = \prod_a c_a(i_a)
    .. math:: c_a(i) = \min(i, S_a - b_a) - \max(0, i - b_a + 1) + 1

    is the number of seeds whose block covers the cell: the middle of a map is dropped far more often than its corners.

    Args:
        size: sizes of the map, one for each axis.
        p: the rate that DropBlock is called with.
        block_size: side of a block, one for all axes or one for each.
        exact: whether :math:`\gamma` is solved for, so that the mean of the result is p.

    Returns:
        A float64 tensor of shape `size`.

    Raises:
        ValueError: p outside [0, 1], a size or block size below 1.

    Example:
        >>> rates = drop_block_rates((14, 14), 0.1, 7)
        >>> print(f"{rates.mean():.4f} {rates[0, 0]:.5f} {rates[7, 7]:.4f}")
        0.0929 0.00625 0.2645
        >>> print(f"{drop_block_rates((14, 14), 0.1, 7, exact=True).mean():.4f}")
        0.1000

    Source: Ghiasi, Lin, Le 2018, arXiv 1810.12890, for the method.
    """
    where = "drop_block_rates"
    sizes = tuple(check_count(where, "size", entry) for entry in (size if isinstance(size, Sequence) else (size,)))
    grid = make_grid(sizes, per_axis(where, "block_size", block_size, len(sizes)))
    gamma = rate_tensor(effective_rate(where, seed_rate(check_p(where, p), grid, exact), wide=True))
    number = torch.ones((), dtype=torch.float64)
    for cells, block in zip(*grid, strict=True):
        number = number.unsqueeze(-1) * torch.tensor(_coverage(cells, block), dtype=torch.float64)
    return _dropped(gamma, number)
