"""DropConnect: its moments, its masks, its two kinds of inference, and its place where torch's layers were.

Random tests compare with exact moments at 6 standard errors or by exact binomial tests at 1e-8: of about 100
comparisons a false alarm has a probability below 1e-6. Seeds are fixed.
"""

from __future__ import annotations

import dataclasses

import pytest
import scipy.stats
import torch
from torch import Tensor, nn

import thinout.functional as F
import thinout.nn as tnn
from thinout import ops
from thinout.testing import CHECKS

SIGMA = 6
LEVEL = 1e-8
CONVOLUTIONS = {
    1: (nn.Conv1d, tnn.DropConnectConv1d),
    2: (nn.Conv2d, tnn.DropConnectConv2d),
    3: (nn.Conv3d, tnn.DropConnectConv3d),
}


def assert_moments(samples: Tensor, mean: Tensor, variance: Tensor) -> None:
    """Compare samples along the first dimension with exact mean and variance."""
    samples, number = samples.double(), len(samples)
    error = (variance / number).sqrt()
    assert ((samples.mean(0) - mean).abs() <= SIGMA * error + 1e-9).all()
    squares = (samples - mean).square()
    assert ((squares.mean(0) - variance).abs() <= SIGMA * squares.std(0) / number**0.5 + 1e-9).all()


def assert_rate(dropped: int, trials: int, p: float) -> None:
    assert scipy.stats.binomtest(dropped, trials, p).pvalue > LEVEL


@pytest.mark.parametrize("drop_bias", [False, True])
@pytest.mark.parametrize("inverted", [True, False])
@pytest.mark.parametrize("mode", ["example", "gaussian"])
def test_drop_connect_has_the_moments_of_the_formula(mode: str, inverted: bool, drop_bias: bool) -> None:
    p, x = 0.3, torch.tensor([1.0, -2.0, 0.5, 3.0]).double()
    weight, bias = torch.randn(2, 4).double(), torch.randn(2).double()
    layer = {"mode": mode, "inverted": inverted, "drop_bias": drop_bias, "training": True}
    u = F.drop_connect_linear(x.expand(20_000, 4), weight, bias, p, **layer)
    p = ops.effective_p(p)
    mean_factor, variance_factor = (1, p / (1 - p)) if inverted else (1 - p, p * (1 - p))
    mean = mean_factor * weight @ x + (mean_factor if drop_bias else 1) * bias
    variance = variance_factor * (weight.square() @ x.square() + (bias.square() if drop_bias else 0))
    assert_moments(u, mean, variance)


def test_gaussian_noise_with_the_variance_as_its_deviation_would_be_seen() -> None:
    variance = torch.tensor([0.25]).double()
    with pytest.raises(AssertionError):
        assert_moments(torch.randn(20_000, 1).double() * variance, torch.zeros(1).double(), variance)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_a_convolution_has_the_moments_of_the_formula(rank: int) -> None:
    weight, bias = torch.randn(2, 3, *[2] * rank).double(), torch.randn(2).double()
    x, p, number = torch.randn(3, *[2] * rank).double(), 0.25, 20_000
    for mode in ("example", "gaussian"):
        many = x.expand(number, *x.shape)
        u = F.drop_connect_conv(many, weight, bias, p, training=True, mode=mode).reshape(number, 2)
        mean = (weight * x).flatten(1).sum(1) + bias
        assert_moments(u, mean, p / (1 - p) * (weight * x).square().flatten(1).sum(1))


def test_the_mask_of_a_batch_is_that_of_the_first_example() -> None:
    layer, x = tnn.DropConnectLinear(7, 5, p=0.4), torch.randn(1, 7).expand(4, 7)
    batch = layer(x, key=3)
    layer.mode = "example"
    example = layer(x, key=3)
    assert all(torch.equal(row, batch[0]) for row in batch)
    torch.testing.assert_close(example[0], batch[0])
    assert all(not torch.allclose(example[i], example[j]) for i in range(4) for j in range(i))


def test_examples_of_a_wide_layer_have_the_masks_of_one_large_mask() -> None:
    weight, x = torch.randn(500, 700), torch.randn(3, 700)  # more than what is computed at a time
    masked = ops.dropout(weight.expand(3, 500, 700), 4, 0.5, backend="reference")
    y = F.drop_connect_linear(x, weight, p=0.5, training=True, mode="example", key=4)
    torch.testing.assert_close(y, torch.einsum("noi,ni->no", masked, x), rtol=1e-5, atol=1e-3)


