"""Options that several commands take, and how their text becomes values."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from thinout._checks import UsageError, bad_usage
from thinout.lab.case import Recipe
from thinout.lab.data import SKIP_BAD

CaseName = Annotated[str, typer.Argument(metavar="CASE", help="Built-in case, or module:function of your own.")]
DataName = Annotated[
    str | None, typer.Option("--data", help="Data set, see `thinout data list`; for photos also a folder of images.")
]
SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="Of a folder of images, leave out files that are no images, and name them.")
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Override a field of the recipe, e.g. lr=0.01.")
]
_HERE = "command line"  # in messages; `problem` writes "thinout: " before it
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def data_spec(data: str | None, skip_bad: bool) -> str | None:
    """Return the data of a run, with the wish to skip bad files written into their name, where all workers see it.

    Example:
        >>> data_spec("photos", True), data_spec(None, False)
        ('photos?skip-bad', None)
    """
    return f"{data or ''}{SKIP_BAD}" if skip_bad else data


def check_folder(where: str, place: Path) -> None:
    """Raise UsageError where a file stands in the way of a folder that is to be made or used."""
    if any(path.exists() and not path.is_dir() for path in (place, *place.parents)):
        bad_usage(where, "--folder", "a folder", place, "There is a file of that name. Give another --folder.")


def parse_p(text: str) -> float:
    """Return a drop probability written as a decimal or a fraction.

    Example:
        >>> parse_p("1/2"), parse_p("0.25")
        (0.5, 0.25)
    """
    try:
        numerator, slash, denominator = text.partition("/")
        p = float(numerator) / (float(denominator) if slash else 1.0)
    except (ValueError, ZeroDivisionError):
        bad_usage(_HERE, "--p", "a number in [0, 1], as 0.2 or 1/3", repr(text))
    if not 0 <= p <= 1:
        bad_usage(_HERE, "--p", "a number in [0, 1]", text)
    return p


def parse_settings(settings: list[str] | None) -> dict[str, Any]:
    """Return recipe overrides written as ``field=value``."""
    fields = {field.name: str(field.type) for field in dataclasses.fields(Recipe)}
    parsed = {}
    for setting in settings or []:
        name, equals, text = setting.partition("=")
        if not equals or name not in fields:
            bad_usage(_HERE, "--set", "FIELD=VALUE with a field of " + ", ".join(fields), repr(setting))
        parsed[name] = _value(name, text, fields[name])
    return parsed


def checked_recipe(recipe: Recipe, overrides: dict[str, Any]) -> Recipe:
    """Return a recipe with overrides; what does not fit is a usage error."""
    try:
        return dataclasses.replace(recipe, **overrides)
    except (ValueError, TypeError) as error:
        raise UsageError(str(error)) from error


_BOOLS = {"true": True, "false": False}


def _value(name: str, text: str, kind: str) -> Any:
    if "None" in kind and text.lower() == "none":
        return None
    if kind == "bool":
        if text.lower() not in _BOOLS:
            bad_usage(_HERE, f"--set {name}", "true or false", repr(text))
        return _BOOLS[text.lower()]
    try:
        return int(text) if kind.startswith("int") else float(text) if kind.startswith("float") else text
    except ValueError:
        bad_usage(_HERE, f"--set {name}", f"of type {kind}", repr(text))
