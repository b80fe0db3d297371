"""Photos from a folder in the layout of ImageNet, and what is said of a folder that cannot be used."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from _photos import noise, write_photos
from PIL import Image

from thinout.cli import run
from thinout.lab import data
from thinout.lab.cases import resolve
from thinout.lab.data import SKIP_BAD, DataError, class_names, open_folder, photo_splits
from thinout.lab.data import _folder as folder_module


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


@pytest.mark.data
@pytest.mark.skipif("THINOUT_DATA" not in os.environ, reason="THINOUT_DATA is not set")
def test_ants_and_bees() -> None:
    assert [check.state for check in data.check("ants-bees")] == ["ok", "ok"]
    images = data.load("ants-bees")
    assert images.train_images.shape == (244, 256, 256, 3)
    assert np.bincount(images.train_labels).tolist() == [123, 121]
    assert np.bincount(images.test_labels).tolist() == [70, 83]
