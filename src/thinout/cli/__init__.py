"""The command line: parse, call, print. No logic lives here."""

from __future__ import annotations

import sys
import traceback
from typing import Annotated

import typer
from typer.exceptions import TyperException

import thinout
from thinout._checks import ThinoutError
from thinout.cli import _bench, _claims, _data, _study, _train
from thinout.cli._output import problem

_INTERRUPTED = 130  # what Typer makes of Ctrl-C, without a word

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Does dropout help this network, on this data? `thinout study CASE` answers with statistics.",
    epilog="Exit status: 0 done, 1 failed, 2 asked for something that cannot be.",
)
app.command("study")(_study.study)
app.command("report")(_study.report)
app.command("train")(_train.train)
app.command("summary")(_train.summary)
app.command("bench")(_bench.bench)
app.add_typer(_claims.app, name="claims")
app.add_typer(_data.app, name="data")


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(thinout.__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks; allowed anywhere.")] = False,
) -> None:
    """Take the options that every command has."""


def run(arguments: list[str] | None = None) -> int:
    """Run a command line and return its exit status; every failure ends in one sentence on standard error."""
    given = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in given
    try:
        status = app(args=[word for word in given if word != "--debug"], standalone_mode=False, prog_name="thinout")
        if status == _INTERRUPTED:
            raise KeyboardInterrupt
        return int(status or 0)
    except TyperException as error:
        if text := error.format_message():  # empty where help was printed, for a command without arguments
            end = "" if text.endswith((".", "?")) else "."
            problem(f"{text}{end} See thinout --help.")
        return 2
    except (typer.Abort, KeyboardInterrupt):
        problem("Stopped.")
        return 1
    except ThinoutError as error:
        _show_traceback(debug)
        problem(str(error))
        return error.exit_status
    except ModuleNotFoundError as error:
        _show_traceback(debug)
        package = str(error.name).partition(".")[0]
        problem(f"this command needs {package}. Install it with: pip install 'thinout[lab]'")
        return 1
    except Exception as error:  # the last fence: whatever happens, a user gets one sentence
        _show_traceback(debug)
        problem(f"{type(error).__name__}: {error}. Give the command again with --debug to see where.")
        return 1


def _show_traceback(debug: bool) -> None:
    if debug:
        traceback.print_exc()
