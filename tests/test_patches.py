"""Patches that are dropped and spans that are cut, against closed forms and the bugs that others have.

Random tests have fixed seeds. Each binomial test is at 1e-8, so that the false-alarm rate of the file, over about 30 of
them, is below 1e-6.
"""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

import thinout.functional as F
import thinout.nn as tnn

ALPHA = 1e-8


def check_rate(dropped: torch.Tensor, p: float) -> None:
    count, total = int(dropped.sum()), dropped.numel()
    assert stats.binomtest(count, total, p).pvalue > ALPHA, f"{count} of {total} dropped, expected {p}"


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class TestPatchDropout:
    @pytest.mark.parametrize(
        ("length", "p", "kept"),
        [
            (196, 0.5, 98),
            (10, 0.9, 1),
            (10, 0.7, 3),
            (10, 1.0, 1),
            (10, 0.01, 9),
            (7, 0.5, 3),
            (20, 0.8, 4),
            (100, 0.34, 66),
        ],
    )
    def test_length(self, length: int, p: float, kept: int) -> None:
        # int(L * (1 - p)) is 0 for 10 and 0.9, 3 for 20 and 0.8, 65 for 100 and 0.34.
        assert F.num_patches_kept(length, p) == kept
        y = F.patch_dropout(torch.ones(2, length + 2, 3), p, num_prefix_tokens=2, training=True)
        assert y.shape == (2, kept + 2, 3)

    @pytest.mark.parametrize("ordered", [True, False])
    @pytest.mark.parametrize("prefix", [0, 1, 3])
    def test_rows_are_a_subset_and_the_indices_say_which(self, prefix: int, ordered: bool) -> None:
        x = random(8, 20 + prefix, 4)
        y, indices = F.patch_dropout(
            x, 0.6, num_prefix_tokens=prefix, ordered=ordered, return_indices=True, training=True
        )
        assert torch.equal(y[:, :prefix], x[:, :prefix])
        assert torch.equal(y[:, prefix:], x[:, prefix:].gather(1, indices[..., None].expand(-1, -1, 4)))
        assert all(len(set(row)) == 8 for row in indices.tolist())
        assert len({tuple(sorted(row)) for row in indices.tolist()}) > 1  # each example has its own
        assert torch.equal(indices, indices.sort(1).values) == ordered

    @pytest.mark.parametrize("ordered", [True, False])
    def test_patches_are_kept_with_equal_probability(self, ordered: bool) -> None:
        x = torch.zeros(20_000, 11, 1)
        _, indices = F.patch_dropout(x, 0.7, ordered=ordered, return_indices=True, training=True)
        for patch in range(10):
            check_rate((indices == patch).any(1), 0.3)
        if not ordered:
            check_rate(indices[:, 0] == 0, 0.1)

    def test_eval_and_rate_0_return_the_input(self) -> None:
        x = random(2, 9, 3)
        assert tnn.PatchDropout(0.5).eval()(x) is x
        assert tnn.PatchDropout(0.0)(x) is x
        y, indices = tnn.PatchDropout(0.5, return_indices=True).eval()(x)
        assert y is x
        assert indices is None

    def test_gradient_goes_to_the_kept_patches_unscaled(self) -> None:
        x = random(4, 9, 3).requires_grad_()
        y, indices = F.patch_dropout(x, 0.5, return_indices=True, training=True)
        (gradient,) = torch.autograd.grad(y.sum(), x)
        expected = torch.zeros(4, 9).scatter(1, indices + 1, 1.0)
        expected[:, 0] = 1
        assert torch.equal(gradient, expected[..., None].expand(-1, -1, 3).double())

    def test_arguments_in_the_order_of_timm(self) -> None:
        layer = tnn.PatchDropout(0.5, 2, True, True)
        assert repr(layer) == "PatchDropout(p=0.5, num_prefix_tokens=2, ordered=True, return_indices=True)"

    def test_only_a_prefix(self) -> None:
        x = random(2, 1, 3)
        assert F.patch_dropout(x, 0.5, training=True) is x

    def test_compiles_for_each_length(self) -> None:
        layer, x = tnn.PatchDropout(0.5), random(2, 9, 3)
        compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
        for p in (0.5, 0.25):
            layer.p = p
            torch.manual_seed(1)
            expected = layer(x)
            torch.manual_seed(1)
            assert torch.equal(compiled(x), expected)

    def test_a_generator_of_its_own(self) -> None:
        x, state = random(2, 9, 3), torch.get_rng_state()
        outputs = [tnn.PatchDropout(0.5)(x, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
        assert torch.equal(outputs[0], outputs[1])
        assert not torch.equal(outputs[0], outputs[2])
        assert torch.equal(torch.get_rng_state(), state)


class TestHiddenCut:
    def spans(self, y: torch.Tensor) -> list[tuple[int, int]]:
        """Return begin and size of the cut of each text, after making sure that it is one span of whole tokens."""
        cut = (y == 0).all(-1)
        assert torch.equal(cut, (y == 0).any(-1))
        found = []
        for row in cut.int().tolist():
            marks = "".join(map(str, row))
            size = marks.count("1")
            assert marks.find("1" * size) >= 0
            found.append((marks.find("1"), size))
        return found

    @pytest.mark.parametrize(
        ("length", "ratio", "size"), [(10, 0.3, 3), (10, 0.05, 1), (100, 0.29, 29), (10, 1.0, 9), (2, 0.9, 1)]
    )
    def test_one_span_of_the_length(self, length: int, ratio: float, size: int) -> None:
        x = torch.ones(300, length, 2)
        spans = self.spans(F.hidden_cut(x, ratio, training=True))
        assert {each for _, each in spans} == {size}
        assert {begin for begin, _ in spans} == set(range(length - size + 1)) or length == 100

    def test_what_is_left_is_untouched(self) -> None:
        x = random(5, 12, 3)
        y = F.hidden_cut(x, 0.25, training=True)
        assert torch.equal(y[y != 0], x[y != 0])
        x[:] = math.nan
        assert (F.hidden_cut(x, 0.25, training=True) == 0).sum() == 5 * 3 * 3

    def test_begins_are_uniform(self) -> None:
        begins = torch.tensor(
            [begin for begin, _ in self.spans(F.hidden_cut(torch.ones(20_000, 8, 1), 0.5, training=True))]
        )
        for begin in range(5):
            check_rate(begins == begin, 0.2)

    def test_one_token_is_not_cut(self) -> None:
        x = torch.ones(3, 1, 2)
        assert torch.equal(F.hidden_cut(x, 1.0, training=True), x)

    def test_padding_is_neither_cut_nor_counted(self) -> None:
        lengths = torch.tensor([20, 10, 1, 0]).repeat(200)
        y = F.hidden_cut(torch.ones(800, 20, 2), 0.3, lengths=lengths, training=True)
        spans = self.spans(y)
        assert [size for _, size in spans[:4]] == [6, 3, 0, 0]
        assert max(begin + size for begin, size in spans[1::4]) == 10

    def test_spans_cover_one_of_the_tokens_with_the_best_scores(self) -> None:
        scores = random(400, 10)
        best = scores.topk(4, dim=1).indices
        spans = self.spans(F.hidden_cut(torch.ones(400, 10, 2), 0.2, scores=scores, training=True))
        begins = set()
        for row, (begin, size) in zip(best.tolist(), spans, strict=True):
            assert size == 2
            assert set(row) & {begin, begin + 1}
            begins.add(begin in row)
        assert begins == {True, False}  # a span at the end begins earlier
        lengths = torch.full((400,), 5)
        spans = self.spans(F.hidden_cut(torch.ones(400, 10, 2), 0.4, scores=scores, lengths=lengths, training=True))
        assert max(begin + size for begin, size in spans) == 5

    def test_a_compiled_ratio_of_0_cuts_nothing(self) -> None:
        layer, x = tnn.HiddenCut(0.3), random(4, 9, 3)
        torch._dynamo.reset()
        compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
        assert not torch.equal(compiled(x), x)
        layer.ratio = 0.0
        assert torch.equal(compiled(x), x)

    def test_texts_without_tokens_pass(self) -> None:
        x = torch.ones(2, 0, 3)
        assert F.hidden_cut(x, 0.5, scores=torch.ones(2, 0), training=True) is x

    def test_eval_and_ratio_0_return_the_input(self) -> None:
        x = random(2, 9, 3)
        assert tnn.HiddenCut(0.5).eval()(x) is x
        assert tnn.HiddenCut(0.0)(x) is x
