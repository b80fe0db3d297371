"""Fused forms equal the separate operations: values, gradients, masks, in eager and in compiled code."""

from __future__ import annotations

import pytest
import torch
from _interpreted_triton import kernels as interpreted
from torch.utils.checkpoint import checkpoint

from thinout import functional as F
from thinout import ops
from thinout.fused import bias_act_dropout, dropout_add
from thinout.ops import _backends

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
ACTIVATIONS = {"none": lambda h: h, "relu": torch.relu, "gelu": torch.nn.functional.gelu}


@pytest.fixture(params=["installed", "triton"])
def backend(request, monkeypatch):
    """What serves CPU tensors here, and the Triton kernels in their interpreter."""
    if request.param == "triton":
        monkeypatch.setattr(_backends, "select", lambda _: "triton")
        monkeypatch.setattr(_backends, "_triton", lambda: interpreted)


def separate_add(x, residual, **how):
    return residual + F.dropout(x, 0.3, training=True, **how)


def separate_bias(x, bias, activation, **how):
    return F.dropout(ACTIVATIONS[activation](x + bias), 0.3, training=True, **how)


def gradients(function, *inputs):
    """The value, and the gradients under a fixed gradient of the value."""
    leaves = [x.detach().clone(memory_format=torch.preserve_format).requires_grad_() for x in inputs]
    y = function(*leaves)
    weight = torch.linspace(-1, 1, y.numel(), dtype=torch.float64).reshape(y.shape).to(y.dtype)
    y.backward(weight)
    return [y.detach(), *(x.grad for x in leaves)]


def assert_same(ours, theirs, unit):
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=unit, atol=unit)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("dtype", DTYPES)
def test_dropout_add_has_the_bits_of_two_operations(dtype):
    x, residual = torch.randn(2, 37, 129).to(dtype)
    ours = gradients(lambda x, r: dropout_add(x, r, 0.3, training=True, key=-5, offset=2), x, residual)
    assert_same(ours, gradients(lambda x, r: separate_add(x, r, key=-5, offset=2), x, residual), 0)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_bias_act_dropout_has_the_values_of_three_operations(dtype, activation):
    """Equal bits without GELU, whose error function torch itself approximates in float32.

    The bias gradient sums 37 rows of numbers up to 6 in size, so its rounding is some 40 units.
    """
    x, bias = torch.randn(37, 129).to(dtype), torch.randn(129).to(dtype)
    ours = gradients(
        lambda x, b: bias_act_dropout(x, b, 0.3, activation=activation, training=True, key=-5, offset=2), x, bias
    )
    theirs = gradients(lambda x, b: separate_bias(x, b, activation, key=-5, offset=2), x, bias)
    unit = torch.finfo(dtype).eps if activation == "gelu" else 0
    assert_same(ours[:2], theirs[:2], 16 * unit)
    assert_same(ours[2:], theirs[2:], 40 * unit)


@pytest.mark.usefixtures("backend")
def test_memory_in_other_orders():
    x = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    residual = torch.randn(2, 3, 4, 5)
    ours = gradients(lambda x, r: dropout_add(x, r, 0.3, training=True, key=1), x, residual)
    assert_same(ours, gradients(lambda x, r: separate_add(x, r, key=1), x, residual), 0)
    wide, bias = torch.randn(7, 11).t(), torch.randn(7)
    ours = gradients(lambda x, b: bias_act_dropout(x, b, 0.3, activation="relu", training=True, key=1), wide, bias)
    assert_same(ours, gradients(lambda x, b: separate_bias(x, b, "relu", key=1), wide, bias), 0)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_first_and_second_derivatives_are_those_of_finite_differences(activation):
    x = torch.linspace(-2.03, 2.17, 20, dtype=torch.float64).reshape(4, 5).requires_grad_()
    bias = torch.linspace(-0.5, 0.4, 5, dtype=torch.float64).requires_grad_()

    def add(x):
        return dropout_add(x.sin(), x, 0.3, training=True, key=1)

    def bias_act(x, bias):
        return bias_act_dropout(x, bias, 0.3, activation=activation, training=True, key=1)

    assert torch.autograd.gradcheck(add, (x,))
    assert torch.autograd.gradgradcheck(add, (x,))
    assert torch.autograd.gradcheck(bias_act, (x, bias))
    assert torch.autograd.gradgradcheck(bias_act, (x, bias))


