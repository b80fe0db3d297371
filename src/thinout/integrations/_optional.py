"""Base classes from libraries that may be missing."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def find_base(name: str, *modules: str) -> Any:
    """Return the class of a name from the first of the modules whose library is installed, or `object`."""
    for module in modules:
        library = module.partition(".")[0]
        try:
            import_module(library)
        except ModuleNotFoundError as error:
            if error.name != library:  # the library is there, and lacks something
                raise
        else:
            return getattr(import_module(module), name)
    return object


def need_base(base: type, where: str, library: str) -> None:
    """Raise ModuleNotFoundError, with what to install, where the base class was missing."""
    if base is object:
        raise ModuleNotFoundError(f"{where} needs {library}. Install it with: pip install {library}", name=library)
