"""Boxes erased from input images: Cutout and Random Erasing."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence

import torch
from torch import Tensor

from thinout import ops
from thinout._checks import bad_type, bad_value, check_count
from thinout.functional._select import drop_where
from thinout.functional._shared import check_maps, check_probability, draw_normal, draw_uniform, is_off, per_axis

_ATTEMPTS = 10  # boxes drawn for an image before it is left as it is, as in torchvision


def _check_image(where: str, input: Tensor, batched: bool) -> None:
    if not isinstance(input, Tensor) or not (input.is_floating_point() or input.dtype == torch.uint8):
        got = f"a {input.dtype} tensor" if isinstance(input, Tensor) else repr(type(input).__name__)
        bad_type(where, "input", "a tensor of floating-point or uint8 pixels", got)
    check_maps(where, "HW", input, batched)


def check_range(where: str, name: str, value: Sequence[float], *, above: float, below: float) -> tuple[float, float]:
    """Return a pair of numbers in order that lie between bounds, the lower one excluded; or raise."""
    allowed = f"two numbers in ({above:g}, {below:g}], the smaller one first"
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        bad_type(where, name, allowed, repr(value))
    low, high = float(value[0]), float(value[1])
    if not above < low <= high <= below or math.isinf(high):
        bad_value(where, name, allowed, repr(value))
    return low, high


def check_fill(where: str, value: object) -> None:
    """Raise unless a fill value is a number or "random"."""
    if value != "random" and (isinstance(value, bool) or not isinstance(value, numbers.Real)):
        bad_value(where, "value", 'a number or "random"', repr(value))


def _place(uniform: Tensor, num: int | Tensor) -> Tensor:
    """Turn uniform noise into whole numbers below `num`, which the rounding of a product could reach."""
    return (uniform * num).floor().clamp(max=num - 1)


def _inside(first: Tensor, length: int | Tensor, num: int) -> Tensor:
    """Return whether each of `num` cells lies in [first, first + length); the cells are a new last dimension."""
    cells = torch.arange(num, device=first.device)
    first, last = first.unsqueeze(-1), (first + length).unsqueeze(-1)
    return (cells >= first) & (cells < last)


def cutout(
    input: Tensor,
    size: int | Sequence[int],
    num_holes: int = 1,
    *,
    training: bool,
    batched: bool = True,
    value: float = 0.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Erase squares of input images, the same ones in all channels of an image and other ones in each image.

    .. math:: y_{ij} = v \text{ if } t \le i < t + s \text{ and } l \le j < l + s, \quad x_{ij} \text{ otherwise}
    .. math:: t = c_1 - \lfloor s / 2 \rfloor, \quad l = c_2 - \lfloor s / 2 \rfloor

    The centre c is uniform over all pixels and the square is clipped to the image, so that less than :math:`s^2` pixels
    are erased on average: for images of 32 x 32 and squares of 16 the expected side is 14. Nothing is rescaled. Apply
    it after images are normalised, so that 0 is the mean colour.

    Args:
        input: (N, C, H, W), or (C, H, W) with ``batched=False``; floating point or uint8.
        size: side of a square, or height and width of a rectangle, in pixels.
        num_holes: number of squares in each image; they may overlap.
        training: whether to erase.
        batched: whether the first dimension is the batch.
        value: what is written into the squares.
        generator: where the centres are drawn; None is torch's default generator of the device.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: a size or number below 1, or an input of another rank.
        TypeError: the input is neither floating point nor uint8.

    Example:
        >>> _ = torch.manual_seed(3)
        >>> cutout(torch.ones(1, 1, 4, 6), 3, training=True)[0, 0]  # clipped at the corner
        tensor([[0., 0., 1., 1., 1., 1.],
                [0., 0., 1., 1., 1., 1.],
                [1., 1., 1., 1., 1., 1.],
                [1., 1., 1., 1., 1., 1.]])

    Source: DeVries, Taylor 2017, arXiv 1708.04552.
    """
    where = "cutout"
    height, width = per_axis(where, "size", size, 2)
    check_count(where, "num_holes", num_holes)
    _check_image(where, input, batched)
    if not training or input.numel() == 0:
        return input
    x = input if batched else input.unsqueeze(0)
    rows, columns = x.shape[2:]
    noise = draw_uniform(x, (2, x.shape[0], num_holes), generator)
    top = _place(noise[0], rows) - height // 2
    left = _place(noise[1], columns) - width // 2
    holes = _inside(top, height, rows).unsqueeze(-1) & _inside(left, width, columns).unsqueeze(-2)
    erased = holes.any(1).unsqueeze(1)
    y = drop_where(x, erased, value=value)
    return y if batched else y.squeeze(0)


