"""Photos from a folder in the layout of ImageNet, and what is said of a folder that cannot be used."""

from __future__ import annotations

import dataclasses
import logging
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from _photos import encoded, noise, write_photos, write_zip
from PIL import Image

from thinout.cli import run
from thinout.lab import data
from thinout.lab.cases import resolve
from thinout.lab.data import SKIP_BAD, DataError, class_names, open_folder, photo_splits
from thinout.lab.data import _folder as folder_module
from thinout.lab.data._sets import DATA_SETS


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos")


def spoil(photos: Path) -> int:
    """Put files into a folder that are no images, or only half of one; return how many."""
    whole = (photos / "train" / "cat" / "0.jpg").read_bytes()
    bad = {
        "train/cat/half.jpg": whole[: len(whole) // 2],
        "train/cat/notes.txt": b"not an image",
        "train/dog/page.jpg": b"<html>not found</html>",
        "val/dog/empty.jpg": b"",
    }
    for name, content in bad.items():
        (photos / name).write_bytes(content)
    (photos / "train" / "cat" / ".DS_Store").write_bytes(b"passed over")
    (photos / "val" / "cat" / "album").mkdir()
    return len(bad) + 1


@pytest.mark.parametrize("in_memory", [True, False])
def test_photos_become_middle_squares(photos: Path, monkeypatch: pytest.MonkeyPatch, in_memory: bool) -> None:
    monkeypatch.setattr(folder_module, "IN_MEMORY", 2**30 if in_memory else 0)
    opened = open_folder(photos, side=32)
    assert (opened.name, opened.classes, len(opened.train), len(opened.test)) == ("photos", ("cat", "dog"), 12, 12)
    assert opened.train.labels.tolist() == [0] * 6 + [1] * 6
    assert (opened.train.pixels is not None) == in_memory
    pixels = opened.train[6]
    assert (pixels.dtype, pixels.shape) == (torch.uint8, (3, 32, 32))
    with Image.open(photos / "train" / "dog" / "0.jpg") as image:  # 96 wide, 80 high: its middle is 8 ... 88
        square = np.asarray(image.resize((32, 32), Image.Resampling.BILINEAR, box=(8, 0, 88, 80)))
    assert np.abs(pixels.permute(1, 2, 0).numpy().astype(int) - square).mean() < 8  # a JPEG is scaled in the decoder


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_other_kinds_of_images_become_rgb(photos: Path, mode: str) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    Image.fromarray(noise(1)).convert(mode).save(photos / "train" / "cat" / "other.img", kind)
    assert len(open_folder(photos, side=16).train) == 13


def grey_of_16_bit(kind: str, value: int) -> bytes:
    """Return a grey image of 20 x 16 pixels of one value below 2**16."""
    values = np.full((16, 20), value, np.uint16)
    if kind == "PNG":
        return encoded(values)
    if kind == "P5":
        return b"P5 20 16 65535\n" + values.astype(">u2").tobytes()
    return b"P2 20 16 65535\n" + b" ".join(b"%d" % number for number in values.flat)


@pytest.mark.parametrize("kind", ["PNG", "P5", "P2"])
@pytest.mark.parametrize("value", [0, 1, 255, 256, 0x4080, 0x8000, 0xFFFF])
def test_grey_of_16_bit_keeps_the_higher_8(photos: Path, kind: str, value: int) -> None:
    (photos / "train" / "cat" / "00.img").write_bytes(grey_of_16_bit(kind, value))
    folder = open_folder(photos, side=16)
    assert folder.train.paths[1].name == "00.img"
    assert folder.train[1].unique().tolist() == [value // 256]


def test_16_bit_that_are_cut_short_and_floating_point_numbers_are_refused_by_name(photos: Path) -> None:
    (photos / "train" / "cat" / "cut.pgm").write_bytes(grey_of_16_bit("P5", 300)[:-20])
    (photos / "train" / "dog" / "floats.pfm").write_bytes(b"Pf 20 16 -1.0\n" + np.ones((16, 20), "<f4").tobytes())
    with pytest.raises(DataError, match=r"2 that are not: .*cut\.pgm .*floats\.pfm \(floating-point numbers\)"):
        open_folder(photos, side=16)


# Of each value of the EXIF tag "Orientation": the sides of the scene at which the first row and column lie.
SIDES = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", SIDES)
def test_photos_are_turned_upright(photos: Path, kind: str, orientation: int) -> None:
    scene = np.zeros((16, 32, 3), np.uint8)
    scene[:8, 8:16], scene[:8, 16:24], scene[8:, 8:16], scene[8:, 16:24] = 40, 100, 160, 220
    row, column = SIDES[orientation]
    stored = scene.transpose(1, 0, 2) if row in ("left", "right") else scene
    stored = stored[::-1] if row in ("right", "bottom") else stored
    stored = stored[:, ::-1] if column in ("right", "bottom") else stored
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 100} if kind == "JPEG" else {"lossless": True}
    path = photos / "train" / "cat" / "00.img"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, kind, exif=exif, **options)
    pixels = open_folder(photos, side=16).train[1].permute(1, 2, 0).numpy()
    assert np.abs(pixels.astype(int) - scene[:, 8:24]).max() <= (2 if kind == "JPEG" else 0)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow's