def test_operators_pass_opcheck():
    x, residual, bias = torch.randn(4, 6), torch.randn(4, 6), torch.randn(6)
    key, p = torch.tensor(5), torch.tensor([0.3], dtype=torch.float64)
    x.requires_grad_()
    torch.library.opcheck(torch.ops.thinout.dropout_add.default, (x, residual, key, p, 1))
    torch.library.opcheck(torch.ops.thinout.bias_act_dropout.default, (x, bias.requires_grad_(), key, p, 1, "gelu"))
    grad = torch.randn(4, 6)
    backward = torch.ops.thinout.bias_act_dropout_backward.default
    torch.library.opcheck(backward, (grad, x.detach(), bias.detach(), key, p, 1, "gelu"))


def test_compiled_whole_equals_eager_and_keeps_two_sites_apart():
    """Two look-alike sites in one training graph, whose keys are drawn inside of it."""

    def step(x, residual, bias):
        first = dropout_add(x, residual, 0.5, training=True)
        second = dropout_add(x, residual, 0.5, training=True)
        return first, second, bias_act_dropout(x, bias, 0.5, activation="gelu", training=True)

    inputs = torch.randn(8, 64), torch.randn(8, 64), torch.randn(64)
    results = []
    for run in (step, torch.compile(step, fullgraph=True, backend="aot_eager")):
        torch.manual_seed(3)
        leaves = [x.clone().requires_grad_() for x in inputs]
        outputs = run(*leaves)
        results.append([*outputs, *torch.autograd.grad(sum(y.square().sum() for y in outputs), leaves)])
    assert not torch.equal(results[1][0], results[1][1])
    assert_same(results[0], results[1], 1e-5)


def test_changing_the_rate_compiles_once():
    compiled = torch.compile(
        lambda x, p: dropout_add(x, x, p, training=True, key=3), fullgraph=True, backend="aot_eager"
    )
    x = torch.ones(64)
    with torch._dynamo.config.patch(error_on_recompile=True):
        for p in (0.1, 0.4, 0.9):
            rate = torch.tensor([p], dtype=torch.float64)
            assert torch.equal(compiled(x, rate), dropout_add(x, x, p, training=True, key=3))


def test_functorch_transforms_take_the_separate_operations():
    x, bias = torch.randn(4, 6), torch.randn(6)

    def fused(x):
        return bias_act_dropout(dropout_add(x, x, 0.3, training=True, key=1), bias, 0.3, activation="gelu",
                                training=True, key=2).sum()  # fmt: skip

    def separate(x):
        return separate_bias(separate_add(x, x, key=1), bias, "gelu", key=2).sum()

    for transform in (torch.func.grad, torch.func.hessian):
        torch.testing.assert_close(transform(fused)(x), transform(separate)(x))
    torch.testing.assert_close(torch.func.vmap(fused)(x[:, None]), torch.func.vmap(separate)(x[:, None]))


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoints_recompute_the_same_mask(reentrant):
    def block(x, bias):
        return dropout_add(bias_act_dropout(x, bias, 0.5, activation="gelu", training=True), x, 0.5, training=True)

    x, bias = torch.randn(8, 64), torch.randn(64)
    torch.manual_seed(1)
    plain = gradients(block, x, bias)
    torch.manual_seed(1)
    assert_same(gradients(lambda x, b: checkpoint(block, x, b, use_reentrant=reentrant), x, bias), plain, 0)


