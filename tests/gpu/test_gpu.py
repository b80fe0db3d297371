"""What needs a GPU: the compiled Triton kernels against the reference, CUDA graphs, compiled graphs."""

from __future__ import annotations

import pytest
import torch

from thinout import functional as F
from thinout import ops
from thinout.fused import bias_act_dropout, dropout_add

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
CUDA = torch.device("cuda")


def assert_same(ours, theirs, unit=0.0):
    torch.testing.assert_close(ours.cpu(), theirs.cpu(), rtol=unit, atol=unit)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("first_index", [0, 5, 2**35 - 20])
def test_dropout_equals_the_reference(dtype, wide, first_index):
    x = torch.randn(100_003).to(dtype)
    how = {"key": -5, "p": 0.3, "offset": 7, "wide": wide, "first_index": first_index}
    assert_same(ops.dropout(x.to(CUDA), **how), ops.dropout(x, **how, backend="reference"))
    mask = ops.dropout_mask((100_003,), device=CUDA, **how)
    assert_same(mask, ops.dropout_mask((100_003,), **how, backend="reference"))


@pytest.mark.parametrize("noise_shape", [None, (None, None, 1, 1), (1, None, None, None)])
def test_strides_and_noise_shapes_equal_the_reference(noise_shape):
    x = torch.randn(4, 6, 8, 10)
    for layout in (torch.contiguous_format, torch.channels_last):
        on_gpu = x.to(CUDA, memory_format=layout)
        y = ops.dropout(on_gpu, key=3, p=0.4, noise_shape=noise_shape)
        assert y.stride() == on_gpu.stride()
        assert_same(y, ops.dropout(x, key=3, p=0.4, noise_shape=noise_shape, backend="reference"))


def test_more_elements_than_32_bits_count():
    """The last elements of 2**32 + 100 have the bits of a shard that starts where they do."""
    num = 2**32 + 100
    if torch.cuda.mem_get_info()[0] < 3 * num:
        pytest.skip("needs 12 GiB of free GPU memory")
    x = torch.ones(num, dtype=torch.float16, device=CUDA)
    y = ops.dropout(x, key=3, p=0.5, inplace=True)
    tail = ops.dropout(torch.ones(200, dtype=torch.float16), key=3, p=0.5, first_index=num - 200, backend="reference")
    assert_same(y[-200:], tail)


@pytest.mark.parametrize("key_device", ["cpu", "cuda"])
def test_gradients_take_the_mask_of_the_forward_pass(key_device):
    x = torch.randn(1000, device=CUDA, requires_grad=True)
    key = torch.tensor(9, device=key_device)
    y = ops.dropout(x, key, 0.3)
    y.sum().backward()
    assert torch.equal(x.grad != 0, y != 0)


def test_a_seed_gives_the_masks_of_the_cpu():
    torch.manual_seed(4)
    on_cpu = F.dropout(torch.ones(1000), 0.3, training=True)
    torch.manual_seed(4)
    assert_same(F.dropout(torch.ones(1000, device=CUDA), 0.3, training=True), on_cpu)


@pytest.mark.parametrize("dtype", DTYPES)
def test_fused_forms_equal_separate_operations(dtype):
    x, residual = torch.randn(2, 63, 129, device=CUDA).to(dtype)
    bias = torch.randn(129, device=CUDA).to(dtype)
    separate = residual + F.dropout(x, 0.3, training=True, key=4)
    assert_same(dropout_add(x, residual, 0.3, training=True, key=4), separate)
    activations = {"none": lambda h: h, "relu": torch.relu, "gelu": torch.nn.functional.gelu}
    for name, function in activations.items():
        leaves = [x.clone().requires_grad_(), bias.clone().requires_grad_()]
        fused = bias_act_dropout(*leaves, 0.3, activation=name, training=True, key=4)
        separate = F.dropout(function(leaves[0] + leaves[1]), 0.3, training=True, key=4)
        unit = 16 * torch.finfo(dtype).eps if name == "gelu" else 0
        assert_same(fused.detach(), separate.detach(), unit)
        ours, theirs = (torch.autograd.grad(y, leaves[0], residual)[0] for y in (fused, separate))
        assert_same(ours, theirs, unit)


def test_a_captured_graph_draws_a_new_mask_for_a_new_key():
    x = torch.ones(5000, device=CUDA)
    key = torch.tensor(1, device=CUDA)
    ops.dropout(x, key, 0.5)  # compiles, which a capture cannot
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = ops.dropout(x, key, 0.5)
    for number in (1, 2, 2**40):
        key.fill_(number)
        graph.replay()
        assert_same(y, ops.dropout(torch.ones(5000), number, 0.5, backend="reference"))


def test_compiled_training_equals_eager_and_keeps_two_sites_apart():
    def step(x):
        first, second = (F.dropout(x, 0.5, training=True) for _ in range(2))
        return first, second, dropout_add(x, x, 0.5, training=True)

    results = []
    for run in (step, torch.compile(step, fullgraph=True)):
        torch.manual_seed(3)
        x = torch.ones(4096, device=CUDA, requires_grad=True)
        outputs = run(x)
        results.append([*outputs, *torch.autograd.grad(sum(y.square().sum() for y in outputs), x)])
    assert not torch.equal(results[1][0], results[1][1])
    for ours, theirs in zip(*results, strict=True):
        assert_same(ours.detach(), theirs.detach(), 1e-6)
