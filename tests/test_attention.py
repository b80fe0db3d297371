"""Dropout inside of attention against closed forms, PyTorch's own attention and the bugs that others have.

Random tests have fixed seeds. Each z-test is two-sided at 6 standard errors and each binomial test at 1e-8, so that the
false-alarm rate of the file, over about 60 of them, is below 1e-6.
"""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from torch.nn import functional as torch_functional

import thinout.functional as F
import thinout.nn as tnn
from thinout import ops

ALPHA = 1e-8
NO_DROP = 1e-6  # a rate that rounds to 0: the explicit path, and nothing is dropped


def check_rate(dropped: torch.Tensor, p: float) -> None:
    count, total = int(dropped.sum()), dropped.numel()
    assert stats.binomtest(count, total, p).pvalue > ALPHA, f"{count} of {total} dropped, expected {p}"


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def qkv(*lead: int, queries: int = 5, keys: int = 7, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, ...]:
    return (
        random(*lead, queries, 4, dtype=dtype),
        random(*lead, keys, 4, seed=1, dtype=dtype),
        random(*lead, keys, 3, seed=2, dtype=dtype),
    )


MASKS = {
    "none": None,
    "bool": torch.ones(5, 7, dtype=torch.bool).tril(1),
    "bool, one row for all": torch.arange(7)[None] < 5,
    "by example": torch.ones(2, 1, 5, 7, dtype=torch.bool).tril(2),
    "float": random(3, 5, 7, seed=3),
    "a row that sees nothing": torch.ones(5, 7, dtype=torch.bool).tril(1) & (torch.arange(5) != 2)[:, None],
    "a float row that sees nothing": torch.zeros(5, 7, dtype=torch.float64).index_fill(0, torch.tensor(3), -math.inf),
}


