"""How long claims take: seconds of a unit, as the published results took them."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from thinout.lab.claims._claim import Size, Unit
from thinout.lab.claims._registry import find

FILE = Path(__file__).parent / "times.json"


@functools.cache
def times() -> dict[str, Any]:
    """Return what ``scripts/make_claim_times.py`` wrote: size -> claim -> seconds of all its units and their number."""
    content: dict[str, Any] = json.loads(FILE.read_text()) if FILE.exists() else {}
    return content


def estimate(left: Mapping[str, Sequence[Unit]], size: Size, workers: int) -> tuple[float, list[str]]:
    """Return about how many seconds the units that are left take, and the claims of which that is not known."""
    known, total, unknown = times().get(size, {}), 0.0, []
    for claim, units in left.items():
        if units and claim not in known:
            unknown.append(claim)
        elif units:
            seconds = len(units) * known[claim]["seconds"] / known[claim]["num_units"]
            total += seconds if find(claim).is_timed else seconds / workers  # what is timed runs alone
    return total, unknown
