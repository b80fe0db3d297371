"""What dropout keeps for the backward pass, and the peak memory of a training step, PyTorch's layers and thinout's.

    python benchmarks/bench_memory.py --out docs/results/bench/memory.json

Kept bytes are counted by autograd's hooks on saved tensors, each storage once, parameters and the caller's own tensors
left out. The peak is the largest resident memory of a fresh process during one step, above that before the step; it
needs Linux, which counts it. In these processes the C library returns freed tensors to the system at once, so that the
peak is that of live tensors and not of what an allocator keeps for later.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import statistics
import subprocess
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

import thinout.nn as tnn
from thinout.lab.bench import Measurement

CALL_SIZES = (64, 1 << 12, 1 << 16, 1 << 20, 1 << 24)
LAYERS: dict[str, Callable[[float], nn.Module]] = {"PyTorch": nn.Dropout, "thinout": tnn.Dropout}
P, WIDTH, BATCH = 0.1, 1024, 2048
DIM, HEADS, LENGTH, SAMPLES = 256, 4, 256, 16
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
KIB = 1024
RETURN_AT_ONCE = {"MALLOC_MMAP_THRESHOLD_": "65536"}  # bytes from which glibc gives each block pages of its own


class Attention(nn.Module):
    """Self-attention written out, with dropout on the weights and on the output."""

    def __init__(self, layer: Callable[[float], nn.Module]) -> None:
        super().__init__()
        self.project, self.merge = nn.Linear(DIM, 3 * DIM), nn.Linear(DIM, DIM)
        self.drop_weights, self.drop_output = layer(P), layer(P)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output, shaped as its input."""
        q, k, v = self.project(x).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        weights = self.drop_weights((q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(-1))
        heads: Tensor = weights @ v
        return x + self.drop_output(self.merge(heads.transpose(1, 2).flatten(2)))


def mlp(layer: Callable[[float], nn.Module]) -> nn.Module:
    return nn.Sequential(*(module for _ in range(4) for module in (nn.Linear(WIDTH, WIDTH), nn.ReLU(), layer(P))))


MODELS: dict[str, tuple[Callable[..., nn.Module], tuple[int, ...]]] = {
    "4-layer MLP": (mlp, (BATCH, WIDTH)),
    "attention block": (Attention, (SAMPLES, LENGTH, DIM)),
}


def kept_bytes(function: Callable[[], Tensor], known: Collection[Tensor]) -> int:
    """Return the bytes that autograd keeps for the backward pass of a function, beside the known tensors."""
    own = {tensor.untyped_storage().data_ptr() for tensor in known}
    storages: dict[int, int] = {}
    held = []

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage.nbytes()
        held.append(tensor.detach())  # keeps the memory, so that no later tensor has the same address
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        function()
    return sum(storages.values())


def call_bytes(layer: nn.Module, size: int) -> int:
    x = torch.randn(size, requires_grad=True)
    return kept_bytes(lambda: layer(x), [x])


def memory(field: str) -> int:
    """Return a field of this process's status in bytes: VmRSS is the resident memory, VmHWM its peak."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field + ":"))
    return KIB * int(line.split()[1])


def peak_bytes(step: Callable[[], object]) -> int | None:
    if not STATUS.exists():
        return None
    RESET.write_text("5")  # Linux: the peak starts again from the memory in use
    before = memory("VmRSS")
    step()
    return memory("VmHWM") - before


def measure_model(model_name: str, layer_name: str) -> dict[str, int | None]:
    """Return kept and peak bytes of one training step; to be called in a process of its own."""
    make, shape = MODELS[model_name]
    model = make(LAYERS[layer_name])
    model(torch.randn(1, *shape[1:])).sum().backward()  # loads code and makes the gradients of the parameters
    x = torch.randn(shape)
    peak = peak_bytes(lambda: model(x).sum().backward())
    return {"kept_bytes": kept_bytes(lambda: model(x), [x, *model.parameters()]), "peak_bytes": peak}


def fresh(model_name: str, layer_name: str, rounds: int) -> dict[str, Any]:
    """Return the medians over fresh processes."""
    command = [sys.executable, __file__, "--measure", model_name, layer_name]
    environment = os.environ | RETURN_AT_ONCE
    runs = [
        json.loads(subprocess.run(command, check=True, capture_output=True, env=environment).stdout)
        for _ in range(rounds)
    ]
    medians: dict[str, Any] = {
        name: None if runs[0][name] is None else statistics.median_low(run[name] for run in runs) for name in runs[0]
    }
    return {"model": model_name, "layers": layer_name, **medians}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    parser.add_argument("--rounds", type=int, default=3, help="fresh processes for each model and layer")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure_model(*options.measure)))
        return
    measurement = Measurement(
        shlex.join(["python", f"benchmarks/{Path(__file__).name}", *sys.argv[1:]]), options.rounds
    )
    calls = [
        {"size": size, "layers": name, "kept_bytes": call_bytes(layer(P), size)}
        for size in CALL_SIZES
        for name, layer in LAYERS.items()
    ]
    models = [fresh(model, layer, options.rounds) for model in MODELS for layer in LAYERS]
    for row in (*calls, *models):
        print(*(f"{name} {value}" for name, value in row.items()), sep="  ")
    if options.out:
        measurement.write(options.out, p=P, calls=calls, models=models)


if __name__ == "__main__":
    main()
