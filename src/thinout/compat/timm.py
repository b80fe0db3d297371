"""The dropouts of `timm.layers`, on thinout's masks."""

from thinout.compat._depth import DropPath as DropPath
from thinout.compat._depth import calculate_drop_path_rates as calculate_drop_path_rates
from thinout.compat._depth import drop_path as drop_path

__all__ = ["DropPath", "calculate_drop_path_rates", "drop_path"]
