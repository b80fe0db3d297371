"""Real data behind one registry: find, fetch, verify, read and split them."""

from thinout.lab.data._arrays import ArrayData, array_splits
from thinout.lab.data._drive_splits import drive_splits
from thinout.lab.data._fetch import fetch
from thinout.lab.data._folder import SKIP_BAD, PhotoFolder, class_names, open_folder
from thinout.lab.data._idx import read_idx, read_idx_pair
from thinout.lab.data._photos import photo_splits, square_side
from thinout.lab.data._places import FileCheck, require
from thinout.lab.data._registry import check, describe, load, names
from thinout.lab.data._split import Splits, split
from thinout.lab.data._tables import Column, Layout, read_table
from thinout.lab.data._tub import Drive, read_tub
from thinout.lab.data._types import DataError, DataFile, DataSet, ImageData
from thinout.lab.data._view_splits import sign_splits
from thinout.lab.data._views import Sign, Viewed

__all__ = [
    "SKIP_BAD",
    "ArrayData",
    "Column",
    "DataError",
    "DataFile",
    "DataSet",
    "Drive",
    "FileCheck",
    "ImageData",
    "Layout",
    "PhotoFolder",
    "Sign",
    "Splits",
    "Viewed",
    "array_splits",
    "check",
    "class_names",
    "describe",
    "drive_splits",
    "fetch",
    "load",
    "names",
    "open_folder",
    "photo_splits",
    "read_idx",
    "read_idx_pair",
    "read_table",
    "read_tub",
    "require",
    "sign_splits",
    "split",
    "square_side",
]
