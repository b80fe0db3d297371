"""From the bytes of an image file to pixels, by Pillow, which is loaded when the first image is."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from thinout import lab
from thinout.lab.data._types import Bytes, bad_data

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("JPEG", "PNG", "PPM", "BMP", "WEBP")
MAX_PIXELS = 2**26
"""Largest image that is decoded, in pixels: 8192 x 8192."""

_MEND = "Replace or remove it."


def open_image(source: Path | bytes, name: object) -> Image:
    """Open an image file and read its header.

    Args:
        source: its path, or its content.
        name: how a message calls it.

    Raises:
        DataError: it cannot be read, is no image of a known format, or too large to be decoded.
    """
    lab.need("PIL")
    from PIL import Image, UnidentifiedImageError

    file: Any = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        image = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        bad_data(name, "file", f"an image ({', '.join(FORMATS)})", "something else", _MEND)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        bad_data(name, "file", "a readable image", f"{type(error).__name__}: {error}", _MEND)
    width, height = image.size
    if not 0 < width * height <= MAX_PIXELS:
        image.close()
        bad_data(name, "image", f"of at most {MAX_PIXELS} pixels", f"{width} x {height}", _MEND)
    return image


def decode(source: Path | bytes, name: object, *, side: int, crop: bool) -> Bytes:
    """Return the pixels of an image file, uint8 (side, side, 3); grey and palette images become RGB.

    Args:
        source: its path, or its content.
        name: how a message calls it.
        side: of the result, in pixels.
        crop: whether the shorter side is scaled and the longer cropped to its middle, as in the paper on AlexNet; else
            both are scaled.

    Raises:
        DataError: as `open_image`, or the file is cut short or damaged.
    """
    from PIL import Image

    with open_image(source, name) as image:
        try:
            image.draft("RGB", (side, side))  # lets a JPEG decoder leave out detail that scaling would remove
            pixels = image.convert("RGB")
        except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
            bad_data(name, "file", "a complete image", f"{type(error).__name__}: {error}", _MEND)
    box = _middle_square(pixels.size) if crop else None
    if pixels.size != (side, side):
        pixels = pixels.resize((side, side), Image.Resampling.BILINEAR, box=box)
    return np.asarray(pixels, dtype=np.uint8)


def _middle_square(size: tuple[int, int]) -> tuple[int, int, int, int]:
    width, height = size
    side = min(size)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side
