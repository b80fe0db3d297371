"""Tiny Shakespeare, and any other text: cut into contiguous parts, and these into sequences of characters."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import TensorDataset

from thinout._checks import check_count
from thinout.lab.data._split import Splits
from thinout.lab.data._types import DataFile, DataSet, Labels, bad_data, read_bytes

SMALL = 200_000
"""Characters of the training part of the small set."""

_MAX_BYTES = 2**26
_ENDS = (0.9, 0.95)  # of the training and the validation part


@dataclass(frozen=True, eq=False)
class Characters:
    """A text as numbers, in three contiguous parts.

    Args:
        name: name for messages.
        alphabet: the characters of the whole text, in order; a number is a place in it.
        train: int64, (N,): the first nine tenths of the text.
        validation: the next twentieth.
        test: the last twentieth.
    """

    name: str
    alphabet: str
    train: Labels
    validation: Labels
    test: Labels


def read_characters(path: Path, *, name: str = "text") -> Characters:
    """Read a text in UTF-8.

    Args:
        path: the file.
        name: of the data set.

    Raises:
        DataError: it cannot be read, is no UTF-8, too large, or has fewer than two different characters.
    """
    return _characters(name, path, read_bytes(path, max_bytes=_MAX_BYTES))


def character_splits(data: Characters, *, length: int = 128) -> Splits:
    """Return sequences of characters, each with its next characters as targets.

    Sequence and targets are int64 (length,); target t is the character behind that of input t. Sequences follow each
    other without overlap, and what is left at the end of a part is dropped.

    Args:
        data: what `read_characters` returns.
        length: characters of a sequence.

    Raises:
        DataError: a part is shorter than one sequence and one character.
    """
    check_count("character_splits", "length", length)

    def part(name: str) -> TensorDataset:
        codes = torch.from_numpy(getattr(data, name))
        num_sequences = (len(codes) - 1) // length
        if num_sequences < 1:
            bad_data(data.name, name, f"at least {length + 1} characters long", len(codes))
        end = num_sequences * length
        return TensorDataset(codes[:end].view(-1, length), codes[1 : end + 1].view(-1, length))

    return Splits(part("train"), part("validation"), part("test"), len(data.alphabet), (length,))


def _characters(name: str, path: Path, content: bytes) -> Characters:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        bad_data(path, "file", "a text in UTF-8", f"byte 0x{content[error.start]:02x} at {error.start}")
    points = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
    alphabet, codes = np.unique(points, return_inverse=True)
    if len(alphabet) < 2:
        bad_data(path, "text", "of at least two different characters", len(alphabet))
    train, validation, test = np.split(codes.astype(np.int64), [int(share * len(codes)) for share in _ENDS])
    return Characters(name, "".join(map(chr, alphabet.tolist())), train, validation, test)


def _read(dataset: DataSet, paths: Mapping[str, Path]) -> Characters:
    (file,) = dataset.files
    content = read_bytes(paths[file.name], max_bytes=_MAX_BYTES)
    if (digest := hashlib.sha256(content).hexdigest()) != file.sha256:
        remedy = f"This is another text or a damaged copy; see {dataset.source}."
        bad_data(paths[file.name], "file", f"of sha256 {file.sha256}", digest, remedy)
    return _characters(dataset.name, paths[file.name], content)


def _read_small(dataset: DataSet, paths: Mapping[str, Path]) -> Characters:
    data = _read(dataset, paths)
    return replace(data, train=data.train[:SMALL])


TINY_SHAKESPEARE = DataSet(
    name="tinyshakespeare",
    title="Tiny Shakespeare: 40,000 lines of plays, character by character",
    classes=tuple("\n !$&',-.3:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
    shape=(),
    num_train=1_003_854,
    num_test=55_770,
    licence="public domain (Shakespeare); the selection is Andrej Karpathy's, who states none",
    source="https://github.com/karpathy/char-rnn/tree/master/data/tinyshakespeare",
    folder="text",
    files=(
        DataFile(
            "tinyshakespeare.txt",
            size=1_115_394,
            sha256="86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
            url="https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
            raw_sha256="86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
            other_names=("tinyshakespeare/input.txt", "input.txt"),
        ),
    ),
    read=_read,
)

TINY_SHAKESPEARE_SMALL = replace(
    TINY_SHAKESPEARE,
    name="tinyshakespeare-small",
    title="Tiny Shakespeare, its first 200,000 characters for training; validation and test as in the full set",
    num_train=SMALL,
    read=_read_small,
)
