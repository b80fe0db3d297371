"""Archives: what is read, and that neither names, kinds, sizes nor compression of an archive are trusted."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import struct
import tarfile
import tracemalloc
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinout.lab.data import DataError
from thinout.lab.data._archive import read_members

FILES = {"set/a.wav": b"first", "set/b.wav": b"", "set/readme.txt": b"words", "set/deep/c.wav": bytes(3000)}
WAVS = [(name, content) for name, content in FILES.items() if name.endswith(".wav")]


def tar_of(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def info(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.size, made.type, made.linkname = size, kind, target
    return made


def good_tar(form: int = tarfile.PAX_FORMAT) -> bytes:
    files = [(info(name, len(content)), content) for name, content in FILES.items()]
    return tar_of((info("set", kind=tarfile.DIRTYPE), b""), *files, form=form)


def zip_of(files: dict[str, bytes], *, method: int = zipfile.ZIP_DEFLATED, mode: int = stat.S_IFREG | 0o644) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr, entry.compress_type = mode << 16, method
            archive.writestr(entry, content)
    return buffer.getvalue()


def written(folder: Path, content: bytes) -> Path:
    path = folder / "archive"
    path.write_bytes(content)
    return path


def read(folder: Path, content: bytes, **limits: int) -> list[tuple[str, bytes]]:
    return list(read_members(written(folder, content), suffixes=(".wav",), **limits))


GOOD = {
    "tar": good_tar(),
    "old tar": good_tar(tarfile.USTAR_FORMAT),
    "gnu tar": good_tar(tarfile.GNU_FORMAT),
    "tar.gz": gzip.compress(good_tar()),
    "tar.xz": lzma.compress(good_tar()),
    "tar.bz2": bz2.compress(good_tar()),
    "zip": zip_of(FILES),
    "stored zip": zip_of(FILES, method=zipfile.ZIP_STORED),
    "zip of a system without kinds": zip_of(FILES, mode=0),
}


@pytest.mark.parametrize("kind", GOOD)
def test_files_of_the_endings_come_in_the_order_of_the_archive(tmp_path: Path, kind: str) -> None:
    assert read(tmp_path, GOOD[kind]) == WAVS


@pytest.mark.parametrize("kind", ["tar.gz", "tar.xz", "tar.bz2", "zip", "tar"])
def test_an_archive_cut_short_is_an_error_or_whole(tmp_path: Path, kind: str) -> None:
    whole, errors = GOOD[kind], 0
    for length in range(0, len(whole), max(1, len(whole) // 150)):
        try:
            got = read(tmp_path, whole[:length])
        except DataError:
            errors += 1
            continue
        assert got == WAVS  # the padding alone is missing
    assert errors > 20


BLOCKS = [(f"{name}.wav", name.encode() * 512) for name in "abcd"]
FOUR = tar_of(*((info(name, 512), content) for name, content in BLOCKS), form=tarfile.USTAR_FORMAT)
# Block 2 k is the header of member k, block 2 k + 1 its content, blocks 8 and 9 are the two of zeros.
PACKS = {"tar": bytes, "tar.gz": gzip.compress, "tar.xz": lzma.compress, "tar.bz2": bz2.compress}


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize("length", [512, 2 * 512, 4 * 512, 4 * 512 + 100, 5 * 512, 8 * 512, 9 * 512, 10 * 512 - 1])
def test_a_tar_file_without_its_end_is_cut_short(tmp_path: Path, pack: str, length: int) -> None:
    assert read(tmp_path, PACKS[pack](FOUR[: 10 * 512])) == BLOCKS
    with pytest.raises(DataError, match=r"a complete zip or tar archive, got .*(cut short|unexpected end of data)"):
        read(tmp_path, PACKS[pack](FOUR[:length]))


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize("header", range(4))
def test_a_changed_bit_in_any_header_of_a_tar_file_is_an_error(tmp_path: Path, pack: str, header: int) -> None:
    content = bytearray(FOUR)
    content[2 * header * 512 + 5] ^= 1
    with pytest.raises(DataError, match="bad checksum"):
        read(tmp_path, PACKS[pack](content))


NOISE = np.random.default_rng(0).bytes(200_000)  # not to be compressed: it stands in the file as it is


@pytest.mark.parametrize(
    "pack", [lambda tar: gzip.compress(tar, 0), gzip.compress, lzma.compress], ids=["stored", "gz", "xz"]
)
def test_a_changed_bit_of_a_content_is_found_by_the_checksum(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    content = bytearray(pack(tar_of((info("x.wav", len(NOISE)), NOISE))))
    content[content.index(NOISE[30_000:30_020])] ^= 1
    with pytest.raises(DataError, match=r"a complete zip or tar archive, got .*(CRC|Corrupt)"):
        read(tmp_path, bytes(content))


@pytest.mark.parametrize("between", [b"", bytes(4), lzma.compress(b""), bytes(2**17)])
def test_an_xz_file_of_several_streams_is_read_to_its_end(tmp_path: Path, between: bytes) -> None:
    parts = [lzma.compress(FOUR[start : start + 1000]) for start in range(0, len(FOUR), 1000)]
    whole = between.join(parts) + bytes(8)
    assert read(tmp_path, whole) == BLOCKS
    with pytest.raises(DataError, match="EOFError: it is cut short"):
        read(tmp_path, whole[:-20])
    with pytest.raises(DataError, match="ReadError: unexpected end of data"):
        read(tmp_path, between.join(parts[:3]))  # 3,000 of 10,240 bytes, in the third content
    with pytest.raises(DataError, match="LZMAError"):
        read(tmp_path, whole + b"what is no stream")


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_a_long_chain_of_headers_is_an_error(tmp_path: Path, kind: bytes) -> None:
    with pytest.raises(DataError, match="a complete zip or tar archive, got RecursionError"):
        read(tmp_path, 2000 * info("h", 0, kind).tobuf() + FOUR)


DAMAGED = {
    "noise for bzip2": b"BZh91AY&SY" + bytes(40),
    "a name that is no UTF-8": zip_of({"é.wav": b""}).replace("é".encode(), b"\xff\xfe"),
    "a version of zip that nobody knows": zip_of({"x.wav": b""}).replace(b"PK\1\2\x14\3\x14", b"PK\1\2\x14\3\xff"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_archive_is_called_so(tmp_path: Path, kind: str) -> None:
    with pytest.raises(DataError, match=r"a complete zip or tar archive, got .*Do not trust"):
        read(tmp_path, DAMAGED[kind])


BAD_NAMES = ["/etc/x.wav", "../x.wav", "set/../../x.wav", "..", "\\x.wav", "..\\x.wav", "C:\\x.wav", "c:x.wav"]


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("make", [lambda name: tar_of((info(name), b"")), lambda name: zip_of({name: b""})])
def test_a_path_that_leaves_its_folder_is_refused(tmp_path: Path, name: str, make: Callable[[str], bytes]) -> None:
    with pytest.raises(DataError, match="relative paths inside"):
        read(tmp_path, make(name))


def test_a_name_with_a_zero_byte_is_refused(tmp_path: Path) -> None:
    content = zip_of({"set/aXb.wav": b""}).replace(b"set/aXb.wav", b"set/a\0b.wav")
    with pytest.raises(DataError, match="relative paths inside"):
        read(tmp_path, content)


KINDS = {
    tarfile.SYMTYPE: "link",
    tarfile.LNKTYPE: "link",
    tarfile.CHRTYPE: "device",
    tarfile.BLKTYPE: "device",
    tarfile.FIFOTYPE: "device",
    b"Z": "device",  # a kind that nobody knows
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ending", ["wav", "txt"])
def test_what_is_no_file_in_a_tar_is_refused_asked_for_or_not(tmp_path: Path, kind: bytes, ending: str) -> None:
    with pytest.raises(DataError, match=f"plain files and folders, got the {KINDS[kind]} 'set/x.{ending}'"):
        read(tmp_path, tar_of((info(f"set/x.{ending}", kind=kind, target="/etc/passwd"), b"")))


@pytest.mark.parametrize(("kind", "word"), [(stat.S_IFLNK, "link"), (stat.S_IFCHR, "device"), (stat.S_IFIFO, "device")])
def test_what_is_no_file_in_a_zip_is_refused(tmp_path: Path, kind: int, word: str) -> None:
    with pytest.raises(DataError, match=f"got the {word} 'set/x.wav'"):
        read(tmp_path, zip_of({"set/x.wav": b"/etc/passwd"}, mode=kind | 0o777))


def test_a_sparse_file_is_refused(tmp_path: Path) -> None:
    # 1 TiB of hole, announced by a header of GNU's old format: type S, real size at 483.
    header = bytearray(info("set/x.wav", kind=tarfile.GNUTYPE_SPARSE).tobuf(tarfile.GNU_FORMAT))
    header[483:495] = f"{2**33 - 1:011o}\0".encode()
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    with pytest.raises(DataError, match="the sparse file"):
        read(tmp_path, bytes(header) + bytes(10_240))


def test_a_name_twice_is_refused(tmp_path: Path) -> None:
    twice = [(info("set/x.wav", 1), b"a"), (info("set/x.wav", 1), b"b")]
    with pytest.raises(DataError, match=r"'set/x.wav' twice"):
        read(tmp_path, tar_of(*twice))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns the one who writes
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("x.wav", "a")
            archive.writestr("x.wav", "b")
    with pytest.raises(DataError, match=r"'x.wav' twice"):
        read(tmp_path, buffer.getvalue())


def test_an_encrypted_file_is_refused(tmp_path: Path) -> None:
    content = bytearray(zip_of({"x.wav": b"secret"}))
    content[content.index(b"PK\1\2") + 8] |= 1  # flags in the central directory
    with pytest.raises(DataError, match="the encrypted file"):
        read(tmp_path, bytes(content))


def test_other_compressions_in_a_zip_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="another compression than deflate"):
        read(tmp_path, zip_of({"x.wav": b"a"}, method=zipfile.ZIP_LZMA))


@pytest.mark.parametrize("kind", ["tar", "tar.xz", "zip"])
def test_more_members_or_bytes_than_the_caller_allows(tmp_path: Path, kind: str) -> None:
    total = sum(map(len, FILES.values()))
    members = len(FILES) + (kind != "zip")
    assert read(tmp_path, GOOD[kind], max_bytes=total, max_members=members) == WAVS
    with pytest.raises(DataError, match=f"at most {total - 1} bytes when decompressed"):
        read(tmp_path, GOOD[kind], max_bytes=total - 1)
    with pytest.raises(DataError, match=f"at most {members - 1} members"):
        read(tmp_path, GOOD[kind], max_members=members - 1)


def peak_of_refusal(folder: Path, content: bytes, match: str) -> int:
    path = written(folder, content)
    del content
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=match):
            list(read_members(path, suffixes=(".wav",), max_bytes=2**20, max_members=100))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bz2.compress])
def test_a_bomb_that_announces_its_size_is_refused_before_it_bursts(tmp_path: Path, pack) -> None:
    bomb = pack(tar_of((info("bomb.txt", 2**25), bytes(2**25))))
    assert peak_of_refusal(tmp_path, bomb, "when decompressed, got more") < 2**24


def test_a_zip_bomb_is_refused_before_it_bursts(tmp_path: Path) -> None:
    assert peak_of_refusal(tmp_path, zip_of({"bomb.wav": bytes(2**25)}), "when decompressed, got more") < 2**24


def test_a_zip_bomb_that_lies_about_its_size_gives_no_more_than_it_announces(tmp_path: Path) -> None:
    content = bytearray(zip_of({"bomb.wav": bytes(2**25)}))
    for magic, place in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        start = content.index(magic) + place
        content[start : start + 4] = struct.pack("<I", 100)
    assert peak_of_refusal(tmp_path, bytes(content), "BadZipFile") < 2**24  # the CRC is another


@pytest.mark.parametrize("kind", [b"x", b"g", b"X", b"L", b"K"])
def test_a_bomb_in_a_header_that_tarfile_reads_by_itself_is_refused(tmp_path: Path, kind: bytes) -> None:
    bomb = gzip.compress(info("h", 2**26, kind).tobuf() + bytes(2**26), compresslevel=1)
    assert peak_of_refusal(tmp_path, bomb, "a header of 67108864 bytes") < 2**20


def test_a_bomb_behind_the_end_of_a_tar_file_is_refused(tmp_path: Path) -> None:
    bomb = gzip.compress(FOUR + bytes(2**25), compresslevel=1)
    assert peak_of_refusal(tmp_path, bomb, "when decompressed, got more") < 2**24


def test_empty_members_without_end_are_refused(tmp_path: Path) -> None:
    many = b"".join(info(f"{number}.txt").tobuf() for number in range(200))
    with pytest.raises(DataError, match="at most 100 members"):
        read(tmp_path, gzip.compress(many), max_members=100)


@pytest.mark.parametrize("before", [b"", lzma.compress(b"")])
def test_no_stream_of_an_xz_file_may_ask_for_any_memory(tmp_path: Path, before: bytes) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 2**29, "mode": lzma.MODE_FAST, "mf": lzma.MF_HC3, "nice_len": 8}]
    # The encoder would take gigabytes: instead the dictionary's size in the block header is changed, and its CRC.
    content = bytearray(lzma.compress(good_tar(), filters=[filters[0] | {"dict_size": 2**16}]))
    start, length = 12, 4 * (content[12] + 1)
    header = content[start : start + length - 4]
    place = header.index(bytes([lzma.FILTER_LZMA2 & 0xFF, 1])) + 2
    header[place] = 40  # 4 GiB - 1
    content[start : start + length] = header + struct.pack("<I", zlib.crc32(header))
    with pytest.raises(DataError, match="Memory usage limit"):
        read(tmp_path, before + content)


@pytest.mark.parametrize("make", [lambda path: None, Path.mkdir], ids=["absent", "folder"])
def test_an_unreadable_path_is_named(tmp_path: Path, make) -> None:
    make(tmp_path / "archive")
    with pytest.raises(DataError, match="readable"):
        list(read_members(tmp_path / "archive", suffixes=(".wav",)))


@given(
    noise=st.binary(max_size=300),
    head=st.sampled_from([b"", b"PK\3\4", b"PK\5\6", b"\x1f\x8b\x08", b"\xfd7zXZ\0", b"BZh9"]),
)
def test_arbitrary_bytes_give_members_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, head: bytes
) -> None:
    try:
        found = read(tmp_path_factory.getbasetemp(), head + noise)
    except DataError:
        return
    assert all(name.endswith(".wav") and isinstance(content, bytes) for name, content in found)


@given(place=st.integers(0, 10**6), byte=st.integers(0, 255), kind=st.sampled_from(sorted(GOOD)))
def test_a_changed_byte_gives_members_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, place: int, byte: int, kind: str
) -> None:
    content = bytearray(GOOD[kind])
    content[place % len(content)] = byte
    try:
        found = read(tmp_path_factory.getbasetemp(), bytes(content))
    except DataError:
        return
    # What is compressed has a checksum: a byte that does no harm is one that nothing is read from.
    assert found == WAVS or kind not in ("tar.gz", "tar.xz", "tar.bz2")
