"""Drives: the tub of Donkeycar as folder and archive, and splits that never tear neighbours apart."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path

import _official
import numpy as np
import pytest
import torch
from PIL import Image

from thinout.lab import data
from thinout.lab.data import DataError, Drive, drive_splits, read_tub

needs_data = [
    pytest.mark.data,
    pytest.mark.skipif("THINOUT_DATA" not in os.environ, reason="THINOUT_DATA is not set"),
]
ANGLES = [0.0, 0.25, -0.5, 1.0]


def greys(drive: Drive) -> list[int]:
    return np.round(drive.frames.mean((1, 2, 3))).astype(int).tolist()


@pytest.mark.parametrize("form", ["folder", "archive"])
def test_a_tub_is_read_in_the_order_of_its_records(tmp_path: Path, form: str) -> None:
    files = _official.tub_files(ANGLES)
    lines = files["catalog_0.catalog"].splitlines()
    files["catalog_0.catalog"], files["catalog_1.catalog"] = lines[3] + b"\n" + lines[1], lines[2] + b"\n" + lines[0]
    make = _official.tub_folder if form == "folder" else _official.tub_archive
    drive = read_tub(make(tmp_path / "tub", files), name="tiny")
    assert drive.frames.shape == (4, 60, 80, 3)
    assert greys(drive) == [10, 11, 12, 13]
    assert drive.angles.tolist() == ANGLES


def test_deleted_records_are_left_out(tmp_path: Path) -> None:
    files = _official.tub_files(ANGLES, deleted=(1, 2))
    assert read_tub(_official.tub_folder(tmp_path, files), name="tiny").angles.tolist() == [0.0, 1.0]


def test_the_older_layout_of_a_file_a_record_is_read(tmp_path: Path) -> None:
    for index in (10, 9):
        image = f"{index}_cam-image_array_.jpg"
        (tmp_path / f"record_{index}.json").write_text(json.dumps(_official.record(0, index / 10, image)))
        (tmp_path / image).write_bytes(_official.jpeg(index))
    (tmp_path / "meta.json").write_text("{}")
    assert read_tub(tmp_path, name="old").angles.tolist() == [0.9, 1.0]


def catalog(**changes: object) -> bytes:
    return json.dumps({**_official.record(0), **changes}).encode()


@pytest.mark.parametrize("form", ["folder", "archive"])
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "`record` must be there once, got 0 twice. Give one tub, the folder of one drive"),
        ({"_index": 9}, "`image` must be there once, got 0_cam_image_array_.jpg twice. Give one tub"),
    ],
)
def test_several_drives_in_one_folder_are_refused(tmp_path: Path, form: str, changes: dict, sentence: str) -> None:
    first, other = _official.tub_files(ANGLES), _official.tub_files([0.5])
    other["catalog_0.catalog"] = catalog(**changes)
    files = {f"data/tub_1/{name}": content for name, content in first.items()}
    files |= {f"data/tub_2/{name}": content for name, content in other.items()}
    make = _official.tub_folder if form == "folder" else _official.tub_archive
    with pytest.raises(DataError, match=sentence):
        read_tub(make(tmp_path / "tubs", files), name="two")


def test_several_drives_of_the_older_layout_are_refused(tmp_path: Path) -> None:
    for tub in ("tub_1", "tub_2"):
        (tmp_path / tub).mkdir()
        (tmp_path / tub / "record_5.json").write_text(json.dumps(_official.record(0, 0, f"{tub}.jpg")))
        (tmp_path / tub / f"{tub}.jpg").write_bytes(_official.jpeg(9))
    with pytest.raises(DataError, match="`record` must be there once, got 5 twice"):
        read_tub(tmp_path, name="old")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("catalog_0.catalog", b"", "catalog_N.catalog or record_N.json"),
        ("catalog_0.catalog", b"{", "line 1: `record` must be JSON"),
        ("catalog_0.catalog", b"[1]", "a JSON object, got list"),
        ("catalog_0.catalog", b"[" * 100_000, "must be JSON"),
        ("catalog_0.catalog", catalog(_index=-1), "_index"),
        ("catalog_0.catalog", catalog(**{"user/angle": 1.5}), r"record 0: `user/angle` must be a number in \[-1, 1\]"),
        ("catalog_0.catalog", catalog(**{"user/angle": float("nan")}), "user/angle"),
        ("catalog_0.catalog", catalog(**{"user/angle": None}), "user/angle"),
        ("catalog_0.catalog", catalog(**{"user/angle": 10**400}), "user/angle"),
        *(
            ("manifest.json", json.dumps({"deleted_indexes": got}).encode(), "a list of whole numbers, got")
            for got in (None, 3, "0", [[0]], [True], [0.0])
        ),
        ("catalog_0.catalog", catalog(**{"cam/image_array": "../../etc/passwd"}), "the name of an image in the tub"),
        ("images/2_cam_image_array_.jpg", b"no image", "2_cam_image_array_.jpg: `file` must be an image"),
        ("images/2_cam_image_array_.jpg", _official.jpeg(9)[:400], "2_cam_image_array_.jpg"),
    ],
)
def test_a_damaged_tub_is_refused_with_its_place(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    files = _official.tub_files(ANGLES) | {name: content}
    with pytest.raises(DataError, match=sentence):
        read_tub(_official.tub_folder(tmp_path, files), name="tiny")


def test_paths_and_links_that_leave_the_tub_are_refused(tmp_path: Path) -> None:
    archive = _official.tub_archive(tmp_path / "a.tar.gz", {"/etc/catalog_0.catalog": catalog()})
    with pytest.raises(DataError, match="relative paths"):
        read_tub(archive, name="tiny")
    folder = _official.tub_folder(tmp_path / "tub", _official.tub_files(ANGLES))
    (folder / "images" / "9_cam.jpg").symlink_to("/etc/hostname")
    with pytest.raises(DataError, match=r"the link '9_cam\.jpg'"):
        read_tub(folder, name="tiny")


def test_a_tub_of_another_size_is_refused_by_the_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THINOUT_DATA", str(tmp_path))
    monkeypatch.setenv("THINOUT_CACHE", str(tmp_path / "cache"))
    with pytest.raises(DataError, match=r"no tub.tar.gz.*github.com/autorope/donkeycar"):
        data.load("donkey-tub")
    _official.tub_folder(tmp_path / "donkey-tub" / "tub", _official.tub_files(ANGLES))
    with pytest.raises(DataError, match="1000, got 4"):
        data.load("donkey-tub")
    (tmp_path / "donkey-tub" / "tub.tar.gz").write_bytes(b"\x1f\x8b")
    with pytest.raises(DataError, match="sha256"):  # the archive comes first, and its checksum is known
        data.load("donkey-tub")


def numbered(num: int = 200) -> Drive:
    """Make a drive whose frame i is of the grey i, with a mark on its left side, and whose angle grows with i."""
    frames = np.repeat(np.arange(num, dtype=np.uint8), 60 * 80 * 3).reshape(num, 60, 80, 3).copy()
    frames[:, :, :40] += 50
    return Drive("numbered", frames, np.linspace(-1, 1, num))


def greys_of(splits, part: str) -> np.ndarray:
    """Return the grey of the right side of each frame or clip (N, frames)."""
    inputs = getattr(splits, part).tensors[0]
    inputs = inputs[:, :, None] if inputs.dim() == 4 else inputs
    pixels = 255 * (inputs[:, 0, :, -1, -1].double() * splits.std[0] + splits.mean[0])
    return pixels.round().long().numpy()


def test_grey_frames_of_16_bit_keep_the_higher_8(tmp_path: Path) -> None:
    files = _official.tub_files([0.0]) | {"catalog_0.catalog": catalog(**{"cam/image_array": "x.png"})}
    folder = _official.tub_folder(tmp_path / "tub", files)
    Image.fromarray(np.full((120, 160), 0x4080, np.uint16)).save(folder / "images" / "x.png")
    assert np.unique(read_tub(folder, name="tiny").frames).tolist() == [0x40]


def test_training_frames_are_those_whose_distance_from_each_other_frame_is_above_the_gap() -> None:
    bits = np.random.default_rng(0)
    for _ in range(60):
        num, seed, num_blocks = int(bits.integers(1, 200)), int(bits.integers(0, 50)), int(bits.integers(3, 8))
        blocks = np.arange(num) * num_blocks // num
        tested = seed % num_blocks
        held = (tested + 1 + seed // num_blocks % (num_blocks - 1)) % num_blocks
        others = [place for place in range(num) if blocks[place] in (tested, held)]
        expected = [place for place in range(num) if all(abs(place - other) > 10 for other in others)]
        if not expected or {tested, held} - set(blocks):
            with pytest.raises(DataError, match=f"enough for {num_blocks} blocks"):
                drive_splits(numbered(num), seed=seed, num_blocks=num_blocks)
        elif len(expected) > 1:  # of one frame the angle is constant
            splits = drive_splits(numbered(num), seed=seed, num_blocks=num_blocks)
            assert greys_of(splits, "train")[: len(splits.train) // 2, 0].tolist() == expected


def test_the_memory_for_a_split_grows_no_faster_than_the_drive() -> None:
    drive = Drive("long", np.zeros((20_000, 1, 1, 3), np.uint8), np.linspace(-1, 1, 20_000))
    drive.frames[::2] = 1
    drive_splits(drive, seed=0)  # what is loaded the first time does not count
    tracemalloc.start()
    try:
        drive_splits(drive, seed=0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 500 * 20_000  # bytes; distances of each frame from each would be 20,000 x 8,000 numbers


@pytest.mark.parametrize("seed", range(20))
def test_parts_are_contiguous_blocks_apart_from_each_other(seed: int) -> None:
    splits = drive_splits(numbered(), seed=seed)
    test, validation = greys_of(splits, "test")[:, 0], greys_of(splits, "validation")[:, 0]
    assert test.tolist() == list(range(seed % 5 * 40, seed % 5 * 40 + 40))
    assert validation.tolist() == list(range(validation[0], validation[0] + 40))
    train = greys_of(splits, "train")[: len(splits.train) // 2, 0]
    assert np.abs(train[:, None] - np.concatenate([test, validation])).min() == 11
    assert set(test) | set(validation) | set(train) <= set(range(200))


def test_twenty_seeds_pair_every_test_block_with_every_validation_block() -> None:
    parts = [drive_splits(numbered(), seed=seed) for seed in range(20)]
    pairs = {(greys_of(s, "test")[0, 0] // 40, greys_of(s, "validation")[0, 0] // 40) for s in parts}
    assert pairs == {(a, b) for a in range(5) for b in range(5) if a != b}


def test_the_mirrored_half_is_mirrored_and_steers_the_other_way() -> None:
    splits = drive_splits(numbered(), seed=0)
    frames, angles = splits.train.tensors
    half = len(frames) // 2
    assert torch.equal(frames[half:], frames[:half].flip(-1))
    centre = angles[:half].mean()
    assert abs(centre) < 1e-6  # a prediction of 0 is that of the training mean
    sums = angles[:half] + angles[half:]
    assert torch.allclose(sums, sums[0].expand_as(sums), atol=1e-5)


def test_clips_end_at_their_angle_and_stay_in_one_block() -> None:
    drive = numbered()
    splits = drive_splits(drive, seed=1, clip=8, pool=2, every=3)
    assert splits.shape == (3, 8, 30, 40)
    for part in ("train", "validation", "test"):
        clips = greys_of(splits, part)
        clips = clips[: len(clips) // 2] if part == "train" else clips
        assert (np.diff(clips, axis=1) == 1).all()
    clips = greys_of(splits, "test")
    assert clips[:, -1].tolist() == list(range(47, 80))
    angles = splits.test.tensors[1][:, 0].double() * splits.target_std[0]
    expected = drive.angles[47:80]
    assert np.allclose(np.diff(angles), np.diff(expected), atol=1e-6)


def test_a_drive_that_is_too_short_or_straight_is_refused() -> None:
    with pytest.raises(DataError, match="5 blocks of clips of 50"):
        drive_splits(numbered(), seed=0, clip=50)
    straight = Drive("straight", numbered().frames, np.zeros(200))
    with pytest.raises(DataError, match="one constant number"):
        drive_splits(straight, seed=0)
    with pytest.raises(ValueError, match="`num_blocks` must be a whole number of at least 3"):
        drive_splits(numbered(), seed=0, num_blocks=2)


class TestPublished:
    pytestmark = needs_data

    def test_the_drive_has_its_thousand_frames(self) -> None:
        drive = data.load("donkey-tub")
        assert drive.frames.shape == (1000, 60, 80, 3)
        assert [file.state for file in data.check("donkey-tub")] == ["ok"]
        assert (round(drive.angles.min(), 2), drive.angles.max()) == (-0.86, 1)


def test_frames_are_means_of_squares_of_the_camera_s(tmp_path: Path) -> None:
    files = _official.tub_files([0.0])
    pixels = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    name = "images/x.png"
    files |= {name: (tmp_path / "x.png").read_bytes(), "catalog_0.catalog": catalog(**{"cam/image_array": "x.png"})}
    frame = read_tub(_official.tub_folder(tmp_path / "tub", files), name="tiny").frames[0]
    means = pixels.reshape(60, 2, 80, 2, 3).mean((1, 3))
    assert np.abs(frame - means).max() <= 1  # rows and columns are averaged one after the other, each rounded
