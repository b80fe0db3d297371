"""LayerDrop: which layers run, in which order, how often, and what a container owes its layers."""

import copy

import pytest
import torch
from scipy import stats
from torch import nn
from torch.utils.checkpoint import checkpoint

import thinout.functional as F
import thinout.nn as tnn
from thinout import ops

# Each statistical test below raises a false alarm with this probability; there are fewer than 20 in this file.
FALSE_ALARM = 1e-8


def assert_rate(num_dropped, num_trials, p):
    probability = stats.binomtest(int(num_dropped), num_trials, p).pvalue
    assert probability > FALSE_ALARM, f"{num_dropped} of {num_trials} at p = {p}"


class Digit(nn.Module):
    """Appends a digit to a decimal number, so that a result tells which layers ran and in which order."""

    def __init__(self, digit):
        super().__init__()
        self.digit = digit

    def forward(self, x):
        return 10 * x + self.digit


def digits(count=8, **arguments):
    return tnn.LayerDrop([Digit(number + 1) for number in range(count)], **arguments)


ZERO = torch.zeros(1, dtype=torch.float64)


def ran(result):
    return [int(digit) for digit in str(int(result.item())) if digit != "0"]


def test_all_layers_run_in_order_in_eval_and_at_p_of_zero_and_none_at_p_of_one():
    layers = digits(p=0.9)
    assert ran(layers.eval()(ZERO)) == [1, 2, 3, 4, 5, 6, 7, 8]
    layers.train().p = 0.0
    assert ran(layers(ZERO)) == [1, 2, 3, 4, 5, 6, 7, 8]
    layers.p = 1.0
    assert layers(ZERO) is ZERO


def test_survivors_keep_their_order_and_are_not_rescaled():
    results = {tuple(ran(digits(p=0.5)(ZERO, key=key))) for key in range(40)}
    assert len(results) > 20
    assert all(list(result) == sorted(result) for result in results)


@pytest.mark.parametrize("p", [0.2, 0.5])
def test_the_number_of_layers_that_run_is_binomial(p):
    # 500 layers that count, 1200 passes: 600,000 decisions see a rate that is 1.5 % off at p = 0.2.
    num_layers, passes = 500, 1200
    calls = [0] * num_layers

    def count(index):
        def layer(x):
            calls[index] += 1
            return x

        return layer

    layers, counts = [count(index) for index in range(num_layers)], []
    for _ in range(passes):
        before = sum(calls)
        F.layer_drop(ZERO, layers, p=p, training=True)
        counts.append(sum(calls) - before)
    keep = 1 - ops.effective_p(p)
    assert_rate(sum(calls), num_layers * passes, keep)
    # Layers are dropped independently: the counts have the variance of a binomial, not more and not less.
    variance = sum((count - num_layers * keep) ** 2 for count in counts) / (num_layers * keep * (1 - keep))
    assert FALSE_ALARM / 2 < stats.chi2.cdf(variance, passes) < 1 - FALSE_ALARM / 2
    each = [stats.binomtest(number, passes, keep).pvalue for number in calls]
    assert min(each) > FALSE_ALARM / num_layers


def test_the_linear_rule_gives_the_expected_depth_of_the_paper():
    layers = digits(54, p=0.5, rule="linear")
    assert sum(1 - p for p in layers.rates) == pytest.approx((3 * 54 - 1) / 4)  # 40.25 blocks of 54
    assert layers.rates[0] == 0.5 / 54
    assert layers.rates[-1] == 0.5
    passes, active = 1000, 0
    for _ in range(passes):
        active += len(list(layers.survivors()))
    effective = [ops.effective_p(p) for p in layers.rates]
    error = (sum(p * (1 - p) for p in effective) / passes) ** 0.5
    assert abs(active / passes - 40.25) < 5.8 * error + 54 * 2**-17  # rates are quantised


def test_layers_are_dropped_at_the_rates_of_the_linear_rule():
    trials, layers = 6000, digits(p=0.6, rule="linear")
    runs = torch.zeros(8)
    for _ in range(trials):
        runs[torch.tensor(ran(layers(ZERO)), dtype=torch.int64) - 1] += 1
    for number, p in zip(runs, layers.rates, strict=True):
        assert_rate(trials - number, trials, ops.effective_p(p))


def test_progressive_layer_dropping_is_the_linear_rule_with_a_scheduled_rate():
    layers, theta = digits(p=0.0, rule="linear"), 0.7
    layers.p = 1 - theta
    expected = [1 - index / 8 * (1 - theta) for index in range(1, 9)]  # keep probabilities of the paper
    assert [1 - p for p in layers.rates] == pytest.approx(expected)


def test_at_one_rate_for_all_the_rules_take_the_same_element_of_the_mask():
    # A layer's element is its own in both rules: what the linear rule drops, the constant one at that rate drops too.
    for key in range(50):
        linear = set(ran(digits(p=0.5, rule="linear")(ZERO, key=key)))
        constant = set(ran(digits(p=0.5)(ZERO, key=key)))
        assert constant <= linear