class TestScaledDotProductAttention:
    @pytest.mark.parametrize("chunk_size", [None, 1, 2, 5])
    @pytest.mark.parametrize("mask", MASKS)
    def test_without_drops_it_is_pytorch(self, mask: str, chunk_size: int | None) -> None:
        ours = [x.requires_grad_() for x in qkv(2, 3)]
        theirs = [x.detach().clone().requires_grad_() for x in ours]
        y = F.scaled_dot_product_attention(*ours, MASKS[mask], NO_DROP, training=True, chunk_size=chunk_size)
        expected = torch_functional.scaled_dot_product_attention(*theirs, MASKS[mask])
        torch.testing.assert_close(y, expected)
        torch.testing.assert_close(
            torch.autograd.grad(y.square().sum(), ours), torch.autograd.grad(expected.square().sum(), theirs)
        )

    @pytest.mark.parametrize("chunk_size", [None, 2])
    @pytest.mark.parametrize(("queries", "keys"), [(5, 5), (5, 7), (7, 5)])
    def test_causal_is_pytorch(self, queries: int, keys: int, chunk_size: int | None) -> None:
        inputs = qkv(2, 3, queries=queries, keys=keys)
        y = F.scaled_dot_product_attention(
            *inputs, dropout_p=NO_DROP, is_causal=True, scale=0.3, training=True, chunk_size=chunk_size
        )
        expected = torch_functional.scaled_dot_product_attention(*inputs, is_causal=True, scale=0.3)
        torch.testing.assert_close(y, expected)

    def test_grouped_queries_are_pytorch(self) -> None:
        query, (_, key, value) = random(2, 6, 5, 4), qkv(2, 3)
        y = F.scaled_dot_product_attention(query, key, value, dropout_p=NO_DROP, enable_gqa=True, training=True)
        expected = torch_functional.scaled_dot_product_attention(query, key, value, enable_gqa=True)
        torch.testing.assert_close(y, expected)

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
    def test_types(self, dtype: torch.dtype) -> None:
        inputs = qkv(2, 3, dtype=dtype)
        y = F.scaled_dot_product_attention(*inputs, dropout_p=NO_DROP, training=True)
        assert y.dtype == dtype
        expected = torch_functional.scaled_dot_product_attention(*(x.double() for x in inputs))
        torch.testing.assert_close(y.double(), expected, rtol=0, atol=8 * torch.finfo(dtype).eps)

    def test_eval_beats_the_rate(self) -> None:
        # PyTorch's function has no training flag: five projects shipped models that were random in eval.
        inputs = qkv(2, 3)
        layer = tnn.ScaledDotProductAttention(p=0.9).eval()
        state = torch.get_rng_state()
        expected = torch_functional.scaled_dot_product_attention(*inputs)
        assert torch.equal(layer(*inputs), expected)
        assert torch.equal(F.scaled_dot_product_attention(*inputs, dropout_p=0.9, training=False), expected)
        assert torch.equal(torch.get_rng_state(), state)
        assert not torch.equal(torch_functional.scaled_dot_product_attention(*inputs, dropout_p=0.9), expected)

    def test_rate_0_is_pytorch_to_the_bit_and_draws_nothing(self) -> None:
        inputs, state = qkv(2, 3), torch.get_rng_state()
        y = F.scaled_dot_product_attention(*inputs, dropout_p=0.0, training=True)
        assert torch.equal(y, torch_functional.scaled_dot_product_attention(*inputs))
        assert torch.equal(torch.get_rng_state(), state)

    def test_the_mask_is_that_of_the_contract(self) -> None:
        value = torch.eye(64).expand(2, 3, 64, 64)  # then the output are the dropped weights
        query, key = random(2, 3, 16, 8, dtype=torch.float32), random(2, 3, 64, 8, seed=1, dtype=torch.float32)
        y = F.scaled_dot_product_attention(query, key, value, dropout_p=0.3, training=True, mask_key=11, offset=4)
        assert torch.equal(y != 0, ops.dropout_mask((2, 3, 16, 64), 11, 0.3, offset=4))

    @pytest.mark.parametrize("mask", ["none", "by example", "a row that sees nothing"])
    def test_chunks_have_the_same_mask_and_gradient(self, mask: str) -> None:
        results = []
        for chunk_size in (None, 1, 3):
            inputs = [x.requires_grad_() for x in qkv(2, 3)]
            y = F.scaled_dot_product_attention(
                *inputs, MASKS[mask], 0.4, training=True, chunk_size=chunk_size, mask_key=3
            )
            results.append((y, torch.autograd.grad(y.square().sum(), inputs)))
        for other in results[1:]:
            torch.testing.assert_close(other, results[0])

    def test_chunks_keep_less(self) -> None:
        def kept(chunk_size: int | None) -> int:
            memory: dict[int, torch.UntypedStorage] = {}
            inputs = [random(4, 64, 8).requires_grad_() for _ in range(3)]

            def pack(x: torch.Tensor) -> torch.Tensor:
                memory[x.untyped_storage().data_ptr()] = x.untyped_storage()
                return x

            with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
                F.scaled_dot_product_attention(*inputs, dropout_p=0.4, training=True, chunk_size=chunk_size)
            return sum(storage.nbytes() for storage in memory.values())

        weights, inputs = 4 * 64 * 64 * 8, 4 * 64 * 8 * 8
        assert kept(None) >= 2 * weights + 3 * inputs  # the weights before and after dropout
        assert kept(8) <= 4 * inputs

    def test_the_mean_is_attention_without_dropout(self) -> None:
        query, key, value = (x[:, None].expand(-1, 20_000, -1, -1) for x in qkv(1, queries=3))
        y = F.scaled_dot_product_attention(query, key, value, dropout_p=0.3, training=True, mask_key=1)[0]
        expected = torch_functional.scaled_dot_product_attention(query[:, :1], key[:, :1], value[:, :1])[0, 0]
        errors = (y.mean(0) - expected) / (y.std(0) / 20_000**0.5)
        assert errors.abs().max() < 6

    def test_rows_vary_by_the_closed_form(self) -> None:
        # The sum of a row has variance p / (1 - p) * sum of squares; over 40,000 rows its error is below 3 %.
        query, key = random(1, 1, 1, 4), random(1, 1, 6, 4, seed=1)
        many = query.expand(40_000, -1, -1, -1)
        ones = torch.ones(1, 1, 6, 1, dtype=torch.float64)
        sums = F.scaled_dot_product_attention(many, key, ones, dropout_p=0.25, training=True, mask_key=9).flatten()
        weights = (query @ key.mT / 2).softmax(-1)
        assert sums.var().item() == pytest.approx((0.25 / 0.75 * weights.square().sum()).item(), rel=0.05)

    def test_derivatives_with_chunks(self) -> None:
        inputs = [x.requires_grad_() for x in qkv(2, queries=4, keys=3)]

        def run(*inputs: torch.Tensor) -> torch.Tensor:
            return F.scaled_dot_product_attention(*inputs, dropout_p=0.3, training=True, chunk_size=2, mask_key=1)

        assert torch.autograd.gradcheck(run, inputs)

    def test_a_bias_takes_its_gradient(self) -> None:
        bias = random(5, 7, seed=5).requires_grad_()
        y = F.scaled_dot_product_attention(*qkv(2, 3), bias, 0.3, training=True, mask_key=1)
        (gradient,) = torch.autograd.grad(y.square().sum(), bias)
        assert gradient.abs().min() > 0

    @pytest.mark.parametrize("training", [True, False])
    def test_a_row_that_sees_nothing_is_zero(self, training: bool) -> None:
        inputs = [x.requires_grad_() for x in qkv(2, 3)]
        y = F.scaled_dot_product_attention(*inputs, MASKS["a row that sees nothing"], 0.3, training=training)
        assert torch.equal(y[..., 2, :], torch.zeros(2, 3, 3, dtype=y.dtype))
        assert all(x.isfinite().all() for x in torch.autograd.grad(y.sum(), inputs))

    def test_rate_1_gives_zeros(self) -> None:
        inputs = [x.requires_grad_() for x in qkv(2, 3)]
        y = F.scaled_dot_product_attention(*inputs, dropout_p=1.0, training=True)
        assert torch.equal(y, torch.zeros_like(y))
        assert all(torch.equal(x, torch.zeros_like(x)) for x in torch.autograd.grad(y.sum(), inputs))

    def test_compiled_with_chunks(self) -> None:
        layer = tnn.ScaledDotProductAttention(p=0.3, chunk_size=2)
        inputs = [x.requires_grad_() for x in qkv(2)]
        compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
        outputs = [each(*inputs, mask_key=torch.tensor(4)) for each in (compiled, layer)]
        torch.testing.assert_close(*outputs)
        ours, theirs = (torch.autograd.grad(y.square().sum(), inputs) for y in outputs)
        torch.testing.assert_close(ours, theirs)

    @pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
    def test_wrong_rates_name_the_argument(self, p: float) -> None:
        with pytest.raises(ValueError, match="`dropout_p` must be a number in"):
            F.scaled_dot_product_attention(*qkv(2), dropout_p=p, training=False)


