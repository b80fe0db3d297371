"""Dropouts without state: checks and work are here, the modules of `thinout.nn` store arguments and call these.

Shape letters: N batch, C channels or features, L length, D depth, H height, W width.
"""

from thinout.functional._channel import dropout1d as dropout1d
from thinout.functional._channel import dropout2d as dropout2d
from thinout.functional._channel import dropout3d as dropout3d
from thinout.functional._dropout import classic_dropout as classic_dropout
from thinout.functional._dropout import dropout as dropout
from thinout.functional._locked import locked_dropout as locked_dropout
from thinout.functional._recurrent_cells import rnndrop_cell as rnndrop_cell
from thinout.functional._recurrent_cells import semeniuta_gru_cell as semeniuta_gru_cell
from thinout.functional._recurrent_cells import semeniuta_lstm_cell as semeniuta_lstm_cell
from thinout.functional._recurrent_cells import zoneout as zoneout
from thinout.functional._variational_rnn import variational_gru as variational_gru
from thinout.functional._variational_rnn import variational_lstm as variational_lstm

__all__ = [
    "classic_dropout",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "locked_dropout",
    "rnndrop_cell",
    "semeniuta_gru_cell",
    "semeniuta_lstm_cell",
    "variational_gru",
    "variational_lstm",
    "zoneout",
]
