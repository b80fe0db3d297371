"""The arithmetic of the mask contract: thresholds, scales, and which index of the mask an element has."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence
from typing import NamedTuple

import torch

from thinout._checks import bad_type, bad_value, check_p

MASK_FORMAT = 1
NARROW = 1 << 16
WIDE = 1 << 32

NoiseShape = Sequence[int | None]


class Shard(NamedTuple):
    """Where a tensor lies in a larger one: the whole's shape and the shard's start in each dimension."""

    shape: Sequence[int]
    start: Sequence[int]


class Mask(NamedTuple):
    """Everything that fixes a mask but its key and its size.

    Element ``c`` of the input has mask index ``first_index + sum(c[d] * index_strides[d])``; ``index_strides`` None
    stands for the row-major strides of the input itself.
    """

    threshold: int
    offset: int = 0
    wide: bool = False
    rescale: bool = True
    first_index: int = 0
    index_strides: tuple[int, ...] | None = None

    @property
    def steps(self) -> int:
        """The number of values that a word of the mask has: 2**16, or 2**32 in the wide format."""
        return WIDE if self.wide else NARROW

    @property
    def drops_all(self) -> bool:
        """Whether no element is kept."""
        return self.threshold == self.steps

    @property
    def scale(self) -> float:
        """What kept values are multiplied by: 1 / (1 - p) of the quantised p, so that the mean is exact."""
        return self.steps / (self.steps - self.threshold) if self.rescale and not self.drops_all else 1.0


def quantise(p: float, wide: bool = False) -> int:
    """Return the integer threshold of a drop probability, ``round(p * 2**16)`` or ``round(p * 2**32)`` if wide."""
    return round(p * (WIDE if wide else NARROW))


def effective_p(p: float, *, wide: bool = False) -> float:
    r"""Return the drop probability that a mask really has.

    .. math:: p_\text{eff} = \operatorname{round}(p \cdot 2^{16}) / 2^{16}

    (:math:`2^{32}` in the wide format). The scale of kept elements is :math:`1 / (1 - p_\text{eff})`, so the mean is
    kept exactly whatever the rounding. Above :math:`1 - 2^{-17}` everything is dropped, below :math:`2^{-17}` nothing.

    Args:
        p: drop probability in [0, 1].
        wide: whether the wide format (32-bit words) is meant.

    Raises:
        ValueError: `p` is outside [0, 1].
        TypeError: `p` is not a number.

    Example:
        >>> effective_p(0.5), effective_p(0.1)
        (0.5, 0.100006103515625)
        >>> effective_p(1e-6), effective_p(1e-6, wide=True)
        (0.0, 1.00000761449337e-06)
    """
    return quantise(check_p("effective_p", p), wide) / (WIDE if wide else NARROW)


def row_major_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the element strides of a dense row-major tensor of this shape."""
    strides: list[int] = []
    step = 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


def check_noise_shape(where: str, shape: Sequence[int], noise_shape: NoiseShape) -> None:
    """Raise unless each entry of `noise_shape` is None, 1, or the size of the input there."""
    if isinstance(noise_shape, (int, str)) or any(
        not (entry is None or isinstance(entry, int)) for entry in noise_shape
    ):
        bad_type(where, "noise_shape", "a sequence of ints and None", repr(noise_shape))
    if len(noise_shape) != len(shape):
        bad_value(where, "noise_shape", f"of length {len(shape)}, as the input {tuple(shape)} has", tuple(noise_shape))
    for entry, size in zip(noise_shape, shape, strict=True):
        if entry is not None and entry != 1 and entry != size:
            allowed = f"None (as the input), 1 (shared) or the input's size in each dimension of {tuple(shape)}"
            bad_value(where, "noise_shape", allowed, tuple(noise_shape))


def _check_shard(where: str, shape: Sequence[int], shard: Shard) -> None:
    fits = len(shard.shape) == len(shard.start) == len(shape) and all(
        begin >= 0 and begin + size <= whole
        for size, whole, begin in zip(shape, shard.shape, shard.start, strict=False)
    )
    if not fits:
        allowed = f"a whole shape and a start in each dimension that hold the input {tuple(shape)}"
        bad_value(where, "shard", allowed, (tuple(shard.shape), tuple(shard.start)))


def locate(
    where: str, shape: Sequence[int], noise_shape: NoiseShape | None, first_index: int, shard: Shard | None
) -> tuple[int, tuple[int, ...] | None]:
    """Return the mask index of the first element and the index strides (None: row-major over `shape`)."""
    if shard is None:
        return first_index, None if noise_shape is None else noise_strides(where, shape, noise_shape)
    _check_shard(where, shape, Shard(*shard))
    whole = shard[0]
    strides = row_major_strides(whole) if noise_shape is None else noise_strides(where, whole, noise_shape)
    return first_index + sum(begin * step for begin, step in zip(shard[1], strides, strict=True)), strides


def noise_strides(where: str, shape: Sequence[int], noise_shape: NoiseShape) -> tuple[int, ...]:
    """Return the index strides of a mask at a noise shape, 0 where an entry is shared; or raise."""
    kept = None
    if not torch.compiler.is_compiling():
        # What cannot be hashed (lists, symbols) is worked out below, and entries that are wrong are refused there.
        # With the types: True and 1.0 equal 1, and the answer for 1 is not theirs.
        with contextlib.suppress(TypeError):
            kept = _kept_strides(where, shape, tuple(noise_shape), tuple(map(type, noise_shape)))
    return _noise_strides(where, shape, noise_shape) if kept is None else kept


def _noise_strides(where: str, shape: Sequence[int], noise_shape: NoiseShape) -> tuple[int, ...]:
    check_noise_shape(where, shape, noise_shape)
    noise = [size if entry is None or entry == size else 1 for entry, size in zip(noise_shape, shape, strict=True)]
    return tuple(
        0 if entry == 1 and size != 1 else step
        for entry, size, step in zip(noise, shape, row_major_strides(noise), strict=True)
    )


@functools.lru_cache(maxsize=512)
def _kept_strides(
    where: str, shape: Sequence[int], noise_shape: NoiseShape, types: tuple[type, ...]
) -> tuple[int, ...]:
    """Return `_noise_strides`, kept, since shapes come again and small tensors wait for this."""
    return _noise_strides(where, shape, noise_shape)
