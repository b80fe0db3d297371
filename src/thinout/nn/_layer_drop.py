"""LayerDrop: layers of a stack that are left out."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from thinout import ops
from thinout._checks import bad_value, check_choice, check_p
from thinout.functional._layer_drop import RULES, draw_layers, layer_drop, layer_rates
from thinout.nn._rate import Rated, rate
from thinout.nn._registry import ErrorInput, LayerSpec, register


class LayerDrop(Rated, nn.ModuleList):
    """A list of layers that applies them one after another, and leaves each out with a probability.

    It is a `torch.nn.ModuleList`: the same keys in the state dict, the same length and iteration, which always goes
    over all layers. Call it, or loop over `survivors`, to drop; see `thinout.functional.layer_drop`.

    In data-parallel training layers that are left out have no gradient in that step. Either keep the default, where all
    processes leave out the same layers (rank 0 draws; one message a call), and pass ``find_unused_parameters=True`` to
    DDP. Or pass ``skip=False``, which computes every layer and selects: needed for DDP without that option and for FSDP
    that must see every layer. Without a message at all, give every process the same ``key=`` for each step.

    Args:
        layers: modules whose outputs have the shape of their inputs.
        p: drop probability in [0, 1]; settable at any time.
        rule: "constant", or "linear": layer l of L has the rate l/L p.
        skip: whether a layer that is dropped is not called.
        sync: whether the processes of an initialised `torch.distributed` decide alike where layers are not called.

    Shape:
        Any; the output is like the input.

    Raises:
        ValueError: p outside [0, 1], another rule, or a layer that changes the shape.
        TypeError: p is not a number, or a layer is not a module.

    Example:
        >>> layers = LayerDrop([nn.Linear(4, 4) for _ in range(6)], p=0.2)
        >>> layers(torch.ones(2, 4)).shape
        torch.Size([2, 4])
        >>> len(layers.prune(p=0.5))  # every other layer
        3

    Source: Fan, Grave, Joulin 2020, ICLR, arXiv 1909.11556.
    """

    def __init__(
        self,
        layers: Iterable[nn.Module] = (),
        p: float = 0.2,
        *,
        rule: str = "constant",
        skip: bool = True,
        sync: bool = True,
    ) -> None:
        super().__init__(layers)
        self.p = p
        self.rule = check_choice(type(self).__name__, "rule", rule, RULES)
        self.skip, self.sync = skip, sync

    @property
    def rates(self) -> list[float]:
        """The drop probability of each layer."""
        return [float(p) for p in layer_rates(type(self).__name__, self.p, len(self), self.rule)]

    def forward(
        self,
        input: Tensor,
        *,
        key: Tensor | int | None = None,
        generator: torch.Generator | None = None,
        offset: int = 0,
        **arguments: Any,
    ) -> Tensor:
        """Apply the layers, in training mode those that survive; other keyword arguments go to every layer."""
        return layer_drop(
            input,
            [functools.partial(layer, **arguments) if arguments else layer for layer in self],
            p=rate(self),
            rule=self.rule,
            skip=self.skip,
            sync=self.sync,
            training=self.training,
            key=key,
            generator=generator,
            offset=offset,
        )

    def survivors(
        self, *, key: Tensor | int | None = None, generator: torch.Generator | None = None, offset: int = 0
    ) -> Iterator[nn.Module]:
        """Yield the layers to run now, in eager code, for a loop of your own over layers that take and give more.

        In eval mode these are all layers. With the same key they are those that a call would run.
        """
        if not self.training or self.p == 0:
            return iter(self)
        device = next((parameter.device for parameter in self.parameters()), torch.device("cpu"))
        kept, asked = draw_layers(
            type(self).__name__, len(self), self.p, self.rule, True, self.sync, key, generator, offset, device
        )
        if not asked:
            raise RuntimeError("LayerDrop.survivors: a compiled graph or vmap cannot ask who survives. Call the layer.")
        return (layer for layer, keep in zip(self, kept.tolist(), strict=True) if keep)

    def prune(self, p: float = 0.5) -> LayerDrop:
        r"""Return a list without every :math:`\lfloor 1/p \rfloor`-th layer, for a smaller network at test time.

        Layers count from 1, so that p = 0.5 keeps the layers with indices 0, 2, 4, ... The layers are shared with this
        list.

        Args:
            p: share of the layers to leave out, in (0, 0.5].

        Raises:
            ValueError: p outside (0, 0.5]: above, the rule of the paper would leave out every layer.
        """
        p = check_p(f"{type(self).__name__}.prune", p)
        if not 0 < p <= 0.5:
            remedy = "Choose the layers to keep yourself: LayerDrop([layers[i] for i in ...])."
            bad_value(f"{type(self).__name__}.prune", "p", "a number in (0, 0.5]", p, remedy)
        every = math.floor(1 / p)
        return self._like(layer for number, layer in enumerate(self, start=1) if number % every)

    def __getitem__(self, index: Any) -> Any:
        """Return a layer, or for a slice a list of layers with the same settings."""
        return self._like(list(self)[index]) if isinstance(index, slice) else super().__getitem__(index)

    def _like(self, layers: Iterable[nn.Module]) -> LayerDrop:
        other = type(self)(layers, self.p, rule=self.rule, skip=self.skip, sync=self.sync)
        other.training = self.training  # train() would reach into the layers
        return other

    def __repr__(self) -> str:
        """Return the settings and the layers, equal ones in one line as `torch.nn.ModuleList` has them."""
        name, _, layers = super().__repr__().partition("(")
        return f"{name}({self.extra_repr()})" if len(self) == 0 else f"{name}(\n  {self.extra_repr()}{layers}"

    def extra_repr(self) -> str:
        """Return the arguments of the constructor but the layers."""
        return f"p={self.p}, rule={self.rule!r}, skip={self.skip}, sync={self.sync}"


def _reference(module: LayerDrop, x: Tensor) -> Tensor:
    kept = ops.dropout_mask((len(module),), ops.draw_key(), module.p, backend="reference")
    for layer, keep in zip(module, kept, strict=True):
        x = layer(x) if keep else x
    return x


def _evaluate(module: LayerDrop, x: Tensor) -> Tensor:
    y: Tensor = nn.Sequential(*module)(x)
    return y


# Layers whose parameters are made without a random number, since they are made when this file is imported.
_LAYERS = [nn.LayerNorm(4), nn.Tanh(), nn.PReLU(), nn.Softplus(), nn.Sigmoid(), nn.ELU()]

register(
    LayerSpec(
        layer=LayerDrop,
        arguments={"layers": _LAYERS, "p": 0.4},
        shape=(5, 4),
        reference=_reference,
        evaluate=_evaluate,
        full=lambda module, x: x,
        selects=False,
        errors=(
            ErrorInput(error=ValueError, match=r"`p` must be a number in \[0, 1\], got", arguments={"p": 1.5}),
            ErrorInput(error=ValueError, match=r"`p` must be", arguments={"layers": _LAYERS, "p": float("nan")}),
            ErrorInput(error=ValueError, match="`rule` must be one of", arguments={"rule": "quadratic"}),
            ErrorInput(
                error=ValueError,
                match="`output of a layer` must be of the shape of its input",
                arguments={"layers": [nn.Flatten(0)], "p": 0.0},
                input=torch.ones(2, 3),
            ),
            ErrorInput(
                error=TypeError,
                match="`input` must be a floating-point tensor",
                input=torch.ones(3, 4, dtype=torch.int64),
            ),
        ),
        exceptions={
            "repr": "as with every container, the repr lists the modules that it holds",
            "factory": "its parameters are those of the layers that it is given",
            "ddp": "a layer that is left out has no gradient; tested with `find_unused_parameters` and `skip=False`",
        },
    )
)
