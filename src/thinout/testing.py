"""The checks that every dropout layer of thinout passes, for your own layers too.

    from thinout.testing import check_layer
    check_layer(LayerSpec(layer=MyDropout, arguments={"p": 0.3}, shape=(5, 4), reference=my_reference))

Each check takes a `LayerSpec` and raises AssertionError with what was expected. Where values are compared, they are
compared for equality of bits, but where the spec states a tolerance.
"""

from __future__ import annotations

import copy
import inspect
import io
import pickle
import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map, tree_map_only
from torch.utils.checkpoint import checkpoint

from thinout.nn import REGISTRY, LayerSpec

__all__ = ["CHECKS", "check_layer"]

_SEED = 20_141_127
_ROUNDING = 1e-9  # of sums in float64 that are taken in another order


def _expect(condition: object, text: str) -> None:
    if not condition:
        raise AssertionError(text)


def _expect_equal(got: Any, expected: Any, text: str, tolerance: float = 0.0) -> None:
    """Compare tensors, or structures of them."""
    ours, theirs = tree_leaves(got), tree_leaves(expected)
    _expect(len(ours) == len(theirs), f"{text}: {len(ours)} values, expected {len(theirs)}")
    for one, other in zip(ours, theirs, strict=True):
        if not isinstance(one, Tensor):
            _expect(one == other, f"{text}: {one!r}, expected {other!r}")
            continue
        _expect(one.dtype == other.dtype, f"{text}: dtype {one.dtype}, expected {other.dtype}")
        _expect(one.shape == other.shape, f"{text}: shape {tuple(one.shape)}, expected {tuple(other.shape)}")
        if tolerance:
            span = other.detach().abs().max().item() if other.numel() else 0.0
            torch.testing.assert_close(one, other, rtol=0, atol=tolerance * span, msg=lambda what: f"{text}: {what}")
        else:
            _expect(torch.equal(one, other), f"{text}:\n{one}\nis not\n{other}")


