"""DropBlock: whole blocks, rates to the digits of the closed form, and the faults of other implementations.

Random tests compare counts of independent maps with binomial distributions at LEVEL two-sided, a hundred of them at
most, for fixed seeds: the false-alarm rate of this file is below 1e-7.
"""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as nnf
from scipy import stats

import thinout.functional as F
import thinout.nn as tnn
from thinout import ops
from thinout.testing import CHECKS

LEVEL = 1e-9
FUNCTIONS = {1: F.drop_block1d, 2: F.drop_block2d, 3: F.drop_block3d}
MAPS = {1: (12,), 2: (9, 7), 3: (5, 6, 4)}


def dropped(shape, p, block_size, *, key=0, **options):
    """Return which cells are zero, True where dropped."""
    function = FUNCTIONS[len(shape) - 2]
    return function(torch.ones(shape), p, block_size, training=True, scale="none", key=key, **options) == 0


def assert_binomial(counts, num, rates):
    """Each count is one that a binomial distribution gives; `rates` broadcasts against it."""
    counts, rates = np.asarray(counts), np.asarray(rates)
    tails = np.minimum(stats.binom.cdf(counts, num, rates), stats.binom.sf(counts - 1, num, rates))
    assert tails.min() > LEVEL / counts.size, (counts, num * rates)