def random_erasing(
    input: Tensor,
    p: float | Tensor = 0.5,
    *,
    training: bool,
    batched: bool = True,
    scale: Sequence[float] = (0.02, 0.33),
    ratio: Sequence[float] = (0.3, 3.3),
    value: float | str = 0.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Erase one rectangle of each input image with probability p, of random area, shape and place.

    .. math:: h = \sqrt{a H W r}, \quad w = \sqrt{a H W / r}
    .. math:: a \sim U(\text{scale}), \quad \log r \sim U(\log \text{ratio})

    rounded to whole pixels. Ten rectangles are drawn and the first that fits into the image is taken, at a place
    uniform over those where it lies inside; where none fits, the image is left as it is.

    Args:
        input: (N, C, H, W), or (C, H, W) with ``batched=False``; floating point or uint8.
        p: probability that an image is erased in, in [0, 1].
        training: whether to erase.
        batched: whether the first dimension is the batch.
        scale: range of the erased share of the area, in (0, 1].
        ratio: range of height over width.
        value: what is written: a number, or "random" for noise in each pixel (standard normal; for uint8 uniform over
            0..255).
        generator: where everything is drawn; None is torch's default generator.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: p outside [0, 1], a range that is not one, or an input of another rank.
        TypeError: the input is neither floating point nor uint8.

    Example:
        >>> _ = torch.manual_seed(1)
        >>> random_erasing(torch.ones(1, 1, 4, 6), 1.0, training=True)[0, 0]
        tensor([[1., 1., 1., 1., 1., 1.],
                [1., 0., 0., 1., 1., 1.],
                [1., 0., 0., 1., 1., 1.],
                [1., 1., 1., 1., 1., 1.]])

    Source: Zhong, Zheng, Kang, Li, Yang 2020, AAAI, arXiv 1708.04896; the default ranges and the uniform logarithm of
    the ratio are torchvision's, the paper's being (0.02, 0.4) and (0.3, 1 / 0.3).
    """
    where = "random_erasing"
    p = check_probability(where, p)
    scale = check_range(where, "scale", scale, above=0, below=1)
    ratio = check_range(where, "ratio", ratio, above=0, below=math.inf)
    check_fill(where, value)
    _check_image(where, input, batched)
    if is_off(p, training) or input.numel() == 0:
        return input
    x = input if batched else input.unsqueeze(0)
    kept = ops.dropout_mask((x.shape[0],), ops.draw_key(generator), p, device=x.device)
    box, fits = _draw_boxes(x, scale, ratio, generator)
    erased = (box & (fits & ~kept)[:, None, None]).unsqueeze(1)
    if isinstance(value, str):
        y = drop_where(x, erased) + drop_where(_noise(x, generator), ~erased)
    else:
        y = drop_where(x, erased, value=value)
    return y if batched else y.squeeze(0)


def _draw_boxes(
    x: Tensor, scale: tuple[float, float], ratio: tuple[float, float], generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """Return one box an image as a mask (N, H, W), and whether it fits."""
    num, rows, columns = x.shape[0], x.shape[2], x.shape[3]
    noise = draw_uniform(x, (2, num, _ATTEMPTS), generator)
    area = (scale[0] + (scale[1] - scale[0]) * noise[0]) * (rows * columns)
    shape = torch.exp(math.log(ratio[0]) + math.log(ratio[1] / ratio[0]) * noise[1])
    heights, widths = (area * shape).sqrt().round(), (area / shape).sqrt().round()
    fits = (heights <= rows) & (widths <= columns)
    first = fits.int().argmax(1, keepdim=True)  # of equal values the first
    height, width = heights.gather(1, first).squeeze(1), widths.gather(1, first).squeeze(1)
    places = draw_uniform(x, (2, num), generator)
    top, left = _place(places[0], rows - height + 1), _place(places[1], columns - width + 1)
    box = _inside(top, height, rows).unsqueeze(-1) & _inside(left, width, columns).unsqueeze(-2)
    return box, fits.any(1)


def _noise(x: Tensor, generator: torch.Generator | None) -> Tensor:
    if x.is_floating_point():
        return draw_normal(x, generator=generator).to(x.dtype)
    return (draw_uniform(x, generator=generator) * 256).to(x.dtype)
