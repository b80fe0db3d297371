"""Messages and characters: the official layouts, what is refused, and that no text is in two parts."""

from __future__ import annotations

import io
import os
import re
import stat
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from thinout.lab import data
from thinout.lab.data import (
    Characters,
    DataError,
    Messages,
    character_splits,
    message_splits,
    read_characters,
    read_messages,
)
from thinout.lab.data._sms import ngram_numbers

LINES = "ham\tSee you at 5, ok?\nspam\tWIN £1000 now\tcall 0900\nham\tSee you at 5, ok?\n"


def written(folder: Path, content: bytes, name: str = "SMSSpamCollection") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def zipped(files: dict[str, bytes], *, mode: int = 0) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("packed", [False, True])
def test_messages_are_read_packed_and_plain(tmp_path: Path, packed: bool, end: str) -> None:
    content = LINES.replace("\n", end).encode()
    path = written(tmp_path, zipped({"SMSSpamCollection": content, "readme": b"words"}) if packed else content)
    found = read_messages(path)
    assert found.texts == ("See you at 5, ok?", "WIN £1000 now\tcall 0900", "See you at 5, ok?")
    assert found.labels.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "`file` must be of at least one line, got none"),
        (b"ham\tgood\nspan\tbad\n", "`line 2` must be ham or spam, a tab and a text, got 'span"),
        (b"ham\tgood\nham bad\n", "`line 2`"),
        (b"ham\tgood\n\nham\tgood\n", "`line 2`"),
        (b"ham\t\n", "`line 1`"),
        ("ham\tgood\nham\t£5\n".encode("latin-1"), "`line 2` must be in UTF-8, got byte 0xa3"),
        ("\ufeffham\tgood\n".encode() + b"ham\t5\n\xa3\n", "`line 3` must be in UTF-8, got byte 0xa3"),
        ("ham\tgood\n\ufeffham\tgood\n".encode(), "`line 2`"),
        (zipped({"other": b"ham\tgood\n"}), "with one file SMSSpamCollection, got 0"),
        (zipped({"../SMSSpamCollection": b"ham\tgood\n"}), "relative paths inside"),
        (zipped({"SMSSpamCollection": b"/etc/passwd"}, mode=stat.S_IFLNK), "got the link"),
        (zipped({"SMSSpamCollection": bytes(2**24 + 1)}), "at most 16777216 bytes when decompressed"),
        (bytes(2**24 + 1), "at most 16777216 bytes long"),
    ],
)
def test_a_bad_file_is_one_sentence_with_its_line(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(DataError, match=re.escape(sentence)) as caught:
        read_messages(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_mark_of_utf_8_before_the_first_line_is_no_part_of_it(tmp_path: Path) -> None:
    assert read_messages(written(tmp_path, b"\xef\xbb\xbf" + LINES.encode())).labels.tolist() == [0, 1, 0]


def made(num_ham: int = 80, num_spam: int = 20, copies: int = 2) -> Messages:
    """Messages that each occur `copies` times."""
    texts = [f"see you at {'x' * number}" for number in range(num_ham)]
    texts += [f"win a prize {'y' * number}" for number in range(num_spam)]
    return Messages("made", tuple(texts * copies), np.array(([0] * num_ham + [1] * num_spam) * copies, np.int64))


def rows(part: torch.utils.data.TensorDataset) -> set[tuple[int, ...]]:
    return set(map(tuple, part.tensors[0].tolist()))


def test_no_text_is_in_two_parts_and_each_has_its_share_of_spam() -> None:
    splits = message_splits(made(), seed=0)
    parts = (splits.train, splits.validation, splits.test)
    assert [len(part) for part in parts] == [2 * 72, 2 * 8, 2 * 20]
    assert [int(part.tensors[1].sum()) for part in parts] == [2 * 14, 2 * 2, 2 * 4]
    assert [len(rows(part)) for part in parts] == [72, 8, 20]
    assert len(rows(parts[0]) | rows(parts[1]) | rows(parts[2])) == 100


def test_the_seed_moves_validation_alone() -> None:
    first, again, other = (message_splits(made(), seed=seed) for seed in (0, 0, 1))
    assert rows(first.validation) == rows(again.validation) != rows(other.validation)
    assert torch.equal(first.test.tensors[0], other.test.tensors[0])


def test_one_text_with_two_labels_is_an_error() -> None:
    torn = Messages("made", ("a", "b", "a"), np.array([0, 1, 1], np.int64))
    with pytest.raises(DataError, match="both for the text of message 1"):
        message_splits(torn, seed=0)


@pytest.mark.parametrize(
    ("num_ham", "num_spam", "left"),
    [(80, 0, 0), (0, 80, 0), (80, 1, 1), (80, 2, 1)],  # of 2 texts one goes to the test part
)
def test_too_few_messages_of_a_class_are_an_error(num_ham: int, num_spam: int, left: int) -> None:
    with pytest.raises(DataError, match=f"at least 3 different texts of ham and of spam, got {left} left of the rarer"):
        message_splits(made(num_ham, num_spam), seed=0)


def test_numbers_are_the_crc_of_words_pairs_and_characters() -> None:
    # By zlib.crc32 of "w hi", "w 0", "p hi 0" and of the 3 and 4 characters in sequence of " Hi 0 ".
    ngrams = ["w hi", "w 0", "p hi 0", "c  Hi", "c Hi ", "c i 0", "c  0 ", "c  Hi ", "c Hi 0", "c i 0 "]
    expected = [1 + zlib.crc32(ngram.encode()) % 32_767 for ngram in ngrams]
    assert ngram_numbers("Hi 7") == expected + [0] * (512 - len(expected))


def test_numbers_of_any_text_have_one_length_and_range() -> None:
    for text in ("", "é", "long " * 500, "\U0001f600", "1234567890"):
        numbers = ngram_numbers(text)
        assert len(numbers) == 512
        assert 0 <= min(numbers) <= max(numbers) < 2**15


def test_a_text_is_cut_into_contiguous_parts(tmp_path: Path) -> None:
    text = "".join("abc"[number % 3] for number in range(1000)) + "é"
    found = read_characters(written(tmp_path, text.encode()))
    assert found.alphabet == "abcé"
    assert [len(part) for part in (found.train, found.validation, found.test)] == [900, 50, 51]
    joined = np.concatenate([found.train, found.validation, found.test])
    assert "".join(found.alphabet[code] for code in joined) == text


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "at least two different characters, got 0"),
        (b"aaaa", "at least two different characters, got 1"),
        ("naïve".encode("latin-1"), "a text in UTF-8, got byte 0xef at 2"),
        (bytes(2**26 + 1), "at most 67108864 bytes long"),
    ],
)
def test_a_text_that_cannot_be_used_is_one_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        read_characters(written(tmp_path, content))


