"""Read the members of zip and tar archives, trusting nothing that they say of themselves; nothing is ever unpacked."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import posixpath
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NoReturn

from thinout.lab.data._types import bad_data, unreadable

MAX_BYTES = 2**30
"""Most decompressed bytes of an archive where the caller states no other limit: 1 GiB."""

MAX_MEMBERS = 200_000

_XZ_MEMORY = 2**27  # an xz file may ask for 4 GiB of dictionary; `xz -9` asks for 64 MiB
_CHUNK = 2**16
_ZEROS = bytes(tarfile.BLOCKSIZE)  # two such blocks end a tar file
_REPLACE = "Do not trust this archive; get it anew from its publisher."
_ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_OF_A_NAME = (
    tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE,
)  # fmt: skip
_LONGEST_HEADER = 2**16
_BROKEN = (
    zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, gzip.BadGzipFile,
    # What else Python's readers let through of a damaged header: a name that is no UTF-8, a version not known.
    ValueError, NotImplementedError, struct.error, OverflowError,
    RecursionError,  # tarfile calls itself for what follows a long name
)  # fmt: skip


def read_members(
    path: Path,
    *,
    suffixes: tuple[str, ...],
    wanted: Callable[[str], bool] | None = None,
    max_bytes: int = MAX_BYTES,
    max_members: int = MAX_MEMBERS,
) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the regular files that are wanted, in the order of the archive.

    Every member is looked at, also where it is not asked for. The sizes that members announce count against
    `max_bytes`, and so do the bytes that come out of a tar file's decompression, headers and padding included (up to
    1.5 KiB a member): neither a lie nor a bomb can fill the memory.

    Args:
        path: a zip file (stored or deflated), or a tar file, plain or compressed by gzip, xz or bzip2; told apart by
            the first bytes.
        suffixes: endings of the names wanted; others are passed over, and so is what a Mac adds as ``._NAME``.
        wanted: says of a name with such an ending whether it is wanted; None is always. Of a zip file what is not
            wanted is not decompressed.
        max_bytes: most decompressed bytes of all members together.
        max_members: most members, folders included.

    Raises:
        DataError: the archive cannot be read, is damaged, cut short (a tar file that ends without its two blocks of
            zeros is) or too large, or holds a link, a device, a sparse or
            encrypted file, a name twice, an absolute path or a path that leaves its folder.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
            file.seek(0)
            members = _Members(path, max_bytes, max_members)
            read = _read_zip if magic in _ZIP_MAGIC else _read_tar
            yield from read(members, file, lambda name: _is_named(name, suffixes) and (wanted is None or wanted(name)))
    except _BROKEN as error:
        bad_data(path, "file", "a complete zip or tar archive", f"{type(error).__name__}: {error}", _REPLACE)
    except OSError as error:
        if error.errno is None:  # not the system's: bz2 says so where a file is damaged
            bad_data(path, "file", "a complete zip or tar archive", error, _REPLACE)
        unreadable(path, error)


class _Members:
    """The members seen so far, held against the limits."""

    def __init__(self, path: Path, max_bytes: int, max_members: int) -> None:
        self.path, self.max_bytes, self.max_members = path, max_bytes, max_members
        self._left, self._names = max_bytes, set[str]()

    def check(self, name: str, size: int, kind: str | None) -> None:
        """Raise unless a member may be here; `kind` names what it is if it is neither file nor folder."""
        if _leaves(name):
            self.refuse("members", "under relative paths inside of the archive", repr(name))
        if kind is not None:
            self.refuse("members", "plain files and folders", f"the {kind} {name!r}")
        if (plain := posixpath.normpath(name)) in self._names:
            self.refuse("members", "under names of their own", f"{name!r} twice")
        self._names.add(plain)
        if len(self._names) > self.max_members:
            self.refuse("archive", f"of at most {self.max_members} members", "more")
        self._left -= size
        if size < 0 or self._left < 0:
            self.refuse_size()

    def content(self, name: str, content: bytes, size: int) -> bytes:
        """Return a member's content, or raise if it has not the announced length."""
        if len(content) != size:
            self.refuse(name, f"{size} bytes long", len(content))
        return content

    def refuse_size(self) -> NoReturn:
        """Raise for an archive that is too large."""
        self.refuse("archive", f"of at most {self.max_bytes} bytes when decompressed", "more")

    def refuse(self, name: str, allowed: str, got: object) -> NoReturn:
        """Raise for this archive."""
        bad_data(self.path, name, allowed, got, _REPLACE)


def _is_named(name: str, suffixes: tuple[str, ...]) -> bool:
    return name.endswith(suffixes) and not posixpath.basename(name).startswith("._")


def _leaves(name: str) -> bool:
    plain = name.replace("\\", "/")
    return (
        not plain or plain.startswith("/") or ".." in plain.split("/") or re.search(r"^[A-Za-z]:|\0", plain) is not None
    )


