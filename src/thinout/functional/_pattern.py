"""Dropout by a pattern: a grid of rectangles, turned and sheared, at a random place."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from thinout._checks import bad_type, bad_value, check_choice
from thinout.functional._drop_block import drop_where, mask_scale
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


def _canvas(
    sizes: Sequence[int],
    starts: Sequence[int],
    extents: Sequence[int],
    size: Sequence[int],
    stride: Sequence[int],
    transform: tuple[float, float, float],
    device: torch.device,
) -> Tensor:
    """Return whether cells lie in the pattern whose corner is at (0, 0), for cells from `starts` on."""
    rotate, shear_x, shear_y = transform
    cosine, sine = math.cos(math.radians(rotate)), math.sin(math.radians(rotate))
    down, right = (
        torch.arange(start, start + num, device=device) + (0.5 - extent / 2)
        for start, num, extent in zip(starts, sizes, extents, strict=True)
    )
    down, right = down.unsqueeze(1), right.unsqueeze(0)
    down, right = cosine * down + sine * right, cosine * right - sine * down  # turned back
    determinant = 1 - shear_x * shear_y
    down, right = (down - shear_y * right) / determinant, (right - shear_x * down) / determinant
    inside = torch.ones((), dtype=torch.bool, device=device)
    for place, extent, width, step in zip((down, right), extents, size, stride, strict=True):
        along = place + extent / 2
        inside = inside & (along >= 0) & (along < extent) & (along % step < width)
    return inside


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
    extents = [(num - 1) * step + side for num, step, side in zip(repeats, steps, sides, strict=True)]
    # A pattern that is larger than the map covers it at every place.
    lows = [min(0, num - extent) for num, extent in zip(x.shape[2:], extents, strict=True)]
    highs = [max(0, num - extent) for num, extent in zip(x.shape[2:], extents, strict=True)]
    spans = [high - low for low, high in zip(lows, highs, strict=True)]
    maps = (x.shape[0], 1 if share_channels else x.shape[1])
    noise = draw_uniform(x, (2, *maps), generator)
    canvas = _canvas(
        [num + span for num, span in zip(x.shape[2:], spans, strict=True)],
        [-high for high in highs], extents, sides, steps, (rotate, shear_x, shear_y), x.device,
    )  # fmt: skip
    rows, columns = (
        torch.arange(num, device=x.device) + (span - place).unsqueeze(-1)
        for num, span, place in zip(
            x.shape[2:],
            spans,
            ((noise[axis] * (span + 1)).floor().clamp(max=span).long() for axis, span in enumerate(spans)),
            strict=True,
        )
    )
    dropped = canvas[rows.unsqueeze(-1), columns.unsqueeze(-2)]
    y = drop_where(x, dropped, None if scale == "none" else mask_scale(dropped, scale, x))
    return y if batched else y.squeeze(0)
