"""Dropout by a pattern: a grid of rectangles, turned and sheared, at a random place."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from thinout._checks import bad_type, bad_value, check_choice
from thinout.functional._drop_block import mask_scale
from thinout.functional._select import drop_where
from thinout.functional._shared import check_maps, draw_uniform, per_axis
from thinout.ops._inputs import check_floating_point

SCALES = ("batch", "channel", "none", "sample")


def check_transform(where: str, rotate: float, shear_x: float, shear_y: float) -> None:
    """Raise unless a rotation in degrees and two shears can be undone."""
    for name, value in (("rotate", rotate), ("shear_x", shear_x), ("shear_y", shear_y)):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            bad_type(where, name, "a number", repr(value))
        if not math.isfinite(value):
            bad_value(where, name, "a finite number", value)
    if abs(1 - shear_x * shear_y) < 1e-6:
        bad_value(where, "shear_x", "such that shear_x * shear_y is not 1", shear_x, "The pattern would be a line.")


def _along(place: Tensor, extent: int, width: int, step: int) -> Tensor:
    """Return whether places, counted from the begin of a pattern, lie in one of its bars."""
    return (place >= 0) & (place < extent) & (place % step < width)


def _upright(corners: Sequence[Tensor], sizes: Sequence[int], bars: Sequence[tuple[int, int, int]]) -> Tensor:
    """Return whether cells lie in a pattern that is not turned, from the bars of rows and of columns."""
    rows, columns = (
        _along(torch.arange(size, device=corner.device) - corner.unsqueeze(-1), *bar)
        for corner, size, bar in zip(corners, sizes, bars, strict=True)
    )
    return rows.unsqueeze(-1) & columns.unsqueeze(-2)


def _turned(
    corners: Sequence[Tensor],
    sizes: Sequence[int],
    bars: Sequence[tuple[int, int, int]],
    spans: Sequence[tuple[int, int]],
    transform: tuple[float, float, float],
) -> Tensor:
    """Return whether cells lie in a turned pattern: drawn once, on a canvas that has it at every place, and cut out."""
    rotate, shear_x, shear_y = transform
    cosine, sine = math.cos(math.radians(rotate)), math.sin(math.radians(rotate))
    down, right = (  # from the middle of the pattern, whose corner is at 0
        torch.arange(-high, size - low, device=corner.device) + (0.5 - bar[0] / 2)
        for corner, size, bar, (low, high) in zip(corners, sizes, bars, spans, strict=True)
    )
    down, right = down.unsqueeze(1), right.unsqueeze(0)
    down, right = cosine * down + sine * right, cosine * right - sine * down
    determinant = 1 - shear_x * shear_y
    down, right = (down - shear_y * right) / determinant, (right - shear_x * down) / determinant
    canvas = _along(down + bars[0][0] / 2, *bars[0]) & _along(right + bars[1][0] / 2, *bars[1])
    rows, columns = (
        torch.arange(size, device=corner.device) + (high - corner).unsqueeze(-1)
        for corner, size, (_, high) in zip(corners, sizes, spans, strict=True)
    )
    return canvas[rows.unsqueeze(-1), columns.unsqueeze(-2)]


def pattern_dropout2d(
    input: Tensor,
    size: int | Sequence[int],
    *,
    training: bool,
    stride: int | Sequence[int] | None = None,
    repeat: int | Sequence[int] = 1,
    rotate: float = 0.0,
    shear_x: float = 0.0,
    shear_y: float = 0.0,
    share_channels: bool = False,
    scale: str = "channel",
    batched: bool = True,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Drop a pattern at a random place of each map: rectangles in a grid, rotated and sheared about its middle.

    .. math:: y = x \odot m \cdot \frac{\text{cells}}{\text{kept cells}}, \quad m_i = 0 \text{ in the pattern}

    The patterns are those of AutoDropout, whose controller learns the numbers; here you give them. Without `repeat`,
    rotation and shear it is one block, which DropBlock drops too, but exactly one in each map.

    Args:
        input: (N, C, H, W), or (C, H, W) with ``batched=False``.
        size: side of a rectangle, or height and width.
        training: whether to drop.
        stride: step between rectangles; twice the size by default.
        repeat: number of rectangles along each axis.
        rotate: angle in degrees, counter-clockwise.
        shear_x: columns that the pattern moves to the right for each row.
        shear_y: rows that the pattern moves down for each column.
        share_channels: whether all channels of an example have the pattern at one place.
        scale: over what cells are counted: "channel", each map, "sample", each example, or "batch"; "none" leaves kept
            values as they are.
        batched: whether the first dimension is the batch.
        generator: where places are drawn; None is torch's default generator of the device.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: a size, stride or repeat below 1, shears whose product is 1, another scale or rank.
        TypeError: the input is not floating point.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> x = torch.ones(1, 1, 5, 8)
        >>> pattern_dropout2d(x, 1, stride=2, repeat=(2, 3), scale="none", training=True)[0, 0]
        tensor([[1., 1., 1., 1., 1., 1., 1., 1.],
                [1., 1., 1., 0., 1., 0., 1., 0.],
                [1., 1., 1., 1., 1., 1., 1., 1.],
                [1., 1., 1., 0., 1., 0., 1., 0.],
                [1., 1., 1., 1., 1., 1., 1., 1.]])

    Source: Pham, Le 2021, AAAI, arXiv 2101.01761. The parameters are those that the paper names. Assumed: the place is
    uniform over whole cells, such that a pattern that fits lies inside before it is turned; rotation comes after shear.
    The paper's `residual`, whether the residual branch is dropped as well, is a second layer on that branch.
    """
    where = "pattern_dropout2d"
    sides = per_axis(where, "size", size, 2)
    steps = per_axis(where, "stride", [2 * side for side in sides] if stride is None else stride, 2)
    repeats = per_axis(where, "repeat", repeat, 2)
    check_transform(where, rotate, shear_x, shear_y)
    check_choice(where, "scale", scale, SCALES)
    check_floating_point(where, "input", input)
    check_maps(where, "HW", input, batched)
    if not training or input.numel() == 0:
        return input
    x = input if batched else input.unsqueeze(0)
    sizes = x.shape[2:]
    extents = [(num - 1) * step + side for num, step, side in zip(repeats, steps, sides, strict=True)]
    bars = list(zip(extents, sides, steps, strict=True))
    # A pattern that is larger than the map covers it at every place.
    spans = [(min(0, size - extent), max(0, size - extent)) for size, extent in zip(sizes, extents, strict=True)]
    noise = draw_uniform(x, (2, x.shape[0], 1 if share_channels else x.shape[1]), generator)
    corners = [
        (noise[axis] * (high - low + 1)).floor().clamp(max=high - low).long() + low
        for axis, (low, high) in enumerate(spans)
    ]
    if rotate == shear_x == shear_y == 0:
        dropped = _upright(corners, sizes, bars)
    else:
        dropped = _turned(corners, sizes, bars, spans, (rotate, shear_x, shear_y))
    y = drop_where(x, dropped, None if scale == "none" else mask_scale(dropped, scale, x))
    return y if batched else y.squeeze(0)
