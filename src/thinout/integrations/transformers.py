"""Transformers: a schedule of dropout rates as a callback of its Trainer.

trainer = Trainer(model, arguments, callbacks=[DropoutScheduleCallback(Early(0.1, cutoff=5_000))], ...)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from thinout._matching import Match
from thinout.integrations._optional import find_base, need_base
from thinout.schedules import DropoutScheduler
from thinout.schedules._check import RateSchedule
from thinout.schedules._scheduler import Depth

__all__ = ["DropoutScheduleCallback"]

_Callback: Any = find_base("TrainerCallback", "transformers")


class DropoutScheduleCallback(_Callback):
    """Set the rates of a model's layers by a schedule over the optimiser's steps.

    The step is the Trainer's ``global_step``, which counts the optimiser's steps, not the batches whose gradients are
    accumulated. The Trainer keeps it in its checkpoints, so that a resumed training goes on with the rate where it
    stopped; it has no place for the schedule, which must be given again. A step that mixed precision skips is counted,
    as the Trainer counts it.

    Args:
        schedule: function from the step to the rate, or a mapping from patterns or types to such functions.
        match: the layers, as in `thinout.schedules.DropoutScheduler`.
        frozen: layers that are left alone.
        depth: how rates grow over the layers.
        attribute: name of the attribute that holds the rate.

    Raises:
        ModuleNotFoundError: `transformers` is not installed.
    """

    def __init__(
        self,
        schedule: RateSchedule | Mapping[str | type[nn.Module], RateSchedule],
        *,
        match: Match | None = None,
        frozen: Match = (),
        depth: Depth | None = None,
        attribute: str = "p",
    ) -> None:
        need_base(_Callback, "thinout.integrations.transformers", "transformers")
        super().__init__()
        self.scheduler: DropoutScheduler | None = None
        self._schedule = schedule
        self._arguments: dict[str, Any] = {"match": match, "frozen": frozen, "depth": depth, "attribute": attribute}

    def on_train_begin(self, args: Any, state: Any, control: Any, model: nn.Module, **kwargs: Any) -> None:
        """Find the layers, and set the rates of the first step, or of the one where a checkpoint left off."""
        self.scheduler = DropoutScheduler(model, self._schedule, **self._arguments)
        self.scheduler.set_step(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Set the rates of the next step."""
        if self.scheduler is not None:
            self.scheduler.set_step(state.global_step)
