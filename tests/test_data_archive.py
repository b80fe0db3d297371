"""Archives are read and never unpacked; what is unsafe in them is refused with one sentence."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from _photos import write_tar, write_zip

from thinout.lab.data import DataError
from thinout.lab.data._archive import read_members

MEMBERS = {"a/one.txt": b"1" * 1000, "a/two.bin": b"22", "three.txt": b""}


@pytest.mark.parametrize("mode", ["zip", "w", "w:gz", "w:xz", "w:bz2"])
def test_the_members_wanted_come_in_their_order(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "archive"
    write_zip(path, MEMBERS) if mode == "zip" else write_tar(path, MEMBERS, mode)
    assert list(read_members(path, suffixes=(".txt",))) == [("a/one.txt", b"1" * 1000), ("three.txt", b"")]
    some = read_members(path, suffixes=(".txt",), wanted=lambda name: "t" in name.removesuffix(".txt"))
    assert list(some) == [("three.txt", b"")]


@pytest.mark.parametrize("name", ["/etc/passwd", "../outside", "a/../../outside", "..\\outside", "C:/windows"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_path_that_leaves_the_archive_is_refused(tmp_path: Path, name: str, kind: str) -> None:
    path = tmp_path / "archive"
    write_zip(path, {name: b"x"}) if kind == "zip" else write_tar(path, {name: b"x"})
    with pytest.raises(DataError, match="under relative paths"):
        list(read_members(path, suffixes=(".txt",)))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_a_tar_file_with_a_link_or_a_device_is_refused(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "archive", "w") as archive:
        info = tarfile.TarInfo("link.txt")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(DataError, match=r"the (link|device) 'link\.txt'"):
        list(read_members(tmp_path / "archive", suffixes=(".txt",)))


def test_a_zip_file_with_a_link_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "archive", "w") as archive:
        info = zipfile.ZipInfo("link.txt")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match=r"the (link|device) 'link\.txt'"):
        list(read_members(tmp_path / "archive", suffixes=(".txt",)))


@pytest.mark.parametrize("kind", ["zip", "w:xz"])
def test_a_bomb_is_refused_before_it_goes_off(tmp_path: Path, kind: str) -> None:
    path, members = tmp_path / "archive", {"bomb.txt": bytes(2**22)}
    write_zip(path, members) if kind == "zip" else write_tar(path, members, kind)
    assert path.stat().st_size < 2**14
    with pytest.raises(DataError, match="at most 1048576 bytes"):
        list(read_members(path, suffixes=(".txt",), max_bytes=2**20))


def long_name(name: bytes) -> bytes:
    """Return the header and the blocks of a name that follows it."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, len(name)
    return info.tobuf(tarfile.GNU_FORMAT) + name + bytes(-len(name) % 512)


def test_many_long_headers_count_as_bytes_of_the_archive(tmp_path: Path) -> None:
    names = [b"%05d" % number + b"a" * (2**16 - 5) for number in range(30)]
    files = [long_name(name) + tarfile.TarInfo("a").tobuf(tarfile.GNU_FORMAT) for name in names]
    (tmp_path / "archive").write_bytes(b"".join(files) + bytes(1024))
    assert list(read_members(tmp_path / "archive", suffixes=(".txt",), max_members=100)) == []
    with pytest.raises(DataError, match="of at most 1048576 bytes"):
        list(read_members(tmp_path / "archive", suffixes=(".txt",), max_bytes=2**20, max_members=100))


@pytest.mark.parametrize("other", ["a//one.txt", "./a/one.txt", "a/./one.txt"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_one_file_under_two_spellings_is_refused(tmp_path: Path, kind: str, other: str) -> None:
    path, members = tmp_path / "archive", {"a/one.txt": b"x", other: b"y"}
    write_zip(path, members) if kind == "zip" else write_tar(path, members)
    with pytest.raises(DataError, match="under names of their own"):
        list(read_members(path, suffixes=(".txt",)))


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_what_a_mac_adds_is_passed_over(tmp_path: Path, kind: str) -> None:
    path, members = tmp_path / "archive", {"a.txt": b"a", "._a.txt": b"x", "__MACOSX/b/._a.txt": b"x"}
    write_zip(path, members) if kind == "zip" else write_tar(path, members)
    assert list(read_members(path, suffixes=(".txt",))) == [("a.txt", b"a")]


def test_a_tar_file_whose_first_name_begins_with_pk_is_one(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "archive", {"PK.txt": b"a"})
    assert list(read_members(path, suffixes=(".txt",))) == [("PK.txt", b"a")]


@pytest.mark.parametrize("kind", ["zip", "w:gz"])
def test_more_members_than_allowed_are_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "archive"
    write_zip(path, MEMBERS) if kind == "zip" else write_tar(path, MEMBERS, kind)
    with pytest.raises(DataError, match="at most 2 members"):
        list(read_members(path, suffixes=(".txt",), max_members=2))


@pytest.mark.parametrize("kind", ["zip", "w", "w:gz", "w:xz", "w:bz2"])
def test_a_damaged_archive_is_one_sentence(tmp_path: Path, kind: str) -> None:
    path, members = tmp_path / "archive", {"a.txt": bytes(range(256)) * 100}
    write_zip(path, members) if kind == "zip" else write_tar(path, members, kind)
    whole = path.read_bytes()
    for length in (0, 1, len(whole) // 2):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=str(path)) as caught:
            list(read_members(path, suffixes=(".txt",)))
        assert "\n" not in str(caught.value)


def test_a_zip_file_that_lies_about_a_size_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "archive", {"a.txt": b"x" * 5000})
    content = bytearray(path.read_bytes())
    place = content.rindex(b"PK\x01\x02") + 24  # the uncompressed size in the central directory
    content[place : place + 4] = (5001).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(DataError):
        list(read_members(path, suffixes=(".txt",)))


def test_no_file_at_all_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="readable"):
        list(read_members(tmp_path / "nothing", suffixes=(".txt",)))


def test_what_is_passed_over_counts_as_well(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "archive", {"big.bin": bytes(2**21), "a.txt": b"a"}, "w:gz")
    with pytest.raises(DataError, match="at most 1048576 bytes"):
        list(read_members(path, suffixes=(".txt",), max_bytes=2**20))
    assert io.BytesIO(path.read_bytes()).read(2) == b"\x1f\x8b"
