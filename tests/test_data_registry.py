"""Names to data: the bundled set, the full sets where they are present, and what is said where they are not."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from thinout._checks import UsageError
from thinout.lab import data
from thinout.lab.cases import resolve
from thinout.lab.data import DataError

ROOT = Path(__file__).parents[1]
BUNDLED = Path(data.__file__).parent / "bundled"

needs_data = [
    pytest.mark.data,
    pytest.mark.skipif("THINOUT_DATA" not in os.environ, reason="THINOUT_DATA is not set"),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an empty THINOUT_DATA, with an empty cache folder beside it."""
    monkeypatch.setenv("THINOUT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("THINOUT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "data" / "mnist").mkdir(parents=True)
    return tmp_path / "data"


def per_class(labels: np.ndarray) -> list[int]:
    return np.bincount(labels, minlength=10).tolist()


def test_bundled_set_has_400_and_200_images_a_class() -> None:
    small = data.load("fashion-mnist-small")
    assert small.train_images.shape == (4000, 28, 28)
    assert small.test_images.shape == (2000, 28, 28)
    assert small.train_images.dtype == np.uint8
    assert per_class(small.train_labels) == [400] * 10
    assert per_class(small.test_labels) == [200] * 10


def test_bundled_set_is_shuffled_and_has_its_licence_beside_it() -> None:
    assert len(set(data.load("fashion-mnist-small").train_labels[:50].tolist())) > 5
    assert (BUNDLED / "fashion-mnist-small.npz").stat().st_size <= 3_000_000
    assert "Copyright © 2017 Zalando SE" in (BUNDLED / "LICENSE-fashion-mnist.txt").read_text(encoding="utf-8")


def test_bundled_set_needs_no_folder_and_no_download(folder: Path) -> None:
    assert data.load("fashion-mnist-small").num_classes == 10
    assert [path.name for path in data.fetch("fashion-mnist-small")] == ["fashion-mnist-small.npz"]
    assert not (folder.parent / "cache").exists()


def test_loading_the_bundled_set_imports_nothing_heavy() -> None:
    code = (
        "import sys; from thinout.lab.data import load; load('fashion-mnist-small');"
        "print(sorted({'pooch', 'requests', 'scipy', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", data.names())
def test_every_set_says_what_it_is(name: str) -> None:
    dataset = data.describe(name)
    assert dataset.name == name
    assert len(dataset.classes) == dataset.num_classes > 0
    assert len(set(dataset.classes)) == dataset.num_classes
    assert dataset.num_train > 0
    assert all(size > 0 for size in dataset.shape)
    assert dataset.licence
    assert dataset.source.startswith("http")
    for file in (*dataset.files, *dataset.other_files):
        kind, _, digits = (file.checksum or "none:").partition(":")
        assert len(digits) == {"sha256": 64, "md5": 32, "none": 0}[kind]
        assert file.size > 0 or kind == "none"
        assert file.url is None or kind != "none"  # what cannot be verified is not fetched


def test_the_page_of_the_data_gives_their_numbers() -> None:
    page = (ROOT / "docs" / "data.md").read_text()
    rows = re.findall(r"^\| `([\w-]+)` \| ([\d,]*\d) \+ ([\d,]*\d)", page, re.MULTILINE)
    assert len(rows) == 13  # of 14: one is "the same" as another
    for name, train, test in rows:
        dataset = data.describe(name)
        assert (f"{dataset.num_train:,}", f"{dataset.num_test:,}") == (train, test)
    (stratified,) = re.findall(r"(`[^.]+) are stratified selections, 400 \+ 200 images a class", " ".join(page.split()))
    for name in re.findall(r"`([\w-]+)`", stratified):
        assert data.describe(name).num_train == 400 * data.describe(name).num_classes


@pytest.mark.parametrize("function", [data.describe, data.load, data.check, data.fetch])
def test_unknown_name_gives_the_known_and_the_nearest(function) -> None:
    with pytest.raises(UsageError, match=r"fashion-mnist, fashion-mnist-small, .*'mnits'. Did you mean mnist\?"):
        function("mnits")
    with pytest.raises(UsageError, match="thinout data list"):
        function("zzz")
    with pytest.raises(TypeError, match="a string, got 3"):
        function(3)


@pytest.mark.parametrize("name", ["mnist", "mnist-small"])
def test_missing_files_say_where_how_and_what_instead(folder: Path, name: str) -> None:
    with pytest.raises(DataError) as caught:
        data.load(name)
    text = str(caught.value)
    assert str(folder / "mnist") in text
    assert str(folder.parent / "cache" / "mnist") in text
    assert f"thinout data fetch {name}" in text
    assert text.endswith(" `thinout study lenet5` needs no download.")
    assert [check.state for check in data.check(name)] == ["missing"] * 4


