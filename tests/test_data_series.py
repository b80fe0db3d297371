"""Regression sets and time series in their official layouts."""

from __future__ import annotations

import os
from pathlib import Path

import _official
import numpy as np
import pytest

from thinout.lab import data
from thinout.lab.data import DataError, _uci, _ucr, array_splits

needs_data = [
    pytest.mark.data,
    pytest.mark.skipif("THINOUT_DATA" not in os.environ, reason="THINOUT_DATA is not set"),
]
MOTIONS = ("Badminton", "Running", "Standing", "Walking")


def test_a_regression_set_as_gal_published_it(tmp_path: Path) -> None:
    folder = _official.uci_folder(tmp_path / "yacht")
    read = _uci.from_folder(folder, name="yacht")
    table = np.loadtxt(folder / "data" / "data.txt")
    assert np.array_equal(read.inputs, table[:, 1:])
    assert np.array_equal(read.targets, table[:, :1])
    for number, part in enumerate(read.test_parts):
        assert part.tolist() == np.loadtxt(folder / "data" / f"index_test_{number}.txt", dtype=int).tolist()
    same = _uci.from_folder(folder / "data", name="yacht")  # the inner folder alone will do
    assert np.array_equal(same.inputs, read.inputs)


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [
        ("data.txt", "1 2 3 4\n1 2 3\n", "line 2` must be of 4 numbers, got 3"),
        ("data.txt", "1 2 x 4\n", "a finite number, got 'x'"),
        ("data.txt", "\n", "at least one number"),
        ("index_features.txt", "1 2 9", r"in \[0, 3\]"),
        ("index_features.txt", "1.5", "whole numbers"),
        ("index_target.txt", "0 1", "one place, got 2"),
        ("index_test_1.txt", "0 1 2 3", "the complement of index_train_1.txt"),
    ],
)
def test_a_damaged_regression_set_is_refused(tmp_path: Path, file: str, text: str, sentence: str) -> None:
    folder = _official.uci_folder(tmp_path / "yacht")
    (folder / "data" / file).write_text(text)
    with pytest.raises(DataError, match=sentence):
        _uci.from_folder(folder, name="yacht")


def test_a_regression_set_without_test_parts_or_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least one test part"):
        _uci.from_folder(_official.uci_folder(tmp_path / "yacht", parts=0), name="yacht")
    with pytest.raises(DataError, match="readable"):
        _uci.from_folder(tmp_path, name="yacht")


def test_packed_sets_are_not_trusted(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, X=np.zeros((4, 2)), y=np.zeros((4, 1)), test_index=np.zeros((1, 1), int))
    with pytest.raises(DataError, match="of shapes"):
        _uci.from_packed(path, name="a")
    np.savez(path, X=np.array([object()]), y=np.zeros(1), test_index=np.zeros((1, 1), int))
    with pytest.raises(DataError, match="an npz file with X, y, test_index"):  # a pickle is never opened
        _uci.from_packed(path, name="a")
    path.write_bytes(b"no zip")
    with pytest.raises(DataError, match="an npz file"):
        _ucr.from_packed(path, num_classes=2)
    np.savez(
        path, x_train=np.zeros((2, 1, 3)), y_train=np.array([0, 5]), x_test=np.zeros((1, 1, 3)), y_test=np.zeros(1, int)
    )
    with pytest.raises(DataError, match=r"labels in \[0, 1\]"):
        _ucr.from_packed(path, num_classes=2)


def test_series_as_the_ucr_archive_of_2018_has_them(tmp_path: Path) -> None:
    folder = _official.tsv(tmp_path)
    (train, labels), (test, _) = _ucr.from_folder(folder, "GunPoint", ("1", "2"), length=12)
    assert train.shape == test.shape == (4, 1, 12)
    assert labels.tolist() == [0, 1, 0, 1]
    assert np.allclose(train[:, 0], np.loadtxt(folder / "GunPoint_TRAIN.tsv")[:, 1:])


