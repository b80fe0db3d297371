"""The laboratory: real data, cases, training, studies and their reports (needs the extra `thinout[lab]`)."""

from __future__ import annotations

from importlib.util import find_spec


def need(package: str) -> None:
    """Raise ModuleNotFoundError, with what to install, where a package of the extra `lab` is missing."""
    if find_spec(package) is None:
        text = f"thinout.lab needs {package}. Install it with: pip install 'thinout[lab]'"
        raise ModuleNotFoundError(text, name=package)


need("numpy")  # everything here does; what only some parts need is imported where it is used
