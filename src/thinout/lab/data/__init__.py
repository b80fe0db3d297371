"""Real data behind one registry: find, fetch, verify, read and split them."""

from thinout.lab.data._arrays import ArrayData, array_splits
from thinout.lab.data._drive_splits import drive_splits
from thinout.lab.data._fetch import fetch
from thinout.lab.data._folder import SKIP_BAD, PhotoFolder, class_names, open_folder
from thinout.lab.data._fsdd import Recordings, read_recordings, recording_splits
from thinout.lab.data._idx import read_idx, read_idx_pair
from thinout.lab.data._log_mel import log_mel
from thinout.lab.data._photos import photo_splits, square_side
from thinout.lab.data._places import FileCheck, how_to_get, require
from thinout.lab.data._registry import check, describe, load, names
from thinout.lab.data._shakespeare import Characters, character_splits, read_characters
from thinout.lab.data._sms import Messages, message_splits, read_messages
from thinout.lab.data._split import Splits, split
from thinout.lab.data._tables import Column, Layout, read_table
from thinout.lab.data._tub import Drive, read_tub
from thinout.lab.data._types import DataError, DataFile, DataSet, ImageData
from thinout.lab.data._view_splits import sign_splits
from thinout.lab.data._views import Sign, Viewed

__all__ = [
    "SKIP_BAD",
    "ArrayData",
    "Characters",
    "Column",
    "DataError",
    "DataFile",
    "DataSet",
    "Drive",
    "FileCheck",
    "ImageData",
    "Layout",
    "Messages",
    "PhotoFolder",
    "Recordings",
    "Sign",
    "Splits",
    "Viewed",
    "array_splits",
    "character_splits",
    "check",
    "class_names",
    "describe",
    "drive_splits",
    "fetch",
    "how_to_get",
    "load",
    "log_mel",
    "message_splits",
    "names",
    "open_folder",
    "photo_splits",
    "read_characters",
    "read_idx",
    "read_idx_pair",
    "read_messages",
    "read_recordings",
    "read_table",
    "read_tub",
    "recording_splits",
    "require",
    "sign_splits",
    "split",
    "square_side",
]
