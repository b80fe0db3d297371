"""Dropout layers: modules that store arguments and call `thinout.functional`."""

from thinout.nn._channel import Dropout1d as Dropout1d
from thinout.nn._channel import Dropout2d as Dropout2d
from thinout.nn._channel import Dropout3d as Dropout3d
from thinout.nn._elementwise import ClassicDropout as ClassicDropout
from thinout.nn._elementwise import Dropout as Dropout
from thinout.nn._locked import LockedDropout as LockedDropout
from thinout.nn._recurrent_cells import RNNDropCell as RNNDropCell
from thinout.nn._recurrent_cells import SemeniutaGRUCell as SemeniutaGRUCell
from thinout.nn._recurrent_cells import SemeniutaLSTMCell as SemeniutaLSTMCell
from thinout.nn._recurrent_layer import RecurrentLayer as RecurrentLayer
from thinout.nn._registry import REGISTRY as REGISTRY
from thinout.nn._registry import ErrorInput as ErrorInput
from thinout.nn._registry import LayerSpec as LayerSpec
from thinout.nn._variational_rnn import VariationalGRU as VariationalGRU
from thinout.nn._variational_rnn import VariationalLSTM as VariationalLSTM
from thinout.nn._zoneout import ZoneoutCell as ZoneoutCell
from thinout.nn._zoneout import ZoneoutGRUCell as ZoneoutGRUCell
from thinout.nn._zoneout import ZoneoutLSTMCell as ZoneoutLSTMCell

__all__ = [
    "REGISTRY",
    "ClassicDropout",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "ErrorInput",
    "LayerSpec",
    "LockedDropout",
    "RNNDropCell",
    "RecurrentLayer",
    "SemeniutaGRUCell",
    "SemeniutaLSTMCell",
    "VariationalGRU",
    "VariationalLSTM",
    "ZoneoutCell",
    "ZoneoutGRUCell",
    "ZoneoutLSTMCell",
]