def test_the_case_that_needs_no_download_is_studied_on_the_bundled_set(folder: Path) -> None:
    case = resolve("lenet5")
    assert data.describe(case.data_name).folder is None
    assert len(case.splits(0).test) == 2000


def test_valid_files_of_another_set_are_refused(folder: Path) -> None:
    for file in data.describe("mnist").files:
        rank = 3 if "images" in file.name else 1
        header = bytes((0, 0, 8, rank)) + (1).to_bytes(4, "big") * rank
        (folder / "mnist" / file.name).write_bytes(gzip.compress(header + b"\0"))
    with pytest.raises(DataError, match="share their file names"):
        data.load("mnist")
    assert [check.state for check in data.check("mnist")] == ["differs"] * 4


def test_damaged_member_is_refused(folder: Path) -> None:
    for file in data.describe("mnist").files:
        (folder / "mnist" / file.name).write_bytes(b"\x1f\x8b")
    with pytest.raises(DataError, match="complete gzip file"):
        data.load("mnist")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("place", ["nowhere", "x" * 5000], ids=["absent", "name too long for any file system"])
def test_folder_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str) -> None:
    monkeypatch.setenv("THINOUT_DATA", str(tmp_path / place))
    with pytest.raises(DataError, match=place):
        data.load("mnist")


MNIST_TRAIN = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
MNIST_TEST = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


class TestFullSets:
    """Against the published counts: Deng 2012, IEEE Signal Processing Magazine 29(6); Xiao et al. 2017."""

    pytestmark = needs_data

    @pytest.mark.parametrize(
        ("name", "train", "test"),
        [("mnist", MNIST_TRAIN, MNIST_TEST), ("fashion-mnist", [6000] * 10, [1000] * 10)],
    )
    def test_counts(self, name: str, train: list[int], test: list[int]) -> None:
        full = data.load(name)
        assert full.train_images.shape == (60_000, 28, 28)
        assert full.test_images.shape == (10_000, 28, 28)
        assert per_class(full.train_labels) == train
        assert per_class(full.test_labels) == test
        assert [check.state for check in data.check(name)] == ["ok"] * 4

    def test_mnist_small_is_cut_from_the_full_set(self) -> None:
        full, small = data.load("mnist"), data.load("mnist-small")
        assert small.name == "mnist-small"
        assert per_class(small.train_labels) == [400] * 10
        assert per_class(small.test_labels) == [200] * 10
        for images, labels, all_images, all_labels in (
            (small.train_images, small.train_labels, full.train_images, full.train_labels),
            (small.test_images, small.test_labels, full.test_images, full.test_labels),
        ):
            known = {(image.tobytes(), label) for image, label in zip(all_images, all_labels.tolist(), strict=True)}
            chosen = [(image.tobytes(), label) for image, label in zip(images, labels.tolist(), strict=True)]
            assert set(chosen) <= known
            assert len(set(chosen)) == len(chosen)

    def test_raw_files_are_found_as_well(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        source = Path(os.environ["THINOUT_DATA"]) / "mnist"
        (tmp_path / "mnist").mkdir()
        for file in data.describe("mnist").files:
            raw = gzip.decompress((source / file.name).read_bytes())
            (tmp_path / "mnist" / file.name.removesuffix(".gz")).write_bytes(raw)
        monkeypatch.setenv("THINOUT_DATA", str(tmp_path))
        assert [check.state for check in data.check("mnist")] == ["ok"] * 4
        assert per_class(data.load("mnist").test_labels) == MNIST_TEST

    def test_bundled_content_is_made_again_bit_for_bit(self, made_again: Path) -> None:
        with np.load(made_again) as again, np.load(BUNDLED / made_again.name) as committed:
            assert again.files == committed.files
            for name in again.files:
                np.testing.assert_array_equal(again[name], committed[name])

    @pytest.mark.skipif("ng" in zlib.ZLIB_RUNTIME_VERSION, reason="zlib-ng compresses to other bytes than zlib")
    def test_bundled_file_is_made_again_bit_for_bit(self, made_again: Path) -> None:
        assert made_again.read_bytes() == (BUNDLED / made_again.name).read_bytes()


@pytest.fixture(scope="module")
def made_again(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the script that made the bundled file, into an empty folder."""
    folder = tmp_path_factory.mktemp("bundled")
    command = [sys.executable, str(ROOT / "scripts" / "make_bundled_data.py"), str(folder)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return folder / "fashion-mnist-small.npz"
