"""One page over all claims: a table of verdicts, then for each claim its statement, verdict, pictures and command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thinout._checks import UsageError
from thinout.lab.claims._claim import Claim, ClaimError, Effect, Size, collect
from thinout.lab.claims._figures import panel_svg
from thinout.lab.claims._run import measured_by, read_measurements, remaining, write_result
from thinout.lab.rows import write_atomically


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A claim on the page; `result` is None where it has not been run, or where its files are damaged (`problem`)."""

    claim: Claim
    result: dict[str, Any] | None
    figures: Sequence[tuple[str, str]] = ()
    command: str = ""
    problem: str = ""
    size: Size = "full"

    @property
    def verdict(self) -> str:
        """Its verdict, or that there is none."""
        if self.problem:
            return "cannot be read"
        if self.result is None:
            return "not run"
        verdict: str = self.result["finding"]["verdict"]
        return verdict if self.result["size"] == "full" else f"quick run: {verdict}"

    @property
    def finding(self) -> str:
        """What was found, and on what it depends; or why there is nothing."""
        if self.result is None:
            return self.problem
        condition = self.result["finding"]["condition"]
        sentence: str = self.result["finding"]["sentence"]
        return f"{sentence} Conditional on: {condition}." if condition else sentence

    @property
    def style(self) -> str:
        """CSS class of the verdict."""
        return self.verdict.replace(" ", "-").replace(":", "")

    @property
    def num_seeds(self) -> int:
        """How many seeds each of its arms has."""
        return len({unit.seed for unit in measured_by(self.claim).units(self.size)})

    @property
    def effects(self) -> list[tuple[str, str]]:
        """Pairs (name, number with interval)."""
        found = [] if self.result is None else self.result["finding"]["effects"]
        return [(effect["name"], effect_text(Effect(**effect))) for effect in found]


def effect_text(effect: Effect) -> str:
    """Return an effect as a reader sees it.

    Example:
        >>> effect_text(Effect(name="change", value=-0.0213, low=-0.03, high=-0.01, unit="nats", n=8, p_value=0.002))
        '-0.0213 [-0.03, -0.01] nats (n = 8, p-value 0.002)'
    """
    bounds = "" if effect.low is None or effect.high is None else f" [{effect.low:.3g}, {effect.high:.3g}]"
    test = "" if effect.p_value is None else f", p-value {effect.p_value:.2g}"
    unit = f" {effect.unit}" if effect.unit else ""
    return f"{effect.value:.3g}{bounds}{unit} (n = {effect.n}{test})"


def entry(claim: Claim, folder: Path, size: Size) -> Entry:
    """Judge a claim by what the folder has of it."""
    command = f"thinout claims run {claim.id}" + (" --quick" if size == "quick" else "")
    try:
        if remaining(folder, claim, size):
            return Entry(claim=claim, result=None, command=command, size=size)
        result = write_result(claim, folder, size)
    except (ClaimError, UsageError) as error:  # one damaged file does not take the page of the others
        return Entry(claim=claim, result=None, command=command, problem=str(error), size=size)
    evidence = collect(read_measurements(folder, claim, size))
    figures = [
        (panel.title, panel_svg(f"{claim.id.lower()}-{place}", panel, evidence))
        for place, panel in enumerate(claim.panels)
    ]
    return Entry(claim=claim, result=result, figures=figures, command=command, size=size)


def write_page(claims: Sequence[Claim], folder: Path, size: Size) -> Path:
    """Write the page of some claims into their folder, judging anew what has been measured."""
    return write_entries(entries_of(claims, folder, size), folder, size)


def entries_of(claims: Sequence[Claim], folder: Path, size: Size) -> list[Entry]:
    """Return claims as they stand on the page, judging anew what has been measured."""
    return [entry(claim, folder, size) for claim in claims]


def write_entries(entries: Sequence[Entry], folder: Path, size: Size) -> Path:
    """Write the page of claims that were judged."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader("thinout.lab.claims"), jinja2.PackageLoader("thinout.lab.report")]
        ),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    text = environment.get_template("claims.html.j2").render(entries=entries, quick=size == "quick")
    path = folder / ("report.html" if size == "full" else "report-quick.html")
    write_atomically(path, text.lstrip().encode())
    return path
