"""patch_torch(): what is handed to PyTorch, what tracers see, compiled code and its caches, and races at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from _torch_patch import run_python
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from thinout.torch_patch import patch_torch, torch_patched

SIZE = 1 << 14


@pytest.fixture
def patched() -> Iterator[None]:
    with patch_torch():
        yield


class _Recorder(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]  # torch's own
        self.names.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


class _Subclass(torch.Tensor):
    pass


def _dual(x: torch.Tensor) -> torch.Tensor:
    return torch.autograd.forward_ad.make_dual(x, torch.ones_like(x))


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.ones(SIZE, dtype=torch.complex64),
        lambda: torch.ones(SIZE).to(torch.float8_e5m2).float().to_sparse(),
        lambda: torch.ones(128, 128).to_mkldnn(),
        lambda: torch.nested.nested_tensor([torch.ones(SIZE), torch.ones(3)], layout=torch.jagged),
        lambda: torch.ones(SIZE, device="meta"),
        lambda: torch.ones(SIZE).as_subclass(_Subclass),
        lambda: torch.imag(torch.ones(SIZE, dtype=torch.complex64).conj()),
        lambda: torch._efficientzerotensor((SIZE,)),
        lambda: torch.ones(8),
    ],
    ids=["complex", "sparse", "mkldnn", "nested", "meta", "subclass", "negated", "zeros", "small"],
)
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_handed_to_pytorch_with_the_same_outcome(make: Callable[[], torch.Tensor]) -> None:
    outcomes = []
    for patch in (False, True):
        torch.manual_seed(0)
        opened = patch_torch() if patch else None
        try:
            outcomes.append(F.dropout(make(), 0.5))
        except RuntimeError as error:
            outcomes.append(str(error))
        finally:
            if opened:
                opened.close()
    assert torch_patched().served == {}
    want, got = outcomes
    assert type(want) is type(got)
    if isinstance(want, str):
        assert want == got
    elif not want.is_meta:
        dense = [y.values() if y.is_nested else y.to_dense() if y.layout != torch.strided else y for y in outcomes]
        assert torch.equal(dense[0].resolve_neg(), dense[1].resolve_neg())


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool])
def test_integers_are_pytorchs(dtype: torch.dtype, patched: None) -> None:
    with pytest.raises(RuntimeError):
        F.dropout(torch.ones(SIZE, dtype=dtype), 0.5, inplace=True)
    assert torch_patched().served == {}


@pytest.mark.parametrize("p", [-0.1, 1.5, float("nan")])
def test_bad_rates_are_pytorchs(p: float, patched: None) -> None:
    with pytest.raises(RuntimeError, match="probability has to be between 0 and 1"):
        torch.dropout(torch.ones(SIZE), p, True)


def test_infinities_that_are_dropped_are_zero(patched: None) -> None:
    x = torch.tensor([float("inf"), float("nan")]).repeat(SIZE).requires_grad_()
    y = F.dropout(x, 1.0)
    y.sum().backward()
    assert y.eq(0).all()
    assert x.grad.eq(0).all()
    assert F.dropout(x, 0.5).eq(0).any()


def test_inert_under_a_dispatch_mode(patched: None) -> None:
    with _Recorder() as recorder:
        F.dropout(torch.ones(SIZE))
    assert "bernoulli_" in recorder.names
    assert torch_patched().handed_over == {"traced": 1}


def test_inert_for_fake_tensors_and_make_fx(patched: None) -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.proxy_tensor import make_fx

    with FakeTensorMode():
        assert F.dropout(torch.ones(SIZE)).shape == (SIZE,)
    graph = make_fx(lambda x: F.dropout(x))(torch.ones(SIZE))
    assert "bernoulli" in graph.code
    assert torch_patched().served == {}


def test_forward_mode_differentiation(patched: None) -> None:
    with torch.autograd.forward_ad.dual_level():
        y = F.dropout(_dual(torch.ones(SIZE)))
        value, tangent = torch.autograd.forward_ad.unpack_dual(y)
        assert torch.equal(value, tangent)
    assert torch_patched().served == {"dropout": 1}


def test_transforms_of_torch_func(patched: None) -> None:
    x = torch.ones(2, SIZE)
    for randomness, same in (("same", True), ("different", False)):
        y = torch.func.vmap(lambda t: F.dropout(t), randomness=randomness)(x)
        assert torch.equal(y[0], y[1]) == same  # by chance with probability 2**-16384
    with pytest.raises(RuntimeError, match="randomness"):
        torch.func.vmap(lambda t: F.dropout(t))(x)
    value, tangent = torch.func.jvp(F.dropout, (x,), (x,))
    assert torch.equal(value, tangent)
    grad, y = torch.func.grad(lambda t: ((y := F.dropout(t)).sum(), y), has_aux=True)(x)
    assert torch.equal(grad, y)
    grads = torch.func.vmap(torch.func.grad(lambda t: F.dropout(t).sum()), randomness="different")(x)
    assert set(grads.unique().tolist()) == {0.0, 2.0}
    jacobian = torch.func.jacrev(lambda t: F.dropout(t).pow(2).sum())
    hessian = torch.func.jacfwd(jacobian, randomness="same")(torch.ones(4))
    assert set(hessian.diagonal().unique().tolist()) <= {0.0, 8.0}
    assert torch_patched().served.keys() == {"dropout"}


def test_attention_under_transforms_works_and_is_pytorchs(patched: None) -> None:
    q = torch.randn(2, 4, 64, 16)

    def attend(t: torch.Tensor) -> torch.Tensor:
        return F.scaled_dot_product_attention(t, t, t, dropout_p=0.5)

    assert torch.func.vmap(attend, randomness="different")(q).shape == q.shape
    assert torch.func.grad(lambda t: attend(t).sum())(q).abs().sum() > 0
    assert torch_patched().served == {}


def test_batched_gradients(patched: None) -> None:
    x = torch.ones(SIZE, requires_grad=True)
    y = F.dropout(x)
    (grad,) = torch.autograd.grad(y, x, torch.stack([torch.ones(SIZE), 2 * torch.ones(SIZE)]), is_grads_batched=True)
    assert torch.equal(grad, torch.stack([y, 2 * y]).detach())


class TestCompiled:
    @pytest.fixture(autouse=True)
    def _fresh(self) -> Iterator[None]:
        torch._dynamo.reset()
        yield
        torch._dynamo.reset()

    @pytest.mark.parametrize("patch_first", [False, True])
    def test_compiles_anew_on_enter_and_exit_and_equals_eager(self, patch_first: bool) -> None:
        graphs: list[str] = []

        def backend(graph: torch.fx.GraphModule, _: object) -> Callable[..., object]:
            graphs.append(graph.code)
            return graph

        layer, x = nn.Dropout(0.3), torch.randn(64, 256)
        compiled = torch.compile(layer, backend=backend, fullgraph=True)
        for patch in (patch_first, not patch_first) * 2:
            opened = patch_torch() if patch else None
            torch.manual_seed(1)
            got = compiled(x)
            torch.manual_seed(1)
            assert torch.equal(got, layer(x))
            assert ("thinout.dropout" in graphs[-1 if len(graphs) == 1 else patch != patch_first]) == patch
            if opened:
                opened.close()
        assert len(graphs) == 2

    def test_two_sites_and_their_gradients(self, patched: None) -> None:
        """The two masks agree by chance with probability 2**-16384."""
        x = torch.ones(SIZE, requires_grad=True)
        both = torch.compile(lambda t: (F.dropout(t), F.dropout(t)), backend="aot_eager", fullgraph=True)
        first, second = both(x)
        (first.sum() + 10 * second.sum()).backward()
        assert not torch.equal(first, second)
        assert torch.equal(x.grad, first + 10 * second)

    def test_in_place_and_operators_of_pytorch(self, patched: None) -> None:
        def call(t: torch.Tensor) -> torch.Tensor:
            F.dropout(t, 0.5, inplace=True)
            return F.scaled_dot_product_attention(t, t, t, dropout_p=0.5)

        x = torch.ones(4, 64, 64)
        assert torch.compile(call, backend="aot_eager", fullgraph=True)(x).shape == x.shape
        assert set(x.unique().tolist()) == {0.0, 2.0}

    def test_tracing_does_not_lose_a_gradient_later(self, patched: None) -> None:
        original = torch.ops.aten.dropout.default
        torch.compile(lambda t: original(t, 0.5, True), backend="aot_eager")(torch.ones(SIZE, requires_grad=True))
        x = torch.ones(SIZE, requires_grad=True)
        original(x, 0.5, True).sum().backward()
        assert set(x.grad.unique().tolist()) == {0.0, 2.0}

    def test_disk_cache_serves_patched_and_plain_programs(self, tmp_path: Path) -> None:
        for mode in ("patched", "plain", "patched"):  # cold, cold, warm
            out = run_python(_CACHED.format(patch=mode == "patched"), TORCHINDUCTOR_CACHE_DIR=str(tmp_path))
            assert out.split() == ["True", "True"]


def test_first_compilation_of_a_process_may_be_under_the_patch() -> None:
    out = run_python(
        """
