"""Dropouts without state: checks and work are here, the modules of `thinout.nn` store arguments and call these.

Shape letters: N batch, C channels, L length, D depth, H height, W width.
"""

from thinout.functional._channel import dropout1d as dropout1d
from thinout.functional._channel import dropout2d as dropout2d
from thinout.functional._channel import dropout3d as dropout3d
from thinout.functional._drop_connect import drop_connect_linear as drop_connect_linear
from thinout.functional._drop_connect_conv import drop_connect_conv as drop_connect_conv
from thinout.functional._dropout import classic_dropout as classic_dropout
from thinout.functional._dropout import dropout as dropout
from thinout.functional._fraternal import fraternal_loss as fraternal_loss
from thinout.functional._hard_concrete import hard_concrete as hard_concrete
from thinout.functional._hard_concrete import hard_concrete_l0 as hard_concrete_l0
from thinout.functional._targeted import targeted_unit_dropout as targeted_unit_dropout
from thinout.functional._targeted import targeted_weight_dropout as targeted_weight_dropout
from thinout.functional._weight_drop import drop_weights as drop_weights

__all__ = [
    "classic_dropout",
    "drop_connect_conv",
    "drop_connect_linear",
    "drop_weights",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "fraternal_loss",
    "hard_concrete",
    "hard_concrete_l0",
    "targeted_unit_dropout",
    "targeted_weight_dropout",
]