def _read_zip(members: _Members, file: IO[bytes], wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        for entry in entries:  # all of them, before a byte of the first is decompressed
            # The name as it is written: zipfile itself cuts what it reads at a zero byte.
            members.check(entry.orig_filename, entry.file_size, _zip_kind(entry))
        for entry in entries:
            if entry.is_dir() or not wanted(entry.filename):
                continue
            with archive.open(entry) as stream:
                # With a number, or zipfile decompresses what there is before it cuts; it checks the CRC at the end.
                yield entry.filename, members.content(entry.filename, stream.read(entry.file_size + 1), entry.file_size)


def _zip_kind(entry: zipfile.ZipInfo) -> str | None:
    kind = stat.S_IFMT(entry.external_attr >> 16)  # 0 where the archive was made on a system without such kinds
    if kind == stat.S_IFLNK:
        return "link"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "device"
    if entry.flag_bits & _ENCRYPTED:
        return "encrypted file"
    return None if entry.compress_type in _ZIP_METHODS else "file of another compression than deflate"


def _read_tar(members: _Members, file: IO[bytes], wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    # As a stream ("r|"), in which no header can send the reader to another place. At the end tar pads to 10 KiB.
    limit = members.max_bytes + 3 * 512 * members.max_members + 2 * 10_240
    content = _Limited(members, _decompressed(file), limit)
    with tarfile.open(fileobj=content, mode="r|", tarinfo=_Header) as archive:  # type: ignore[call-overload]  # it needs `read` alone
        for entry in archive:
            members.check(entry.name, entry.size, _tar_kind(entry))
            if entry.isreg() and wanted(entry.name):
                stream = archive.extractfile(entry)
                yield entry.name, members.content(entry.name, stream.read() if stream else b"", entry.size)
            archive.members = []  # else it keeps every header
        if archive.fileobj.read(tarfile.BLOCKSIZE) != _ZEROS:  # the first such block has ended the loop
            raise EOFError("it is cut short")
    while content.read(_CHUNK):  # to the end, where gzip and xz have the checksum of what was read
        pass


class _Header(tarfile.TarInfo):
    """The header of a member. Left to itself tarfile takes a damaged one, and the end of the file, for the last."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        """Return the header that a block holds."""
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if buf == _ZEROS:
                raise
            got = "it is cut short" if len(buf) < tarfile.BLOCKSIZE else str(error)
            raise tarfile.ReadError(got) from None
        if header.type in _OF_A_NAME and header.size > _LONGEST_HEADER:  # tarfile takes all of it into memory
            raise tarfile.ReadError(f"a header of {header.size} bytes")
        return header


def _tar_kind(entry: tarfile.TarInfo) -> str | None:
    if entry.issym() or entry.islnk():
        return "link"
    if entry.issparse():  # its size is that of the holes, which no byte stands for
        return "sparse file"
    return None if entry.isreg() or entry.isdir() else "device"


def _decompressed(file: IO[bytes]) -> IO[bytes] | _Xz:
    magic = file.read(6)
    file.seek(0)
    if magic.startswith(b"\x1f\x8b"):
        return gzip.open(file)  # type: ignore[return-value]  # a GzipFile has `read`
    if magic.startswith(b"BZh"):
        return bz2.open(file)
    return _Xz(file) if magic == b"\xfd7zXZ\0" else file


class _Xz:
    """The content of an xz file; unlike `lzma.open` with a limit of the memory that the file may ask for."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._rest, self._decoder = file, b"", _xz_decoder()

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes; none at the end."""
        while not self._decoder.eof or self._follows():
            data = b""
            if self._decoder.needs_input:
                data, self._rest = self._rest or self._file.read(_CHUNK), b""
                if not data:
                    raise EOFError("it is cut short")
            if content := self._decoder.decompress(data, size):
                return content
        return b""

    def _follows(self) -> bool:
        """Go on to the stream that follows, if one does (pxz writes many); zeros may lie between."""
        rest = self._decoder.unused_data.lstrip(b"\0")
        while not rest:
            if not (data := self._file.read(_CHUNK)):
                return False
            rest = data.lstrip(b"\0")
        self._rest, self._decoder = rest, _xz_decoder()
        return True


def _xz_decoder() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)


class _Limited:
    """A stream that refuses to give more than some bytes: headers of a tar file may announce any size."""

    def __init__(self, members: _Members, stream: IO[bytes] | _Xz, limit: int) -> None:
        self._members, self._stream, self._left = members, stream, limit

    def read(self, size: int = io.DEFAULT_BUFFER_SIZE) -> bytes:
        """Return at most `size` bytes."""
        content = self._stream.read(size)
        self._left -= len(content)
        if self._left < 0:
            self._members.refuse_size()
        return content
