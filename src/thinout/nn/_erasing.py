"""Boxes erased from input images: Cutout and Random Erasing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from thinout import functional as F
from thinout import ops
from thinout._checks import check_count, check_p
from thinout.functional._erasing import check_fill, check_range
from thinout.functional._shared import per_axis
from thinout.nn._rate import Rated, rate
from thinout.nn._registry import ErrorInput, LayerSpec, register


class Cutout(nn.Module):
    """Erase squares of input images in training; see `thinout.functional.cutout`.

    Args:
        size: side of a square, or height and width of a rectangle, in pixels; clipped to the image.
        num_holes: number of squares in each image.
        batched: whether inputs are (N, C, H, W); False for (C, H, W).
        value: what is written into the squares.

    Shape:
        (N, C, H, W), or (C, H, W) with ``batched=False``, floating point or uint8; the output is like the input.

    Raises:
        ValueError: a size or number below 1, or an input of another rank.

    Example:
        >>> Cutout(16)(torch.ones(4, 3, 32, 32)).shape
        torch.Size([4, 3, 32, 32])

    Source: DeVries, Taylor 2017, arXiv 1708.04552.
    """

    def __init__(
        self, size: int | Sequence[int], num_holes: int = 1, *, batched: bool = True, value: float = 0.0
    ) -> None:
        super().__init__()
        per_axis("Cutout", "size", size, 2)
        self.size = tuple(size) if isinstance(size, Sequence) else size
        self.num_holes = check_count("Cutout", "num_holes", num_holes)
        self.batched, self.value = batched, value

    def forward(self, input: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Erase in training mode; centres are drawn from `generator`."""
        return F.cutout(
            input,
            self.size,
            self.num_holes,
            training=self.training,
            batched=self.batched,
            value=self.value,
            generator=generator,
        )

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return f"size={self.size}, num_holes={self.num_holes}, batched={self.batched}, value={self.value}"


class RandomErasing(Rated):
    """Erase a random rectangle of input images in training; see `thinout.functional.random_erasing`.

    Args:
        p: probability that an image is erased in, in [0, 1].
        batched: whether inputs are (N, C, H, W); False for (C, H, W).
        scale: range of the erased share of the area.
        ratio: range of height over width.
        value: what is written: a number, or "random" for noise.

    Shape:
        (N, C, H, W), or (C, H, W) with ``batched=False``, floating point or uint8; the output is like the input.

    Raises:
        ValueError: p outside [0, 1], a range that is not one, or an input of another rank.

    Example:
        >>> RandomErasing(0.5)(torch.ones(4, 3, 32, 32)).shape
        torch.Size([4, 3, 32, 32])

    Source: Zhong, Zheng, Kang, Li, Yang 2020, AAAI, arXiv 1708.04896.
    """

    def __init__(
        self,
        p: float = 0.5,
        *,
        batched: bool = True,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: float | str = 0.0,
    ) -> None:
        super().__init__()
        where = "RandomErasing"
        self.p = check_p(where, p)
        self.batched = batched
        self.scale = check_range(where, "scale", scale, above=0, below=1)
        self.ratio = check_range(where, "ratio", ratio, above=0, below=math.inf)
        check_fill(where, value)
        self.value = value

    def forward(self, input: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Erase in training mode; everything is drawn from `generator`."""
        return F.random_erasing(
            input,
            rate(self),
            training=self.training,
            batched=self.batched,
            scale=self.scale,
            ratio=self.ratio,
            value=self.value,
            generator=generator,
        )

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return f"p={self.p}, batched={self.batched}, scale={self.scale}, ratio={self.ratio}, value={self.value!r}"


def _draw(x: Tensor, *shape: int) -> Tensor:
    return torch.rand(shape, dtype=torch.promote_types(x.dtype, torch.float32))


def _cutout_reference(module: Cutout, x: Tensor) -> Tensor:
    """Cut the squares out one by one."""
    num, _, rows, columns = x.shape
    noise, y = _draw(x, 2, num, module.num_holes), x.clone()
    (height, width) = per_axis("", "size", module.size, 2)
    for image in range(num):
        for hole in range(module.num_holes):
            top = int(noise[0, image, hole] * rows) - height // 2
            left = int(noise[1, image, hole] * columns) - width // 2
            y[image, :, max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)] = 0
    return y


def _erasing_reference(module: RandomErasing, x: Tensor) -> Tensor:
    """Try box after box for one image after the other."""
    num, _, rows, columns = x.shape
    kept = ops.dropout_mask((num,), ops.draw_key(), module.p, backend="reference")
    noise, places, y = _draw(x, 2, num, 10), _draw(x, 2, num), x.clone()
    for image in torch.arange(num)[~kept].tolist():
        for attempt in range(10):
            area = (0.02 + 0.31 * noise[0, image, attempt]) * (rows * columns)
            shape = torch.exp(math.log(0.3) + math.log(3.3 / 0.3) * noise[1, image, attempt])
            height, width = round(float((area * shape).sqrt())), round(float((area / shape).sqrt()))
            if height <= rows and width <= columns:
                top, left = int(places[0, image] * (rows - height + 1)), int(places[1, image] * (columns - width + 1))
                y[image, :, top : top + height, left : left + width] = 0
                break
    return y


_IMAGES = (6, 1, 5, 6)
_IMAGE_ERRORS = (
    ErrorInput(error=ValueError, match="For one unbatched input pass batched=False", input=torch.ones(1, 5, 6)),
    ErrorInput(
        error=TypeError,
        match="`input` must be a tensor of floating-point or uint8 pixels",
        input=torch.ones(_IMAGES, dtype=torch.int64),
    ),
)

register(
    LayerSpec(
        layer=Cutout,
        arguments={"size": 3, "num_holes": 2},
        shape=_IMAGES,
        reference=_cutout_reference,
        rates=(),
        errors=(
            *_IMAGE_ERRORS,
            ErrorInput(error=ValueError, match="`size` must be a whole number of at least 1", arguments={"size": 0}),
            ErrorInput(error=ValueError, match="`size` must be one whole number or 2", arguments={"size": (1, 2, 3)}),
            ErrorInput(
                error=TypeError, match="`num_holes` must be a whole number", arguments={"size": 3, "num_holes": 0.5}
            ),
        ),
    )
)
register(
    LayerSpec(
        layer=RandomErasing,
        arguments={"p": 0.5},
        shape=_IMAGES,
        reference=_erasing_reference,
        errors=(
            *_IMAGE_ERRORS,
            *(
                ErrorInput(error=ValueError, match=r"`p` must be a number in \[0, 1\], got", arguments={"p": p})
                for p in (-0.1, 1.5, float("nan"))
            ),
            *(
                ErrorInput(error=ValueError, match="`scale` must be two numbers", arguments={"scale": scale})
                for scale in ((0.0, 0.3), (0.4, 0.3), (0.1, 1.5), (float("nan"), 0.5))
            ),
            ErrorInput(error=TypeError, match="`ratio` must be two numbers", arguments={"ratio": 2.0}),
            ErrorInput(error=ValueError, match='`value` must be a number or "random"', arguments={"value": "noise"}),
        ),
        exceptions={"full_rate": "at p = 1 a random box of each image is erased, and not the image"},
    )
)
