"""Dropout of words against closed forms and the bugs that others have.

Random tests have fixed seeds. Each binomial test is at 1e-8 and each z-test at 6 standard errors, so that the false
alarm rate of the file, over about 20 of them, is below 1e-6.
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

    @pytest.mark.parametrize("padding_idx", [10, -11])
    def test_a_padding_index_that_is_no_word_is_refused(self, padding_idx: int) -> None:
        with pytest.raises(ValueError, match=f"`padding_idx` must be an id of one of 10 words, got {padding_idx}"):
            F.embedding_dropout(ids(10, 3), torch.ones(10, 4), training=False, padding_idx=padding_idx)

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


LOGITS, TOKENS, HEADS, ROWS = random(2, 3, 5, 6), random(4, 3, 2), random(8, 3, 2, 2), random(9, 3)
WORDS, EDGES = ids(9, 4, 6), ids(9, 2, 20)
BY_KEY = {
    "embedding_dropout": lambda key: F.embedding_dropout(WORDS, ROWS, p=0.5, training=True, key=key),
    "word_dropout": lambda key: F.word_dropout(WORDS, 0.5, unk_id=1, special_ids=(0,), training=True, key=key),
    "token_dropout": lambda key: F.token_dropout(TOKENS, 0.5, training=True, key=key),
    "mean_of_survivors": lambda key: F.mean_of_survivors(TOKENS, 0.7, training=True, key=key),
    "drop_attention": lambda key: F.drop_attention(LOGITS.softmax(-1), 0.7, training=True, key=key),
    "drop_attention, spans": lambda key: F.drop_attention(LOGITS.softmax(-1), 0.7, window=2, training=True, key=key),
    "drop_key": lambda key: F.drop_key(LOGITS, 0.7, training=True, key=key),
    "drop_head": lambda key: F.drop_head(HEADS, 0.7, training=True, key=key),
    "scaled_dot_product_attention": lambda key: F.scaled_dot_product_attention(
        LOGITS, LOGITS, LOGITS, dropout_p=0.5, training=True, mask_key=key
    ),
    "drop_edge_mask": lambda key: F.drop_edge_mask(EDGES, 0.5, undirected=True, training=True, key=key),
    "drop_node": lambda key: F.drop_node(ROWS, 0.5, training=True, key=key),
}


@pytest.mark.parametrize("name", BY_KEY)
def test_vmap_over_keys_is_a_loop(name: str) -> None:
    """The samples of Monte Carlo dropout: one input for all, a key for each."""
    keys = torch.arange(6)
    together = torch.func.vmap(BY_KEY[name])(keys)
    one_by_one = torch.stack([BY_KEY[name](key) for key in keys])
    if name == "scaled_dot_product_attention":  # products of matrices of another shape
        torch.testing.assert_close(together, one_by_one)
    else:
        assert torch.equal(together, one_by_one)
    assert len({tuple(sample.flatten().tolist()) for sample in one_by_one}) > 1
