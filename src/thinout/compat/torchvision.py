"""The dropouts of `torchvision.ops`, with their order of arguments, on thinout's masks."""

from thinout.compat._depth import StochasticDepth as StochasticDepth
from thinout.compat._depth import stochastic_depth as stochastic_depth
from thinout.compat._torchvision_blocks import DropBlock2d as DropBlock2d
from thinout.compat._torchvision_blocks import DropBlock3d as DropBlock3d
from thinout.compat._torchvision_blocks import drop_block2d as drop_block2d
from thinout.compat._torchvision_blocks import drop_block3d as drop_block3d

__all__ = [
    "DropBlock2d",
    "DropBlock3d",
    "StochasticDepth",
    "drop_block2d",
    "drop_block3d",
    "stochastic_depth",
]
