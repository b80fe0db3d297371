"""patch_torch(): which of PyTorch's functions reach the kernel, what they give, and how the patch opens and closes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F
from _torch_patch import NAMES, expected
from torch import nn
from torch.utils.checkpoint import checkpoint

from thinout.torch_patch import patch_torch, torch_patched

LARGE = (64, 256, 2)  # above the break-even of every function: 16,384 channels


@pytest.fixture
def patched() -> Iterator[None]:
    with patch_torch():
        yield


def test_off_before_on_and_off_after() -> None:
    assert not torch_patched()
    with patch_torch() as patch:
        report = torch_patched()
        assert report
        assert report.active
        assert report.depth == 1
        assert patch.__enter__() is patch
    assert not torch_patched()


def test_function_form_stays_on_until_closed_and_closes_once() -> None:
    outer, inner = patch_torch(), patch_torch()
    assert torch_patched().depth == 2
    inner.close()
    inner.close()
    assert torch_patched().depth == 1
    outer.close()
    assert torch_patched().depth == 0


def test_closes_after_an_error() -> None:
    with pytest.raises(KeyError), patch_torch():
        raise KeyError
    assert not torch_patched()


def test_counts_restart_with_the_outermost_patch_and_stay_readable() -> None:
    x = torch.ones(LARGE)
    with patch_torch():
        F.dropout(x)
        with patch_torch():
            F.dropout(x)
        assert torch_patched().served == {"dropout": 2}
    F.dropout(x)
    assert torch_patched().served == {"dropout": 2}
    with patch_torch():
        assert torch_patched().served == {}


def test_report_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        torch_patched().depth = 1  # type: ignore[misc]  # that it is refused is what is tested


@pytest.mark.parametrize("name", [name + end for name in NAMES for end in ("", "_")])
@pytest.mark.parametrize("grad", [False, True])
def test_every_function_is_served(name: str, grad: bool, patched: None) -> None:
    x = torch.randn(LARGE, requires_grad=grad)
    y = getattr(torch, name)(x * 1 if grad else x.clone(), 0.5, True)
    assert torch_patched().served == {name: 1}
    assert y.requires_grad == grad
    if grad:
        y.sum().backward()
        assert x.grad is not None
        assert len(x.grad.unique()) == 2


@pytest.mark.parametrize("name", [name + end for name in NAMES for end in ("", "_")])
def test_off_state_is_bit_equal_to_the_decomposition_of_pytorch(name: str) -> None:
    """PyTorch's elementwise form is x * empty_like(x).bernoulli_(1 - p).div_(1 - p); the others likewise."""
    x, p, a = torch.randn(LARGE), 0.3, 1.7580993408473766
    with patch_torch():
        pass
    torch.manual_seed(5)
    y = getattr(torch, name)(x.clone(), p, True)
    torch.manual_seed(5)
    noise = torch.empty(*LARGE[:2], 1) if "feature" in name else torch.empty_like(x)
    noise.bernoulli_(1 - p)
    if "alpha" in name:
        slope = 1 / ((a * a * p + 1) * (1 - p)) ** 0.5
        shift = noise.add(-1).mul_(a * slope).add_(a * slope * p)
        assert torch.equal(y, x * noise.mul_(slope) + shift)
    else:
        assert torch.equal(y, x * noise.div_(1 - p))


