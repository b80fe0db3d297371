"""The C++ library through its loader: bits against a NumPy oracle, every form and thread count, and broken libraries.

Nothing here is random: inputs and keys are fixed, so there is no false alarm to account for.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from thinout.ops import _cpu

if _cpu.library() is None and os.environ.get("THINOUT_REQUIRE_KERNEL") != "true":
    pytest.skip(_cpu.unavailable_reason(), allow_module_level=True)

STREAM = {"key": -7, "offset": 3, "threshold": 19661, "wide": False}
WIDE = {"key": 2**63 - 1, "offset": 2**40, "threshold": 1288490189, "wide": True}
SCALE = {False: 65536 / (65536 - 19661), True: 2**32 / (2**32 - 1288490189)}
FORMS = () if _cpu.library() is None else tuple(_cpu.library().thinout_isa_available().decode().split(","))


def philox(block, offset, key):
    """The 128-bit blocks of Philox4x32-10 as rows of four 32-bit words."""
    low = np.uint64(0xFFFFFFFF)
    halves = lambda number: (np.uint64(number & 0xFFFFFFFF), np.uint64((number >> 32) & 0xFFFFFFFF))  # noqa: E731  one line of oracle
    c0, c1, (c2, c3) = block & low, block >> np.uint64(32), (np.full_like(block, half) for half in halves(offset))
    k0, k1 = halves(key)
    for _ in range(10):
        even, odd = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (odd >> np.uint64(32)) ^ c1 ^ k0, odd & low, (even >> np.uint64(32)) ^ c3 ^ k1, even & low
        k0, k1 = (k0 + np.uint64(0x9E3779B9)) & low, (k1 + np.uint64(0xBB67AE85)) & low
    return np.stack([c0, c1, c2, c3], axis=-1).astype("<u4")


def oracle(index, key, offset, threshold, wide):
    """The mask contract for an array of mask indices."""
    index = np.asarray(index)
    per_block = 4 if wide else 8
    words = philox((index // per_block).astype(np.uint64), offset, key)
    lanes = words if wide else words.view("<u2") ^ 0x8000
    number = np.take_along_axis(lanes, (index % per_block)[..., None], -1)[..., 0]
    return torch.from_numpy(np.asarray(number >= threshold))


def logical_index(shape, strides, first_index=0):
    """The mask index of every element."""
    index = torch.full((1,) * len(shape), first_index, dtype=torch.int64)
    for dim, (size, stride) in enumerate(zip(shape, strides, strict=True)):
        index = index + (torch.arange(size) * stride).view([-1 if d == dim else 1 for d in range(len(shape))])
    return index.expand(shape)


def expected(x, index, stream):
    """The output by the contract: float32 arithmetic (float64 for float64), rounded to the dtype, a select."""
    work = torch.float64 if x.dtype == torch.float64 else torch.float32
    scaled = (x.to(work) * torch.tensor(SCALE[stream["wide"]], dtype=work)).to(x.dtype)
    return torch.where(oracle(index, **stream), scaled, torch.zeros((), dtype=x.dtype))


@pytest.fixture(params=FORMS)
def form(request):
    """Each instruction set that runs here."""
    before = _cpu.isa()
    assert _cpu.library().thinout_set_isa(request.param.encode()) == 0
    yield _cpu.isa()
    _cpu.library().thinout_set_isa(before.encode())


@pytest.fixture(params=[1, 2, 3])
def threads(request):
    """Thread counts; 3 is more than some machines have."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_the_library_is_there_where_it_is_required():
    assert _cpu.library() is not None, _cpu.unavailable_reason()
    assert _cpu.unavailable_reason() is None


@pytest.mark.parametrize("dtype", list(_cpu.DTYPES))
@pytest.mark.parametrize("stream", [STREAM, WIDE], ids=["narrow", "wide"])
@pytest.mark.parametrize("in_place", [False, True])
def test_contiguous_equals_the_oracle(form, threads, dtype, stream, in_place):
    for size, first_index in ((0, 0), (1, 5), (1000, 2**35 - 400), (40_000, 3)):
        x = torch.linspace(-9, 9, size).to(dtype)
        x[5:9] = torch.tensor([float("nan"), float("inf"), -float("inf"), -0.0])[: max(0, size - 5)]
        want = expected(x, torch.arange(size) + first_index, stream)
        out = x if in_place else torch.full_like(x, 7)
        _cpu.dropout(x, out, **stream, scale=SCALE[stream["wide"]], first_index=first_index)
        assert torch.equal(torch.nan_to_num(out, nan=123.0), torch.nan_to_num(want, nan=123.0))


