"""Calls of dropout and its fused forms: thinout, its kernel alone, PyTorch eager and compiled, Flax, and copies.

    python benchmarks/bench_ops.py --out docs/results/bench/ops.json

A contender that allocates its output stands against one that does; the kernel writes into memory that is there, as
`copy_` does. Every tensor's values are compared with the reference first: no speed of a wrong kernel is printed.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import thinout.nn as tnn
from thinout import functional, ops
from thinout.fused import bias_act_dropout, dropout_add
from thinout.lab.bench import Measurement, check_dropout, check_fused, quiet, take_turns
from thinout.ops import _cpu

P = 0.5
KI, MI = 1 << 10, 1 << 20
SIZES = (64, KI, 4 * KI, 64 * KI, MI, 16 * MI)
DTYPES = {"float32": SIZES, "bfloat16": SIZES, "float16": (MI,), "float64": (MI,)}
FEATURES = 1024
LARGE = 16 * MI  # elements from which a third of the rounds must do
PAIRS = (
    ("PyTorch", "thinout"),
    ("PyTorch compiled", "thinout"),
    ("Flax", "thinout"),
    ("PyTorch", "thinout, plain torch"),
    ("thinout, separate", "thinout"),
    ("thinout", "clone"),
    ("kernel", "copy_"),
)
Contenders = dict[str, Callable[[], object]]


def backward(function: Callable[..., Tensor], *inputs: Tensor) -> Callable[[], object]:
    """Return forward and backward of a function, by autograd."""
    leaves = [x.detach().clone().requires_grad_() for x in inputs]
    grad = torch.ones_like(inputs[0])
    return lambda: torch.autograd.grad(function(*leaves), leaves, grad)


def torch_dropout(x: Tensor) -> Tensor:
    return nn.functional.dropout(x, P)


def thinout_dropout(x: Tensor) -> Tensor:
    return functional.dropout(x, P, training=True)


def plain_dropout(x: Tensor) -> Tensor:
    return ops.dropout(x, ops.draw_key(), P, backend="torch")


@cache
def compiled_dropout() -> Callable[[Tensor], Tensor]:
    return torch.compile(torch_dropout)


def kernel(x: Tensor, out: Tensor) -> None:
    _cpu.dropout(x, out, key=1, offset=0, threshold=1 << 15, wide=False, scale=2.0)


def flax_dropout(x: Tensor) -> Callable[[], object]:
    """Return Flax's dropout of the same values, compiled by XLA; its random numbers are JAX's default, threefry."""
    import jax
    from flax import linen

    layer, key = linen.Dropout(P, deterministic=False), jax.random.key(0)
    values = jax.numpy.asarray(x.float().numpy()).astype(str(x.dtype).removeprefix("torch."))
    drop = jax.jit(lambda values: layer.apply({}, values, rngs={"dropout": key}))
    return lambda: drop(values).block_until_ready()


def forward_mode(x: Tensor) -> Contenders:
    out = torch.empty_like(x)
    contenders: Contenders = {
        "PyTorch": lambda: torch_dropout(x),
        "thinout": lambda: thinout_dropout(x),
        "thinout, plain torch": lambda: plain_dropout(x),
        "copy_": lambda: out.copy_(x),
        "clone": x.clone,
    }
    if _cpu.library():
        contenders["kernel"] = lambda: kernel(x, out)
    return contenders


def both_mode(x: Tensor) -> Contenders:
    functions = {"PyTorch": torch_dropout, "thinout": thinout_dropout, "thinout, plain torch": plain_dropout}
    return {name: backward(function, x) for name, function in (functions | {"clone": Tensor.clone}).items()}


def inplace_mode(x: Tensor) -> Contenders:
    y, out = x.clone(), torch.empty_like(x)
    contenders: Contenders = {
        "PyTorch": lambda: nn.functional.dropout(y, P, inplace=True),
        "thinout": lambda: functional.dropout(y, P, training=True, inplace=True),
        "copy_": lambda: out.copy_(y),
    }
    if _cpu.library():
        contenders["kernel"] = lambda: kernel(y, y)
    return contenders


def add_functions() -> dict[str, Callable[..., Tensor]]:
    return {
        "PyTorch": lambda x, r: r + torch_dropout(x),
        "thinout, separate": lambda x, r: r + thinout_dropout(x),
        "thinout": lambda x, r: dropout_add(x, r, P, training=True),
    }


def gelu_functions() -> dict[str, Callable[..., Tensor]]:
    gelu = nn.functional.gelu
    return {
        "PyTorch": lambda x, b: torch_dropout(gelu(x + b)),
        "thinout, separate": lambda x, b: thinout_dropout(gelu(x + b)),
        "thinout": lambda x, b: bias_act_dropout(x, b, P, activation="gelu", training=True),
    }


def forward_of(functions: dict[str, Callable[..., Tensor]], *inputs: Tensor) -> Contenders:
    return {name: lambda function=function: function(*inputs) for name, function in functions.items()}


def backward_of(functions: dict[str, Callable[..., Tensor]], *inputs: Tensor) -> Contenders:
    return {name: backward(function, *inputs) for name, function in functions.items()}


def layer_modes(x: Tensor) -> Iterator[tuple[str, Contenders]]:
    """Yield calls of the layers on tensors that need a gradient, whose cost is Python's."""
    layers: dict[str, nn.Module] = {"PyTorch": nn.Dropout(P), "thinout": tnn.Dropout(P)}
    leaf = x.clone().requires_grad_()
    yield "layer, forward with autograd", {name: lambda layer=layer: layer(leaf) for name, layer in layers.items()}
    yield "layer, forward + backward", {name: backward(layer, x) for name, layer in layers.items()}


