"""Splits: stratified, disjoint, repeatable, and normalised by the training part alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thinout.lab.data import DataError, ImageData, Splits, load, split


def images(numbers: np.ndarray, channels: int | None = None) -> np.ndarray:
    """Draw 2 x 2 images whose first row holds their number, so that each can be told after a split."""
    pixels = np.zeros((len(numbers), 2, 2), np.uint8)
    pixels[:, 0] = np.stack([numbers // 256, numbers % 256], axis=1)
    pixels[:, 1, 1] = 255
    return pixels if channels is None else np.stack([pixels] * channels, axis=-1)


def numbered(counts: list[int], channels: int | None = None) -> ImageData:
    """Make data with `counts[c]` training images of class c, numbered from 0, and four test images from 1000."""
    labels = np.repeat(np.arange(len(counts)), counts)
    test = np.arange(4)
    return ImageData(
        "numbered",
        len(counts),
        images(np.arange(len(labels)), channels),
        labels,
        images(1000 + test, channels),
        test % 2,
    )


def numbers_of(splits: Splits, part: str) -> list[int]:
    """Undo the normalisation and read each image's number."""
    normalised = getattr(splits, part).tensors[0].double()
    pixels = torch.round((normalised * splits.std[0] + splits.mean[0]) * 255).long()
    return (256 * pixels[:, 0, 0, 0] + pixels[:, 0, 0, 1]).tolist()


@given(
    counts=st.lists(st.integers(2, 30), min_size=2, max_size=5),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None)
def test_parts_are_disjoint_complete_and_stratified(counts: list[int], share: float, seed: int) -> None:
    data = numbered(counts)
    splits = split(data, seed=seed, validation=share)
    train, held = numbers_of(splits, "train"), numbers_of(splits, "validation")
    assert sorted(train + held) == list(range(sum(counts)))
    assert numbers_of(splits, "test") == [1000, 1001, 1002, 1003]
    for part, numbers in (("train", train), ("validation", held)):
        assert getattr(splits, part).tensors[1].tolist() == data.train_labels[numbers].tolist()
    for label, count in enumerate(counts):
        in_validation = int((splits.validation.tensors[1] == label).sum())
        assert abs(in_validation - share * count) <= 1
        assert 1 <= in_validation <= count - 1


def test_twenty_percent_of_every_class_of_the_bundled_set() -> None:
    splits = split(load("fashion-mnist-small"), seed=0)
    assert torch.bincount(splits.train.tensors[1]).tolist() == [320] * 10
    assert torch.bincount(splits.validation.tensors[1]).tolist() == [80] * 10
    assert torch.bincount(splits.test.tensors[1]).tolist() == [200] * 10


def test_same_seed_same_split_and_another_seed_another() -> None:
    data = numbered([50, 50])
    first, again, other = (numbers_of(split(data, seed=seed), "validation") for seed in (3, 3, 4))
    assert first == again
    assert first != other  # the seeds are fixed: by chance equal for one pair of seeds in C(50, 10) ** 2 = 1e20


def test_split_neither_uses_nor_moves_the_global_generators() -> None:
    torch.manual_seed(0)
    state, legacy = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002  # the global one is meant
    split(numbered([5, 5]), seed=0)
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(np.random.get_state()[1], legacy)  # noqa: NPY002  # likewise


def test_training_part_has_mean_zero_and_deviation_one() -> None:
    data = load("fashion-mnist-small")
    splits = split(data, seed=1)
    pixels = splits.train.tensors[0].double()
    assert pixels.mean().item() == pytest.approx(0, abs=1e-6)
    assert pixels.std(correction=0).item() == pytest.approx(1, abs=1e-6)
    assert splits.train.tensors[0].dtype == torch.float32
    assert splits.train.tensors[1].dtype == torch.int64


def test_every_part_is_normalised_by_the_training_part_alone() -> None:
    data = load("fashion-mnist-small")
    splits = split(data, seed=1)
    expected = (data.test_images / 255 - splits.mean[0]) / splits.std[0]
    np.testing.assert_allclose(splits.test.tensors[0][:, 0].numpy(), expected, atol=1e-6)
    brighter = dataclasses.replace(data, test_images=np.full_like(data.test_images, 255))
    assert split(brighter, seed=1).mean == splits.mean