@pytest.mark.parametrize("p", [1e-5, 0.1, 0.5, 0.999, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_dropout_gives_the_bits_of_the_mask_contract(p: float, dtype: torch.dtype, patched: None) -> None:
    x = torch.randn(40, 300).to(dtype)
    torch.manual_seed(3)
    y = F.dropout(x, p)
    assert torch.equal(y, expected(x, p, 3))
    torch.manual_seed(3)
    assert torch.equal(F.dropout(x.clone(), p, inplace=True), y)


def test_manual_seed_governs_and_no_two_calls_share_a_mask(patched: None) -> None:
    """Two calls agree by chance with probability 2**-32768."""
    x = torch.ones(LARGE)
    torch.manual_seed(0)
    first = [F.dropout(x), F.dropout(x)]
    torch.manual_seed(0)
    assert torch.equal(F.dropout(x), first[0])
    assert not torch.equal(first[0], first[1])


def test_backward_has_the_mask_of_forward_and_keeps_the_key_alone(patched: None) -> None:
    saved: list[torch.Tensor] = []
    x = torch.rand(LARGE).add_(1).requires_grad_()
    for name in NAMES:
        saved.clear()
        with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
            y = getattr(torch, name)(x, 0.25, True)
        assert sum(t.numel() * t.element_size() for t in saved) <= 16
        (grad,) = torch.autograd.grad(y.sum(), x)
        slope = grad.max().item()
        shift = y - grad * x  # 0 or the two constants of alpha dropout
        assert torch.equal(grad, torch.where(grad > 0, slope, 0.0))
        assert shift[grad > 0].std() < 1e-5
        assert shift[grad == 0].std() < 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_double_backward(name: str, patched: None) -> None:
    x = torch.randn(LARGE, requires_grad=True, dtype=torch.float64)
    y = getattr(torch, name)(x, 0.5, True)
    (grad,) = torch.autograd.grad((y**2).sum(), x, create_graph=True)
    (slope,) = torch.autograd.grad(y.sum(), x, retain_graph=True)
    (second,) = torch.autograd.grad(grad.sum(), x)
    torch.testing.assert_close(second, 2 * slope**2)


def test_alpha_dropout_has_the_constants_of_the_paper(patched: None) -> None:
    """At p = 0.5: y = A x + B where kept, A a' + B where not, A = 0.886405, B = 0.779194 (methods catalogue)."""
    x = torch.randn(256, 256)
    y = F.alpha_dropout(x, 0.5, training=True)
    dropped = torch.isclose(y, torch.tensor(0.886405 * -1.7580993 + 0.779194), atol=1e-5)
    torch.testing.assert_close(y[~dropped], 0.886405 * x[~dropped] + 0.779194, atol=1e-5, rtol=0)
    assert 0.4 < dropped.float().mean() < 0.6  # fails by chance with probability below 1e-500


def test_alpha_dropout_of_everything_is_zeros_as_in_pytorch(patched: None) -> None:
    for name in ("alpha_dropout", "feature_alpha_dropout"):
        assert torch.equal(getattr(torch, name)(torch.randn(LARGE).double(), 1.0, True), torch.zeros(LARGE).double())


@pytest.mark.parametrize("name", ["feature_dropout", "feature_alpha_dropout"])
def test_channels_live_or_die_whole(name: str, patched: None) -> None:
    """The rate misses 0.25 by 0.05 with probability below 1e-23 (16,384 channels, Hoeffding)."""
    y = getattr(torch, name)(torch.rand(*LARGE, 3), 0.25, True).flatten(2)
    dead = (y == y[..., :1]).all(-1)
    assert torch.equal(dead, (y[..., 0] == y[..., 1]))
    assert abs(dead.float().mean() - 0.25) < 0.05


def test_layers_of_torch_reach_the_kernel(patched: None) -> None:
    x = torch.randn(16, 32, 64, requires_grad=True)
    sites = {
        "nn.Dropout": lambda: nn.Dropout()(x),
        "nn.LSTM": lambda: nn.LSTM(64, 64, 2, dropout=0.5)(x)[0],
        "nn.GRU": lambda: nn.GRU(64, 64, 2, dropout=0.5)(x)[0],
        "nn.MultiheadAttention": lambda: nn.MultiheadAttention(64, 4, dropout=0.5)(x, x, x)[0],
        "nn.TransformerEncoderLayer": lambda: nn.TransformerEncoderLayer(64, 4, 64, dropout=0.5)(x),
        "attention": lambda: F.scaled_dot_product_attention(x, x, x, dropout_p=0.5),
        "jit.script": lambda: script(x),
    }
    with pytest.warns(DeprecationWarning, match="torch.jit.script"):
        script = torch.jit.script(_scripted)
    for name, call in sites.items():
        before = torch_patched().served.get("dropout", 0)
        call().sum().backward()
        assert torch_patched().served["dropout"] > before, name


def _scripted(x: torch.Tensor) -> torch.Tensor:
    return torch.dropout(x, 0.5, True)


def test_eval_returns_the_input_itself(patched: None) -> None:
    x = torch.randn(LARGE)
    assert F.dropout(x, training=False) is x or F.dropout(x, training=False).data_ptr() == x.data_ptr()
    assert F.dropout(x, 0.0).data_ptr() == x.data_ptr()
    assert torch_patched().served == {}


def test_inference_mode_autocast_and_no_grad(patched: None) -> None:
    x = torch.randn(LARGE, requires_grad=True)
    want = expected(x.detach(), 0.5, 1)
    for mode in (torch.inference_mode, torch.no_grad, lambda: torch.autocast("cpu", torch.bfloat16)):
        with mode():
            torch.manual_seed(1)
            assert torch.equal(F.dropout(x, 0.5), want)
    with torch.inference_mode():
        y = torch.ones(LARGE)
        assert y.data_ptr() == F.dropout(y, inplace=True).data_ptr()
        assert set(y.unique().tolist()) == {0.0, 2.0}


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_checkpoint_recomputes_the_mask(use_reentrant: bool, patched: None) -> None:
    x = torch.ones(LARGE, requires_grad=True)
    y = checkpoint(lambda t: F.dropout(t * 1, 0.5), x, use_reentrant=use_reentrant)
    y.sum().backward()
    assert torch.equal(y, x.grad)


def test_checkpoint_without_random_state_raises(patched: None) -> None:
    x = torch.ones(LARGE, requires_grad=True)
    y = checkpoint(lambda t: F.dropout(t * 1, 0.5), x, use_reentrant=False, preserve_rng_state=False)
    with pytest.raises(RuntimeError, match="preserve_rng_state=True"):
        y.sum().backward()


def test_strides_are_those_of_pytorch(patched: None) -> None:
    x = torch.randn(8, 16, 12, 10)
    for view in (x, x.to(memory_format=torch.channels_last), x.transpose(1, 3), x[:, ::2], x.expand(2, 8, 16, 12, 10)):
        assert F.dropout(view).stride() == torch.empty_like(view).stride()
        torch.manual_seed(2)
        assert torch.equal(F.dropout(view), expected(view.contiguous(), 0.5, 2))


class TestInPlace:
    def test_leaf_is_refused_and_left_as_it_is(self, patched: None) -> None:
        for name in NAMES:
            x = torch.ones(LARGE, requires_grad=True)
            with pytest.raises(RuntimeError, match="leaf"):
                getattr(torch, name + "_")(x, 0.5, True)
            assert torch.equal(x.detach(), torch.ones(LARGE))

    def test_leaf_may_be_written_without_grad(self, patched: None) -> None:
        x = torch.ones(LARGE, requires_grad=True)
        with torch.no_grad():
            F.dropout(x, inplace=True)
        assert set(x.detach().unique().tolist()) == {0.0, 2.0}

    def test_view_of_many_is_refused_and_left_as_it_is(self, patched: None) -> None:
        x = torch.ones(2, *LARGE, requires_grad=True) * 1
        part = x.unbind()[0]
        with pytest.raises(RuntimeError, match="view"):
            F.dropout(part, inplace=True)
        assert torch.equal(x.detach(), torch.ones(2, *LARGE))

    def test_expanded_memory_is_refused(self, patched: None) -> None:
        with pytest.raises(RuntimeError, match="single memory location"):
            F.dropout(torch.ones(1, 8192).expand(4, 8192), inplace=True)

    def test_inference_tensor_is_refused_outside(self, patched: None) -> None:
        with torch.inference_mode():
            x = torch.ones(LARGE)
        with pytest.raises(RuntimeError, match="InferenceMode"):
            F.dropout(x, inplace=True)

    @pytest.mark.parametrize("name", NAMES)
    def test_view_carries_its_gradient_to_the_base(self, name: str, patched: None) -> None:
        leaf = torch.rand(2, *LARGE, requires_grad=True)
        base = leaf * 1
        getattr(torch, name + "_")(base[0], 0.5, True)
        base.sum().backward()
        assert leaf.grad is not None
        assert len(leaf.grad[0].unique()) == 2
        assert leaf.grad[1].eq(1).all()

    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("grad", [False, True])
    def test_a_saved_tensor_that_is_overwritten_is_noticed(self, name: str, grad: bool, patched: None) -> None:
        weight = torch.ones(LARGE, requires_grad=True)
        x = torch.ones(LARGE, requires_grad=grad) * 1
        y = weight * x
        getattr(torch, name + "_")(x, 0.5, True)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.sum().backward()


class TestThreads:
    def test_many_threads_enter_call_and_leave(self) -> None:
        x = torch.ones(LARGE, requires_grad=True)
        start = threading.Barrier(8)

        def work(_: int) -> bool:
            start.wait(timeout=60)
            good = True
            for _ in range(25):
                with patch_torch():
                    y = F.dropout(x, 0.5)
                    (grad,) = torch.autograd.grad(y.sum(), x)
                    good &= torch.equal(y, grad)
            return good

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(work, range(8)))
        assert torch_patched().depth == 0

    def test_no_count_is_lost(self) -> None:
        x = torch.ones(1)
        with patch_torch(), ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: [F.dropout(x) for _ in range(200)], range(8)))
            assert torch_patched().handed_over == {"small": 1600}

    def test_a_patch_counts_for_every_thread(self) -> None:
        with patch_torch(), ThreadPoolExecutor(1) as pool:
            pool.submit(F.dropout, torch.ones(LARGE)).result(timeout=60)
            assert torch_patched().served == {"dropout": 1}
