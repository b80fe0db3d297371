"""The tables of a report and the two files beside it: results.csv and results.json."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thinout.lab.analysis import METRICS, Analysis, ArmResult
from thinout.lab.report._text import MISSING, clean, decimals, factor, interval, number, plural, title, unit
from thinout.lab.rows import Row

PARTS = ("train", "validation", "test")
PART_METRICS = ("nll", "error", "ece")
PROVENANCE_SHOWN = ("started", "torch", "thinout", "git_revision")


@dataclass(frozen=True)
class Cell:
    """One cell: its text, a smaller line under it, and a CSS class."""

    text: str
    sub: str = ""
    style: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table for the page; `label` names its scroll box, `summary` what stands on it while it is folded."""

    label: str
    header: Sequence[Cell]
    lines: Sequence[Sequence[Cell]]
    summary: str = ""
