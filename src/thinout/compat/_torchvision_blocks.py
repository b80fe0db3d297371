"""DropBlock under the names of `torchvision.ops`, with their order of arguments."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from thinout._checks import check_count, check_not_negative, check_p
from thinout.functional._drop_block import drop_block
from thinout.nn._rate import Rated, rate

__all__ = ["DropBlock2d", "DropBlock3d", "drop_block2d", "drop_block3d"]


def drop_block2d(
    input: Tensor,
    p: float | Tensor,
    block_size: int,
    inplace: bool = False,
    eps: float = 1e-06,
    training: bool = True,
) -> Tensor:
    r"""Drop square blocks of feature maps, as `torchvision.ops.drop_block2d`.

    It is `thinout.functional.drop_block2d` with ``scale="batch"``. Unlike there, even blocks and blocks larger than the
    map are right, kept cells are counted exactly in half precision too, and p = 1 drops everything.

    Args:
        input: (N, C, H, W).
        p: drop rate in [0, 1].
        block_size: side of a block.
        inplace: write the result into the input.
        eps: added to the number of kept cells, by which kept values are divided.
        training: whether to drop; True by default, as there.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: p outside [0, 1], a block size below 1, or an input of another rank.
        TypeError: the input is not floating point.

    Example:
        >>> drop_block2d(torch.ones(2, 3, 8, 8), 0.1, 3).shape
        torch.Size([2, 3, 8, 8])

    Source: Ghiasi, Lin, Le 2018, arXiv 1810.12890; the signature is torchvision's.
    """
    return _drop_block("drop_block2d", "HW", input, p, block_size, inplace, eps, training)


def drop_block3d(
    input: Tensor,
    p: float | Tensor,
    block_size: int,
    inplace: bool = False,
    eps: float = 1e-06,
    training: bool = True,
) -> Tensor:
    r"""Drop cubes of volumes, as `torchvision.ops.drop_block3d`; see `drop_block2d`.

    Args:
        input: (N, C, D, H, W).
        p: drop rate in [0, 1].
        block_size: side of a cube.
        inplace: write the result into the input.
        eps: added to the number of kept cells, by which kept values are divided.
        training: whether to drop; True by default, as there.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: p outside [0, 1], a block size below 1, or an input of another rank.
        TypeError: the input is not floating point.

    Example:
        >>> drop_block3d(torch.ones(2, 3, 8, 8, 8), 0.1, 3).shape
        torch.Size([2, 3, 8, 8, 8])

    Source: Ghiasi, Lin, Le 2018, arXiv 1810.12890; the signature is torchvision's.
    """
    return _drop_block("drop_block3d", "DHW", input, p, block_size, inplace, eps, training)


def _drop_block(
    where: str, letters: str, input: Tensor, p: float | Tensor, block_size: int, inplace: bool, eps: float,
    training: bool,
) -> Tensor:  # fmt: skip
    eps = check_not_negative(where, eps, "eps")
    return drop_block(
        where, letters, input, p, block_size, training, inplace, True, True, "batch", False, None, None, 0, eps=eps
    )


# Tracers of graphs see one node, as they do there.
torch.fx.wrap("drop_block2d")
torch.fx.wrap("drop_block3d")


class _DropBlock(Rated, nn.Module):
    def __init__(self, p: float, block_size: int, inplace: bool = False, eps: float = 1e-06) -> None:
        super().__init__()
        where = type(self).__name__
        self.p = check_p(where, p)
        self.block_size = check_count(where, "block_size", block_size)
        self.inplace, self.eps = inplace, check_not_negative(where, eps, "eps")

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return f"p={self.p}, block_size={self.block_size}, inplace={self.inplace}, eps={self.eps}"


class DropBlock2d(_DropBlock):
    """Drop square blocks of feature maps in training, as `torchvision.ops.DropBlock2d`; see `drop_block2d`.

    Args:
        p: drop rate in [0, 1].
        block_size: side of a block.
        inplace: write the result into the input.
        eps: added to the number of kept cells, by which kept values are divided.

    Shape:
        (N, C, H, W); the output is like the input.

    Raises:
        ValueError: p outside [0, 1], a block size below 1, or an input of another rank.

    Example:
        >>> DropBlock2d(0.1, 3)
        DropBlock2d(p=0.1, block_size=3, inplace=False, eps=1e-06)

    Source: Ghiasi, Lin, Le 2018, arXiv 1810.12890; the signature is torchvision's.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Drop blocks in training mode."""
        return drop_block2d(input, rate(self), self.block_size, self.inplace, self.eps, self.training)


class DropBlock3d(_DropBlock):
    """Drop cubes of volumes in training, as `torchvision.ops.DropBlock3d`; see `drop_block2d`.

    Args:
        p: drop rate in [0, 1].
        block_size: side of a cube.
        inplace: write the result into the input.
        eps: added to the number of kept cells, by which kept values are divided.

    Shape:
        (N, C, D, H, W); the output is like the input.

    Raises:
        ValueError: p outside [0, 1], a block size below 1, or an input of another rank.

    Example:
        >>> DropBlock3d(0.1, 3)
        DropBlock3d(p=0.1, block_size=3, inplace=False, eps=1e-06)

    Source: Ghiasi, Lin, Le 2018, arXiv 1810.12890; the signature is torchvision's.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Drop cubes in training mode."""
        return drop_block3d(input, rate(self), self.block_size, self.inplace, self.eps, self.training)
