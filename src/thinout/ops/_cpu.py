"""The C++ kernel library: where it lies, whether it fits, and its calls on tensors.

The library is plain C (`csrc/dropout.h`), so one build serves every Python and torch. It is loaded after torch, whose
OpenMP run time it then shares. Nothing here raises because of the library: where it is missing, of another platform,
cut short or of another version, `library()` is None and `unavailable_reason()` says why in one sentence.
"""

from __future__ import annotations

import ctypes
import functools
import os
import struct
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from thinout._checks import message
from thinout.ops._contract import row_major_strides

ABI_VERSION = 2
DTYPES = {torch.float32: 0, torch.float64: 1, torch.bfloat16: 2, torch.float16: 3}

_INT, _INT64, _UINT64, _DOUBLE = ctypes.c_int, ctypes.c_int64, ctypes.c_uint64, ctypes.c_double
_POINTER, _TEXT = ctypes.c_void_p, ctypes.c_char_p
_INTS = ctypes.c_void_p  # as addresses, which are quicker to hand over than arrays
_STREAM = (_INT64, _UINT64, _UINT64, _UINT64, _INT)  # first_index, key, offset, threshold, wide
_SIGNATURES: dict[str, tuple[type, tuple[type, ...]]] = {
    "thinout_isa": (_TEXT, ()),
    "thinout_isa_available": (_TEXT, ()),
    "thinout_set_isa": (_INT, (_TEXT,)),
    "thinout_dropout": (_INT, (_POINTER, _POINTER, _INT64, _INT, *_STREAM, _DOUBLE, _INT)),
    "thinout_mask": (_INT, (_POINTER, _INT64, *_STREAM, _INT)),
    "thinout_dropout_strided": (
        _INT,
        (_POINTER, _POINTER, _INT, _INT, _INTS, _INTS, _INTS, _INTS, *_STREAM, _DOUBLE, _INT),
    ),
    "thinout_mask_strided": (_INT, (_POINTER, _INT, _INTS, _INTS, _INTS, *_STREAM, _INT)),
    "thinout_dropout_add": (_INT, (*3 * (_POINTER,), _INT64, _INT, *_STREAM, _DOUBLE, _INT)),
}


class _Loaded(NamedTuple):
    library: ctypes.CDLL | None
    reason: str | None


def _candidates() -> list[Path]:
    chosen = os.environ.get("THINOUT_KERNEL_PATH")
    if chosen:
        return [Path(chosen)]
    import thinout  # the package's search path: an editable install keeps built files apart from the sources

    return [file for folder in thinout.__path__ for file in sorted(Path(folder).glob("_thinout_kernel*.so"))]


def _is_cut_short(path: Path) -> bool:
    """Whether a 64-bit ELF file ends before its section table: to load such a file can kill the process."""
    with path.open("rb") as file:
        header = file.read(64)
    if header[:5] != b"\x7fELF\x02":
        return False
    if len(header) < 64:
        return True
    (table,) = struct.unpack_from("<Q", header, 40)
    entry_bytes, entries = struct.unpack_from("<HH", header, 58)
    return bool(path.stat().st_size < table + entry_bytes * entries)


def _open(path: Path) -> ctypes.CDLL:
    if _is_cut_short(path):
        raise OSError("the file is cut short")
    library = ctypes.CDLL(str(path))
    library.thinout_abi_version.restype = _INT
    version = library.thinout_abi_version()
    if version != ABI_VERSION:
        raise OSError(f"it has version {version}, this thinout needs {ABI_VERSION}")
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def _attempt(path: Path) -> _Loaded:
    try:
        return _Loaded(_open(path), None)
    except (OSError, AttributeError) as error:  # not loadable here; or a library without our functions
        return _Loaded(None, f"The kernel library {path} cannot be used: {error}.")


@functools.cache
def _load() -> _Loaded:
    attempts = [_attempt(path) for path in _candidates()]
    found = next((attempt for attempt in attempts if attempt.library), None)
    if found is not None:
        return found
    missing = _Loaded(None, "The kernel library _thinout_kernel.so was not built with this installation.")
    failed = attempts[0] if attempts else missing
    warnings.warn(f"thinout: {failed.reason} Plain torch stands in, slower and with the same bits.", stacklevel=2)
    return failed


def library() -> ctypes.CDLL | None:
    """Return the loaded kernel library, or None where there is none."""
    return _load().library