def fused_modes(x: Tensor) -> Iterator[tuple[str, Contenders]]:
    rows, bias = x.view(-1, FEATURES), torch.randn(FEATURES).to(x.dtype)
    residual = torch.randn_like(rows)
    check_fused(rows, residual, bias, P)
    forms = {
        "dropout + residual": (add_functions(), (rows, residual)),
        "bias + GELU + dropout": (gelu_functions(), (rows, bias)),
    }
    for name, (functions, inputs) in forms.items():
        yield f"{name}, forward", forward_of(functions, *inputs)
        if x.numel() < LARGE:
            yield f"{name}, forward + backward", backward_of(functions, *inputs)


def modes(x: Tensor, *, compiled: bool, flax: bool) -> Iterator[tuple[str, Contenders]]:
    """Yield what is timed on a flat tensor, after the check of its values."""
    for backend in ("cpu", "torch") if _cpu.library() else ("torch",):
        check_dropout(x, P, backend=backend)
    forward, both = forward_mode(x), both_mode(x)
    if compiled:
        forward["PyTorch compiled"] = lambda: compiled_dropout()(x)
        both["PyTorch compiled"] = backward(compiled_dropout(), x)
    if flax:
        forward["Flax"] = flax_dropout(x)
    yield "forward", forward
    yield "forward + backward", both
    yield "in place", inplace_mode(x)
    if x.numel() <= 4 * KI:
        yield from layer_modes(x)
    if x.numel() >= 4 * KI and x.dtype in (torch.float32, torch.bfloat16):
        yield from fused_modes(x)


def run(options: argparse.Namespace, threads: int) -> Iterator[dict[str, Any]]:
    """Yield a row for each mode, dtype and size."""
    for dtype, sizes in DTYPES.items():
        for size in [size for size in sizes if size in options.sizes]:
            compiled = options.compile and threads == 1 and (dtype, size) == ("float32", MI)
            flax = options.flax and threads == os.cpu_count()  # XLA takes all cores
            x = torch.randn(size).to(getattr(torch, dtype))
            rounds = max(1, options.rounds // 3) if size >= LARGE else options.rounds
            for mode, contenders in modes(x, compiled=compiled, flax=flax):
                times = take_turns(contenders, rounds)
                where = {"mode": mode, "dtype": dtype, "size": size, "threads": threads, "rounds": rounds}
                yield where | times.record(PAIRS)


def show(row: dict[str, Any]) -> None:
    ratios = "  ".join(f"{ratio['over']} / {ratio['under']} {ratio['median']:.2f}" for ratio in row["ratios"])
    print(f"{row['threads']} {row['dtype']:>8} {row['size']:>10,} {row['mode']:<44} {ratios}", flush=True)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--sizes", type=int, nargs="+", choices=SIZES, default=SIZES)
    parser.add_argument("--compile", action="store_true", help="torch.compile PyTorch's dropout too, which takes long")
    return parser.parse_args(arguments)


def main() -> None:
    options = parse()
    options.flax = all(importlib.util.find_spec(name) for name in ("flax", "jax"))
    if not options.flax:
        print("bench_ops: Flax is not installed; it is not among the contenders.", file=sys.stderr)
    command = shlex.join(["python", f"benchmarks/{Path(__file__).name}", *sys.argv[1:]])
    measurement = Measurement(command, options.rounds)
    rows = []
    for threads in options.threads:
        with quiet(threads):
            for row in run(options, threads):
                show(row)
                rows.append(row)
    if options.out:
        measurement.write(options.out, p=P, flax=options.flax, compiled=options.compile, rows=rows)


if __name__ == "__main__":
    main()
