"""Companions of dropout against their definitions, torch's own clipping, and the algebra of classic dropout."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, weight_norm

from thinout.companions import (
    MaxNorm,
    adaptive_clip_,
    classic_to_inverted,
    clip_by_norm_,
    clip_by_value_,
    max_norm_,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def units_by_hand(layer: nn.Module, weight: Tensor) -> list[Tensor]:
    """Return the incoming weights of each output unit, entry by entry from the definition of the layer."""
    if not isinstance(layer, (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)):
        return [weight[unit] for unit in range(weight.shape[0])]
    inputs, outputs = layer.in_channels // layer.groups, layer.out_channels // layer.groups
    return [
        weight[group * inputs : (group + 1) * inputs, unit] for group in range(layer.groups) for unit in range(outputs)
    ]


@torch.no_grad()
def spread(layer: nn.Module, tensor: Tensor, every: int, factor: float) -> None:
    """Fill a weight or gradient, and make some units of it small."""
    tensor.normal_(generator=generator(every))
    for unit in units_by_hand(layer, tensor)[::every]:
        unit *= factor


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "Linear": lambda: nn.Linear(20, 30),
    "Bilinear": lambda: nn.Bilinear(4, 5, 30),
    "Conv1d": lambda: nn.Conv1d(4, 30, 5),
    "Conv2d": lambda: nn.Conv2d(4, 30, 3, groups=2),
    "Conv3d": lambda: nn.Conv3d(3, 30, 2),
    "ConvTranspose2d": lambda: nn.ConvTranspose2d(12, 10, 3),
    "ConvTranspose2d, grouped": lambda: nn.ConvTranspose2d(12, 10, 3, groups=2),
}


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_max_norm_bounds_the_incoming_weights_of_each_unit(make: Callable[[], nn.Module]) -> None:
    layer = make()
    spread(layer, layer.weight, 2, 0.01)
    before, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    old = [unit.norm().item() for unit in units_by_hand(layer, before)]
    c = sorted(old)[len(old) // 2] * 0.9  # some are inside, some outside
    assert max_norm_(layer, c) is layer
    assert min(old) < c < max(old)
    for unit, was, norm in zip(units_by_hand(layer, layer.weight), units_by_hand(layer, before), old, strict=True):
        if norm <= c:
            assert torch.equal(unit, was)
        else:
            assert unit.norm().item() <= c * (1 + 1e-6)
            assert unit.norm().item() >= c * (1 - 1e-5)
            torch.testing.assert_close(unit / c, was / norm)  # the direction holds
    assert torch.equal(layer.bias, bias)


def test_the_wrong_axis_would_not_pass() -> None:
    weight = torch.tensor([[3.0, 0.0], [4.0, 0.0]])  # rows of norms 3 and 4, columns of norms 5 and 0
    assert torch.equal(max_norm_(weight.clone(), 4.5), weight)
    torch.testing.assert_close(max_norm_(weight.clone(), 4.5, dim=1), weight * 0.9)


def test_max_norm_of_a_tensor_is_renorm() -> None:
    weight = torch.randn(5, 4, 3, generator=generator())
    for dim in (0, 1, 2, -1):
        assert torch.equal(max_norm_(weight.clone(), 1.5, dim=dim), torch.renorm(weight, 2, dim, 1.5))


def test_max_norm_keeps_what_is_inside_with_its_signs_and_nans() -> None:
    weight = torch.tensor([[-0.0, 0.1], [math.nan, 1.0], [0.0, 0.0]])
    bits = weight.clone().view(torch.int32)
    assert torch.equal(max_norm_(weight, 1.0).view(torch.int32), bits)


def test_max_norm_of_a_network_without_weights_is_refused() -> None:
    for constrain in (max_norm_, MaxNorm):
        with pytest.raises(ValueError, match="a network with layers to constrain"):
            constrain(nn.Sequential(nn.ReLU()), 1.0)


def test_max_norm_leaves_weights_alone_that_are_not_trained() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[0].weight.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    max_norm_(model, 1e-3)
    assert torch.equal(model[0].weight, before["0.weight"])
    assert (model[1].weight.norm(dim=1) < 2e-3).all()


def test_a_weight_that_changes_between_forward_and_backward_is_noticed() -> None:
    layer = nn.Linear(3, 3)
    y = layer(torch.randn(2, 3, requires_grad=True)).sum()
    max_norm_(layer, 0.1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


@pytest.mark.parametrize("c", [0.0, -1.0, math.nan, math.inf])
def test_a_bound_that_is_not_positive_is_refused(c: float) -> None:
    with pytest.raises(ValueError, match="`c` must be a positive number"):
        max_norm_(nn.Linear(2, 2), c)
    with pytest.raises(ValueError, match="MaxNorm: `c` must be a positive number"):
        MaxNorm(nn.Linear(2, 2), c)


def test_what_has_no_units_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`dim` must be a dimension of a tensor that has two or more, got 0 of shape"):
        max_norm_(torch.ones(3), 1.0)
    with pytest.raises(ValueError, match="`dim` must be"):
        max_norm_(torch.ones(3, 3), 1.0, dim=2)
    with pytest.raises(TypeError, match="`target` must be a floating-point tensor"):
        max_norm_(torch.ones(3, 3, dtype=torch.int64), 1.0)
    with pytest.raises(TypeError, match=r"`target` must be a torch.nn.Module or a tensor, got list"):
        max_norm_([1.0], 1.0)  # type: ignore[type-var]
    with pytest.raises(ValueError, match="`match` must be layers whose weight has two dimensions or more, got '1'"):
        MaxNorm(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)), 1.0, match=nn.LayerNorm)


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning")
@pytest.mark.parametrize("wrap", [parametrizations.weight_norm, parametrizations.orthogonal, weight_norm])
def test_a_computed_weight_is_refused_and_not_written_into_the_void(wrap: Callable[[nn.Module], nn.Module]) -> None:
    model = nn.Sequential(nn.Linear(3, 3), wrap(nn.Linear(3, 3)))
    for constrain in (lambda: max_norm_(model, 1.0), lambda: MaxNorm(model, 1.0)):
        with pytest.raises(TypeError, match=r"`1.weight` must be a parameter, got a tensor computed from others"):
            constrain()
    MaxNorm(model, 1.0, frozen="1").apply()


def trained(model: nn.Module, optimizer: torch.optim.Optimizer, num_steps: int = 5) -> None:
    x = torch.randn(16, 8, generator=generator())
    for _ in range(num_steps):
        optimizer.zero_grad()
        model(x).square().sum().backward()
        optimizer.step()


def make_model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))


@pytest.mark.parametrize(
    "make",
    [
        lambda x: torch.optim.SGD(x, lr=0.1, momentum=0.9),
        lambda x: torch.optim.AdamW(x, lr=0.1),
        lambda x: torch.optim.Adam(x, lr=0.1, fused=True),
        lambda x: torch.optim.RMSprop(x, lr=0.1),
    ],
    ids=["SGD", "AdamW", "fused Adam", "RMSprop"],
)
def test_the_constraint_holds_after_every_step_of_any_optimiser(make: Callable[..., torch.optim.Optimizer]) -> None:
    by_hand, model = make_model(), make_model()
    own, optimizer = make(by_hand.parameters()), make(model.parameters())
    keys, state = list(model.state_dict()), set(optimizer.state_dict())
    handle = MaxNorm(model, 0.3).attach(optimizer)
    for _ in range(4):
        trained(by_hand, own, 1)
        max_norm_(by_hand, 0.3)
        trained(model, optimizer, 1)
        assert (model[0].weight.norm(dim=1) <= 0.3 * (1 + 1e-6)).all()
        for ours, theirs in zip(model.parameters(), by_hand.parameters(), strict=True):
            assert torch.equal(ours, theirs)
    assert list(model.state_dict()) == keys
    assert set(optimizer.state_dict()) == state
    handle.remove()
    trained(model, optimizer, 1)
    assert (model[0].weight.norm(dim=1) > 0.3 * (1 + 1e-6)).any()


def test_a_closure_is_evaluated_before_the_constraint() -> None:
    model = make_model()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=1.0, max_iter=3)
    x = torch.randn(16, 8)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (model(x) - 3).square().sum()
        loss.backward()
        return loss

    with MaxNorm(model, 0.2).attach(optimizer):
        optimizer.step(closure)
    assert (model[2].weight.norm(dim=1) <= 0.2 * (1 + 1e-6)).all()


@pytest.mark.parametrize(
    ("arguments", "constrained"),
    [
        ({}, {"stem", "body.0", "body.1", "head"}),
        ({"match": "body.*"}, {"body.0", "body.1"}),
        ({"match": ("body.1", "head")}, {"body.1", "head"}),
        ({"match": nn.Conv1d}, {"stem"}),
        ({"match": nn.Embedding}, {"words"}),
        ({"frozen": "head"}, {"stem", "body.0", "body.1"}),
        ({"frozen": [nn.Conv1d, "body.*"]}, {"head"}),
        ({"match": nn.Linear, "frozen": "head"}, {"body.0", "body.1"}),
    ],
)
def test_the_scope_is_by_pattern_and_type(arguments: dict[str, object], constrained: set[str]) -> None:
    model = nn.ModuleDict(
        {
            "words": nn.Embedding(9, 4),
            "stem": nn.Conv1d(4, 4, 3),
            "norm": nn.BatchNorm1d(4),
            "body": nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)),
            "head": nn.Linear(4, 2),
        }
    )
    before = copy.deepcopy(model.state_dict())
    MaxNorm(model, 1e-3, **arguments).apply()  # type: ignore[arg-type]
    changed = {key.removesuffix(".weight") for key, value in model.state_dict().items() if not value.equal(before[key])}
    assert changed == constrained


def test_a_scope_that_means_nothing_is_refused() -> None:
    model = make_model()
    with pytest.raises(ValueError, match=r"each mean a layer, got 'encodr.\*'. It could be one of '0', '2'."):
        MaxNorm(model, 1.0, match="encodr.*")
    with pytest.raises(ValueError, match="`frozen` must be patterns or types that each mean a layer, got Conv2d"):
        MaxNorm(model, 1.0, frozen=nn.Conv2d)
    with pytest.raises(ValueError, match="a network with layers to constrain, got none"):
        MaxNorm(model, 1.0, frozen="*")
    with pytest.raises(ValueError, match="a network with layers to constrain, got none"):
        MaxNorm(nn.ReLU(), 1.0)
    with pytest.raises(TypeError, match="`match` must be patterns of names or types of layers, got 3"):
        MaxNorm(model, 1.0, match=[3])  # type: ignore[list-item]


def graded(*shapes: tuple[int, ...], scale: float = 1.0, dtype: torch.dtype = torch.float32) -> list[nn.Parameter]:
    """Return parameters with gradients, and one without."""
    source, parameters = generator(3), []
    for shape in shapes:
        parameter = nn.Parameter(torch.randn(shape, generator=source).to(dtype))
        parameter.grad = (scale * torch.randn(shape, generator=source)).to(dtype)
        parameters.append(parameter)
    return [*parameters, nn.Parameter(torch.zeros(3))]


SHAPES = ((4, 5), (3, 2, 3, 3), (7,), ())


def grads(parameters: list[nn.Parameter]) -> list[Tensor]:
    return [x.grad for x in parameters if x.grad is not None]


@pytest.mark.parametrize("c", [0.1, 1.0, 1e6, math.inf])
def test_clipping_by_value_clamps_as_torch_does(c: float) -> None:
    ours, theirs, start = graded(*SHAPES), graded(*SHAPES), graded(*SHAPES)
    clip_by_value_(ours, c)
    torch.nn.utils.clip_grad_value_(theirs, c)
    for got, expected, was in zip(grads(ours), grads(theirs), grads(start), strict=True):
        assert torch.equal(got, expected)
        assert torch.equal(got, was.clamp(-c, c))


@pytest.mark.parametrize("norm_type", [1.0, 2.0, math.inf])
@pytest.mark.parametrize("c", [0.1, 1e6, math.inf])
def test_clipping_by_norm_scales_all_as_torch_does(c: float, norm_type: float) -> None:
    ours, theirs, start = graded(*SHAPES), graded(*SHAPES), graded(*SHAPES)
    norm = clip_by_norm_(ours, c, norm_type=norm_type)
    assert torch.equal(norm, torch.nn.utils.clip_grad_norm_(theirs, c, norm_type))
    whole = torch.cat([grad.flatten() for grad in grads(start)])
    torch.testing.assert_close(norm, torch.linalg.vector_norm(whole, norm_type))
    for got, expected in zip(grads(ours), grads(theirs), strict=True):
        assert torch.equal(got, expected)
    clipped = torch.cat([grad.flatten() for grad in grads(ours)])
    if c < norm:
        torch.testing.assert_close(torch.linalg.vector_norm(clipped, norm_type).item(), c)
        torch.testing.assert_close(torch.cosine_similarity(clipped, whole, dim=0).item(), 1.0)
    else:  # c = infinity is the identity
        assert torch.equal(clipped, whole)


def test_clipping_changes_no_weight_and_no_count() -> None:
    model = make_model()
    before = copy.deepcopy(model.state_dict())
    model(torch.randn(4, 8)).sum().backward()
    clip_by_value_(model, 1e-3)
    clip_by_norm_(model, 1e-4)
    adaptive_clip_(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_an_infinite_norm_is_an_error_where_asked_for_and_poison_otherwise() -> None:
    (w,) = (nn.Parameter(torch.zeros(3)),)
    w.grad = torch.tensor([math.inf, 1.0, -2.0])
    with pytest.raises(RuntimeError, match="non-finite"):
        clip_by_norm_(w, 1.0, error_if_nonfinite=True)
    assert w.grad.tolist() == [math.inf, 1.0, -2.0]
    assert clip_by_norm_(w, 1.0).item() == math.inf
    assert w.grad.isnan().tolist() == [True, False, False]
    assert w.grad.tolist()[1:] == [0.0, -0.0]


@pytest.mark.parametrize("clip", [clip_by_value_, clip_by_norm_, adaptive_clip_])
def test_clipping_takes_a_model_a_tensor_or_several_and_no_empty_generator(clip: Callable[..., object]) -> None:
    model, twin = make_model(), make_model()
    for net in (model, twin):
        net(torch.ones(2, 8)).square().sum().backward()
    clip(model, 0.01)
    parameters = twin.parameters()
    clip(parameters, 0.01)
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(ours.grad, theirs.grad)
    with pytest.raises(ValueError, match=r"at least one, got none. A generator such as model.parameters\(\)"):
        clip(parameters, 0.01)  # used up
    with pytest.raises(ValueError, match="at least one, got none"):
        clip(nn.ReLU(), 0.01)
    with pytest.raises(TypeError, match=r"`parameters` must be a torch.nn.Module or tensors, got float"):
        clip([0.5], 0.01)
    w = nn.Parameter(torch.ones(3))
    clip(w, 0.01)  # no gradient: nothing to do
    assert w.grad is None


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan])
def test_bounds_of_gradients_must_be_positive(bad: float) -> None:
    w = nn.Parameter(torch.ones(3))
    for clip in (clip_by_value_, clip_by_norm_):
        with pytest.raises(ValueError, match="`c` must be a positive number"):
            clip(w, bad)
    with pytest.raises(ValueError, match="`clip_factor` must be a positive number"):
        adaptive_clip_(w, bad)
    with pytest.raises(ValueError, match="`eps` must be a positive number"):
        adaptive_clip_(w, 0.1, eps=bad)


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_adaptive_clipping_bounds_the_ratio_of_each_unit(make: Callable[[], nn.Module]) -> None:
    layer, factor = make(), 0.05
    spread(layer, layer.weight, 2, 1e-5)  # below eps
    layer.weight.grad = torch.empty_like(layer.weight)
    spread(layer, layer.weight.grad, 3, 1e-6)
    layer.bias.grad = torch.full_like(layer.bias, 10.0)
    before = layer.weight.grad.clone()
    adaptive_clip_(layer, factor)
    pairs = zip(*(units_by_hand(layer, x) for x in (layer.weight, layer.weight.grad, before)), strict=True)
    untouched = 0
    for weight, grad, was in pairs:
        largest = factor * max(weight.norm().item(), 1e-3)
        if was.norm().item() <= largest:
            assert torch.equal(grad, was)
            untouched += 1
        else:
            torch.testing.assert_close(grad, was * (largest / was.norm().item()))
            assert grad.norm().item() <= largest * (1 + 1e-6)
    assert 0 < untouched < len(units_by_hand(layer, before))
    torch.testing.assert_close(layer.bias.grad.norm().item(), factor * layer.bias.norm().item())  # one unit as a whole


def test_adaptive_clipping_lets_a_unit_of_zeros_leave_zero() -> None:
    w = nn.Parameter(torch.zeros(2, 4))
    w.grad = torch.ones(2, 4)
    adaptive_clip_(w, 0.01, eps=1e-3)
    torch.testing.assert_close(w.grad.norm(dim=1), torch.full((2,), 1e-5))


def test_adaptive_clipping_of_half_precision_does_not_overflow() -> None:
    w = nn.Parameter(torch.ones(1, 4096, dtype=torch.float16))
    w.grad = torch.full((1, 4096), 3e4, dtype=torch.float16)  # the norm, 1.9e6, is no float16
    adaptive_clip_(w, 0.01)
    torch.testing.assert_close(w.grad.float(), torch.full((1, 4096), 0.01), rtol=1e-3, atol=0)


def test_adaptive_clipping_of_nan_and_infinity_is_as_stated() -> None:
    w = nn.Parameter(torch.ones(3, 2))
    w.grad = torch.tensor([[math.nan, 1.0], [math.inf, 1.0], [5.0, 0.0]])
    adaptive_clip_(w, 0.01)
    assert w.grad[0].isnan().tolist() == [True, False]
    assert w.grad[0, 1] == 1.0
    assert w.grad[1].isnan().tolist() == [True, False]
    assert w.grad[1, 1] == 0.0
    torch.testing.assert_close(w.grad[2], torch.tensor([0.01 * math.sqrt(2), 0.0]))


@pytest.mark.parametrize("skip", ["2", "2.*", ["2.weight", "2.bias"]])
def test_adaptive_clipping_skips_by_name(skip: str | list[str]) -> None:
    model = make_model()
    model(torch.ones(2, 8)).square().sum().backward()
    before = [parameter.grad.clone() for parameter in model.parameters()]
    adaptive_clip_(model, 1e-4, skip=skip)
    same = [torch.equal(parameter.grad, was) for parameter, was in zip(model.parameters(), before, strict=True)]
    assert same == [False, False, True, True]


def test_adaptive_clipping_says_what_it_cannot_skip_or_clip() -> None:
    model = make_model()
    with pytest.raises(ValueError, match="`skip` must be patterns that each mean a layer or parameter, got 'head'"):
        adaptive_clip_(model, skip="head")
    with pytest.raises(TypeError, match="`skip` must be empty without a model"):
        adaptive_clip_(model.parameters(), skip="2")
    words = nn.Embedding(5, 3, sparse=True)
    words(torch.tensor([1])).sum().backward()
    with pytest.raises(TypeError, match=r"must be of dense gradients, got torch.sparse_coo. Use skip."):
        adaptive_clip_(words)


def test_a_tied_weight_is_clipped_once() -> None:
    model = nn.Sequential(nn.Embedding(4, 4), nn.Linear(4, 4, bias=False))
    model[1].weight = model[0].weight
    model(torch.arange(4)).sum().backward()
    expected = nn.Parameter(model[0].weight.detach().clone())
    expected.grad = model[0].weight.grad.clone()
    adaptive_clip_(model, 0.01)
    adaptive_clip_(expected, 0.01)
    assert torch.equal(model[0].weight.grad, expected.grad)


def test_classic_settings_convert_by_powers_of_the_keep_probability() -> None:
    converted = classic_to_inverted(0.2, std=0.01, lr=0.1, max_norm=4.0, weight_decay=1e-3)
    assert converted == pytest.approx({"std": 0.008, "lr": 0.064, "max_norm": 3.2, "weight_decay": 1e-3 / 0.64})
    assert classic_to_inverted(0.2, lr=1.0)["lr"] == pytest.approx(0.64)  # pylearn2's W_lr_scale for MNIST
    assert classic_to_inverted(0.0, lr=0.3, weight_decay=0.0) == {"lr": 0.3, "weight_decay": 0.0}


def test_classic_and_inverted_training_take_the_same_way() -> None:
    """Two nets, the same masks: W' = q W after every step of momentum SGD with weight decay and max-norm."""
    p, settings = 0.2, {"lr": 0.05, "weight_decay": 0.01}
    keep_prob, bound = 1 - p, 0.3
    converted = classic_to_inverted(p, **settings, max_norm=bound)
    classic, inverted = (nn.Linear(6, 3).double() for _ in range(2))
    with torch.no_grad():
        inverted.weight.copy_(keep_prob * classic.weight)
        inverted.bias.copy_(classic.bias)
    rates = {"lr": converted["lr"], "weight_decay": converted["weight_decay"]}
    optimizers = []
    for layer, own in ((classic, settings), (inverted, rates)):
        groups = [{"params": [layer.weight], **own}, {"params": [layer.bias], "lr": settings["lr"]}]
        optimizers.append(torch.optim.SGD(groups, momentum=0.9))
    source = generator(1)
    for _ in range(20):
        x, target = (torch.randn(8, size, generator=source, dtype=torch.float64) for size in (6, 3))
        mask = torch.rand(8, 6, generator=source) >= p
        for layer, optimizer, scale in zip((classic, inverted), optimizers, (1.0, 1 / keep_prob), strict=True):
            optimizer.zero_grad()
            (layer(x * mask * scale) - target).square().mean().backward()
            optimizer.step()
        max_norm_(classic, bound)
        max_norm_(inverted, converted["max_norm"])
        torch.testing.assert_close(inverted.weight, keep_prob * classic.weight, rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(inverted.bias, classic.bias, rtol=1e-6, atol=1e-9)
    assert (classic.weight.norm(dim=1) > bound * 0.99).any()  # the bound was at work


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"p": 1.0}, "`p` must be less than 1, got 1.0"),
        ({"p": 1.5}, r"`p` must be a number in \[0, 1\], got 1.5"),
        ({"p": math.nan}, r"`p` must be a number in \[0, 1\], got nan"),
        ({"p": 0.5, "lr": -1.0}, "`lr` must be a positive number"),
        ({"p": 0.5, "weight_decay": -1e-4}, "`weight_decay` must be a positive number"),
        ({"p": 0.5, "max_norm": math.nan}, "`max_norm` must be a positive number"),
    ],
)
def test_settings_that_cannot_be_converted_are_refused(arguments: dict[str, float], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        classic_to_inverted(**arguments)
