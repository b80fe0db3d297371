"""The Triton kernels: the reference's bits in Triton's interpreter, and machine code for CUDA and ROCm from compiling.

Neither needs a GPU; what does is in tests/gpu.
"""

from __future__ import annotations

import re

import pytest
import torch
from _interpreted_triton import kernels as interpreted
from hypothesis import given, settings
from hypothesis import strategies as st
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.compiler import compile as compile_kernel
from triton.runtime import driver

from thinout import ops
from thinout.ops import _backends, _reference, _triton
from thinout.ops import _triton_kernels as kernels
from thinout.ops._contract import Mask, Shard, locate

CPU = torch.device("cpu")
KEYS = [0, 1, -3, 2**40 + 5, -(2**63), torch.tensor(2**63 - 1)]


def poisoned(x):
    """Memory for a result that no result equals by chance."""
    return torch.full_like(x, float("nan"))


def assert_equals_reference(x, key, mask):
    expected = _reference.dropout(x, torch.as_tensor(key), mask)
    out = poisoned(x)
    interpreted.dropout(x, out, key, mask)
    torch.testing.assert_close(out, expected, rtol=0, atol=0, equal_nan=True)
    assert out.stride() == expected.stride()
    in_place = x.clone(memory_format=torch.preserve_format)
    interpreted.dropout(in_place, in_place, key, mask)
    torch.testing.assert_close(in_place, expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("dtype", _triton.DTYPES)
@pytest.mark.parametrize("first_index", [0, 1, 7, 2**35 - 20])
def test_dense_memory_equals_the_reference(dtype, wide, first_index):
    """Several programs and a rest, from any lane on, over a carry of the block counter into its upper word."""
    x = torch.randn(5_003).to(dtype)
    x[:3] = torch.tensor([float("inf"), float("-inf"), float("nan")])
    assert_equals_reference(x, -5, Mask(30_000, 3, wide, True, first_index))


@pytest.mark.parametrize("key", KEYS, ids=str)
@pytest.mark.parametrize("offset", [0, 1, 2**32, 2**63 - 1])
def test_every_key_and_offset_equals_the_reference(key, offset):
    assert_equals_reference(torch.randn(100), key, Mask(1 << 15, offset))
    assert_equals_reference(torch.randn(100), key, Mask(2**32 - 5, offset, wide=True))


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_strides_noise_shapes_and_shards_equal_the_reference(data):
    shape = tuple(data.draw(st.lists(st.integers(0, 7), min_size=1, max_size=5)))
    order = data.draw(st.permutations(range(len(shape))))
    noise_shape = data.draw(st.none() | st.tuples(*(st.sampled_from([None, 1]) for _ in shape)))
    start = data.draw(st.none() | st.tuples(*(st.integers(0, 9) for _ in shape)))
    shard = start and Shard([size + begin + 2 for size, begin in zip(shape, start, strict=True)], start)
    wide = data.draw(st.booleans())
    mask = Mask(20_000, 1, wide, True, *locate("dropout", shape, noise_shape, 11, shard))
    x = torch.randn([shape[dim] for dim in order]).permute([order.index(dim) for dim in range(len(shape))])
    assert_equals_reference(x, 9, mask)
    mask_bits = interpreted.keep_mask(shape, 9, mask, CPU)
    assert torch.equal(mask_bits, _reference.keep_mask(shape, torch.tensor(9), mask, CPU))


def test_memory_with_gaps_and_shared_memory_equal_the_reference():
    base = torch.randn(40, 50)
    for x in (base[::2, 3:17], base[:, :1].expand(40, 30), base[0, 0], base[:0]):
        mask = Mask(1 << 15)
        out = poisoned(x)
        interpreted.dropout(x, out, 4, mask)
        assert torch.equal(out, _reference.dropout(x, torch.tensor(4), mask))


def test_dtypes_that_the_kernels_lack_take_plain_torch():
    x = torch.randn(100).to(torch.float8_e4m3fn)
    out = torch.zeros_like(x)
    interpreted.dropout(x, out, 4, Mask(1 << 15))
    keep = _reference.keep_mask((100,), torch.tensor(4), Mask(1 << 15), CPU)
    expected = torch.where(keep, (x.float() * 2).to(x.dtype).float(), 0)
    assert torch.equal(out.float(), expected)


@pytest.mark.parametrize("dtype", _triton.DTYPES)
@pytest.mark.parametrize("wide", [False, True])
def test_dropout_add_equals_the_two_operations(dtype, wide):
    x, residual = torch.randn(2, 5_003).to(dtype)
    mask = Mask(20_000, 2, wide, True, 3)
    out = poisoned(x)
    interpreted.dropout_add(x, residual, out, -8, mask)
    assert torch.equal(out, residual + _reference.dropout(x, torch.tensor(-8), mask))


ACTIVATIONS = {"none": lambda h: h, "relu": torch.relu, "gelu": torch.nn.functional.gelu}


@pytest.mark.parametrize("dtype", _triton.DTYPES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_bias_act_dropout_equals_the_three_operations(dtype, activation):
    """Equal bits without GELU; with it, in double precision, but for the rounding of 1 + erf to a unit of 1."""
    x, grad = torch.randn(2, 60, 83).to(dtype)
    bias = torch.randn(83).to(dtype)
    mask = Mask(20_000, 2, False, True, 3)
    hidden = (x + bias).double().requires_grad_()
    activated = ACTIVATIONS[activation](hidden)
    expected = _reference.dropout(activated.detach().to(dtype), torch.tensor(-8), mask)
    (expected_grad,) = torch.autograd.grad(activated, hidden, _reference.dropout(grad, torch.tensor(-8), mask).double())
    out, x_grad = poisoned(x), poisoned(x)
    interpreted.bias_act_dropout(x, bias, out, -8, mask, activation)
    interpreted.bias_act_dropout(x, bias, x_grad, -8, mask, activation, grad=grad)
    unit = torch.finfo(dtype).eps if activation == "gelu" else 0
    torch.testing.assert_close(out, expected, rtol=2 * unit, atol=4 * unit)
    torch.testing.assert_close(x_grad, expected_grad.to(dtype), rtol=2 * unit, atol=4 * unit)


def test_the_public_functions_reach_the_kernels(monkeypatch):
    monkeypatch.setattr(_backends, "_triton", lambda: interpreted)
    how = {"key": 3, "p": 0.3, "noise_shape": (None, 1), "first_index": 5}
    x = torch.randn(30, 7)
    assert torch.equal(ops.dropout(x, **how, backend="triton"), ops.dropout(x, **how, backend="reference"))
    mask = ops.dropout_mask((30, 7), **how, backend="triton")
    assert torch.equal(mask, ops.dropout_mask((30, 7), **how, backend="reference"))


TARGETS = {
    "sm_80": GPUTarget("cuda", 80, 32),
    "sm_90": GPUTarget("cuda", 90, 32),
    "gfx942": GPUTarget("hip", "gfx942", 64),
}
STREAM = dict.fromkeys(("num", "first_index", "key", "offset", "threshold", "scale_bits"), "i64")


def machine_code(kernel, target, types, constants):
    """The assembly of a kernel for a GPU that need not be here, with pointers and sizes divisible by 16."""
    names = kernel.arg_names
    types = {**STREAM, **types}
    signature = {name: types.get(name, "constexpr") for name in names}
    constexprs = {(names.index(name),): value for name, value in constants.items()}
    aligned = {"num", "first_index", *(name for name in types if name.endswith("_ptr"))}
    attributes = {(i,): [["tt.divisibility", 16]] for i, name in enumerate(names) if name in aligned}
    source = ASTSource(kernel, signature, constexprs, attributes)
    assembly = compile_kernel(source, target=TARGETS[target], options=_triton.OPTIONS).asm
    return assembly["ptx"] if "ptx" in assembly else assembly["amdgcn"]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("key", ["i64", "*i64"])
def test_dropout_compiles_to_wide_memory_accesses(target, dtype, wide, key):
    """Sixteen bytes an access where a thread holds as many, eight in the wide format on 64-thread warps."""
    types = {"x_ptr": "*" + dtype, "out_ptr": "*" + dtype, "key": key}
    code = machine_code(kernels.dropout_kernel, target, types, {"WIDE": wide, "BLOCK": _triton.NUM_BLOCKS})
    if target == "gfx942":
        assert re.search(r"global_load_dwordx[24]", code)
        assert re.search(r"global_store_dwordx[24]", code)
    else:
        assert "ld.global.v4.b32" in code
        assert "st.global.v4.b32" in code


@pytest.mark.parametrize("target", ["sm_80", "gfx942"])
@pytest.mark.parametrize("activation", [0, 1, 2])
@pytest.mark.parametrize("backward", [False, True])
def test_fused_forms_compile(target, activation, backward):
    types = dict.fromkeys(("x_ptr", "bias_ptr", "out_ptr", *(["grad_ptr"] if backward else [])), "*bf16")
    constants = {"WIDE": False, "BLOCK": _triton.NUM_BLOCKS, "ACTIVATION": activation}
    if not backward:
        constants["grad_ptr"] = None
    assert machine_code(kernels.bias_act_dropout_kernel, target, {**types, "num_columns": "i64"}, constants)


def test_dropout_add_compiles_without_a_fused_multiply_add():
    types = dict.fromkeys(("x_ptr", "residual_ptr", "out_ptr"), "*fp32")
    code = machine_code(kernels.dropout_add_kernel, "sm_90", types, {"WIDE": False, "BLOCK": _triton.NUM_BLOCKS})
    assert "fma" not in code
    assert "add.rn.f32" in code


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["fp32", "fp64", "bf16", "fp16"])
def test_strided_dropout_compiles(target, dtype):
    layout = dict.fromkeys(("sizes", "x_strides", "out_strides", "index_strides"), ("i64", "i64"))
    types = {"x_ptr": "*" + dtype, "out_ptr": "*" + dtype, **layout}
    constants = {"NUM_DIMS": 2, "WIDE": False, "BLOCK": _triton.NUM_ELEMENTS}
    assert machine_code(kernels.strided_kernel, target, types, constants)


@pytest.mark.parametrize("kernel", ["dropout_kernel", "strided_kernel"])
def test_mask_compiles(kernel):
    layout = dict.fromkeys(("sizes", "x_strides", "out_strides", "index_strides"), ("i64", "i64"))
    types = {"out_ptr": "*i8", **(layout if kernel == "strided_kernel" else {})}
    constants = {"x_ptr": None, "WIDE": True, "BLOCK": 256, **({"NUM_DIMS": 2} if kernel == "strided_kernel" else {})}
    assert machine_code(getattr(kernels, kernel), "sm_90", types, constants)


class _Driver:
    """A GPU that only says what it is, so that launches compile as for it."""

    def get_current_target(self):
        return TARGETS["sm_90"]

    def get_current_device(self):
        return 99  # not the number of a real one, whose kernels would be these

    def get_current_stream(self, device):
        return 0


class _CompileOnly:
    """The kernels, of which a launch stops before it runs."""

    def __init__(self):
        self.compiled = []

    def __getattr__(self, name):
        return self._Kernel(name, self.compiled)

    class _Kernel:
        def __init__(self, name, compiled):
            self.name, self.compiled = name, compiled

        def __getitem__(self, grid):
            def launch(*arguments, **options):
                kernel = getattr(kernels, self.name).warmup(*arguments, grid=grid, **options)
                self.compiled.append((self.name, kernel.asm["ptx"]))

            return launch


@pytest.fixture
def compile_only(monkeypatch):
    launches = _CompileOnly()
    monkeypatch.setattr(_triton, "kernels", launches)
    monkeypatch.setattr(driver, "_active", _Driver())
    return launches


@pytest.mark.parametrize(("num", "first_index"), [(1, 1), (16, 0), (5_003, 3)])
def test_launches_compile_whatever_triton_specialises(compile_only, num, first_index):
    """A size or an index of 1 is a constant to the compiler, one divisible by 16 carries that with it."""
    x, mask = torch.randn(num), Mask(30_000, 1, first_index=first_index)
    _triton.dropout(x, torch.empty_like(x), 1, mask)
    _triton.dropout_add(x, x, torch.empty_like(x), 1, mask)
    _triton.bias_act_dropout(x.unsqueeze(1), x[:1], torch.empty_like(x), 1, mask, "gelu", grad=x)
    rows = torch.randn(num, 3).t()
    _triton.dropout(rows, torch.empty_like(rows), 1, mask)
    _triton.keep_mask((num, 3), 1, mask._replace(index_strides=(1, 0)), CPU)
    assert len(compile_only.compiled) == 5
    assert all(".entry " + name in code for name, code in compile_only.compiled)


def test_new_keys_rates_and_offsets_compile_nothing(compile_only):
    x = torch.randn(100)
    for key, offset, threshold in ((2**40, 0, 16), (-(2**50), 1, 1), (2**62 + 1, 2**40, 60_000)):
        _triton.dropout(x, torch.empty_like(x), key, Mask(threshold, offset))
    assert len({code for _, code in compile_only.compiled}) == 1