def test_padding_is_black_and_leaves_the_statistics_alone() -> None:
    data = load("fashion-mnist-small")
    plain, padded = split(data, seed=0), split(data, seed=0, pad=2)
    images = padded.train.tensors[0]
    assert padded.shape == (1, 32, 32) == tuple(images.shape[1:])
    assert (padded.mean, padded.std) == (plain.mean, plain.std)
    assert torch.equal(images[:, :, 2:-2, 2:-2], plain.train.tensors[0])
    black = -padded.mean[0] / padded.std[0]
    border = images.clone()
    border[:, :, 2:-2, 2:-2] = black
    torch.testing.assert_close(border, torch.full_like(border, black))


def test_colour_images_are_normalised_channel_by_channel() -> None:
    data = numbered([10, 10], channels=3)
    data.train_images[..., 1] //= 2
    splits = split(data, seed=0)
    assert splits.shape == (3, 2, 2)
    images = splits.train.tensors[0].double()
    torch.testing.assert_close(images.mean((0, 2, 3)), torch.zeros(3, dtype=torch.float64), atol=1e-6, rtol=0)
    deviation = images.std((0, 2, 3), correction=0)
    torch.testing.assert_close(deviation, torch.ones(3, dtype=torch.float64), atol=1e-6, rtol=0)
    assert splits.mean[1] < splits.mean[0] == splits.mean[2]


@pytest.mark.parametrize(
    ("options", "error", "expected"),
    [
        ({"validation": 0.0}, ValueError, r"`validation` must be a number in \(0, 1\), got 0.0"),
        ({"validation": 1.0}, ValueError, r"got 1.0"),
        ({"validation": float("nan")}, ValueError, "got nan"),
        ({"validation": "0.2"}, TypeError, "got '0.2'"),
        ({"validation": True}, TypeError, "got True"),
        ({"seed": -1}, ValueError, "`seed`.*at least 0, got -1"),
        ({"seed": 1.5}, TypeError, "`seed`"),
        ({"pad": -1}, ValueError, "`pad`"),
    ],
)
def test_bad_options(options: dict[str, object], error: type[Exception], expected: str) -> None:
    with pytest.raises(error, match=expected):
        split(numbered([3, 3]), **{"seed": 0, **options})


GOOD = numbered([3, 3])
BAD_DATA = {
    "empty training part": (
        {"train_images": GOOD.train_images[:0], "train_labels": GOOD.train_labels[:0]},
        "at least one",
    ),
    "empty test part": (
        {"test_images": GOOD.test_images[:0], "test_labels": GOOD.test_labels[:0]},
        r"\(test\).*at least",
    ),
    "one class": ({"train_labels": np.zeros(6, np.int64)}, "at least two classes, got 1"),
    "a class with one image": ({"train_labels": np.array([0, 0, 0, 0, 0, 1])}, "class 1.*at least 2"),
    "label out of range": ({"test_labels": np.array([0, 1, 2, 0])}, r"in \[0, 1\]"),
    "negative label": ({"train_labels": np.array([0, 0, 0, 1, 1, -1])}, r"in \[0, 1\]"),
    "unequal counts": ({"train_labels": GOOD.train_labels[:5]}, "as many as the 6 images, got 5"),
    "float images": ({"train_images": GOOD.train_images / 255}, "uint8"),
    "float labels": ({"train_labels": GOOD.train_labels / 1}, "whole numbers"),
    "other test shape": ({"test_images": np.zeros((4, 3, 3), np.uint8)}, r"shape \(2, 2\), got \(3, 3\)"),
    "constant images": ({"train_images": np.full((6, 2, 2), 7, np.uint8)}, "constant"),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data(case: str) -> None:
    changes, expected = BAD_DATA[case]
    with pytest.raises(DataError, match=expected):
        split(dataclasses.replace(GOOD, **changes), seed=0)
