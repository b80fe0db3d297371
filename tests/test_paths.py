"""Shake-Shake, ShakeDrop and FractalNet's joins: methods.md 3.3 to 3.5."""

import itertools

import pytest
import torch
from scipy import stats

import thinout.functional as F
import thinout.nn as tnn
from thinout import ops

# Each statistical test below raises a false alarm with this probability; there are fewer than 50 in this file.
FALSE_ALARM = 1e-8
SIGMAS = 5.8  # two-sided, at that probability


def assert_rate(num_dropped, num_trials, p):
    probability = stats.binomtest(int(num_dropped), num_trials, p).pvalue
    assert probability > FALSE_ALARM, f"{num_dropped} of {num_trials} at p = {p}"


def assert_uniform(values, low, high):
    assert values.min() >= low
    assert values.max() <= high
    assert stats.kstest(values.double().numpy(), stats.uniform(low, high - low).cdf).pvalue > FALSE_ALARM


# ---- ShakeShake


def shaken(num_rows=100_000, level="image"):
    """Return alpha and beta of each row, read off a forward and a backward pass."""
    first = torch.ones(num_rows, 2, dtype=torch.float64, requires_grad=True)
    second = torch.zeros_like(first, requires_grad=True)
    y = F.shake_shake(first, second, level=level, training=True)
    one, other = torch.autograd.grad(y, (first, second), torch.ones_like(y))
    return y.detach(), one, other


def test_alpha_and_beta_are_uniform_and_independent():
    alpha, beta, _ = shaken()
    assert torch.equal(alpha[:, 0], alpha[:, 1])  # one number an image: a number an element is not the paper's
    assert torch.equal(beta[:, 0], beta[:, 1])
    alpha, beta = alpha[:, 0], beta[:, 0]
    assert_uniform(alpha, 0.0, 1.0)
    assert_uniform(beta, 0.0, 1.0)
    correlation = torch.corrcoef(torch.stack([alpha, beta]))[0, 1].item()
    assert abs(correlation) < SIGMAS / len(alpha) ** 0.5
    neighbours = torch.corrcoef(torch.stack([alpha[1:], alpha[:-1]]))[0, 1].item()
    assert abs(neighbours) < SIGMAS / len(alpha) ** 0.5


def test_the_gradients_of_the_branches_sum_to_the_gradient():
    _, one, other = shaken(1000)
    assert torch.equal(one + other, torch.ones_like(one))


def test_a_batch_is_shaken_by_one_number():
    alpha, beta, _ = shaken(50, level="batch")
    assert len(alpha.unique()) == len(beta.unique()) == 1
    assert alpha[0, 0] != beta[0, 0]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_mix_lies_between_the_branches(dtype):
    first, second = torch.randn(2, 200, 5).to(dtype)
    y = F.shake_shake(first, second, training=True)
    rounding = 2 * torch.finfo(dtype).eps * torch.maximum(first.abs(), second.abs())
    assert (y <= torch.maximum(first, second) + rounding).all()
    assert (y >= torch.minimum(first, second) - rounding).all()


def test_eval_halves_forward_and_backward():
    first, second = (torch.randn(4, 3, requires_grad=True) for _ in range(2))
    y = tnn.ShakeShake().eval()(first, second)
    torch.testing.assert_close(y, (first + second) / 2)
    for gradient in torch.autograd.grad(y.sum(), (first, second)):
        assert torch.equal(gradient, torch.full((4, 3), 0.5))


def test_a_half_precision_mean_does_not_overflow():
    x = torch.full((2, 2), 60_000.0, dtype=torch.float16)
    assert torch.equal(F.shake_shake(x, x, training=False), x)


def test_the_second_derivative_of_shaken_branches_follows_the_backward_pass():
    first = torch.tensor([[3.0]], dtype=torch.float64, requires_grad=True)
    second = torch.zeros_like(first)
    y = F.shake_shake(first**3, second, training=True)
    (gradient,) = torch.autograd.grad(y.sum(), first, create_graph=True)
    beta = gradient.item() / 27
    (twice,) = torch.autograd.grad(gradient.sum(), first)
    assert twice.item() == pytest.approx(beta * 18)


# ---- ShakeDrop


def test_the_branch_is_shaken_for_the_whole_batch_at_the_rate():
    trials, x = 8_000, torch.ones(3)
    whole = torch.stack([F.shake_drop(x, 0.3, training=True) for _ in range(trials)]) == 1
    assert torch.equal(whole.all(dim=1), whole.any(dim=1))
    assert_rate((~whole.all(dim=1)).sum(), trials, ops.effective_p(0.3))