def _seeded(function: Callable[..., Any], *args: Any, seed: int = _SEED, **kwargs: Any) -> Any:
    """Call a function from a fixed state of the default generator, and leave that state as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return function(*args, **kwargs)


def _is_floating(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.is_floating_point()


def _floating(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if _is_floating(leaf)]


def _leaves(tree: Any) -> Any:
    """Return a structure with its floating-point tensors as leaves that require a gradient."""
    return tree_map(lambda leaf: leaf.detach().clone().requires_grad_() if _is_floating(leaf) else leaf, tree)


def _loss(output: Any) -> Tensor:
    total: Tensor = sum(leaf.square().sum() for leaf in _floating(output))  # type: ignore[assignment]  # never empty
    return total


def _gradients(output: Any, inputs: Any) -> list[Tensor]:
    """Return the gradients of the sum of squares with respect to the inputs; zeros where one is not used."""
    return list(torch.autograd.grad(_loss(output), _floating(inputs), allow_unused=True, materialize_grads=True))


def _wants_gradients(spec: LayerSpec) -> bool:
    return bool(_floating(spec.example()))


def _parameters(layer: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in layer.named_parameters()}


def _compare_tolerance(spec: LayerSpec) -> float:
    """Return the tolerance between two ways to the same output: matrix products depend on strides and batching."""
    return max(spec.tolerance, 1e-5) if _parameters(spec.make()) or spec.tolerance else 0.0


def _set_rates(spec: LayerSpec, layer: nn.Module, value: float) -> None:
    for name in spec.rates:
        setattr(layer, name, value)


def check_reference(spec: LayerSpec) -> None:
    """Training output equals the reference, in every floating-point type."""
    for dtype in spec.dtypes:
        layer, inputs = spec.make().to(dtype), spec.example(dtype)
        # A tolerance is stated for float32; a half type has 2**13 or 2**16 times its steps.
        steps = torch.finfo(dtype).eps / torch.finfo(torch.float32).eps
        tolerance = spec.tolerance * max(1.0, steps)
        expected = _seeded(spec.reference, layer, *inputs)
        _expect_equal(_seeded(layer, *inputs), expected, f"training output in {dtype}", tolerance)


def check_eval(spec: LayerSpec) -> None:
    """Eval output is what the spec says, draws nothing, and a functional default cannot switch dropout on."""
    layer, inputs = spec.make().eval(), spec.example()
    state = torch.get_rng_state()
    output = layer(*inputs)
    _expect(torch.equal(torch.get_rng_state(), state), "eval draws from the default generator")
    _expect_equal(output, spec.evaluate(layer, *inputs), "eval output", spec.tolerance)


def check_reproducible(spec: LayerSpec) -> None:
    """The seed fixes the output, and calls differ."""
    layer, inputs = spec.make(), spec.example()
    _expect_equal(_seeded(layer, *inputs), _seeded(layer, *inputs), "the same seed")
    # Eight calls, since a layer may take one decision for the whole batch, which comes out the same twice.
    first, *others = _seeded(lambda: [layer(*inputs) for _ in range(8)])
    _expect(any(_differ(first, other) for other in others), "all calls gave the same output")


def _differ(first: Any, second: Any) -> bool:
    pairs = zip(tree_leaves(first), tree_leaves(second), strict=True)
    return any(not torch.equal(one, other) for one, other in pairs if isinstance(one, Tensor))


def check_zero_rate(spec: LayerSpec) -> None:
    """A rate of 0 gives the eval output for that rate and draws nothing."""
    if not spec.rates:
        return
    layer, inputs = spec.make(**dict.fromkeys(spec.rates, 0.0)), spec.example()
    state = torch.get_rng_state()
    output = layer(*inputs)
    _expect(torch.equal(torch.get_rng_state(), state), "a rate of 0 draws from the default generator")
    _expect_equal(output, (spec.zero or spec.evaluate)(layer, *inputs), "output at rate 0", spec.tolerance)


def check_full_rate(spec: LayerSpec) -> None:
    """A rate of 1 gives zeros and zero gradient, for infinite and NaN entries too, or what the spec says."""
    if not spec.rates:
        return
    layer, inputs = spec.make(**dict.fromkeys(spec.rates, 1.0)), spec.example()
    if spec.full is None:
        _floating(inputs)[0].view(-1)[:2] = torch.tensor([float("inf"), float("nan")])
    inputs = _leaves(inputs)
    y = _seeded(layer, *inputs)
    expected = torch.zeros_like(inputs[0]) if spec.full is None else _seeded(spec.full, layer, *inputs)
    _expect_equal(y, expected, "output at rate 1", spec.tolerance)
    if not _floating(inputs) or not any(leaf.requires_grad for leaf in _floating(y)):
        return
    for gradient in _gradients(y, inputs):
        if spec.full is None:
            _expect_equal(gradient, torch.zeros_like(gradient), "gradient at rate 1")
        _expect(gradient.isfinite().all(), "a gradient at rate 1 is not finite")


def check_gradient(spec: LayerSpec) -> None:
    """First and second derivatives in inputs and parameters agree with finite differences in float64."""
    layer, inputs = spec.make().double(), _leaves(spec.example(torch.float64))
    weights = _leaves(_parameters(layer))
    arguments = (*_floating(inputs), *weights.values())
    if not arguments:
        return

    def run(*values: Tensor) -> tuple[Tensor, ...]:
        supply = iter(values)
        own = tree_map(lambda leaf: next(supply) if _is_floating(leaf) else leaf, inputs)
        state = dict(zip(weights, supply, strict=True))
        output = _seeded(torch.func.functional_call, layer, state, own)
        return tuple(leaf for leaf in _floating(output) if leaf.requires_grad)

    _expect(torch.autograd.gradcheck(run, arguments), "gradcheck failed")
    # Along random directions, as PyTorch tests its own: an error escapes with probability 0, at a tenth of the time.
    _expect(torch.autograd.gradgradcheck(run, arguments, fast_mode=True), "gradgradcheck failed")


def check_snapshot(spec: LayerSpec) -> None:
    """Changing the rates between forward and backward changes nothing."""
    if not spec.rates or not _wants_gradients(spec):
        return
    layer, inputs = spec.make(), _leaves(spec.example())
    expected = _gradients(_seeded(layer, *inputs), inputs)
    y = _seeded(layer, *inputs)
    _set_rates(spec, layer, 0.9)
    _expect_equal(_gradients(y, inputs), expected, "gradient after the rate was changed")


def check_strides(spec: LayerSpec) -> None:
    """The mask follows the logical order whatever the strides, and the output keeps the input's strides."""

    def turn(x: Tensor) -> Tensor:
        dims = range(x.dim() - 1, -1, -1)
        return x.permute(*dims).contiguous().permute(*dims)

    layer, inputs, tolerance = spec.make(), spec.example(), _compare_tolerance(spec)
    expected = _seeded(layer, *inputs)
    turned = tree_map_only(Tensor, turn, inputs)
    y = _seeded(layer, *turned)
    _expect_equal(y, expected, "output for a transposed input", tolerance)
    if isinstance(y, Tensor) and y.shape == inputs[0].shape and not tolerance:
        _expect(y.stride() == turned[0].stride(), f"strides {y.stride()}, expected {turned[0].stride()}")
    gapped = tree_map_only(Tensor, lambda x: torch.stack([x, x], dim=-1)[..., 0], inputs)
    _expect_equal(_seeded(layer, *gapped), expected, "output for an input with gaps", tolerance)


