"""From a name to a case: a built-in one, or ``module:function`` of the user."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

from thinout._checks import ThinoutError, UsageError, bad_usage
from thinout.lab.case import Case
from thinout.lab.cases import _alexnet, _driving, _lenet5, _lenet5_1998, _mlp, _series, _tables

_BUILT_IN: dict[str, Callable[[str | None], Case]] = {
    "alexnet": _alexnet.make_case,
    "alexnet-64": _alexnet.make_small,
    "alexnet-128": _alexnet.make_128,
    "alexnet-2012": _alexnet.make_2012,
    "alexnet-torchvision": _alexnet.make_torchvision,
    "driving": _driving.make_case,
    "health": _tables.make_health,
    "imbalanced": _tables.make_imbalanced,
    "lenet5": _lenet5.make_case,
    "lenet5-1998": _lenet5_1998.make_case,
    "mlp": _mlp.make_case,
    "mlp-2x4096": _mlp.make_wide,
    "mlp-deepnet": _mlp.make_uneven,
    "series": _series.make_case,
    "uci": _tables.make_uci,
    "video": _driving.make_video,
    "video-locked": _driving.make_locked_video,
}
"""A built-in case is one file with `make_case(data)`, and one line here."""


def names() -> list[str]:
    """Return the names of the built-in cases."""
    return sorted(_BUILT_IN)


def resolve(spec: str, data: str | None = None) -> Case:
    """Return a case by its name.

    Args:
        spec: name of a built-in case, or ``module:function`` of a function without arguments that returns a `Case`.
            The module is looked for in the working folder first.
        data: name of a data set for a built-in case, or None for its default.

    Raises:
        UsageError: there is no such case, module, function or data set, or the function raises or returns another
            thing than a case.

    Example:
        >>> resolve("lenet5-1998").data_name
        'fashion-mnist-small'
    """
    if ":" in spec:
        return _resolve_own(spec, data)
    if spec not in _BUILT_IN:
        nearest = difflib.get_close_matches(spec, _BUILT_IN, n=1)
        hint = f"Did you mean {nearest[0]}? " if nearest else ""
        remedy = f"{hint}A case of your own is module:function."
        bad_usage("resolve", "case", "one of " + ", ".join(names()), repr(spec), remedy)
    return _BUILT_IN[spec](data)


def _resolve_own(spec: str, data: str | None) -> Case:
    if data is not None:
        bad_usage("resolve", "data", f"left out for the case {spec}, which brings its own", repr(data))
    factory = _import(spec)
    try:
        case = factory()
    except ThinoutError:
        raise
    except (Exception, SystemExit) as error:
        # The user's function may raise anything; its traceback stays reachable as the cause.
        raise UsageError(f"resolve: {spec} raised {type(error).__name__}: {error}. Mend the function.") from error
    if not isinstance(case, Case):
        bad_usage("resolve", spec, "a function that returns a thinout.lab.case.Case", repr(case))
    return case


def _import(spec: str) -> Callable[[], Any]:
    module_name, _, function_name = spec.partition(":")
    if (folder := os.getcwd()) not in sys.path:
        sys.path.insert(0, folder)  # to stay: model and data may import more when they are called
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        # Importing runs the user's code, which may raise anything.
        raise UsageError(
            f"resolve: the module of {spec} cannot be imported ({type(error).__name__}: {error}). "
            "Run the command in the folder of the module, and mend what it names."
        ) from error
    factory = getattr(module, function_name, None)
    if not callable(factory):
        bad_usage("resolve", "case", f"module:function with a function of {module_name}", repr(spec))
    return factory  # type: ignore[no-any-return]  # callable() of an Any stays Any
