"""From rows to an answer: what a study shows about each arm, and about the one arm chosen on validation."""

from __future__ import annotations

from thinout.lab.analysis._compare import analyse
from thinout.lab.analysis._results import METRICS, Analysis, ArmResult, Convergence, FailedRun, Headline

__all__ = ["METRICS", "Analysis", "ArmResult", "Convergence", "FailedRun", "Headline", "analyse"]
