"""Traffic signs: archives in the official layout, the subset, packed or cut out, and splits that keep tracks whole."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from _photos import encoded, noise, write_zip
from PIL import Image

from thinout.lab import data
from thinout.lab.data import DataError, Sign, sign_splits
from thinout.lab.data._gtsrb import NUM_CLASSES, from_archives, from_packed, is_small_test
from thinout.lab.data._sets import DATA_SETS

HEAD = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"
TRACKS, FRAMES = 3, 2


def row(name: str, label: int) -> str:
    return f"{name};48;40;5;5;43;35;{label}"


def training_members(classes: tuple[int, ...] = (0, 1, 42)) -> dict[str, bytes]:
    members = {}
    for label in classes:
        folder = f"GTSRB/Final_Training/Images/{label:05d}"
        names = [f"{track:05d}_{frame:05d}.ppm" for track in range(TRACKS) for frame in range(FRAMES)]
        for number, name in enumerate(names):
            members[f"{folder}/{name}"] = encoded(noise(100 * label + number), "PPM")
        members[f"{folder}/GT-{label:05d}.csv"] = "\n".join([HEAD, *(row(name, label) for name in names)]).encode()
    return members | {"GTSRB/Readme-Images.txt": b"read me"}


def members_of_the_test_part() -> dict[str, bytes]:
    return {f"GTSRB/Final_Test/Images/{i:05d}.ppm": encoded(noise(7000 + i), "PPM") for i in range(4)}


ANSWERS = {"GT-final_test.csv": "\n".join([HEAD, *(row(f"{i:05d}.ppm", i % 2) for i in range(4))]).encode()}


@pytest.fixture
def archives(tmp_path: Path) -> list[Path]:
    return [
        write_zip(tmp_path / "training.zip", training_members()),
        write_zip(tmp_path / "test.zip", members_of_the_test_part()),
        write_zip(tmp_path / "answers.zip", ANSWERS),
    ]


def test_the_official_layout_is_read(archives: list[Path]) -> None:
    signs = from_archives(*archives, name="signs")
    assert signs.train_images.shape == (3 * TRACKS * FRAMES, 32, 32, 3)
    assert np.bincount(signs.train_labels).nonzero()[0].tolist() == [0, 1, 42]
    assert signs.test_labels.tolist() == [0, 1, 0, 1]
    assert signs.train_groups is not None
    assert len(set(signs.train_groups.tolist())) == 3 * TRACKS
    expected = np.asarray(Image.fromarray(noise(101)).resize((32, 32), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(signs.train_images[TRACKS * FRAMES + 1], expected)  # class 1, track 0, frame 1


BROKEN = {
    "an image without a row": (0, {"GTSRB/Final_Training/Images/00000/00009_00000.ppm": b"P6 1 1 255\nabc"}, "differ"),
    "a row without an image": (0, {"GTSRB/Final_Training/Images/00000/00000_00001.ppm": None}, "difference"),
    "no image": (0, {"GTSRB/Final_Training/Images/00000/00000_00000.ppm": b"<html>"}, "an image"),
    "cut short": (0, {"GTSRB/Final_Training/Images/00000/00000_00000.ppm": b"P6 9 9 255\nab"}, "complete image"),
    "a class of another folder": (
        0, {"GTSRB/Final_Training/Images/00000/GT-00000.csv": f"{HEAD}\n{row('00000_00000.ppm', 1)}".encode()},
        "of class 00000",
    ),
    "a class that there is not": (
        0, {"GTSRB/Final_Training/Images/00000/GT-00000.csv": f"{HEAD}\n{row('00000_00000.ppm', 43)}".encode()},
        r"in \[0, 42\]",
    ),
    "a table of other columns": (
        0, {"GTSRB/Final_Training/Images/00000/GT-00000.csv": b"Path,Class\na,1"}, "columns Filename and ClassId",
    ),
    "a test image too few": (1, {"GTSRB/Final_Test/Images/00003.ppm": None}, r"00003\.ppm"),
    "no answers": (2, {"GT-final_test.csv": None, "other.csv": b""}, "one table GT-final_test.csv"),
}  # fmt: skip  # one mistake a line


@pytest.mark.parametrize("name", BROKEN)
def test_what_does_not_fit_is_one_sentence(archives: list[Path], name: str) -> None:
    number, changes, sentence = BROKEN[name]
    members = [training_members(), members_of_the_test_part(), ANSWERS][number] | changes
    write_zip(archives[number], {key: content for key, content in members.items() if content is not None})
    with pytest.raises(DataError, match=sentence) as caught:
        from_archives(*archives, name="signs")
    assert "\n" not in str(caught.value)


def test_a_track_is_never_torn_apart(archives: list[Path]) -> None:
    signs = from_archives(*archives, name="signs")
    owner = {image.tobytes(): int(group) for image, group in zip(signs.train_images, signs.train_groups, strict=True)}
    by_input = {
        Sign()(torch.from_numpy(image).permute(2, 0, 1)[None])[0].numpy().tobytes(): owner[image.tobytes()]
        for image in signs.train_images
    }
    for seed in range(5):
        splits = sign_splits(signs, seed=seed, validation=0.34)
        train, held = ({by_input[x.numpy().tobytes()] for x, _ in part} for part in (splits.train, splits.validation))
        assert not train & held
        assert len(splits.validation) == 3 * FRAMES  # one track of each class, whole
        assert {group // 1000 for group in held} == {0, 1, 42}


def test_a_class_of_one_track_cannot_be_split(archives: list[Path]) -> None:
    signs = from_archives(*archives, name="signs")
    kept = signs.train_groups != 1001
    kept &= signs.train_groups != 1002
    lone = data.ImageData(
        "lone", NUM_CLASSES, signs.train_images[kept], signs.train_labels[kept], signs.test_images, signs.test_labels,
        signs.train_groups[kept],
    )  # fmt: skip
    with pytest.raises(DataError, match="class 1` must be of at least 2 groups"):
        sign_splits(lone, seed=0)


def test_the_packed_form_must_have_its_arrays(tmp_path: Path) -> None:
    images, labels = np.zeros((2, 32, 32, 3), np.uint8), np.array([0, 1], np.uint8)
    arrays = {"x_train": images, "y_train": labels, "track_train": labels, "x_test": images, "y_test": labels}
    np.savez(tmp_path / "good.npz", **arrays)
    assert from_packed(tmp_path / "good.npz", name="signs").train_groups.tolist() == [0, 1001]
    np.savez(tmp_path / "bad.npz", **{name: array for name, array in arrays.items() if name != "y_test"})
    with pytest.raises(DataError, match="an npz file with x_train"):
        from_packed(tmp_path / "bad.npz", name="signs")
    np.savez(tmp_path / "code.npz", **arrays | {"y_test": np.array([print, print], dtype=object)})
    with pytest.raises(DataError, match="an npz file with x_train"):
        from_packed(tmp_path / "code.npz", name="signs")
    whole = (tmp_path / "good.npz").read_bytes()
    for damaged in (whole[:-30], whole[:200] + b"!" + whole[201:], b""):
        (tmp_path / "damaged.npz").write_bytes(damaged)
        with pytest.raises(DataError, match=r"damaged\.npz: `file` must be"):
            from_packed(tmp_path / "damaged.npz", name="signs")
    np.savez(tmp_path / "other.npz", **arrays | {"y_train": np.array([0, 43])})
    with pytest.raises(DataError, match=r"in \[0, 42\]"):
        from_packed(tmp_path / "other.npz", name="signs")


SMALL_FRAMES, SMALL_TEST = (8, 22, 29), (0, 4, 8, 12, 20, 24, 28, 32, 40)  # of frames 0 to 29, of images 0 to 40


def plain(*colour: int) -> bytes:
    """Return an image of one colour, which scaling does not change."""
    return encoded(np.full((3, 4, 3), colour, np.uint8), "PPM")


@pytest.fixture
def small_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Write tracks of 30 frames, one of 29, and 41 test images; what `gtsrb-small` leaves out of them is no image."""
    tracks = [(0, 0, 30), (0, 1, 29), (42, 0, 30)]
    training: dict[str, bytes] = {}
    rows: dict[int, list[str]] = {0: [HEAD], 42: [HEAD]}
    for label, track, num_frames in tracks:
        for frame in range(num_frames):
            name = f"{track:05d}_{frame:05d}.ppm"
            content = plain(label, track, frame) if frame in SMALL_FRAMES else b"never decoded"
            training[f"GTSRB/Final_Training/Images/{label:05d}/{name}"] = content
            rows[label].append(row(name, label))
    for label, lines in rows.items():
        training[f"GTSRB/Final_Training/Images/{label:05d}/GT-{label:05d}.csv"] = "\n".join(lines).encode()
    test = {
        f"GTSRB/Final_Test/Images/{number:05d}.ppm": plain(200, 0, number) if number in SMALL_TEST else b"never decoded"
        for number in range(41)
    }
    answers = "\n".join([HEAD, *(row(f"{number:05d}.ppm", number) for number in range(41))]).encode()
    small = data.describe("gtsrb-small")
    others = tuple(dataclasses.replace(file, sha256=None, md5=None) for file in small.other_files)
    monkeypatch.setitem(DATA_SETS, small.name, dataclasses.replace(small, num_train=8, num_test=9, other_files=others))
    monkeypatch.setenv("THINOUT_DATA", str(tmp_path))
    monkeypatch.setenv("THINOUT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "gtsrb").mkdir()
    contents = (training, test, {"GT-final_test.csv": answers})
    return [write_zip(tmp_path / "gtsrb" / file.name, content) for file, content in zip(others, contents, strict=True)]


def test_the_small_set_is_cut_out_of_the_official_archives(small_archives: list[Path]) -> None:
    assert [check.path for check in data.check("gtsrb-small")] == small_archives
    signs = data.load("gtsrb-small")
    assert signs.train_images.shape == (8, 32, 32, 3)
    assert signs.train_images[:, 31, 31].tolist() == [
        [0, 0, 8], [0, 0, 22], [0, 0, 29], [0, 1, 8], [0, 1, 22], [42, 0, 8], [42, 0, 22], [42, 0, 29]
    ]  # fmt: skip  # class, track, frame
    assert signs.train_labels.tolist() == [0] * 5 + [42] * 3
    assert signs.train_groups.tolist() == [0, 0, 0, 1, 1, 42_000, 42_000, 42_000]
    assert signs.test_images[:, 0, 0].tolist() == [[200, 0, number] for number in SMALL_TEST]
    assert signs.test_labels.tolist() == list(SMALL_TEST)
    with pytest.raises(DataError, match="an image"):  # the full set decodes them all
        from_archives(*small_archives, name="gtsrb")


@pytest.mark.usefixtures("small_archives")
def test_another_number_of_images_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DATA_SETS, "gtsrb-small", dataclasses.replace(data.describe("gtsrb-small"), num_test=10))
    with pytest.raises(DataError, match="`test images` must be 10, got 9"):
        data.load("gtsrb-small")


