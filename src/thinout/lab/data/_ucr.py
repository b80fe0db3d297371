"""Time series of the UCR and UEA archives, in their own files or packed.

UCR (2018): ``NAME_TRAIN.tsv`` and ``NAME_TEST.tsv``, a row a series: label, then values, apart by tabs. UEA, of several
channels: ``NAME_TRAIN.ts`` and ``NAME_TEST.ts``: lines with ``@`` and ``#``, then a line a series: values apart by
commas, channels by colons, the label last. Packed: an npz file with x_train, y_train, x_test, y_test.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from thinout.lab.data._arrays import ArrayData, Floats, read_npz, read_text, to_number
from thinout.lab.data._places import verify
from thinout.lab.data._types import DataFile, DataSet, Labels, bad_data

MAX_BYTES = 2**28
Series = tuple[Floats, Labels]


def read_ucr(dataset: DataSet, paths: Mapping[str, Path]) -> ArrayData:
    """Read a set in either form, and hold it against its published sizes."""
    verify(dataset, paths)
    ((name, path),) = paths.items()
    if name.endswith(".npz"):
        parts = from_packed(path, num_classes=dataset.num_classes)
    else:
        parts = from_folder(path, name, dataset.classes, length=dataset.shape[-1])
    for (values, _), word, expected in zip(
        parts, ("train", "test"), (dataset.num_train, dataset.num_test), strict=True
    ):
        if values.shape != (expected, *dataset.shape):
            got = " x ".join(map(str, values.shape))
            bad_data(path, f"{word} series", " x ".join(map(str, (expected, *dataset.shape))), got)
    return joined(parts, name=dataset.name, num_classes=dataset.num_classes)


def joined(parts: tuple[Series, Series], *, name: str, num_classes: int) -> ArrayData:
    """Return training and test series as one, the test part as the publisher's."""
    (train, train_labels), (test, test_labels) = parts
    places = np.arange(len(train), len(train) + len(test))
    labels = np.concatenate([train_labels, test_labels])
    return ArrayData(name, num_classes, np.concatenate([train, test]), labels, (places,))


def from_packed(path: Path, *, num_classes: int) -> tuple[Series, Series]:
    """Read the packed form: series (N, channels, length) and labels (N,)."""
    arrays = read_npz(path, ("x_train", "y_train", "x_test", "y_test"))
    parts = []
    for part in ("train", "test"):
        values, labels = arrays[f"x_{part}"], arrays[f"y_{part}"]
        if values.ndim != 3 or labels.shape != values.shape[:1] or labels.dtype.kind not in "iu":
            bad_data(path, f"x_{part}", "(N, channels, length), with one label each", f"shape {values.shape}")
        if not np.isfinite(values).all() or labels.min() < 0 or labels.max() >= num_classes:
            bad_data(path, f"x_{part}", f"finite, with labels in [0, {num_classes - 1}]", "something else")
        parts.append((values.astype(np.float64), labels.astype(np.int64)))
    return parts[0], parts[1]


def from_folder(path: Path, name: str, classes: tuple[str, ...], *, length: int) -> tuple[Series, Series]:
    """Read the archive's folder of a set.

    Args:
        path: the folder.
        name: of the set there, with which its files begin.
        classes: labels as the archive writes them, in the order of their numbers.
        length: series of another length than the set's are resampled to this one, linearly.

    Raises:
        DataError: a file is missing or damaged, a value is missing, or a label unknown.
    """
    parts = []
    for word in ("TRAIN", "TEST"):
        stem = path / f"{name}_{word}"
        lines = _read_ts(stem.with_suffix(".ts")) if stem.with_suffix(".ts").is_file() else _read_tsv(stem)
        parts.append(_stacked(stem, list(lines), classes, length))
    return parts[0], parts[1]


Line = tuple[str, list[list[float]], str]  # where it stands, the channels, the label


def _stacked(stem: Path, lines: list[Line], classes: tuple[str, ...], length: int) -> Series:
    if not lines:
        bad_data(stem, "file", "of at least one series", "none")
    channels, place = len(lines[0][1]), {_plain(label): number for number, label in enumerate(classes)}
    for where, series, label in lines:
        if len(series) != channels:
            bad_data(where, "series", f"of {channels} channels", len(series))
        if _plain(label) not in place:
            bad_data(where, "label", "one of " + ", ".join(classes), repr(label))
    values = np.array([[_resampled(channel, length) for channel in series] for _, series, _ in lines])
    return values, np.array([place[_plain(label)] for _, _, label in lines], dtype=np.int64)


