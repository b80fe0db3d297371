"""The page: what it says, in which order, and its rendering."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thinout.lab.analysis import Analysis
from thinout.lab.report import pictures, tables
from thinout.lab.report._text import (
    clean,
    decimals,
    factor,
    interval,
    lower_title,
    number,
    p_value,
    plural,
    title,
    unit,
)
from thinout.lab.rows import Row

TIMES = ("started", "ended")
LABELS = {
    "cpu": "CPU",
    "gpu": "GPU",
    "revision": "git revision of thinout",
    "cores": "CPU cores",
    "num_processes": "processes",
}


@dataclass(frozen=True)
class Fact:
    """One thing that the verdict rests on."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Page:
    """Everything that the template writes; all of it is escaped there but the pictures."""

    title: str
    sentence: str
    verdict: str
    lead: Sequence[str]
    basis: Sequence[Fact]
    warnings: Sequence[str]
    sections: Sequence[pictures.Section]
    arms: tables.Table
    runs: tables.Table
    baseline: str
    primary: str
    measured: str
    command: str
    environment: Sequence[tuple[str, str]]

    @property
    def verdict_style(self) -> str:
        """CSS class of the verdict."""
        return self.verdict.replace(" ", "-")


def render(analysis: Analysis, rows: Sequence[Row], study: Mapping[str, Any]) -> str:
    """Return the whole page as HTML."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("thinout.lab.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("report.html.j2").render(page=make_page(analysis, rows, study)).lstrip()


def make_page(analysis: Analysis, rows: Sequence[Row], study: Mapping[str, Any]) -> Page:
    """Gather what the page says."""
    material = pictures.Material(analysis, rows, tuple(study.get("class_names") or ()))
    return Page(
        title=_title(study, rows),
        sentence=clean(analysis.headline.sentence),
        verdict=analysis.headline.verdict,
        lead=_lead(analysis),
        basis=_basis(analysis, rows),
        warnings=_warnings(analysis),
        sections=pictures.sections(material),
        arms=tables.arm_table(analysis),
        runs=tables.run_table(rows),
        baseline=clean(analysis.baseline),
        primary=lower_title(analysis.metric),
        measured=_measured(rows),
        command=_command(study.get("command")),
        environment=_environment(rows),
    )


def _title(study: Mapping[str, Any], rows: Sequence[Row]) -> str:
    config = next((row.config for row in rows if row.config), {})
    case = study.get("title") or study.get("case") or config.get("case") or "own case"
    data = study.get("data_name") or study.get("data") or config.get("data")
    return clean(f"Does dropout help {case} on {data}?" if data else f"Does dropout help {case}?")


def _lead(analysis: Analysis) -> list[str]:
    baseline, metric = clean(analysis.baseline), title(analysis.metric).removeprefix("Test ")
    headline = analysis.headline
    if len(analysis.arms) == 1:
        return []
    if headline.is_baseline:
        return [f"On the validation part no arm was better than {baseline}, so no arm was picked for the test part."]
    return [
        f"{clean(headline.arm)} had the lowest validation {metric} of {plural(len(analysis.arms) - 1, 'arm')} beside "
        f"{baseline}, and was then compared with {baseline} once, on the test part.",
    ]


def _basis(analysis: Analysis, rows: Sequence[Row]) -> list[Fact]:
    return [*_difference_facts(analysis, rows), _convergence_fact(analysis), _margin_fact(analysis)]


def _difference_facts(analysis: Analysis, rows: Sequence[Row]) -> list[Fact]:
    difference, metric = analysis.headline.difference, analysis.metric
    if difference is None:
        pairs = max((len(arm.paired_seeds) for arm in analysis.arms), default=0)
        return [Fact("Seeds", plural(pairs, "pair"), "runs of an arm and of the baseline from the same seed")]
    scale, low, high = factor(metric), difference.low, difference.high
    has_ends = low is not None and high is not None
    digits = decimals([scale * (high - low) / 2] if low is not None and high is not None else [])
    ends = interval(scale * low, scale * high, digits) if low is not None and high is not None else ""
    value = f"{number(scale * difference.mean, digits, signed=True)} {unit(metric)}"
    facts = [
        Fact("Seeds", plural(difference.n, "pair"), "two runs from the same seed: one with the arm, one without"),
        Fact(
            f"Difference in {lower_title(metric)}",
            value,
            f"95 % interval over seeds {ends}" if has_ends else "no interval",
        ),
        Fact("p-value", p_value(difference.p_value), "paired t test of no difference; one test, so not corrected"),
    ]
    bootstrap = analysis.headline.bootstrap
    if bootstrap is None or bootstrap.low is None or bootstrap.high is None:
        return facts
    over_examples = interval(scale * bootstrap.low, scale * bootstrap.high, digits)
    return [
        *facts,
        Fact("Over test examples", over_examples, f"95 % bootstrap over {bootstrap.n:,} examples, same networks"),
    ]


def _convergence_fact(analysis: Analysis) -> Fact:
    share = analysis.convergence
    note = f"{share.num_converged} of {share.num_runs} runs had their best epoch before the last fifth (90 % needed)"
    return Fact("Training", "converged" if share.converged else "does not converge", note)


def _margin_fact(analysis: Analysis) -> Fact:
    margin = analysis.margin * factor(analysis.metric)
    value = f"±{number(margin, decimals([margin]))} {unit(analysis.metric)}"
    return Fact("Margin", value, "smaller differences would not matter")


def _warnings(analysis: Analysis) -> list[str]:
    reasons = [f"{run.arm}, seed {run.seed}: {run.reason.rstrip('.')}." for run in analysis.failed]
    return [clean(line) for line in (*analysis.notes, *reasons)]


def _measured(rows: Sequence[Row]) -> str:
    """Say after which epoch networks are measured, which is for their recipes to say; old ones have no word for it."""
    kept = {row.config.get("recipe", {}).get("keep", "best") for row in rows}
    if "last" not in kept:
        return "Every network is measured at its best validation epoch."
    if kept == {"last"}:
        return "Every network is measured after its last epoch."
    return "A network is measured at its best validation epoch, or after its last one where its recipe keeps that."


def _command(command: object) -> str:
    if isinstance(command, str):
        return clean(command)
    return shlex.join(clean(word) for word in command) if isinstance(command, (list, tuple)) else ""


def _environment(rows: Sequence[Row]) -> list[tuple[str, str]]:
    names = dict.fromkeys(name for row in rows for name in row.provenance if name not in TIMES)
    lines = [(LABELS.get(name, name), _values(rows, name)) for name in names]
    started, ended = (sorted(str(row.provenance[name]) for row in rows if row.provenance.get(name)) for name in TIMES)
    lines += [("First run started", started[0])] if started else []
    lines += [("Last run ended", ended[-1])] if ended else []
    seconds = sum(row.seconds for row in rows)
    lines += [("Time of all runs together", f"{seconds / 60:.1f} minutes")] if lines else []
    return [(clean(name), clean(value)) for name, value in lines if value]


def _values(rows: Sequence[Row], name: str) -> str:
    values = dict.fromkeys(str(row.provenance[name]) for row in rows if row.provenance.get(name) is not None)
    return ", ".join(values)
