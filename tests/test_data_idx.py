"""IDX files: what is read, and that nothing a file says of itself is trusted."""

from __future__ import annotations

import gzip
import hashlib
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinout.lab.data import DataError, read_idx, read_idx_pair

PIXELS = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


def idx(array: np.ndarray, *, magic: bytes = b"", shape: tuple[int, ...] | None = None) -> bytes:
    """Write IDX by hand; `magic` and `shape` let the header lie."""
    sizes = array.shape if shape is None else shape
    return (magic or bytes((0, 0, 8, array.ndim))) + struct.pack(f">{len(sizes)}I", *sizes) + array.tobytes()


def written(folder: Path, content: bytes, name: str = "file") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", ["images", "images.gz"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["raw", "gzip"])
def test_reads_raw_and_gzip_whatever_the_name(tmp_path: Path, name: str, pack) -> None:
    path = written(tmp_path, pack(idx(PIXELS)), name)
    np.testing.assert_array_equal(read_idx(path, rank=3), PIXELS)


def test_pair_gives_images_and_whole_number_labels(tmp_path: Path) -> None:
    images = written(tmp_path, idx(PIXELS), "images")
    labels = written(tmp_path, idx(np.array([1, 0], np.uint8)), "labels")
    pixels, classes = read_idx_pair(images, labels, num_classes=2)
    np.testing.assert_array_equal(pixels, PIXELS)
    assert classes.tolist() == [1, 0]
    assert classes.dtype == np.int64


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["raw", "gzip"])
def test_cut_short_at_any_byte(tmp_path: Path, pack) -> None:
    whole = pack(idx(PIXELS))
    for length in range(len(whole)):
        with pytest.raises(DataError):
            read_idx(written(tmp_path, whole[:length]), rank=3)


def test_any_flipped_bit_of_a_gzip_file_is_noticed_or_harmless(tmp_path: Path) -> None:
    whole = gzip.compress(idx(PIXELS), mtime=0)
    noticed = 0
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        try:  # a flip in the time stamp or the like changes no pixel
            np.testing.assert_array_equal(read_idx(written(tmp_path, bytes(damaged)), rank=3), PIXELS)
        except DataError:
            noticed += 1
    assert noticed >= 8 * (len(whole) - 10)  # all but (parts of) the ten bytes of the gzip header


BAD_FILES = {
    "empty": (b"", "cut short"),
    "wrong type": (idx(PIXELS, magic=b"\0\0\x0d\3"), "magic number.*0x00000803.*0x00000d03"),
    "wrong rank": (idx(PIXELS[0]), "magic number"),
    "a text file": (b"<html>not found</html>", "magic number"),
    "one byte too few": (idx(PIXELS)[:-1], "24 bytes long.*23: it is cut short"),
    "one byte too many": (idx(PIXELS) + b"\0", "24 bytes long.*got more"),
    "a third image in the header": (idx(PIXELS, shape=(3, 3, 4)), "36 bytes long.*24: it is cut short"),
    "sizes beyond every limit": (idx(PIXELS, shape=(2**32 - 1,) * 3), "at most 1073741824 bytes"),
    "gzip in gzip": (gzip.compress(gzip.compress(idx(PIXELS))), "magic number"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_file_is_one_sentence_with_its_path(tmp_path: Path, case: str) -> None:
    content, expected = BAD_FILES[case]
    path = written(tmp_path, content)
    with pytest.raises(DataError, match=expected) as caught:
        read_idx(path, rank=3)
    assert str(caught.value).startswith(f"{path}: `")
    assert "Replace the file" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("make", [lambda path: None, Path.mkdir], ids=["absent", "folder"])
def test_unreadable_path(tmp_path: Path, make) -> None:
    path = tmp_path / "nothing"
    make(path)
    with pytest.raises(DataError, match="readable"):
        read_idx(path, rank=3)


@pytest.mark.parametrize("announced", [16, 2**29], ids=["small header, huge content", "huge header, small content"])
def test_memory_stays_small_for_a_lying_header(tmp_path: Path, announced: int) -> None:
    content = bytes(2**26) if announced == 16 else bytes(16)
    path = written(tmp_path, gzip.compress(idx(np.frombuffer(content, np.uint8), shape=(announced,)), compresslevel=1))
    del content
    tracemalloc.start()
    try:
        with pytest.raises(DataError):
            read_idx(path, rank=1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**23  # 8 MiB, where 64 and 512 MiB were claimed


def test_limit_of_the_caller_counts_the_header(tmp_path: Path) -> None:
    path = written(tmp_path, idx(PIXELS))
    assert read_idx(path, rank=3, max_bytes=40).shape == (2, 3, 4)
    with pytest.raises(DataError, match="at most 39 bytes, got 40"):
        read_idx(path, rank=3, max_bytes=39)


def test_checksum_is_of_the_decompressed_content(tmp_path: Path) -> None:
    right = hashlib.sha256(idx(PIXELS)).hexdigest()
    path = written(tmp_path, gzip.compress(idx(PIXELS)))
    assert read_idx(path, rank=3, sha256=right).shape == (2, 3, 4)
    path = written(tmp_path, gzip.compress(idx(PIXELS[::-1].copy())))
    with pytest.raises(DataError, match=right):
        read_idx(path, rank=3, sha256=right)


@pytest.mark.parametrize(
    ("images", "labels", "expected"),
    [
        (PIXELS, [0], "as many as the 2 images, got 1"),
        (PIXELS, [0, 2], r"in \[0, 1\] for 2 classes, got 0 to 2"),
        (PIXELS[:0], [], "at least one image"),
    ],
)
def test_files_that_do_not_fit_each_other(tmp_path: Path, images: np.ndarray, labels: list[int], expected: str) -> None:
    first = written(tmp_path, idx(images), "images")
    second = written(tmp_path, idx(np.array(labels, np.uint8)), "labels")
    with pytest.raises(DataError, match=expected):
        read_idx_pair(first, second, num_classes=2)


@given(content=st.binary(max_size=200), zipped=st.booleans(), idx_like=st.booleans())
def test_arbitrary_bytes_give_an_array_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, zipped: bool, idx_like: bool
) -> None:
    content = b"\0\0\x08\x01" + content if idx_like else content
    path = written(tmp_path_factory.getbasetemp(), gzip.compress(content) if zipped else content)
    try:
        array = read_idx(path, rank=1)
    except DataError:
        return
    assert content == idx(array)
