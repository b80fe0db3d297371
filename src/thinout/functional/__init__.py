"""Dropouts without state: checks and work are here, the modules of `thinout.nn` store arguments and call these.

Shape letters: N batch, C channels, L length, D depth, H height, W width.
"""

from thinout.functional._block_rates import drop_block_rates as drop_block_rates
from thinout.functional._channel import dropout1d as dropout1d
from thinout.functional._channel import dropout2d as dropout2d
from thinout.functional._channel import dropout3d as dropout3d
from thinout.functional._drop_block import drop_block1d as drop_block1d
from thinout.functional._drop_block import drop_block2d as drop_block2d
from thinout.functional._drop_block import drop_block3d as drop_block3d
from thinout.functional._dropout import classic_dropout as classic_dropout
from thinout.functional._dropout import dropout as dropout

__all__ = [
    "classic_dropout",
    "drop_block1d",
    "drop_block2d",
    "drop_block3d",
    "drop_block_rates",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
]
