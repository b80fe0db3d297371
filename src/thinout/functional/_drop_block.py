"""DropBlock: contiguous blocks of a map are dropped together."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from thinout import ops
from thinout._checks import check_choice
from thinout.functional._block_rates import Grid, make_grid, mean_rate, seed_rate
from thinout.functional._select import drop_where
from thinout.functional._shared import Rate, check_maps, check_probability, effective_rate, is_off, per_axis
from thinout.ops._apply import rate_tensor
from thinout.ops._inputs import check_floating_point

SCALES = ("batch", "channel", "expected", "none", "sample")


def block_mask(shape: Sequence[int], key: Tensor | int, gamma: Rate, grid: Grid, offset: int, like: Tensor) -> Tensor:
    """Return which cells of maps lie in a block, True where dropped; `shape` begins with batch and channels.

    Seeds are drawn only where a whole block fits. Their rates are too small for 16 bits: they use the wide format.
    """
    seeds = (*shape[:2], *grid.seeds)
    return _spread(~ops.dropout_mask(seeds, key, gamma, offset=offset, wide=True, device=like.device), grid)


def _spread(seeds: Tensor, grid: Grid) -> Tensor:
    """Turn each seed into a block that begins there: running maxima, one axis after the other.

    Maps are padded so that a shift along any axis is a shift of the flat memory, and runs grow by doubling: a block of
    seven takes three passes an axis over bytes, where a max-pool reads 49 floats a cell.
    """
    shape = seeds.shape
    margins = [margin for block in reversed(grid.blocks) for margin in (block - 1, block - 1)]
    padded = pad(seeds.flatten(0, 1), [*margins, 0, 1])  # one map more, so that what the shifts cut off is not missed
    flat, stride = padded.flatten(), 1
    for axis in range(len(grid.blocks) - 1, -1, -1):
        run, block = 1, grid.blocks[axis]
        while run < block:
            step = min(run, block - run)
            flat = flat[: -step * stride] | flat[step * stride :]
            run += step
        stride *= padded.shape[axis + 1]
    maps = flat[: shape[0] * shape[1] * stride].view(shape[0] * shape[1], *padded.shape[1:])
    for axis, size in enumerate(grid.sizes):
        maps = maps.narrow(axis + 1, 0, size)
    return maps.view(*shape[:2], *grid.sizes)


def mask_scale(dropped: Tensor, scale: str, like: Tensor, eps: float = 0.0) -> Tensor:
    """Return cells over kept cells, of the whole mask, of each sample or of each map; finite where nothing is kept.

    Cells are counted as integers, which neither overflow nor round.
    """
    work = torch.promote_types(like.dtype, torch.float32)
    if scale == "batch":
        num_dropped, total = torch.count_nonzero(dropped), dropped.numel()
        num_dropped = num_dropped.view((1,) * dropped.dim())  # with dimensions, so that half types are promoted
    else:
        first = 1 if scale == "sample" else 2
        dims, total = tuple(range(first, dropped.dim())), math.prod(dropped.shape[first:])
        counter = torch.int32 if total < 1 << 31 else torch.int64  # four times as fast
        num_dropped = dropped.sum(dims, keepdim=True, dtype=counter)
    kept = (total - num_dropped).clamp(min=1).to(work) + eps
    return torch.full_like(kept, total) / kept  # a number over a tensor is a product with its reciprocal: two roundings


def _expected_scale(gamma: Rate, grid: Grid, like: Tensor) -> Tensor:
    dropped = rate_tensor(mean_rate(effective_rate("drop_block", gamma, wide=True), grid))
    scale = torch.where(dropped < 1, 1 / (1 - dropped), 1.0)
    return scale.to(torch.promote_types(like.dtype, torch.float32)).to(like.device).view((1,) * like.dim())


def drop_block(
    where: str,
    letters: str,
    input: Tensor,
    p: Rate,
    block_size: int | Sequence[int],
    training: bool,
    inplace: bool,
    batched: bool,
    per_channel: bool,
    scale: str,
    exact: bool,
    key: Tensor | int | None,
    generator: torch.Generator | None,
    offset: int,
    *,
    eps: float = 0.0,
) -> Tensor:
    p = check_probability(where, p)
    check_floating_point(where, "input", input)
    blocks = per_axis(where, "block_size", block_size, len(letters))
    check_choice(where, "scale", scale, SCALES)
    check_maps(where, letters, input, batched)
    if is_off(p, training) or input.numel() == 0:
        return input
    x = input if batched else input.unsqueeze(0)
    grid = make_grid(x.shape[2:], blocks)
    gamma = seed_rate(p, grid, exact)
    key = ops.draw_key(generator) if key is None else key
    shape = x.shape if per_channel else (x.shape[0], 1, *grid.sizes)
    dropped = block_mask(shape, key, gamma, grid, offset, x)
    factor = None
    if scale == "expected":
        factor = _expected_scale(gamma, grid, x)
    elif scale != "none":
        factor = mask_scale(dropped, scale, x, eps)
    y = drop_where(x, dropped, factor)
    y = y if batched else y.squeeze(0)
    return input.copy_(y) if inplace else y


def drop_block1d(
    input: Tensor,
    p: float | Tensor = 0.1,
    block_size: int | Sequence[int] = 7,
    *,
    training: bool,
    inplace: bool = False,
    batched: bool = True,
    per_channel: bool = True,
    scale: str = "batch",
    exact: bool = False,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Drop intervals of sequences: `drop_block2d` along one axis.

    Args:
        input: (N, C, L), or (C, L) with ``batched=False``.
        p: drop rate; see `drop_block2d`, as for all arguments.
        block_size: length of an interval.
        training: whether to drop.
        inplace: write the result into the input.
        batched: whether the first dimension is the batch.
        per_channel: whether each channel has intervals of its own.
        scale: what the kept values are scaled by.
        exact: whether p is the mean drop rate exactly.
        key: key of the seeds; None draws one.
        generator: where the key is drawn.
        offset: second number that the seeds are a function of.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: p outside [0, 1], a block size below 1, another rank or scale.
        TypeError: the input is not floating point.

    Example:
        >>> drop_block1d(torch.ones(1, 2, 10), 0.3, 3, training=True, scale="none", key=7)
        tensor([[[1., 1., 0., 0., 0., 0., 1., 1., 1., 1.],
                 [0., 0., 0., 0., 1., 1., 1., 1., 1., 1.]]])

    Source: Ghiasi, Lin, Le 2018, arXiv 1810.12890, for images.
    """
    return drop_block(
        "drop_block1d", "L", input, p, block_size, training, inplace, batched, per_channel, scale, exact,
        key, generator, offset,
    )  # fmt: skip