def test_state_dict_and_container_are_those_of_a_module_list():
    plain = nn.ModuleList([nn.Linear(2, 2) for _ in range(3)])
    layers = tnn.LayerDrop([nn.Linear(2, 2) for _ in range(3)], p=0.5)
    assert isinstance(layers, nn.ModuleList)
    assert list(layers.state_dict()) == list(plain.state_dict())
    layers.load_state_dict(plain.state_dict(), strict=True)
    plain.load_state_dict(layers.state_dict(), strict=True)
    assert len(list(layers)) == len(layers) == 3  # iteration draws nothing, in training mode either


def test_a_slice_keeps_the_settings():
    part = digits(p=0.7, rule="linear", skip=False, sync=False).eval()[2:5]
    assert repr(part) == repr(tnn.LayerDrop(list(digits())[2:5], 0.7, rule="linear", skip=False, sync=False))
    assert not part.training
    assert [layer.digit for layer in part] == [3, 4, 5]


@pytest.mark.parametrize(
    ("p", "kept"), [(0.5, [1, 3, 5, 7]), (0.25, [1, 2, 3, 5, 6, 7]), (0.125, [1, 2, 3, 4, 5, 6, 7])]
)
def test_pruning_leaves_out_every_so_manieth_layer(p, kept):
    layers = digits(p=0.3)
    pruned = layers.prune(p)
    assert [layer.digit for layer in pruned] == kept
    assert pruned.p == 0.3
    assert pruned[0] is layers[0]


@pytest.mark.parametrize("p", [0.0, 0.6, 1.0, float("nan")])
def test_a_share_that_would_prune_nothing_or_everything_is_refused(p):
    with pytest.raises(ValueError, match="`p` must be a number in"):
        digits().prune(p)


def test_survivors_are_the_layers_that_a_call_runs():
    layers = digits(p=0.5)
    for key in range(20):
        assert [layer.digit for layer in layers.survivors(key=key)] == ran(layers(ZERO, key=key))
    assert [layer.digit for layer in layers.eval().survivors()] == list(range(1, 9))


def test_skipping_and_selecting_agree_and_selecting_reaches_every_parameter():
    skipping = tnn.LayerDrop([nn.Linear(3, 3) for _ in range(4)], p=0.5)
    selecting = tnn.LayerDrop(list(skipping), p=0.5, skip=False)
    for key in range(8):
        x = torch.randn(2, 3)
        y, z = skipping(x, key=key), selecting(x, key=key)
        assert torch.equal(y, z)
        kept = set(skipping.survivors(key=key))
        if not kept:
            assert z.requires_grad  # all are dropped, all take part
        for layer, gradient in zip(selecting, torch.autograd.grad(z.sum(), [m.weight for m in selecting]), strict=True):
            assert gradient.any() == (layer in kept)


def test_what_a_dropped_layer_gives_does_not_leak_where_it_is_computed():
    class Bad(nn.Module):
        def forward(self, x):
            return x * float("nan")

    layers = tnn.LayerDrop([Bad()], p=1.0, skip=False)
    x = torch.ones(3, requires_grad=True)
    y = layers(x)
    assert torch.equal(y, x)


def test_other_arguments_go_to_every_layer():
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    layers = tnn.LayerDrop([layer, copy.deepcopy(layer)], p=0.0)
    x, padding = torch.randn(2, 5, 8), torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
    expected = layers[1](layer(x, src_key_padding_mask=padding), src_key_padding_mask=padding)
    assert torch.equal(layers(x, src_key_padding_mask=padding), expected)


@pytest.mark.parametrize("reentrant", [True, False])
def test_recomputation_runs_the_layers_of_the_first_time(reentrant):
    calls = []

    class Recording(nn.Linear):
        def forward(self, x):
            calls.append(id(self))
            return super().forward(x)

    layers = tnn.LayerDrop([Recording(3, 3) for _ in range(10)], p=0.5)
    x = torch.randn(2, 3, requires_grad=True)
    y = checkpoint(layers, x, use_reentrant=reentrant)
    first = list(calls)
    y.sum().backward()
    assert 0 < len(first) < 10
    assert calls == first + first


def test_a_layer_that_gives_no_tensor_is_named():
    class Pair(nn.Module):
        def forward(self, x):
            return x, x

    with pytest.raises(TypeError, match="`output of a layer` must be a tensor, got tuple"):
        tnn.LayerDrop([Pair()], p=0.0)(torch.ones(2))


def test_survivors_cannot_be_asked_for_under_vmap():
    layers = digits(p=0.5)
    with pytest.raises(RuntimeError, match="Call the layer"):
        torch.func.vmap(lambda x: next(layers.survivors())(x), randomness="different")(torch.zeros(3))


def test_an_empty_list_is_the_identity():
    x = torch.ones(3)
    assert tnn.LayerDrop([], p=0.5)(x) is x
    assert repr(tnn.LayerDrop([], p=0.5)) == "LayerDrop(p=0.5, rule='constant', skip=True, sync=True)"
