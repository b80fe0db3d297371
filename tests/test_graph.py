"""Dropout on graphs against closed forms, and against what the implementations of others get wrong.

Random tests have fixed seeds. Each binomial test is at 1e-8 and each z-test at 6 standard errors, so that the false
alarm rate of the file, over about 20 of them, is below 1e-7.
"""

from __future__ import annotations

import pytest
import torch
from scipy import stats

import thinout.functional as F
import thinout.nn as tnn
from thinout import ops

ALPHA = 1e-8


def check_rate(dropped: torch.Tensor, p: float) -> None:
    count, total = int(dropped.sum()), dropped.numel()
    assert stats.binomtest(count, total, p).pvalue > ALPHA, f"{count} of {total} dropped, expected {p}"


def random_edges(num_nodes: int, num_edges: int) -> torch.Tensor:
    return torch.randint(num_nodes, (2, num_edges), generator=torch.Generator().manual_seed(0))


def undirected(num_nodes: int, num_pairs: int) -> torch.Tensor:
    """Return random pairs in both directions, in random order, and one self-loop a node."""
    generator = torch.Generator().manual_seed(1)
    pairs = torch.combinations(torch.arange(num_nodes))
    pairs = pairs[torch.randperm(len(pairs), generator=generator)[:num_pairs]].T
    edges = torch.cat([pairs, pairs.flip(0), torch.arange(num_nodes).expand(2, -1)], dim=1)
    return edges[:, torch.randperm(edges.size(1), generator=generator)]


class TestDropEdge:
    @pytest.mark.parametrize(("num_edges", "p"), [(45, 0.7), (50, 0.59), (75, 0.14)])
    def test_exact_rounds_as_python_does(self, num_edges: int, p: float) -> None:
        # In float32 the products are 31.5, 29.5 and 10.5, and rounded to even.
        kept, _ = F.drop_edge(random_edges(20, num_edges), p, exact=True, training=True)
        assert num_edges - kept.size(1) == round(p * num_edges)

    @pytest.mark.parametrize("exact", [True, False])
    @pytest.mark.parametrize("both", [True, False])
    def test_kept_edges_are_a_subset_and_ids_say_which(self, exact: bool, both: bool) -> None:
        edges = undirected(30, 100)
        kept, ids = F.drop_edge(edges, 0.4, exact=exact, undirected=both, training=True)
        assert torch.equal(kept, edges[:, ids])
        assert torch.equal(ids, ids.unique())
        assert 0 < len(ids) < edges.size(1)

    def test_edges_are_dropped_at_the_rate(self) -> None:
        mask = F.drop_edge_mask(random_edges(1000, 100_000), 0.3, training=True, key=1)
        check_rate(~mask, 0.3)
        assert torch.equal(mask, ops.dropout_mask((100_000,), 1, 0.3))

    @pytest.mark.parametrize("exact", [True, False])
    def test_directions_share_their_fate_and_self_loops_are_kept_once(self, exact: bool) -> None:
        # To keep the pairs with row <= column and mirror them doubles the self-loops.
        edges = undirected(40, 300)
        kept, _ = F.drop_edge(edges, 0.4, exact=exact, undirected=True, training=True)
        rows = [tuple(edge) for edge in kept.T.tolist()]
        assert len(set(rows)) == len(rows)
        assert {(b, a) for a, b in rows} == set(rows)
        loops = sum(a == b for a, b in rows)
        assert 0 < loops < 40
        plain, _ = F.drop_edge(edges, 0.4, exact=exact, training=True)
        rows = [tuple(edge) for edge in plain.T.tolist()]
        assert {(b, a) for a, b in rows} != set(rows)

    def test_pairs_are_dropped_at_the_rate(self) -> None:
        edges = undirected(500, 50_000)
        mask = F.drop_edge_mask(edges, 0.3, undirected=True, training=True, key=1)
        check_rate(~mask[edges[0] < edges[1]], 0.3)
        check_rate(~mask[edges[0] == edges[1]], 0.3)

    def test_several_edges_between_two_nodes_share_their_fate(self) -> None:
        edges = torch.tensor([[0, 1, 0, 2], [1, 0, 1, 3]])
        for key in range(20):
            mask = F.drop_edge_mask(edges, 0.5, undirected=True, training=True, key=key)
            assert mask[0] == mask[1] == mask[2]

    @pytest.mark.parametrize(("p", "dropped"), [(0.0, 0), (0.3, 30), (0.299, 30), (0.001, 0), (1.0, 100)])
    def test_exact_count(self, p: float, dropped: int) -> None:
        mask = F.drop_edge_mask(random_edges(20, 100), p, exact=True, training=True)
        assert int((~mask).sum()) == dropped

    def test_exact_count_of_pairs(self) -> None:
        edges = undirected(30, 90)  # and 30 loops: 120 pairs
        mask = F.drop_edge_mask(edges, 0.25, exact=True, undirected=True, training=True)
        pairs = {(min(a, b), max(a, b)) for a, b in edges[:, ~mask].T.tolist()}
        assert len(pairs) == 30

    @pytest.mark.parametrize("both", [True, False])
    def test_exact_choices_are_uniform(self, both: bool) -> None:
        edges = torch.tensor([[0, 1, 2, 3, 0], [1, 0, 3, 2, 0]])
        masks = torch.stack(
            [F.drop_edge_mask(edges, 0.4, exact=True, undirected=both, training=True) for _ in range(4000)]
        )
        for edge in (0, 2, 4):
            check_rate(~masks[:, edge], 1 / 3 if both else 0.4)  # round(0.4 * 3) pairs of 3, 2 edges of 5

    def test_exact_takes_no_key(self) -> None:
        edges = random_edges(5, 10)
        with pytest.raises(ValueError, match="`key` must be None with exact=True"):
            F.drop_edge(edges, 0.5, exact=True, training=True, key=1)
        masks = [
            F.drop_edge_mask(edges, 0.5, exact=True, training=True, generator=torch.Generator().manual_seed(seed))
            for seed in (1, 1, 2)
        ]
        assert torch.equal(masks[0], masks[1])
        assert not torch.equal(masks[0], masks[2])

    @pytest.mark.parametrize("exact", [True, False])
    @pytest.mark.parametrize("both", [True, False])
    def test_rate_1_and_graphs_without_edges(self, exact: bool, both: bool) -> None:
        options = {"exact": exact, "undirected": both, "training": True}
        kept, ids = F.drop_edge(random_edges(5, 10), 1.0, **options)
        assert (kept.shape, ids.shape) == ((2, 0), (0,))
        kept, ids = F.drop_edge(torch.empty(2, 0, dtype=torch.int64), 0.5, **options)
        assert (kept.shape, ids.shape) == ((2, 0), (0,))

    @pytest.mark.parametrize("layer", [tnn.DropEdge(0.5).eval(), tnn.DropEdge(0.0)], ids=["eval", "rate 0"])
    def test_eval_and_rate_0_return_the_edges(self, layer: tnn.DropEdge) -> None:
        edges, state = random_edges(5, 10), torch.get_rng_state()
        kept, ids = layer(edges)
        assert kept is edges
        assert torch.equal(ids, torch.arange(10))
        assert torch.equal(torch.get_rng_state(), state)

    @pytest.mark.parametrize("exact", [True, False])
    @pytest.mark.parametrize("both", [True, False])
    def test_the_mask_compiles_and_is_the_same(self, exact: bool, both: bool) -> None:
        layer, edges = tnn.DropEdge(0.4, exact=exact, undirected=both, as_mask=True), undirected(10, 30)
        compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
        for p in (0.4, 0.7):
            layer.p = p
            torch.manual_seed(1)
            expected = layer(edges)
            torch.manual_seed(1)
            assert torch.equal(compiled(edges), expected)
            torch.manual_seed(1)
            _, ids = F.drop_edge(edges, p, exact=exact, undirected=both, training=True)
            assert torch.equal(ids, expected.nonzero().squeeze(1))

    def test_small_integers(self) -> None:
        edges = undirected(30, 90)
        expected = F.drop_edge_mask(edges, 0.5, undirected=True, training=True, key=1)
        got = F.drop_edge_mask(edges.to(torch.int8), 0.5, undirected=True, training=True, key=1)
        assert torch.equal(got, expected)


