"""Tables in the layouts of UCI and KEEL: what is read, what is missing, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import _official
import numpy as np
import pytest

from thinout.lab import data
from thinout.lab.data import Column, DataError, Layout, array_splits, read_table
from thinout.lab.data._table_sets import BREAST_CANCER, HEART_DISEASE

needs_data = [
    pytest.mark.data,
    pytest.mark.skipif("THINOUT_DATA" not in os.environ, reason="THINOUT_DATA is not set"),
]
WDBC = BREAST_CANCER.read.__self__  # the tables that the registered readers are methods of
HEART = HEART_DISEASE.read.__self__
SHELLS = (
    Column("sex", levels=(("M",), ("F",), ("I",))),
    Column("length"),
    Column("rings"),
)
SHELL_LAYOUT = Layout(label=3, labels={"negative": 0, "positive": 1}, header="keel")


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_page_of_the_tables_says_what_heart_disease_has() -> None:
    nominal = sum(bool(column.levels) for column in HEART.columns)
    page = (Path(__file__).parents[1] / "docs" / "cases" / "tables.md").read_text()
    says = f"| {len(HEART.columns)}, of which {nominal} nominal: {HEART_DISEASE.shape[0]} inputs |"
    assert says in page


def test_wdbc_as_uci_publishes_it(tmp_path: Path) -> None:
    read = read_table(_official.wdbc(tmp_path / "wdbc.data"), WDBC.columns, WDBC.layouts["wdbc.data"], name="x")
    assert read.inputs.shape == (6, *BREAST_CANCER.shape)
    assert read.targets.tolist() == [1, 0, 1, 0, 1, 0]  # M is 1
    assert read.inputs.max() <= 1  # the patient's number is no feature


def test_cleveland_as_uci_publishes_it(tmp_path: Path) -> None:
    path = write(tmp_path / "processed.cleveland.data", _official.CLEVELAND)
    read = read_table(path, HEART.columns, HEART.layouts[path.name], name="x")
    assert read.inputs.shape == (4, *HEART_DISEASE.shape)
    assert read.targets.tolist() == [0, 1, 0, 1]  # 1 to 4 are degrees of one class
    assert read.inputs[0, :7].tolist() == [61, 0, 1, 1, 0, 0, 0]  # age, two sexes, four kinds of pain
    vessels, thal, no_vessels, no_thal = (
        read.inputs[:, -6],
        read.inputs[:, -5:-2],
        read.inputs[:, -2],
        read.inputs[:, -1],
    )
    assert np.isnan(vessels).tolist() == no_vessels.astype(bool).tolist() == [False, True, False, False]
    assert np.isnan(thal).all(1).tolist() == no_thal.astype(bool).tolist() == [False, False, True, False]
    assert thal[3].tolist() == [0, 0, 1]


def test_keel_as_it_publishes_its_sets(tmp_path: Path) -> None:
    read = read_table(write(tmp_path / "a.dat", _official.KEEL), SHELLS, SHELL_LAYOUT, name="shells")
    assert read.inputs.tolist() == [[1, 0, 0, 0.31, 4], [0, 0, 1, 0.52, 9], [0, 1, 0, 0.47, 2]]
    assert read.targets.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("@data", "", "lines @relation"),
        ("@data\n", "", "lines @relation"),
        ("@attribute Length real [0.1, 0.8]\n", "", "with 4 lines @attribute, got 3"),
        ("real [0.1, 0.8]", "date", "real or integer"),
        ("M, 0.31, 4, negative", "M, 0.31, negative", "of 4 cells, got 3"),
        ("M, 0.31", "X, 0.31", "one of M, F, I, got 'X'"),
        ("0.31", "abc", "line 9: `length` must be a finite number, got 'abc'"),
        ("0.31", "inf", "a finite number"),
        ("0.31", "?", "`length` must be there, got the missing value '\\?'. Fill it in"),
        ("0.31", "", "the missing value ''"),
        ("negative\nI", "none\nI", "one of negative, positive, got 'none'"),
    ],
)
def test_a_damaged_table_is_refused_with_its_place(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    path = write(tmp_path / "a.dat", _official.KEEL.replace(old, new, 1))
    with pytest.raises(DataError, match=sentence) as caught:
        read_table(path, SHELLS, SHELL_LAYOUT, name="shells")
    assert str(path) in str(caught.value)


def test_a_file_without_rows_or_in_no_encoding_is_refused(tmp_path: Path) -> None:
    plain = Layout(label=1, labels={"0": 0, "1": 1})
    with pytest.raises(DataError, match="at least one row"):
        read_table(write(tmp_path / "a.csv", "\n"), (Column("x"),), plain, name="x")
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe1,0")
    with pytest.raises(DataError, match="text in UTF-8"):
        read_table(tmp_path / "b.csv", (Column("x"),), plain, name="x")
    with pytest.raises(DataError, match="readable"):
        read_table(tmp_path / "c.csv", (Column("x"),), plain, name="x")


def test_a_table_of_another_size_is_refused_by_the_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THINOUT_DATA", str(tmp_path))
    monkeypatch.setenv("THINOUT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "tabular").mkdir()
    with pytest.raises(DataError, match=r"no wdbc.data.*archive.ics.uci.edu.*`thinout study lenet5` needs no download"):
        data.load("breast-cancer")
    _official.wdbc(tmp_path / "tabular" / "wdbc.data")
    assert [file.state for file in data.check("breast-cancer")] == ["unverified"]
    with pytest.raises(DataError, match=r"357 \+ 212 by class, got 3 \+ 3"):
        data.load("breast-cancer")


class TestPublished:
    pytestmark = needs_data

    @pytest.mark.parametrize("name", ["breast-cancer", "heart-disease", *(f.name for f in data._table_sets.KEEL)])
    def test_every_table_is_here_and_has_the_shape_that_is_said(self, name: str) -> None:
        known, read = data.describe(name), data.load(name)
        assert [file.state for file in data.check(name)] == ["ok"]
        assert read.inputs.shape == (known.num_train, *known.shape)

    def test_six_values_of_cleveland_are_missing(self) -> None:
        read = data.load("heart-disease")
        assert read.inputs[:, -2:].sum(0).tolist() == [4, 2]
        splits = array_splits(read, seed=0)
        assert all(getattr(splits, part).tensors[0].isfinite().all() for part in ("train", "validation", "test"))