def check_empty(spec: LayerSpec) -> None:
    """An empty batch passes through with a gradient."""
    inputs = _leaves(tree_map_only(Tensor, lambda x: x[:0], spec.example()))
    y = spec.make()(*inputs)
    _expect(tree_leaves(y)[0].numel() == 0, "an empty batch gave an output that is not empty")
    if not _floating(inputs):
        return
    for gradient, x in zip(_gradients(y, inputs), _floating(inputs), strict=True):
        _expect(gradient.shape == x.shape, "an empty batch changed its shape")


def check_scalar(spec: LayerSpec) -> None:
    """A 0-d input works where every rank is allowed."""
    if spec.any_rank:
        layer, x = spec.make(), torch.tensor(2.0)
        _expect_equal(_seeded(layer, x), _seeded(spec.reference, layer, x), "output for a 0-d input")


def check_inplace(spec: LayerSpec) -> None:
    """`inplace=True` writes into the input and gives the same output and gradient."""
    if "inplace" not in spec.make().__dict__:
        return
    layer, (x, *rest) = spec.make(inplace=True), spec.example()
    expected = _seeded(spec.make(), x.clone(), *rest)
    _expect(_seeded(layer, x, *rest) is x, "inplace=True returned another tensor")
    _expect_equal(x, expected, "inplace output")
    leaf = spec.example()[0].requires_grad_()
    got, other = (
        torch.autograd.grad(_seeded(each, leaf * 1, *rest).square().sum(), leaf)[0] for each in (layer, spec.make())
    )
    _expect_equal(got, other, "inplace gradient")


def check_key(spec: LayerSpec) -> None:
    """An explicit key fixes the output and draws nothing; the offset is a second number beside it."""
    layer, inputs = spec.make(), spec.example()
    parameters = inspect.signature(layer.forward).parameters
    name = "mask_key" if "mask_key" in parameters else "key"  # attention has keys of its own
    if name not in parameters:
        return
    state = torch.get_rng_state()
    first = layer(*inputs, **{name: 5})
    _expect_equal(layer(*inputs, **{name: torch.tensor(5)}), first, "output for the same key")
    _expect(torch.equal(torch.get_rng_state(), state), "a call with a key draws from the default generator")
    _expect(_differ([layer(*inputs, **{name: key}) for key in range(8)], [first] * 8), "the key changes nothing")
    others = [layer(*inputs, **{name: 5}, offset=offset) for offset in range(1, 9)]
    _expect(_differ(others, [first] * 8), "the offset changes nothing")