@pytest.mark.parametrize("exif", [b"Exif\0\0no tags", b"Exif\0\0MM\0*\xff\xff\xff\xff", b""])
def test_tags_that_cannot_be_read_turn_nothing(photos: Path, exif: bytes) -> None:
    pixels = noise(1, 16, 16)
    Image.fromarray(pixels).save(photos / "train" / "cat" / "00.img", "WEBP", lossless=True, exif=exif)
    assert np.array_equal(open_folder(photos, side=16).train[1].permute(1, 2, 0).numpy(), pixels)


def test_bad_files_are_counted_and_named(photos: Path) -> None:
    num_bad = spoil(photos)
    with pytest.raises(DataError) as caught:
        open_folder(photos, side=16)
    text = str(caught.value)
    assert f"{num_bad} that are not" in text
    for name in ("train/cat/half.jpg", "train/cat/notes.txt", "train/dog/page.jpg", "val/cat/album", "val/dog/empty"):
        assert name in text
    assert ".DS_Store" not in text
    assert "--skip-bad" in text
    assert "\n" not in text


def test_bad_files_are_skipped_on_request_only_and_with_a_warning(
    photos: Path, caplog: pytest.LogCaptureFixture
) -> None:
    num_bad = spoil(photos)
    with caplog.at_level(logging.WARNING, "thinout"):
        opened = open_folder(f"{photos}{SKIP_BAD}", side=16)
    assert (len(opened.train), len(opened.test), len(opened.skipped)) == (12, 12, num_bad)
    assert f"{num_bad} files skipped" in caplog.text
    assert "train/cat/notes.txt" in caplog.text


