"""The SMS Spam Collection: one message a line, ``ham`` or ``spam``, a tab, the text, in UTF-8.

One message in fourteen is a copy of another. Copies stay in one part, or a network could be tested on what it has
learned by heart.
"""

from __future__ import annotations

import codecs
import hashlib
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import TensorDataset

from thinout._checks import check_count
from thinout.lab.data._archive import read_members
from thinout.lab.data._sampling import class_counts, stratified_indices
from thinout.lab.data._split import Splits
from thinout.lab.data._types import DataFile, DataSet, Labels, bad_data, read_bytes

CLASSES = ("ham", "spam")
NUM_BUCKETS = 2**15
MAX_FEATURES = 512
"""Features of a message that are kept; 2 messages in 100 have more."""

_MEMBER = "SMSSpamCollection"
_MAX_BYTES = 2**24
_TEST_SEED = 2012
_TEST_SHARE, _VALIDATION_SHARE = 0.2, 0.1
_WORD = re.compile(r"\w+|[^\w\s]")
_CHARACTERS = (3, 4)  # lengths of the n-grams inside of a text


@dataclass(frozen=True, eq=False)
class Messages:
    """Short messages with a class each.

    Args:
        name: name for messages of errors.
        texts: the messages.
        labels: int64, (N,): 0 for ham, 1 for spam.
    """

    name: str
    texts: tuple[str, ...]
    labels: Labels


def read_messages(path: Path, *, name: str = "sms-spam") -> Messages:
    """Read a file of lines ``LABEL<TAB>TEXT``, or a zip archive with such a file ``SMSSpamCollection`` in it.

    Args:
        path: the file or archive.
        name: of the data set.

    Raises:
        DataError: a line is not so, the file is no UTF-8, or the archive is unsafe; the message gives the line.
    """
    return _messages(name, path, _content(path))


def message_splits(data: Messages, *, seed: int) -> Splits:
    """Return messages as numbers of their n-grams, int64 (512,): a fixed stratified fifth is the test part.

    Equal texts are in one part. Each part has the same share of spam among its different texts.

    Args:
        data: what `read_messages` returns.
        seed: decides which tenth is held out for validation.

    Raises:
        DataError: there are too few texts of a class, or one text has both labels.
    """
    check_count("message_splits", "seed", seed, at_least=0)
    places: dict[str, list[int]] = {}
    for place, text in enumerate(data.texts):
        places.setdefault(text, []).append(place)
    copies = list(places.values())
    labels = _labels_of_texts(data, copies)
    test = _stratified(data.name, labels, np.arange(len(copies)), _TEST_SHARE, _TEST_SEED)
    others = np.setdiff1d(np.arange(len(copies)), test)
    held = _stratified(data.name, labels, others, _VALIDATION_SHARE, seed)
    train = np.setdiff1d(others, held)
    features = torch.tensor([ngram_numbers(text) for text in data.texts], dtype=torch.int64)

    def part(chosen: np.ndarray) -> TensorDataset:
        rows = torch.tensor(sorted(place for text in chosen for place in copies[text]))
        return TensorDataset(features[rows], torch.from_numpy(data.labels)[rows])

    return Splits(part(train), part(held), part(test), len(CLASSES), (MAX_FEATURES,))


def ngram_numbers(text: str) -> list[int]:
    """Return the numbers of a text's n-grams in [1, 2**15), filled up with zeros to 512.

    N-grams are words, pairs of words, and 3 and 4 characters in sequence; digits all count as one. A number is the
    CRC-32 of an n-gram: the same on every machine, with no vocabulary that would have to be learned or kept. Two
    n-grams may share a number.

    Example:
        >>> sum(number > 0 for number in ngram_numbers("Hi 5"))  # 2 words, a pair, 4 of 3 and 3 of 4 characters
        10

    Source: Weinberger et al. 2009, arXiv 0902.2206 (hashing); Joulin et al. 2017, arXiv 1607.01759 (bags of n-grams).
    """
    numbers = [1 + zlib.crc32(ngram.encode()) % (NUM_BUCKETS - 1) for ngram in _ngrams(text)][:MAX_FEATURES]
    return numbers + [0] * (MAX_FEATURES - len(numbers))


