"""Dropouts without state: checks and work are here, the modules of `thinout.nn` store arguments and call these.

Shape letters: N batch, C channels, L length, D depth, H height, W width.
"""

from thinout.functional._channel import dropout1d as dropout1d
from thinout.functional._channel import dropout2d as dropout2d
from thinout.functional._channel import dropout3d as dropout3d
from thinout.functional._depth import stochastic_depth as stochastic_depth
from thinout.functional._depth import stochastic_depth_block as stochastic_depth_block
from thinout.functional._dropout import classic_dropout as classic_dropout
from thinout.functional._dropout import dropout as dropout
from thinout.functional._fractal import fractal_join as fractal_join
from thinout.functional._layer_drop import layer_drop as layer_drop
from thinout.functional._shake import shake_drop as shake_drop
from thinout.functional._shake import shake_shake as shake_shake

__all__ = [
    "classic_dropout",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "fractal_join",
    "layer_drop",
    "shake_drop",
    "shake_shake",
    "stochastic_depth",
    "stochastic_depth_block",
]
