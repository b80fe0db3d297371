"""What the figures are given: names with means and intervals, nothing that knows of rows or studies."""

from __future__ import annotations

from dataclasses import dataclass

from thinout.lab.report._text import interval, is_number, number


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean with its interval.

    Args:
        name: whose it is.
        mean: the mean; None or NaN where there is none.
        low: lower end of the interval, or None.
        high: upper end.
        note: a word beside it, such as the verdict.
        place: place of the arm in the study, which gives its colour and marker.
    """

    name: str
    mean: float | None
    low: float | None = None
    high: float | None = None
    note: str = ""
    place: int = 0

    @property
    def is_known(self) -> bool:
        """Whether there is a mean to draw."""
        return is_number(self.mean)

    @property
    def bar(self) -> tuple[float, float] | None:
        """Distances from the mean to the ends of the interval."""
        if self.mean is None or self.low is None or self.high is None:
            return None
        return (self.mean - self.low, self.high - self.mean) if is_number(self.high - self.low) else None

    def text(self, decimals: int = 3, *, signed: bool = False) -> str:
        """Return mean and interval as a reader sees them."""
        if not self.is_known:
            return "not measured"
        ends = interval(self.low, self.high, decimals, signed=signed)
        return f"{number(self.mean, decimals, signed=signed)} {ends}".rstrip()
