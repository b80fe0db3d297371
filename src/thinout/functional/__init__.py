"""Dropouts without state: checks and work are here, the modules of `thinout.nn` store arguments and call these.

Shape letters: N batch, C channels, L length, D depth, H height, W width.
"""

from thinout.functional._channel import dropout1d as dropout1d
from thinout.functional._channel import dropout2d as dropout2d
from thinout.functional._channel import dropout3d as dropout3d
from thinout.functional._concrete import concrete_dropout as concrete_dropout
from thinout.functional._concrete import concrete_regularization as concrete_regularization
from thinout.functional._dropout import classic_dropout as classic_dropout
from thinout.functional._dropout import dropout as dropout
from thinout.functional._sparse_variational import sparse_log_alpha as sparse_log_alpha
from thinout.functional._sparse_variational import sparse_variational_conv as sparse_variational_conv
from thinout.functional._sparse_variational import sparse_variational_linear as sparse_variational_linear
from thinout.functional._variational import log_uniform_kl as log_uniform_kl
from thinout.functional._variational import log_uniform_kl_polynomial as log_uniform_kl_polynomial
from thinout.functional._variational import variational_dropout as variational_dropout
from thinout.functional._variational import variational_linear as variational_linear

__all__ = [
    "classic_dropout",
    "concrete_dropout",
    "concrete_regularization",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "log_uniform_kl",
    "log_uniform_kl_polynomial",
    "sparse_log_alpha",
    "sparse_variational_conv",
    "sparse_variational_linear",
    "variational_dropout",
    "variational_linear",
]
