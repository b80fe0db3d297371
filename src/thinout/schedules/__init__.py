"""Rates as functions of the optimiser's step and of depth, and what sets them in a model.

    scheduler = DropoutScheduler(model, Linear(0.0, 0.3, num_steps=10_000))
    for batch in batches:
        loss(model, batch).backward()
        optimizer.step()
        optimizer.zero_grad()
        scheduler.step()

A schedule is any function ``schedule(step) -> p`` of the number of steps that the optimiser has taken; those of this
module are values that compare, print as their constructor call, and cannot leave [0, 1].
"""

from thinout.schedules._check import check_schedule as check_schedule
from thinout.schedules._curves import Annealed as Annealed
from thinout.schedules._curves import Constant as Constant
from thinout.schedules._curves import Cosine as Cosine
from thinout.schedules._curves import Curriculum as Curriculum
from thinout.schedules._curves import Early as Early
from thinout.schedules._curves import Late as Late
from thinout.schedules._curves import Linear as Linear
from thinout.schedules._curves import Piecewise as Piecewise
from thinout.schedules._curves import Schedule as Schedule
from thinout.schedules._depth import expected_depth as expected_depth
from thinout.schedules._depth import linear_rates as linear_rates
from thinout.schedules._depth import progressive_rates as progressive_rates
from thinout.schedules._scheduler import DropoutScheduler as DropoutScheduler

__all__ = [
    "Annealed",
    "Constant",
    "Cosine",
    "Curriculum",
    "DropoutScheduler",
    "Early",
    "Late",
    "Linear",
    "Piecewise",
    "Schedule",
    "check_schedule",
    "expected_depth",
    "linear_rates",
    "progressive_rates",
]