LAYOUTS = {
    "channels last": (torch.arange(2 * 70 * 9 * 5.0).view(2, 70, 9, 5).to(memory_format=torch.channels_last), None),
    "colours last": (torch.arange(2 * 3 * 33 * 5.0).view(2, 3, 33, 5).to(memory_format=torch.channels_last), None),
    "transposed": (torch.arange(300 * 130.0).view(300, 130).t(), None),
    "sliced": (torch.arange(60 * 140.0).view(60, 140)[:, ::2], None),
    "expanded": (torch.arange(140.0).expand(60, 140), None),
    "channel mask": (torch.arange(4 * 70 * 49.0).view(4, 70, 7, 7), (70, 1, 0, 0)),
    "channel mask, channels last": (
        torch.arange(4 * 70 * 49.0).view(4, 70, 7, 7).to(memory_format=torch.channels_last),
        (70, 1, 0, 0),
    ),
    "time shared": (torch.arange(5 * 40 * 33.0).view(5, 40, 33), (33, 0, 1)),
    "batch shared": (torch.arange(40 * 700.0).view(40, 700), (0, 1)),
    "rows of 3": (torch.arange(1300 * 3.0).view(1300, 3), (1, 0)),
    "rows of 49": (torch.arange(130 * 49.0).view(130, 49), (1, 0)),
    "rows of 1000": (torch.arange(70 * 1000.0).view(70, 1000), (1, 0)),
    "batch shared, more than a block": (torch.arange(2 * 40_000.0).view(2, 40_000), (0, 1)),
    "time shared, short": (torch.arange(5 * 700 * 7.0).view(5, 700, 7), (7, 0, 1)),
    "time and width shared": (torch.arange(3 * 40 * 12 * 16.0).view(3, 40, 12, 16), (12, 0, 1, 0)),
    "columns of a larger whole": (torch.arange(40 * 70.0).view(40, 70), (999, 1)),
    "0-d": (torch.tensor(5.0), ()),
}


