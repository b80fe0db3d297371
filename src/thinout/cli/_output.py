"""Where the command line prints: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from thinout.lab.rows import finite

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def problem(sentence: str) -> None:
    """Print what went wrong."""
    err.print(Text("thinout: ", style="bold red"), Text(sentence), sep="", soft_wrap=True)


def note(sentence: str) -> None:
    """Print what the user should know, beside the result."""
    err.print(Text(sentence, style="dim"), soft_wrap=True)


def print_json(content: Mapping[str, Any] | Sequence[Any]) -> None:
    """Print a result for machines; what is not a finite number is null."""
    out.file.write(json.dumps(finite(content), indent=1, default=str, allow_nan=False) + "\n")


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; columns whose name ends in a space are aligned left, the others right."""
    table = Table(
        title=Text(title), title_justify="left", box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold"
    )
    for column in columns:
        table.add_column(column.rstrip(), justify="left" if column.endswith(" ") else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    out.print(table)


def progress_bar() -> Progress:
    """Return a progress bar on standard error."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, TextColumn("left"), TimeRemainingColumn(), console=err, transient=True)


def duration(seconds: float) -> str:
    """Return a time span for people.

    Example:
        >>> duration(42), duration(200), duration(8000)
        ('42 s', '3.3 min', '2.2 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
