"""Lightning: a schedule of dropout rates as a callback of its Trainer.

trainer = Trainer(callbacks=[DropoutScheduleCallback(Early(0.1, cutoff=5_000))])
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

_Callback: Any = find_base("Callback", "lightning.pytorch.callbacks", "pytorch_lightning.callbacks")


class DropoutScheduleCallback(_Callback):
    """Set the rates of a LightningModule's layers by a schedule over the optimiser's steps.

    The step is the Trainer's ``global_step``, which stands still while gradients are accumulated, and which with
    several optimisers counts the steps of all. A checkpoint holds the step and the schedule; resuming with another
    schedule is refused. For several schedules give one callback a mapping.

    Args:
        schedule: function from the step to the rate, or a mapping from patterns or types to such functions.
        match: the layers, as in `thinout.schedules.DropoutScheduler`.
        frozen: layers that are left alone.
        depth: how rates grow over the layers.
        attribute: name of the attribute that holds the rate.

    Raises:
        ModuleNotFoundError: neither `lightning` nor `pytorch_lightning` is installed.
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
        need_base(_Callback, "thinout.integrations.lightning", "lightning")
        super().__init__()
        self.scheduler: DropoutScheduler | None = None
        self._schedule = schedule
        self._arguments: dict[str, Any] = {"match": match, "frozen": frozen, "depth": depth, "attribute": attribute}
        self._loaded: dict[str, Any] = {}

    def on_fit_start(self, trainer: Any, pl_module: nn.Module) -> None:
        """Find the layers: they are all there now, those of `configure_model` too."""
        self.scheduler = DropoutScheduler(pl_module, self._schedule, **self._arguments)
        if self._loaded:
            self.scheduler.load_state_dict(self._loaded)

    def on_train_start(self, trainer: Any, pl_module: nn.Module) -> None:
        """Set the rates of the first step, or of the one where a checkpoint left off."""
        self._follow(trainer)

    def on_train_batch_end(self, trainer: Any, pl_module: nn.Module, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Set the rates of the next step, where this batch ended one."""
        self._follow(trainer)

    def state_dict(self) -> dict[str, Any]:
        """Return the scheduler's state, for the checkpoint."""
        return self._loaded if self.scheduler is None else self.scheduler.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take a checkpoint's state; some strategies load it before the layers are there, some after."""
        self._loaded = dict(state_dict)
        if self.scheduler is not None:
            self.scheduler.load_state_dict(self._loaded)

    def _follow(self, trainer: Any) -> None:
        if self.scheduler is not None and self.scheduler.last_step != trainer.global_step:
            self.scheduler.set_step(trainer.global_step)
