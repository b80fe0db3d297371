"""The figures of a report: data in, SVG text out; each stands alone and can be used on other pages."""

from thinout.lab.report.figures._curves import ArmCurves, Band, curves, limits
from thinout.lab.report.figures._data import Estimate
from thinout.lab.report.figures._images import confusion_matrix, confusion_width, confusions, filters
from thinout.lab.report.figures._intervals import forest, intervals
from thinout.lab.report.figures._layers import sparsity
from thinout.lab.report.figures._rates import against_rate

__all__ = [
    "ArmCurves",
    "Band",
    "Estimate",
    "against_rate",
    "confusion_matrix",
    "confusion_width",
    "confusions",
    "curves",
    "filters",
    "forest",
    "intervals",
    "limits",
    "sparsity",
]
