"""Write docs/results/index.md, and what the pages of the cases say was measured, from the result files.

python scripts/make_results.py

No number in them is typed in. A page of a case has a line ``<!-- measured: NAME NAME@DATA -->``; what follows it, up to
``<!-- end of measured -->``, is written anew from the results of the cases of those names, on that data set if one is
named. ``claims`` stands for the verdicts.
"""

from __future__ import annotations

import csv
import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from thinout.lab.case import Recipe

DOCS = Path(__file__).parent.parent / "docs"
RESULTS = DOCS / "results"
BLOCK = re.compile(r"(<!-- measured: (.+?) -->\n).*?(<!-- end of measured -->)", re.DOTALL)
HEAD = """# Results

Everything here was measured by the command that stands beside it, on the hardware that its files name. This page is
written by `python scripts/make_results.py` from those files.
"""
# What some tasks have beside NLL and error: column of the rows, heading, factor, digits.
MORE = (
    ("balanced_error", "balanced error %", 100, 2),
    ("f1", "F1", 1, 4),
    ("recall", "recall", 1, 3),
    ("auc", "AUC", 1, 4),
    ("rmse", "RMSE", 1, 3),
)
Row = Mapping[str, Any]
Training = tuple[str, str, float, str]  # case, data, rate, recipe


def studies() -> list[Path]:
    """Return the folders of studies."""
    return sorted(path.parent for path in RESULTS.glob("*/results.json"))


def trainings() -> dict[Training, list[tuple[Path, Row]]]:
    """Return the folders and rows of single trainings that differ in their seed alone."""
    found = defaultdict(list)
    for path in sorted(RESULTS.glob("train-*/rows/*/seed-*.json")):
        row = json.loads(path.read_text())
        config = row["config"]
        recipe = json.dumps(asdict(Recipe()) | config["recipe"], sort_keys=True)  # rows of old have fewer fields
        training = config["case"], config["data"] or "its own data", row["p"], recipe
        found[training].append((path.parents[2], row))
    return dict(sorted(found.items()))