import torch, torch.nn.functional as F
from thinout.torch_patch import patch_torch
codes = []
def backend(graph, _):
    codes.append(graph.code)
    return graph
with patch_torch():
    torch.compile(lambda t: F.dropout(t, 0.5), backend=backend, fullgraph=True)(torch.ones(8192))
print("thinout.dropout" in codes[0])
"""
    )
    assert out == "True\n"


_CACHED = """
import contextlib, torch, torch.nn.functional as F
from thinout.torch_patch import patch_torch
patch = {patch}
x = torch.ones(8192, requires_grad=True)
compiled = torch.compile(lambda t: F.dropout(t, 0.5), fullgraph=True)
with patch_torch() if patch else contextlib.nullcontext():
    torch.manual_seed(1); y = compiled(x); y.sum().backward()
    torch.manual_seed(1); eager = F.dropout(x, 0.5)
print(torch.equal(x.grad, y), torch.equal(y, eager) == patch)
"""


def test_script_made_under_the_patch_is_pytorchs_code(patched: None) -> None:
    with pytest.warns(DeprecationWarning, match=r"torch.jit.script"):
        scripted = torch.jit.script(nn.Dropout())
    assert "thinout::" not in str(scripted.inlined_graph)
    assert set(scripted(torch.ones(SIZE)).unique().tolist()) == {0.0, 2.0}


def test_foreign_function_over_dropout_survives(monkeypatch: pytest.MonkeyPatch) -> None:
    original = F.dropout
    with patch_torch():
        ours = F.dropout
        monkeypatch.setattr(F, "dropout", lambda *args, **kwargs: ours(*args, **kwargs))
        theirs = F.dropout
    assert F.dropout is theirs
    with patch_torch():
        assert F.dropout is theirs
        assert F.dropout(torch.ones(4)).shape == (4,)
    monkeypatch.undo()
    F.dropout = original


def test_patching_while_threads_run_does_not_crash() -> None:
    """Threads end before the program: PyTorch itself aborts where daemon threads compute at exit."""
    out = run_python(
        """
import threading, torch, torch.nn.functional as F
from thinout.torch_patch import patch_torch
x, stop = torch.ones(8192, requires_grad=True), threading.Event()
def hammer():
    while not stop.is_set():
        F.dropout(x).sum().backward()
threads = [threading.Thread(target=hammer) for _ in range(4)]
for thread in threads:
    thread.start()
for _ in range(300):
    with patch_torch():
        F.dropout(x)
stop.set()
for thread in threads:
    thread.join()
patch_torch()
print("done")
"""
    )
    assert out == "done\n"
