"""Dropout by a pattern: a grid of rectangles, turned and sheared, at a random place."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from thinout import functional as F
from thinout._checks import check_choice
from thinout.functional._pattern import SCALES, check_transform
from thinout.functional._shared import per_axis
from thinout.nn._registry import ErrorInput, LayerSpec, register


class PatternDropout2d(nn.Module):
    """Drop a pattern at a random place of each map in training; see `thinout.functional.pattern_dropout2d`.

    Args:
        size: side of a rectangle, or height and width.
        stride: step between rectangles; twice the size by default.
        repeat: number of rectangles along each axis.
        rotate: angle in degrees, counter-clockwise.
        shear_x: columns that the pattern moves to the right for each row.
        shear_y: rows that the pattern moves down for each column.
        share_channels: whether all channels of an example have the pattern at one place.
        scale: over what kept values are scaled: "channel", "sample", "batch" or "none".
        batched: whether inputs are (N, C, H, W); False for (C, H, W).

    Shape:
        (N, C, H, W), or (C, H, W) with ``batched=False``; the output is like the input.

    Raises:
        ValueError: a size, stride or repeat below 1, shears whose product is 1, another scale or rank.

    Example:
        >>> y = PatternDropout2d(2, stride=3, repeat=2)(torch.ones(1, 1, 8, 8))
        >>> int((y == 0).sum())  # four squares of four cells
        16

    Source: Pham, Le 2021, AAAI, arXiv 2101.01761.
    """

    def __init__(
        self,
        size: int | Sequence[int],
        *,
        stride: int | Sequence[int] | None = None,
        repeat: int | Sequence[int] = 1,
        rotate: float = 0.0,
        shear_x: float = 0.0,
        shear_y: float = 0.0,
        share_channels: bool = False,
        scale: str = "channel",
        batched: bool = True,
    ) -> None:
        super().__init__()
        where = "PatternDropout2d"
        for name, value in (("size", size), ("stride", 1 if stride is None else stride), ("repeat", repeat)):
            per_axis(where, name, value, 2)
        check_transform(where, rotate, shear_x, shear_y)
        self.size, self.stride, self.repeat = size, stride, repeat
        self.rotate, self.shear_x, self.shear_y = rotate, shear_x, shear_y
        self.share_channels, self.batched = share_channels, batched
        self.scale = check_choice(where, "scale", scale, SCALES)

    def forward(self, input: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Drop the pattern in training mode; places are drawn from `generator`."""
        return F.pattern_dropout2d(
            input,
            self.size,
            training=self.training,
            stride=self.stride,
            repeat=self.repeat,
            rotate=self.rotate,
            shear_x=self.shear_x,
            shear_y=self.shear_y,
            share_channels=self.share_channels,
            scale=self.scale,
            batched=self.batched,
            generator=generator,
        )

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return (
            f"size={self.size}, stride={self.stride}, repeat={self.repeat}, rotate={self.rotate}, "
            f"shear_x={self.shear_x}, shear_y={self.shear_y}, share_channels={self.share_channels}, "
            f"scale={self.scale!r}, batched={self.batched}"
        )


def _reference(module: PatternDropout2d, x: Tensor) -> Tensor:
    """Write the rectangles of an upright pattern one by one."""
    num, channels, rows, columns = x.shape
    work = torch.promote_types(x.dtype, torch.float32)
    noise = torch.rand(2, num, channels, dtype=work)
    y = x.clone()
    for image in range(num):
        for channel in range(channels):
            top, left = (int(noise[axis, image, channel] * (size - 5 + 1)) for axis, size in enumerate((rows, columns)))
            for down in (0, 3):
                for right in (0, 3):
                    y[image, channel, top + down : top + down + 2, left + right : left + right + 2] = 0
    return (y * torch.full((1,) * 4, rows * columns / (rows * columns - 16), dtype=work)).to(x.dtype)


register(
    LayerSpec(
        layer=PatternDropout2d,
        arguments={"size": 2, "stride": 3, "repeat": 2},
        shape=(3, 2, 7, 6),
        reference=_reference,
        rates=(),
        errors=(
            *(
                ErrorInput(
                    error=ValueError,
                    match=f"`{name}` must be a whole number of at least 1",
                    arguments={"size": 1, name: 0},
                )
                for name in ("size", "stride", "repeat")
            ),
            ErrorInput(
                error=ValueError,
                match="`shear_x` must be such that shear_x \\* shear_y is not 1",
                arguments={"size": 2, "shear_x": 2.0, "shear_y": 0.5},
            ),
            ErrorInput(
                error=ValueError,
                match="`rotate` must be a finite number",
                arguments={"size": 2, "rotate": float("inf")},
            ),
            ErrorInput(error=TypeError, match="`rotate` must be a number", arguments={"size": 2, "rotate": "90"}),
            ErrorInput(error=ValueError, match="`scale` must be one of", arguments={"size": 2, "scale": "expected"}),
            ErrorInput(error=ValueError, match="For one unbatched input pass batched=False", input=torch.ones(2, 7, 6)),
            ErrorInput(
                error=TypeError,
                match="`input` must be a floating-point tensor",
                input=torch.ones(2, 3, 7, 8, dtype=torch.int64),
            ),
        ),
    )
)