def _ngrams(text: str) -> Iterator[str]:
    plain = re.sub(r"\d", "0", text)
    words = _WORD.findall(plain.lower())
    yield from (f"w {word}" for word in words)
    yield from (f"p {first} {second}" for first, second in pairwise(words))
    framed = f" {plain} "
    for length in _CHARACTERS:
        yield from (f"c {framed[start : start + length]}" for start in range(len(framed) - length + 1))


def _labels_of_texts(data: Messages, copies: Iterable[list[int]]) -> Labels:
    labels = [np.unique(data.labels[places]) for places in copies]
    if torn := [places[0] for places, found in zip(copies, labels, strict=True) if len(found) > 1]:
        bad_data(data.name, "labels", "the same for equal texts", f"both for the text of message {torn[0] + 1}")
    return np.array([found[0] for found in labels], dtype=np.int64)


def _stratified(name: str, labels: Labels, among: Labels, share: float, seed: int) -> Labels:
    found = class_counts(labels[among])
    counts = {label: max(round(count * share), 1) for label, count in found.items()}
    few = min(found.get(label, 0) for label in range(len(CLASSES)))
    if few < 2:
        bad_data(name, "messages", "of at least 3 different texts of ham and of spam", f"{few} left of the rarer")
    return among[np.sort(stratified_indices(labels[among], counts, np.random.PCG64(seed)))]


def _content(path: Path) -> bytes:
    if zipfile.is_zipfile(path):
        found = [content for _, content in read_members(path, suffixes=(_MEMBER,), max_bytes=_MAX_BYTES)]
        if len(found) != 1:
            bad_data(path, "archive", f"with one file {_MEMBER}", len(found))
        return found[0]
    return read_bytes(path, max_bytes=_MAX_BYTES)


def _messages(name: str, path: Path, content: bytes) -> Messages:
    try:
        text = content.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        number = error.object.count(b"\n", 0, error.start) + 1
        bad_data(path, f"line {number}", "in UTF-8", f"byte 0x{error.object[error.start]:02x}")
    lines = text.removesuffix("\n").split("\n") if text else []
    texts, labels = [], []
    for number, line in enumerate(lines, 1):
        label, tab, message = line.removesuffix("\r").partition("\t")
        if label not in CLASSES or not tab or not message:
            bad_data(path, f"line {number}", "ham or spam, a tab and a text", repr(line[:40]))
        texts.append(message)
        labels.append(CLASSES.index(label))
    if not texts:
        bad_data(path, "file", "of at least one line", "none")
    return Messages(name, tuple(texts), np.array(labels, dtype=np.int64))


def content_sha256(path: Path) -> str:
    """Return the sha256 of the messages' file, packed or not."""
    return hashlib.sha256(_content(path)).hexdigest()


def _read(dataset: DataSet, paths: Mapping[str, Path]) -> Messages:
    (file,) = dataset.files
    path = paths[file.name]
    content = _content(path)
    if (digest := hashlib.sha256(content).hexdigest()) != file.raw_sha256:
        remedy = f"This is another version or a damaged copy; see {dataset.source}."
        bad_data(path, "content", f"of sha256 {file.raw_sha256}", digest, remedy)
    return _messages(dataset.name, path, content)


SMS_SPAM = DataSet(
    name="sms-spam",
    title="SMS Spam Collection: short messages in English, wanted or not",
    classes=CLASSES,
    shape=(MAX_FEATURES,),
    num_train=4_465,
    num_test=1_109,
    licence="CC BY 4.0 (Almeida, Hidalgo, by UCI)",
    source="https://archive.ics.uci.edu/dataset/228/sms+spam+collection",
    folder="text",
    files=(
        DataFile(
            "sms+spam+collection.zip",
            size=203_415,
            sha256="1587ea43e58e82b14ff1f5425c88e17f8496bfcdb67a583dbff9eefaf9963ce3",
            url="https://archive.ics.uci.edu/static/public/228/sms+spam+collection.zip",
            raw_size=477_907,
            raw_sha256="7d039a24a6083ed9ef0f806ebad56bbb976e3aeb8de05669173bfdc4996c239d",
            other_names=("smsspamcollection.zip", "SMSSpamCollection", "sms-spam.tsv"),
            content_sha256=content_sha256,
        ),
    ),
    read=_read,
)
