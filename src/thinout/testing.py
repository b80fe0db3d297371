"""The checks that every dropout layer of thinout passes, for your own layers too.

    from thinout.testing import check_layer
    check_layer(LayerSpec(layer=MyDropout, arguments={"p": 0.3}, shape=(5, 4), reference=my_reference))

Each check takes a `LayerSpec` and raises AssertionError with what was expected. Where values are compared, they are
compared for equality of bits.
"""

from __future__ import annotations

import copy
import io
import pickle
import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from thinout.nn import LayerSpec

__all__ = ["CHECKS", "check_layer"]

_SEED = 20_141_127


def _expect(condition: object, text: str) -> None:
    if not condition:
        raise AssertionError(text)


def _expect_equal(got: Tensor, expected: Tensor, text: str) -> None:
    _expect(got.dtype == expected.dtype, f"{text}: dtype {got.dtype}, expected {expected.dtype}")
    _expect(torch.equal(got, expected), f"{text}:\n{got}\nis not\n{expected}")


def _seeded(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function from a fixed state of the default generator, and leave that state as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        return function(*args)


def check_reference(spec: LayerSpec) -> None:
    """Training output equals the reference, in every floating-point type."""
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
        layer, x = spec.make(), spec.example(dtype)
        _expect_equal(_seeded(layer, x), _seeded(spec.reference, layer, x), f"training output in {dtype}")


def check_eval(spec: LayerSpec) -> None:
    """Eval output is what the spec says, draws nothing, and a functional default cannot switch dropout on."""
    layer, x = spec.make().eval(), spec.example()
    state = torch.get_rng_state()
    _expect_equal(layer(x), spec.evaluate(layer, x), "eval output")
    _expect(torch.equal(torch.get_rng_state(), state), "eval draws from the default generator")


def check_reproducible(spec: LayerSpec) -> None:
    """The seed fixes the output, and two calls differ."""
    layer, x = spec.make(), spec.example()
    _expect_equal(_seeded(layer, x), _seeded(layer, x), "the same seed")
    first, second = _seeded(lambda: (layer(x), layer(x)))
    _expect(not torch.equal(first, second), "two calls gave the same output")


def check_zero_rate(spec: LayerSpec) -> None:
    """A rate of 0 returns the eval output for p = 0 and draws nothing."""
    layer, x = spec.make(p=0.0), spec.example()
    state = torch.get_rng_state()
    _expect_equal(layer(x), spec.evaluate(layer, x), "output at p = 0")
    _expect(torch.equal(torch.get_rng_state(), state), "p = 0 draws from the default generator")


def check_full_rate(spec: LayerSpec) -> None:
    """A rate of 1 gives zeros and zero gradient, for infinite and NaN entries too."""
    layer, x = spec.make(p=1.0), spec.example()
    x.view(-1)[:2] = torch.tensor([float("inf"), float("nan")])
    x.requires_grad_()
    y = layer(x)
    y.sum().backward()
    _expect_equal(y.detach(), torch.zeros_like(x), "output at p = 1")
    _expect_equal(_gradient(x), torch.zeros_like(x), "gradient at p = 1")


def _gradient(x: Tensor) -> Tensor:
    _expect(x.grad is not None, "no gradient reached the input")
    gradient: Tensor = x.grad  # type: ignore[assignment]  # checked in the line above
    return gradient


def check_gradient(spec: LayerSpec) -> None:
    """First and second derivatives agree with finite differences in float64."""
    layer, x = spec.make(), spec.example(torch.float64).requires_grad_()

    def run(x: Tensor) -> Tensor:
        output: Tensor = _seeded(layer, x)
        return output

    _expect(torch.autograd.gradcheck(run, (x,)), "gradcheck failed")
    _expect(torch.autograd.gradgradcheck(run, (x,)), "gradgradcheck failed")


def check_snapshot(spec: LayerSpec) -> None:
    """Changing p between forward and backward changes nothing."""
    layer, x = spec.make(), spec.example().requires_grad_()
    expected = torch.autograd.grad(_seeded(layer, x).square().sum(), x)[0]
    y = _seeded(layer, x)
    layer.p = 0.9  # type: ignore[assignment]  # a settable attribute of every dropout layer
    _expect_equal(torch.autograd.grad(y.square().sum(), x)[0], expected, "gradient after p was changed")


def check_strides(spec: LayerSpec) -> None:
    """The mask follows the logical order whatever the strides, and the output keeps the input's strides."""
    layer, x = spec.make(), spec.example()
    expected = _seeded(layer, x)
    turned = x.permute(*range(x.dim() - 1, -1, -1)).contiguous().permute(*range(x.dim() - 1, -1, -1))
    y = _seeded(layer, turned)
    _expect_equal(y, expected, "output for a transposed input")
    _expect(y.stride() == turned.stride(), f"strides {y.stride()}, expected {turned.stride()}")
    gapped = torch.stack([x, x], dim=-1)[..., 0]
    _expect_equal(_seeded(layer, gapped), expected, "output for an input with gaps")


def check_empty(spec: LayerSpec) -> None:
    """An empty batch passes through with a gradient."""
    x = torch.empty(0, *spec.shape[1:], requires_grad=True)
    y = spec.make()(x)
    y.sum().backward()
    _expect(y.shape == x.shape and _gradient(x).shape == x.shape, "an empty batch changed its shape")


def check_scalar(spec: LayerSpec) -> None:
    """A 0-d input works where every rank is allowed."""
    if spec.any_rank:
        layer, x = spec.make(), torch.tensor(2.0)
        _expect_equal(_seeded(layer, x), _seeded(spec.reference, layer, x), "output for a 0-d input")


def check_inplace(spec: LayerSpec) -> None:
    """`inplace=True` writes into the input and gives the same output and gradient."""
    if "inplace" not in spec.make().__dict__:
        return
    layer, x = spec.make(inplace=True), spec.example()
    expected = _seeded(spec.make(), x.clone())
    _expect(_seeded(layer, x) is x, "inplace=True returned another tensor")
    _expect_equal(x, expected, "inplace output")
    leaf = spec.example().requires_grad_()
    got, expected = (
        torch.autograd.grad(_seeded(each, leaf * 1).square().sum(), leaf)[0] for each in (layer, spec.make())
    )
    _expect_equal(got, expected, "inplace gradient")


def check_compile(spec: LayerSpec) -> None:
    """Two sites in one compiled training graph keep their own masks, equal eager, and no new p compiles again."""
    first, second, x = spec.make(), spec.make(), spec.example().requires_grad_()
    graphs: list[object] = []

    def count(graph: Any, inputs: Any) -> Any:
        graphs.append(graph)
        return torch._dynamo.backends.debugging.aot_eager(graph, inputs)

    def sites(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return first(x), second(x), first(x)

    torch._dynamo.reset()
    compiled = torch.compile(sites, backend=count, fullgraph=True)
    for p in (0.1, 0.25, 0.5, 0.75):
        first.p = second.p = p  # type: ignore[assignment]
        got, expected = _seeded(compiled, x), _seeded(sites, x)
        for one, other in zip(got, expected, strict=True):
            _expect_equal(one, other, f"compiled output at p = {p}")
        _expect(not torch.equal(got[0], got[1]) and not torch.equal(got[0], got[2]), "two sites have one mask")
        gradients = [torch.autograd.grad(sum(y.square().sum() for y in ys), x)[0] for ys in (got, expected)]
        torch.testing.assert_close(*gradients, rtol=1e-6, atol=1e-6)  # sums in another order
    _expect(len(graphs) == 1, f"4 values of p compiled {len(graphs)} graphs")
    first.eval(), second.eval()
    for one, other in zip(compiled(x), sites(x), strict=True):
        _expect_equal(one, other, "compiled output in eval mode")


def check_export(spec: LayerSpec) -> None:
    """`torch.export` takes the layer in training mode."""
    layer, x = spec.make(), spec.example()
    program = torch.export.export(layer, (x,))
    _expect_equal(_seeded(program.module(), x), _seeded(layer, x), "exported output")


def check_checkpoint(spec: LayerSpec) -> None:
    """Activation checkpointing, reentrant or not, recomputes the same mask."""
    layer, x = spec.make(), spec.example().requires_grad_()
    expected = torch.autograd.grad((_seeded(layer, x) * x).sum(), x)[0]

    def scaled(z: Tensor) -> Tensor:
        output: Tensor = layer(z) * z
        return output

    def checkpointed(reentrant: bool) -> Tensor:
        output: Tensor = checkpoint(scaled, x, use_reentrant=reentrant)
        return output

    for reentrant in (True, False):
        x.grad = None
        y = _seeded(checkpointed, reentrant)
        y.sum().backward()
        _expect_equal(_gradient(x), expected, f"gradient with use_reentrant={reentrant}")


def check_vmap(spec: LayerSpec) -> None:
    """Under `vmap`, randomness="same" shares the mask over samples and "different" does not."""
    layer, x = spec.make(), spec.example()
    batch = x.expand(6, *x.shape)
    same = _seeded(torch.func.vmap(layer, randomness="same"), batch)
    _expect_equal(same, _seeded(layer, x).expand_as(batch), 'output under vmap with randomness="same"')
    other = _seeded(torch.func.vmap(layer, randomness="different"), batch)
    _expect(len({tuple(sample.flatten().tolist()) for sample in other}) > 1, "all samples have one mask")
    _expect(((other == 0) | (same == 0) | (other == same)).all(), "a sample is scaled wrongly")


def check_functional_gradient(spec: LayerSpec) -> None:
    """`torch.func.grad` and `jvp` give what autograd gives."""
    layer, x = spec.make(), spec.example(torch.float64)
    leaf = x.clone().requires_grad_()
    expected = torch.autograd.grad(_seeded(layer, leaf).square().sum(), leaf)[0]

    def loss(z: Tensor) -> Tensor:
        total: Tensor = layer(z).square().sum()
        return total

    _expect_equal(_seeded(torch.func.grad(loss), x), expected, "torch.func.grad")
    _, tangent = _seeded(torch.func.jvp, layer, (x,), (torch.ones_like(x),))
    _expect_equal(tangent, _seeded(layer, torch.ones_like(x)), "torch.func.jvp")


def check_autocast(spec: LayerSpec) -> None:
    """Autocast leaves the type of the input as it is."""
    for dtype in (torch.float32, torch.bfloat16):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = spec.make()(spec.example(dtype))
        _expect(y.dtype == dtype, f"autocast turned {dtype} into {y.dtype}")


def check_copies(spec: LayerSpec) -> None:
    """Copies by deepcopy and pickle behave alike and have a p of their own."""
    layer, x = spec.make(), spec.example()
    expected = _seeded(layer, x)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        _expect(repr(twin) == repr(layer), f"{twin!r} is not {layer!r}")
        _expect_equal(_seeded(twin, x), expected, "output of a copy")
        twin.p = 0.9
        _expect(layer.p != 0.9, "a copy shares its p with the original")


def check_state_dict(spec: LayerSpec) -> None:
    """Checkpoints pass between the layer and its torch twin without complaint."""
    layer = spec.make()
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    spec.make().load_state_dict(torch.load(file), strict=True)
    if spec.twin is not None:
        _expect(isinstance(layer, spec.twin), f"{type(layer).__name__} is no torch.nn.{spec.twin.__name__}")
        layer.load_state_dict(spec.twin(0.5).state_dict(), strict=True)
        spec.twin(0.5).load_state_dict(layer.state_dict(), strict=True)


def check_devices(spec: LayerSpec) -> None:
    """Moving, casting, and device or dtype contexts leave p alone."""
    with torch.device("meta"):
        layer = spec.make()
    _expect_equal(_seeded(layer, spec.example()), _seeded(spec.make(), spec.example()), "output after a meta context")
    moved = spec.make().to(torch.bfloat16).to("meta")
    _expect(moved.p == spec.make().p, "to() changed p")
    shape = moved(torch.empty(spec.shape, device="meta")).shape
    _expect(shape == torch.Size(spec.shape), "the output of a meta input has another shape")


def check_repr(spec: LayerSpec) -> None:
    """The repr is the constructor call."""
    layer = spec.make()
    again = eval(repr(layer), {spec.layer.__name__: spec.layer})  # the repr of a layer, not foreign text
    _expect(repr(again) == repr(layer), f"{layer!r} rebuilds as {again!r}")


def check_errors(spec: LayerSpec) -> None:
    """Every wrong use of the spec is answered as it says."""
    for wrong in spec.errors:
        arguments = dict(spec.arguments if wrong.arguments is None else wrong.arguments)
        try:
            layer = spec.layer(**arguments)
            if wrong.input is not None:
                layer(wrong.input)
        except wrong.error as error:
            _expect(re.search(wrong.match, str(error)), f"{str(error)!r} does not match {wrong.match!r}")
        else:
            raise AssertionError(f"{spec.layer.__name__}({arguments}) did not raise {wrong.error.__name__}")


def check_setting(spec: LayerSpec) -> None:
    """The rate can be set at any time, and a wrong p leaves the old one."""
    layer: nn.Module = spec.make()
    layer.p = 0.75  # type: ignore[assignment]
    x = spec.example()
    _expect_equal(_seeded(layer, x), _seeded(spec.make(p=0.75), x), "output after p was set")
    try:
        layer.p = 1.5  # type: ignore[assignment]
    except ValueError:
        pass
    else:
        raise AssertionError("p = 1.5 was taken")
    _expect(layer.p == 0.75, "a wrong p changed the old one")


CHECKS: dict[str, Callable[[LayerSpec], None]] = {
    name.removeprefix("check_"): function
    for name, function in list(globals().items())
    if name.startswith("check_") and callable(function)
}


def check_layer(spec: LayerSpec) -> None:
    """Run every check on a layer but those that its spec excepts with a reason.

    Example:
        >>> from thinout.nn import REGISTRY
        >>> check_layer(REGISTRY["Dropout1d"])
    """
    for name, check in CHECKS.items():
        if name not in spec.exceptions:
            check(spec)
