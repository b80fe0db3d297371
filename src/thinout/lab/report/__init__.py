"""The report of a study: one self-contained page, and the numbers behind it as CSV and JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thinout.lab.analysis import Analysis
from thinout.lab.report import files, html
from thinout.lab.rows import Row, write_atomically

__all__ = ["ReportPaths", "write_report"]


@dataclass(frozen=True)
class ReportPaths:
    """Where the three files of a report lie."""

    html: Path
    csv: Path
    json: Path


def write_report(
    folder: Path,
    analysis: Analysis,
    rows: Sequence[Row],
    study: Mapping[str, Any] | None = None,
) -> ReportPaths:
    """Write ``report.html``, ``results.csv`` and ``results.json`` of a study into a folder.

    The page needs neither network nor script. The same rows give the same bytes.

    Args:
        folder: where the files go; made if it is not there.
        analysis: of these rows.
        rows: all rows of the study, failed ones too.
        study: what else the page says, each part optional: ``title`` or ``case``, ``data_name`` or ``data``,
            ``class_names`` (one a class), ``command`` (a string, or a list of words). The JSON file keeps all of it.

    Returns:
        The paths of the three files.

    Example:
        >>> import tempfile
        >>> from thinout.lab.analysis import analyse
        >>> metrics = {part: {"nll": 0.5, "error": 0.1, "ece": 0.02} for part in ("train", "validation", "test")}
        >>> rows = [Row(arm="none", p=0.0, seed=0, status="done", metrics=metrics, best_epoch=2, num_epochs=9)]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     paths = write_report(Path(folder), analyse(rows), rows, {"case": "mlp"})
        ...     paths.csv.read_text().splitlines()[1][:15]
        'none,0.0,0,done'
    """
    study = study or {}
    paths = ReportPaths(folder / "report.html", folder / "results.csv", folder / "results.json")
    contents = {
        paths.html: html.render(analysis, rows, study),
        paths.csv: files.results_csv(rows),
        paths.json: files.results_json(analysis, rows, study),
    }
    for path, content in contents.items():
        write_atomically(path, content.encode())
    return paths
