"""All claims, in the order of their numbers; each is one file of this package."""

from __future__ import annotations

import difflib
import functools
import importlib
import pkgutil
from pathlib import Path

from thinout._checks import bad_usage
from thinout.lab.claims._claim import Claim


@functools.cache
def all_claims() -> tuple[Claim, ...]:
    """Return every claim: each file ``cNN_*.py`` of this package defines one as ``CLAIM``."""
    package = __name__.rpartition(".")[0]
    names = sorted(module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]))
    files = [name for name in names if name[0] == "c" and name[1:3].isdigit()]
    return tuple(importlib.import_module(f"{package}.{name}").CLAIM for name in files)


def find(name: str) -> Claim:
    """Return a claim by its id, in either case.

    Raises:
        UsageError: there is no such claim.

    Example:
        >>> find("c04").id
        'C04'
    """
    ids = {claim.id: claim for claim in all_claims()}
    if name.upper() not in ids:
        letter, number = name[:1].upper(), name[1:]
        near = difflib.get_close_matches(letter + number.zfill(2), ids, n=1)
        bad_usage("claims", "claim", "one of " + ", ".join(ids), repr(name), f"Did you mean {near[0]}?" if near else "")
    return ids[name.upper()]
