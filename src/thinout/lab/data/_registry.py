"""Names to data: list, describe, check and load what `_sets` holds."""

from __future__ import annotations

import difflib
from typing import Any

from thinout._checks import bad_type, bad_usage
from thinout.lab.data._places import FileCheck, check_files, require
from thinout.lab.data._sets import DATA_SETS
from thinout.lab.data._types import DataSet


def names() -> list[str]:
    """Return the names of all known data sets.

    Example:
        >>> "mnist" in names(), "gtsrb" in names()
        (True, True)
    """
    return sorted(DATA_SETS)


def describe(name: str) -> DataSet:
    """Return what is known about a data set: title, classes, shape, licence, source, files.

    Args:
        name: one of `names()`.

    Raises:
        UsageError: no such data set; the message names the nearest one.

    Example:
        >>> describe("mnist").shape
        (1, 28, 28)
    """
    if not isinstance(name, str):
        bad_type("data", "name", "a string", repr(name))
    if name not in DATA_SETS:
        near = difflib.get_close_matches(name, names(), n=1)
        remedy = f"Did you mean {near[0]}?" if near else "See `thinout data list`."
        bad_usage("data", "name", "one of " + ", ".join(names()), repr(name), remedy)
    return DATA_SETS[name]


def load(name: str) -> Any:
    """Read a data set from THINOUT_DATA, the cache folder or the package, and verify its checksums.

    Args:
        name: one of `names()`.

    Returns:
        `ImageData` of a set of images, otherwise what its reader returns, such as `ArrayData`.

    Raises:
        UsageError: no such data set.
        DataError: files are missing or damaged; the message says where they were looked for and how to get them.

    Example:
        >>> load("fashion-mnist-small").train_images.shape
        (4000, 28, 28)
    """
    dataset = describe(name)
    return dataset.read(dataset, require(dataset))


def check(name: str) -> list[FileCheck]:
    """Say for every file of a data set where it was found and whether its checksum is right.

    Args:
        name: one of `names()`.

    Raises:
        UsageError: no such data set.

    Example:
        >>> [check.state for check in check("fashion-mnist-small")]
        ['ok']
    """
    return check_files(describe(name))