def unavailable_reason() -> str | None:
    """Return why there is no library, as one sentence; None where there is one."""
    return _load().reason


def isa() -> str:
    """Return the instruction set in force: "avx512", "avx2", "neon" or "portable"."""
    name: bytes = _require().thinout_isa()
    return name.decode()


def _require() -> ctypes.CDLL:
    loaded = _load()
    if loaded.library is None:
        raise RuntimeError(message("dropout", "backend", "one that is here", "'cpp'", loaded.reason or ""))
    return loaded.library


def _check(status: int) -> None:
    if status:
        raise RuntimeError(message("dropout", "arguments", "what the kernel library takes", f"its status {status}"))


class _Layout(NamedTuple):
    numbers: ctypes.Array[ctypes.c_int64]  # what the addresses lie in
    sizes: int
    x_strides: int
    y_strides: int
    index_strides: int


@functools.lru_cache(maxsize=512)
def _layout(
    shape: torch.Size, x_strides: Sequence[int], y_strides: Sequence[int], index_strides: Sequence[int] | None
) -> _Layout:
    """Return a layout as C has it; kept, since shapes come again, and the library only reads."""
    index_strides = row_major_strides(shape) if index_strides is None else index_strides
    x_strides = x_strides or y_strides  # a mask has no input
    numbers = (_INT64 * (4 * len(shape)))(*shape, *x_strides, *y_strides, *index_strides)
    start, step = ctypes.addressof(numbers), ctypes.sizeof(_INT64) * len(shape)
    return _Layout(numbers, start, start + step, start + 2 * step, start + 3 * step)


def dropout(
    x: Tensor,
    out: Tensor,
    key: int,
    offset: int,
    threshold: int,
    wide: bool,
    scale: float,
    first_index: int = 0,
    index_strides: tuple[int, ...] | None = None,
) -> None:
    """Write the masked and scaled `x` to `out`, which may be `x`: same shape and dtype, on the CPU, dense.

    `key` may be any int64 or uint64; `index_strides` None is the row-major order of the shape.
    """
    library = _load()[0] or _require()
    if index_strides is None and x.is_contiguous() and out.is_contiguous():
        status = library.thinout_dropout(
            x.data_ptr(), out.data_ptr(), x.numel(), DTYPES[x.dtype],
            first_index, key, offset, threshold, wide, scale, torch.get_num_threads(),
        )  # fmt: skip
    else:
        layout = _layout(x.shape, x.stride(), out.stride(), index_strides)  # a name, since it holds the memory
        status = library.thinout_dropout_strided(
            x.data_ptr(), out.data_ptr(), DTYPES[x.dtype], x.dim(), *layout[1:],
            first_index, key, offset, threshold, wide, scale, torch.get_num_threads(),
        )  # fmt: skip
    if status:
        _check(status)


def mask(
    out: Tensor,
    *,
    key: int,
    offset: int,
    threshold: int,
    wide: bool,
    first_index: int = 0,
    index_strides: tuple[int, ...] | None = None,
) -> None:
    """Write the mask, 1 where an element is kept, to a dense bool or uint8 CPU tensor."""
    if index_strides is None and out.is_contiguous():
        status = _require().thinout_mask(
            out.data_ptr(), out.numel(), first_index, key, offset, threshold, wide, torch.get_num_threads()
        )
    else:
        layout = _layout(out.shape, (), out.stride(), index_strides)
        status = _require().thinout_mask_strided(
            out.data_ptr(), out.dim(), layout.sizes, layout.y_strides, layout.index_strides,
            first_index, key, offset, threshold, wide, torch.get_num_threads(),
        )  # fmt: skip
    _check(status)


def dropout_add(
    x: Tensor,
    residual: Tensor,
    out: Tensor,
    *,
    key: int,
    offset: int,
    threshold: int,
    wide: bool,
    scale: float,
    first_index: int = 0,
) -> None:
    """Write dropout(x) + residual to `out`, which may be either: contiguous, of one shape and dtype, on the CPU."""
    status = _require().thinout_dropout_add(
        x.data_ptr(), residual.data_ptr(), out.data_ptr(), x.numel(), DTYPES[x.dtype],
        first_index, key, offset, threshold, wide, scale, torch.get_num_threads(),
    )  # fmt: skip
    _check(status)