def test_of_a_large_folder_all_is_decoded_where_bad_files_are_to_be_skipped(
    photos: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(folder_module, "IN_MEMORY", 0)
    num_bad = spoil(photos)  # one of them has a good header, and is cut short
    with caplog.at_level(logging.WARNING, "thinout"):
        opened = open_folder(f"{photos}{SKIP_BAD}", side=16)
    assert (len(opened.train), len(opened.test), len(opened.skipped)) == (12, 12, num_bad)
    assert f"{num_bad} files skipped" in caplog.text
    assert "train/cat/half.jpg" in caplog.text
    assert opened.train.pixels is None
    assert {opened.train[index].shape for index in range(12)} == {(3, 16, 16)}


def test_of_a_large_folder_headers_are_read_and_a_cut_file_is_named_when_it_is_met(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_module, "IN_MEMORY", 0)
    whole = (photos / "train" / "cat" / "0.jpg").read_bytes()
    (photos / "train" / "cat" / "0.jpg").write_bytes(whole[: len(whole) // 2])
    opened = open_folder(photos, side=16)
    with pytest.raises(DataError, match=r"cat/0\.jpg.*complete image"):
        opened.train[0]
    (photos / "train" / "cat" / "0.jpg").write_bytes(b"not even a header")
    with pytest.raises(DataError, match="1 that are not"):
        open_folder(photos, side=16)


def test_an_image_too_large_to_decode_is_bad(photos: Path) -> None:
    header = b"P6 60000 60000 255\n"  # 10 GiB of pixels, says the header
    (photos / "train" / "cat" / "huge.ppm").write_bytes(header + bytes(100))
    with pytest.raises(DataError, match=r"huge\.ppm"):
        open_folder(photos, side=16)


@pytest.mark.parametrize(
    ("classes", "sentence"),
    [(("cat",), "at least two classes, got cat"), ((), "at least two classes|one with train and val")],
)
def test_a_folder_of_one_class_is_refused(tmp_path: Path, classes: tuple[str, ...], sentence: str) -> None:
    write_photos(tmp_path / "photos", classes=classes, num=1)
    (tmp_path / "photos" / "train").mkdir(exist_ok=True, parents=True)
    (tmp_path / "photos" / "val").mkdir(exist_ok=True)
    for function in (open_folder, class_names):
        with pytest.raises(DataError, match=sentence):
            function(tmp_path / "photos")


def test_a_folder_in_another_layout_is_refused(photos: Path) -> None:
    for folder, sentence in (
        (photos.parent / "nothing", "nothing of that name"),
        (photos / "train", "one with train and val in it"),
    ):
        with pytest.raises(DataError, match=sentence):
            open_folder(folder)
    (photos / "val" / "bird").mkdir()
    with pytest.raises(DataError, match="those of train, got bird"):
        open_folder(photos, side=16)


def test_a_class_without_images_and_a_class_of_one_are_refused(photos: Path) -> None:
    for index in range(5):
        (photos / "train" / "cat" / f"{index}.jpg").unlink()
    with pytest.raises(DataError, match="class 0` must be of at least 2 training images"):
        photo_splits(open_folder(photos, side=16), seed=0, size=14)
    (photos / "train" / "cat" / "5.jpg").unlink()
    with pytest.raises(DataError, match="class cat"):
        open_folder(photos, side=16)


def test_val_is_the_test_part_unless_there_is_one(photos: Path) -> None:
    splits = photo_splits(open_folder(photos, side=16), seed=0, size=14, validation=0.34)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (8, 4, 12)
    (photos / "val").rename(photos / "test")
    write_photos(photos.parent / "more", num=2)
    (photos.parent / "more" / "val").rename(photos / "val")
    splits = photo_splits(open_folder(photos, side=16), seed=0, size=14)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (12, 4, 12)


def test_the_command_skips_on_request(photos: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(photos.parent)
    num_bad = spoil(photos)
    command = ["train", "alexnet-64", "--data", "photos", "--set", "epochs=1", "--folder", "out"]
    assert run(command) == 1
    assert f"{num_bad} that are not" in capsys.readouterr().err
    assert run([*command, "--skip-bad"]) == 0
    assert '"data": "photos?skip-bad"' in next(Path("out").rglob("seed-0.json")).read_text()
    assert run(["summary", "alexnet-64", "--data", "photos", "--skip-bad"]) == 0


def test_a_case_takes_a_folder_and_names_it(photos: Path) -> None:
    case = resolve("alexnet-64", str(photos))
    assert case.data_name == "folder photos"
    assert case.splits(0).num_classes == 2
    with pytest.raises(DataError, match="the name of a data set"):
        resolve("alexnet-64", str(photos / "nothing"))


def tutorial_members(num: int = 2) -> dict[str, bytes]:
    """Return the layout of hymenoptera_data.zip, each photo grey as its part, class and number say."""
    members = {"hymenoptera_data/train/ants/imageNotFound.gif": b"GIF89a", "__MACOSX/train/ants/._0.jpg": b"other"}
    for part, first in (("train", 0), ("val", 100)):
        for label, name in enumerate(("ants", "bees")):
            for index in reversed(range(num)):
                pixels = np.full((40, 48, 3), first + 40 * label + 20 * index, np.uint8)
                members[f"hymenoptera_data/{part}/{name}/{index}.jpg"] = encoded(pixels, "JPEG")
    return members


@pytest.fixture
def tutorial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an empty THINOUT_DATA, and a set of 4 + 4 photos of `ants-bees`; return the archive's path."""
    monkeypatch.setenv("THINOUT_DATA", str(tmp_path))
    monkeypatch.setenv("THINOUT_CACHE", str(tmp_path / "cache"))
    small = dataclasses.replace(data.describe("ants-bees"), num_train=4, num_test=4)
    monkeypatch.setitem(DATA_SETS, "ants-bees", small)
    (tmp_path / "ants-bees").mkdir()
    return tmp_path / "ants-bees" / "hymenoptera_data.zip"


def test_the_archive_of_the_tutorial_is_read(tutorial: Path) -> None:
    write_zip(tutorial, tutorial_members())
    assert [check.state for check in data.check("ants-bees")] == ["unverified"]
    images = data.load("ants-bees")
    assert images.train_images.shape == images.test_images.shape == (4, 256, 256, 3)
    assert images.train_labels.tolist() == images.test_labels.tolist() == [0, 0, 1, 1]
    assert np.abs(images.train_images[:, 128, 128, 0].astype(int) - [0, 20, 40, 60]).max() <= 1  # JPEG rounds
    assert np.abs(images.test_images[:, 0, 0, 0].astype(int) - [100, 120, 140, 160]).max() <= 1


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        (tutorial_members(3), r"`photos` must be 4 \+ 4, got 6 \+ 6"),
        (tutorial_members() | {"hymenoptera_data/val/wasps/0.jpg": b""}, "under train/CLASS or val/CLASS.*wasps"),
        (tutorial_members() | {"hymenoptera_data/val/bees/0.jpg": b"<html>"}, "an image"),
        (
            tutorial_members(1) | {name.replace("_data", "_more"): file for name, file in tutorial_members(1).items()},
            "`photos` must be under names of their own, got .* twice",
        ),
        ({}, r"one with train/CLASS/\*\.jpg"),
    ],
)
def test_another_archive_is_refused(tutorial: Path, members: dict[str, bytes], sentence: str) -> None:
    write_zip(tutorial, members)
    with pytest.raises(DataError, match=sentence):
        data.load("ants-bees")


def test_the_missing_photos_are_said_to_be_in_the_archive_or_the_folders(tutorial: Path) -> None:
    with pytest.raises(DataError) as caught:
        data.load("ants-bees")
    text = str(caught.value)
    for folder in (tutorial.parent, tutorial.parents[1] / "ants-bees-256", tutorial.parents[1] / "cache" / "ants-bees"):
        assert str(folder) in text
    assert (
        "got no hymenoptera_data.zip, nor instead train, val. Get it from https://docs.pytorch.org/tutorials/" in text
    )
    assert "`--data PATH/hymenoptera_data --skip-bad`" in text


def test_the_unpacked_archive_of_the_tutorial_is_a_folder_of_photos(tmp_path: Path) -> None:
    with zipfile.ZipFile(write_zip(tmp_path / "hymenoptera_data.zip", tutorial_members())) as archive:
        archive.extractall(tmp_path, [name for name in archive.namelist() if name.startswith("hymenoptera_data")])
    case = resolve("alexnet-64", f"{tmp_path / 'hymenoptera_data'}{SKIP_BAD}")  # what the message names works
    assert len(case.splits(0).test) == 4
    with pytest.raises(DataError, match=r"1 that are not: train/ants/imageNotFound\.gif"):
        open_folder(tmp_path / "hymenoptera_data")


@pytest.mark.data
@pytest.mark.skipif("THINOUT_DATA" not in os.environ, reason="THINOUT_DATA is not set")
def test_ants_and_bees() -> None:
    assert [check.state for check in data.check("ants-bees")] == ["ok", "ok"]
    images = data.load("ants-bees")
    assert images.train_images.shape == (244, 256, 256, 3)
    assert np.bincount(images.train_labels).tolist() == [123, 121]
    assert np.bincount(images.test_labels).tolist() == [70, 83]
