"""Dropout of the weights of any module, recurrent ones too: one mask for a whole call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from thinout import functional as F
from thinout import ops
from thinout._checks import bad_type, bad_value, check_p
from thinout.functional._shared import is_off
from thinout.nn._rate import Rated, rate
from thinout.nn._registry import ErrorInput, LayerSpec, register

_LISTED = 30  # names that an error message shows


class WeightDrop(Rated):
    """Drop elements of named weights of a module, one mask for a whole call; see `thinout.functional.drop_weights`.

    In training a call runs the module with dropped copies of the weights (`torch.func.functional_call`). The weights
    themselves stay the module's parameters: they receive the gradients, which are zero where a weight is dropped. A
    recurrent layer has one mask for all time steps and examples of a call. In eval the module runs as it is.

    The keys of `state_dict` are those that the module has without the wrapper, so checkpoints pass between both;
    `named_parameters` shows the wrapper's ``module.`` before them. Attributes that the wrapper lacks are the module's.
    To end the dropping, take `module`.

    Args:
        module: the module; it is wrapped, not copied.
        names: names of its weights, such as "weight_hh_l0" or "encoder.weight"; one name or several.
        p: drop probability of an element, in [0, 1]. 1 makes the weights zero.

    Shape:
        Those of the module, whose arguments are passed on, packed sequences too.

    Raises:
        ValueError: p outside [0, 1]; a name that no parameter has; a weight that is parametrized, or dropped already.
        TypeError: the module is none.

    Example:
        >>> lstm = WeightDrop(torch.nn.LSTM(10, 20), "weight_hh_l0", p=0.5)
        >>> output, (hidden, cell) = lstm(torch.randn(7, 3, 10))
        >>> output.shape
        torch.Size([7, 3, 20])
        >>> list(lstm.state_dict())
        ['weight_ih_l0', 'weight_hh_l0', 'bias_ih_l0', 'bias_hh_l0']

    Source: Merity, Keskar, Socher 2018, "Regularizing and optimizing LSTM language models", ICLR, arXiv 1708.02182.
    """

    def __init__(self, module: nn.Module, names: str | Sequence[str], p: float = 0.5) -> None:
        super().__init__()
        self.p = check_p("WeightDrop", p)
        self.names = _check_names(module, (names,) if isinstance(names, str) else tuple(names))
        self.module = module
        self.register_state_dict_post_hook(_remove_prefix)

    def dropped_weights(
        self, *, key: Tensor | int | None = None, generator: torch.Generator | None = None, offset: int = 0
    ) -> dict[str, Tensor]:
        """Return the weights of one call, by name; for callers that keep their own key.

        They go into ``torch.func.functional_call(layer.module, layer.dropped_weights(key=5), inputs)``.
        """
        weights = {name: getattr(*_owner(self.module, name)) for name in self.names}
        return F.drop_weights(weights, rate(self), training=self.training, key=key, generator=generator, offset=offset)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the module with its arguments, in training mode with dropped weights."""
        if is_off(rate(self), self.training):
            return self.module(*args, **kwargs)
        # tie_weights=False: a weight that the module has under two names is dropped where it is named.
        output = torch.func.functional_call(self.module, self.dropped_weights(), args, kwargs, tie_weights=False)
        for name in self.names:
            owner, own_name = _owner(self.module, name)
            weight = getattr(owner, own_name)
            if isinstance(owner, nn.RNNBase) and isinstance(weight, nn.Parameter):
                setattr(owner, own_name, weight)  # it keeps a second list of its weights, and renews it at this
        return output

    def __getattr__(self, name: str) -> Any:
        """Find what the wrapper lacks in the module, as code that walks along the keys of a state dict needs."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "module":
                raise
            return getattr(self.module, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Hand on what is the module's: `torch.func.functional_call` may use the keys of a state dict."""
        module = self.__dict__.get("_modules", {}).get("module")
        if module is None or (name not in module._parameters and name not in module._buffers):
            super().__setattr__(name, value)
        elif isinstance(value, nn.Parameter) or name in module._buffers:
            setattr(module, name, value)
        else:
            module._parameters[name] = value

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for key in [key for key in state_dict if key.startswith(prefix)]:
            state_dict[f"{prefix}module.{key[len(prefix) :]}"] = state_dict.pop(key)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def extra_repr(self) -> str:
        """Return the arguments of the constructor but the module."""
        return f"names={self.names}, p={self.p}"


