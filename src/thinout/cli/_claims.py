"""`thinout claims`: what is said of dropout, put to the test."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from thinout._checks import UsageError, bad_usage
from thinout.cli._options import AsJson, check_folder
from thinout.cli._output import duration, note, out, print_json, print_table, progress_bar
from thinout.lab.claims import Claim, ClaimError, Unit, all_claims, find, run_claim
from thinout.lab.claims._claim import Size
from thinout.lab.claims._page import entries_of, write_entries
from thinout.lab.claims._run import measured_by, to_measure
from thinout.lab.claims._times import estimate
from thinout.lab.data import DataError
from thinout.lab.report._text import plural
from thinout.lab.study import LocalWorkers, num_cores

app = typer.Typer(no_args_is_help=True, help="What is said of dropout, each claim put to the test.")

Names = Annotated[list[str] | None, typer.Argument(metavar="[CLAIM]...", help="Ids such as C05. [default: all]")]
Folder = Annotated[Path, typer.Option("--folder", help="Where measurements and report go.")]
Quick = Annotated[bool, typer.Option("--quick", help="A form of minutes that shows that everything runs.")]
_FOLDER = Path("runs") / "claims"


@app.command("list")
def list_claims(as_json: AsJson = False) -> None:
    """List the claims."""
    if as_json:
        print_json([claim.registration | {"title": claim.title, "section": claim.section} for claim in all_claims()])
        return
    rows = [(claim.id, claim.title, claim.section, claim.statement) for claim in all_claims()]
    print_table("", ("claim ", "title ", "section ", "statement "), rows)


@app.command("run")
def run(
    names: Names = None,
    quick: Quick = False,
    jobs: Annotated[int | None, typer.Option("--jobs", min=1, help="Units at a time. [default: all cores]")] = None,
    folder: Folder = _FOLDER,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would run and how long.")] = False,
    as_json: AsJson = False,
) -> None:
    """Measure what is missing of some claims, judge them and write the report.

    Stop it whenever you like: the same command goes on where it stopped.
    """
    size: Size = "quick" if quick else "full"
    claims = _chosen(names)
    left, problems = _left(claims, folder, size)
    num_units, workers = sum(map(len, left.values())), jobs or num_cores()
    seconds, unknown = estimate(left, size, workers)
    time = f", about {duration(seconds)} where the published results were measured" if seconds else ""
    without = f" (without {', '.join(unknown)})" if time and unknown else ""
    note(
        f"{plural(len(claims), 'claim')}, {plural(num_units, 'measurement')} to go, {workers} at a time{time}{without}."
    )
    if dry_run:
        if as_json:
            print_json({"claims": [claim.id for claim in claims], "left": num_units, "seconds": seconds})
        return
    check_folder("claims", folder)
    with redirect_stdout(sys.stderr), progress_bar() as bar, LocalWorkers(workers) as executor:
        task = bar.add_task("measurements", total=num_units)
        for claim in claims:
            if claim.id in problems:
                continue
            bar.update(task, description=claim.id)
            try:
                run_claim(claim, folder, size=size, executor=executor, progress=lambda *_: bar.advance(task))
            except (ClaimError, DataError) as error:  # the other claims go on
                problems[claim.id] = f"{claim.id}: {error}" if isinstance(error, DataError) else str(error)
    for problem in problems.values():
        note(problem)
    _conclude(claims, folder, size, as_json)
    if problems:
        raise typer.Exit(1)


@app.command("report")
def report(names: Names = None, quick: Quick = False, folder: Folder = _FOLDER, as_json: AsJson = False) -> None:
    """Judge what has been measured and write the report anew."""
    if not folder.is_dir():
        bad_usage("claims", "--folder", "a folder with measurements", str(folder), "Run `thinout claims run` first.")
    if not _conclude(_chosen(names), folder, "quick" if quick else "full", as_json):
        raise typer.Exit(1)


def _chosen(names: list[str] | None) -> list[Claim]:
    return list({claim.id: claim for claim in map(find, names)}.values()) if names else list(all_claims())


def _left(claims: list[Claim], folder: Path, size: Size) -> tuple[dict[str, list[Unit]], dict[str, str]]:
    """Return what is to be measured, by the claim that measures it, and of damaged claims what is wrong."""
    left, problems = dict[str, "list[Unit]"](), dict[str, str]()
    for claim in claims:
        try:
            left[measured_by(claim).id] = to_measure(folder, claim, size)
        except (ClaimError, UsageError) as error:
            problems[claim.id] = str(error)
    return left, problems


def _conclude(claims: list[Claim], folder: Path, size: Size, as_json: bool) -> bool:
    """Write the page of all claims, show the chosen ones, and return whether everything could be read."""
    entries = entries_of(all_claims(), folder, size)
    page = write_entries(entries, folder, size)
    chosen = [entry for entry in entries if entry.claim in claims]
    if as_json:
        results = {entry.claim.id: entry.result for entry in chosen if entry.result is not None}
        print_json({"results": results, "report": page})
    else:
        rows = [(entry.claim.id, entry.claim.title, entry.verdict, entry.finding) for entry in chosen]
        print_table("", ("claim ", "title ", "verdict ", "finding "), rows)
        out.print(f"Report: {page}", markup=False, soft_wrap=True)
    return not any(entry.problem for entry in chosen)
