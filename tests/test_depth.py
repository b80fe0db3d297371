"""Stochastic depth, the block that computes only what is kept, and scheduled paths."""

import pytest
import torch
from scipy import stats
from torch import nn

import thinout.functional as F
import thinout.nn as tnn
from thinout import ops
from thinout.testing import check_layer

# Each statistical test below raises a false alarm with this probability; there are fewer than 50 in this file.
FALSE_ALARM = 1e-8
ROWS = 1_000_000  # enough to see a rate that is 1 % off at p = 0.3


def assert_rate(num_dropped, num_trials, p):
    probability = stats.binomtest(int(num_dropped), num_trials, p).pvalue
    assert probability > FALSE_ALARM, f"{num_dropped} of {num_trials} at p = {p}"


class Counting(nn.Module):
    """A residual branch that counts its calls and the rows that it is given."""

    def __init__(self):
        super().__init__()
        self.rows = []

    def forward(self, x):
        self.rows.append(len(x))
        return torch.ones_like(x)


# ---- StochasticDepth


@pytest.mark.parametrize("p", [0.001, 0.3, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_rows_are_dropped_at_the_rate_in_every_dtype(p, dtype):
    y = F.stochastic_depth(torch.ones(ROWS, 1, dtype=dtype), p, training=True)
    assert_rate((y == 0).sum(), ROWS, ops.effective_p(p))


def test_the_old_floor_of_keep_plus_noise_would_fail_that_test():
    noise = torch.rand(ROWS, dtype=torch.bfloat16)
    dropped = (0.999 + noise).floor() == 0  # the sum is rounded to bfloat16
    assert stats.binomtest(int(dropped.sum()), ROWS, 0.001).pvalue < FALSE_ALARM


def test_a_row_is_dropped_as_a_whole_or_kept_with_the_exact_scale():
    x = torch.randn(256, 3, 4)
    y = F.stochastic_depth(x, 0.25, training=True, key=3)  # 1 / (1 - 1/4) is 4/3
    kept = (y != 0).flatten(1).any(dim=1)
    assert 0 < kept.sum() < 256
    assert torch.equal(y[kept], x[kept] * torch.tensor(4 / 3))
    assert torch.equal(y[~kept], torch.zeros_like(y[~kept]))


def test_rows_are_dropped_independently_of_each_other():
    keep = F.stochastic_depth(torch.ones(ROWS, 1), 0.5, training=True).flatten() != 0
    assert_rate((keep[1:] != keep[:-1]).sum(), ROWS - 1, 0.5)


def test_a_batch_is_dropped_as_a_whole_at_the_rate():
    x, trials = torch.ones(3, 2), 20_000
    sums = torch.stack([F.stochastic_depth(x, 0.4, mode="batch", training=True).sum() for _ in range(trials)])
    full = F.stochastic_depth(x, 0.4, mode="batch", training=True, key=1).sum()
    assert set(sums.tolist()) == {0.0, full.item()}
    assert_rate((sums == 0).sum(), trials, ops.effective_p(0.4))


def test_without_scale_the_mean_in_training_is_not_that_of_evaluation():
    x = torch.ones(ROWS, 1)
    plain = F.stochastic_depth(x, 0.3, scaled=False, training=True, key=1)
    scaled = F.stochastic_depth(x, 0.3, training=True, key=1)
    assert plain.unique().tolist() == [0.0, 1.0]
    assert torch.equal(plain != 0, scaled != 0)
    standard_error = (0.3 / 0.7 / ROWS) ** 0.5
    assert abs(scaled.mean().item() - 1) < 5.8 * standard_error
    assert abs(plain.mean().item() - 0.7) < 5.8 * 0.7 * standard_error


def test_an_infinite_branch_is_dropped_to_zero_with_a_finite_gradient():
    x = torch.full((64, 2), float("inf"), requires_grad=True)
    y = F.stochastic_depth(x, 0.5, training=True, key=2)
    assert set(y.detach().unique().tolist()) == {0.0, float("inf")}
    (gradient,) = torch.autograd.grad(y, x, torch.ones_like(y))
    assert torch.equal(gradient, (y != 0) * 2.0)


@pytest.mark.parametrize("mode", ["row", "batch"])
def test_p_of_one_drops_everything(mode):
    assert not F.stochastic_depth(torch.ones(5, 2), 1.0, mode=mode, training=True).any()


def test_a_batch_may_be_0_d_and_rows_may_not():
    assert F.stochastic_depth(torch.tensor(2.0), 0.5, mode="batch", training=True, key=1).dim() == 0
    with pytest.raises(ValueError, match='Pass mode="batch"'):
        F.stochastic_depth(torch.tensor(2.0), 0.5, training=True)


def test_drop_path_is_stochastic_depth():
    assert tnn.DropPath is tnn.StochasticDepth


def test_the_layer_is_one_node_of_an_fx_graph():
    graph = torch.fx.symbolic_trace(nn.Sequential(tnn.StochasticDepth(0.5), nn.ReLU())).graph
    assert [node.name for node in graph.nodes] == ["input_1", "stochastic_depth", "_1", "output"]


# ---- StochasticDepthBlock, rows


@pytest.mark.parametrize(
    ("num_rows", "p", "kept"), [(8, 0.75, 2), (10, 0.9, 1), (10, 0.3, 7), (3, 0.5, 2), (1, 0.5, 1), (4, 0.99, 1)]
)
def test_the_branch_computes_exactly_the_kept_rows_and_the_mean_is_exact(num_rows, p, kept):
    block = tnn.StochasticDepthBlock(Counting(), p)
    y = block(torch.zeros(num_rows, 2))
    assert block.branch.rows == [kept]
    assert (y[:, 0] != 0).sum() == kept
    torch.testing.assert_close(y.mean(dim=0), torch.ones(2))


def test_every_row_is_kept_equally_often_and_pairs_too():
    trials, num_rows, kept = 20_000, 5, 2
    block = tnn.StochasticDepthBlock(Counting(), 0.6)
    chosen = torch.stack([block(torch.zeros(num_rows, 1)).flatten() != 0 for _ in range(trials)])
    sets = (chosen * 2 ** torch.arange(num_rows)).sum(dim=1).unique(return_counts=True)[1]
    assert len(sets) == 10  # all subsets of 2 of 5
    assert chosen.sum() == trials * kept
    assert stats.chisquare(sets.numpy()).pvalue > FALSE_ALARM


def test_dropped_rows_pass_with_the_identity_as_their_gradient():
    block = tnn.StochasticDepthBlock(nn.Linear(3, 3), 0.5)
    x = torch.randn(8, 3, requires_grad=True)
    y = block(x)
    dropped = (y == x).all(dim=1)
    assert dropped.sum() == 4
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(gradient[dropped], torch.ones(4, 3))
    through = 1 + 2 * block.branch.weight.sum(dim=0)  # N / K = 2
    torch.testing.assert_close(gradient[~dropped], through.expand(4, 3))


def test_a_row_that_is_dropped_has_a_finite_gradient_where_the_branch_has_none():
    class Inverse(nn.Module):
        def forward(self, x):
            return 1 / x

    block, dropped = tnn.StochasticDepthBlock(Inverse(), 0.5), 0
    for _ in range(20):
        x = torch.tensor([[0.0], [1.0], [2.0], [4.0]], requires_grad=True)
        y = block(x)
        (gradient,) = torch.autograd.grad(y.sum(), x)
        if y[0] == 0:
            dropped += 1
            assert gradient[0] == 1
            assert gradient.isfinite().all()
    assert 0 < dropped < 20


@pytest.mark.parametrize("mode", ["row", "batch"])
def test_p_of_one_never_calls_the_branch_and_p_of_zero_always_does(mode):
    x = torch.ones(4, 2)
    block = tnn.StochasticDepthBlock(Counting(), 1.0, mode)
    assert block(x) is x
    assert block.branch.rows == []
    block.p = 0.0
    assert torch.equal(block(x), x + 1)
    block.p = 1.0
    assert torch.equal(block.eval()(x), x + 1)
    assert block.branch.rows == [4, 4]


def test_an_empty_batch_passes_the_branch():
    assert tnn.StochasticDepthBlock(nn.Linear(3, 3), 0.5)(torch.zeros(0, 3)).shape == (0, 3)


def test_a_private_generator_fixes_the_rows():
    block, x = tnn.StochasticDepthBlock(Counting(), 0.5), torch.zeros(32, 1)
    first, second = (block(x, generator=torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, block(x, generator=torch.Generator().manual_seed(8)))


def test_compiled_rows_are_those_of_eager_code_and_a_second_rate_compiles_once_more():
    graphs = []

    def count(graph, arguments):
        graphs.append(graph)
        return graph

    block, x = tnn.StochasticDepthBlock(nn.Linear(4, 4), 0.25), torch.randn(8, 4)
    torch._dynamo.reset()
    compiled = torch.compile(lambda x: block(block(x)), backend=count, fullgraph=True)
    for p in (0.25, 0.5, 0.75, 0.125):
        block.p = p
        torch.manual_seed(3)
        expected = block(block(x))
        torch.manual_seed(3)
        torch.testing.assert_close(compiled(x), expected)
    assert len(graphs) == 2  # one of 6 rows, one whose number of rows is a symbol


def test_a_rate_that_is_a_tensor_has_no_number_of_rows():
    p = torch.tensor([0.5], dtype=torch.float64)
    with pytest.raises(TypeError, match="`p` must be a number in mode"):
        F.stochastic_depth_block(torch.ones(2, 2), nn.Identity(), p=p, training=True)


# ---- StochasticDepthBlock, the whole batch


def _batch_reference(module, x):
    keep = ops.dropout_mask((1,), ops.draw_key(), module.p, backend="reference")
    return x + module.branch(x) / (1 - ops.effective_p(module.p)) if keep else x


@pytest.mark.parametrize("skip", [True, False])
def test_the_form_per_batch_passes_all_checks(skip):
    spec = tnn.REGISTRY["StochasticDepthBlock"]
    exceptions = {check: reason for check, reason in spec.exceptions.items() if check != "compile"}
    errors = tuple(wrong for wrong in spec.errors if "0-d" not in wrong.match)
    arguments = {**spec.arguments, "p": 0.4, "mode": "batch", "skip": skip}
    changes = {"reference": _batch_reference, "arguments": arguments, "exceptions": exceptions, "errors": errors}
    check_layer(tnn.LayerSpec(**{**vars(spec), **changes}))


def test_a_branch_is_called_once_or_not_at_all_at_the_rate():
    trials, block = 20_000, tnn.StochasticDepthBlock(Counting(), 0.4, "batch")
    x = torch.zeros(3, 1)
    for _ in range(trials):
        calls = len(block.branch.rows)
        y = block(x)
        assert len(block.branch.rows) - calls == (1 if y.any() else 0)
    assert_rate(trials - len(block.branch.rows), trials, ops.effective_p(0.4))


def test_batch_statistics_of_a_branch_that_is_skipped_stay_as_they_are():
    x = torch.randn(16, 3)
    for skip in (True, False):
        block = tnn.StochasticDepthBlock(nn.BatchNorm1d(3), 0.5, "batch", skip=skip)
        for _ in range(20):
            before = block.branch.num_batches_tracked.item()
            dropped = torch.equal(block(x), x)
            assert block.branch.num_batches_tracked.item() - before == (0 if skip and dropped else 1)


def test_selecting_gives_what_skipping_gives_and_a_zero_gradient_where_that_gives_none():
    branch, x = nn.Linear(3, 3), torch.randn(4, 3)
    skipping, selecting = (tnn.StochasticDepthBlock(branch, 0.5, "batch", skip=skip) for skip in (True, False))
    seen = set()
    for seed in range(12):
        torch.manual_seed(seed)
        y = skipping(x)
        torch.manual_seed(seed)
        z = selecting(x)
        torch.testing.assert_close(z, y)
        (gradient,) = torch.autograd.grad(z.sum(), branch.weight)
        assert gradient.any() == y.requires_grad
        seen.add(y.requires_grad)
    assert seen == {True, False}


# ---- ScheduledDropPath


def nasnet_rate(p, step, total, cell, num_cells):
    """Keep probabilities as the authors' TensorFlow code computes them: by cell first, then by time."""
    keep = 1 - (cell + 1) / num_cells * p
    return 1 - (1 - min(1.0, step / total) * (1 - keep))


@pytest.mark.parametrize(("cell", "num_cells"), [(0, 1), (0, 3), (2, 3)])
def test_the_rate_is_that_of_the_authors_at_every_step(cell, num_cells):
    layer = tnn.ScheduledDropPath(0.3, 10, cell=cell, num_cells=num_cells)
    for step in range(15):
        assert layer.current_p == pytest.approx(nasnet_rate(0.3, step, 10, cell, num_cells), abs=1e-12)
        layer.step()


def test_it_begins_with_nothing_dropped_and_draws_nothing():
    state = torch.get_rng_state()
    x = torch.ones(4, 2)
    assert tnn.ScheduledDropPath(0.5, 10)(x) is x
    assert torch.equal(torch.get_rng_state(), state)


def test_rows_are_dropped_at_the_current_rate():
    layer = tnn.ScheduledDropPath(0.8, 4, steps_done=2)
    y = layer(torch.ones(ROWS, 1))
    assert_rate((y == 0).sum(), ROWS, ops.effective_p(0.4))


def test_a_checkpoint_resumes_the_schedule():
    model = nn.Sequential(nn.Linear(2, 2), tnn.ScheduledDropPath(0.5, 10))
    for _ in range(4):
        model[1].step()
    fresh = nn.Sequential(nn.Linear(2, 2), tnn.ScheduledDropPath(0.5, 10))
    fresh.load_state_dict(model.state_dict())
    assert fresh[1].steps_done == 4
    assert fresh[1].current_p == model[1].current_p == pytest.approx(0.2)


@pytest.mark.parametrize("state", [{}, {"step": 3}, {"steps_done": 3, "num_steps": 4}, 3])
def test_the_state_of_another_schedule_is_refused(state):
    layer = tnn.ScheduledDropPath(0.5, 10, steps_done=2)
    with pytest.raises(TypeError, match="`state` must be a dict with `steps_done` alone"):
        layer.set_extra_state(state)
    with pytest.raises(ValueError, match="`steps_done` must be a whole number of at least 0"):
        layer.set_extra_state({"steps_done": -1})
    assert layer.steps_done == 2


def test_steps_do_not_compile_again():
    graphs = []

    def count(graph, arguments):
        graphs.append(graph)
        return graph

    layer = tnn.ScheduledDropPath(1.0, 4)
    torch._dynamo.reset()
    compiled = torch.compile(layer, backend=count, fullgraph=True)
    dropped = []
    for _ in range(5):
        dropped.append((compiled(torch.ones(4000, 1)) == 0).sum().item())
        layer.step()
    assert len(graphs) == 1
    assert dropped == sorted(dropped)
    assert (dropped[0], dropped[-1]) == (0, 4000)