def test_the_packed_file_goes_before_the_archives(small_archives: list[Path]) -> None:
    packed = small_archives[0].parents[1] / "gtsrb32" / "gtsrb32-subset.npz"
    packed.parent.mkdir()
    packed.write_bytes(b"damaged")
    assert [(check.path, check.state) for check in data.check("gtsrb-small")] == [(packed, "differs")]
    with pytest.raises(DataError, match="of sha256:58f9df2a"):
        data.load("gtsrb-small")


def test_a_chosen_frame_that_is_missing_is_named(small_archives: list[Path]) -> None:
    label = "GTSRB/Final_Training/Images/00000"
    table = "\n".join([HEAD, *(row(f"00000_{frame:05d}.ppm", 0) for frame in range(30))]).encode()
    write_zip(small_archives[0], {f"{label}/00000_00008.ppm": plain(1, 2, 3), f"{label}/GT-00000.csv": table})
    with pytest.raises(DataError, match=r"a difference at \[\(0, 0, 22\), \(0, 0, 29\)\]"):
        data.load("gtsrb-small")


def test_other_archives_of_the_same_names_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THINOUT_DATA", str(tmp_path))
    (tmp_path / "gtsrb").mkdir()
    for file in data.describe("gtsrb").files:
        write_zip(tmp_path / "gtsrb" / file.name, training_members())
    with pytest.raises(DataError, match="of md5:f33fd80ac59bff73c82d25ab499e03a3"):
        data.load("gtsrb")
    assert [check.state for check in data.check("gtsrb")] == ["differs"] * 3


