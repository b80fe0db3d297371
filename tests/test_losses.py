"""Divergences between two predictions, and R-Drop, against closed forms and PyTorch's own losses."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as torch_functional

import thinout.functional as F
import thinout.nn as tnn
from thinout.losses import RDropLoss, r_drop


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


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
        run = lambda a, b: F.r_drop_loss(a, b, self.target, alpha=2.0, label_smoothing=0.1)  # noqa: E731  # used at once
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
        makers = (partial(F.r_drop_loss, *LOGITS, self.target), RDropLoss)
        for alpha, error in ((-1.0, ValueError), (math.inf, ValueError), (math.nan, ValueError), ("1", TypeError)):
            for make in makers:
                with pytest.raises(error, match="`alpha` must be a finite number of at least 0"):
                    make(alpha=alpha)
        for make in makers:
            with pytest.raises(ValueError, match="`label_smoothing` must be"):
                make(label_smoothing=1.5)
        with pytest.raises(TypeError, match="`target` must be a tensor of integers"):
            F.r_drop_loss(*LOGITS, self.target.float())

    def test_every_class_of_unsigned_targets_counts(self) -> None:
        logits = random(1, 200)  # -100 is 156 in uint8
        expected = F.r_drop_loss(logits, logits, torch.tensor([156]))
        assert torch.equal(F.r_drop_loss(logits, logits, torch.tensor([156], dtype=torch.uint8)), expected)
        assert expected > 0

    def test_a_batch_whose_sum_is_infinite_in_float16_has_a_finite_mean(self) -> None:
        first, second = (10 * random(2, 8000, 10)).half()
        mask, target = torch.ones(8000, dtype=torch.bool), torch.zeros(8000, dtype=torch.int64)
        for function in (F.symmetric_kl, partial(F.symmetric_kl, mask=mask), partial(F.r_drop_loss, target=target)):
            exact = function(first.double(), second.double())
            assert exact * 8000 > 65504
            torch.testing.assert_close(function(first, second).double(), exact, rtol=1e-2, atol=0)

    def test_alpha_can_be_set_without_a_new_graph(self) -> None:
        graphs: list[object] = []

        def count(graph, arguments):
            graphs.append(graph)
            return torch._dynamo.backends.debugging.aot_eager(graph, arguments)

        torch._dynamo.reset()
        loss = RDropLoss(1.0)
        compiled = torch.compile(loss, backend=count, fullgraph=True)
        for alpha in (1.0, 2.0, 0.0, 5.0):
            loss.alpha = alpha
            expected = F.r_drop_loss(*LOGITS, self.target, alpha=alpha)
            torch.testing.assert_close(compiled(*LOGITS, self.target), expected)
        assert len(graphs) == 1

    def test_a_loss_is_no_layer(self) -> None:
        assert "RDropLoss" not in tnn.REGISTRY
        assert repr(RDropLoss(0.5)) == "RDropLoss(alpha=0.5, ignore_index=-100, label_smoothing=0.0)"