def test_a_branch_that_is_not_shaken_passes_exactly_in_both_passes():
    x = torch.randn(4, 3, requires_grad=True)
    kept = 0
    for seed in range(20):
        torch.manual_seed(seed)
        y = F.shake_drop(x, 0.5, training=True)
        (gradient,) = torch.autograd.grad(y.sum(), x)
        if torch.equal(y, x):
            kept += 1
            assert torch.equal(gradient, torch.ones(4, 3))
    assert 0 < kept < 20


@pytest.mark.parametrize(("alpha", "beta"), [((-1, 1), (0, 1)), ((0, 2), (0.5, 1.5)), ((0, 0), (1, 1))])
def test_factors_have_their_ranges_and_are_independent(alpha, beta):
    x = torch.ones(50_000, 2, dtype=torch.float64, requires_grad=True)
    y = F.shake_drop(x, 1.0, alpha=alpha, beta=beta, training=True)
    (gradient,) = torch.autograd.grad(y, x, torch.ones_like(y))
    assert torch.equal(y[:, 0], y[:, 1])
    for factor, (low, high) in ((y.detach()[:, 0], alpha), (gradient[:, 0], beta)):
        if low == high:
            assert (factor == low).all()
        else:
            assert_uniform(factor, low, high)
    if alpha[0] != alpha[1]:
        correlation = torch.corrcoef(torch.stack([y.detach()[:, 0], gradient[:, 0]]))[0, 1].item()
        assert abs(correlation) < SIGMAS / len(x) ** 0.5


def training_mean(p, alpha, passes=8_000):
    """Return the mean factor of training passes, and its standard error."""
    x = torch.ones(1, dtype=torch.float64)
    factors = torch.cat([F.shake_drop(x, p, alpha=alpha, training=True) for _ in range(passes)])
    return factors.mean().item(), factors.std().item() / passes**0.5


@pytest.mark.parametrize("alpha", [(-1, 1), (0, 2), (0.5, 1.5)])
def test_the_eval_coefficient_is_the_training_mean_for_every_range(alpha):
    mean, error = training_mean(0.5, alpha)
    coefficient = F.shake_drop(torch.ones(1, dtype=torch.float64), 0.5, alpha=alpha, training=False).item()
    assert coefficient == 0.5 + 0.5 * (alpha[0] + alpha[1]) / 2
    assert abs(mean - coefficient) < SIGMAS * error
    wrong = 0.5  # 1 - p, which several repositories have for every range
    assert (abs(mean - wrong) < SIGMAS * error) == (alpha == (-1, 1))


def test_eval_is_differentiable_with_the_mean_coefficient():
    x = torch.randn(3, 2, requires_grad=True)
    y = tnn.ShakeDrop(p=0.25).eval()(x)
    assert torch.equal(y, 0.75 * x)
    assert torch.equal(torch.autograd.grad(y.sum(), x)[0], torch.full((3, 2), 0.75))


