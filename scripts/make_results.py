"""Write docs/results/index.md from the result files beside it; no number in it is typed in.

python scripts/make_results.py
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent.parent / "docs" / "results"
HEAD = """# Results

Everything here was measured by the command that stands beside it, on the hardware that its files name. This page is
written by `python scripts/make_results.py` from those files.
"""


def study_section(folder: Path) -> Iterator[str]:
    """Yield the lines of one study."""
    content = json.loads((folder / "results.json").read_text())
    analysis, study = content["analysis"], content["study"]
    headline, level = analysis["headline"], analysis["convergence"]
    yield f"## {study['title']} on {study['data_name']}\n"
    yield f"**{headline['sentence']}** [The report]({folder.name}/report.html), [CSV]({folder.name}/results.csv).\n"
    yield f"```text\n{study['command']}\n```\n"
    yield "| arm | seeds | test NLL | test error % | gap (NLL) | seconds | NLL against none, 95 % | verdict |"
    yield "|---|---|---|---|---|---|---|---|"
    for arm in analysis["arms"]:
        metrics = arm["metrics"]
        cells = [arm["arm"], len(arm["seeds"]), cell(metrics["nll"], 4), cell(metrics["error"], 2, 100)]
        cells += [cell(metrics["gap"], 4), cell(metrics["seconds"], 0), difference(arm), arm["verdict"] or ""]
        yield "| " + " | ".join(map(str, cells)) + " |"
    share = f"{100 * level['share']:.0f} %"
    yield f"\nConverged as defined: {'yes' if level['converged'] else 'no'} ({share} of the runs).\n"


def cell(interval: dict[str, Any] | None, digits: int, factor: float = 1.0) -> str:
    """Return a mean with its interval."""
    if interval is None:
        return ""
    mean = f"{factor * interval['mean']:.{digits}f}"
    if interval["low"] is None:
        return mean
    return f"{mean} [{factor * interval['low']:.{digits}f}, {factor * interval['high']:.{digits}f}]"


def difference(arm: dict[str, Any]) -> str:
    """Return the paired difference of an arm, signed."""
    found = arm["difference"]
    if found is None:
        return ""
    bounds = "" if found["low"] is None else f" [{found['low']:+.4f}, {found['high']:+.4f}]"
    return f"{found['mean']:+.4f}{bounds}"


def training_section(folder: Path) -> Iterator[str]:
    """Yield the lines of one long training."""
    paths = sorted(folder.glob("rows/*/seed-*.json"))
    if not paths:
        yield f"## {folder.name}\n\nThis training was cut off and has no result; its epochs are in `{folder.name}/`.\n"
        return
    path = paths[0]
    row = json.loads(path.read_text())
    test, where = row["metrics"]["test"], row["provenance"]
    yield f"## {row['config']['case']} on {row['config']['data'] or 'its own data'}\n"
    yield f"Test error {100 * test['error']:.2f} %, test NLL {test['nll']:.4f} at p = {row['p']:.3g}, seed "
    yield f"{row['seed']}, after {row['num_epochs']} epochs ({row['seconds'] / 60:.0f} minutes on {where['threads']} "
    yield f"thread(s)). Files: `{folder.name}/`.\n"
    if (folder / "command.txt").exists():
        yield f"```text\n{(folder / 'command.txt').read_text().strip()}\n```\n"


def mask_section(path: Path) -> Iterator[str]:
    """Yield the lines of the mask's statistics."""
    content = json.loads(path.read_text())
    yield "## The bits of the mask\n"
    yield f"{content['num_tests']} exact tests of up to {content['draws_a_test']:,} draws each ({content['backend']});"
    yield f"smallest p-value {content['smallest_p_value']:.3g}.\n"
    yield f"```text\n{content['command']}\n```\n"
    yield "| test | p-value |\n|---|---|"
    for line in content["tests"]:
        yield f"| {line['test']} | {line['p_value']:.3g} |"
    yield ""


def main() -> None:
    """Write the page."""
    lines = [HEAD]
    for path in sorted(RESULTS.glob("*/results.json")):
        lines += study_section(path.parent)
    for path in sorted(RESULTS.glob("train-*")):
        lines += training_section(path)
    for path in sorted(RESULTS.glob("*.md")):
        if path.name != "index.md":
            lines.append(f"## {path.read_text().splitlines()[0].lstrip('# ')}\n\n[The table]({path.name})\n")
    if (RESULTS / "mask-statistics.json").exists():
        lines += mask_section(RESULTS / "mask-statistics.json")
    (RESULTS / "index.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