def _plain(label: str) -> str:
    """Return a label as it is compared: some copies of the archive write 1.0000000e+00 for 1."""
    try:
        return f"{float(label):g}"
    except ValueError:
        return label.lower()


def _resampled(values: list[float], length: int) -> Floats:
    if len(values) == length:
        return np.array(values)
    return np.interp(np.linspace(0, len(values) - 1, length), np.arange(len(values)), values)


def _read_tsv(stem: Path) -> Iterator[Line]:
    path = stem.with_suffix(".txt") if stem.with_suffix(".txt").is_file() else stem.with_suffix(".tsv")
    for number, line in enumerate(read_text(path, max_bytes=MAX_BYTES).splitlines(), start=1):
        where, cells = f"{path}, line {number}", line.replace(",", " ").split()
        if not cells:
            continue
        if len(cells) < 2:
            bad_data(where, "series", "a label and at least one value", repr(line[:40]))
        yield where, [[to_number(where, cell, "value") for cell in cells[1:]]], cells[0]


def _read_ts(path: Path) -> Iterator[Line]:
    lines = enumerate(read_text(path, max_bytes=MAX_BYTES).splitlines(), start=1)
    for _, line in lines:
        if line.strip().lower() == "@data":
            break
        if line.strip() and line.strip()[0] not in "@#":
            bad_data(path, "header", "of lines with @ or #, ended by @data", repr(line[:40]))
    for number, line in lines:
        if not line.strip():
            continue
        where, (*channels, label) = f"{path}, line {number}", line.strip().split(":")
        if not channels:
            bad_data(where, "series", "channels apart by colons, and a label", repr(line[:40]))
        yield where, [[to_number(where, cell, "value") for cell in text.split(",")] for text in channels], label.strip()


def _set(  # what differs between them
    original: str, title: str, classes: tuple[str, ...], shape: tuple[int, int], sizes: tuple[int, int], file: DataFile
) -> DataSet:
    return DataSet(
        name=original.lower(),
        title=f"{title} ({'UCR' if shape[0] == 1 else 'UEA'} archive)",
        classes=classes,
        shape=shape,
        num_train=sizes[0],
        num_test=sizes[1],
        licence="not stated by the archive; free for research",
        source=f"https://www.timeseriesclassification.com/description.php?Dataset={original}",
        folder="ucr",
        files=(DataFile(original, is_folder=True),),
        read=read_ucr,
        other_files=(file,),
    )


def _numbers(first: int, last: int) -> tuple[str, ...]:
    return tuple(str(number) for number in range(first, last + 1))


UCR_SETS = (
    _set(
        "GunPoint",
        "Hands that draw a gun or point a finger",
        _numbers(1, 2),
        (1, 150),
        (50, 150),
        DataFile("GunPoint.npz", 107_843, "86760a7445bc2bd62496baa15e1770d4a12f1de9d920ea6847b938628d272774"),
    ),
    _set(
        "ItalyPowerDemand",
        "A day's power demand in Italy: winter or summer",
        _numbers(1, 2),
        (1, 24),
        (67, 1_029),
        DataFile("ItalyPowerDemand.npz", 89_842, "e2df7b862caf6dfa023d9658360f95ab18e5e3a62117068858614a461914c306"),
    ),
    _set(
        "ArrowHead",
        "Outlines of arrow heads",
        _numbers(0, 2),
        (1, 251),
        (36, 175),
        DataFile("ArrowHead.npz", 190_281, "df8bd9c17f7773b6b4b95f09797630a1026a3e8684b11a189ba81f41f7212c85"),
    ),
    _set(
        "OSULeaf",
        "Outlines of leaves",
        _numbers(1, 6),
        (1, 427),
        (200, 242),
        DataFile("OSULeaf.npz", 699_654, "ff902bad8558b1377973bfde1735289b999db347d3994d216af0554fe82643a3"),
    ),
    _set(
        "BasicMotions",
        "A watch's accelerometer and gyroscope during four motions",
        ("Badminton", "Running", "Standing", "Walking"),
        (6, 100),
        (40, 40),
        DataFile("BasicMotions.npz", 143_766, "3def3a793185e91c52e26b7c1de5e671900084fcfe1222b86f8b5fe27ce47c3e"),
    ),
    _set(
        "JapaneseVowels",
        "Cepstra of two vowels, by nine speakers, at 25 points",
        _numbers(1, 9),
        (12, 25),
        (270, 370),
        DataFile("JapaneseVowels.npz", 714_461, "b7ea69b3e2ce52b762b4d945c00f6a85a58cab502f8117e4433ec4b6893af3de"),
    ),
)
