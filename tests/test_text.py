"""Dropout of words, patches and spans, and R-Drop, against closed forms and the bugs that others have.

Random tests have fixed seeds. Each binomial test is at 1e-8 and each z-test at 6 standard errors, so that the false
alarm rate of the file, over about 60 of them, is below 1e-6.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from pathlib import Path

import pytest
import torch
from scipy import stats
from torch import nn
from torch.nn import functional as torch_functional

import thinout.functional as F
import thinout.nn as tnn
from thinout import ops
from thinout.losses import RDropLoss, r_drop

ALPHA = 1e-8


def check_rate(dropped: torch.Tensor, p: float) -> None:
    count, total = int(dropped.sum()), dropped.numel()
    assert stats.binomtest(count, total, p).pvalue > ALPHA, f"{count} of {total} dropped, expected {p}"


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def ids(high: int, *shape: int, low: int = 0) -> torch.Tensor:
    return torch.randint(low, high, shape, generator=torch.Generator().manual_seed(0))


class TestEmbeddingDropout:
    def test_all_occurrences_of_a_word_share_their_fate(self) -> None:
        words, weight = ids(40, 16, 30), torch.ones(40, 3)
        y = F.embedding_dropout(words, weight, p=0.4, training=True, key=1)
        keep = ops.dropout_mask((40,), 1, 0.4)  # mask index of the contract = word
        assert torch.equal(y != 0, keep[words][..., None].expand_as(y))
        assert torch.equal(y.unique(), torch.tensor([0.0, 1 / (1 - ops.effective_p(0.4))]))

    def test_words_are_dropped_at_the_rate_and_two_calls_differ(self) -> None:
        layer = tnn.EmbeddingDropout(50_000, 1, p=0.1)
        nn.init.ones_(layer.weight)
        every = torch.arange(50_000)
        first, second = layer(every), layer(every)
        check_rate(first == 0, 0.1)
        assert not torch.equal(first, second)

    def test_the_mean_holds_exactly(self) -> None:
        # Kept rows are scaled by the rate that the mask really has.
        y = F.embedding_dropout(torch.tensor([0]), torch.ones(1, 1).double(), p=0.1, training=True, key=1)
        assert y.item() * (1 - ops.effective_p(0.1)) == pytest.approx(1, abs=1e-15)

    @pytest.mark.parametrize("padding_idx", [0, 7, -1])
    def test_the_padding_row_is_untouched_and_takes_no_gradient(self, padding_idx: int) -> None:
        # A well-known copy writes `padding_idx if padding_idx else -1`: 0 then stands for the last word.
        layer = tnn.EmbeddingDropout(10, 4, padding_idx=padding_idx, p=0.5)
        nn.init.normal_(layer.weight)
        row = padding_idx % 10
        for key in range(20):
            y = layer(torch.arange(10), key=key)
            assert torch.equal(y[row], layer.weight[row])
        (gradient,) = torch.autograd.grad(y.sum(), layer.weight)
        kept = ops.dropout_mask((10,), 19, 0.5)
        kept[row] = False
        assert torch.equal(gradient, kept[:, None] * torch.full((10, 4), 2.0))
        assert kept[9 if row == 0 else 0 if row == 9 else 9] == (gradient[9 if row != 9 else 0] != 0).all()

    def test_eval_and_rate_0_are_torch(self) -> None:
        layer, words = tnn.EmbeddingDropout(10, 4, p=0.5), ids(10, 3, 5)
        expected = torch_functional.embedding(words, layer.weight)
        assert torch.equal(layer.eval()(words), expected)
        layer.train().p = 0.0
        state = torch.get_rng_state()
        assert torch.equal(layer(words), expected)
        assert torch.equal(torch.get_rng_state(), state)

    def test_max_norm_renormalises_the_weights_themselves(self) -> None:
        # On a masked copy the weights would stay, and rows would be measured after scaling.
        ours, theirs = tnn.EmbeddingDropout(10, 4, max_norm=0.5, p=0.5), nn.Embedding(10, 4, max_norm=0.5)
        theirs.load_state_dict(ours.state_dict())
        words = torch.tensor([1, 3, 5])
        y = ours(words, key=1)
        expected = theirs(words)
        assert torch.equal(ours.weight, theirs.weight)
        assert torch.equal(
            y, ops.dropout(expected[:, None].expand(3, 10, 4), 1, 0.5, noise_shape=(1, None, 1))[[0, 1, 2], words]
        )

    def test_gradients_can_be_sparse(self) -> None:
        dense, sparse = tnn.EmbeddingDropout(10, 4, p=0.5), tnn.EmbeddingDropout(10, 4, p=0.5, sparse=True)
        sparse.load_state_dict(dense.state_dict())
        words = torch.tensor([1, 3, 3, 5])
        for layer in (dense, sparse):
            layer(words, key=1).square().sum().backward()
        assert sparse.weight.grad.is_sparse
        torch.testing.assert_close(sparse.weight.grad.to_dense(), dense.weight.grad)
        optimizer = torch.optim.SparseAdam(sparse.parameters())
        optimizer.step()

    def test_gradients_can_be_divided_by_the_frequency(self) -> None:
        layer = tnn.EmbeddingDropout(10, 4, scale_grad_by_freq=True, p=0.5)
        layer(torch.tensor([2, 2, 2, 4]), key=1).sum().backward()
        keep = ops.dropout_mask((10,), 1, 0.5)
        expected = torch.zeros(10, 4)
        expected[2], expected[4] = 2.0 * keep[2], 2.0 * keep[4]
        torch.testing.assert_close(layer.weight.grad, expected)

    @pytest.mark.parametrize("words", [[10], [-1], [3, 100]])
    @pytest.mark.parametrize("training", [True, False])
    def test_ids_outside_of_the_vocabulary_raise_as_in_torch(self, words: list[int], training: bool) -> None:
        layer = tnn.EmbeddingDropout(10, 4).train(training)
        for each in (layer, nn.Embedding(10, 4)):
            with pytest.raises(IndexError, match="index out of range"):
                each(torch.tensor(words))

    def test_a_dropped_row_of_nan_is_zero(self) -> None:
        weight = torch.full((8, 2), math.nan)
        y = F.embedding_dropout(torch.arange(8), weight, p=0.5, training=True, key=1)
        assert torch.equal(y.isnan()[:, 0], ops.dropout_mask((8,), 1, 0.5))

    @pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
    def test_from_torch_copies_every_attribute(self, dtype: torch.dtype) -> None:
        theirs = nn.Embedding(10, 4, 0, 1.5, 1.0, True, True, dtype=dtype).eval()
        theirs.weight.requires_grad_(False)
        ours = tnn.EmbeddingDropout.from_torch(theirs, p=0.2)
        assert isinstance(ours, nn.Embedding)
        for name in ("num_embeddings", "embedding_dim", "padding_idx", "max_norm", "norm_type", "scale_grad_by_freq"):
            assert getattr(ours, name) == getattr(theirs, name)
        assert (ours.sparse, ours.training, ours.p) == (True, False, 0.2)
        assert torch.equal(ours.weight, theirs.weight)
        assert (ours.weight.dtype, ours.weight.requires_grad) == (dtype, False)
        assert ours.weight.data_ptr() != theirs.weight.data_ptr()
        assert tnn.EmbeddingDropout.from_torch(nn.Embedding(3, 2)).training
        theirs.load_state_dict(ours.state_dict(), strict=True)

    def test_from_pretrained(self) -> None:
        vectors = random(5, 3)
        layer = tnn.EmbeddingDropout.from_pretrained(vectors, freeze=False, padding_idx=0, p=0.3)
        assert (layer.p, layer.padding_idx, layer.weight.requires_grad) == (0.3, 0, True)
        assert torch.equal(layer.weight, vectors)
        assert not tnn.EmbeddingDropout.from_pretrained(vectors).weight.requires_grad
        with pytest.raises(ValueError, match="`p` must be"):
            tnn.EmbeddingDropout.from_pretrained(vectors, p=2)

    @pytest.mark.data
    @pytest.mark.skipif("THINOUT_DATA" not in os.environ, reason="THINOUT_DATA is not set")
    def test_trains_on_a_text_and_survives_a_checkpoint(self, tmp_path: Path) -> None:
        text = (Path(os.environ["THINOUT_DATA"]) / "text" / "tinyshakespeare.txt").read_text().lower().split()[:60_000]
        common = [word for word, _ in Counter(text).most_common(998)]
        number = {word: place for place, word in enumerate(common, start=2)}  # 0 is padding, 1 is unknown
        words = torch.tensor([number.get(word, 1) for word in text])
        counts = torch.bincount(words, minlength=1000).double()
        unigram = torch.distributions.Categorical(counts).entropy().item()

        def make() -> tuple[nn.Embedding, nn.Module]:
            embedding = tnn.EmbeddingDropout(1000, 32, padding_idx=0, p=0.2)
            return embedding, nn.Sequential(embedding, nn.Flatten(), nn.Linear(3 * 32, 1000))

        embedding, model = make()
        before = embedding.weight.detach().clone()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        touched = torch.zeros(1000, dtype=torch.bool)
        losses = []
        for _ in range(300):
            begin = torch.randint(len(words) - 3, (256,))
            context = words[begin[:, None] + torch.arange(3)]
            loss = torch_functional.cross_entropy(model(context), words[begin + 3])
            optimizer.zero_grad()
            loss.backward()
            assert isinstance(embedding.weight, nn.Parameter)
            touched |= (embedding.weight.grad != 0).any(1)
            optimizer.step()
            losses.append(loss.item())
        assert touched[1:].all()  # the raw weights of every word
        assert not touched[0]
        assert (embedding.weight != before)[1:].any(1).all()
        assert torch.equal(embedding.weight[0], torch.zeros(32))
        assert sum(losses[-50:]) / 50 < unigram - 0.1 < sum(losses[:5]) / 5

        torch.save(model.state_dict(), tmp_path / "model.pt")
        assert list(model.state_dict()) == ["0.weight", "2.weight", "2.bias"]
        _, again = make()
        again.load_state_dict(torch.load(tmp_path / "model.pt"), strict=True)
        context = words[:300].view(100, 3)
        assert torch.equal(again.eval()(context), model.eval()(context))
        nn.Embedding(1000, 32, 0).load_state_dict({"weight": model.state_dict()["0.weight"]}, strict=True)


class TestWordDropout:
    def test_specials_stay_and_the_rest_is_replaced_at_the_rate(self) -> None:
        words = ids(100, 200, 200)
        y = F.word_dropout(words, 0.2, unk_id=1, special_ids=(0, 2, 3), training=True, key=1)
        special = (words == 0) | (words == 2) | (words == 3)
        assert torch.equal(y[special], words[special])
        rest = ~special & (words != 1)
        replaced = y != words
        check_rate(replaced[rest], 0.2)
        assert (y[replaced] == 1).all()
        keep = ops.dropout_mask((200, 200), 1, 0.2)
        assert torch.equal(replaced, ~keep & rest)

    def test_occurrences_are_independent(self) -> None:
        y = F.word_dropout(torch.full((20_000, 2), 7), 0.3, unk_id=1, training=True, key=1) == 1
        check_rate(y[:, 0] & y[:, 1], 0.09)

    def test_targets_are_untouched(self) -> None:
        # Inputs and targets of a language model are two views of one tensor.
        text = ids(50, 8, 21, low=2)
        original = text.clone()
        inputs, targets = text[:, :-1], text[:, 1:]
        y = tnn.WordDropout(0.5, unk_id=1)(inputs)
        assert (y == 1).any()
        assert torch.equal(text, original)
        assert torch.equal(targets, original[:, 1:])

    def test_eval_and_rate_0_return_the_input(self) -> None:
        words = ids(50, 8, 20)
        assert tnn.WordDropout(0.5, unk_id=1).eval()(words) is words
        assert tnn.WordDropout(0.0, unk_id=1)(words) is words

    @pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.int16, torch.uint8])
    def test_every_type_of_ids(self, dtype: torch.dtype) -> None:
        words = ids(50, 8, 20).to(dtype)
        y = F.word_dropout(words, 0.5, unk_id=1, training=True, key=1)
        assert y.dtype == dtype
        assert torch.equal(y.long(), F.word_dropout(words.long(), 0.5, unk_id=1, training=True, key=1))

    def test_rate_1_keeps_specials(self) -> None:
        y = F.word_dropout(torch.tensor([0, 5, 6, 2]), 1.0, unk_id=1, special_ids=(0, 2), training=True)
        assert y.tolist() == [0, 1, 1, 2]


class TestTokenDropout:
    @pytest.mark.parametrize("rescale", [True, False])
    def test_whole_tokens_at_the_rate(self, rescale: bool) -> None:
        y = F.token_dropout(torch.ones(200, 300, 4), 0.3, rescale=rescale, training=True, key=1)
        assert torch.equal(y, y[..., :1].expand_as(y))
        check_rate(y[..., 0] == 0, 0.3)
        scale = torch.tensor(1 / (1 - ops.effective_p(0.3)) if rescale else 1.0)
        assert torch.equal(y.unique(), torch.stack([torch.tensor(0.0), scale]))

    def test_module_without_scale(self) -> None:
        layer, x = tnn.TokenDropout(0.5, rescale=False), random(3, 8, 2)
        assert repr(layer) == "TokenDropout(p=0.5, inplace=False, rescale=False)"
        y = layer(x, key=1)
        assert torch.equal(y, torch.where(ops.dropout_mask((3, 8), 1, 0.5)[..., None], x, 0))

    @pytest.mark.parametrize("shape", [(8, 3), (2, 8, 3), (2, 5, 8, 3)])
    def test_the_last_dimension_is_shared_in_every_rank(self, shape: tuple[int, ...]) -> None:
        y = F.token_dropout(torch.ones(shape), 0.5, training=True, key=1)
        assert torch.equal(y[..., 0] != 0, ops.dropout_mask(shape[:-1], 1, 0.5))


class TestMeanOfSurvivors:
    def test_it_is_the_mean_of_the_survivors(self) -> None:
        x = random(50, 12, 3)
        y = F.mean_of_survivors(x, 0.3, training=True, key=1)
        for text, keep, mean in zip(x, ops.dropout_mask((50, 12), 1, 0.3), y, strict=True):
            torch.testing.assert_close(mean, text[keep].mean(0))

    @pytest.mark.parametrize("p", [0.9, 1.0])
    def test_a_text_that_would_lose_all_keeps_all(self, p: float) -> None:
        x = random(200, 3, 2).requires_grad_()
        y = F.mean_of_survivors(x, p, training=True, key=1)
        lost = ~ops.dropout_mask((200, 3), 1, p).any(1)
        assert lost.any()
        torch.testing.assert_close(y[lost], x[lost].mean(1))
        (gradient,) = torch.autograd.grad(y.sum(), x)
        assert gradient.isfinite().all()

    def test_the_expectation_is_the_mean(self) -> None:
        # Scaling by 1 / (1 - p) and dividing by the length would give the same mean; a sum of zero over zero would not.
        x = random(1, 5, 2).expand(50_000, -1, -1)
        y = F.mean_of_survivors(x, 0.5, training=True, key=3)
        errors = (y.mean(0) - x[0].mean(0)) / (y.std(0) / 50_000**0.5)
        assert errors.abs().max() < 6

    @pytest.mark.parametrize("training", [True, False])
    def test_padding_counts_for_nothing(self, training: bool) -> None:
        lengths = torch.tensor([4, 1, 0])
        mask = torch.arange(6) < lengths[:, None]
        x = torch.where(mask[..., None], random(3, 6, 2), math.nan)
        for p in (0.0, 0.5, 1.0):
            y = F.mean_of_survivors(x, p, training=training, mask=mask, key=1)
            assert y.isfinite().all()
            torch.testing.assert_close(y[1], x[1, 0])
            assert torch.equal(y[2], torch.zeros(2, dtype=y.dtype))
        torch.testing.assert_close(y[0], x[0, :4].mean(0))

    def test_half_precision_counts_in_float32(self) -> None:
        y = F.mean_of_survivors(torch.ones(1, 100_000, 1, dtype=torch.float16), 0.1, training=True)
        assert y.item() == 1

    def test_wrong_masks(self) -> None:
        with pytest.raises(TypeError, match="`mask` must be a bool tensor"):
            F.mean_of_survivors(torch.ones(2, 3, 1), training=True, mask=torch.ones(2, 3))
        with pytest.raises(ValueError, match=r"`mask` must be of shape \(2, 3\)"):
            F.mean_of_survivors(torch.ones(2, 3, 1), training=True, mask=torch.ones(2, 2, dtype=torch.bool))
        with pytest.raises(ValueError, match="of 3 dimensions"):
            F.mean_of_survivors(torch.ones(2, 3), training=True)


class TestPatchDropout:
    @pytest.mark.parametrize(
        ("length", "p", "kept"),
        [(196, 0.5, 98), (10, 0.9, 1), (10, 0.7, 3), (10, 1.0, 1), (10, 0.01, 9), (7, 0.5, 3), (100, 0.71, 29)],
    )
    def test_length(self, length: int, p: float, kept: int) -> None:
        # int(L * (1 - p)) gives 0 for 10 and 0.9, and 28 or 29 for 100 and 0.71 by luck.
        assert F.num_patches_kept(length, p) == kept
        y = F.patch_dropout(torch.ones(2, length + 2, 3), p, num_prefix_tokens=2, training=True)
        assert y.shape == (2, kept + 2, 3)
        assert int(10 * (1 - 0.9)) == 0

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

    def test_eval_and_ratio_0_return_the_input(self) -> None:
        x = random(2, 9, 3)
        assert tnn.HiddenCut(0.5).eval()(x) is x
        assert tnn.HiddenCut(0.0)(x) is x


LOGITS = random(2, 6, 5)


class TestConsistency:
    def test_symmetric_kl_of_two_classes(self) -> None:
        # With p = sigmoid(a) and q = sigmoid(b) it is (p - q) (a - b) / 2.
        a, b = random(20), random(20, seed=1)
        logits = [torch.stack([x, torch.zeros(20)], dim=1) for x in (a, b)]
        expected = ((a.sigmoid() - b.sigmoid()) * (a - b) / 2).mean()
        torch.testing.assert_close(F.symmetric_kl(*logits), expected)

    def test_symmetric_kl_is_the_mean_of_pytorchs(self) -> None:
        first, second = LOGITS.log_softmax(-1)
        pair = torch_functional.kl_div(first, second, reduction="batchmean", log_target=True)
        pair = pair + torch_functional.kl_div(second, first, reduction="batchmean", log_target=True)
        torch.testing.assert_close(F.symmetric_kl(*LOGITS), pair / 2)

    def test_js_divergence_by_its_definition(self) -> None:
        p, q = LOGITS.softmax(-1)
        m = (p + q) / 2
        expected = ((p * (p / m).log()).sum(-1) + (q * (q / m).log()).sum(-1)).mean() / 2
        torch.testing.assert_close(F.js_divergence(*LOGITS), expected)

    @pytest.mark.parametrize("function", [F.symmetric_kl, F.js_divergence])
    def test_a_divergence_is_one(self, function) -> None:
        first, second = LOGITS
        torch.testing.assert_close(function(first, second), function(second, first), rtol=0, atol=1e-16)
        assert function(first, second) > 0
        assert function(first, first) == 0
        assert function(first, first + 3) < 1e-15  # logits are defined up to a constant
        mask = torch.tensor([True, False, True, True, False, False])
        poisoned = torch.where(mask[:, None], second, math.nan)
        torch.testing.assert_close(function(first, poisoned, mask=mask), function(first[mask], second[mask]))
        assert function(first, second, mask=torch.zeros(6, dtype=torch.bool)) == 0

    @pytest.mark.parametrize("function", [F.symmetric_kl, F.js_divergence])
    def test_impossible_classes_are_no_nan(self, function) -> None:
        blocked = torch.tensor([False, True, False, False, True])
        logits = LOGITS.masked_fill(blocked, -math.inf).requires_grad_()
        loss = function(*logits)
        torch.testing.assert_close(loss, function(*LOGITS[..., ~blocked]))
        (gradient,) = torch.autograd.grad(loss, logits)
        assert gradient.isfinite().all()

    def test_a_class_that_is_impossible_for_one_side(self) -> None:
        sides = torch.tensor([[0.0, -math.inf], [-math.inf, 0.0]]).requires_grad_()
        loss = F.js_divergence(*sides)
        assert loss.item() == pytest.approx(math.log(2))
        assert torch.autograd.grad(loss, sides)[0].isfinite().all()
        assert F.symmetric_kl(*sides) == math.inf


class TestRDrop:
    target = torch.tensor([0, 1, 2, 3, 4, 0])

    def test_the_form_of_the_paper(self) -> None:
        first, second = LOGITS
        entropies = torch_functional.cross_entropy(first, self.target) + torch_functional.cross_entropy(
            second, self.target
        )
        expected = entropies + 3.0 * F.symmetric_kl(first, second)
        torch.testing.assert_close(RDropLoss(alpha=3.0)(first, second, self.target), expected)
        torch.testing.assert_close(RDropLoss(alpha=3.0)(second, first, self.target), expected)
        # The form of the README: its alpha is half of the paper's, up to a factor 2 of the whole.
        readme = entropies / 2 + 1.5 * F.symmetric_kl(first, second)
        torch.testing.assert_close(expected, 2 * readme)

    def test_both_passes_take_gradients(self) -> None:
        first, second = (x.clone().requires_grad_() for x in LOGITS)
        difference = F.r_drop_loss(first, second, self.target, alpha=1.0) - F.r_drop_loss(
            first, second, self.target, alpha=0.0
        )
        assert all(gradient.abs().min() > 0 for gradient in torch.autograd.grad(difference, (first, second)))
        run = lambda a, b: F.r_drop_loss(a, b, self.target, alpha=2.0, label_smoothing=0.1)  # noqa: E731
        assert torch.autograd.gradcheck(run, (first, second))

    def test_the_batch_size_changes_nothing(self) -> None:
        # A cross entropy that is averaged beside a divergence that is summed would.
        first, second = LOGITS
        doubled = F.r_drop_loss(first.repeat(2, 1), second.repeat(2, 1), self.target.repeat(2), alpha=5.0)
        torch.testing.assert_close(doubled, F.r_drop_loss(first, second, self.target, alpha=5.0))

    @pytest.mark.parametrize("ignore_index", [-100, 0])
    @pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
    def test_padding_is_left_out_before_the_reduction(self, ignore_index: int, label_smoothing: float) -> None:
        target = torch.tensor([[3, 2, 1], [4, ignore_index, ignore_index]])
        first, second = LOGITS.view(2, 2, 3, 5)
        real = target != ignore_index
        options = {"alpha": 2.0, "ignore_index": ignore_index, "label_smoothing": label_smoothing}
        expected = F.r_drop_loss(first[real], second[real], target[real], **options)
        poisoned = torch.where(real[..., None], second, math.nan)
        torch.testing.assert_close(F.r_drop_loss(first, poisoned, target, **options), expected)

    def test_cross_entropy_is_pytorchs(self) -> None:
        target = torch.tensor([3, 2, 1, 4, -100, -100])
        loss = F.r_drop_loss(LOGITS[0], LOGITS[0], target, label_smoothing=0.1)
        torch.testing.assert_close(loss, 2 * torch_functional.cross_entropy(LOGITS[0], target, label_smoothing=0.1))
        assert F.r_drop_loss(*LOGITS, torch.full((6,), -100)) == 0

    def test_helper_runs_twice_in_training_and_once_in_eval(self) -> None:
        calls = []
        model = nn.Sequential(nn.Linear(4, 16), tnn.Dropout(0.5), nn.Linear(16, 5)).double()
        model.register_forward_hook(lambda *_: calls.append(1))
        x = random(6, 4)
        torch.manual_seed(3)
        loss = r_drop(model, x, self.target, alpha=2.0)
        torch.manual_seed(3)
        first, second = model(x), model(x)
        assert not torch.equal(first, second)
        assert torch.equal(loss, F.r_drop_loss(first, second, self.target, alpha=2.0))
        calls.clear()
        value = r_drop(model.eval(), (x,), self.target, alpha=2.0)
        assert len(calls) == 1
        torch.testing.assert_close(value, 2 * torch_functional.cross_entropy(model(x), self.target))

    def test_rate_0_has_no_divergence(self) -> None:
        model = nn.Sequential(tnn.Dropout(0.0), nn.Linear(4, 5)).double()
        x = random(6, 4)
        assert torch.equal(r_drop(model, x, self.target, alpha=0.0), r_drop(model, x, self.target, alpha=9.0))

    def test_wrong_uses(self) -> None:
        with pytest.raises(ValueError, match=r"`target` must be of shape \(6,\).* Move the classes"):
            F.r_drop_loss(*LOGITS, self.target[:5])
        with pytest.raises(ValueError, match="`second` must be of the shape"):
            F.r_drop_loss(LOGITS[0], LOGITS[1, :5], self.target)
        with pytest.raises(ValueError, match="`alpha` must be a number of at least 0"):
            F.r_drop_loss(*LOGITS, self.target, alpha=-1.0)
        with pytest.raises(ValueError, match="`label_smoothing` must be"):
            F.r_drop_loss(*LOGITS, self.target, label_smoothing=1.5)
        with pytest.raises(TypeError, match="`target` must be a tensor of integers"):
            F.r_drop_loss(*LOGITS, self.target.float())

    def test_a_loss_is_no_layer(self) -> None:
        assert "RDropLoss" not in tnn.REGISTRY
        assert repr(RDropLoss(0.5)) == "RDropLoss(alpha=0.5, ignore_index=-100, label_smoothing=0.0)"
