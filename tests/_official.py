"""Tiny data sets in the official layouts, made from random numbers; nothing in them comes from a real set."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

NUMBERS = np.random.default_rng(0)


def wdbc(path: Path, rows: int = 6) -> Path:
    """Write patient's number, diagnosis and 30 measures a line, as wdbc.data does."""
    lines = [f"{8000 + i},{'MB'[i % 2]}," + ",".join(f"{x:.4g}" for x in NUMBERS.random(30)) for i in range(rows)]
    path.write_text("\n".join(lines) + "\n\n")
    return path


CLEVELAND = """\
61.0,1.0,1.0,141.0,230.0,1.0,2.0,151.0,0.0,2.1,3.0,0.0,6.0,0
66.0,0.0,4.0,161.0,280.0,0.0,0.0,109.0,1.0,1.4,2.0,?,3.0,2
42.0,1.0,3.0,131.0,251.0,0.0,1.0,186.0,0.0,3.4,1.0,1.0,?,0
41.0,1.0,2.0,121.0,249.0,0.0,1.0,185.0,0.0,3.3,1.0,2.0,7.0,4
"""
"""Four invented patients as processed.cleveland.data writes them."""

KEEL = """\
@relation shells
@attribute Sex {M, F, I}
@attribute Length real [0.1, 0.8]
@attribute Rings integer [1, 9]
@attribute Class {positive, negative}
@inputs Sex, Length, Rings
@outputs Class
@data
M, 0.31, 4, negative
I, 0.52, 9, positive
F, 0.47, 2, negative
"""


def uci_folder(folder: Path, rows: int = 20, features: int = 3, parts: int = 2) -> Path:
    """Write the files of a set as Gal's repository has them: the target is the first column."""
    place = folder / "data"
    place.mkdir(parents=True)
    np.savetxt(place / "data.txt", NUMBERS.random((rows, features + 1)))
    np.savetxt(place / "index_features.txt", np.arange(1, features + 1), fmt="%d.0")
    np.savetxt(place / "index_target.txt", [0], fmt="%d")
    for number in range(parts):
        order = NUMBERS.permutation(rows)
        np.savetxt(place / f"index_test_{number}.txt", order[:4], fmt="%d")
        np.savetxt(place / f"index_train_{number}.txt", order[4:], fmt="%d")
    return folder


def tsv(folder: Path, name: str = "GunPoint", length: int = 12, rows: int = 4) -> Path:
    """Write a set as the UCR archive of 2018 does: label and values, apart by tabs."""
    folder.mkdir(parents=True, exist_ok=True)
    for word in ("TRAIN", "TEST"):
        lines = [f"{1 + i % 2}\t" + "\t".join(f"{x:.6f}" for x in NUMBERS.random(length)) for i in range(rows)]
        (folder / f"{name}_{word}.tsv").write_text("\n".join(lines) + "\n")
    return folder


TS = """\
# A comment.
@problemName BasicMotions
@univariate false
@classLabel true Standing Walking
@data
0.1,0.2,0.3:1.0,2.0,3.0:Standing
0.4,0.5:4.0,5.0:walking
"""


def record(index: int, angle: float = 0.0, name: str | None = None) -> dict[str, object]:
    image = f"{index}_cam_image_array_.jpg" if name is None else name
    return {"_index": index, "cam/image_array": image, "user/angle": angle, "user/mode": "user", "user/throttle": 0.5}


def jpeg(level: int, size: tuple[int, int] = (160, 120)) -> bytes:
    """Return a JPEG file of one grey."""
    buffer = io.BytesIO()
    Image.new("RGB", size, (level, level, level)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def tub_files(angles: list[float], deleted: tuple[int, ...] = ()) -> dict[str, bytes]:
    """Return the files of a tub of Donkeycar 4 or later; the frame number i is of the grey 10 + i."""
    lines = [json.dumps(record(index, angle)) for index, angle in enumerate(angles)]
    manifest = [json.dumps(["cam/image_array"]), json.dumps({"paths": [], "deleted_indexes": list(deleted)})]
    images = {f"images/{i}_cam_image_array_.jpg": jpeg(10 + i) for i in range(len(angles))}
    return {
        "manifest.json": "\n".join(manifest).encode(),
        "catalog_0.catalog": "\n".join(lines).encode() + b"\n",
        "._catalog_0.catalog": b"\0\1\2 of another system",
        **images,
    }


def tub_folder(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def tub_archive(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name if name.startswith("/") else f"tub/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path