class TestDropAttention:
    weights = random(4, 3, 32, 24).softmax(-1)

    @pytest.mark.parametrize("window", [1, 2, 3])
    @pytest.mark.parametrize("mode", ["element", "column"])
    def test_rows_sum_to_1(self, mode: str, window: int) -> None:
        y = F.drop_attention(self.weights, 0.5, mode=mode, window=window, training=True, key=2)
        torch.testing.assert_close(y.sum(-1), torch.ones(4, 3, 32, dtype=torch.float64), rtol=0, atol=1e-12)
        kept = y != 0
        assert 0 < kept.sum() < kept.numel()
        # Survivors keep their proportions.
        ratio = torch.where(kept, y / self.weights, 0).amax(-1, keepdim=True)
        torch.testing.assert_close(torch.where(kept, self.weights * ratio, 0), y)
        plain = ops.dropout(self.weights, 2, 0.5).sum(-1)
        assert (plain - 1).abs().max() > 0.1  # what attention dropout does to the sum of a row

    def test_columns_are_the_same_for_all_queries(self) -> None:
        kept = F.drop_attention(self.weights, 0.5, mode="column", training=True, key=2) != 0
        assert torch.equal(kept, kept[:, :, :1].expand_as(kept))
        assert not torch.equal(kept[0], kept[1])
        single = F.drop_attention(self.weights, 0.5, training=True, key=2) != 0
        assert not torch.equal(single, single[:, :, :1].expand_as(single))

    def test_spans_are_contiguous(self) -> None:
        kept = F.drop_attention(random(500, 1, 40).softmax(-1), 0.2, window=4, training=True, key=2) != 0
        for row in kept.squeeze(1).tolist():
            runs = "".join("x" if each else "." for each in row).strip(".").split("x")  # those at the ends are cut
            assert all(len(run) == 0 or len(run) >= 4 for run in runs)

    @pytest.mark.parametrize("window", [1, 2, 5])
    @pytest.mark.parametrize("mode", ["element", "column"])
    def test_each_weight_is_dropped_at_the_rate(self, mode: str, window: int) -> None:
        lead = (1, 20_000) if mode == "element" else (20_000, 1)
        y = F.drop_attention(torch.full((*lead, 30), 1 / 30), 0.3, mode=mode, window=window, training=True, key=2)
        for column in (0, 1, 15, 28, 29):  # the first and the last too
            check_rate(y[..., column] == 0, 0.3)

    def test_the_rate_of_the_paper_would_drop_too_few(self) -> None:
        assert pytest.approx(0.266, abs=1e-3) == 1 - (1 - 0.3 / 5) ** 5

    @pytest.mark.parametrize("window", [1, 3])
    @pytest.mark.parametrize("p", [0.97, 1.0])
    def test_a_row_that_would_lose_all_loses_nothing(self, p: float, window: int) -> None:
        x = random(2, 50, 4).softmax(-1).requires_grad_()
        y = F.drop_attention(x, p, window=window, training=True, key=1)
        whole = (y == x).all(-1)
        assert whole.any()
        assert y.isfinite().all()
        torch.testing.assert_close(y.sum(-1), torch.ones(2, 50, dtype=torch.float64))
        (gradient,) = torch.autograd.grad((y * random(4, seed=3)).sum(), x)
        assert torch.equal(gradient[whole], random(4, seed=3).expand_as(gradient)[whole])

    def test_a_compiled_rate_of_0_leaves_rows_that_do_not_sum_to_1(self) -> None:
        layer, x = tnn.DropAttention(0.3), random(6, 8).softmax(-1) / 2
        torch._dynamo.reset()
        compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
        torch.testing.assert_close(compiled(x).sum(-1), torch.ones(6, dtype=torch.float64))
        layer.p = 0.0
        assert torch.equal(compiled(x), x)

    def test_a_row_of_zeros_stays_zero(self) -> None:
        y = F.drop_attention(torch.zeros(2, 3), 0.5, training=True, key=1)
        assert torch.equal(y, torch.zeros(2, 3))

    def test_the_stopped_gradient_is_that_of_a_constant_sum(self) -> None:
        x = random(6, 8).softmax(-1).requires_grad_()
        upstream = random(6, 8, seed=4)
        y = F.drop_attention(x, 0.4, training=True, key=1)
        kept = (y != 0).double()
        (gradient,) = torch.autograd.grad(y, x, upstream)
        torch.testing.assert_close(gradient, upstream * kept / (x * kept).sum(-1, keepdim=True))
        y = F.drop_attention(x, 0.4, training=True, key=1, stop_gradient=False)
        (whole,) = torch.autograd.grad(y, x, upstream)
        assert not torch.allclose(whole, gradient)

    def test_a_dropped_nan_is_gone(self) -> None:
        x = torch.tensor([[0.25, math.nan, 0.25, 0.5]])
        y = F.drop_attention(x, 0.5, training=True, key=1)  # this key keeps columns 0 and 2
        assert torch.equal(y, torch.tensor([[0.5, 0.0, 0.5, 0.0]]))