def drop_block2d(
    input: Tensor,
    p: float | Tensor = 0.1,
    block_size: int | Sequence[int] = 7,
    *,
    training: bool,
    inplace: bool = False,
    batched: bool = True,
    per_channel: bool = True,
    scale: str = "batch",
    exact: bool = False,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Drop square blocks of feature maps, since single cells of a map say nothing that their neighbours do not.

    .. math:: \gamma = p \prod_a \frac{S_a}{b_a (S_a - b_a + 1)}

    is the probability of a seed at each place where a block of sides :math:`b_a` fits into a map of sides
    :math:`S_a`. A cell is dropped where any block covers it. Blocks overlap, so the mean drop rate is below p
    (0.0929 for p = 0.1, blocks of 7 and maps of 14 x 14; see `drop_block_rates`). With ``exact=True`` the rate of seeds
    is solved for, and the mean drop rate is p.

    Args:
        input: (N, C, H, W), or (C, H, W) with ``batched=False``.
        p: drop rate in [0, 1]. 0 returns the input itself and draws nothing; 1 drops everything.
        block_size: side of a block, even or odd, or one for each axis; clipped to the map.
        training: whether to drop.
        inplace: write the result into the input.
        batched: whether the first dimension is the batch.
        per_channel: whether each channel has blocks of its own; else all channels of an example share them.
        scale: what kept values are multiplied by, all cells over kept cells, counted over: "batch", the whole tensor
            (the paper's Algorithm 1; examples then depend on each other), "sample", each example, or "channel", each
            map. "expected" is 1 / (1 - mean drop rate), a constant; "none" leaves them as they are.
        exact: whether p is the mean drop rate exactly.
        key: key of the seeds; None draws one.
        generator: where the key is drawn.
        offset: second number that the seeds are a function of.

    Returns:
        A tensor like the input; all zeros, and never NaN, where nothing is kept.

    Raises:
        ValueError: p outside [0, 1], a block size below 1, another rank or scale.
        TypeError: the input is not floating point.

    Example:
        >>> drop_block2d(torch.ones(1, 1, 4, 6), 0.3, 2, training=True, scale="none", key=5)[0, 0]
        tensor([[1., 0., 0., 1., 1., 1.],
                [1., 0., 0., 0., 1., 1.],
                [1., 1., 0., 0., 0., 0.],
                [1., 1., 1., 1., 0., 0.]])

    Source: Ghiasi, Lin, Le 2018, arXiv 1810.12890; the exact rate follows from counting seeds.
    """
    return drop_block(
        "drop_block2d", "HW", input, p, block_size, training, inplace, batched, per_channel, scale, exact,
        key, generator, offset,
    )  # fmt: skip


def drop_block3d(
    input: Tensor,
    p: float | Tensor = 0.1,
    block_size: int | Sequence[int] = 7,
    *,
    training: bool,
    inplace: bool = False,
    batched: bool = True,
    per_channel: bool = True,
    scale: str = "batch",
    exact: bool = False,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Drop cubes of volumes: `drop_block2d` along three axes.

    Args:
        input: (N, C, D, H, W), or (C, D, H, W) with ``batched=False``.
        p: drop rate; see `drop_block2d`, as for all arguments.
        block_size: side of a cube, or one for each axis.
        training: whether to drop.
        inplace: write the result into the input.
        batched: whether the first dimension is the batch.
        per_channel: whether each channel has cubes of its own.
        scale: what the kept values are scaled by.
        exact: whether p is the mean drop rate exactly.
        key: key of the seeds; None draws one.
        generator: where the key is drawn.
        offset: second number that the seeds are a function of.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: p outside [0, 1], a block size below 1, another rank or scale.
        TypeError: the input is not floating point.

    Example:
        >>> y = drop_block3d(torch.ones(1, 1, 4, 4, 4), 0.2, 2, training=True, scale="none", key=6)
        >>> int((y == 0).sum())  # two cubes of 8 cells
        16

    Source: Ghiasi, Lin, Le 2018, arXiv 1810.12890, for images.
    """
    return drop_block(
        "drop_block3d", "DHW", input, p, block_size, training, inplace, batched, per_channel, scale, exact,
        key, generator, offset,
    )  # fmt: skip
