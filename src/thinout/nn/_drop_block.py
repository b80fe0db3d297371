"""DropBlock: contiguous blocks of a map are dropped together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from thinout import functional as F
from thinout import ops
from thinout._checks import check_choice, check_p
from thinout.functional._drop_block import SCALES
from thinout.functional._shared import per_axis
from thinout.nn._rate import Rated, rate
from thinout.nn._registry import ErrorInput, LayerSpec, register


class _DropBlock(Rated):
    """What the three ranks share."""

    _function: ClassVar[Any]
    _num_axes: ClassVar[int]

    def __init__(
        self,
        p: float = 0.1,
        block_size: int | Sequence[int] = 7,
        *,
        inplace: bool = False,
        batched: bool = True,
        per_channel: bool = True,
        scale: str = "batch",
        exact: bool = False,
    ) -> None:
        super().__init__()
        where = type(self).__name__
        self.p = check_p(where, p)
        per_axis(where, "block_size", block_size, self._num_axes)
        self.block_size = tuple(block_size) if isinstance(block_size, Sequence) else block_size
        self.inplace, self.batched, self.per_channel = inplace, batched, per_channel
        self.scale, self.exact = check_choice(where, "scale", scale, SCALES), exact

    def forward(
        self,
        input: Tensor,
        *,
        key: Tensor | int | None = None,
        generator: torch.Generator | None = None,
        offset: int = 0,
    ) -> Tensor:
        """Drop blocks in training mode; `key`, `generator` and `offset` as in `thinout.functional.drop_block2d`."""
        y: Tensor = self._function(
            input,
            rate(self),
            self.block_size,
            training=self.training,
            inplace=self.inplace,
            batched=self.batched,
            per_channel=self.per_channel,
            scale=self.scale,
            exact=self.exact,
            key=key,
            generator=generator,
            offset=offset,
        )
        return y

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return (
            f"p={self.p}, block_size={self.block_size}, inplace={self.inplace}, batched={self.batched}, "
            f"per_channel={self.per_channel}, scale={self.scale!r}, exact={self.exact}"
        )


class DropBlock1d(_DropBlock):
    """Drop intervals of sequences in training; see `thinout.functional.drop_block1d`.

    Args:
        p: drop rate in [0, 1].
        block_size: length of an interval, clipped to the sequence.
        inplace: write the result into the input.
        batched: whether inputs are (N, C, L); False for (C, L).
        per_channel: whether each channel has intervals of its own.
        scale: over what kept values are scaled: "batch", "sample", "channel", "expected" or "none".
        exact: whether p is the mean drop rate exactly.

    Shape:
        (N, C, L), or (C, L) with ``batched=False``; the output is like the input.

    Raises:
        ValueError: p outside [0, 1], a block size below 1, another scale, or an input of another rank.

    Example:
        >>> DropBlock1d(0.1, 5)(torch.ones(2, 3, 40)).shape
        torch.Size([2, 3, 40])

    Source: Ghiasi, Lin, Le 2018, arXiv 1810.12890, for images.
    """

    _function = staticmethod(F.drop_block1d)
    _num_axes = 1


class DropBlock2d(_DropBlock):
    """Drop square blocks of feature maps in training; see `thinout.functional.drop_block2d`.

    Args:
        p: drop rate in [0, 1]; the mean drop rate is a little below it, or p itself with `exact`.
        block_size: side of a block, or one for each axis; even or odd, clipped to the map.
        inplace: write the result into the input.
        batched: whether inputs are (N, C, H, W); False for (C, H, W).
        per_channel: whether each channel has blocks of its own.
        scale: over what kept values are scaled: "batch", "sample", "channel", "expected" or "none".
        exact: whether p is the mean drop rate exactly.

    Shape:
        (N, C, H, W), or (C, H, W) with ``batched=False``; the output is like the input.

    Raises:
        ValueError: p outside [0, 1], a block size below 1, another scale, or an input of another rank.

    Example:
        >>> layer = DropBlock2d(0.1, 7)
        >>> print(f"{layer(torch.ones(2, 3, 14, 14)).mean():.4f}")  # scaled by all cells over kept cells
        1.0000

    Source: Ghiasi, Lin, Le 2018, arXiv 1810.12890.
    """

    _function = staticmethod(F.drop_block2d)
    _num_axes = 2


class DropBlock3d(_DropBlock):
    """Drop cubes of volumes in training; see `thinout.functional.drop_block3d`.

    Args:
        p: drop rate in [0, 1].
        block_size: side of a cube, or one for each axis; clipped to the volume.
        inplace: write the result into the input.
        batched: whether inputs are (N, C, D, H, W); False for (C, D, H, W).
        per_channel: whether each channel has cubes of its own.
        scale: over what kept values are scaled: "batch", "sample", "channel", "expected" or "none".
        exact: whether p is the mean drop rate exactly.

    Shape:
        (N, C, D, H, W), or (C, D, H, W) with ``batched=False``; the output is like the input.

    Raises:
        ValueError: p outside [0, 1], a block size below 1, another scale, or an input of another rank.

    Example:
        >>> DropBlock3d(0.1, 3)(torch.ones(2, 3, 8, 8, 8)).shape
        torch.Size([2, 3, 8, 8, 8])

    Source: Ghiasi, Lin, Le 2018, arXiv 1810.12890, for images.
    """

    _function = staticmethod(F.drop_block3d)
    _num_axes = 3


def _reference(module: _DropBlock, x: Tensor) -> Tensor:
    """Apply Algorithm 1 of the paper: seeds where blocks fit, a max-pool, the count of what is left."""
    sizes, block = x.shape[2:], per_axis("", "block_size", module.block_size, 1)[0]
    seeds = [size - block + 1 for size in sizes]
    gamma = module.p * (math.prod(sizes) / (block ** len(sizes) * math.prod(seeds)))
    kept = ops.dropout_mask((*x.shape[:2], *seeds), ops.draw_key(), gamma, wide=True, backend="reference")
    margins = [block - 1] * (2 * len(sizes))
    padded = nn.functional.pad((~kept).float(), margins)
    pool = getattr(nn.functional, f"max_pool{len(sizes)}d")
    keep = pool(padded, block, stride=1) == 0
    work = torch.promote_types(x.dtype, torch.float32)
    scale = torch.tensor(keep.numel(), dtype=work) / keep.sum().to(work)
    return torch.where(keep, (x.to(work) * scale).to(x.dtype), 0)


for _layer, _shape in ((DropBlock1d, (3, 4, 14)), (DropBlock2d, (2, 3, 7, 6)), (DropBlock3d, (2, 2, 4, 5, 4))):
    register(
        LayerSpec(
            layer=_layer,
            arguments={"p": 0.3, "block_size": 3},
            shape=_shape,
            reference=_reference,
            selects=False,  # the scale is that of the mask at hand
            errors=(
                *(
                    ErrorInput(error=error, match=r"`p` must be a number in \[0, 1\], got", arguments={"p": p})
                    for p, error in ((-0.1, ValueError), (2, ValueError), (float("nan"), ValueError), ("1", TypeError))
                ),
                *(
                    ErrorInput(error=error, match="`block_size` must be a whole number", arguments={"block_size": size})
                    for size, error in ((0, ValueError), (2.5, TypeError))
                ),
                ErrorInput(
                    error=ValueError,
                    match="`block_size` must be one whole number or",
                    arguments={"block_size": (3, 3, 3, 3)},
                ),
                ErrorInput(error=ValueError, match="`scale` must be one of batch", arguments={"scale": "all"}),
                ErrorInput(
                    error=ValueError, match="For one unbatched input pass batched=False", input=torch.ones(_shape[1:])
                ),
                ErrorInput(
                    error=ValueError,
                    match="For a batch pass batched=True",
                    arguments={"batched": False},
                    input=torch.ones(_shape),
                ),
                ErrorInput(
                    error=TypeError,
                    match="`input` must be a floating-point tensor",
                    input=torch.ones(_shape, dtype=torch.int64),
                ),
            ),
        )
    )
