"""`thinout claims`: what is said of dropout, put to the test."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from thinout.cli._options import AsJson
from thinout.cli._output import duration, note, out, print_json, print_table, progress_bar
from thinout.lab.claims import Claim, ClaimError, all_claims, find, remaining, run_claim, write_page, write_result
from thinout.lab.claims._claim import Size
from thinout.lab.claims._times import estimate
from thinout.lab.data import DataError
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
    left = {claim.id: remaining(folder, claim, size) for claim in claims}
    num_units, workers = sum(map(len, left.values())), jobs or num_cores()
    seconds = estimate(left, size, workers)
    time = "" if seconds is None else f", about {duration(seconds)} where the published results were measured"
    note(f"{len(claims)} claims, {num_units} measurements to go, {workers} at a time{time}.")
    if dry_run:
        if as_json:
            print_json({"claims": [claim.id for claim in claims], "left": num_units, "seconds": seconds})
        return
    problems = []
    with redirect_stdout(sys.stderr), progress_bar() as bar, LocalWorkers(workers) as executor:
        task = bar.add_task("measurements", total=num_units)
        for claim in claims:
            bar.update(task, description=claim.id)
            try:
                run_claim(claim, folder, size=size, executor=executor, progress=lambda *_: bar.advance(task))
            except (ClaimError, DataError) as error:  # the other claims go on
                problems.append(f"{claim.id}: {error}" if isinstance(error, DataError) else str(error))
    for problem in problems:
        note(problem)
    _conclude(claims, folder, size, as_json)
    if problems:
        raise typer.Exit(1)


@app.command("report")
def report(names: Names = None, quick: Quick = False, folder: Folder = _FOLDER, as_json: AsJson = False) -> None:
    """Judge what has been measured and write the report anew."""
    _conclude(_chosen(names), folder, "quick" if quick else "full", as_json)


def _chosen(names: list[str] | None) -> list[Claim]:
    return [find(name) for name in names] if names else list(all_claims())


def _conclude(claims: list[Claim], folder: Path, size: Size, as_json: bool) -> None:
    done = [claim for claim in claims if not remaining(folder, claim, size)]
    results = {claim.id: write_result(claim, folder, size) for claim in done}
    page = write_page(claims, folder, size)
    if as_json:
        print_json({"results": results, "report": page})
        return
    rows = [(claim.id, claim.title, *_verdict(results.get(claim.id))) for claim in claims]
    print_table("", ("claim ", "title ", "verdict ", "finding "), rows)
    out.print(f"Report: {page}", markup=False, soft_wrap=True)


def _verdict(result: dict[str, object] | None) -> tuple[str, str]:
    if result is None:
        return "not run", ""
    finding = result["finding"]
    return (finding["verdict"], finding["sentence"]) if isinstance(finding, dict) else ("", "")