class TestNodesAndMessages:
    def test_whole_nodes_at_the_rate(self) -> None:
        y = F.drop_node(torch.ones(50_000, 3), 0.3, training=True, key=1)
        assert torch.equal(y, y[:, :1].expand(-1, 3))
        check_rate(y[:, 0] == 0, 0.3)
        assert y.max() == 1 / (1 - ops.effective_p(0.3))  # GRAND scales; removing nodes and edges does not

    @pytest.mark.parametrize("shape", [(10,), (10, 2, 3)])
    def test_nodes_of_every_rank(self, shape: tuple[int, ...]) -> None:
        kept = F.drop_node(torch.ones(shape), 0.5, training=True, key=1) != 0
        assert torch.equal(kept.flatten(1)[:, 0] if len(shape) > 1 else kept, ops.dropout_mask((10,), 1, 0.5))

    def test_messages_are_dropped_one_by_one(self) -> None:
        x = torch.ones(1000, 50)
        y = F.drop_message(x, 0.3, training=True, key=1)
        check_rate(y == 0, 0.3)
        assert torch.equal(y, F.dropout(x, 0.3, training=True, key=1))

    def test_means_hold_and_messages_vary_least(self) -> None:
        # Variance of the sum of E messages of d ones: elements E d p / q, whole messages E d^2 p / q.
        draws, num, size, p = 4000, 20, 8, 0.5
        x = torch.ones(draws * num, size, dtype=torch.float64)
        elements = F.drop_message(x, p, training=True, key=1).view(draws, -1).sum(1)
        whole = F.drop_node(x, p, training=True, key=2).view(draws, -1).sum(1)
        for sums, variance in ((elements, num * size), (whole, num * size**2)):
            assert abs(sums.mean() - num * size) < 6 * (variance / draws) ** 0.5
            # The variance of a variance of nearly normal values is 2 v^2 / n.
            assert abs(sums.var() - variance) < 6 * variance * (2 / draws) ** 0.5
        assert elements.var() < whole.var()


