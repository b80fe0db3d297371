"""The built-in cases, and how a case is found by its name."""

from thinout.lab.cases._registry import names as names
from thinout.lab.cases._registry import resolve as resolve

__all__ = ["names", "resolve"]