def check_compile(spec: LayerSpec) -> None:
    """Two sites in one compiled training graph keep their own masks, equal eager, and no new rate compiles again."""
    first, second, inputs = spec.make(), spec.make(), _leaves(spec.example())
    graphs: list[object] = []

    def count(graph: Any, arguments: Any) -> Any:
        graphs.append(graph)
        return torch._dynamo.backends.debugging.aot_eager(graph, arguments)

    def sites(*inputs: Any) -> tuple[Any, Any, Any]:
        return first(*inputs), second(*inputs), first(*inputs)

    torch._dynamo.reset()
    # Without the flag dynamo refuses whatever is a torch.nn.LSTM, GRU or RNN.
    compiled = torch._dynamo.config.patch(allow_rnn=True)(torch.compile(sites, backend=count, fullgraph=True))
    merged = [True, True]
    rates = [rate for rate in (0.1, 0.25, 0.5, 0.75, 0.0, 1.0) if _takes(spec, rate)]
    for seed, rate in enumerate(rates * 2):  # sites that take one decision agree in some turns
        _set_rates(spec, first, rate)
        _set_rates(spec, second, rate)
        got, expected = _seeded(compiled, *inputs, seed=seed), _seeded(sites, *inputs, seed=seed)
        if rate in (0.0, 1.0):
            # Eager code draws no key at 0: what a second site draws beside its mask is then something else.
            _expect_equal(got[0], expected[0], f"compiled output at rate {rate}", spec.tolerance)
            continue
        _expect_equal(got, expected, f"compiled output at rate {rate}", spec.tolerance)
        merged = [same and not _differ(got[0], got[other]) for same, other in zip(merged, (1, 2), strict=True)]
        if _floating(inputs) and any(leaf.requires_grad for leaf in _floating(expected)):
            ours, theirs = _gradients(got, inputs), _gradients(expected, inputs)
            _expect_equal(ours, theirs, f"compiled gradient at rate {rate}", max(spec.tolerance, 1e-6))  # other sums
    _expect(not any(merged), "two sites have one mask")
    _expect(len(graphs) == 1, f"{len(rates)} values of the rate compiled {len(graphs)} graphs")
    first.eval(), second.eval()
    _expect_equal(compiled(*inputs), sites(*inputs), "compiled output in eval mode", spec.tolerance)


def check_batch_sizes(spec: LayerSpec) -> None:
    """Compiled code takes batches of every size: the leading sizes are symbols, and the outputs are eager's."""
    layer, inputs = spec.make(), spec.example()
    for leaf in tree_leaves(inputs):
        if isinstance(leaf, Tensor) and leaf.dim():
            torch._dynamo.maybe_mark_dynamic(leaf, 0)
    torch._dynamo.reset()
    # Without the flag dynamo refuses whatever is a torch.nn.LSTM, GRU or RNN.
    compiled = torch._dynamo.config.patch(allow_rnn=True)(torch.compile(layer, backend="aot_eager", fullgraph=True))
    got, expected = _seeded(compiled, *inputs), _seeded(layer, *inputs)
    _expect_equal(got, expected, "compiled output for a symbolic size", spec.tolerance)


def _takes(spec: LayerSpec, rate: float) -> bool:
    """Whether a layer takes a value of its rates: 1 is none for some."""
    try:
        _set_rates(spec, spec.make(), rate)
    except ValueError:
        return False
    return True


def check_export(spec: LayerSpec) -> None:
    """`torch.export` takes the layer in training mode."""
    layer, inputs = spec.make(), spec.example()
    program = torch.export.export(layer, inputs)
    got, expected = _seeded(program.module(), *inputs), _seeded(layer, *inputs)
    _expect_equal(got, expected, "exported output", spec.tolerance)


def check_checkpoint(spec: LayerSpec) -> None:
    """Activation checkpointing, reentrant or not, recomputes the same mask."""
    if not _wants_gradients(spec):
        return
    layer, inputs = spec.make(), _leaves(spec.example())
    expected = _gradients(_seeded(layer, *inputs), inputs)

    def run(*values: Tensor) -> tuple[Tensor, ...]:
        supply = iter(values)
        output = layer(*tree_map(lambda leaf: next(supply) if _is_floating(leaf) else leaf, inputs))
        return tuple(_floating(output))

    for reentrant in (True, False):
        fresh = _leaves(inputs)
        output = _seeded(checkpoint, run, *_floating(fresh), use_reentrant=reentrant)
        _loss(output).backward()  # type: ignore[no-untyped-call]  # torch's
        got = [torch.zeros_like(x) if x.grad is None else x.grad for x in _floating(fresh)]
        _expect_equal(got, expected, f"gradient with use_reentrant={reentrant}")