def study_section(folder: Path, level: str = "##", to_results: str = "") -> Iterator[str]:
    """Yield the lines of one study; `to_results` leads from the page to the folder of results."""
    content = json.loads((folder / "results.json").read_text())
    analysis, study = content["analysis"], content["study"]
    with (folder / "results.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["status"] == "done"]
    more = [(name, *rest) for name, *rest in MORE if rows and rows[0].get(f"test_{name}")]
    yield f"{level} {study['title']} on {study['data_name']}\n"
    link = to_results + folder.name
    yield f"**{analysis['headline']['sentence']}** [The report]({link}/report.html), [CSV]({link}/results.csv).\n"
    yield f"```text\n{study['command']}\n```\n"
    titles = ["arm", "seeds", "test NLL", "test error %", *(title for _, title, _, _ in more)]
    titles += ["gap (NLL)", "seconds", f"{analysis['metric']} against {analysis['baseline']}, 95 %", "verdict"]
    yield from table_head(titles)
    for arm in analysis["arms"]:
        metrics = arm["metrics"]
        own = [row for row in rows if row["arm"] == arm["arm"]]
        yield table_row(
            arm["arm"], len(arm["seeds"]), cell(metrics["nll"], 4), cell(metrics["error"], 2, 100),
            *(f"{factor * fmean(float(row[f'test_{name}']) for row in own):.{digits}f}"
              for name, _, factor, digits in more),
            cell(metrics["gap"], 4), cell(metrics["seconds"], 0), difference(arm), arm["verdict"] or "",
        )  # fmt: skip
    convergence = analysis["convergence"]
    share = f"{100 * convergence['share']:.0f} %"
    yield f"\nConverged as defined: {'yes' if convergence['converged'] else 'no'} ({share} of the runs).\n"


def table_head(titles: Sequence[str]) -> Iterator[str]:
    """Yield the two lines that begin a table."""
    yield table_row(*titles)
    yield "|" + "---|" * len(titles)


def table_row(*cells: object) -> str:
    """Return a line of a table."""
    return "| " + " | ".join(map(str, cells)) + " |"


def cell(interval: Mapping[str, Any] | None, digits: int, factor: float = 1.0) -> str:
    """Return a mean with its interval."""
    if interval is None:
        return ""
    mean = f"{factor * interval['mean']:.{digits}f}"
    if interval["low"] is None:
        return mean
    return f"{mean} [{factor * interval['low']:.{digits}f}, {factor * interval['high']:.{digits}f}]"


def difference(arm: Mapping[str, Any]) -> str:
    """Return the paired difference of an arm, signed."""
    found = arm["difference"]
    if found is None:
        return ""
    bounds = "" if found["low"] is None else f" [{found['low']:+.4f}, {found['high']:+.4f}]"
    return f"{found['mean']:+.4f}{bounds}"


def training_lines(made: Mapping[Training, Sequence[tuple[Path, Row]]]) -> Iterator[str]:
    """Yield a table of single trainings, a line for all seeds of one, and the commands."""
    if not made:
        return
    yield (
        "Single trainings, measured at the epoch that validation chose, or at the last where the command says "
        "`keep=last`; means over the seeds, and each of them. In brackets after the error of a single one is its exact "
        "95 % interval over the examples.\n"
    )
    titles = ["case", "data", "p", "seeds", "test error %", "test NLL", "training error %", "validation error %"]
    titles += ["more", "epochs", "minutes"]
    yield from table_head(titles)
    for (case, data, p, _), found in made.items():
        rows = [row for _, row in found]
        seeds = ", ".join(str(row["seed"]) for row in rows)
        more = [f"{title} {spread(rows, 'test', name, f, d)}" for name, title, f, d in MORE if name in test(rows[0])]
        yield table_row(
            f"`{case}`", f"`{data}`", f"{p:.3g}", seeds, spread(rows, "test", "error", 100, 2),
            spread(rows, "test", "nll", 1, 4), spread(rows, "train", "error", 100, 2),
            spread(rows, "validation", "error", 100, 2), "; ".join(more), rows[0]["num_epochs"],
            f"{fmean(row['seconds'] for row in rows) / 60:.0f}",
        )  # fmt: skip
    commands = dict.fromkeys(
        (folder / "command.txt").read_text().strip()
        for found in made.values()
        for folder, _ in found
        if (folder / "command.txt").exists()
    )
    yield "\n```text\n" + "\n".join(commands) + "\n```\n"


def test(row: Row) -> Mapping[str, float]:
    """Return what a row has of the test part."""
    metrics: Mapping[str, float] = row["metrics"]["test"]
    return metrics


def spread(rows: Sequence[Row], part: str, name: str, factor: float, digits: int) -> str:
    """Return a mean over rows with the value of each in brackets, or one value with the interval that it may have."""
    values = [factor * row["metrics"][part][name] for row in rows if row["metrics"].get(part)]
    if not values:
        return ""
    each = ", ".join(f"{value:.{digits}f}" for value in values)
    only = rows[0]["metrics"][part]
    if len(rows) == 1 and f"{name}_low" in only:
        low, high = (f"{factor * only[f'{name}_{bound}']:.{digits}f}" for bound in ("low", "high"))
        return f"{each} [{low}, {high}]"
    return each if len(values) == 1 else f"{fmean(values):.{digits}f} ({each})"


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


def claim_lines(to_results: str) -> Iterator[str]:
    """Yield a table of the claims that were judged."""
    paths = sorted((RESULTS / "claims").glob("C??/result.json"))
    if not paths:
        return
    yield f"[The report]({to_results}claims/report.html) has figures, effects and intervals.\n"
    yield from table_head(["claim", "said", "verdict", "measured"])
    for path in paths:
        result = json.loads(path.read_text())
        finding, claim = result["finding"], result["registration"]
        verdict = finding["verdict"] + (f": {finding['condition']}" if finding["condition"] else "")
        yield table_row(claim["id"], claim["statement"], verdict, finding["sentence"].replace("|", "/"))
    yield ""


def text() -> str:
    """Return the page of all results."""
    lines = [HEAD]
    for folder in studies():
        lines += study_section(folder)
    lines += ["## Single trainings\n", *training_lines(trainings())]
    lines += ["## The article's claims\n", *claim_lines("")]
    for path in sorted(RESULTS.glob("*.md")):
        if path.name != "index.md":
            lines.append(f"## {path.read_text().splitlines()[0].lstrip('# ')}\n\n[The table]({path.name})\n")
    if (RESULTS / "mask-statistics.json").exists():
        lines += mask_section(RESULTS / "mask-statistics.json")
    return "\n".join(lines) + "\n"


def measured(names: Collection[str], to_results: str) -> str:
    """Return what was measured of some cases."""
    lines = [""]
    for folder in studies():
        study = json.loads((folder / "results.json").read_text())["study"]
        if {study["case"], f"{study['case']}@{study['data_name']}"} & set(names):
            lines += study_section(folder, "###", to_results)
    made = trainings().items()
    lines += training_lines({key: found for key, found in made if {key[0], f"{key[0]}@{key[1]}"} & set(names)})
    if "claims" in names:
        lines += claim_lines(to_results)
    return "\n".join(lines) + "\n"


def pages() -> dict[Path, str]:
    """Return every page that is written here, with what it is to hold."""
    found = {RESULTS / "index.md": text()}
    for path in sorted([*DOCS.glob("*.md"), *DOCS.glob("cases/*.md")]):
        old = path.read_text()
        way = "results/" if path.parent == DOCS else "../results/"
        new = BLOCK.sub(lambda match, way=way: match[1] + measured(match[2].split(), way) + match[3], old)  # type: ignore[misc]  # mypy knows no defaults here
        if new != old or BLOCK.search(old):
            found[path] = new
    return found


def main() -> None:
    """Write the pages."""
    for path, content in pages().items():
        path.write_text(content)


if __name__ == "__main__":
    main()
