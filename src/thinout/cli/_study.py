"""`thinout study` and `thinout report`."""

from __future__ import annotations

import json
import shlex
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any

import typer

from thinout._checks import bad_usage
from thinout.cli._options import AsJson, CaseName, DataName, Settings, parse_p, parse_settings
from thinout.cli._output import duration, err, note, out, print_json, print_table, progress_bar
from thinout.lab.analysis import Analysis, ArmResult, analyse
from thinout.lab.case import BASELINE, WEIGHT_DECAY, Arm, Metric, dropout_arm
from thinout.lab.cases import resolve
from thinout.lab.data import describe
from thinout.lab.data import names as data_names
from thinout.lab.report import ReportPaths, write_report
from thinout.lab.rows import read_rows, write_atomically
from thinout.lab.study import (
    LocalWorkers,
    Study,
    StudyOutcome,
    dask_workers,
    estimate,
    num_cores,
    plan,
    remaining,
    run_study,
)

_NAMED_ARMS = {arm.name: arm for arm in (BASELINE, WEIGHT_DECAY)}


def study(
    case: CaseName,
    data: DataName = None,
    p: Annotated[
        str | None, typer.Option("--p", help="Drop probabilities, e.g. 0.2,1/3,0.5. [default: the case's]")
    ] = None,
    arm: Annotated[
        list[str] | None, typer.Option("--arm", help="A named arm beside them: weight-decay. Repeatable.")
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Runs of each arm, paired by seed.")] = 5,
    metric: Annotated[Metric | None, typer.Option("--metric", help="Primary metric. [default: the case's]")] = None,
    settings: Settings = None,
    jobs: Annotated[int | None, typer.Option("--jobs", min=1, help="Runs at a time. [default: all cores]")] = None,
    dask: Annotated[str | None, typer.Option("--dask", metavar="ADDRESS", help="Scheduler of a Dask cluster.")] = None,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Where rows and report go. [default: runs/CASE-DATA]")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would run and how long.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train every arm from every seed, and say with statistics whether dropout helps, and at what rate.

    Stop it whenever you like: the same command goes on where it stopped.
    """
    overrides = parse_settings(settings)
    planned = plan(case, data=data, arms=_arms(p, arm), seeds=seeds, recipe=overrides, metric=metric)
    place = folder or Path("runs") / _folder_name(planned)
    left = remaining(planned, place)
    workers = jobs or num_cores()
    seconds = estimate(planned, jobs=workers, num_runs=len(left)) if dask is None else None
    note(_outlook(planned, len(left), workers, seconds, dask))
    if dry_run:
        return
    with progress_bar() as bar, _executor(jobs, dask) as executor:
        task = bar.add_task("runs", total=len(planned.runs()), completed=len(planned.runs()) - len(left))
        outcome = run_study(
            planned,
            place,
            executor=executor,
            progress=lambda row, done, num_runs: bar.update(task, completed=done),
        )
    options = {"--data": data, "--p": p, "--arm": arm, "--seeds": seeds, "--metric": metric, "--set": settings}
    write_atomically(place / "command.json", json.dumps(_command(case, options)).encode())
    _conclude(place, planned.to_dict(), as_json)
    _fail_if_runs_failed(outcome)


def report(
    folder: Annotated[Path, typer.Argument(help="Folder of a study.")],
    as_json: AsJson = False,
) -> None:
    """Write the report of a study anew from its rows."""
    if not (folder / "study.json").is_file():
        bad_usage("report", "folder", "the folder of a study (with a study.json in it)", folder)
    _conclude(folder, json.loads((folder / "study.json").read_text()), as_json)


def _arms(p: str | None, named: list[str] | None) -> list[Arm] | None:
    """Return the arms asked for, the baseline first; None leaves the case's own."""
    for name in named or []:
        if name not in _NAMED_ARMS:
            bad_usage("study", "--arm", "one of " + ", ".join(_NAMED_ARMS), repr(name))
    rates = [parse_p(text) for text in p.split(",")] if p is not None else [0.2, 1 / 3, 0.5] if named else None
    if rates is None:
        return None
    arms = [BASELINE, *map(dropout_arm, rates), *(_NAMED_ARMS[name] for name in named or [])]
    return list({arm.name: arm for arm in arms}.values())


def _command(case: str, options: dict[str, Any]) -> list[str]:
    """Return the words of the command that asks for this study again."""
    words = ["thinout", "study", case]
    for option, value in options.items():
        for each in value if isinstance(value, list) else [value]:
            words += [] if each is None else [option, str(each)]
    return words


def _folder_name(planned: Study) -> str:
    data_name = resolve(planned.case, planned.data).data_name
    return f"{planned.case}-{data_name}".replace(":", "-").replace(" ", "-")


def _outlook(planned: Study, num_left: int, workers: int, seconds: float | None, dask: str | None) -> str:
    arms = ", ".join(arm.name for arm in planned.arms)
    runs = f"{len(planned.arms)} arms ({arms}) x {len(planned.seeds)} seeds, {num_left} runs to go"
    if dask is not None:
        return f"{runs}, on the Dask cluster at {dask}."
    time = "" if seconds is None else f": at most about {duration(seconds)}, less where training stops early"
    return f"{runs}, {workers} at a time{time}."


def _executor(jobs: int | None, dask: str | None) -> AbstractContextManager[Executor]:
    return LocalWorkers(jobs) if dask is None else dask_workers(dask)


def _conclude(folder: Path, study: dict[str, Any], as_json: bool) -> None:
    rows = read_rows(folder)
    analysis = analyse(rows, metric=study["metric"], baseline=study["arms"][0]["name"])
    paths = write_report(folder, analysis, rows, study | _about(folder, study))
    if as_json:
        files = {"report": paths.html, "csv": paths.csv, "json": paths.json}
        print_json(analysis.to_dict() | {"files": files})
    else:
        _print_analysis(analysis, paths)


def _about(folder: Path, study: dict[str, Any]) -> dict[str, Any]:
    case = resolve(study["case"], study["data"])
    about: dict[str, Any] = {"title": case.title or case.name, "data_name": case.data_name}
    if case.data_name in data_names():
        about["class_names"] = describe(case.data_name).classes
    command = folder / "command.json"
    if command.is_file():
        about["command"] = shlex.join(json.loads(command.read_text()))
    return about


def _print_analysis(analysis: Analysis, paths: ReportPaths) -> None:
    rows = []
    for arm in analysis.arms:
        nll, error = arm.metrics["nll"], arm.metrics["error"]
        rows.append(
            (
                arm.arm,
                len(arm.seeds),
                "" if nll is None else f"{nll.mean:.4f}",
                "" if error is None else f"{100 * error.mean:.2f}",
                _difference(arm),
                arm.verdict or "",
            )
        )
    columns = (
        "arm ",
        "seeds",
        "test NLL",
        "error %",
        f"{analysis.metric} against {analysis.baseline}, 95 %",
        "verdict ",
    )
    print_table("", columns, rows)
    for sentence in analysis.notes:
        note(sentence)
    out.print(f"\n[bold]{analysis.headline.sentence}[/bold]", soft_wrap=True)
    out.print(f"Report: {paths.html}", soft_wrap=True)


def _difference(arm: ArmResult) -> str:
    difference = arm.difference
    if difference is None:
        return ""
    if difference.low is None or difference.high is None:
        return f"{difference.mean:+.4f}"
    return f"{difference.mean:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}]"


def _fail_if_runs_failed(outcome: StudyOutcome) -> None:
    for row in outcome.failed:
        err.print(f"{row.arm}, seed {row.seed} failed: {row.reason}", markup=False, soft_wrap=True)
    if outcome.failed:
        raise typer.Exit(1)
