"""What sets the rates of a model's layers as its optimiser steps."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from thinout._checks import bad_value, check_choice, check_count, check_p
from thinout._matching import Match, find_layers
from thinout.nn._rate import settings
from thinout.schedules._check import RateSchedule, describe, rate_at
from thinout.schedules._depth import RULES, linear_rates

Depth = str | Sequence[float]
_WHERE = "DropoutScheduler"
_TORCH_LAYERS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


@dataclass(frozen=True)
class _Group:
    """Layers with one schedule, and the share of its rate that each of them gets."""

    schedule: RateSchedule
    layers: dict[str, nn.Module]
    shares: list[float]


class DropoutScheduler:
    r"""Set the rates of a model's layers, as a schedule over the steps of the optimiser.

    .. math:: p_l(t) = s_l \, p(t)

    where t counts the steps that the optimiser has taken, and the shares :math:`s_l` are 1, or grow with depth. The
    rates of step 0 are set at once; call `step` after each step of the *optimiser* (not of a micro-batch whose
    gradients are accumulated, where a changed rate would mix two objectives), or `attach` it. Layers of thinout
    take a new rate without compiling again; those of torch compile anew for each, up to dynamo's limit.

    Rates inside of `torch.nn.functional.dropout`, `torch.nn.LSTM` or attention are no layers, and are not reached.

    Args:
        model: network with layers that have a rate: thinout's, and torch's Dropout, Dropout1d/2d/3d, AlphaDropout and
            FeatureAlphaDropout. Names are shortest before DDP or `torch.compile` wraps it; the layers are the same.
        schedule: function from the step to the rate, or several by the layers that they are for: a mapping from
            patterns or types to schedules, in which the first that means a layer has it.
        match: the layers: patterns of their names, such as ``"encoder.*.drop"``, or types. By default all. A type is
            taken at its word: any layer of it whose attribute is a number.
        frozen: layers that are left alone, in the same form.
        depth: how rates grow over the layers of a schedule, in the order of the model: ``"original"`` or ``"timm"``, as
            in `linear_rates`, or the shares themselves, one a layer. By default all have the schedule's rate.
        attribute: name of the attribute that holds the rate, such as ``"drop_prob"``.

    Raises:
        ValueError: a pattern or type means no layer, none is left, the shares are not as many as the layers, or the
            schedule's rate at step 0 is outside of [0, 1].
        TypeError: the schedule is no function, or its rate no number.

    Example:
        >>> from thinout.schedules import Linear
        >>> model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.1), nn.Linear(4, 4), nn.Dropout(0.1))
        >>> scheduler = DropoutScheduler(model, Linear(0.0, 0.5, num_steps=10), depth="original")
        >>> for _ in range(6):
        ...     scheduler.step()
        >>> scheduler.get_last_p()
        {'1': 0.15, '3': 0.3}
        >>> scheduler.state_dict()
        {'step': 6, 'schedule': 'Linear(start=0.0, end=0.5, num_steps=10)', 'depth': 'original', 'num_layers': 2}
    """

    def __init__(
        self,
        model: nn.Module,
        schedule: RateSchedule | Mapping[str | type[nn.Module], RateSchedule],
        *,
        match: Match | None = None,
        frozen: Match = (),
        depth: Depth | None = None,
        attribute: str = "p",
    ) -> None:
        self.schedule = schedule
        self.depth = depth if depth is None or isinstance(depth, str) else list(depth)
        self.attribute = attribute
        if isinstance(schedule, Mapping):
            if match is not None:
                bad_value(_WHERE, "match", "left out where schedules come with their own", repr(match))
            plan: list[tuple[Match | None, RateSchedule]] = list(schedule.items())
        else:
            plan = [(match, schedule)]
        spared = self._find(model, frozen, "frozen")
        taken = set(spared.values())
        self._groups: list[_Group] = []
        for pattern, curve in plan:
            found = self._find(model, pattern, "schedule" if isinstance(schedule, Mapping) else "match")
            layers = {name: layer for name, layer in found.items() if layer not in taken}
            if not layers:
                which = "" if pattern is None else f" for {pattern!r}"
                remedy = f"Name others, or the attribute that holds their rate, here {attribute!r}."
                bad_value(_WHERE, "model", "a network with layers to schedule", f"none{which}", remedy)
            taken.update(layers.values())
            self._groups.append(_Group(curve, layers, _shares(self.depth, len(layers))))
        self._handle: RemovableHandle | None = None
        self._last_p: dict[str, float] = {}
        self.last_step = 0
        self._set(0)

    def step(self) -> None:
        """Count one step of the optimiser, and set the rates of the next.

        Raises:
            ValueError: an optimiser that the scheduler is attached to counts already, or the schedule leaves [0, 1];
                the rates are as they were then.
        """
        if self._is_attached():
            remedy = "Leave out step(), or remove the handle that attach() returned."
            bad_value(f"{_WHERE}.step", "self", "attached to no optimiser", "one that counts the steps", remedy)
        self._set(self.last_step + 1)

    def set_step(self, step: int) -> None:
        """Go to a step, forwards or backwards, and set its rates: for loops that count themselves."""
        self._set(check_count(f"{_WHERE}.set_step", "step", step, at_least=0))

    def attach(self, optimizer: torch.optim.Optimizer) -> RemovableHandle:
        """Count every step of an optimiser from now on, in place of calls of `step`.

        A step that `torch.amp.GradScaler` skips is not counted, but by a fused optimiser, which skips it inside.

        Returns:
            What ends it: call its ``remove()``.

        Raises:
            ValueError: it is attached already.
        """
        if self._is_attached():
            bad_value(f"{_WHERE}.attach", "self", "attached to one optimiser at most", "a second one")
        self._handle = optimizer.register_step_post_hook(self._after_step)
        return self._handle

    def get_last_p(self) -> dict[str, float]:
        """Return the rate that each layer was given last, by its name."""
        return dict(self._last_p)

    def state_dict(self) -> dict[str, Any]:
        """Return the step, and what tells this schedule from others: plain numbers and strings."""
        return {"step": self.last_step, **self._identity()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go to the step of a state, and set its rates.

        Raises:
            ValueError: the state is of another schedule or of another number of layers, or is no such state.
        """
        where, identity = f"{_WHERE}.load_state_dict", self._identity()
        if not isinstance(state_dict, Mapping) or set(state_dict) != {"step", *identity}:
            keys = list(state_dict) if isinstance(state_dict, Mapping) else type(state_dict).__name__
            bad_value(where, "state_dict", "the state of a DropoutScheduler", str(keys))
        for name, expected in identity.items():
            if state_dict[name] != expected:
                bad_value(where, "state_dict", f"of {name} {expected}", f"one of {state_dict[name]}")
        self._set(check_count(where, "step", state_dict["step"], at_least=0))

    def __repr__(self) -> str:
        identity = self._identity()
        return f"{_WHERE}({identity['num_layers']} layers, {identity['schedule']}, step {self.last_step})"

    def _find(self, model: nn.Module, match: Match | None, name: str) -> dict[str, nn.Module]:
        return find_layers(_WHERE, model, match, name=name, known=self._is_known, usable=self._is_usable)

    def _is_known(self, layer: nn.Module) -> bool:
        if self.attribute == "p":  # other kinds of layers have a p that is no rate, or one that is learned
            return "p" in settings(type(layer)) or isinstance(layer, _TORCH_LAYERS)
        return self._is_usable(layer)

    def _is_usable(self, layer: nn.Module) -> bool:
        value = getattr(layer, self.attribute, None)
        return isinstance(value, numbers.Real) and not isinstance(value, bool)

    def _set(self, step: int) -> None:
        """Set all rates, or none if a layer or the schedule refuses."""
        layers: dict[str, nn.Module] = {}
        rates: dict[str, float] = {}
        for group in self._groups:
            p = rate_at(_WHERE, group.schedule, step)
            layers |= group.layers
            rates |= {name: p * share for name, share in zip(group.layers, group.shares, strict=True)}
        before = {name: getattr(layer, self.attribute) for name, layer in layers.items()}
        try:
            for name, p in rates.items():
                if p != before[name]:
                    setattr(layers[name], self.attribute, p)
        except (TypeError, ValueError) as error:
            error.add_note(f"{_WHERE}: the schedule gave this rate at step {step}.")
            for name, p in before.items():
                setattr(layers[name], self.attribute, p)
            raise
        self.last_step, self._last_p = step, rates

    def _identity(self) -> dict[str, Any]:
        if isinstance(self.schedule, Mapping):
            schedule: Any = {str(pattern): describe(curve) for pattern, curve in self.schedule.items()}
        else:
            schedule = describe(self.schedule)
        num_layers = sum(len(group.layers) for group in self._groups)
        return {"schedule": schedule, "depth": self.depth, "num_layers": num_layers}

    def _after_step(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        self._set(self.last_step + 1)

    def _is_attached(self) -> bool:
        return self._handle is not None and self._handle.id in (self._handle.hooks_dict_ref() or ())


def _shares(depth: Depth | None, num_layers: int) -> list[float]:
    if depth is None:
        return [1.0] * num_layers
    if isinstance(depth, str):
        return linear_rates(1.0, num_layers, rule=check_choice(_WHERE, "depth", depth, RULES))
    shares = [check_p(_WHERE, share, "depth") for share in depth]
    if len(shares) != num_layers:
        bad_value(_WHERE, "depth", f"one share for each of {num_layers} layers", len(shares))
    return shares
