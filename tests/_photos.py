"""Tiny images in the official layouts of their sets: made here, never downloaded."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image


def encoded(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    """Return an image file of uint8 pixels (H, W, 3)."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def noise(seed: int, height: int = 40, width: int = 48) -> np.ndarray:
    """Return random pixels."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def write_zip(path: Path, members: Mapping[str, bytes]) -> Path:
    """Write a zip file."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def write_tar(path: Path, members: Mapping[str, bytes], mode: str = "w:xz") -> Path:
    """Write a tar file."""
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def write_photos(root: Path, *, classes: tuple[str, ...] = ("cat", "dog"), num: int = 6, side: int = 80) -> Path:
    """Write a folder in the layout of ImageNet; each class has a colour of its own, and every photo some noise."""
    for part in ("train", "val"):
        for label, name in enumerate(classes):
            folder = root / part / name
            folder.mkdir(parents=True)
            for index in range(num):
                pixels = noise(1000 * label + index + 100 * (part == "val"), side, side + 16) // 2
                pixels[..., label % 3] += 120
                (folder / f"{index}.jpg").write_bytes(encoded(pixels, "JPEG"))
    return root
