"""Dropout under what users do to it: forward mode, transforms inside of compiled code, in place, rates as tensors.

Each of these once gave a wrong result without a word.
"""

import copy
import io

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad

import thinout.nn as tnn
from thinout import functional as F
from thinout import ops
from thinout.fused import bias_act_dropout, dropout_add


def drop(x):
    return F.dropout(x, 0.5, training=True, key=1)


@pytest.fixture
def x():
    return torch.randn(4, 8, dtype=torch.float64)


@pytest.fixture
def mask(x):
    return ops.dropout(torch.ones_like(x), 1, 0.5)


def compiled(function):
    torch._dynamo.reset()
    return torch.compile(function, backend="aot_eager", fullgraph=True)


def test_forward_mode_carries_the_tangent(x, mask):
    tangent = torch.randn_like(x)
    with forward_ad.dual_level():
        dual = forward_ad.unpack_dual(drop(forward_ad.make_dual(x, tangent)))
        assert torch.equal(dual.primal, x * mask)
        assert torch.equal(dual.tangent, tangent * mask)
    jacobian = torch.autograd.functional.jacobian(drop, x, vectorize=True, strategy="forward-mode")
    assert torch.equal(jacobian.reshape(32, 32).diagonal(), mask.flatten())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_forward_mode_has_the_bits_of_the_kernel(dtype):
    x = torch.randn(1000).to(dtype)
    x[::7] = torch.inf
    with forward_ad.dual_level():
        y = forward_ad.unpack_dual(F.dropout(forward_ad.make_dual(x, x), 0.3, training=True, key=5)).primal
    assert torch.equal(y, F.dropout(x, 0.3, training=True, key=5))


def test_transforms_inside_of_compiled_code(x, mask):
    squares = lambda z: drop(z).square().sum()  # noqa: E731  (one line each, side by side)
    assert torch.equal(compiled(lambda z: torch.func.grad(squares)(z))(x), 2 * x * mask * mask)
    tangent = torch.randn_like(x)
    got = compiled(lambda z, t: torch.func.jvp(drop, (z,), (t,))[1])(x, tangent)
    assert torch.equal(got, tangent * mask)
    jacobian = compiled(lambda z: torch.func.jacfwd(drop)(z))(x)
    assert torch.equal(jacobian.reshape(32, 32).diagonal(), mask.flatten())


@pytest.mark.parametrize("randomness", ["same", "different"])
def test_vmap_inside_of_compiled_code_keeps_the_gradients(x, randomness):
    model = nn.Sequential(nn.Linear(8, 8), tnn.Dropout(0.5), nn.Linear(8, 2)).double()

    def loss(z):
        return torch.func.vmap(model, randomness=randomness)(z).sum()

    gradients = []
    for function in (loss, compiled(loss)):
        torch.manual_seed(3)
        gradients.append(torch.autograd.grad(function(x), model.parameters()))
    for eager, traced in zip(*gradients, strict=True):
        torch.testing.assert_close(traced, eager)


def test_vmap_over_another_dimension():
    x, keys = torch.randn(8, 4), torch.arange(4)
    got = torch.func.vmap(lambda z, key: F.dropout(z, 0.5, training=True, key=key), in_dims=(1, 0))(x, keys)
    expected = torch.stack([F.dropout(x[:, i].clone(), 0.5, training=True, key=i) for i in range(4)])
    assert torch.equal(got, expected)


@pytest.mark.parametrize("noise_shape", [None, (None, 1)])
def test_compiling_a_rate_that_is_a_number_warns_of_nothing(noise_shape, recwarn):
    x = torch.randn(4, 6)
    draw = compiled(lambda z: F.dropout(z, 0.3, training=True, noise_shape=noise_shape))
    torch.manual_seed(3)
    got = draw(x)
    torch.manual_seed(3)
    assert torch.equal(got, F.dropout(x, 0.3, training=True, noise_shape=noise_shape))
    assert not [warning for warning in recwarn if "lru_cache" in str(warning.message)]


