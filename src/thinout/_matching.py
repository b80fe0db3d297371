"""Layers of a model, by patterns of their names or by their types."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase

from torch import nn

from thinout._checks import bad_type, bad_value

Match = str | type[nn.Module] | Iterable[str | type[nn.Module]]
"""A pattern of dotted names (``"encoder.*.drop"``, where ``*`` spans dots too), a type of layer, or several of them."""

_SHOWN = 8


def entries(where: str, name: str, match: Match) -> list[str | type[nn.Module]]:
    """Return a match as a list, or raise."""
    listed = [match] if isinstance(match, (str, type)) else list(match)
    for entry in listed:
        if not isinstance(entry, str) and not (isinstance(entry, type) and issubclass(entry, nn.Module)):
            bad_type(where, name, "patterns of names or types of layers", repr(entry))
    return listed


def find_layers(
    where: str,
    model: nn.Module,
    match: Match | None,
    *,
    name: str = "match",
    known: Callable[[nn.Module], bool],
    usable: Callable[[nn.Module], bool],
) -> dict[str, nn.Module]:
    """Return the layers that a match means, by the first of their names and in the order of the model.

    A layer that stands at several places is one layer, and each of its names is compared with the patterns.

    Args:
        where: the caller, for its errors.
        model: network whose layers are looked at, itself among them.
        match: patterns and types; each must mean a layer. None means all known ones.
        name: what the caller calls the match.
        known: whether a layer is of a kind that may be chosen by name.
        usable: whether a layer may be chosen by its type.

    Raises:
        ValueError: an entry means no layer.
        TypeError: the model is no module, or an entry is neither a pattern nor a type.
    """
    if not isinstance(model, nn.Module):
        bad_type(where, "model", "a torch.nn.Module", type(model).__name__)
    places: dict[nn.Module, list[str]] = {}
    for place, layer in model.named_modules(remove_duplicate=False):
        places.setdefault(layer, []).append(place)
    if match is None:
        return {names[0]: layer for layer, names in places.items() if known(layer)}
    chosen: set[nn.Module] = set()
    for entry in entries(where, name, match):
        if isinstance(entry, str):
            found = {x for x, names in places.items() if known(x) and any(fnmatchcase(n, entry) for n in names)}
        else:
            found = {x for x in places if isinstance(x, entry) and usable(x)}
        if not found:
            candidates = [names[0] for layer, names in places.items() if known(layer)]
            bad_value(where, name, "patterns or types that each mean a layer", _text(entry), _remedy(candidates))
        chosen |= found
    return {names[0]: layer for layer, names in places.items() if layer in chosen}


def _text(entry: str | type[nn.Module]) -> str:
    return repr(entry) if isinstance(entry, str) else entry.__name__


def _remedy(candidates: list[str]) -> str:
    if not candidates:
        return "The model has no layer that could be chosen by name."
    more = f" and {len(candidates) - _SHOWN} more" if len(candidates) > _SHOWN else ""
    return f"It could be one of {', '.join(map(repr, candidates[:_SHOWN]))}{more}."
