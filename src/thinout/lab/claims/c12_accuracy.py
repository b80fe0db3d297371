"""C12: dropout raises accuracy. It judges the measurements of C01."""

from __future__ import annotations

from thinout.lab.claims import c01_overfitting as c01
from thinout.lab.claims._claim import Claim, Finding, Panel
from thinout.lab.claims._evidence import Evidence


def judge(evidence: Evidence) -> Finding:
    """Ask at how many sizes the test error falls."""
    effects = c01.changes(evidence, "test error", "percentage points")
    better, worse = c01.sizes_where(effects, lower=True), c01.sizes_where(effects, lower=False)
    text = (
        f"With p = 0.5 the test error is lower at {len(better)} of {len(effects)} sizes of the training set and "
        f"higher at {len(worse)}; the largest fall is {-min(effect.value for effect in effects):.2f} percentage points."
    )
    if len(better) == len(effects):
        return Finding(verdict="supported", sentence=text, effects=tuple(effects))
    if better:
        condition = "the number of training images"
        return Finding(verdict="conditional", condition=condition, sentence=text, effects=tuple(effects))
    return Finding(verdict="refuted" if worse else "no evidence", sentence=text, effects=tuple(effects))


CLAIM = Claim(
    id="C12",
    section="4.1.1",
    title="Accuracy",
    statement="Dropout raises accuracy.",
    hypothesis="With p = 0.5 the test error is lower than without dropout, whatever the size of the training set.",
    refutation="The test error is lower at no size, and higher at some.",
    data=c01.DATA,
    arms=c01.ARMS,
    metric="test error in per cent, dropout off, at the best validation epoch",
    rule="p = 0.5 against none, paired by seed, significant at 0.05 over the number of sizes. Supported if the error "
    "falls at every size, conditional if at some, refuted if at none while it rises at some, else no evidence.",
    units=c01.units,
    measure=c01.measure,
    judge=judge,
    panels=(
        Panel(title="Test error", value="test error", what="test error in %", axis="training images", log="x"),
        Panel(title="Training error", value="train error", what="training error in %", axis="training images", log="x"),
    ),
    data_sets=("fashion-mnist",),
    shares="C01",
    references=("Srivastava et al. 2014, JMLR 15:1929-1958, section 7.4",),
)