class TestDropKey:
    @pytest.mark.parametrize("p", [0.1, 0.5, 0.99, 1.0])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
    def test_rows_sum_to_1_and_none_is_nan(self, p: float, dtype: torch.dtype) -> None:
        logits = random(4, 3, 64, 8).to(dtype)
        weights = F.drop_key(logits, p, training=True, key=3).float().softmax(-1)
        torch.testing.assert_close(weights.sum(-1), torch.ones(4, 3, 64))
        # The plain form is NaN wherever a row is dropped: at 0.99 in most of 8 keys.
        plain = logits.float().masked_fill(torch.rand_like(logits, dtype=torch.float32) < 0.99, -math.inf)
        assert plain.softmax(-1).isnan().any()

    def test_dropped_keys_are_those_of_the_mask_and_the_rest_is_untouched(self) -> None:
        logits = random(2, 3, 16, 64)
        y = F.drop_key(logits, 0.3, training=True, key=3)
        keep = ops.dropout_mask((2, 3, 16, 64), 3, 0.3)
        assert torch.equal(y, logits.masked_fill(~keep, -math.inf))

    def test_no_query_sees_what_was_hidden(self) -> None:
        hidden = torch.ones(64, 64, dtype=torch.bool).triu(1)
        y = F.drop_key(random(8, 64, 64).masked_fill(hidden, -math.inf), 0.5, training=True, key=3)
        assert (y[:, hidden] == -math.inf).all()
        assert (y[:, 0, 0] != -math.inf).all()  # the first query sees one key, and keeps it
        assert y.softmax(-1).isfinite().all()

    def test_a_row_that_saw_nothing_stays_so(self) -> None:
        y = F.drop_key(torch.full((2, 4), -math.inf), 0.5, training=True, key=1)
        assert torch.equal(y, torch.full((2, 4), -math.inf))

    def test_dropped_infinities_and_nans_are_gone(self) -> None:
        x = torch.tensor([[1.0, math.nan, 2.0, math.inf]])  # key 1 keeps columns 0 and 2
        assert torch.equal(F.drop_key(x, 0.5, training=True, key=1), torch.tensor([[1.0, -math.inf, 2.0, -math.inf]]))

    @pytest.mark.parametrize("p", [0.3, 0.9])
    def test_derivatives_behind_the_softmax(self, p: float) -> None:
        def run(x: torch.Tensor) -> torch.Tensor:
            return F.drop_key(x, p, training=True, key=3).softmax(-1)

        x = random(3, 4, 5).requires_grad_()
        assert torch.autograd.gradcheck(run, x)
        assert torch.autograd.gradgradcheck(run, x)
        expected = torch.autograd.grad(run(x)[..., 0].sum(), x)[0]
        got = torch.func.grad(lambda x: run(x)[..., 0].sum())(x.detach())
        assert torch.equal(got, expected)

    def test_the_weight_goes_to_the_other_keys(self) -> None:
        weights = F.drop_key(torch.zeros(20_000, 10, dtype=torch.float64), 0.3, training=True, key=3).softmax(-1)
        # By symmetry the mean weight of each key is 1 / 10.
        errors = (weights.mean(0) - 0.1) / (weights.std(0) / 20_000**0.5)
        assert errors.abs().max() < 6