@pytest.mark.parametrize("stream", [STREAM, WIDE], ids=["narrow", "wide"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_strided_equals_the_oracle(form, threads, layout, stream):
    x, strides = LAYOUTS[layout]
    row_major = torch.empty(x.shape).stride() if strides is None else strides
    index = logical_index(x.shape, row_major, 11)
    out = torch.full_like(x, 7)
    _cpu.dropout(x, out, **stream, scale=SCALE[stream["wide"]], first_index=11, index_strides=strides)
    assert torch.equal(out, expected(x, index, stream))
    mask = torch.empty_like(x, dtype=torch.bool)
    _cpu.mask(mask, **stream, first_index=11, index_strides=strides)
    assert torch.equal(mask, oracle(index, **stream))


@pytest.mark.parametrize("dtype", _cpu.DTYPES)
@pytest.mark.parametrize("size", [1, 3, 7, 8, 15, 16, 17, 31, 33, 49, 64, 127, 128, 130, 513])
@pytest.mark.parametrize("in_place", [False, True], ids=["out of place", "in place"])
def test_shared_entries_equal_the_oracle_at_every_length(form, dtype, size, in_place):
    for shape, strides in (((67, size), (1, 0)), ((67, size), (0, 1)), ((3, 5, 7, size), (7, 0, 1, 0))):
        x = torch.linspace(-3, 3, 67 * size if len(shape) == 2 else 105 * size).to(dtype).view(shape)
        x[-1] = float("nan")
        x[0] = float("inf")
        want = expected(x, logical_index(shape, strides, 59), STREAM)
        out = x if in_place else torch.full_like(x, 7)
        _cpu.dropout(x, out, **STREAM, scale=SCALE[False], first_index=59, index_strides=strides)
        assert torch.equal(torch.nan_to_num(out, nan=123.0), torch.nan_to_num(want, nan=123.0))


def test_a_large_fresh_output_equals_the_same_in_pieces(form):
    """Above 24 MiB stores go around the caches, above 4 MiB huge pages are asked for: neither may change a bit."""
    x = torch.linspace(-1, 1, 7_000_001)
    out, pieces = torch.empty_like(x), torch.empty_like(x)
    _cpu.dropout(x, out, **STREAM, scale=1.5)
    for start in range(0, x.numel(), 999_999):
        part = slice(start, start + 999_999)
        _cpu.dropout(x[part], pieces[part], **STREAM, scale=1.5, first_index=start)
    assert torch.equal(out, pieces)


@pytest.mark.parametrize("dtype", list(_cpu.DTYPES))
def test_dropout_add_equals_the_separate_operations(form, threads, dtype):
    x, residual = torch.linspace(-9, 9, 40_001).to(dtype), torch.linspace(3, -1, 40_001).to(dtype)
    dropped, out = torch.empty_like(x), torch.empty_like(x)
    _cpu.dropout(x, dropped, **STREAM, scale=SCALE[False], first_index=5)
    _cpu.dropout_add(x, residual, out, **STREAM, scale=SCALE[False], first_index=5)
    assert torch.equal(out, dropped + residual)


def test_every_function_of_the_header_has_its_argument_types():
    """ctypes would pass a pointer as 32 bits to a function without them."""
    header = (Path(__file__).parent.parent / "csrc" / "dropout.h").read_text()
    declared = set(re.findall(r"THINOUT_API \w[\w ]*\*? ?(thinout_\w+)\(", header)) - {"thinout_abi_version"}
    assert len(declared) >= 8
    for name in declared:
        assert getattr(_cpu.library(), name).argtypes is not None, name


def test_what_the_library_refuses_is_an_error_and_writes_nothing():
    x, out = torch.ones(8), torch.full((8,), 7.0)
    with pytest.raises(RuntimeError, match="`arguments` must be what the kernel library takes, got its status -6"):
        _cpu.dropout(x, out, key=1, offset=0, threshold=0, wide=False, scale=1.0)
    with pytest.raises(RuntimeError, match="status -5"):
        _cpu.mask(out.to(torch.uint8), key=1, offset=0, threshold=1, wide=False, first_index=-1)
    assert torch.equal(out, torch.full((8,), 7.0))


def fresh_process(code, **environment):
    """What a new Python prints, under another environment."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def isa_of_a_fresh_process(**environment):
    """The form that a new Python uses, else the reason why there is none."""
    code = "from thinout.ops import _cpu; print(_cpu.isa() if _cpu.library() else _cpu.unavailable_reason())"
    return fresh_process(code, **environment)


def test_the_environment_chooses_the_form():
    path = _cpu.library()._name
    assert isa_of_a_fresh_process(THINOUT_KERNEL_PATH=path, THINOUT_CPU_ISA="portable") == "portable"
    assert isa_of_a_fresh_process(THINOUT_KERNEL_PATH=path, THINOUT_CPU_ISA="no such") == FORMS[0]


def fails(path):
    loaded = _cpu._attempt(path)
    assert loaded.library is None
    assert str(path) in loaded.reason
    assert loaded.reason.count("\n") == 0
    return loaded.reason


def test_a_missing_library_is_no_error(tmp_path):
    assert "No such file" in fails(tmp_path / "_thinout_kernel.so")
    assert "No such file" in isa_of_a_fresh_process(THINOUT_KERNEL_PATH=str(tmp_path / "none.so"))


@pytest.mark.parametrize("share", [0.0, 0.0005, 0.1, 0.5, 0.999])
def test_a_library_cut_short_is_refused_before_it_can_kill_the_process(tmp_path, share):
    whole = Path(_cpu.library()._name).read_bytes()
    path = tmp_path / "_thinout_kernel.so"
    path.write_bytes(whole[: int(share * len(whole))])
    fails(path)


def test_a_library_of_another_platform_is_refused(tmp_path):
    code = bytearray(Path(_cpu.library()._name).read_bytes())
    if code[:4] != b"\x7fELF":
        pytest.skip("this platform's libraries are not ELF files")
    code[18:20] = (0xF3).to_bytes(2, "little")  # e_machine: RISC-V
    path = tmp_path / "_thinout_kernel.so"
    path.write_bytes(code)
    fails(path)


def build(tmp_path, source):
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler to build a strange library with")
    (tmp_path / "other.c").write_text(source)
    subprocess.run([compiler, "-shared", "-fPIC", "other.c", "-o", "other.so"], cwd=tmp_path, check=True, timeout=120)
    return tmp_path / "other.so"


def test_a_library_of_another_version_is_refused(tmp_path):
    assert "it has version 99" in fails(build(tmp_path, "int thinout_abi_version(void) { return 99; }"))


def test_a_library_without_our_functions_is_refused(tmp_path):
    assert "thinout_abi_version" in fails(build(tmp_path, "int other(void) { return 1; }"))


def test_torch_and_the_library_share_one_openmp_run_time():
    if not Path("/proc/self/maps").exists():
        pytest.skip("needs Linux's list of mapped files")
    code = (
        "from thinout.ops import _cpu; _cpu.isa(); "
        "print(len({line.split()[-1] for line in open('/proc/self/maps') if 'libgomp' in line}))"
    )
    assert fresh_process(code, PYTHONWARNINGS="ignore") == "1"
