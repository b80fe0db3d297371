"""The German Traffic Sign Recognition Benchmark: the official archives, and a subset of them, packed at 32x32 or not.

Format (Houben, Stallkamp, Salmen, Schlipsing, Igel 2013): a folder a class with PPM images called TRACK_FRAME.ppm and a
table GT-CLASS.csv, columns apart by semicolons; test images by number, their classes in GT-final_test.csv. A track is
one sign on the road, in 30 frames that are much alike: hence splits by track.

The subset is fixed by numbers: frames 8, 22 and 29 of every track, and of the test images those whose number is
divisible by 4, but not 16 more than a multiple of 20. The packed file holds these very images, as its arrays
frame_train and test_filename say, but scaled by OpenCV: its pixels differ from those that Pillow scales here.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from thinout.lab.data._archive import read_members
from thinout.lab.data._arrays import read_npz
from thinout.lab.data._decode import decode
from thinout.lab.data._places import verify
from thinout.lab.data._types import Bytes, DataFile, DataSet, ImageData, Labels, bad_data, check_labelled

SIDE = 32
NUM_CLASSES = 43
_TRACKS = 1000  # no class has as many tracks: group = class * _TRACKS + track
_TRAINING = re.compile(r"(?:^|/)Images/(\d{5})/(\d{5})_(\d{5})\.ppm$")
_TEST = re.compile(r"(?:^|/)Images/(\d{5})\.ppm$")
_SMALL_FRAMES = (8, 22, 29)


def read_official(dataset: DataSet, paths: Mapping[str, Path]) -> ImageData:
    """Read the three archives of the official download, each image scaled to 32x32."""
    verify(dataset, paths)
    return _counted(dataset, from_archives(*(paths[file.name] for file in dataset.files), name=dataset.name))


def _counted(dataset: DataSet, data: ImageData) -> ImageData:
    for part, images, expected in (
        ("train", data.train_images, dataset.num_train),
        ("test", data.test_images, dataset.num_test),
    ):
        if len(images) != expected:
            bad_data(dataset.name, f"{part} images", f"{expected}", len(images))
    return data


def is_small_test(number: int) -> bool:
    """Return whether a test image is one of the fifth that `gtsrb-small` has: four of five of every fourth."""
    return number % 4 == 0 and number % 20 != 16


def from_archives(training: Path, test: Path, classes: Path, *, name: str, small: bool = False) -> ImageData:
    """Read archives in the official layout, whatever their number of images.

    Args:
        training: GTSRB_Final_Training_Images.zip.
        test: GTSRB_Final_Test_Images.zip.
        classes: GTSRB_Final_Test_GT.zip.
        name: of the data set.
        small: whether only the frames 8, 22 and 29 of every track and the test images of `is_small_test` are read;
            nothing else is decompressed or decoded.

    Raises:
        DataError: an archive is damaged or unsafe, or images and tables do not fit each other.
    """
    train_images, train_labels, groups = _read_training(training, _SMALL_FRAMES if small else None)
    test_images, test_labels = _read_test(test, classes, small=small)
    check_labelled(training, train_images, train_labels, NUM_CLASSES)
    check_labelled(test, test_images, test_labels, NUM_CLASSES)
    return ImageData(name, NUM_CLASSES, train_images, train_labels, test_images, test_labels, groups)


def _read_training(path: Path, frames: Collection[int] | None) -> tuple[Bytes, Labels, Labels]:
    def is_wanted(file: str) -> bool:
        found = _TRAINING.search(file)
        return found is None or frames is None or int(found[3]) in frames

    images: dict[tuple[int, int, int], Bytes] = {}
    listed: set[tuple[int, int, int]] = set()
    for name, content in read_members(path, suffixes=(".ppm", ".csv"), wanted=is_wanted):
        if found := _TRAINING.search(name):
            label, track, frame = map(int, found.groups())
            images[label, track, frame] = decode(content, f"{path}: {name}", side=SIDE, crop=False)
        elif name.endswith(".csv"):
            listed |= {key for key in _table_of_class(path, name, content) if frames is None or key[2] in frames}
    if set(images) != listed:
        odd = sorted(set(images) ^ listed)[:3]
        bad_data(path, "images", "those that the tables GT-*.csv list", f"a difference at {odd} (class, track, frame)")
    if not images:
        bad_data(path, "archive", "in the layout Images/CLASS/TRACK_FRAME.ppm", "no such image")
    keys = np.array(sorted(images), dtype=np.int64)
    if keys[:, 1].max() >= _TRACKS:
        bad_data(path, "tracks", f"below {_TRACKS}", int(keys[:, 1].max()))
    pixels = np.stack([images[key] for key in sorted(images)])
    return pixels, keys[:, 0].copy(), keys[:, 0] * _TRACKS + keys[:, 1]


def _table_of_class(path: Path, name: str, content: bytes) -> set[tuple[int, int, int]]:
    folder = PurePosixPath(name).parent.name
    listed = set()
    for file, label in _table(path, name, content):
        found = re.fullmatch(r"(\d{5})_(\d{5})\.ppm", file)
        if found is None or f"{label:05d}" != folder:
            bad_data(f"{path}: {name}", "rows", f"of files TRACK_FRAME.ppm and of class {folder}", f"{file}, {label}")
        listed.add((label, int(found[1]), int(found[2])))
    return listed


def _read_test(path: Path, classes: Path, *, small: bool) -> tuple[Bytes, Labels]:
    def is_wanted(file: str) -> bool:
        found = re.search(r"(\d{5})\.ppm$", file)
        return found is None or not small or is_small_test(int(found[1]))

    tables = [_table(classes, *member) for member in read_members(classes, suffixes=("GT-final_test.csv",))]
    if len(tables) != 1:
        bad_data(classes, "archive", "with one table GT-final_test.csv", f"{len(tables)}")
    labels = {file: label for file, label in tables[0] if is_wanted(file)}
    images = {
        PurePosixPath(name).name: decode(content, f"{path}: {name}", side=SIDE, crop=False)
        for name, content in read_members(path, suffixes=(".ppm",), wanted=is_wanted)
        if _TEST.search(name)
    }
    if set(images) != set(labels) or not images:
        odd = sorted(set(images) ^ set(labels))[:3]
        bad_data(path, "images", f"those that {classes} lists", f"a difference at {', '.join(odd) or 'nothing'}")
    order = sorted(images)
    return np.stack([images[name] for name in order]), np.array([labels[name] for name in order], dtype=np.int64)


def _table(path: Path, name: str, content: bytes) -> list[tuple[str, int]]:
    """Return file name and class of each row of a table."""
    try:
        rows = list(csv.DictReader(io.StringIO(content.decode("ascii")), delimiter=";"))
        table = [(row["Filename"], int(row["ClassId"])) for row in rows]
    except (UnicodeDecodeError, KeyError, TypeError, ValueError, csv.Error) as error:
        got = f"{type(error).__name__}: {error}"
        bad_data(f"{path}: {name}", "table", "with columns Filename and ClassId, apart by semicolons", got)
    if bad := [label for _, label in table if not 0 <= label < NUM_CLASSES]:
        bad_data(f"{path}: {name}", "ClassId", f"in [0, {NUM_CLASSES - 1}]", bad[0])
    return table


def read_small(dataset: DataSet, paths: Mapping[str, Path]) -> ImageData:
    """Read the packed subset, or cut it out of the three archives of the official download."""
    verify(dataset, paths)
    if dataset.files[0].name in paths:
        return from_packed(paths[dataset.files[0].name], name=dataset.name)
    archives = (paths[file.name] for file in dataset.other_files)
    return _counted(dataset, from_archives(*archives, name=dataset.name, small=True))


def from_packed(path: Path, *, name: str) -> ImageData:
    """Read a packed file: arrays x_train, y_train, track_train, x_test and y_test.

    Raises:
        DataError: it is no such file, or its arrays do not fit each other.
    """
    names = ("x_train", "y_train", "track_train", "x_test", "y_test")
    arrays = read_npz(path, names)
    train, train_labels, tracks, test, test_labels = (arrays[key] for key in names)
    labels, groups, wanted = (values.astype(np.int64) for values in (train_labels, tracks, test_labels))
    check_labelled(f"{path} (train)", train, labels, NUM_CLASSES)
    check_labelled(f"{path} (test)", test, wanted, NUM_CLASSES)
    if groups.shape != labels.shape or groups.min() < 0 or groups.max() >= _TRACKS:
        bad_data(path, "track_train", f"one number in [0, {_TRACKS - 1}] an image", f"shape {groups.shape}")
    return ImageData(name, NUM_CLASSES, train, labels, test, wanted, labels * _TRACKS + groups)


_CLASSES = (
    *(f"limit {speed}" for speed in (20, 30, 50, 60, 70, 80)),
    "end of limit 80",
    "limit 100",
    "limit 120",
    "no overtaking",
    "no overtaking by lorries",
    "right of way at the next crossing",
    "priority road",
    "give way",
    "stop",
    "no vehicles",
    "no lorries",
    "no entry",
    "danger",
    "bend to the left",
    "bend to the right",
    "double bend",
    "uneven road",
    "slippery road",
    "road narrows on the right",
    "road works",
    "traffic lights",
    "pedestrians",
    "children",
    "cyclists",
    "ice or snow",
    "wild animals",
    "end of all limits",
    "turn right ahead",
    "turn left ahead",
    "straight on",
    "straight on or right",
    "straight on or left",
    "pass on the right",
    "pass on the left",
    "roundabout",
    "end of no overtaking",
    "end of no overtaking by lorries",
)

_ADDRESS = "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370"

GTSRB = DataSet(
    name="gtsrb",
    title="GTSRB: German traffic signs, scaled to 32x32",
    classes=_CLASSES,
    shape=(3, SIDE, SIDE),
    num_train=39_209,
    num_test=12_630,
    licence="free for research, by its publisher (INI, Ruhr-Universität Bochum)",
    source=f"{_ADDRESS}/published-archive.html",
    folder="gtsrb",
    files=(
        DataFile(
            "GTSRB_Final_Training_Images.zip",
            size=276_294_756,
            sha256=None,
            url=f"{_ADDRESS}/GTSRB_Final_Training_Images.zip",
            md5="f33fd80ac59bff73c82d25ab499e03a3",
        ),
        DataFile(
            "GTSRB_Final_Test_Images.zip",
            size=88_978_620,
            sha256="48ba6fab7e877eb64eaf8de99035b0aaecfbc279bee23e35deca4ac1d0a837fa",
            url=f"{_ADDRESS}/GTSRB_Final_Test_Images.zip",
            md5="c7e4e6327067d32654124b0fe9e82185",
        ),
        DataFile(
            "GTSRB_Final_Test_GT.zip",
            size=99_620,
            sha256="f94e5a7614d75845c74c04ddb26b8796b9e483f43541dd95dd5b726504e16d6d",
            url=f"{_ADDRESS}/GTSRB_Final_Test_GT.zip",
            md5="fe31e9c9270bbcd7b84b7f21a9d9d9e5",
        ),
    ),
    read=read_official,
)

GTSRB_SMALL = DataSet(
    name="gtsrb-small",
    title="GTSRB, 3 frames of every track and a fifth of the test part, at 32x32",
    classes=_CLASSES,
    shape=(3, SIDE, SIDE),
    num_train=3_920,
    num_test=2_527,
    licence=GTSRB.licence,
    source=GTSRB.source,
    folder="gtsrb32",
    files=(
        DataFile(
            "gtsrb32-subset.npz",
            size=16_117_697,
            sha256="58f9df2ad4ad2456be550997cc4e3425dc3ede19108efc37b90ee0f0ac0ba6f4",
        ),
    ),
    read=read_small,
    other_files=tuple(replace(file, folder=GTSRB.folder) for file in GTSRB.files),
)
