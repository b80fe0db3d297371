"""Deep multilayer perceptrons at their initial weights, and the norms of their gradients; C05 and C06 share them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from thinout.functional import dropout
from thinout.lab.claims._claim import Effect, Panel, Size, Unit
from thinout.lab.claims._evidence import Evidence

WIDTH, BATCH, CLASSES, MASKS, PARTS = 128, 64, 10, 4, 5
DEPTHS = (5, 10, 20, 35, 50)
P = 0.5
ARMS = {
    "none": "no dropout",
    "dropout": f"dropout with p = {P} on the input of every layer but the first",
    "scale": "no dropout, every weight but the first layer's and the last's times 1 / sqrt(1 - p): what the factor of "
    "dropout does to the scale of the weights, without its noise",
    "stochastic depth": "residual blocks of the same layers, each skipped with probability p",
    "residual": "the same residual blocks, none skipped",
    "layer norm": "layer normalisation before every layer but the first, no dropout",
}


class DeepNet(nn.Module):
    """Layers of equal width with one activation.

    Args:
        depth: linear layers.
        arm: a name of `ARMS`.
        activation: what follows every layer but the last.
        gain: standard deviation of a weight times the root of its fan-in.
    """

    def __init__(self, depth: int, arm: str, activation: str, gain: float) -> None:
        super().__init__()
        self.arm, self.activation = arm, torch.tanh if activation == "tanh" else torch.relu
        sizes = [WIDTH] * depth + [CLASSES]
        layers = [nn.Linear(*pair) for pair in pairwise(sizes)]
        self.layers = nn.ModuleList(layers)
        for index, layer in enumerate(layers):
            inner = arm == "scale" and 0 < index < depth - 1
            nn.init.normal_(layer.weight, std=gain / math.sqrt(WIDTH * (1 - P if inner else 1)))
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits (N, CLASSES), and the hidden states after the first layer and before the last."""
        *inner, last = self.layers
        first = x = self.activation(inner[0](x))
        for layer in inner[1:]:
            x = self._inner(layer, x)
        return last(dropout(x, P, training=self.arm == "dropout")), first, x

    def _inner(self, layer: nn.Module, x: Tensor) -> Tensor:
        if self.arm == "layer norm":
            return self.activation(layer(nn.functional.layer_norm(x, (WIDTH,))))
        if self.arm == "residual":
            return x + self.activation(layer(x))
        if self.arm == "stochastic depth":
            keep = torch.rand(()) >= P
            return x + self.activation(layer(x)) / (1 - P) if keep else x
        return self.activation(layer(dropout(x, P, training=self.arm == "dropout")))


def profile(evidence: Evidence, activation: str, depth: float) -> list[Effect]:
    """Return the norms of the gradients of all fifths of the layers, without dropout and with it."""
    return [
        Effect.of(
            f"{activation}, depth {depth:g}: log10 of the gradient's norm, {arm}, layers {part} of {PARTS}",
            evidence.mean(arm, f"{activation}: weights, part {part} of {PARTS}", depth),
        )
        for arm in ("none", "dropout")
        for part in range(1, PARTS + 1)
    ]


def panels(activations: Collection[str]) -> tuple[Panel, ...]:
    """Return the pictures over the depth: of the ratio, and of the gradient of the weights next to the input."""
    ratios = [
        Panel(
            title=f"{name}: gradient at the first hidden state over the last",
            value=name,
            what="log10 of the ratio",
            axis="depth",
        )
        for name in activations
    ]
    norms = [
        Panel(
            title=f"{name}: gradient of the weights of the first fifth of the layers",
            value=f"{name}: weights, part 1 of {PARTS}",
            what="log10 of the norm",
            axis="depth",
        )
        for name in activations
    ]
    return (*ratios, *norms)


def gradient_norms(unit: Unit, size: Size, gains: Mapping[str, float]) -> dict[str, float]:
    """Return log10 of the gradient's norm at the first hidden state over that at the last, for each activation.

    Beside it, as "tanh: weights, part 1 of 5" and so on, log10 of the norm of the gradient of the weights of each fifth
    of the layers, from the input on: the root of the mean square over its layers and over masks.

    The batch is Gaussian; masks are drawn `MASKS` times and the mean of the logarithms is taken: the gradient of a
    typical step. All arms of a seed start from the same draws of weights.
    """
    values = {}
    for activation, gain in gains.items():
        ratios, squares = [], []
        for mask in range(1 if size == "quick" or unit.arm not in ("dropout", "stochastic depth") else MASKS):
            torch.manual_seed(unit.seed)
            net = DeepNet(int(unit.x or 0), unit.arm, activation, gain)
            x, labels = torch.randn(BATCH, WIDTH), torch.randint(CLASSES, (BATCH,))
            torch.manual_seed(1_000_003 * (1 + mask) + unit.seed)
            logits, *states = net(x)
            weights = [layer.weight for layer in net.layers]
            first, last, *of_weights = torch.autograd.grad(
                cross_entropy(logits, labels), [*states, *weights], materialize_grads=True
            )
            ratios.append((first.double().norm() / last.double().norm()).item())
            squares.append(torch.stack([gradient.double().square().sum() for gradient in of_weights]))
        values[activation] = sum(math.log10(ratio) for ratio in ratios) / len(ratios)
        for part, layers in enumerate(torch.stack(squares).mean(0).tensor_split(PARTS), 1):
            if layers.any():  # a fifth of few layers can be skipped with every mask
                values[f"{activation}: weights, part {part} of {PARTS}"] = 0.5 * layers.mean().log10().item()
    return values
