"""What was measured where, with what, and how busy the machine was."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from thinout.lab.training._provenance import now, provenance
from thinout.ops import _cpu


def load_average() -> float | None:
    """Return the mean number of busy processes over the last minute; None on systems that do not count them."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


@dataclass(frozen=True)
class Measurement:
    """The frame of a benchmark's result, opened before the first call is timed.

    Args:
        command: what a reader types to repeat it.
        rounds: how many turns each contender has.
    """

    command: str
    rounds: int
    _started: datetime = field(default_factory=now)
    _load: float | None = field(default_factory=load_average)

    def result(self, **content: Any) -> dict[str, Any]:
        """Return the content under its provenance."""
        frame = {
            **provenance(self._started),
            "isa": _cpu.isa() if _cpu.library() else None,
            "load_average_start": self._load,
            "load_average_end": load_average(),
            "rounds": self.rounds,
        }
        return {"command": self.command, "provenance": frame, **content}

    def write(self, path: Path, **content: Any) -> None:
        """Write the result as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(_rounded(self.result(**content)), indent=1) + "\n")


def _rounded(value: Any) -> Any:
    """Return a result whose floats have the five digits that a measurement can fill."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, Mapping):
        return {name: _rounded(item) for name, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value