def test_the_steps_of_one_example_share_its_mask() -> None:
    layer = tnn.DropConnectLinear(7, 5, p=0.4, mode="example")
    x = torch.randn(3, 1, 1, 7).expand(3, 4, 2, 7)
    y = layer(x, key=3)
    assert y.shape == (3, 4, 2, 5)
    torch.testing.assert_close(y, y[:, :1, :1].expand_as(y))
    torch.testing.assert_close(y[:, 0, 0], layer(x[:, 0, 0], key=3))


def test_one_example_without_a_batch_is_a_batch_of_one() -> None:
    for mode in ("batch", "example"):
        layer, x = tnn.DropConnectLinear(7, 5, mode=mode), torch.randn(7)
        torch.testing.assert_close(layer(x, key=1), layer(x[None], key=1)[0])
        layer, x = tnn.DropConnectConv2d(3, 4, 2, mode=mode), torch.randn(3, 5, 5)
        torch.testing.assert_close(layer(x, key=1), layer(x[None], key=1)[0])


@pytest.mark.parametrize("mode", ["batch", "example", "gaussian"])
@pytest.mark.parametrize(
    "make", [lambda **o: tnn.DropConnectLinear(4, 3, **o), lambda **o: tnn.DropConnectConv1d(2, 3, 2, **o)]
)
def test_a_rate_of_one_leaves_the_bias_and_no_gradient(make, mode: str) -> None:
    layer = make(p=1.0, mode=mode)
    x = torch.randn(2, 4) if isinstance(layer, nn.Linear) else torch.randn(2, 2, 4)
    y = layer(x.requires_grad_())
    bias = layer.bias if isinstance(layer, nn.Linear) else layer.bias[:, None]
    assert torch.equal(y, bias.expand_as(y))
    y.sum().backward()
    assert not layer.weight.grad.any()
    assert not x.grad.any()
    assert layer.bias.grad.all()


def test_the_bias_is_dropped_only_if_asked() -> None:
    for mode in ("batch", "example"):
        for drop_bias in (False, True):
            layer = tnn.DropConnectLinear(1, 4000, p=0.25, mode=mode, drop_bias=drop_bias)
            zeros = (layer(torch.zeros(2, 1)) == 0).sum(1)
            if drop_bias:
                assert_rate(int(zeros[0]), 4000, 0.25)
            else:
                assert not zeros.any()


def test_the_bias_has_a_mask_of_its_own() -> None:
    weight, bias = torch.ones(1000, 1), torch.ones(1000)
    y = F.drop_connect_linear(torch.ones(1, 1), weight, bias, 0.5, training=True, drop_bias=True)
    assert set(y.unique().tolist()) == {0.0, 2.0, 4.0}  # neither, one, both


def test_a_dropped_infinite_weight_is_zero() -> None:
    weight = torch.full((1, 64), float("inf"))
    x = torch.zeros(1, 64)
    x[0, 5] = 1.0
    finite = [
        F.drop_connect_linear(x[:, 5:6], weight[:, 5:6], p=0.5, training=True, key=key).isfinite().item()
        for key in range(64)
    ]
    assert 0 < sum(finite) < 64