def check_vmap(spec: LayerSpec) -> None:
    """Under `vmap`, randomness="same" shares the mask over samples and "different" does not."""
    layer, inputs, tolerance = spec.make(), spec.example(), _compare_tolerance(spec)
    batch = tree_map_only(Tensor, lambda x: x.expand(6, *x.shape), inputs)
    same = _seeded(torch.func.vmap(layer, randomness="same"), *batch)
    expected = tree_map_only(Tensor, lambda x: x.expand(6, *x.shape), _seeded(layer, *inputs))
    _expect_equal(same, expected, 'output under vmap with randomness="same"', tolerance)
    other = _seeded(torch.func.vmap(layer, randomness="different"), *batch)
    leaves = [leaf for leaf in tree_leaves(other) if isinstance(leaf, Tensor)]
    _expect(any(not torch.equal(sample, leaf[0]) for leaf in leaves for sample in leaf), "all samples have one mask")
    if spec.selects and not tolerance:
        _expect(((other == 0) | (same == 0) | (other == same)).all(), "a sample is scaled wrongly")


def check_functional_gradient(spec: LayerSpec) -> None:
    """`torch.func.grad` and `jvp` give what autograd gives."""
    layer, inputs = spec.make().double(), spec.example(torch.float64)
    if not _floating(inputs):
        return
    leaves = _leaves(inputs)

    def run(*values: Tensor) -> tuple[Tensor, ...]:
        supply = iter(values)
        return tuple(_floating(layer(*tree_map(lambda leaf: next(supply) if _is_floating(leaf) else leaf, inputs))))

    values = tuple(_floating(inputs))
    expected = _gradients(_seeded(layer, *leaves), leaves)
    every = tuple(range(len(values)))
    got = _seeded(torch.func.grad(lambda *values: _loss(run(*values)), argnums=every), *values)
    _expect_equal(list(got), expected, "torch.func.grad", _ROUNDING if _compare_tolerance(spec) else 0.0)
    # The derivative along ones, weighted by the outputs doubled, is the sum of the gradients of the squares.
    outputs, tangents = _seeded(torch.func.jvp, run, values, tuple(torch.ones_like(x) for x in values))
    along = sum((2 * y * tangent).sum() for y, tangent in zip(outputs, tangents, strict=True))
    total = sum(gradient.sum() for gradient in expected)
    torch.testing.assert_close(along, total, rtol=_ROUNDING, atol=_ROUNDING, msg="torch.func.jvp is not the gradient")


def check_autocast(spec: LayerSpec) -> None:
    """Autocast leaves the type of the input as it is, but where there are matrix products."""
    for dtype in (torch.float32, torch.bfloat16):
        layer = spec.make()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            outputs = _floating(layer(*spec.example(dtype)))
        for y in outputs:
            if _parameters(layer):
                _expect(y.dtype in (torch.float32, torch.bfloat16), f"autocast gave {y.dtype}")
            else:
                _expect(y.dtype == dtype, f"autocast turned {dtype} into {y.dtype}")


def check_copies(spec: LayerSpec) -> None:
    """Copies by deepcopy and pickle behave alike and have rates of their own."""
    layer, inputs = spec.make(), spec.example()
    expected = _seeded(layer, *inputs)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        _expect(repr(twin) == repr(layer), f"{twin!r} is not {layer!r}")
        _expect_equal(_seeded(twin, *inputs), expected, "output of a copy")
        for name in spec.rates:
            setattr(twin, name, 0.9)
            _expect(getattr(layer, name) != 0.9, f"a copy shares its {name} with the original")


