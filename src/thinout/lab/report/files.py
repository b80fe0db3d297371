"""The files beside the page: results.csv (one line a run) and results.json (analysis and rows without arrays)."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from thinout.lab.analysis import Analysis
from thinout.lab.rows import Row, finite

PLAIN = ("arm", "p", "seed", "status", "reason", "best_epoch", "num_epochs", "seconds")
FORMAT = 1


def results_csv(rows: Sequence[Row]) -> str:
    """Return one line a run; what a run does not have is empty."""
    lines = [_flat(row) for row in rows]
    others = sorted({name for line in lines for name in line} - set(PLAIN))
    content = io.StringIO()
    writer = csv.DictWriter(content, [*PLAIN, *others], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return content.getvalue()


def results_json(analysis: Analysis, rows: Sequence[Row], study: Mapping[str, Any]) -> str:
    """Return the study, its analysis and its rows without their arrays; what is not a finite number is null."""
    content = {
        "format": FORMAT,
        "study": dict(study),
        "analysis": analysis.to_dict(),
        "rows": [_without_arrays(row) for row in rows],
    }
    return json.dumps(finite(content), indent=1, sort_keys=True, allow_nan=False, default=str) + "\n"


def _flat(row: Row) -> dict[str, Any]:
    line: dict[str, Any] = {name: getattr(row, name) for name in PLAIN}
    line |= {f"{part}_{name}": value for part, values in row.metrics.items() for name, value in values.items()}
    line |= {f"recipe_{name}": value for name, value in dict(row.config.get("recipe") or {}).items()}
    line |= {f"fingerprint_{name}": value for name, value in row.fingerprints.items()}
    line |= {f"provenance_{name}": value for name, value in row.provenance.items()}
    if {"train", "test"} <= row.metrics.keys():
        line["gap"] = row.value("gap")
    return line


def _without_arrays(row: Row) -> dict[str, Any]:
    content = dataclasses.asdict(dataclasses.replace(row, arrays={}))
    del content["arrays"]
    return content