def test_missing_archives_say_where_how_and_what_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THINOUT_DATA", str(tmp_path))
    monkeypatch.setenv("THINOUT_CACHE", str(tmp_path / "cache"))
    with pytest.raises(DataError, match=r"thinout data fetch gtsrb`.*`thinout study lenet5` needs no download"):
        data.load("gtsrb")
    with pytest.raises(DataError) as caught:
        data.load("gtsrb-small")
    text = str(caught.value)
    for place in ("gtsrb32", "gtsrb"):
        for root in (tmp_path, tmp_path / "cache"):
            assert f"{root / place} or" in text or f"{root / place}, got" in text
    assert "got no gtsrb32-subset.npz, nor instead GTSRB_Final_Training_Images.zip, GTSRB_Final_Test_Images.zip" in text
    assert "`thinout data fetch gtsrb-small`, or set THINOUT_DATA to the folder that holds gtsrb32/ or gtsrb/." in text
    assert [check.file.name for check in data.check("gtsrb-small") if check.file.url] == [
        file.name for file in data.describe("gtsrb").files
    ]


@pytest.mark.data
@pytest.mark.skipif("THINOUT_DATA" not in os.environ, reason="THINOUT_DATA is not set")
def test_the_packed_subset_has_all_classes_and_three_frames_a_track() -> None:
    signs = data.load("gtsrb-small")
    assert (len(signs.train_images), len(signs.test_images)) == (3920, 2527)
    assert set(signs.train_labels.tolist()) == set(signs.test_labels.tolist()) == set(range(43))
    _, counts = np.unique(signs.train_groups, return_counts=True)
    assert np.median(counts) == 3


@pytest.mark.data
@pytest.mark.skipif("THINOUT_DATA" not in os.environ, reason="THINOUT_DATA is not set")
def test_the_packed_subset_has_the_frames_and_the_test_images_that_are_cut_out() -> None:
    """GTSRB has 12,630 test images, and tracks of 30 frames, but for one of class 33 that has 29 (0 to 28)."""
    with np.load(Path(os.environ["THINOUT_DATA"]) / "gtsrb32" / "gtsrb32-subset.npz") as packed:
        tracks = packed["y_train"].astype(int) * 1000 + packed["track_train"]
        frames, names = packed["frame_train"], packed["test_filename"].tolist()
    assert names == [f"{number:05d}.ppm" for number in range(12_630) if is_small_test(number)]
    for track in np.unique(tracks).tolist():
        assert tuple(frames[tracks == track]) == (SMALL_FRAMES[:2] if track == 33_019 else SMALL_FRAMES)