class TestDropHead:
    @pytest.mark.parametrize("p", [0.2, 0.5, 0.9, 1.0])
    def test_survivors_are_scaled_by_their_number(self, p: float) -> None:
        y = F.drop_head(torch.ones(500, 6, 2, 3, dtype=torch.float64), p, training=True, key=1)
        kept = y[:, :, 0, 0] != 0
        assert torch.equal(y, y[:, :, :1, :1].expand_as(y))
        count = kept.sum(1, keepdim=True)
        assert count.min() >= 1
        torch.testing.assert_close(y[:, :, 0, 0], torch.where(kept, 6 / count.double(), 0))

    @pytest.mark.parametrize("p", [0.2, 0.7, 1.0])
    def test_the_mean_holds_for_each_head(self, p: float) -> None:
        # The common hook divides by a count that may be 0; keeping head 0 then would fail here.
        y = F.drop_head(torch.ones(100_000, 3, dtype=torch.float64), p, training=True, key=2)
        errors = (y.mean(0) - 1) / (y.std(0) / 100_000**0.5)
        assert errors.abs().max() < 6

    @pytest.mark.parametrize("p", [0.2, 0.7])
    def test_every_set_of_survivors_has_its_probability(self, p: float) -> None:
        kept = F.drop_head(torch.ones(100_000, 3), p, training=True, key=5) != 0
        for number in range(1, 8):
            bits = [bool(number >> head & 1) for head in range(3)]
            size = sum(bits)
            probability = (1 - p) ** size * p ** (3 - size) + (p**3 / 3 if size == 1 else 0)
            count = int((kept == torch.tensor(bits)).all(1).sum())
            assert stats.binomtest(count, 100_000, probability).pvalue > ALPHA

    def test_one_head_survives_always(self) -> None:
        x = random(10, 1, 4)
        assert torch.equal(F.drop_head(x, 0.9, training=True), x)

    @pytest.mark.parametrize("dim", [0, 1, 2, -1])
    def test_heads_in_any_dimension(self, dim: int) -> None:
        x = random(7, 6, 5)
        y = F.drop_head(x, 0.5, dim=dim, training=True, key=1)
        where = dim % 3
        kept = (y != 0).movedim(where, 0).flatten(1) if where == 0 else (y != 0).movedim(where, 1).flatten(2)
        assert torch.equal(kept.any(-1), kept.all(-1))
        assert not kept.all()
        if where:
            swapped = F.drop_head(x.movedim(where, 1), 0.5, training=True, key=1)
            assert torch.equal(y.movedim(where, 1), swapped)

    def test_half_precision_scales_in_float32(self) -> None:
        x = random(50, 7, 4).to(torch.bfloat16)
        y = F.drop_head(x, 0.4, training=True, key=1)
        kept = y[:, :, 0] != 0
        expected = x.float() * torch.where(kept, 7 / kept.sum(1, keepdim=True), 0)[..., None]
        assert torch.equal(y, expected.bfloat16())

    @pytest.mark.parametrize("p", [0.5, 1.0])
    def test_a_dropped_nan_is_gone_and_takes_no_gradient(self, p: float) -> None:
        x = torch.full((64, 4, 2), math.nan).requires_grad_()
        y = F.drop_head(x, p, training=True, key=1)
        dropped = ~y.isnan()
        assert dropped.any()
        assert (y[dropped] == 0).all()
        (gradient,) = torch.autograd.grad(y.sum(), x)
        assert (gradient[dropped] == 0).all()
        assert (gradient[~dropped] > 0).all()

    def test_an_example_alone_gives_what_the_batch_gives(self) -> None:
        # The common path of the batch and the rare one that saves an example agree to the bit.
        x = random(64, 4, 3)
        y = F.drop_head(x, 0.5, training=True, key=1)
        assert (y != 0).any(-1).sum(1).min() == 1
        saved = ops.dropout_mask((64, 4), 1, 0.5).any(1)
        first = int(saved.logical_not().nonzero()[0])
        assert torch.equal(F.drop_head(x[:first], 0.5, training=True, key=1), y[:first])
