"""Speed and memory, measured so that the figures can be trusted.

Contenders take turns in one process, ratios are taken within a round, and nothing is timed before its values were
compared with the reference.
"""

from thinout.lab.bench._equality import check_dropout as check_dropout
from thinout.lab.bench._equality import check_fused as check_fused
from thinout.lab.bench._equality import check_patch as check_patch
from thinout.lab.bench._measure import Contender as Contender
from thinout.lab.bench._measure import Ratio as Ratio
from thinout.lab.bench._measure import Times as Times
from thinout.lab.bench._measure import median_interval as median_interval
from thinout.lab.bench._measure import quiet as quiet
from thinout.lab.bench._measure import take_turns as take_turns
from thinout.lab.bench._provenance import Measurement as Measurement
from thinout.lab.bench._short import short_bench as short_bench
from thinout.lab.bench._short import summary_sentence as summary_sentence
from thinout.lab.bench._steps import perceptron as perceptron
from thinout.lab.bench._steps import training_step as training_step

__all__ = [
    "Contender",
    "Measurement",
    "Ratio",
    "Times",
    "check_dropout",
    "check_fused",
    "check_patch",
    "median_interval",
    "perceptron",
    "quiet",
    "short_bench",
    "summary_sentence",
    "take_turns",
    "training_step",
]
