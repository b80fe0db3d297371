"""Read the members of zip and tar archives, trusting nothing that they say of themselves; nothing is ever unpacked."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, cast

from thinout.lab.data._types import bad_data, unreadable

MAX_BYTES = 2**30
"""Most decompressed bytes that are read of an archive where the caller states no other limit: 1 GiB."""

MAX_MEMBERS = 200_000

_REPLACE = "Do not trust this archive; get it anew from its publisher."
_OPENERS: dict[bytes, Callable[[IO[bytes]], IO[bytes]]] = {
    b"\x1f\x8b": lambda file: cast(IO[bytes], gzip.GzipFile(fileobj=file)),
    b"\xfd7": lzma.LZMAFile,
    b"BZ": bz2.BZ2File,
}
_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
)


def read_members(
    path: Path, *, suffixes: tuple[str, ...], max_bytes: int = MAX_BYTES, max_members: int = MAX_MEMBERS
) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the members with some endings, in the order of the archive.

    Args:
        path: a zip file, or a tar file, plain or compressed by gzip, xz or bzip2; told apart by their first bytes.
        suffixes: endings of the names wanted; others are looked at and passed over.
        max_bytes: most decompressed bytes of all members together.
        max_members: most members.

    Raises:
        DataError: the archive cannot be read, is damaged, too large, or holds a link, a device, an absolute path or
            a path that leaves its folder.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(2)
            file.seek(0)
            reader = _read_zip if magic == b"PK" else _read_tar
            yield from reader(path, file, suffixes, max_bytes, max_members)
    except _BROKEN as error:
        bad_data(path, "file", "a complete zip or tar archive", f"{type(error).__name__}: {error}", _REPLACE)
    except OSError as error:  # gzip.BadGzipFile is one, too
        unreadable(path, error)


def _read_zip(
    path: Path, file: IO[bytes], suffixes: tuple[str, ...], max_bytes: int, max_members: int
) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if len(members) > max_members:
            bad_data(path, "archive", f"of at most {max_members} members", len(members), _REPLACE)
        left = max_bytes
        for member in members:
            kind = stat.S_IFMT(member.external_attr >> 16)
            _check_name(path, member.filename, is_plain=kind in (0, stat.S_IFREG, stat.S_IFDIR))
            left -= member.file_size
            _check_left(path, left, max_bytes)
            if not member.is_dir() and member.filename.endswith(suffixes):
                with archive.open(member) as stream:
                    content = stream.read(member.file_size + 1)  # the size is the archive's own word
                if len(content) != member.file_size:
                    bad_data(path, member.filename, f"{member.file_size} bytes long", len(content), _REPLACE)
                yield member.filename, content


def _read_tar(
    path: Path, file: IO[bytes], suffixes: tuple[str, ...], max_bytes: int, max_members: int
) -> Iterator[tuple[str, bytes]]:
    opener = _OPENERS.get(file.read(2))
    file.seek(0)
    plain = opener(file) if opener else file
    # Headers and padding count as well: half a KiB a member, and as much again for the last block of its content.
    limited = _Limited(path, plain, max_bytes + 2**20 + 1024 * max_members)
    with tarfile.open(fileobj=io.BufferedReader(limited), mode="r|") as archive:
        left = max_bytes
        for number, member in enumerate(archive):
            if number >= max_members:
                bad_data(path, "archive", f"of at most {max_members} members", "more", _REPLACE)
            _check_name(path, member.name, is_plain=member.isreg() or member.isdir())
            left -= member.size
            _check_left(path, left, max_bytes)
            if member.isreg() and member.name.endswith(suffixes):
                stream = archive.extractfile(member)
                content = stream.read() if stream is not None else b""
                if len(content) != member.size:
                    bad_data(path, member.name, f"{member.size} bytes long", len(content), _REPLACE)
                yield member.name, content


class _Limited(io.RawIOBase):
    """A stream that refuses to give more than some bytes: headers of a tar file may announce any size."""

    def __init__(self, path: Path, stream: IO[bytes], limit: int) -> None:
        self._path, self._stream, self._left = path, stream, limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # io says Buffer, of Python 3.12
        content = self._stream.read(len(buffer))
        self._left -= len(content)
        if self._left < 0:
            bad_data(self._path, "archive", "of the size that it announces", "more when decompressed", _REPLACE)
        buffer[: len(content)] = content
        return len(content)


def _check_name(path: Path, name: str, *, is_plain: bool) -> None:
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or (parts.parts and parts.parts[0].endswith(":")):
        bad_data(path, "members", "under relative paths inside of the archive", repr(name), _REPLACE)
    if not is_plain:
        bad_data(path, "members", "files and folders", f"the link or device {name!r}", _REPLACE)


def _check_left(path: Path, left: int, max_bytes: int) -> None:
    if left < 0:
        bad_data(path, "archive", f"of at most {max_bytes} bytes when decompressed", "more", _REPLACE)