@pytest.mark.parametrize(
    ("level", "distinct"), [("batch", 1), ("image", 2), ("channel", 2 * 3), ("pixel", 2 * 3 * 4 * 5)]
)
def test_a_level_has_as_many_factors_as_it_names(level, distinct):
    x = torch.ones(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    y = F.shake_drop(x, 1.0, level=level, training=True)
    (gradient,) = torch.autograd.grad(y, x, torch.ones_like(y))
    assert len(y.unique()) == len(gradient.unique()) == distinct


def test_shaking_under_vmap_draws_for_each_sample_and_keeps_the_backward_factor_apart():
    def run(x):
        return F.shake_drop(x, 1.0, level="batch", training=True).sum()

    x = torch.ones(8, 3, dtype=torch.float64)
    factors = torch.func.vmap(run, randomness="different")(x) / 3
    gradients = torch.func.vmap(torch.func.grad(run), randomness="different")(x)
    assert len(factors.unique()) == 8
    assert len(gradients.unique()) == 8
    assert (gradients >= 0).all()  # beta lies in [0, 1], alpha in [-1, 1]


# ---- FractalJoin

# Powers of 4: the mean of a subset, times the size of the subset, tells which paths are in it.
PATHS = [torch.full((1,), float(4**k), dtype=torch.float64) for k in range(3)]
SUBSETS = {
    sum(4.0**k for k in members) / len(members): members
    for size in (1, 2, 3)
    for members in itertools.combinations(range(3), size)
}


def subset(mean):
    return SUBSETS[min(SUBSETS, key=lambda known: abs(known - mean))]


def subset_probability(members, p):
    chance = (1 - p) ** len(members) * p ** (3 - len(members))
    return chance + p**3 / 3 if len(members) == 1 else chance  # where all are dropped, one of the three stays


@pytest.mark.parametrize(("mode", "p"), [("row", 0.15), ("row", 0.5), ("row", 0.95), ("batch", 0.5)])
def test_local_survivors_are_drawn_as_they_should_and_never_none(mode, p):
    size = 200_000 if mode == "row" else 3_000
    if mode == "row":
        paths = [path.expand(size) for path in PATHS]
        means = F.fractal_join(paths, p, global_ratio=0.0, mode="row", training=True)
    else:
        means = torch.cat([F.fractal_join(PATHS, p, global_ratio=0.0, training=True) for _ in range(size)])
    assert all(min(abs(mean - known) for known in SUBSETS) < 1e-9 for mean in means.unique().tolist())
    counts = dict.fromkeys(SUBSETS.values(), 0)
    for mean, count in zip(*means.unique(return_counts=True), strict=True):
        counts[subset(mean.item())] += count.item()
    p = ops.effective_p(p)
    expected = [size * subset_probability(members, p) for members in counts]
    assert stats.chisquare(list(counts.values()), expected).pvalue > FALSE_ALARM


def test_at_p_of_one_one_path_survives_unchanged():
    for key in range(20):
        y = F.fractal_join(PATHS, 1.0, global_ratio=0.0, training=True, key=key)
        assert any(y is path for path in PATHS)


def test_joins_of_one_key_agree_on_the_pass_and_on_the_column():
    joins = [tnn.FractalJoin(0.5, 0.5, num_columns=3, join=number) for number in range(3)]
    global_passes, trials, local = 0, 1500, set()
    for _ in range(trials):
        key = ops.draw_key()
        # The columns that joins see: all three, the first two, all three.
        seen = [subset(join(*PATHS[:paths], key=key).item()) for join, paths in zip(joins, (3, 2, 3), strict=True)]
        if not ops.dropout_mask((1,), key, 0.5):  # what the page on joins says of the first mask of a key
            global_passes += 1
            (column,) = seen[0]
            assert seen[2] == (column,)
            assert seen[1] == ((column,) if column < 2 else (0, 1))
        else:
            local.add((seen[0], seen[2]))
    assert_rate(global_passes, trials, 0.5)
    assert len(local) == 49  # joins drop locally each for itself: all pairs of the 7 subsets were seen


def test_the_global_column_is_uniform():
    trials = 3000
    columns = [subset(F.fractal_join(PATHS, global_ratio=1.0, training=True).item()) for _ in range(trials)]
    counts = [columns.count((k,)) for k in range(3)]
    assert sum(counts) == trials
    assert stats.chisquare(counts).pvalue > FALSE_ALARM


def test_rows_are_drawn_one_by_one_and_equal_the_selected_form():
    paths = [torch.randn(50, 4) for _ in range(3)]
    y = F.fractal_join(paths, 0.5, mode="row", training=True, key=5)
    mixed = set()
    for row in range(50):
        means = {
            members: torch.stack([paths[k][row] for k in members]).mean(dim=0)
            for size in (1, 2, 3)
            for members in itertools.combinations(range(3), size)
        }
        matching = [members for members, mean in means.items() if torch.allclose(mean, y[row])]
        assert len(matching) == 1
        mixed.add(matching[0])
    assert len(mixed) == 7


@pytest.mark.parametrize("mode", ["row", "batch"])
def test_a_dropped_path_cannot_spoil_the_mean(mode):
    bad = torch.full((3, 2), float("nan"), requires_grad=True)
    good = torch.ones(3, 2, requires_grad=True)
    dropped = 0
    for key in range(30):
        y = F.fractal_join([good, bad], 0.5, mode=mode, training=True, key=key)
        alone = (y == 1).all(dim=1)
        dropped += alone.sum().item()
        for gradient in torch.autograd.grad(y[alone].sum(), (good, bad), allow_unused=True, materialize_grads=True):
            assert gradient.isfinite().all()
    assert 0 < dropped < 90


def test_eval_is_the_mean_of_all_without_overflow():
    x = torch.full((2,), 60_000.0, dtype=torch.float16)
    assert torch.equal(F.fractal_join([x, x, x], training=False), x)
    assert F.fractal_join([x], training=False) is x


def test_a_join_of_one_path_is_that_path():
    assert F.fractal_join(PATHS[:1], 0.9, training=True) is PATHS[0]