def _remove_prefix(wrapper: nn.Module, state_dict: dict[str, Any], prefix: str, metadata: object) -> None:
    own = f"{prefix}module."
    for key in [key for key in state_dict if key.startswith(own)]:
        state_dict[prefix + key[len(own) :]] = state_dict.pop(key)


def _owner(module: nn.Module, name: str) -> tuple[nn.Module, str]:
    """Return the submodule that has a parameter, and the parameter's name there."""
    path, _, own_name = name.rpartition(".")
    return module.get_submodule(path), own_name


def _check_names(module: nn.Module, names: tuple[str, ...]) -> tuple[str, ...]:
    where = "WeightDrop"
    if not isinstance(module, nn.Module):
        bad_type(where, "module", "a torch.nn.Module", repr(type(module).__name__))
    wrapped = _already_dropped(module)
    parameters = dict(module.named_parameters(remove_duplicate=False))
    known = [name for name in parameters if parameters[name].is_floating_point()]
    listed = ", ".join(known[:_LISTED]) + (f" and {len(known) - _LISTED} more" if len(known) > _LISTED else "")
    if not names or len(set(names)) < len(names):
        bad_value(where, "names", "one or more names, each once", names)
    for name in names:
        path = f".{name}".rpartition(".")[0].partition(".parametrizations")[0].removeprefix(".")
        owner = dict(module.named_modules()).get(path)
        if owner is not None and parametrize.is_parametrized(owner):
            remedy = "Call torch.nn.utils.parametrize.remove_parametrizations, or let the parametrization drop."
            bad_value(where, "names", "weights of modules without parametrizations", repr(name), remedy)
        if name not in known:
            bad_value(where, "names", "out of " + listed, repr(name))
        if _owner(module, name) in wrapped:
            bad_value(where, "names", "weights that no WeightDrop drops already", repr(name), "Wrap a module once.")
    return names


def _already_dropped(module: nn.Module) -> list[tuple[nn.Module, str]]:
    wrappers = [inner for inner in module.modules() if isinstance(inner, WeightDrop)]
    return [_owner(wrapper.module, name) for wrapper in wrappers for name in wrapper.names]


def _example() -> nn.Linear:
    """Return a layer with fixed weights; an import must not draw from torch's default generator."""
    layer = nn.Linear(5, 6, device="meta").to_empty(device="cpu")
    with torch.no_grad():
        layer.weight.copy_(torch.linspace(-1, 1, 30).view(6, 5))
        layer.bias.copy_(torch.linspace(0, 1, 6))
    return layer


def _reference(wrapper: WeightDrop, x: Tensor) -> Tensor:
    weight = ops.dropout(wrapper.get_parameter("module.weight"), ops.draw_key(), wrapper.p, backend="reference")
    return (x.unsqueeze(1) * weight).sum(-1) + wrapper.get_parameter("module.bias")


_EXAMPLE: Mapping[str, Any] = {"module": _example(), "names": ("weight",)}

register(
    LayerSpec(
        layer=WeightDrop,
        arguments={**_EXAMPLE, "p": 0.3},
        shape=(3, 5),
        reference=_reference,
        evaluate=lambda wrapper, x: wrapper.module(x),
        full=lambda wrapper, x: wrapper.module.bias.expand(3, 6),
        selects=False,
        tolerance=1e-6,
        errors=(
            ErrorInput(
                error=ValueError, match=r"`p` must be a number in \[0, 1\], got 2", arguments={**_EXAMPLE, "p": 2}
            ),
            ErrorInput(
                error=ValueError,
                match="`names` must be out of weight, bias, got 'weight_hh_l0'",
                arguments={**_EXAMPLE, "names": "weight_hh_l0"},
            ),
            ErrorInput(
                error=ValueError, match="`names` must be one or more names", arguments={**_EXAMPLE, "names": ()}
            ),
            ErrorInput(
                error=ValueError,
                match=r"`names` must be one or more names, each once, got \('bias', 'bias'\)",
                arguments={**_EXAMPLE, "names": ("bias", "bias")},
            ),
            ErrorInput(
                error=TypeError,
                match="`module` must be a torch.nn.Module, got 'int'",
                arguments={"module": 3, "names": "weight"},
            ),
        ),
        exceptions={
            "factory": "its parameters are those of the module that it is given",
            "repr": "the module is shown as a child, as torch's containers show theirs",
        },
    )
)