@pytest.mark.parametrize(
    ("size", "p", "block", "mean", "corner", "centre"),
    [
        ((14, 14), 0.1, 7, "0.0929", "0.00625", "0.2645"),
        ((28, 28), 0.1, 7, "0.0939", None, "0.1498"),
        ((7, 7), 0.1, 7, "0.1000", "0.10000", "0.1000"),
        ((14, 14), 0.25, 7, "0.2095", None, "0.538"),
        ((32, 32), 0.1, 5, "0.0947", None, None),
    ],
)
def test_rates_are_those_of_the_published_map(size, p, block, mean, corner, centre):
    rates = F.drop_block_rates(size, p, block)
    assert f"{rates.mean():.4f}" == mean
    assert corner is None or f"{rates[0, 0]:.5f}" == corner
    middle = rates[size[0] // 2, size[1] // 2].item()
    assert centre is None or f"{middle:.{len(centre) - 2}f}" == centre


def test_rates_count_the_seeds_that_cover_a_cell():
    size, block, p = (6, 9), (2, 4), 0.4
    seeds = (size[0] - block[0] + 1, size[1] - block[1] + 1)
    cover = np.zeros(size)
    for i in range(seeds[0]):
        for j in range(seeds[1]):
            cover[i : i + block[0], j : j + block[1]] += 1
    gamma = ops.effective_p(p * np.prod(size) / (np.prod(block) * np.prod(seeds)), wide=True)
    np.testing.assert_allclose(F.drop_block_rates(size, p, block), 1 - (1 - gamma) ** cover, rtol=1e-12)


@pytest.mark.parametrize("p", [0.0, 1e-5, 0.03, 0.5, 0.95, 1.0])
@pytest.mark.parametrize(("size", "block"), [((40,), 7), ((14, 14), 7), ((6, 9), (2, 4)), ((8, 8, 8), 3)])
def test_the_exact_rate_is_the_mean_rate(size, block, p):
    exact = F.drop_block_rates(size, p, block, exact=True)
    assert exact.mean().item() == pytest.approx(p, abs=1e-8)  # seeds have 32 bits
    if 0.01 < p < 1:
        assert F.drop_block_rates(size, p, block).mean() < p  # the usual formula counts overlaps twice


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("block", [7, 4])
def test_each_cell_is_dropped_at_the_rate_of_the_closed_form(block, exact):
    rates = F.drop_block_rates((14, 14), 0.2, block, exact=exact)
    zero = dropped((400, 25, 14, 14), 0.2, block, exact=exact)
    assert_binomial(zero.sum((0, 1)), 10_000, rates)
    share = zero.double().mean((2, 3)).flatten()  # maps are independent: a z-test of their mean, at 6 standard errors
    assert abs(share.mean() - rates.mean()) < 6 * share.std() / 100


def test_seeds_outside_of_the_valid_places_are_seen():
    """A block around a seed anywhere, cut off at the border: fast timm before 1.0.23."""
    gamma = 0.2 * 14**2 / (7**2 * 8**2)
    seeds = torch.empty(10_000, 1, 14, 14).bernoulli_(gamma)
    counts = nnf.max_pool2d(seeds, 7, 1, 3).sum((0, 1))
    with pytest.raises(AssertionError):
        assert_binomial(counts, 10_000, F.drop_block_rates((14, 14), 0.2, 7))


def test_the_number_of_seeds_is_binomial():
    """Seeds of neighbours, channels and examples are independent: a map without any is as rare as 64 draws say."""
    untouched = ~dropped((300, 40, 14, 14), 0.1, 7).flatten(2).any(2)
    gamma = 0.1 * 14**2 / (7**2 * 8**2)
    assert_binomial(untouched.sum(), 12_000, (1 - gamma) ** 64)
    assert_binomial((untouched[:, 1:] & untouched[:, :-1]).sum(1)[::2].sum(), 150 * 39, (1 - gamma) ** 128)
    assert_binomial((untouched[1::2] & untouched[::2]).sum(), 150 * 40, (1 - gamma) ** 128)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize(
    ("axes", "block"), [(1, 1), (1, 5), (1, 4), (2, 2), (2, 3), (2, (4, 1)), (2, (3, 6)), (3, 2), (3, (3, 4, 1))]
)
def test_what_is_dropped_is_a_union_of_whole_blocks(axes, block, exact):
    zero = dropped((30, 4, *MAPS[axes]), 0.3, block, exact=exact)
    sides = (block,) * axes if isinstance(block, int) else block
    pool = getattr(nnf, f"max_pool{axes}d")
    whole = -pool(-zero.float(), sides, stride=1)  # 1 where all of a window is dropped
    margins = [margin for side in reversed(sides) for margin in (side - 1, side - 1)]
    covered = pool(nnf.pad(whole, margins), sides, stride=1)
    assert torch.equal(covered.bool(), zero)
    assert zero.any()
    assert not zero.all()


def test_seeds_are_those_of_the_wide_mask_format():
    zero = dropped((3, 4, 9, 7), 0.1, (9, 7), key=11)
    seeds = ~ops.dropout_mask((3, 4, 1, 1), 11, 0.1, wide=True)
    assert torch.equal(zero, seeds.expand_as(zero))


@pytest.mark.parametrize("shape", [(5, 3, 6, 6), (5, 3, 4, 9), (5, 3, 1, 2)])
def test_a_block_larger_than_the_map_is_clipped(shape):
    sizes = tuple(min(7, size) for size in shape[2:])
    assert torch.equal(dropped(shape, 0.4, 7), dropped(shape, 0.4, sizes))


def test_a_block_of_the_size_of_the_map_drops_whole_maps_at_rate_p():
    zero = dropped((200, 50, 7, 7), 0.1, 7)
    maps = zero.flatten(2)
    assert torch.equal(maps.any(2), maps.all(2))
    assert_binomial(maps.all(2).sum(), 10_000, 0.1)


def test_blocks_of_one_cell_are_elementwise_dropout():
    x = torch.randn(4, 3, 8, 9)
    y = F.drop_block2d(x, 0.3, 1, training=True, scale="expected", key=5)
    torch.testing.assert_close(y, ops.dropout(x, 5, 0.3, wide=True), rtol=1e-6, atol=0)
    assert torch.equal(y == 0, ops.dropout(x, 5, 0.3, wide=True) == 0)


def test_channels_have_blocks_of_their_own_or_share_them():
    own, shared = (dropped((3, 4, 12, 12), 0.3, 3, per_channel=per_channel) for per_channel in (True, False))
    assert not torch.equal(own[:, 0], own[:, 1])
    assert torch.equal(shared, shared[:, :1].expand_as(shared))


@pytest.mark.parametrize(("scale", "dims"), [("batch", (0, 1, 2, 3)), ("sample", (1, 2, 3)), ("channel", (2, 3))])
def test_scales_keep_the_mean_over_what_they_count(scale, dims):
    y = F.drop_block2d(torch.ones(4, 3, 10, 10, dtype=torch.float64), 0.3, 3, training=True, scale=scale, key=2)
    kept = (y != 0).any(dim=3, keepdim=True).any(dim=2, keepdim=True)
    assert kept.all()  # so that no map is dropped whole, which would lower its mean
    torch.testing.assert_close(y.mean(dims), torch.ones_like(y.mean(dims)), rtol=1e-14, atol=0)


def test_the_expected_scale_is_a_constant_that_keeps_the_mean():
    y = F.drop_block2d(torch.ones(4, 3, 14, 14, dtype=torch.float64), 0.25, 7, training=True, scale="expected", key=2)
    scale = 1 / (1 - F.drop_block_rates((14, 14), 0.25, 7).mean())
    torch.testing.assert_close(y[y != 0], scale.expand(int((y != 0).sum())), rtol=1e-12, atol=0)


def test_only_the_scale_over_the_batch_couples_examples():
    x = torch.randn(6, 3, 10, 10)
    for scale in ("batch", "sample", "channel", "expected", "none"):
        whole, part = (F.drop_block2d(batch, 0.3, 3, training=True, scale=scale, key=9) for batch in (x, x[:2].clone()))
        assert torch.equal(whole[:2], part) == (scale != "batch"), scale


@pytest.mark.parametrize("scale", ["batch", "sample", "channel", "expected", "none"])
@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_nothing_is_nan_where_everything_is_dropped(scale, exact, dtype):
    """The usual count of kept cells divides by 0, and infinity times 0 is NaN."""
    x = torch.full((2, 3, 8, 8), float("inf"), dtype=dtype, requires_grad=True)
    y = F.drop_block2d(x, 1.0, 3, training=True, scale=scale, exact=exact)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(y, torch.zeros_like(x))
    assert torch.equal(gradient, torch.zeros_like(x))
    maps = F.drop_block2d(torch.ones(50, 4, 5, 5, dtype=dtype), 0.5, 5, training=True, scale=scale, exact=exact, key=1)
    assert maps.isfinite().all()
    assert (maps == 0).flatten(2).all(2).any()


def test_a_dropped_infinity_is_zero():
    x = torch.full((2, 3, 8, 8), float("nan"))
    assert (F.drop_block2d(x, 0.5, 3, training=True, key=1) == 0).any()
    kept = ~dropped((2, 3, 8, 8), 0.5, 3, key=1)
    x[kept] = 1.0
    assert F.drop_block2d(x, 0.5, 3, training=True, key=1).isfinite().all()


def test_kept_cells_are_counted_in_half_precision_too():
    x = torch.ones(1, 2, 300, 300, dtype=torch.float16)
    y = F.drop_block2d(x, 0.2, 7, training=True, key=3)
    kept = y != 0
    assert kept.sum() > 65_504
    assert torch.isinf(kept.to(torch.float16).sum())
    assert y[kept].unique().item() == pytest.approx(x.numel() / kept.sum().item(), rel=1e-3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_the_mask_does_not_depend_on_the_dtype(dtype):
    """Rates of seeds are tiny: noise drawn in bfloat16 has a rate of 0 or 0.003 where 1e-4 is asked for."""
    shape = (40, 50, 28, 28)
    zero = F.drop_block2d(torch.ones(shape, dtype=dtype), 0.01, 7, training=True, key=4) == 0
    assert torch.equal(zero, dropped(shape, 0.01, 7, key=4))
    assert_binomial(zero[..., 14, 14].sum(), 2000, F.drop_block_rates((28, 28), 0.01, 7)[14, 14])


def test_images_keep_their_memory_format():
    x = torch.randn(2, 3, 8, 8).to(memory_format=torch.channels_last)
    for scale in ("batch", "none"):
        y = F.drop_block2d(x, 0.3, 3, training=True, scale=scale, key=1)
        assert y.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(y, F.drop_block2d(x.contiguous(), 0.3, 3, training=True, scale=scale, key=1))


def test_an_unbatched_map_is_a_batch_of_one():
    x = torch.randn(3, 8, 8)
    one = F.drop_block2d(x, 0.3, 3, training=True, batched=False, key=1)
    assert torch.equal(one, F.drop_block2d(x.unsqueeze(0), 0.3, 3, training=True, key=1).squeeze(0))
    same = x.clone()
    assert F.drop_block2d(same, 0.3, 3, training=True, batched=False, inplace=True, key=1) is same
    assert torch.equal(same, one)


VARIANTS = [
    {"exact": True, "scale": "expected"},
    {"scale": "sample", "per_channel": False},
    {"scale": "channel", "block_size": (2, 4)},
    {"scale": "none", "block_size": 20},
]


@pytest.mark.parametrize("check", ["compile", "export", "vmap", "functional_gradient", "empty", "zero_rate", "setting"])
@pytest.mark.parametrize("options", VARIANTS, ids=lambda options: "-".join(map(str, options.values())))
def test_the_common_checks_hold_for_every_option(options, check):
    spec = tnn.REGISTRY["DropBlock2d"]
    CHECKS[check](dataclasses.replace(spec, arguments={**spec.arguments, **options}))


@pytest.mark.parametrize("exact", [False, True])
def test_a_constant_rate_compiles(exact):
    def call(x):
        return F.drop_block2d(x, 0.3, 3, training=True, scale="expected", exact=exact, key=1)

    x = torch.randn(2, 3, 9, 9)
    torch._dynamo.reset()
    compiled = torch.compile(call, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), call(x), rtol=1e-6, atol=0)
    assert torch.equal(compiled(x) == 0, call(x) == 0)


def test_a_batch_of_inputs_that_vmap_does_not_map_gets_many_masks():
    """As Monte Carlo prediction does: mapped keys, one input."""
    x = torch.randn(2, 3, 9, 9)
    layer = tnn.DropBlock2d(0.3, 3, scale="none")
    keys = torch.arange(5)
    many = torch.func.vmap(lambda key: layer(x, key=key))(keys)
    assert torch.equal(many, torch.stack([layer(x, key=key) for key in range(5)]))
