"""The sentences of an analysis: each says what was seen, over how many seeds, and no more."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from thinout.lab.analysis._results import ArmResult, Convergence, FailedRun
from thinout.lab.rows import Row
from thinout.lab.statistics import MIN_PAIRS, PairedDifference, Verdict

_NAMES = {"nll": "NLL", "error": "error", "ece": "ECE", "balanced_error": "balanced error"}
_UNITS = {"nll": (1.0, "nats")} | dict.fromkeys(("error", "ece", "balanced_error"), (100.0, "percentage points"))


def baseline_sentence(baseline: str, metric: str, others: Sequence[ArmResult]) -> str:
    """Say that nothing was better than the baseline on validation, and which arms were shown to harm."""
    if not others:
        return f"Nothing to compare: only {baseline} has finished runs."
    if max(len(arm.paired_seeds) for arm in others) < MIN_PAIRS:
        return f"Too few seeds for a verdict: run at least {MIN_PAIRS}. So far {baseline} is best on validation."
    text = f"No evidence that any arm helps here: {baseline} has the lowest validation {_NAMES[metric]}"
    harmful = [arm.arm for arm in others if arm.verdict == "harms"]
    return f"{text}, and {_listed(harmful)} shown to harm on test." if harmful else f"{text}."


def verdict_sentence(
    arm: str,
    is_dropout: bool,
    verdict: Verdict,
    *,
    difference: PairedDifference,
    metric: str,
    margin: float,
    seeds: int | None,
) -> str:
    """Say what the comparison of the chosen arm with the baseline shows; of dropout where nothing else differs."""
    subject = "dropout" if is_dropout else arm
    change = _change(arm if is_dropout else "it", difference, metric, directed=verdict in ("helps", "harms"))
    if verdict in ("helps", "harms"):
        return _capital(f"{subject} {verdict} here: {change}.")
    if verdict == "equivalent":
        return _capital(f"{subject} makes no difference that matters here: {change}; margin {_amount(margin, metric)}.")
    if verdict == "too few seeds":
        return f"Too few seeds for a verdict on {arm}: {change}; run at least {MIN_PAIRS} seeds."
    needed = f"about {seeds:,} seeds" if seeds else "more than 100,000 seeds"
    return f"No evidence that {subject} helps here: {change}. To see an effect of this size takes {needed}."


def confounding_note(arm: str, p: float, changed: Sequence[str]) -> str | None:
    """Say so where an arm with dropout differs from the baseline in its recipe too."""
    if not changed or not p:
        return None
    fields = " and ".join(changed)
    return f"{arm} differs from the baseline in {fields} too: what it does is not dropout's doing alone."


def notes(
    convergence: Convergence,
    late: Sequence[Row],
    failed: Sequence[FailedRun],
    pairs: Mapping[str, Sequence[tuple[Row, Row]]],
) -> list[str]:
    """Return what a reader must know beside the numbers; `late` are the runs that did not converge."""
    found = []
    if not convergence.converged:
        counts = f"{convergence.num_converged} of {convergence.num_runs}"
        found.append(
            f"The study did not converge: only {counts} runs had their best validation epoch "
            f"before the last fifth of their epochs. {_longer(late)} before you rely on the answer."
        )
    if failed:
        found.append(
            f"{len(failed)} run(s) failed and are in no number: {', '.join(f'{r.arm} seed {r.seed}' for r in failed)}. "
            "An arm that loses its bad runs looks better than it is."
        )
    return found + [note for arm in pairs for note in _pairing_notes(arm, pairs[arm])]


def _longer(late: Sequence[Row]) -> str:
    """Say which field of the recipe ended the late runs: with more epochs alone, patience would stop them again."""
    impatient = sum(row.num_epochs < row.config.get("recipe", {}).get("epochs", 0) for row in late)
    if not impatient:
        return "Raise epochs"
    return "Raise patience" if impatient == len(late) else "Raise epochs and patience"


def choice_note(arm: ArmResult, verdict: Verdict) -> str | None:
    """Say so where the headline stands on one test alone and not after the correction for the number of arms."""
    if verdict != arm.verdict and verdict in ("helps", "harms"):
        return (
            f"Read the headline with care: corrected for the number of arms (Holm), the verdict on {arm.arm} "
            f"is: {arm.verdict} (p-value {p_value_text(arm.p_holm)})."
        )
    return None


def p_value_text(p_value: float | None) -> str:
    """Return a p-value as a reader wants it.

    Example:
        >>> p_value_text(0.0312), p_value_text(1e-9), p_value_text(None)
        ('0.031', '< 0.0001', 'unknown')
    """
    if p_value is None:
        return "unknown"
    return "< 0.0001" if p_value < 1e-4 else f"{p_value:.2g}"


def _pairing_notes(arm: str, pairs: Sequence[tuple[Row, Row]]) -> list[str]:
    unequal: dict[str, list[int]] = {}
    for row, other in pairs:
        for name in sorted(row.fingerprints.keys() & other.fingerprints.keys()):
            if row.fingerprints[name] != other.fingerprints[name]:
                unequal.setdefault(name, []).append(row.seed)
    return [
        f"{arm} and the baseline do not share the same {name} in {len(seeds)} of {len(pairs)} pairs: "
        "their difference is not due to the arm alone."
        for name, seeds in unequal.items()
    ]


def _change(subject: str, difference: PairedDifference, metric: str, *, directed: bool) -> str:
    factor, unit = _UNITS[metric]
    mean, bounds = factor * difference.mean, [factor * b for b in (difference.low, difference.high) if b is not None]
    digits = _digits((bounds[1] - bounds[0]) / 2 if bounds else abs(mean))
    if directed:
        verb = "lowers" if mean < 0 else "raises"
        shown, bounds = f"{abs(mean):.{digits}f}", sorted(math.copysign(1, mean) * bound for bound in bounds)
    else:
        verb, shown = "changes", f"{mean:+.{digits}f}"
    interval = f" [{', '.join(f'{bound:.{digits}f}' for bound in bounds)}]" if bounds else ""
    evidence = f"{difference.n} seed{'s' if difference.n > 1 else ''}, p-value {p_value_text(difference.p_value)}"
    return f"{subject} {verb} test {_NAMES[metric]} by {shown}{interval} {unit} ({evidence})"


def _amount(value: float, metric: str) -> str:
    factor, unit = _UNITS[metric]
    return f"{factor * value:.2g} {unit}"


def _digits(scale: float) -> int:
    """Return the decimals that show two significant digits of a scale."""
    return min(8, max(0, 1 - math.floor(math.log10(scale)))) if scale > 0 else 3


def _listed(names: Sequence[str]) -> str:
    return f"{names[0]} is" if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]} are"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
