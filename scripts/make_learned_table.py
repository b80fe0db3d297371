"""Write the table of docs/layers/learned.md from docs/results/learned-rate.json; no number in it is typed in.

python scripts/make_learned_table.py
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1] / "docs"
PAGE, RESULT = DOCS / "layers" / "learned.md", DOCS / "results" / "learned-rate.json"
BEGIN, END = "<!-- learned-rate.json -->\n", "<!-- end -->\n"


def rows(problem: str, result: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each learned rate of a problem."""
    low, high = result["plateau"]
    for name, learned in result["learned"].items():
        kept = f"{100 * learned['keeps_of_the_gain']:.0f} %"
        inside = "yes" if learned["in_the_plateau"] else "no"
        cells = (
            problem,
            f"{result['best_rate']:g}",
            f"{low:g} to {high:g}",
            name,
            f"{learned['rate']:.2f}",
            kept,
            inside,
        )
        yield "| " + " | ".join(cells) + " |"


def table(content: dict[str, Any]) -> str:
    """Return the table."""
    lines = ["| problem | best fixed rate | plateau | layer | learned rate | keeps of the gain | in the plateau |"]
    lines.append("|---|---|---|---|---|---|---|")
    for bound in content["bounds"]:
        problem = f"regression, {bound['features']} features, {bound['examples']} examples, signal {bound['signal']:g}"
        lines += rows(problem, bound)
    lines += rows("regression, trained", content["regression"])
    lines += rows("Fashion-MNIST, trained", content["fashion-mnist"])
    return "\n".join(lines) + "\n"


def text() -> str:
    """Return the page with its table."""
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + "\n" + table(json.loads(RESULT.read_text())) + "\n" + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(text())
