"""From the bytes of an image file to pixels, by Pillow, which is loaded when the first image is."""

from __future__ import annotations

import io
import struct
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
_BROKEN = (OSError, ValueError, SyntaxError, EOFError, struct.error)
_ORIENTATION = 0x0112  # the EXIF tag; what turns the pixels upright, of each value but 1
_UPRIGHT = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}


def open_image(source: Path | bytes, name: object) -> Image:
    """Open an image file and read its header.

    Args:
        source: its path, or its content.
        name: how a message calls it.

    Raises:
        DataError: it cannot be read, is no image of a known format, too large to be decoded, or its pixels are
            floating-point numbers.
    """
    lab.need("PIL")
    from PIL import Image, UnidentifiedImageError

    file: Any = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        image = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        bad_data(name, "file", f"an image ({', '.join(FORMATS)})", "something else", _MEND)
    except (*_BROKEN, Image.DecompressionBombError) as error:
        bad_data(name, "file", "a readable image", f"{type(error).__name__}: {error}", _MEND)
    width, height = image.size
    if not 0 < width * height <= MAX_PIXELS:
        image.close()
        bad_data(name, "image", f"of at most {MAX_PIXELS} pixels", f"{width} x {height}", _MEND)
    if image.mode == "F":  # no range of theirs says what is white
        image.close()
        bad_data(name, "pixels", "whole numbers of 8 or 16 bit", "floating-point numbers", _MEND)
    return image


def to_rgb(image: Image, name: object) -> Image:
    """Decode an opened image and return it as RGB; of 16 bit the higher 8 are kept.

    Args:
        image: from `open_image`.
        name: how a message calls it.

    Raises:
        DataError: the file is cut short or damaged.
    """
    from PIL import Image

    try:
        if image.mode.startswith("I"):  # grey of 16 bit, of which Pillow would make white all that is above 255
            grey = np.clip(np.asarray(image), 0, 2**16 - 1) >> 8
            image = Image.fromarray(grey.astype(np.uint8))
        return image.convert("RGB")
    except (*_BROKEN, Image.DecompressionBombError) as error:
        bad_data(name, "file", "a complete image", f"{type(error).__name__}: {error}", _MEND)


def decode(source: Path | bytes, name: object, *, side: int, crop: bool) -> Bytes:
    """Return the pixels of an image file, uint8 (side, side, 3), upright and in RGB.

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
        image.draft("RGB", (side, side))  # lets a JPEG decoder leave out detail that scaling would remove
        pixels = to_rgb(image, name)
        if turn := _turn(image):
            pixels = pixels.transpose(Image.Transpose[turn])
    box = _middle_square(pixels.size) if crop else None
    if pixels.size != (side, side):
        pixels = pixels.resize((side, side), Image.Resampling.BILINEAR, box=box)
    return np.asarray(pixels, dtype=np.uint8)


def _turn(image: Image) -> str | None:
    """Return what turns an image upright that a camera took on its side, or None."""
    try:
        return _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1))
    except _BROKEN:  # tags that cannot be read say nothing of the pixels
        return None


def _middle_square(size: tuple[int, int]) -> tuple[int, int, int, int]:
    width, height = size
    side = min(size)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side
