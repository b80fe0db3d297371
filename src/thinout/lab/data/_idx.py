"""Read IDX, the format of MNIST and its kin, from raw or gzip files, trusting nothing that a file says of itself.

Format (LeCun, Cortes, Burges, "The MNIST database of handwritten digits"): two zero bytes, one byte for the type
(0x08 = unsigned byte), one for the rank, one big-endian uint32 for each dimension, then the elements in C order.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from thinout.lab.data._types import Bytes, Labels, bad_data, check_labelled, unreadable

MAX_BYTES = 2**30
"""Largest decompressed content that is read where the caller states no other limit: 1 GiB."""

_UNSIGNED_BYTE = 0x08
_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 2**20
_REPLACE = "Replace the file with an undamaged copy, for example by `thinout data fetch`."


def read_idx(
    path: str | os.PathLike[str], *, rank: int, max_bytes: int = MAX_BYTES, sha256: str | None = None
) -> Bytes:
    """Read one IDX file of unsigned bytes; gzip is recognised by its first bytes, not by the name.

    At most one byte more than the header announces is ever decompressed, so that a gzip bomb cannot fill the memory.

    Args:
        path: the file.
        rank: dimensions that the file must have: 1 for labels, 3 for images.
        max_bytes: upper limit of the decompressed content in bytes, header included.
        sha256: if given, the decompressed content must have this checksum.

    Returns:
        A uint8 array of the shape that the header says.

    Raises:
        DataError: the file cannot be read, is cut short, too long, or not such an IDX file.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "labels")
        >>> _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
        >>> read_idx(path, rank=1)
        array([7, 2, 1], dtype=uint8)
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            magic = file.read(len(_GZIP_MAGIC))
            file.seek(0)
            if magic != _GZIP_MAGIC:
                return _read(path, file, rank, max_bytes, sha256)
            with gzip.GzipFile(fileobj=file) as stream:
                return _read(path, cast(BinaryIO, stream), rank, max_bytes, sha256)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        bad_data(path, "file", "a complete gzip file", str(error), _REPLACE)
    except OSError as error:
        unreadable(path, error)


def read_idx_pair(
    images: str | os.PathLike[str], labels: str | os.PathLike[str], *, num_classes: int
) -> tuple[Bytes, Labels]:
    """Read an images file and the labels file that belongs to it.

    Args:
        images: IDX file of rank 3, (N, H, W).
        labels: IDX file of rank 1, (N,).
        num_classes: labels must lie in [0, num_classes).

    Returns:
        Images as uint8 (N, H, W) and labels as int64 (N,).

    Raises:
        DataError: as `read_idx`, or the two files do not fit each other.

    Example:
        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "images").write_bytes(bytes([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 9, 8]))
        >>> _ = (folder / "labels").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 1, 4]))
        >>> images, labels = read_idx_pair(folder / "images", folder / "labels", num_classes=10)
        >>> images.shape, labels
        ((1, 1, 2), array([4]))
    """
    pixels, classes = read_idx(images, rank=3), read_idx(labels, rank=1).astype(np.int64)
    check_labelled(labels, pixels, classes, num_classes)
    return pixels, classes


def _read(path: Path, stream: BinaryIO, rank: int, max_bytes: int, sha256: str | None) -> Bytes:
    header, shape = _read_header(path, stream, rank)
    size = math.prod(shape)
    if len(header) + size > max_bytes:
        bad_data(path, "header", f"of content of at most {max_bytes} bytes", f"{len(header) + size}", _REPLACE)
    content = _read_up_to(stream, size + 1)
    if len(content) < size:
        bad_data(path, "file", f"{size} bytes long after its header", f"{len(content)}: it is cut short", _REPLACE)
    if len(content) > size:
        bad_data(path, "file", f"{size} bytes long after its header", "more", _REPLACE)
    if sha256 is not None:
        _check_content(path, header, content, sha256)
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)


def _read_header(path: Path, stream: BinaryIO, rank: int) -> tuple[bytes, tuple[int, ...]]:
    expected = bytes((0, 0, _UNSIGNED_BYTE, rank))
    magic = bytes(_read_up_to(stream, len(expected)))
    if len(magic) == len(expected) and magic != expected:
        bad_data(
            path, "magic number", f"0x{expected.hex()} (IDX, unsigned bytes, rank {rank})", f"0x{magic.hex()}", _REPLACE
        )
    sizes = bytes(_read_up_to(stream, 4 * rank))
    if len(magic) + len(sizes) < 4 + 4 * rank:
        bad_data(path, "header", f"{4 + 4 * rank} bytes long", f"{len(magic) + len(sizes)}: it is cut short", _REPLACE)
    return magic + sizes, tuple(int(n) for n in np.frombuffer(sizes, dtype=">u4"))


def _read_up_to(stream: BinaryIO, limit: int) -> bytearray:
    # In chunks: a header that lies about its size must not make us reserve that much before any byte is seen.
    content = bytearray()
    while len(content) < limit and (chunk := stream.read(min(_CHUNK, limit - len(content)))):
        content += chunk
    return content


def _check_content(path: Path, header: bytes, content: bytearray, sha256: str) -> None:
    digest = hashlib.sha256(header)
    digest.update(content)
    if digest.hexdigest() != sha256:
        remedy = "This is another file (MNIST and Fashion-MNIST share their file names) or a changed one. " + _REPLACE
        bad_data(path, "content", f"of sha256 {sha256}", digest.hexdigest(), remedy)
