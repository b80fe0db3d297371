"""What a trained network predicts and how its units respond, in eval mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from thinout.lab.training._batches import EVALUATION_BATCH, Examples, load_batches, num_examples

_ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid)


def predict(model: nn.Module, dataset: Examples, indices: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return outputs and targets of a data set, or of some of its examples, on the CPU."""
    if indices is None:
        indices = torch.arange(num_examples(dataset))
    device = next((weight.device for weight in model.parameters()), torch.device("cpu"))
    outputs, targets = [], []
    with evaluating(model):
        for inputs, wanted in load_batches(dataset, torch.split(indices, EVALUATION_BATCH), device):
            outputs.append(model(inputs).float().cpu())
            targets.append(wanted.cpu())
    return torch.cat(outputs), torch.cat(targets)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Run a block in eval mode without gradients; the mode of every module comes back."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def watch_activations(model: nn.Module) -> Iterator[list[dict[str, Any]]]:
    """Collect, while the block runs, the share of exact zeros and the mean after each activation module.

    The list is filled when the block ends: one dict with ``name``, ``zero_share`` and ``mean`` a module that ran.
    """
    sums: dict[str, Tensor] = {}
    handles = [
        module.register_forward_hook(_adder(name, sums))
        for name, module in model.named_modules()
        if isinstance(module, _ACTIVATIONS)
    ]
    sites: list[dict[str, Any]] = []
    try:
        yield sites
    finally:
        for handle in handles:
            handle.remove()
    for name, values in sums.items():
        zeros, total, count = values.tolist()
        sites.append({"name": name, "zero_share": zeros / count, "mean": total / count})


def first_filters(model: nn.Module) -> Tensor | None:
    """Return the filters (C, h, w) of the first 2-d convolution, averaged over input channels, float32, or None."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            return module.weight.detach().float().mean(1).cpu()  # NumPy does not know bfloat16
    return None


def _adder(name: str, sums: dict[str, Tensor]) -> Any:
    def add(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        counts = [float((output == 0).sum()), float(output.float().sum()), float(output.numel())]
        sums[name] = sums.get(name, 0) + torch.tensor(counts, dtype=torch.float64)

    return add
