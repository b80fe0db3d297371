"""What the article says of dropout, claim by claim: stated so that it can be wrong, measured, and judged."""

from thinout.lab.claims._claim import VERDICTS as VERDICTS
from thinout.lab.claims._claim import Claim as Claim
from thinout.lab.claims._claim import ClaimError as ClaimError
from thinout.lab.claims._claim import Effect as Effect
from thinout.lab.claims._claim import Finding as Finding
from thinout.lab.claims._claim import Measurement as Measurement
from thinout.lab.claims._claim import Panel as Panel
from thinout.lab.claims._claim import Unit as Unit
from thinout.lab.claims._claim import collect as collect
from thinout.lab.claims._claim import grid as grid
from thinout.lab.claims._evidence import Evidence as Evidence
from thinout.lab.claims._page import effect_text as effect_text
from thinout.lab.claims._page import write_page as write_page
from thinout.lab.claims._registry import all_claims as all_claims
from thinout.lab.claims._registry import find as find
from thinout.lab.claims._run import judge as judge
from thinout.lab.claims._run import read_measurements as read_measurements
from thinout.lab.claims._run import remaining as remaining
from thinout.lab.claims._run import run_claim as run_claim
from thinout.lab.claims._run import write_result as write_result

__all__ = [
    "VERDICTS",
    "Claim",
    "ClaimError",
    "Effect",
    "Evidence",
    "Finding",
    "Measurement",
    "Panel",
    "Unit",
    "all_claims",
    "collect",
    "effect_text",
    "find",
    "grid",
    "judge",
    "read_measurements",
    "remaining",
    "run_claim",
    "write_page",
    "write_result",
]
