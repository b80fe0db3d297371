"""Real data behind one registry: find, fetch, verify, read and split them."""

from thinout.lab.data._fetch import fetch
from thinout.lab.data._fsdd import Recordings, read_recordings, recording_splits
from thinout.lab.data._idx import read_idx, read_idx_pair
from thinout.lab.data._log_mel import log_mel
from thinout.lab.data._places import FileCheck, require
from thinout.lab.data._registry import check, describe, load, names
from thinout.lab.data._shakespeare import Characters, character_splits, read_characters
from thinout.lab.data._sms import Messages, message_splits, read_messages
from thinout.lab.data._split import Splits, split
from thinout.lab.data._types import DataError, DataFile, DataSet, ImageData

__all__ = [
    "Characters",
    "DataError",
    "DataFile",
    "DataSet",
    "FileCheck",
    "ImageData",
    "Messages",
    "Recordings",
    "Splits",
    "character_splits",
    "check",
    "describe",
    "fetch",
    "load",
    "log_mel",
    "message_splits",
    "names",
    "read_characters",
    "read_idx",
    "read_idx_pair",
    "read_messages",
    "read_recordings",
    "recording_splits",
    "require",
    "split",
]
