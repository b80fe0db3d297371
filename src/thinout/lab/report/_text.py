"""Numbers and names as a reader sees them; whatever is not a finite number reads as a dash."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence

MISSING = "–"
NO_BREAK = "\N{NO-BREAK SPACE}"
PERCENT = ("error", "ece", "balanced_error")
UNITS = {"nll": "nats", "gap": "nats", "error": "%", "ece": "%", "balanced_error": "%", "seconds": "s"}
TITLES = {
    "nll": "Test NLL",
    "error": "Test error",
    "gap": "Generalisation gap",
    "ece": "Test calibration error",
    "balanced_error": "Balanced test error",
    "seconds": "Time of a run",
}


def is_number(value: object) -> bool:
    """Tell whether a value is a finite number.

    Example:
        >>> is_number(0.5), is_number(float("nan")), is_number(None)
        (True, False, False)
    """
    return isinstance(value, (int, float)) and math.isfinite(value)


def number(value: float | None, decimals: int = 3, *, signed: bool = False) -> str:
    """Format one number with a true minus sign.

    Example:
        >>> number(-0.03149), number(0.25, 2, signed=True), number(None)
        ('−0.031', '+0.25', '–')
    """
    if value is None or not is_number(value):
        return MISSING
    text = f"{value:+.{decimals}f}" if signed else f"{value:.{decimals}f}"
    if not float(text):
        text = text.lstrip("+-")
    return text.replace("-", "−")


def interval(low: float | None, high: float | None, decimals: int = 3, *, signed: bool = False) -> str:
    """Format an interval so that no line breaks within it.

    Example:
        >>> interval(-0.04, -0.02, 2).replace(NO_BREAK, " "), interval(None, None)
        ('[−0.04, −0.02]', '')
    """
    if not (is_number(low) and is_number(high)):
        return ""
    return f"[{number(low, decimals, signed=signed)},{NO_BREAK}{number(high, decimals, signed=signed)}]"


def p_value(value: float | None) -> str:
    """Format a p-value.

    Example:
        >>> p_value(0.0312), p_value(1e-9), p_value(None)
        ('0.031', '< 0.0001', 'unknown')
    """
    if value is None:
        return "unknown"
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}"


def decimals(values: Sequence[float | None], *, least: int = 3, most: int = 7) -> int:
    """Return how many decimals show two significant digits of the smallest of some widths.

    Example:
        >>> decimals([0.02, 0.5]), decimals([0.0004]), decimals([])
        (3, 5, 3)
    """
    widths = [abs(value) for value in values if value is not None and is_number(value) and value]
    if not widths:
        return least
    return min(max(1 - math.floor(math.log10(min(widths))), least), most)


def factor(metric: str) -> float:
    """Return what a metric is multiplied by for a reader: shares are shown in percent."""
    return 100.0 if metric in PERCENT else 1.0


def unit(metric: str) -> str:
    """Return the unit that a metric is shown in."""
    return UNITS.get(metric, "")


def title(metric: str) -> str:
    """Return how a metric is called in headings."""
    return TITLES.get(metric, metric)


def lower_title(metric: str) -> str:
    """Return how a metric is called within a sentence.

    Example:
        >>> lower_title("nll")
        'test NLL'
    """
    name = title(metric)
    return name[:1].lower() + name[1:]


def clean(text: object) -> str:
    """Return a name without the control characters that neither XML nor HTML can hold.

    Example:
        >>> clean("p=0.5" + chr(0))
        'p=0.5�'
    """
    return "".join("\ufffd" if unicodedata.category(char) in ("Cc", "Cs") else char for char in str(text))


def shorten(text: object, length: int = 14) -> str:
    """Return a name that fits beside an axis.

    Example:
        >>> shorten("weight-decay and more", 14)
        'weight-decay …'
    """
    name = clean(text)
    return name if len(name) <= length else name[: length - 1] + "…"


def plural(count: int, noun: str) -> str:
    """Count something.

    Example:
        >>> plural(1, "seed"), plural(5, "seed")
        ('1 seed', '5 seeds')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
