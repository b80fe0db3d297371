"""Read tables of comma-separated values, as UCI and KEEL publish them, into numbers.

What a table must look like is described before it is read: each column, the levels of each nominal one, and where a
value may be missing. A nominal column becomes one column of zeros and ones a level. A column that may miss values keeps
NaN there and gets an indicator column, 1 where the value is missing, behind all others; a missing value anywhere else
is an error.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from thinout.lab.data._arrays import ArrayData, Floats, read_text, to_number
from thinout.lab.data._places import verify
from thinout.lab.data._types import DataSet, Labels, bad_data

MAX_BYTES = 2**26
MISSING = frozenset({"", "?", "NA", "NaN", "nan", "<null>"})


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Args:
        name: for messages.
        levels: of a nominal column, each level as a tuple of the spellings that it has in the forms of the table; () of
            a column of numbers.
        may_miss: whether a value may be missing.
    """

    name: str
    levels: tuple[tuple[str, ...], ...] = ()
    may_miss: bool = False

    @property
    def width(self) -> int:
        """How many columns it becomes, without its indicator."""
        return len(self.levels) or 1


@dataclass(frozen=True)
class Layout:
    """How a file holds a table.

    Args:
        label: place of the label in a row.
        labels: from the spellings of labels to classes.
        ignored: places of what is no feature, such as a patient's number.
        header: what comes before the rows: nothing, one line of names, or KEEL's lines with ``@``.
    """

    label: int
    labels: Mapping[str, int]
    ignored: tuple[int, ...] = ()
    header: Literal["none", "names", "keel"] = "none"


@dataclass(frozen=True)
class Table:
    """A table in the layouts in which it may come.

    Args:
        columns: the features in their order.
        layouts: from file names to layouts.
        counts: how many examples each class must have.
    """

    columns: tuple[Column, ...]
    layouts: Mapping[str, Layout]
    counts: tuple[int, ...]

    @property
    def num_features(self) -> int:
        """How many numbers an example becomes, indicators included."""
        return sum(column.width + column.may_miss for column in self.columns)

    def read(self, dataset: DataSet, paths: Mapping[str, Path]) -> ArrayData:
        """Read the table and hold it against the published counts; `DataSet.read` of a set in one table."""
        verify(dataset, paths)
        ((name, path),) = paths.items()
        data = read_table(path, self.columns, self.layouts[name], name=dataset.name)
        if (counts := tuple(np.bincount(data.targets).tolist())) != self.counts:
            got = " + ".join(map(str, counts))
            bad_data(path, "examples", f"{' + '.join(map(str, self.counts))} by class", got, "This is another table.")
        return data


def read_table(path: Path, columns: Sequence[Column], layout: Layout, *, name: str) -> ArrayData:
    r"""Read a table, whatever its number of rows.

    Args:
        path: the file.
        columns: its features.
        layout: how it holds them.
        name: of the data set.

    Raises:
        DataError: the file cannot be read, a row has another number of cells, a cell holds something else than its
            column does or nothing where nothing may be missing, or a label is unknown.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "pets.csv")
        >>> _ = path.write_text("4.5,cat,1\n?,dog,0\n")
        >>> columns = (Column("weight", may_miss=True), Column("kind", levels=(("cat",), ("dog",))))
        >>> read_table(path, columns, Layout(label=2, labels={"0": 0, "1": 1}), name="pets").inputs
        array([[4.5, 1. , 0. , 0. ],
               [nan, 0. , 1. , 1. ]])
    """
    rows = _rows(path, layout, len(columns))
    places = [place for place in range(len(columns) + 1 + len(layout.ignored)) if place not in layout.ignored]
    places.remove(layout.label)
    labels = [_label(f"{path}, line {line}", row[layout.label], layout.labels) for line, row in rows]
    cells = [(f"{path}, line {line}", [row[place] for place in places]) for line, row in rows]
    classes = len(set(layout.labels.values()))
    return ArrayData(name, classes, encode(cells, columns), np.array(labels, dtype=np.int64))


