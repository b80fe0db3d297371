"""Dropouts without state: checks and work are here, the modules of `thinout.nn` store arguments and call these.

Shape letters: N batch, C channels, L length, D depth, H height, W width, F features, K samples.
"""

from thinout.functional._adaptive import information_dropout as information_dropout
from thinout.functional._adaptive import information_penalty as information_penalty
from thinout.functional._adaptive import standout as standout
from thinout.functional._alpha import alpha_dropout as alpha_dropout
from thinout.functional._alpha import feature_alpha_dropout as feature_alpha_dropout
from thinout.functional._channel import dropout1d as dropout1d
from thinout.functional._channel import dropout2d as dropout2d
from thinout.functional._channel import dropout3d as dropout3d
from thinout.functional._dropout import classic_dropout as classic_dropout
from thinout.functional._dropout import dropout as dropout
from thinout.functional._multi_sample import multi_sample_dropout as multi_sample_dropout
from thinout.functional._multi_sample import multi_sample_loss as multi_sample_loss
from thinout.functional._nested import nested_dropout as nested_dropout
from thinout.functional._noise import gaussian_dropout as gaussian_dropout
from thinout.functional._noise import gaussian_noise as gaussian_noise
from thinout.functional._noise import uout as uout
from thinout.functional._shakeout import shakeout_linear as shakeout_linear
from thinout.functional._swapout import swapout as swapout

__all__ = [
    "alpha_dropout",
    "classic_dropout",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "feature_alpha_dropout",
    "gaussian_dropout",
    "gaussian_noise",
    "information_dropout",
    "information_penalty",
    "multi_sample_dropout",
    "multi_sample_loss",
    "nested_dropout",
    "shakeout_linear",
    "standout",
    "swapout",
    "uout",
]
