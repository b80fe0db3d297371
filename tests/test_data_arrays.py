"""Data in arrays: parts that are disjoint and repeatable, standardised by the training part, gaps filled."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
import torch

from thinout.lab.cases import resolve
from thinout.lab.data import ArrayData, DataError, array_splits
from thinout.lab.training import RunSeeds, split_seed

PARTS = ("train", "validation", "test")


def numbered(rows: int = 40, classes: int = 2) -> ArrayData:
    """Make examples whose first feature is their number."""
    inputs = np.stack([np.arange(rows), np.ones(rows)], axis=1).astype(float)
    return ArrayData("numbered", classes, inputs, np.arange(rows) % classes)


def numbers(splits, data: ArrayData) -> dict[str, list[int]]:
    """Find each example of a part by its rank in all of them: standardising keeps the order."""
    values = torch.cat([getattr(splits, part).tensors[0][:, 0] for part in PARTS])
    places = values.argsort().argsort().tolist()
    bounds = np.cumsum([0, *(len(getattr(splits, part)) for part in PARTS)])
    return {part: places[low:high] for part, (low, high) in zip(PARTS, pairwise(bounds), strict=True)}


def test_parts_are_disjoint_complete_and_stratified() -> None:
    data = numbered()
    found = numbers(array_splits(data, seed=3), data)
    assert sorted(place for part in PARTS for place in found[part]) == list(range(40))
    assert [len(found[part]) for part in PARTS] == [26, 6, 8]  # 3 of 16 of each class are held out
    for part in PARTS:
        labels = data.targets[found[part]]
        assert labels.sum() * 2 == len(labels)


def test_the_seed_decides_validation_and_test() -> None:
    data = numbered()
    first, again, other = (numbers(array_splits(data, seed=seed), data) for seed in (3, 3, 4))
    assert first == again
    assert first["test"] != other["test"]
    assert first["validation"] != other["validation"]


def test_statistics_are_those_of_the_training_part_and_constants_stay_zero() -> None:
    splits = array_splits(numbered(), seed=0)
    train = splits.train.tensors[0].double()
    assert torch.allclose(train[:, 0].mean(), torch.tensor(0.0).double(), atol=1e-6)
    assert torch.allclose(train[:, 0].var(correction=0), torch.tensor(1.0).double(), atol=1e-5)
    assert all((getattr(splits, part).tensors[0][:, 1] == 0).all() for part in PARTS)
    assert abs(splits.test.tensors[0][:, 0].mean()) > 1e-6  # it was not standardised by itself


def test_a_missing_value_becomes_the_mean_of_the_training_part() -> None:
    data = numbered()
    gaps = data.inputs.copy()
    gaps[::3, 0] = np.nan
    splits = array_splits(dataclasses.replace(data, inputs=gaps), seed=0)
    filled = sum(int((getattr(splits, part).tensors[0][:, 0] == 0).sum()) for part in PARTS)
    assert filled == len(gaps[::3])
    train = splits.train.tensors[0][:, 0]
    known = train[train != 0].double()
    assert abs(known.mean()) < 1e-6
    assert abs(known.var(correction=0) - 1) < 1e-5


def test_a_feature_that_is_missing_everywhere_is_zero() -> None:
    data = numbered()
    empty = np.concatenate([data.inputs, np.full((40, 1), np.nan)], axis=1)
    splits = array_splits(dataclasses.replace(data, inputs=empty), seed=0)
    assert (splits.train.tensors[0][:, 2] == 0).all()


def test_channels_of_series_are_standardised_over_all_times() -> None:
    inputs = np.random.default_rng(0).normal(5.0, 3.0, (20, 2, 7))
    train = array_splits(ArrayData("series", 2, inputs, np.arange(20) % 2), seed=0).train.tensors[0]
    assert torch.allclose(train.mean((0, 2)), torch.zeros(2), atol=1e-5)
    assert torch.allclose(train.var((0, 2), correction=0), torch.ones(2), atol=1e-5)


def regression(parts: tuple[np.ndarray, ...] = ()) -> ArrayData:
    values = np.arange(20.0)
    return ArrayData("line", 1, values[:, None], 3 * values[:, None] + 100, parts)


def test_numbers_to_be_predicted_are_standardised_and_their_unit_is_kept() -> None:
    splits = array_splits(regression(), seed=0)
    targets = splits.train.tensors[1]
    assert targets.shape == (12 + 1, 1)
    assert targets.dtype == torch.float32
    assert abs(targets.mean()) < 1e-6
    distance = splits.test.tensors[1].max() - splits.test.tensors[1].min()
    assert abs(distance * splits.target_std[0] % 3 / 3 - 0.5) > 0.49  # multiples of the slope again


def test_published_test_parts_are_taken_by_number_and_wrap_around() -> None:
    parts = (np.array([0, 1, 2]), np.array([19, 17, 18]))
    found = [array_splits(regression(parts), seed=seed) for seed in range(3)]
    targets = [splits.test.tensors[1] * splits.target_std[0] for splits in found]
    assert [len(splits.test) for splits in found] == [3, 3, 3]
    assert targets[0].max() < 0 < targets[1].min()
    assert targets[2].max() < 0


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"inputs": np.empty((0, 2))}, "at least one example"),
        ({"inputs": np.full((40, 2), np.inf)}, "finite or missing"),
        ({"targets": np.arange(39) % 2}, "as many as the 40 examples"),
        ({"targets": np.arange(40)}, r"in \[0, 1\]"),
        ({"targets": np.full((40, 2), np.nan)}, "finite numbers"),
        ({"test_parts": (np.arange(40),)}, "not all of them"),
        ({"test_parts": (np.array([1, 1]),)}, "different places"),
        ({"test_parts": (np.array([40]),)}, "different places"),
    ],
)
def test_data_that_do_not_fit_each_other_are_refused(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        dataclasses.replace(numbered(), **change)


def test_too_few_examples_are_refused() -> None:
    with pytest.raises(DataError, match="at least 2 examples"):
        array_splits(ArrayData("few", 2, np.ones((3, 1)), np.array([0, 0, 1])), seed=0)
    with pytest.raises(DataError, match="different from each other"):
        array_splits(ArrayData("flat", 1, np.ones((9, 1)), np.ones((9, 1))), seed=0)
    with pytest.raises(DataError, match="enough to hold out"):
        array_splits(ArrayData("two", 1, np.ones((2, 1)), np.ones((2, 1))), seed=0)


def test_a_case_with_numbered_splits_gets_the_seed_of_the_run() -> None:
    assert split_seed(resolve("uci"), 3) == 3
    assert split_seed(resolve("health"), 3) == RunSeeds.from_seed(3).split != 3