def encode(rows: Sequence[tuple[str, Sequence[str]]], columns: Sequence[Column]) -> Floats:
    """Return the numbers of rows, each given as (where it stands, its cells)."""
    encoded, missing = [], []
    for number, column in enumerate(columns):
        values = np.array([_cell(where, cells[number], column) for where, cells in rows], dtype=np.float64)
        encoded.append(values.reshape(len(rows), column.width))
        if column.may_miss:
            missing.append(np.isnan(encoded[-1]).any(1, keepdims=True).astype(np.float64))
    return np.concatenate([*encoded, *missing], axis=1)


def _cell(where: str, text: str, column: Column) -> list[float]:
    if text in MISSING:
        if not column.may_miss:
            remedy = "Fill it in or leave the row out; only columns known to be incomplete are imputed."
            bad_data(where, column.name, "there", f"the missing value {text!r}", remedy)
        return [float("nan")] * column.width
    if not column.levels:
        return [to_number(where, text, column.name)]
    found = [float(text in spellings) for spellings in column.levels]
    if not any(found):
        bad_data(where, column.name, "one of " + ", ".join(level[0] for level in column.levels), repr(text))
    return found


def _label(where: str, text: str, labels: Mapping[str, int]) -> int:
    if text not in labels:
        bad_data(where, "label", "one of " + ", ".join(labels), repr(text))
    return labels[text]


def _rows(path: Path, layout: Layout, num_columns: int) -> list[tuple[int, list[str]]]:
    """Return the rows with their lines' numbers, cells stripped, after the header."""
    text, skipped = read_text(path, max_bytes=MAX_BYTES), 0
    if layout.header == "keel":
        text, skipped = _after_keel_header(path, text, num_columns)
    reader = csv.reader(io.StringIO(text), skipinitialspace=True)
    try:
        lines = [(reader.line_num + skipped, [cell.strip() for cell in row]) for row in reader if row]
    except csv.Error as error:
        bad_data(path, f"line {reader.line_num + skipped}", "comma-separated values", str(error))
    rows = lines[1:] if layout.header == "names" else lines
    width = num_columns + 1 + len(layout.ignored)
    for line, row in lines:
        if len(row) != width:
            bad_data(path, f"line {line}", f"of {width} cells", len(row), "This is another or a damaged table.")
    if not rows:
        bad_data(path, "file", "a table of at least one row", "none")
    return rows


_KEEL_TYPE = re.compile(r"^@attribute\s+(\S+?)\s*(\{[^{}]*\}|(real|integer)\b.*)$", re.IGNORECASE)


def _after_keel_header(path: Path, text: str, num_columns: int) -> tuple[str, int]:
    """Check the lines with ``@`` of a KEEL file, and return what follows them and how many they are."""
    lines, attributes = text.splitlines(keepends=True), 0
    for number, line in enumerate(lines, start=1):
        word = line.split(maxsplit=1)[0].lower() if line.strip() else ""
        if word == "@data":
            if attributes != num_columns + 1:
                bad_data(path, "header", f"with {num_columns + 1} lines @attribute", attributes)
            return "".join(lines[number:]), number
        if word == "@attribute":
            if not _KEEL_TYPE.match(line.strip()):
                bad_data(f"{path}, line {number}", "@attribute", "a name and {levels}, real or integer", repr(line))
            attributes += 1
        elif word and word not in ("@relation", "@inputs", "@input", "@outputs", "@output"):
            bad_data(
                f"{path}, line {number}", "header", "of lines @relation, @attribute, @inputs, @outputs", repr(line)
            )
    bad_data(path, "header", "that ends with a line @data", "none")


def check_labels(labels: npt.NDArray[np.generic], names: Sequence[str], where: object) -> Labels:
    """Return the places of labels, as text, among the names of the classes."""
    place = {name: number for number, name in enumerate(names)}
    return np.array([_label(str(where), str(label), place) for label in labels.tolist()], dtype=np.int64)