def test_gaussian_mode_has_a_finite_gradient_where_nothing_comes_in() -> None:
    layer = tnn.DropConnectLinear(4, 3, p=0.5, mode="gaussian")
    x = torch.zeros(2, 4, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad.isfinite().all()
    assert layer.weight.grad.isfinite().all()


def test_gaussian_mode_does_not_overflow_in_half_precision() -> None:
    layer = tnn.DropConnectLinear(4, 3, p=0.5, mode="gaussian", dtype=torch.float16)
    assert layer(torch.full((2, 4), 600.0, dtype=torch.float16)).isfinite().all()
    with torch.autocast("cpu", dtype=torch.float16):
        assert layer.float()(torch.full((2, 4), 600.0)).isfinite().all()


def test_gaussian_mode_takes_a_generator_and_no_key() -> None:
    layer, x = tnn.DropConnectLinear(4, 3, mode="gaussian"), torch.randn(2, 4)
    first, second = (layer(x, generator=torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first, second)
    with pytest.raises(ValueError, match="`key` must be None where the noise is Gaussian, got 5"):
        layer(x, key=5)


def test_drop_connect_at_rate_zero_draws_nothing_in_any_mode() -> None:
    x = torch.randn(2, 4)
    for mode in ("batch", "example", "gaussian"):
        layer = tnn.DropConnectLinear(4, 3, p=0.0, mode=mode, inference="gaussian", activation="relu")
        state = torch.get_rng_state()
        expected = torch.relu(nn.functional.linear(x, layer.weight, layer.bias))
        assert torch.equal(layer(x), expected)
        assert torch.equal(layer.eval()(x), expected)
        assert torch.equal(torch.get_rng_state(), state)


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ValueError, match="of 4 features in its last dimension, got shape"):
        tnn.DropConnectLinear(4, 3)(torch.tensor(1.0))
    for shape in ((3, 5), (1, 2, 3, 5, 5), (2, 4, 5, 5)):
        with pytest.raises(ValueError, match=r"`input` must be \(N, 3, ...\) or \(3, ...\) with 2 dimensions behind"):
            tnn.DropConnectConv2d(3, 4, 2)(torch.ones(shape))
    with pytest.raises(ValueError, match="`weight` must be of 3, 4 or 5 dimensions"):
        F.drop_connect_conv(torch.ones(2, 3), torch.ones(4, 3), training=True)


# ----- DropConnect: evaluation


def expected_relu(mean: Tensor, variance: Tensor) -> Tensor:
    """Return E[relu(u)] of a normal u."""
    std = variance.sqrt()
    normal = torch.distributions.Normal(0.0, 1.0)
    ratio = mean / std
    return mean * normal.cdf(ratio) + std * normal.log_prob(ratio).exp()


@pytest.mark.parametrize("inverted", [True, False])
def test_gaussian_inference_of_relu_is_the_closed_form_and_mean_inference_is_not(inverted: bool) -> None:
    options = {"p": 0.5, "inverted": inverted, "inference": "gaussian", "activation": "relu", "num_samples": 100_000}
    layer = tnn.DropConnectLinear(4, 3, dtype=torch.float64, **options).eval()
    x = torch.tensor([[1.0, -2.0, 0.5, 3.0]]).double()
    mean = (1.0 if inverted else 0.5) * x @ layer.weight.T + layer.bias
    variance = (1.0 if inverted else 0.25) * x.square() @ layer.weight.square().T
    closed = expected_relu(mean, variance)
    error = (variance / 100_000).sqrt()  # a bound: relu shrinks the variance
    assert ((layer(x) - closed).abs() < SIGMA * error).all()
    layer.inference = "mean"
    torch.testing.assert_close(layer(x), torch.relu(mean))
    assert ((torch.relu(mean) - closed).abs() > 20 * error).any()


def test_gaussian_inference_averages_all_samples_whatever_their_chunks() -> None:
    seen = []

    def activation(u: Tensor) -> Tensor:
        seen.append(len(u))
        return torch.ones_like(u)

    layer = tnn.DropConnectLinear(4, 3000, inference="gaussian", activation=activation, num_samples=200).eval()
    y = layer(torch.randn(2, 4))
    assert sum(seen) == 200
    assert len(seen) > 1
    assert torch.equal(y, torch.ones(2, 3000))


def test_mean_inference_is_torchs_own_layer() -> None:
    layer, x = tnn.DropConnectLinear(20, 30, p=0.7).eval(), torch.randn(8, 20)
    assert torch.equal(layer(x), nn.functional.linear(x, layer.weight, layer.bias))
    layer.activation = "tanh"
    assert torch.equal(layer(x), torch.tanh(nn.functional.linear(x, layer.weight, layer.bias)))
    layer = tnn.DropConnectLinear(20, 30, p=0.25, inverted=False, drop_bias=True).eval()
    torch.testing.assert_close(layer(x), 0.75 * nn.functional.linear(x, layer.weight, layer.bias))


# ----- DropConnect: in place of torch's layers


def copies() -> list[nn.Module]:
    options = {"stride": 2, "dilation": 2, "groups": 2, "bias": False}
    return [
        nn.Linear(4, 6, bias=False),
        nn.Linear(4, 6, dtype=torch.float64).requires_grad_(False),
        nn.Conv1d(4, 6, 3, padding="same", padding_mode="circular"),
        nn.Conv2d(4, 6, (3, 2), padding=(1, 2), **options),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect", groups=4, dtype=torch.float64).eval(),
        nn.Conv3d(4, 6, 2, padding=1, padding_mode="replicate", **options),
    ]


@pytest.mark.parametrize("source", copies(), ids=repr)
@pytest.mark.parametrize("mode", ["batch", "example"])
def test_from_torch_copies_every_attribute(source: nn.Module, mode: str) -> None:
    kinds = {nn.Linear: tnn.DropConnectLinear} | dict(CONVOLUTIONS.values())
    state = torch.get_rng_state()
    layer = kinds[type(source)].from_torch(source, p=0.0, mode=mode)
    assert torch.equal(torch.get_rng_state(), state)
    for name, value in vars(source).items():
        if name not in ("_parameters", "_forward_hooks", "_backward_hooks") and not name.startswith("__"):
            assert getattr(layer, name) == value, name
    for name, parameter in source.named_parameters():
        copied = layer.get_parameter(name)
        assert torch.equal(copied, parameter)
        assert copied is not parameter
        assert (copied.dtype, copied.requires_grad) == (parameter.dtype, parameter.requires_grad)
    shape = (2, 4) if isinstance(source, nn.Linear) else (2, 4, *[5] * (source.weight.dim() - 2))
    x = torch.randn(shape, dtype=source.weight.dtype)
    expected = source(x)
    assert torch.equal(layer(x), expected)
    layer.train().p = 2.0**-10  # the masked way, where nearly nothing is dropped
    assert layer(x, key=1).shape == expected.shape
    torch.testing.assert_close(layer(x, key=1), expected, rtol=0.05, atol=0.5)


@pytest.mark.parametrize("padding_mode", ["zeros", "reflect", "circular"])
def test_the_masks_of_examples_meet_the_same_padding(padding_mode: str) -> None:
    layer = tnn.DropConnectConv2d(2, 4, 3, padding=1, stride=2, groups=2, padding_mode=padding_mode, mode="example")
    x = torch.randn(3, 2, 5, 5)
    masked = ops.dropout(layer.weight.expand(3, -1, -1, -1, -1), 9, 0.5)
    plain = nn.Conv2d(2, 4, 3, padding=1, stride=2, groups=2, padding_mode=padding_mode)
    state = [{"weight": masked[i], "bias": layer.bias} for i in range(3)]
    expected = torch.stack([torch.func.functional_call(plain, state[i], (x[i],)) for i in range(3)])
    torch.testing.assert_close(layer(x, key=9), expected)


def test_checkpoints_pass_between_drop_connect_and_torch() -> None:
    for kind, ours in [(nn.Linear, tnn.DropConnectLinear), *CONVOLUTIONS.values()]:
        sizes = (4, 6) if kind is nn.Linear else (4, 6, 3)
        theirs, layer = kind(*sizes), ours(*sizes)
        assert isinstance(layer, kind)
        layer.load_state_dict(theirs.state_dict(), strict=True)
        theirs.load_state_dict(layer.state_dict(), strict=True)


def test_from_torch_refuses_what_it_cannot_copy() -> None:
    with pytest.raises(TypeError, match=r"DropConnectConv2d: `module` must be a torch.nn.Conv2d, got 'Conv1d'"):
        tnn.DropConnectConv2d.from_torch(nn.Conv1d(2, 3, 2))
    normed = nn.utils.parametrizations.weight_norm(nn.Linear(2, 3))
    with pytest.raises(ValueError, match="`module` must be without parametrizations"):
        tnn.DropConnectLinear.from_torch(normed)


def gaussian_reference(layer: nn.Module, x: Tensor) -> Tensor:
    """Compute mean and deviation of each output term by term."""
    eye = torch.eye(x[0].numel(), dtype=x.dtype).reshape(-1, *x.shape[1:])
    eval_layer, noise_type = type(layer).from_torch(layer).eval(), torch.promote_types(x.dtype, torch.float32)
    offset = eval_layer(torch.zeros_like(eye[:1]))
    columns = (eval_layer(eye) - offset).flatten(1)  # (in, out)
    mean = eval_layer(x)
    p = ops.effective_p(layer.p)
    variance = p / (1 - p) * x.flatten(1).to(noise_type).square() @ columns.to(noise_type).square()
    noise = torch.randn(mean.shape, dtype=noise_type, generator=None)
    return (mean + variance.sqrt().reshape(mean.shape) * noise).to(x.dtype)


VARIANTS = {
    "linear, example": ("DropConnectLinear", {"mode": "example", "drop_bias": True}, {}),
    "linear, gaussian": ("DropConnectLinear", {"mode": "gaussian"}, {"reference": gaussian_reference}),
    "conv, example": ("DropConnectConv2d", {"mode": "example", "drop_bias": True}, {}),
    "conv, gaussian": ("DropConnectConv2d", {"mode": "gaussian"}, {"reference": gaussian_reference}),
}
SKIPPED = {"key", "state_dict", "errors", "factory", "repr", "inplace", "scalar", "devices", "strides"}


@pytest.mark.parametrize("check", sorted(set(CHECKS) - SKIPPED))
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_common_checks_hold_in_every_mode(variant: str, check: str) -> None:
    name, options, changes = VARIANTS[variant]
    spec = tnn.REGISTRY[name]
    if options.get("drop_bias"):
        changes = changes | {
            "full": lambda layer, x: 0 * nn.Module.__call__(layer.eval(), torch.zeros_like(x)).detach()
        }
    arguments = {**spec.arguments, **options}
    if "gaussian" in variant:
        # A sum of other order under the root; in half precision the reference's columns are rounded.
        changes = changes | {"tolerance": 1e-4, "dtypes": (torch.float32, torch.float64)}
    CHECKS[check](dataclasses.replace(spec, arguments=arguments, **changes))