def test_older_copies_write_labels_as_floats(tmp_path: Path) -> None:
    for word in ("TRAIN", "TEST"):
        (tmp_path / f"GunPoint_{word}.txt").write_text("  1.0000000e+00  0.5 0.25\n  2.0000000e+00  0.5 0.75\n")
    (values, labels), _ = _ucr.from_folder(tmp_path, "GunPoint", ("1", "2"), length=2)
    assert values[:, 0].tolist() == [[0.5, 0.25], [0.5, 0.75]]
    assert labels.tolist() == [0, 1]


def test_series_of_several_channels_and_unequal_length(tmp_path: Path) -> None:
    for word in ("TRAIN", "TEST"):
        (tmp_path / f"BasicMotions_{word}.ts").write_text(_official.TS)
    (values, labels), _ = _ucr.from_folder(tmp_path, "BasicMotions", MOTIONS, length=3)
    assert values[0].tolist() == [[0.1, 0.2, 0.3], [1.0, 2.0, 3.0]]
    assert np.allclose(values[1], [[0.4, 0.45, 0.5], [4.0, 4.5, 5.0]])  # stretched linearly
    assert labels.tolist() == [2, 3]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("@data\n", "", "ended by @data"),
        ("0.1,0.2,0.3:1.0,2.0,3.0:Standing\n0.4,0.5:4.0,5.0:walking\n", "", "at least one series"),
        (":1.0,2.0,3.0", "", "of 1 channels, got 2"),
        ("Standing\n0", "Flying\n0", "one of Badminton, Running, Standing, Walking, got 'Flying'"),
        ("0.2", "?", "a finite number, got '\\?'"),
        ("0.2", "NaN", "a finite number, got 'NaN'"),
        ("0.4,0.5:4.0,5.0:", "", "channels apart by colons"),
    ],
)
def test_damaged_series_are_refused(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    for word in ("TRAIN", "TEST"):
        (tmp_path / f"BasicMotions_{word}.ts").write_text(_official.TS.replace(old, new, 1))
    with pytest.raises(DataError, match=sentence):
        _ucr.from_folder(tmp_path, "BasicMotions", MOTIONS, length=3)


def test_a_set_of_another_size_is_refused_by_the_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THINOUT_DATA", str(tmp_path))
    monkeypatch.setenv("THINOUT_CACHE", str(tmp_path / "cache"))
    _official.tsv(tmp_path / "ucr" / "GunPoint")
    _official.uci_folder(tmp_path / "uci-regression" / "yacht")
    with pytest.raises(DataError, match="train series` must be 50 x 1 x 150, got 4 x 1 x 150"):
        data.load("gunpoint")
    with pytest.raises(DataError, match="308 rows of 6 features, got 20 x 3"):
        data.load("uci-yacht")


class TestPublished:
    pytestmark = needs_data

    @pytest.mark.parametrize("name", [known.name for known in (*_uci.UCI_SETS, *_ucr.UCR_SETS)])
    def test_every_set_is_here_and_has_the_shape_that_is_said(self, name: str) -> None:
        known, read = data.describe(name), data.load(name)
        assert [file.state for file in data.check(name)] == ["ok"]
        assert read.inputs.shape == (known.num_train + known.num_test, *known.shape)
        assert read.num_outputs == known.num_classes

    def test_the_papers_splits_are_20_and_of_protein_5(self) -> None:
        counts = {name: len(data.load(f"uci-{name}").test_parts) for name in ("yacht", "boston", "protein")}
        assert counts == {"yacht": 20, "boston": 20, "protein": 5}
        assert len(array_splits(data.load("uci-boston"), seed=25).test) == 51

    def test_the_test_part_of_a_series_is_the_archive_s(self) -> None:
        assert len(array_splits(data.load("italypowerdemand"), seed=0).test) == 1029