def test_changing_the_offset_compiles_at_most_twice(x):
    graphs = []

    def count(graph, inputs):
        graphs.append(graph)
        return torch._dynamo.backends.debugging.aot_eager(graph, inputs)

    torch._dynamo.reset()
    function = torch.compile(
        lambda z, offset: F.dropout(z, 0.5, training=True, key=torch.tensor(1), offset=offset),
        backend=count,
        fullgraph=True,
    )
    for offset in range(12):
        assert torch.equal(function(x, offset), F.dropout(x, 0.5, training=True, key=1, offset=offset))
    assert len(graphs) <= 3  # 0 and 1 are special to dynamo, then one graph for all


def test_in_place_on_what_backward_still_needs_is_an_error():
    x, w = torch.randn(8), torch.randn(8, requires_grad=True)
    y = (w * x).sum()
    F.dropout(x, 0.5, training=True, inplace=True, key=1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_in_place_on_a_leaf_raises_before_it_writes():
    leaf = torch.randn(8, requires_grad=True)
    before = leaf.detach().clone()
    with pytest.raises(RuntimeError, match="leaf Variable"):
        F.dropout(leaf, 0.5, training=True, inplace=True, key=1)
    assert torch.equal(leaf.detach(), before)


@pytest.mark.parametrize(
    "view", [lambda x: x[:, ::2], lambda x: x.T, lambda x: x[1:]], ids=["gaps", "transposed", "rows"]
)
def test_in_place_on_views_writes_through(view):
    base = torch.randn(6, 8)
    expected = base.clone()
    view(expected).copy_(drop(view(expected).clone()))
    F.dropout(view(base), 0.5, training=True, inplace=True, key=1)
    assert torch.equal(base, expected)


def test_inference_tensors_stay_what_they_are():
    with torch.inference_mode():
        x = torch.randn(8)
    with pytest.raises(RuntimeError, match=r"[Ii]nference"):
        F.dropout(x, 0.5, training=True, inplace=True, key=1)


@pytest.mark.parametrize(
    ("p", "error"),
    [
        (torch.tensor([1.5]), "`p` must be a number in"),
        (torch.tensor([-0.5]), "`p` must be a number in"),
        (torch.tensor([float("nan")]), "`p` must be a number in"),
        (torch.tensor([0.5, 0.5]), "of one element"),
        (torch.tensor([0.5], device="meta"), "a floating-point CPU tensor"),
        (torch.tensor([1]), "a floating-point CPU tensor"),
        (torch.tensor([0.5], requires_grad=True), "without gradient"),
    ],
)
def test_a_rate_that_is_a_wrong_tensor_is_refused(p, error):
    for call in (
        lambda: ops.dropout(torch.ones(4), 1, p),
        lambda: F.dropout(torch.ones(4), p, training=True),
        lambda: F.classic_dropout(torch.ones(4), p, training=False),
    ):
        with pytest.raises(ValueError, match=error):
            call()


def test_a_rate_that_turns_wrong_in_compiled_code_is_refused():
    function = compiled(lambda z, p: F.dropout(z, p, training=True))
    with pytest.raises(Exception, match="must be a number in"):
        function(torch.ones(4), torch.tensor([1.5], dtype=torch.float64))


def test_a_layer_loaded_to_another_device_keeps_its_rate():
    file = io.BytesIO()
    torch.save(tnn.Dropout(0.25), file)
    file.seek(0)
    layer = torch.load(file, map_location="meta", weights_only=False)
    torch.manual_seed(0)
    got = compiled(layer)(torch.ones(64))
    torch.manual_seed(0)
    assert torch.equal(got, tnn.Dropout(0.25)(torch.ones(64)))


def test_a_rate_set_in_inference_mode_can_be_trained_with(x):
    layer = tnn.Dropout(0.5)
    with torch.inference_mode():
        layer.p = 0.25
    x.requires_grad_()
    compiled(layer)(x).sum().backward()
    assert set(x.grad.unique().tolist()) == {0.0, 65536 / (65536 - 16384)}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("shape", [(3, 4), ()])
def test_classic_eval_is_the_same_in_compiled_code(dtype, shape):
    layer = tnn.ClassicDropout(0.3).eval()
    x = torch.randn(shape, dtype=torch.float64).to(dtype)
    got, expected = compiled(layer)(x), layer(x)
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    assert torch.equal(got, expected)


def test_a_traced_graph_drops_by_the_same_masks():
    layer = tnn.Dropout(0.5)
    x = torch.randn(64)
    with pytest.warns(), torch.random.fork_rng():
        graph = torch.jit.trace(layer, (x,), check_trace=False)
    torch.manual_seed(1)
    got = graph(x)
    torch.manual_seed(1)
    assert torch.equal(got, layer(x))


@pytest.mark.parametrize("first_index", [-1, 2**63 - 4, 2**64, True, 1.5])
def test_an_index_that_the_counter_cannot_hold_is_refused(first_index):
    with pytest.raises((ValueError, TypeError), match="`first_index` must be"):
        ops.dropout(torch.ones(8), 1, 0.5, first_index=first_index)


def test_the_largest_index_is_served():
    last = ops.dropout_mask((4,), 1, 0.5, first_index=2**63 - 5)
    assert torch.equal(last, ops.dropout_mask((4,), 1, 0.5, first_index=2**63 - 5, backend="reference"))


def test_numpy_integers_are_keys_and_a_number_is_no_shape():
    import numpy as np

    assert torch.equal(ops.dropout_mask((8,), np.int64(3), 0.5), ops.dropout_mask((8,), 3, 0.5))
    with pytest.raises(TypeError, match=r"Write \(8,\) for one dimension"):
        ops.dropout_mask(8, 3, 0.5)


def test_lazily_negated_tensors():
    z = torch.randn(16, dtype=torch.cfloat)
    assert torch.equal(drop(z.conj().imag), drop(-z.imag))
    assert torch.equal(
        F.classic_dropout(z.conj().imag, 0.5, training=True, key=1),
        F.classic_dropout(-z.imag, 0.5, training=True, key=1),
    )


def test_batched_gradients():
    x = torch.randn(4, 8, requires_grad=True)
    grads = torch.randn(3, 4, 8)
    (got,) = torch.autograd.grad(drop(x), x, grads, is_grads_batched=True)
    assert torch.equal(got, grads * ops.dropout(torch.ones(4, 8), 1, 0.5))
    bias = torch.randn(8, requires_grad=True)

    def fused():
        return bias_act_dropout(x, bias, 0.5, activation="gelu", training=True, key=1)

    (got,) = torch.autograd.grad(fused(), x, grads, is_grads_batched=True)
    expected = [torch.autograd.grad(fused(), x, grad)[0] for grad in grads]
    torch.testing.assert_close(got, torch.stack(expected))


def test_fused_forms_under_autocast_promote_as_the_separate_operations_do():
    x, residual, bias = torch.randn(4, 8).bfloat16(), torch.randn(4, 8), torch.randn(8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = dropout_add(x, residual, 0.5, training=True, key=1)
        assert torch.equal(got, residual + F.dropout(x, 0.5, training=True, key=1))
        got = bias_act_dropout(x, bias, 0.5, activation="relu", training=True, key=1)
        assert torch.equal(got, F.dropout(torch.relu(x + bias), 0.5, training=True, key=1))


def test_copies_of_a_module_that_was_compiled_are_independent(x):
    layer = tnn.Dropout(0.5)
    compiled(layer)(x)
    twin = copy.deepcopy(layer)
    twin.p = 0.1
    assert (layer.p, twin.p) == (0.5, 0.1)
