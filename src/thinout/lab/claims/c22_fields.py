"""C22: dropout is a good choice in most cases and in every field: one table over the studies of all cases."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from thinout.lab.cases import names
from thinout.lab.claims._claim import Claim, ClaimError, Effect, Finding, Panel, Size, Unit
from thinout.lab.claims._evidence import Evidence
from thinout.lab.statistics import MIN_PAIRS, holm

FOLDERS = ("runs", "docs/results")
LEVEL = 0.05


def units(size: Size) -> Sequence[Unit]:
    """Return every built-in case."""
    return [Unit(arm=name, seed=0) for name in names()]


def measure(unit: Unit, size: Size) -> Mapping[str, float]:
    """Read what a case's studies say of dropout: how many there are, and of each the rate that validation chose."""
    studies = [study for study in _studies() if study["study"].get("case") == unit.arm]
    read = [found for study in studies if (found := _of_study(study)) is not None]
    verdicts = [arm["verdict"] for study in studies for arm in _pure(study)[1:]]
    values: dict[str, float] = {
        "studies": len(read),
        "studies left out": len(studies) - len(read),
        "arms that help": verdicts.count("helps"),
        "arms that harm": verdicts.count("harms"),
    }
    for number, found in enumerate(read, 1):
        values |= {f"study {number}: {name}": value for name, value in found.items()}
    return values


def _of_study(study: Mapping[str, Any]) -> dict[str, float] | None:
    """Return the rate of lowest validation metric and what it changes on test.

    None of a study that is too small, whose baseline has dropout, or whose baseline's metric is 0, so that no change of
    it is a percentage.
    """
    baseline, *others = _pure(study)
    others = [arm for arm in others if len(arm["paired_seeds"]) >= MIN_PAIRS]
    metric = baseline["metrics"][study["analysis"]["metric"]]["mean"]
    if not others or baseline["p"] or not metric:
        return None
    best = min((baseline, *others), key=lambda arm: float(arm["validation"]["mean"]))
    found: dict[str, float] = {"p": float(best["p"])}
    if best is baseline:
        found |= {"change, mean": 0.0, "pairs": max(len(arm["paired_seeds"]) for arm in others)}
    else:
        change, scale = best["difference"], 100 / metric
        found["pairs"] = len(best["paired_seeds"])
        found |= {f"change, {end}": scale * change[end] for end in ("mean", "low", "high")}
        found["p-value"] = change["p_value"]
    return found


def _pure(study: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the baseline and the arms that differ from it in their rate alone: what others do is not dropout's."""
    recipes = {arm["name"]: arm.get("recipe") or {} for arm in study["study"].get("arms", ())}
    baseline = study["analysis"]["baseline"]
    own = recipes.get(baseline, {})
    arms = [arm for arm in study["analysis"]["arms"] if recipes.get(arm["arm"], {}) == own]
    return sorted(arms, key=lambda arm: arm["arm"] != baseline)


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
            command = content["study"].get("command") or str(file)  # a report need not know its command
            found.setdefault(json.dumps(command), content)  # one that was published lies in both folders
    return list(found.values())


def judge(evidence: Evidence) -> Finding:
    """Count the cases in which a study shows that dropout helps, corrected for the number of studies."""
    effects, tests, studied = list[Effect](), list[tuple[str, float, float]](), list[str]()
    for case in evidence.arms():
        number = int(evidence.values(case, "studies")[0])
        studied += [case] if number else []
        for study in range(1, number + 1):
            rate, pairs, change, low, high, p_value = (
                evidence.values(case, f"study {study}: {name}")[0]
                for name in ("p", "pairs", "change, mean", "change, low", "change, high", "p-value")
            )
            which = f"{case}, study {study} of {number}" if number > 1 else case
            if not rate:
                effects.append(
                    Effect(name=f"{which}: validation chose none; change", value=0.0, unit="%", n=int(pairs))
                )
                continue
            name = f"{which}: change of the metric with p = {rate:.3g}"
            effects.append(Effect(
                name=name, value=change, low=low, high=high, unit="%", n=int(pairs), p_value=p_value,
            ))  # fmt: skip
            tests.append((case, change, p_value))
    unstudied = len(evidence.arms()) - len(studied)
    adjusted = holm([p_value for *_, p_value in tests])
    plain = [(case, change) for case, change, p_value in tests if p_value < LEVEL]
    firm = [(case, change) for (case, change, _), value in zip(tests, adjusted, strict=True) if value < LEVEL]
    helped, harmed = _signs(firm)
    text = (
        f"Of {len(studied)} cases that were studied, dropout at the rate that validation chose is shown to help in "
        f"{_listed(helped)} and to harm in {_listed(harmed)}, corrected for {len(tests)} comparisons; uncorrected, to "
        f"help in {_listed(_signs(plain)[0])} and to harm in {_listed(_signs(plain)[1])}."
        + (f" {unstudied} cases have no study here." if unstudied else "")
    )
    if not studied or unstudied > len(studied):
        return Finding(verdict="no evidence", sentence=text, effects=tuple(effects))
    if len(helped) > 0.5 * len(studied) and not harmed:
        return Finding(verdict="supported", sentence=text, effects=tuple(effects))
    if helped:
        return Finding(verdict="conditional", condition="the case", sentence=text, effects=tuple(effects))
    return Finding(verdict="refuted" if harmed else "no evidence", sentence=text, effects=tuple(effects))


def _signs(tests: Sequence[tuple[str, float]]) -> tuple[list[str], list[str]]:
    """Return the cases with a fall, which is better, and those with a rise, each once."""
    better, worse = ([case for case, change in tests if (change < 0) == lower] for lower in (True, False))
    return list(dict.fromkeys(better)), list(dict.fromkeys(worse))


def _listed(cases: Sequence[str]) -> str:
    return f"{len(cases)} ({', '.join(cases)})" if cases else "none"


CLAIM = Claim(
    id="C22",
    section="5",
    title="A good choice in most cases",
    statement="Dropout is a good choice in most cases: for images, text, speech, video, health care and driving.",
    hypothesis="In more than half of the cases that were studied a study shows that dropout helps, and in none that it "
    "harms.",
    refutation="A study shows that it helps in no case, and that it harms in one.",
    data="the reports of studies (results.json) under runs/ and docs/results/, or in the folder that THINOUT_STUDIES "
    f"names, of at least {MIN_PAIRS} seeds; nothing is trained",
    arms={"case": "every built-in case"},
    metric="change of each study's primary metric by dropout, of the rates alone, at that of the lowest validation "
    "metric; where that is none, no change",
    rule="Paired by seed, significant at 0.05 by Holm's method over the studies whose validation chose a rate. "
    "Supported if dropout helps in more than half of the cases studied and harms in none; conditional if it helps in "
    "some; refuted if it helps in none and harms in some; no evidence if it is shown to do neither, or if fewer than "
    "half of the cases were studied.",
    units=units,
    measure=measure,
    judge=judge,
    is_always_measured=True,
    panels=(
        Panel(
            title="Change of the metric at the rate that validation chose, of each case's first study",
            value="study 1: change, mean",
            what="% (a fall is better)",
        ),
    ),
)
