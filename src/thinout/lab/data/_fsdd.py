"""The Free Spoken Digit Dataset: wav files ``DIGIT_SPEAKER_TAKE.wav`` in a folder, or in an archive of it.

Takes 0 to 4 of each digit and speaker are the official test part, the others the training part.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from torch.utils.data import TensorDataset

from thinout._checks import check_count
from thinout.lab.data._archive import read_members
from thinout.lab.data._log_mel import log_mel
from thinout.lab.data._sampling import permutation
from thinout.lab.data._split import Splits
from thinout.lab.data._types import DataFile, DataSet, Labels, bad_data, unreadable
from thinout.lab.data._wav import Samples, read_wav

RATE = 8000
NUM_TEST_TAKES = 5

_SECONDS = 1.0  # of a clip that a network sees: half of all are shorter than 0.42 s, 7 in 1000 are cut
_MAX_FILE = 2**20  # bytes of one recording: a minute
_MAX_BYTES = 2**28
_NAME = re.compile(r"(\d)_([a-z]+)_(\d{1,4})\.wav")


@dataclass(frozen=True, eq=False)
class Recordings:
    """Spoken digits, each with its speaker and the number of its take.

    Args:
        name: name for messages.
        waves: samples of each recording, int16 (T,).
        digits: int64, (N,).
        speakers: name of each recording's speaker.
        takes: int64, (N,).
    """

    name: str
    waves: tuple[Samples, ...]
    digits: Labels
    speakers: tuple[str, ...]
    takes: Labels


def read_recordings(path: Path, *, name: str = "fsdd") -> Recordings:
    """Read a folder of recordings, or a tar or zip archive with a folder ``recordings`` in it.

    Args:
        path: the folder or the archive.
        name: of the data set.

    Raises:
        DataError: nothing is there, a file has another name or format than it should, or an archive is unsafe.
    """
    return _recordings(name, path, _files(path))


def recording_splits(data: Recordings, *, seed: int, validation_takes: int = 5) -> Splits:
    """Return log-mel spectrograms (1, 40, 63) of the first second: takes 0 to 4 are the test part.

    Validation is by take, too: it has some of the other takes of every digit and speaker.

    Args:
        data: what `read_recordings` returns.
        seed: decides which takes are held out for validation.
        validation_takes: how many.

    Raises:
        DataError: there are too few takes, or a part is empty.
    """
    check_count("recording_splits", "seed", seed, at_least=0)
    check_count("recording_splits", "validation_takes", validation_takes)
    others = np.unique(data.takes[data.takes >= NUM_TEST_TAKES])
    if len(others) <= validation_takes:
        allowed = f"more than {validation_takes} beside the {NUM_TEST_TAKES} of the test part"
        bad_data(data.name, "takes", allowed, len(others))
    held = others[permutation(np.random.PCG64(seed), len(others))[:validation_takes]]
    is_test, is_held = data.takes < NUM_TEST_TAKES, np.isin(data.takes, held)
    if not is_test.any():
        bad_data(data.name, "takes", f"below {NUM_TEST_TAKES} for the test part, too", "none of these")
    inputs, labels = _spectrograms(data.waves), torch.from_numpy(data.digits)

    def part(chosen: np.ndarray) -> TensorDataset:
        places = torch.from_numpy(np.flatnonzero(chosen))
        return TensorDataset(inputs[places], labels[places])

    shape = tuple(inputs.shape[1:])
    return Splits(part(~is_test & ~is_held), part(is_held), part(is_test), len(_DIGITS), shape)


def _spectrograms(waves: Iterable[Samples]) -> torch.Tensor:
    length = round(RATE * _SECONDS)
    clips = np.stack([np.pad(wave[:length], (0, max(0, length - len(wave)))) for wave in waves])
    return log_mel(torch.from_numpy(clips).float() / 2**15, rate=RATE).unsqueeze(1)


def _files(path: Path) -> dict[str, bytes]:
    """Return name and content of each recording, in the order of names."""
    if not path.is_dir():
        members = read_members(path, suffixes=(".wav",), max_bytes=_MAX_BYTES)
        found = [(PurePosixPath(name), content) for name, content in members]
        return dict(sorted((name.name, content) for name, content in found if name.parent.name == "recordings"))
    try:
        return {file.name: _content(file) for file in sorted(path.glob("*.wav"))}
    except OSError as error:
        unreadable(path, error)


def _content(file: Path) -> bytes:
    with file.open("rb") as stream:
        content = stream.read(_MAX_FILE + 1)
    if len(content) > _MAX_FILE:
        bad_data(file, "file", f"at most {_MAX_FILE} bytes long", "more")
    return content


def _recordings(name: str, path: Path, files: Mapping[str, bytes]) -> Recordings:
    if not files:
        bad_data(path, "recordings", "files DIGIT_SPEAKER_TAKE.wav in a folder recordings", "none")
    waves, parts = [], []
    for file, content in files.items():
        if (found := _NAME.fullmatch(file)) is None:
            bad_data(path, file, "named DIGIT_SPEAKER_TAKE.wav, such as 7_jackson_32.wav", repr(file))
        waves.append(read_wav(content, f"{path}: {file}", rate=RATE))
        parts.append(found.groups())
    digits, speakers, takes = zip(*parts, strict=True)
    return Recordings(name, tuple(waves), _numbers(digits), speakers, _numbers(takes))


def _numbers(digits: tuple[str, ...]) -> Labels:
    return np.array([int(digit) for digit in digits], dtype=np.int64)


def _digest(files: Mapping[str, bytes]) -> str:
    lines = [f"{name} {hashlib.sha256(content).hexdigest()}\n" for name, content in sorted(files.items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def content_sha256(path: Path) -> str:
    """Return the sha256 of the lines ``NAME sha256 of the file`` of all recordings, whatever they are packed in."""
    return _digest(_files(path))


def _read(dataset: DataSet, paths: Mapping[str, Path]) -> Recordings:
    (file,) = dataset.files
    path = paths[file.name]
    files = _files(path)
    recordings = _recordings(dataset.name, path, files)  # first: names a file of another rate, which a digest cannot
    if (digest := _digest(files)) != file.raw_sha256:
        allowed = f"the {dataset.num_train + dataset.num_test} of content {file.raw_sha256}"
        remedy = f"This is another version or a damaged copy; see {dataset.source}."
        bad_data(path, "recordings", allowed, f"{len(files)} of content {digest}", remedy)
    return recordings


_DIGITS = tuple("0123456789")

FSDD = DataSet(
    name="fsdd",
    title="Free Spoken Digit Dataset: six speakers say the digits in English",
    classes=_DIGITS,
    shape=(1, 40, 63),
    num_train=2_700,
    num_test=300,
    licence="CC BY-SA 4.0",
    source="https://github.com/Jakobovski/free-spoken-digit-dataset",
    folder="fsdd",
    files=(
        DataFile(
            "fsdd.tar.xz",
            size=13_500_568,
            sha256="b633fbf40fa6b7f7b239ea91c788a1b2c02bc6a87efc94e20b522f7d2e1fedb5",
            raw_size=21_128_848,
            raw_sha256="dbd573d7cafe79c4b49f65718115e1304e24e067fa39eff18a660dc6cb9c360f",
            other_names=(
                "recordings",
                "free-spoken-digit-dataset/recordings",
                "free-spoken-digit-dataset-master/recordings",
                "free-spoken-digit-dataset-master.zip",
                "free-spoken-digit-dataset-1.0.10.zip",
                "free-spoken-digit-dataset-1.0.10.tar.gz",
            ),
            content_sha256=content_sha256,
        ),
    ),
    read=_read,
)
