"""A bound on the norm of each unit's incoming weights."""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils.hooks import RemovableHandle

from thinout._checks import bad_type, bad_value, check_positive
from thinout._matching import Match, find_layers
from thinout.companions._units import TRANSPOSED, units

_Target = TypeVar("_Target", nn.Module, Tensor)
_CONSTRAINED = (nn.Linear, nn.Bilinear, nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED)


def max_norm_(target: _Target, c: float, *, dim: int | None = None) -> _Target:
    r"""Scale the incoming weights of each unit back into a ball of radius c, in place.

    .. math:: w_j \leftarrow w_j \min(1, c / \Vert w_j \Vert_2)

    The incoming weights of a unit are a row of a linear layer's weight (out, in) or a filter of a convolution (out, in,
    ...): all dimensions but 0. A transposed convolution keeps them in (in, out, ...), group by group. Biases are left
    alone, and so, bit for bit, are weights inside of the ball. The optimiser's momentum is not projected. `MaxNorm`
    does this after every step.

    Args:
        target: a weight, or a network whose linear, bilinear and convolutional layers are constrained where they are
            trained (``weight.requires_grad``).
        c: largest L2 norm. A bound of the classic, non-inverted dropout becomes ``(1 - p) * c`` here, see
            `classic_to_inverted`. Hinton et al. 2012 bound the *square* of the norm.
        dim: dimension of the weights along which the units lie; by default 0, or what the layer is known to have.

    Returns:
        The target.

    Raises:
        ValueError: c is not positive, a network has no layer to constrain, or a weight has no such dimension.
        TypeError: a weight is computed from others (weight norm, a parametrization) and cannot be set.

    Example:
        >>> max_norm_(torch.tensor([[3.0, 4.0], [0.3, 0.4]]), 1.0)
        tensor([[0.6000, 0.8000],
                [0.3000, 0.4000]])

    Source: Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov 2014, JMLR 15:1929-1958, section 5.1.
    """
    c = check_positive("max_norm_", "c", c)
    if isinstance(target, nn.Module):
        layers = find_layers("max_norm_", target, None, known=_is_constrained, usable=_is_constrained)
        if not layers:
            _bad_network("max_norm_", "target")
        for name, layer in layers.items():
            _constrain("max_norm_", name, layer, c, dim)
    elif isinstance(target, Tensor):
        _renorm("max_norm_", target, c, 0 if dim is None else dim)
    else:
        bad_type("max_norm_", "target", "a torch.nn.Module or a tensor", type(target).__name__)
    return target


class MaxNorm:
    """Keep the incoming weights of each unit inside of a ball, after every step of an optimiser; see `max_norm_`.

    It stands beside the model and the optimiser and adds nothing to their state dicts.

    Args:
        model: the network.
        c: largest L2 norm.
        dim: dimension of the weights along which the units lie; by default 0, or what the layer is known to have.
        match: layers to constrain: patterns of their names such as ``"encoder.*"``, or types. By default all linear,
            bilinear and convolutional layers. A type is taken at its word: any layer of it with a ``weight``.
        frozen: layers to leave alone, in the same form.

    Raises:
        ValueError: c is not positive, a pattern or type means no layer, or nothing is left to constrain.
        TypeError: a weight is computed from others and cannot be set.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=10.0)
        >>> handle = MaxNorm(model, 1.0).attach(optimizer)
        >>> model(torch.randn(3, 4)).sum().backward()
        >>> optimizer.step()
        >>> bool((model[0].weight.norm(dim=1) <= 1 + 1e-6).all())
        True
        >>> handle.remove()

    Source: Srivastava et al. 2014, JMLR 15:1929-1958, section 5.1.
    """

    def __init__(
        self,
        model: nn.Module,
        c: float,
        *,
        dim: int | None = None,
        match: Match | None = None,
        frozen: Match = (),
    ) -> None:
        self.c = check_positive("MaxNorm", "c", c)
        self.dim = dim
        spared = find_layers("MaxNorm", model, frozen, name="frozen", known=_is_constrained, usable=_has_weight)
        found = find_layers("MaxNorm", model, match, known=_is_constrained, usable=_has_weight)
        self.layers = {name: layer for name, layer in found.items() if name not in spared}
        if not self.layers:
            _bad_network("MaxNorm", "model")
        for name, layer in self.layers.items():
            weight = _check_weight("MaxNorm", name, layer)
            if not is_lazy(weight) and weight.ndim < 2:
                allowed = "layers whose weight has two dimensions or more"
                bad_value("MaxNorm", "match", allowed, f"{name!r} of shape {tuple(weight.shape)}")

    def apply(self) -> None:
        """Constrain the weights now."""
        for name, layer in self.layers.items():
            _constrain("MaxNorm", name, layer, self.c, self.dim)

    def attach(self, optimizer: torch.optim.Optimizer) -> RemovableHandle:
        """Constrain the weights after every step of an optimiser.

        A step that `torch.amp.GradScaler` skips constrains nothing, having changed nothing. Several optimisers may be
        attached to.

        Returns:
            What takes the constraint off again: call its ``remove()``, or use it in a ``with``.
        """
        return optimizer.register_step_post_hook(self._after_step)

    def _after_step(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        self.apply()

    def __repr__(self) -> str:
        dim = "" if self.dim is None else f", dim={self.dim}"
        return f"MaxNorm({len(self.layers)} layers, c={self.c}{dim})"


def _bad_network(where: str, name: str) -> NoReturn:
    bad_value(where, name, "a network with layers to constrain", "none")


def _is_constrained(layer: nn.Module) -> bool:
    return isinstance(layer, _CONSTRAINED)


def _has_weight(layer: nn.Module) -> bool:
    return isinstance(getattr(layer, "weight", None), Tensor)


def _check_weight(where: str, name: str, layer: nn.Module) -> nn.Parameter:
    weight = layer.weight
    if not isinstance(weight, nn.Parameter):
        remedy = "Leave the layer out, and constrain the tensor that it is computed from."
        bad_type(where, f"{name}.weight".lstrip("."), "a parameter", "a tensor computed from others", remedy)
    return weight


@torch.no_grad()
def _constrain(where: str, name: str, layer: nn.Module, c: float, dim: int | None) -> None:
    weight = _check_weight(where, name, layer)
    if not weight.requires_grad:
        return
    if dim is None:
        for values, own in units(layer, weight):
            values.renorm_(2, own, c)
    else:
        _renorm(where, weight, c, dim)


@torch.no_grad()
def _renorm(where: str, weight: Tensor, c: float, dim: int) -> None:
    if weight.ndim < 2 or not -weight.ndim <= dim < weight.ndim:
        allowed = "a dimension of a tensor that has two or more"
        bad_value(where, "dim", allowed, f"{dim} of shape {tuple(weight.shape)}")
    if not weight.is_floating_point():
        bad_type(where, "target", "a floating-point tensor", str(weight.dtype))
    weight.renorm_(2, dim, c)