class TestNormalizeEdges:
    def test_rows_sum_to_1_after_dropping(self) -> None:
        edges = undirected(40, 200)
        kept, _ = F.drop_edge(edges, 0.5, training=True)
        weight = F.normalize_edges(kept, num_nodes=40)
        sums = torch.zeros(40).index_add(0, kept[1], weight)
        reached = torch.zeros(40, dtype=torch.bool).index_fill(0, kept[1], True)
        torch.testing.assert_close(sums, reached.float())
        # Normalising first and dropping afterwards gives other sums.
        stale = torch.zeros(40).index_add(0, kept[1], torch.ones(kept.size(1)) / torch.bincount(edges[1])[kept[1]])
        assert (stale - reached.float()).abs().max() > 0.1

    @pytest.mark.parametrize("mode", ["row", "symmetric"])
    def test_the_mask_gives_what_the_kept_edges_give(self, mode: str) -> None:
        edges = random_edges(20, 100)
        mask = F.drop_edge_mask(edges, 0.5, training=True, key=1)
        kept, ids = F.drop_edge(edges, 0.5, training=True, key=1)
        whole = F.normalize_edges(edges, mask, num_nodes=20, mode=mode)
        torch.testing.assert_close(whole[ids], F.normalize_edges(kept, num_nodes=20, mode=mode))
        assert (whole[~mask] == 0).all()

    def test_symmetric_is_the_matrix_form(self) -> None:
        edges = undirected(12, 30)
        adjacency = torch.zeros(12, 12, dtype=torch.float64).index_put((edges[1], edges[0]), torch.tensor(1.0).double())
        scale = torch.diag(adjacency.sum(1).rsqrt())
        got = F.normalize_edges(edges, torch.ones(edges.size(1)).double(), num_nodes=12, mode="symmetric")
        torch.testing.assert_close(got, (scale @ adjacency @ scale)[edges[1], edges[0]])

    @pytest.mark.parametrize("mode", ["row", "symmetric"])
    def test_a_node_that_lost_all_edges_is_zero_and_finite(self, mode: str) -> None:
        edges = torch.tensor([[0, 1, 2, 0], [1, 2, 0, 0]])
        weight = torch.tensor([0.0, 1.0, 0.0, 0.0]).requires_grad_()
        y = F.normalize_edges(edges, weight, num_nodes=4, mode=mode)
        assert y.isfinite().all()
        assert (y[[0, 2, 3]] == 0).all()
        (gradient,) = torch.autograd.grad(y.sum(), weight)
        assert gradient.isfinite().all()

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_degrees_are_exact_in_half_precision(self, dtype: torch.dtype) -> None:
        # Added up in bfloat16 a thousand ones are 256, in float16 ten thousand are 2048.
        edges = torch.zeros(2, 10_000, dtype=torch.int64)
        weight = F.normalize_edges(edges, torch.ones(10_000, dtype=dtype), num_nodes=1)
        assert weight.dtype == dtype
        assert torch.equal(weight, torch.full((10_000,), 1e-4).to(dtype))

    @pytest.mark.parametrize("mode", ["row", "symmetric"])
    def test_gradient(self, mode: str) -> None:
        edges = undirected(6, 8)
        weight = torch.rand(edges.size(1), dtype=torch.float64).add(0.5).requires_grad_()
        assert torch.autograd.gradcheck(lambda w: F.normalize_edges(edges, w, num_nodes=6, mode=mode), weight)

    def test_wrong_uses(self) -> None:
        edges = random_edges(5, 10)
        with pytest.raises(ValueError, match=r"`edge_weight` must be of shape \(10,\)"):
            F.normalize_edges(edges, torch.ones(9), num_nodes=5)
        with pytest.raises(ValueError, match="`mode` must be one of row, symmetric"):
            F.normalize_edges(edges, num_nodes=5, mode="column")
        with pytest.raises(TypeError, match="`edge_weight` must be a floating-point tensor"):
            F.normalize_edges(edges, torch.ones(10, dtype=torch.int64), num_nodes=5)


def test_weights_dropped_again_at_each_step_vanish() -> None:
    """APPNP with dropout on the weights that it dropped before: edges vanish like (1 - p)^k and the scale explodes."""
    weight = torch.ones(100_000)
    again, fresh = weight, weight
    for step in range(1, 6):
        again = F.drop_message(again, 0.5, training=True)
        fresh = F.drop_message(weight, 0.5, training=True)
        check_rate(again == 0, 1 - 0.5**step)
        assert again.max() == 2.0**step
    check_rate(fresh == 0, 0.5)
    assert fresh.max() == 2
