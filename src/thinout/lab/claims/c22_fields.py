"""C22: dropout is a good choice in most cases and in every field: one table over the studies of all cases."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from thinout.lab.cases import names
from thinout.lab.claims._claim import Claim, ClaimError, Effect, Finding, Panel, Size, Unit
from thinout.lab.claims._evidence import Evidence

FOLDERS = ("runs", "docs/results")
_SCORES = {"helps": 1.0, "harms": -1.0}


def units(size: Size) -> Sequence[Unit]:
    """Return every built-in case."""
    return [Unit(arm=name, seed=0) for name in names()]


def measure(unit: Unit, size: Size) -> Mapping[str, float]:
    """Read the verdict of a case's studies: 1 for each that helps, -1 for each that harms; NaN where none was made."""
    studies = [study for study in _studies() if study["study"].get("case") == unit.arm]
    found = [study for study in studies if study["analysis"]["headline"]["arm"] not in _mixed(study)]
    headlines = [study["analysis"]["headline"] for study in found]
    values = [_SCORES.get(headline["verdict"], 0.0) for headline in headlines]
    changes = [
        headline["difference"]["mean"] / study["analysis"]["arms"][0]["metrics"][study["analysis"]["metric"]]["mean"]
        for headline, study in zip(headlines, found, strict=True)
        if headline["difference"]
    ]
    arms = [arm["verdict"] for study in found for arm in study["analysis"]["arms"] if arm["arm"] not in _mixed(study)]
    return {
        "studies": len(found),
        "studies that help": sum(value > 0 for value in values) if found else math.nan,
        "studies that harm": sum(value < 0 for value in values) if found else math.nan,
        "arms that help": arms.count("helps"),
        "arms that harm": arms.count("harms"),
        "relative change": 100 * sum(changes) / len(changes) if changes else math.nan,
    }


def _mixed(study: Mapping[str, Any]) -> set[str]:
    """Return the arms that change more than the rate: what they do is not dropout's doing alone."""
    return {arm["name"] for arm in study["study"].get("arms", ()) if arm.get("recipe")}


def _studies() -> list[Any]:
    """Return what the reports of studies hold, in the folders where studies and published results lie."""
    chosen = os.environ.get("THINOUT_STUDIES")
    roots = [Path(chosen)] if chosen else [Path(folder) for folder in FOLDERS]
    found: dict[str, Any] = {}
    for file in sorted(file for root in roots for file in root.glob("*/results.json")):
        try:
            content = json.loads(file.read_text())
        except ValueError as error:
            raise ClaimError(f"claims: {file} cannot be read ({error}). Delete it, or write it anew.") from error
        if "analysis" in content and "study" in content:
            found.setdefault(content["study"]["command"], content)  # one that was published lies in both folders
    return list(found.values())


def judge(evidence: Evidence) -> Finding:
    """Count the cases in which a study shows that dropout helps."""
    effects, helped, harmed, studied = [], [], [], []
    for case in evidence.arms():
        (made,), (help_,), (harm,) = (
            evidence.values(case, name) for name in ("studies", "studies that help", "studies that harm")
        )
        if made:
            studied.append(case)
            change = evidence.values(case, "relative change")[0]
            good, bad = (evidence.values(case, f"arms that {what}")[0] for what in ("help", "harm"))
            text = (
                f"{case}: {made:.0f} {'study' if made == 1 else 'studies'}, {help_:.0f} help, {harm:.0f} harm; "
                f"of all rates {good:.0f} help, {bad:.0f} harm; change of the metric"
            )
            effects.append(Effect(name=text, value=change, unit="%", n=int(made)))
            helped += [case] if help_ else []
            harmed += [case] if harm else []
    unstudied = len(evidence.arms()) - len(studied)
    text = (
        f"Of {len(studied)} cases that were studied, a study shows at the rate that validation chose that dropout "
        f"helps in {len(helped)} "
        f"({', '.join(helped) or 'none'}) and that it harms in {len(harmed)} ({', '.join(harmed) or 'none'})."
        + (f" {unstudied} cases have no study here." if unstudied else "")
    )
    if not studied or unstudied > len(studied):
        return Finding(verdict="no evidence", sentence=text, effects=tuple(effects))
    if len(helped) > 0.5 * len(studied) and not harmed:
        return Finding(verdict="supported", sentence=text, effects=tuple(effects))
    if helped:
        return Finding(verdict="conditional", condition="the case", sentence=text, effects=tuple(effects))
    return Finding(verdict="refuted" if harmed else "no evidence", sentence=text, effects=tuple(effects))


CLAIM = Claim(
    id="C22",
    section="5",
    title="A good choice in most cases",
    statement="Dropout is a good choice in most cases: for images, text, speech, video, health care and driving.",
    hypothesis="In more than half of the cases that were studied a study shows that dropout helps, and in none that it "
    "harms.",
    refutation="A study shows that it helps in no case, and that it harms in one.",
    data="the reports of studies (results.json) under runs/ and docs/results/, or in the folder that THINOUT_STUDIES "
    "names; nothing is trained",
    arms={"case": "every built-in case"},
    metric="verdict of each study on its own primary metric",
    rule="Supported if dropout helps in more than half of the cases studied and harms in none; conditional if it "
    "helps in some; refuted if it helps in none and harms in some; no evidence if fewer than half of the cases were "
    "studied.",
    units=units,
    measure=measure,
    judge=judge,
    is_always_measured=True,
    panels=(Panel(title="Studies that show that dropout helps", value="studies that help", what="studies"),),
)
