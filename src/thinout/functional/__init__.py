"""Dropouts without state: checks and work are here, the modules of `thinout.nn` store arguments and call these.

Shape letters: N batch, C channels, L length, D depth, H height, W width.
"""

from thinout.functional import experimental as experimental
from thinout.functional._block_rates import drop_block_rates as drop_block_rates
from thinout.functional._channel import dropout1d as dropout1d
from thinout.functional._channel import dropout2d as dropout2d
from thinout.functional._channel import dropout3d as dropout3d
from thinout.functional._drop_block import drop_block1d as drop_block1d
from thinout.functional._drop_block import drop_block2d as drop_block2d
from thinout.functional._drop_block import drop_block3d as drop_block3d
from thinout.functional._dropout import classic_dropout as classic_dropout
from thinout.functional._dropout import dropout as dropout
from thinout.functional._erasing import cutout as cutout
from thinout.functional._erasing import random_erasing as random_erasing
from thinout.functional._pattern import pattern_dropout2d as pattern_dropout2d
from thinout.functional._pooling import max_pool_dropout1d as max_pool_dropout1d
from thinout.functional._pooling import max_pool_dropout2d as max_pool_dropout2d
from thinout.functional._spectral import spectral_dropout as spectral_dropout

__all__ = [
    "classic_dropout",
    "cutout",
    "drop_block1d",
    "drop_block2d",
    "drop_block3d",
    "drop_block_rates",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "max_pool_dropout1d",
    "max_pool_dropout2d",
    "pattern_dropout2d",
    "random_erasing",
    "spectral_dropout",
]
