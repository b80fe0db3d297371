"""`thinout study` and `thinout report`."""

from __future__ import annotations

import shlex
import sys
from concurrent.futures import Executor
from contextlib import AbstractContextManager, redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from thinout._checks import UsageError, bad_usage
from thinout.cli._options import (
    AsJson,
    CaseName,
    DataName,
    Settings,
    SkipBad,
    check_folder,
    data_spec,
    parse_p,
    parse_settings,
)
from thinout.cli._output import duration, err, note, out, print_json, print_table, progress_bar
from thinout.lab.analysis import Analysis, ArmResult, analyse
from thinout.lab.case import BASELINE, WEIGHT_DECAY, Arm, Metric, dropout_arm
from thinout.lab.cases import resolve
from thinout.lab.report import ReportPaths, write_report
from thinout.lab.rows import Row
from thinout.lab.study import (
    LocalWorkers,
    Study,
    StudyError,
    dask_workers,
    describe_study,
    estimate,
    num_cores,
    plan,
    read_about,
    read_study,
    remaining,
    run_study,
    study_rows,
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
    skip_bad: SkipBad = False,
    as_json: AsJson = False,
) -> None:
    """Train every arm from every seed, and say with statistics whether dropout helps, and at what rate.

    Stop it whenever you like: the same command goes on where it stopped.
    """
    data = data_spec(data, skip_bad)
    overrides = parse_settings(settings)
    options = {"--data": data, "--p": p, "--arm": arm, "--seeds": seeds, "--metric": metric, "--set": settings}
    workers = jobs or num_cores()
    with redirect_stdout(sys.stderr):  # standard output is for the result, not for what a user's code prints
        arms = _arms(case, data, p, arm)
        planned = plan(case, data=data, arms=arms, seeds=seeds, recipe=overrides, metric=metric)
        about = describe_study(planned) | {"command": _command(case, options)}
        place = folder or Path("runs") / _folder_name(case, about["data_name"])
        check_folder("study", place)
        num_left = len(remaining(planned, place))
        seconds = estimate(planned, jobs=workers, num_runs=num_left) if dask is None else None
    note(_outlook(planned, num_left, workers, seconds, dask))
    if dry_run:
        _print_plan(planned, num_left, seconds, as_json)
        return
    with redirect_stdout(sys.stderr), progress_bar() as bar, _executor(jobs, dask) as executor:
        task = bar.add_task("runs", total=len(planned.runs()), completed=len(planned.runs()) - num_left)
        run_study(
            planned,
            place,
            executor=executor,
            progress=lambda row, done, num_runs: bar.update(task, completed=done),
            about=about,
        )
    if _conclude(place, planned, as_json):
        raise typer.Exit(1)


def report(
    folder: Annotated[Path, typer.Argument(help="Folder of a study.")],
    as_json: AsJson = False,
) -> None:
    """Write the report of a study anew from its rows."""
    if not (folder / "study.json").is_file():
        bad_usage("report", "folder", "the folder of a study (with a study.json in it)", folder)
    _conclude(folder, read_study(folder), as_json)


def _arms(case: str, data: str | None, p: str | None, named: list[str] | None) -> list[Arm] | None:
    """Return the arms asked for, the baseline first; None leaves the case's own."""
    for name in named or []:
        if name not in _NAMED_ARMS:
            bad_usage("study", "--arm", "one of " + ", ".join(_NAMED_ARMS), repr(name))
    if p is None and not named:
        return None
    rates = [parse_p(text) for text in p.split(",")] if p is not None else []
    arms = [BASELINE, *map(dropout_arm, filter(None, rates))] if p is not None else list(resolve(case, data).arms)
    return arms + [_NAMED_ARMS[name] for name in named or [] if name != BASELINE.name]


def _command(case: str, options: dict[str, Any]) -> str:
    """Return the command that asks for this study again."""
    words = ["thinout", "study", case]
    for option, value in options.items():
        for each in value if isinstance(value, list) else [value]:
            words += [] if each is None else [option, str(each)]
    return shlex.join(words)


def _folder_name(case: str, data_name: str) -> str:
    return f"{case}-{data_name}".replace(":", "-").replace(" ", "-")


def _print_plan(planned: Study, num_left: int, seconds: float | None, as_json: bool) -> None:
    if as_json:
        print_json({"study": planned.to_dict(), "num_runs": len(planned.runs()), "left": num_left, "seconds": seconds})


def _outlook(planned: Study, num_left: int, workers: int, seconds: float | None, dask: str | None) -> str:
    arms = ", ".join(arm.name for arm in planned.arms)
    runs = f"{len(planned.arms)} arms ({arms}) x {len(planned.seeds)} seeds, {num_left} runs to go"
    if dask is not None:
        return f"{runs}, on the Dask cluster at {dask}."
    time = "" if seconds is None else f": at most about {duration(seconds)}, less where training stops early"
    return f"{runs}, {workers} at a time{time}."


def _executor(jobs: int | None, dask: str | None) -> AbstractContextManager[Executor]:
    return LocalWorkers(jobs) if dask is None else dask_workers(dask)


def _conclude(folder: Path, study: Study, as_json: bool) -> bool:
    """Analyse the rows of a study, write its report and print its answer; return whether a run failed."""
    rows = study_rows(study, folder)
    failed = [row for row in rows if row.status == "failed"]
    for row in failed:
        err.print(f"{row.arm}, seed {row.seed} failed: {row.reason}", markup=False, soft_wrap=True)
    analysis = _analysed(study, rows)
    paths = write_report(folder, analysis, rows, study.to_dict() | read_about(folder))
    if as_json:
        files = {"report": paths.html, "csv": paths.csv, "json": paths.json}
        print_json(analysis.to_dict() | {"files": files})
    else:
        _print_analysis(analysis, paths)
    return bool(failed)


def _analysed(study: Study, rows: list[Row]) -> Analysis:
    try:
        return analyse(rows, metric=study.metric, baseline=study.baseline)
    except UsageError as error:
        has_finished = any(row.arm == study.baseline and row.status == "done" for row in rows)
        lacking = f"has a finite {study.metric}" if has_finished else "has finished"
        remedy = (
            "Give another --metric, and another --folder."
            if has_finished
            else "Mend what the reasons name, and give the study's command again."
        )
        raise StudyError(
            f"study: no run of the baseline {study.baseline} {lacking}, so there is nothing to compare with and no "
            f"report is written. {remedy}"
        ) from error


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
    out.print()
    out.print(Text(analysis.headline.sentence, style="bold"), soft_wrap=True)
    for sentence in analysis.notes:
        out.print(Text(sentence), soft_wrap=True)
    out.print(f"Report: {paths.html}", markup=False, soft_wrap=True)


def _difference(arm: ArmResult) -> str:
    difference = arm.difference
    if difference is None:
        return ""
    if difference.low is None or difference.high is None:
        return f"{difference.mean:+.4f}"
    return f"{difference.mean:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}]"