def numbered(train: int, rest: int = 20) -> Characters:
    parts = np.split(np.arange(train + 2 * rest), [train, train + rest])
    return Characters("made", "".join(map(chr, range(65, 65 + train + 2 * rest))), *parts)


def test_targets_are_the_next_characters_across_sequences() -> None:
    splits = character_splits(numbered(50), length=8)
    inputs, targets = splits.train.tensors
    assert inputs.flatten().tolist() == list(range(48))
    assert targets.flatten().tolist() == list(range(1, 49))
    assert (splits.num_classes, splits.shape) == (90, (8,))
    assert splits.test.tensors[0].flatten().tolist() == list(range(70, 86))  # no character of validation


@pytest.mark.parametrize(("train", "num"), [(8, None), (9, 1), (16, 1), (17, 2)])
def test_a_part_needs_one_character_more_than_a_sequence(train: int, num: int | None) -> None:
    if num is None:
        with pytest.raises(DataError, match="`train` must be at least 9 characters long, got 8"):
            character_splits(numbered(train), length=8)
    else:
        assert len(character_splits(numbered(train), length=8).train) == num


@pytest.mark.parametrize(("name", "file"), [("sms-spam", "SMSSpamCollection"), ("tinyshakespeare", "input.txt")])
def test_another_content_under_a_known_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, file: str
) -> None:
    monkeypatch.setenv("THINOUT_DATA", str(tmp_path))
    monkeypatch.setenv("THINOUT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "text").mkdir()
    with pytest.raises(DataError, match=rf"`files` must be in .*Get it with `thinout data fetch {name}`"):
        data.load(name)
    written(tmp_path / "text", LINES.encode(), file)
    assert [check.state for check in data.check(name)] == ["differs"]
    with pytest.raises(DataError, match="of sha256"):
        data.load(name)


def pairs(messages: Messages) -> list[tuple[str, int]]:
    return list(zip(messages.texts, messages.labels.tolist(), strict=True))


@pytest.mark.data
@pytest.mark.skipif("THINOUT_DATA" not in os.environ, reason="THINOUT_DATA is not set")
class TestFullSets:
    """Against the published counts: Almeida, Hidalgo, Yamakami 2011, DocEng; Karpathy 2015."""

    def test_messages(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        real = data.load("sms-spam")
        assert np.bincount(real.labels).tolist() == [4827, 747]
        splits = message_splits(real, seed=0)
        parts = (splits.train, splits.validation, splits.test)
        known = data.describe("sms-spam")
        assert [len(parts[0]) + len(parts[1]), len(parts[2])] == [known.num_train, known.num_test]
        shares = [part.tensors[1].double().mean().item() for part in parts]
        assert max(shares) - min(shares) < 0.01
        lines = [f"{data.describe('sms-spam').classes[label]}\t{text}\n" for text, label in pairs(real)]
        (tmp_path / "text").mkdir()
        packed = zipped({"SMSSpamCollection": "".join(lines).encode(), "readme": b"?"})
        written(tmp_path / "text", packed, "smsspamcollection.zip")
        monkeypatch.setenv("THINOUT_DATA", str(tmp_path))
        assert [check.state for check in data.check("sms-spam")] == ["ok"]
        assert data.load("sms-spam").texts == real.texts

    def test_characters(self) -> None:
        real, small = data.load("tinyshakespeare"), data.load("tinyshakespeare-small")
        assert tuple(real.alphabet) == data.describe("tinyshakespeare").classes
        assert [len(part) for part in (real.train, real.validation, real.test)] == [1_003_854, 55_770, 55_770]
        assert len(small.train) == 200_000
        np.testing.assert_array_equal(small.train, real.train[:200_000])
        np.testing.assert_array_equal(small.test, real.test)
