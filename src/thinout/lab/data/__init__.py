"""Real data behind one registry: find, fetch, verify, read and split them."""

from thinout.lab.data._fetch import fetch
from thinout.lab.data._idx import read_idx, read_idx_pair
from thinout.lab.data._places import FileCheck, require
from thinout.lab.data._registry import check, describe, load, names
from thinout.lab.data._split import Splits, split
from thinout.lab.data._types import DataError, DataFile, DataSet, ImageData
from thinout.lab.data._view_splits import sign_splits
from thinout.lab.data._views import Sign, Viewed

__all__ = [
    "DataError",
    "DataFile",
    "DataSet",
    "FileCheck",
    "ImageData",
    "Sign",
    "Splits",
    "Viewed",
    "check",
    "describe",
    "fetch",
    "load",
    "names",
    "read_idx",
    "read_idx_pair",
    "require",
    "sign_splits",
    "split",
]
