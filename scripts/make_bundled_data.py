"""Make the bundled fashion-mnist-small.npz from the full Fashion-MNIST, the same bytes every time.

    python scripts/make_bundled_data.py [FOLDER]

FOLDER defaults to the package's own. The full set is found as by `thinout data check fashion-mnist`. The content is
the same on every machine; the compressed bytes also depend on the compressor, so use a Python with the classic zlib
(`python -c "import zlib; print(zlib.ZLIB_RUNTIME_VERSION)"` must not say zlib-ng).
"""

from __future__ import annotations

import hashlib
import io
import sys
import zipfile
from pathlib import Path

import numpy as np

from thinout.lab.data import ImageData, load
from thinout.lab.data._places import BUNDLED
from thinout.lab.data._sets import BUNDLED_ARRAYS, small

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip file can state
_UNIX = 3


def write_npz(data: ImageData, path: Path) -> None:
    """Write the four arrays as a compressed npz without any trace of time or machine."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in BUNDLED_ARRAYS:
            member = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            member.create_system = _UNIX
            member.external_attr = 0o644 << 16
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, _npy(getattr(data, name)), compresslevel=9)


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array.astype(np.uint8), version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def main(arguments: list[str]) -> None:
    """Write the file and print its size and checksum, which belong into `_sets.py`."""
    folder = Path(arguments[0]) if arguments else BUNDLED
    path = folder / "fashion-mnist-small.npz"
    write_npz(small(load("fashion-mnist")), path)
    content = path.read_bytes()
    print(f"{path}\nsize={len(content):_}\nsha256={hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main(sys.argv[1:])
