"""The dropouts of `timm.layers`, with their order of arguments, on thinout's masks."""

from thinout.compat._depth import DropPath as DropPath
from thinout.compat._depth import calculate_drop_path_rates as calculate_drop_path_rates
from thinout.compat._depth import drop_path as drop_path
from thinout.compat._timm_blocks import DropBlock2d as DropBlock2d
from thinout.compat._timm_blocks import drop_block_2d as drop_block_2d

__all__ = ["DropBlock2d", "DropPath", "calculate_drop_path_rates", "drop_block_2d", "drop_path"]
