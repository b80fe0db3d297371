"""DropBlock under the names of `timm.layers`, with their order of arguments."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from thinout import ops
from thinout._checks import bad_type, bad_value, check_count, check_not_negative, check_p
from thinout.functional._block_rates import make_grid, seed_rate
from thinout.functional._drop_block import block_mask, mask_scale
from thinout.functional._select import drop_where
from thinout.functional._shared import Rate, check_maps, check_probability, draw_normal, is_off
from thinout.nn._rate import Rated, rate
from thinout.ops._inputs import check_floating_point

__all__ = ["DropBlock2d", "drop_block_2d"]


def drop_block_2d(
    x: Tensor,
    drop_prob: float | Tensor = 0.1,
    block_size: int = 7,
    gamma_scale: float = 1.0,
    with_noise: bool = False,
    inplace: bool = False,
    couple_channels: bool = True,
    scale_by_keep: bool = True,
) -> Tensor:
    r"""Drop square blocks of feature maps, as `timm.layers.drop_block_2d`.

    Unlike there, blocks begin where they fit, so that none is cut off at the border and the rate is that of the paper's
    formula; rates below 2**-8 are not rounded to bfloat16's.

    Args:
        x: (N, C, H, W).
        drop_prob: drop rate in [0, 1].
        block_size: side of a block, even or odd; clipped to the map.
        gamma_scale: factor of the rate.
        with_noise: fill blocks with standard normal noise and do not rescale.
        inplace: write the result into the input.
        couple_channels: whether all channels of an example share their blocks. True by default, as there; the paper
            reports that blocks of their own do better.
        scale_by_keep: whether kept values are multiplied by all cells over kept cells.

    Returns:
        A tensor like the input. There is no `training` argument: it always drops, as there.

    Raises:
        ValueError: a rate outside [0, 1], also after `gamma_scale`, a block size below 1, or an input of another rank.
        TypeError: the input is not floating point.

    Example:
        >>> import torch
        >>> drop_block_2d(torch.ones(2, 3, 8, 8), 0.1, 3).shape
        torch.Size([2, 3, 8, 8])

    Source: Ghiasi, Lin, Le 2018, arXiv 1810.12890; the signature is that of timm 1.0.23 and later.
    """
    where = "drop_block_2d"
    check_not_negative(where, gamma_scale, "gamma_scale")
    p = _scaled(where, check_probability(where, drop_prob), gamma_scale)
    check_floating_point(where, "x", x)
    check_count(where, "block_size", block_size)
    check_maps(where, "HW", x, True)
    if is_off(p, True) or x.numel() == 0:
        return x
    grid = make_grid(x.shape[2:], (block_size, block_size))
    shape = (x.shape[0], 1, *grid.sizes) if couple_channels else x.shape
    dropped = block_mask(shape, ops.draw_key(), seed_rate(p, grid, False), grid, 0, x)
    scaled = scale_by_keep and not with_noise
    y = drop_where(x, dropped, mask_scale(dropped, "batch", x, 1e-7) if scaled else None)
    if with_noise:
        y = y + drop_where(draw_normal(x, dropped.shape).to(x.dtype), ~dropped)
    return x.copy_(y) if inplace else y


def _scaled(where: str, drop_prob: Rate, gamma_scale: float) -> Rate:
    p: Rate = drop_prob * gamma_scale
    if not isinstance(p, Tensor) and p > 1:
        bad_value(where, "gamma_scale", "such that drop_prob * gamma_scale is at most 1", gamma_scale)
    return p


class DropBlock2d(Rated, nn.Module):
    """Drop square blocks of feature maps in training, as `timm.layers.DropBlock2d`; see `drop_block_2d`.

    Args:
        drop_prob: drop rate in [0, 1]; it is the attribute `p` too, and can be set at any time.
        block_size: side of a block.
        gamma_scale: factor of the rate.
        with_noise: fill blocks with standard normal noise and do not rescale.
        inplace: write the result into the input.
        couple_channels: whether all channels of an example share their blocks.
        scale_by_keep: whether kept values are multiplied by all cells over kept cells.
        **kwargs: `batchwise` and `fast` of timm before 1.0.23, which are taken and have no effect, as there; anything
            else is an error.

    Shape:
        (N, C, H, W); the output is like the input.

    Raises:
        ValueError: a rate outside [0, 1], a block size below 1, or an input of another rank.
        TypeError: an unknown argument.

    Example:
        >>> import torch
        >>> DropBlock2d(0.1, 5, 0.25).eval()(torch.ones(1, 1, 1, 3))
        tensor([[[[1., 1., 1.]]]])

    Source: Ghiasi, Lin, Le 2018, arXiv 1810.12890; the signature is that of timm 1.0.23 and later.
    """

    def __init__(
        self,
        drop_prob: float = 0.1,
        block_size: int = 7,
        gamma_scale: float = 1.0,
        with_noise: bool = False,
        inplace: bool = False,
        couple_channels: bool = True,
        scale_by_keep: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        where = "DropBlock2d"
        if unknown := sorted(kwargs.keys() - {"batchwise", "fast"}):
            bad_type(where, "kwargs", "batchwise or fast, which timm once had", ", ".join(unknown))
        self.p = check_p(where, drop_prob, "drop_prob")
        self.block_size = check_count(where, "block_size", block_size)
        self.gamma_scale = check_not_negative(where, gamma_scale, "gamma_scale")
        _scaled(where, self.p, gamma_scale)
        self.with_noise, self.inplace = with_noise, inplace
        self.couple_channels, self.scale_by_keep = couple_channels, scale_by_keep

    @property
    def drop_prob(self) -> float:
        """The drop rate under timm's name."""
        return self.p

    @drop_prob.setter
    def drop_prob(self, value: float) -> None:
        self.p = value

    def forward(self, x: Tensor) -> Tensor:
        """Drop blocks in training mode."""
        if not self.training:
            return x
        return drop_block_2d(
            x,
            rate(self),
            self.block_size,
            self.gamma_scale,
            self.with_noise,
            self.inplace,
            self.couple_channels,
            self.scale_by_keep,
        )

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return (
            f"drop_prob={self.p}, block_size={self.block_size}, gamma_scale={self.gamma_scale}, "
            f"with_noise={self.with_noise}, inplace={self.inplace}, couple_channels={self.couple_channels}, "
            f"scale_by_keep={self.scale_by_keep}"
        )