def check_state_dict(spec: LayerSpec) -> None:
    """Checkpoints carry every parameter, and pass between the layer and its torch twin without complaint."""
    layer = spec.make()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.125)
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    loaded = spec.make()
    loaded.load_state_dict(torch.load(file), strict=True)
    inputs = spec.example()
    _expect_equal(_seeded(loaded, *inputs), _seeded(layer, *inputs), "output after a checkpoint was loaded")
    if spec.twin is not None:
        _expect(isinstance(layer, spec.twin), f"{type(layer).__name__} is no torch.nn.{spec.twin.__name__}")
        # Recurrent classes take their arguments by *args, and their base by name.
        makers = [vars(base)["__init__"] for base in spec.twin.__mro__ if "__init__" in vars(base)]
        names = {name for maker in makers for name in inspect.signature(maker).parameters}
        twin = spec.twin(**{name: value for name, value in spec.arguments.items() if name in names})
        layer.load_state_dict(twin.state_dict(), strict=True)
        # The twin has no place for what a layer has beside it, such as a learned variance.
        own = set(getattr(layer, "_own_parameters", ()))
        twin.load_state_dict(
            {name: value for name, value in layer.state_dict().items() if name not in own}, strict=True
        )


def check_devices(spec: LayerSpec) -> None:
    """Moving, casting, and device or dtype contexts leave the rates alone."""
    if not _parameters(spec.make()):
        with torch.device("meta"):
            layer = spec.make()
        expected = _seeded(spec.make(), *spec.example())
        _expect_equal(_seeded(layer, *spec.example()), expected, "output after a meta context")
    moved = spec.make().to(torch.bfloat16).to("meta")
    for name in spec.rates:
        _expect(getattr(moved, name) == getattr(spec.make(), name), f"to() changed {name}")
    inputs = tree_map_only(Tensor, lambda x: x.to("meta"), spec.example(torch.bfloat16))
    got = [leaf.shape for leaf in tree_leaves(moved(*inputs)) if isinstance(leaf, Tensor)]
    here = _seeded(spec.make(), *spec.example())
    expected = [leaf.shape for leaf in tree_leaves(here) if isinstance(leaf, Tensor)]
    _expect(got == expected, "the output of a meta input has another shape")


def check_factory(spec: LayerSpec) -> None:
    """A layer with parameters of its own takes `device` and `dtype`."""
    if not _parameters(spec.make()):
        return
    layer = spec.make(device="meta", dtype=torch.float64)
    for name, parameter in layer.named_parameters():
        _expect(parameter.is_meta and parameter.dtype == torch.float64, f"{name} did not follow device and dtype")


def check_repr(spec: LayerSpec) -> None:
    """The repr is the constructor call."""
    layer = spec.make()
    names = {**vars(nn), **{name: other.layer for name, other in REGISTRY.items()}, spec.layer.__name__: spec.layer}
    again = eval(repr(layer), names)  # the repr of a layer, not foreign text
    _expect(repr(again) == repr(layer), f"{layer!r} rebuilds as {again!r}")


def check_errors(spec: LayerSpec) -> None:
    """Every wrong use of the spec is answered as it says."""
    for wrong in spec.errors:
        arguments = dict(spec.arguments if wrong.arguments is None else wrong.arguments)
        try:
            layer = spec.layer(**copy.deepcopy(arguments))
            if wrong.input is not None:
                layer(*(wrong.input if isinstance(wrong.input, tuple) else (wrong.input,)))
        except wrong.error as error:
            _expect(re.search(wrong.match, str(error)), f"{str(error)!r} does not match {wrong.match!r}")
        else:
            raise AssertionError(f"{spec.layer.__name__}({arguments}) did not raise {wrong.error.__name__}")


def check_setting(spec: LayerSpec) -> None:
    """The rates can be set at any time, and a wrong one leaves the old."""
    for name in spec.rates:
        layer, inputs = spec.make(), spec.example()
        setattr(layer, name, 0.75)
        expected = _seeded(spec.make(**{name: 0.75}), *inputs)
        _expect_equal(_seeded(layer, *inputs), expected, f"output after {name} was set")
        for value in (-1.0, float("nan")):
            _expect_refused(layer, name, value)
        _expect(getattr(layer, name) == 0.75, f"a wrong {name} changed the old one")


def _expect_refused(layer: nn.Module, name: str, value: float) -> None:
    try:
        setattr(layer, name, value)
    except ValueError:
        return
    raise AssertionError(f"{name} = {value} was taken")


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
