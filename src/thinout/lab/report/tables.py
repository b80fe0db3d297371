"""The two tables of a report: all arms with all metrics, all runs with where they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from thinout.lab.analysis import METRICS, Analysis, ArmResult
from thinout.lab.report._text import (
    MISSING,
    PERCENT,
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
from thinout.lab.statistics import Interval

TEXTS = ("Status", "Started, on", "Made with")
SHORT = {"gap": "Gap", "ece": "Calibration error", "seconds": "Time"}


@dataclass(frozen=True)
class Cell:
    """One cell: its text, smaller lines under it, and a CSS class."""

    text: str
    subs: tuple[str, ...] = ()
    style: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of the page; `label` names its scroll box, `summary` stands on it while it is folded."""

    label: str
    header: Sequence[Cell]
    lines: Sequence[Sequence[Cell]]
    summary: str = ""


def arm_table(analysis: Analysis) -> Table:
    """Return all arms with all metrics; the verdict belongs to the primary metric alone."""
    metrics = [analysis.metric, *(metric for metric in METRICS if metric != analysis.metric)]
    header = [
        Cell("Arm"),
        Cell("p"),
        Cell("Seeds"),
        Cell("Verdict", (f"on {lower_title(analysis.metric)} alone",), "text"),
        *(Cell(SHORT.get(metric, title(metric)), (unit(metric),)) for metric in metrics),
    ]
    digits = {metric: _digits(metric, analysis.arms, analysis.metric) for metric in metrics}
    return Table(label="All arms", header=header, lines=[_arm_line(arm, analysis, digits) for arm in analysis.arms])


def run_table(rows: Sequence[Row]) -> Table:
    """Return all runs, finished or failed, with their results and their provenance."""
    results = ("Test NLL", "Test error", "Gap", "Measured epoch", "Time")
    names = ("Arm", "Seed", "Status", *results, "Started, on", "Made with")
    num_failed = sum(row.status == "failed" for row in rows)
    summary = plural(len(rows), "run") + (f", {num_failed} failed" if num_failed else "")
    lines = [_run_line(row) for row in rows]
    return Table(
        label="All runs",
        header=[Cell(name, style="text" if name in TEXTS else "") for name in names],
        lines=lines,
        summary=summary,
    )


def _arm_line(arm: ArmResult, analysis: Analysis, digits: Mapping[str, int]) -> list[Cell]:
    convergence = arm.convergence
    return [
        Cell(clean(arm.arm)),
        Cell(f"{arm.p:.3g}"),
        Cell(str(convergence.num_runs), (f"{convergence.num_converged} converged",)),
        _verdict_cell(arm, analysis),
        *(_metric_cell(arm, metric, analysis, digits[metric]) for metric in digits),
    ]


def _verdict_cell(arm: ArmResult, analysis: Analysis) -> Cell:
    if arm.arm == analysis.baseline:
        return Cell("baseline", style="text")
    if arm.difference is None:
        return Cell(arm.verdict or MISSING, ("no pair with the baseline",), "text")
    pairs = plural(len(arm.paired_seeds), "pair")
    return Cell(arm.verdict or MISSING, (f"Holm p-value {p_value(arm.p_holm)}", pairs), "text")


def _metric_cell(arm: ArmResult, metric: str, analysis: Analysis, digits: int) -> Cell:
    value = arm.metrics.get(metric)
    difference = _difference(arm, metric, analysis.metric)
    if value is None:
        return Cell(MISSING, ("not measured",))
    ends = interval(*_scaled(value, metric), digits)
    subs = [ends] if ends else []
    if difference is not None:
        mean = number(difference.mean * factor(metric), digits, signed=True)
        subs.append(f"vs. {clean(analysis.baseline)}: {mean}")
        subs += filter(None, [interval(*_scaled(difference, metric), digits, signed=True)])
    return Cell(number(value.mean * factor(metric), digits), tuple(subs))


def _difference(arm: ArmResult, metric: str, primary: str) -> Interval | None:
    return arm.difference if metric == primary else arm.other_differences.get(metric)


def _digits(metric: str, arms: Sequence[ArmResult], primary: str) -> int:
    intervals = [item for arm in arms for item in (arm.metrics.get(metric), _difference(arm, metric, primary))]
    bounds = [_scaled(item, metric) for item in intervals if item is not None]
    widths = [(high - low) / 2 for low, high in bounds if low is not None and high is not None]
    return decimals(widths, least=1 if metric == "seconds" or metric in PERCENT else 3)


def _scaled(value: Interval, metric: str) -> tuple[float | None, float | None]:
    if value.low is None or value.high is None:
        return None, None
    return value.low * factor(metric), value.high * factor(metric)


def _run_line(row: Row) -> list[Cell]:
    head = [Cell(clean(row.arm)), Cell(str(row.seed))]
    if row.status == "failed":
        results = [Cell("failed", (clean(row.reason or "no reason given"),), "text long"), *[Cell(MISSING)] * 5]
    else:
        results = [Cell("done", style="text"), *_result_cells(row)]
    made_with = [f"{name} {row.provenance[name]}" for name in ("thinout", "torch") if row.provenance.get(name)]
    machine = row.provenance.get("gpu") or row.provenance.get("cpu")
    revision = str(row.provenance.get("revision") or "")
    return [
        *head,
        *results,
        Cell(_when(row.provenance.get("started")), (clean(machine),) if machine else (), "text"),
        Cell(clean(", ".join(made_with) or MISSING), (f"revision {_short(revision)}",) if revision else (), "text"),
    ]


def _short(revision: str) -> str:
    return clean(revision[:10]) + ("+" if revision.endswith("+") else "")  # thinout's mark for changed files


def _when(time: object) -> str:
    return clean(time or MISSING).replace("T", " ").replace("+00:00", " UTC")


def _result_cells(row: Row) -> list[Cell]:
    test, train = row.metrics.get("test", {}), row.metrics.get("train", {})
    nll, error, start = test.get("nll"), test.get("error"), train.get("nll")
    return [
        Cell(number(nll, 4)),
        Cell(number(None if error is None else 100 * error, 2) + (" %" if error is not None else "")),
        Cell(number(None if nll is None or start is None else nll - start, 4)),
        Cell(f"{row.best_epoch} of {row.num_epochs}"),
        Cell(f"{number(row.seconds, 1)} s"),
    ]