def test_another_key_on_recomputation_is_an_error_and_no_wrong_gradient():
    x = torch.randn(64, requires_grad=True)
    block = lambda x: dropout_add(x, x, 0.5, training=True)  # noqa: E731 - a test's local one-liner
    y = checkpoint(block, x, use_reentrant=False, preserve_rng_state=False)
    with pytest.raises(RuntimeError, match="recomputes the forward pass"):
        y.sum().backward()


def test_rates_of_zero_and_one_and_evaluation():
    x, residual, bias = torch.randn(4, 6), torch.randn(4, 6), torch.randn(6)
    x[0, 0] = float("inf")
    for p, training in ((0.0, True), (0.5, False)):
        assert torch.equal(dropout_add(x, residual, p, training=training), x + residual)
        y = bias_act_dropout(x, bias, p, activation="relu", training=training)
        assert torch.equal(y, torch.relu(x + bias))
    y, *grads = gradients(lambda x, r: dropout_add(x, r, 1.0, training=True), x, residual)
    assert torch.equal(y, residual)
    assert torch.equal(grads[0], torch.zeros_like(x))
    y, *grads = gradients(lambda x, b: bias_act_dropout(x, b, 1.0, activation="relu", training=True), x, bias)
    assert not y.any()
    assert not any(grad.any() for grad in grads)
    empty = torch.empty(0, 6)
    assert bias_act_dropout(empty, bias, 0.5, activation="gelu", training=True).shape == (0, 6)
    assert dropout_add(empty, empty, 0.5, training=True).shape == (0, 6)


def test_the_key_is_drawn_as_for_plain_dropout():
    x = torch.ones(1000)
    torch.manual_seed(5)
    fused = dropout_add(x, torch.zeros(1000), 0.5, training=True)
    torch.manual_seed(5)
    assert torch.equal(fused, F.dropout(x, 0.5, training=True))
    generator = torch.Generator().manual_seed(5)
    assert torch.equal(dropout_add(x, torch.zeros(1000), 0.5, training=True, generator=generator), fused)


def test_nothing_an_element_is_kept_for_backward_beside_the_inputs():
    kept = []
    x, residual = torch.randn(2, 1000, requires_grad=True).unbind()
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        dropout_add(x, residual, 0.5, training=True)
    assert sum(t.nbytes for t in kept) <= 16
    kept.clear()
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        bias_act_dropout(x, residual, 0.5, activation="gelu", training=True)
    assert sum(t.nbytes for t in kept if t is not x and t.data_ptr() not in (x.data_ptr(), residual.data_ptr())) <= 16


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((torch.ones(3).long(), torch.ones(3)), TypeError, "dropout_add: `input` must be a floating-point tensor"),
        ((torch.ones(3), torch.ones(3).double()), TypeError, "`residual` must be a torch.float32 tensor"),
        ((torch.ones(3), torch.ones(4)), ValueError, r"`residual` must be of shape \(3,\), got shape \(4,\)"),
        ((torch.ones(3), torch.ones(3, device="meta")), ValueError, "`residual` must be on cpu"),
        ((torch.ones(3), torch.ones(3), 1.5), ValueError, r"`p` must be a number in \[0, 1\], got 1.5"),
        (("x", torch.ones(3)), TypeError, "`input` must be a floating-point tensor, got 'str'"),
        ((torch.ones(3), None), TypeError, "`residual` must be a torch.float32 tensor"),
    ],
)
def test_bad_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        dropout_add(*arguments, training=True)


def test_an_unknown_activation_or_key_is_named():
    with pytest.raises(ValueError, match="`activation` must be one of gelu, none, relu, got 'tanh'"):
        bias_act_dropout(torch.ones(3), torch.ones(3), activation="tanh", training=False)
    with pytest.raises(TypeError, match="`key` must be an int or an int64 tensor"):
        dropout_add(torch.ones(3), torch.ones(3), training=True, key=0.5)
    assert ops.MASK_FORMAT == 1
