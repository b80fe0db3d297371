"""`thinout data list | fetch | check`."""

from __future__ import annotations

from typing import Annotated

import typer

from thinout.cli._options import AsJson
from thinout.cli._output import note, out, print_json, print_table, progress_bar
from thinout.lab import data

app = typer.Typer(no_args_is_help=True, help="Data sets: what there is, where it lies, how to get it.")
Name = Annotated[str, typer.Argument(help="Name of a data set.")]


def _state(name: str) -> str:
    states = {file.state for file in data.check(name)}
    return "here" if states <= {"ok", "unverified"} else "damaged" if "differs" in states else "not here"


@app.command("list")
def list_sets(as_json: AsJson = False) -> None:
    """List the data sets and whether they are here."""
    sets = [data.describe(name) for name in data.names()]
    if as_json:
        print_json([{"name": each.name, "title": each.title, "state": _state(each.name)} for each in sets])
        return
    rows = [
        (each.name, each.title, each.num_classes, f"{each.num_train:,} + {each.num_test:,}", _state(each.name))
        for each in sets
    ]
    print_table("", ("name ", "title ", "classes", "train + test", "state "), rows)


@app.command("fetch")
def fetch(name: Name) -> None:
    """Download a data set into the cache folder, checksums verified."""
    with progress_bar() as bar:
        tasks: dict[str, int] = {}

        def show(file: str, done: int, size: int) -> None:
            task = tasks.setdefault(file, bar.add_task(file, total=size) if file not in tasks else 0)
            bar.update(task, completed=done)  # type: ignore[arg-type]  # a TaskID is an int

        paths = data.fetch(name, show)
    for path in paths:
        out.print(str(path), markup=False, soft_wrap=True)


@app.command("check")
def check(name: Name, as_json: AsJson = False) -> None:
    """Compare the files of a data set with their checksums."""
    files = data.check(name)
    if as_json:
        print_json([{"file": each.file.name, "path": each.path, "state": each.state} for each in files])
    else:
        print_table("", ("file ", "state ", "path "), [(each.file.name, each.state, each.path) for each in files])
    if any(each.state not in ("ok", "unverified") for each in files):
        note(data.how_to_get(data.describe(name)))
        raise typer.Exit(1)
