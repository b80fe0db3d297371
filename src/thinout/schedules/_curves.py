"""Rates over the steps of a training."""

from __future__ import annotations

import bisect
import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from thinout._checks import bad_type, bad_value, check_choice, check_count, check_p, check_positive


class Schedule(ABC):
    """A rate as a function of the number of steps that the optimiser has taken.

    Subclasses are frozen dataclasses whose arguments keep `rate` inside of [0, 1].

    Example:
        >>> Linear(0.0, 0.5, num_steps=10)(5)
        0.25
        >>> Linear(0.0, 0.5, num_steps=10)(-1)
        Traceback (most recent call last):
        ...
        ValueError: Linear: `step` must be a whole number of at least 0, got -1.
    """

    def __call__(self, step: int) -> float:
        """Return the rate after `step` steps of the optimiser, the first batch's at 0."""
        return self.rate(check_count(type(self).__name__, "step", step, at_least=0))

    @abstractmethod
    def rate(self, step: int) -> float:
        """Return the rate at a step that is a whole number and not negative."""


@dataclass(frozen=True)
class Constant(Schedule):
    """The same rate at every step.

    Args:
        p: the rate.

    Raises:
        ValueError: p outside [0, 1].

    Example:
        >>> Constant(0.5)(1000)
        0.5
    """

    p: float

    def __post_init__(self) -> None:
        _store(self, p=check_p("Constant", self.p))

    def rate(self, step: int) -> float:
        """Return p."""
        return self.p


@dataclass(frozen=True)
class Linear(Schedule):
    r"""A straight line from one rate to another, which then stays.

    .. math:: p(t) = p_0 + (p_1 - p_0) \min(t / T, 1)

    From 0 upwards it is the ramp of DropBlock and of ScheduledDropPath, whose rate grows with depth too
    (``DropoutScheduler(..., depth="original")``).

    Args:
        start: rate at step 0.
        end: rate at step T and after.
        num_steps: T.

    Raises:
        ValueError: a rate outside [0, 1], or T less than 1.

    Example:
        >>> [Linear(0.0, 0.2, num_steps=4)(step) for step in (0, 1, 2, 4, 5)]
        [0.0, 0.05, 0.1, 0.2, 0.2]

    Source: Ghiasi, Lin, Le 2018, NeurIPS, arXiv 1810.12890; Zoph, Vasudevan, Shlens, Le 2018, CVPR, arXiv 1707.07012.
    """

    start: float
    end: float
    num_steps: int

    def __post_init__(self) -> None:
        name = type(self).__name__
        _store(self, start=check_p(name, self.start, "start"), end=check_p(name, self.end, "end"))
        _store(self, num_steps=check_count(name, "num_steps", self.num_steps))

    def rate(self, step: int) -> float:
        """Return the point of the line."""
        return _between(self.start, self.end, step / self.num_steps)


@dataclass(frozen=True)
class Cosine(Schedule):
    r"""Half a cosine from one rate to another, which then stays.

    .. math:: p(t) = p_0 + (p_1 - p_0) \frac{1 - \cos(\pi \min(t / T, 1))}{2}

    Args:
        start: rate at step 0.
        end: rate at step T and after.
        num_steps: T.

    Raises:
        ValueError: a rate outside [0, 1], or T less than 1.

    Example:
        >>> [round(Cosine(0.4, 0.0, num_steps=4)(step), 3) for step in range(6)]
        [0.4, 0.341, 0.2, 0.059, 0.0, 0.0]
    """

    start: float
    end: float
    num_steps: int

    def __post_init__(self) -> None:
        name = type(self).__name__
        _store(self, start=check_p(name, self.start, "start"), end=check_p(name, self.end, "end"))
        _store(self, num_steps=check_count(name, "num_steps", self.num_steps))

    def rate(self, step: int) -> float:
        """Return the point of the curve."""
        done = min(step / self.num_steps, 1.0)
        return _between(self.start, self.end, (1 - math.cos(math.pi * done)) / 2)


@dataclass(frozen=True)
class Early(Schedule):
    r"""Dropout in the first steps only: exactly 0 from the cutoff on ("early dropout", "early stochastic depth").

    .. math:: p(t) = p_0 (1 - \frac{t}{t_c - 1}) \ \text{(linear)}, \quad p(t) = p_0 \ \text{(constant)}, \quad t < t_c

    It helps networks that underfit. The linear form is that of the authors' code: the last step before the cutoff is 0
    already, and with a cutoff of 1 its one step has p_0.

    Args:
        p: rate at step 0.
        cutoff: the first step of the rest of the training, whose rate is 0.
        shape: ``"linear"``, as in the paper's experiments, or ``"constant"``.

    Raises:
        ValueError: p outside [0, 1], a cutoff less than 1, another shape.

    Example:
        >>> [Early(0.5, cutoff=5)(step) for step in range(7)]
        [0.5, 0.375, 0.25, 0.125, 0.0, 0.0, 0.0]
        >>> [Early(0.4, cutoff=2, shape="constant")(step) for step in range(4)]
        [0.4, 0.4, 0.0, 0.0]

    Source: Liu, Xu, Jin, Shen, Darrell 2023, "Dropout reduces underfitting", ICML, arXiv 2303.01500.
    """

    p: float
    cutoff: int
    shape: str = "linear"

    def __post_init__(self) -> None:
        _store(self, p=check_p("Early", self.p), cutoff=check_count("Early", "cutoff", self.cutoff))
        check_choice("Early", "shape", self.shape, ("constant", "linear"))

    def rate(self, step: int) -> float:
        """Return the rate before the cutoff, then 0."""
        if step >= self.cutoff:
            return 0.0
        if self.shape == "constant" or step == 0:
            return self.p
        return _between(self.p, 0.0, step / (self.cutoff - 1))


@dataclass(frozen=True)
class Late(Schedule):
    """Dropout after the first steps only: 0 before the cutoff, p from it on ("late dropout", a switch).

    It helps networks that overfit.

    Args:
        p: rate at the cutoff and after.
        cutoff: the first step with dropout.

    Raises:
        ValueError: p outside [0, 1], a cutoff less than 1.

    Example:
        >>> [Late(0.4, cutoff=2)(step) for step in range(4)]
        [0.0, 0.0, 0.4, 0.4]

    Source: Liu et al. 2023, ICML, arXiv 2303.01500.
    """

    p: float
    cutoff: int

    def __post_init__(self) -> None:
        _store(self, p=check_p("Late", self.p), cutoff=check_count("Late", "cutoff", self.cutoff))

    def rate(self, step: int) -> float:
        """Return 0 before the cutoff, then p."""
        return self.p if step >= self.cutoff else 0.0


@dataclass(frozen=True)
class Curriculum(Schedule):
    r"""From nothing towards a rate that it approaches: the task grows harder ("curriculum dropout").

    .. math:: p(t) = \bar{p} (1 - e^{-\gamma t}), \qquad \gamma = 10 / T \ \text{by default}

    so that after T steps :math:`p` is within :math:`\bar{p} e^{-10}` of :math:`\bar{p}`. In the paper, where rates are
    of keeping, :math:`\bar{\theta} = 1 - \bar{p}`. The authors' published code has gamma 0.001 for MNIST and 0.0001 for
    double MNIST.

    Args:
        p: the rate that is approached.
        num_steps: T.
        gamma: the speed, instead of T.

    Raises:
        ValueError: p outside [0, 1], T less than 1, gamma not positive, both given or neither.

    Example:
        >>> [round(Curriculum(0.5, num_steps=1000)(step), 4) for step in (0, 100, 500, 1000)]
        [0.0, 0.3161, 0.4966, 0.5]

    Source: Morerio, Cavazza, Volpi, Vidal, Murino 2017, ICCV, arXiv 1703.06229.
    """

    p: float
    num_steps: int | None = None
    gamma: float | None = None

    def __post_init__(self) -> None:
        _store(self, p=check_p("Curriculum", self.p))
        if (self.num_steps is None) == (self.gamma is None):
            got = f"num_steps={self.num_steps} and gamma={self.gamma}"
            bad_value("Curriculum", "num_steps", "given where `gamma` is not, and only there", got)
        if self.num_steps is not None:
            _store(self, num_steps=check_count("Curriculum", "num_steps", self.num_steps))
        else:
            _store(self, gamma=check_positive("Curriculum", "gamma", self.gamma))

    def rate(self, step: int) -> float:
        """Return the point of the curve."""
        gamma = self.gamma if self.gamma is not None else 10 / cast(int, self.num_steps)
        return -self.p * math.expm1(-gamma * step)


@dataclass(frozen=True)
class Annealed(Schedule):
    r"""From a rate straight down to nothing, which then stays ("annealed dropout").

    .. math:: p(t) = p_0 \max(0, 1 - t / T)

    Args:
        p: rate at step 0.
        num_steps: T.

    Raises:
        ValueError: p outside [0, 1], T less than 1.

    Example:
        >>> [Annealed(0.5, num_steps=4)(step) for step in range(6)]
        [0.5, 0.375, 0.25, 0.125, 0.0, 0.0]

    Source: Rennie, Goel, Thomas 2014, "Annealed dropout training of deep networks", IEEE SLT.
    """

    p: float
    num_steps: int

    def __post_init__(self) -> None:
        _store(self, p=check_p("Annealed", self.p), num_steps=check_count("Annealed", "num_steps", self.num_steps))

    def rate(self, step: int) -> float:
        """Return the point of the line."""
        return self.p * max(0.0, 1 - step / self.num_steps)


@dataclass(frozen=True, init=False)
class Piecewise(Schedule):
    r"""Through given points, by straight lines or in steps; constant before the first and after the last.

    Args:
        points: pairs of a step and its rate, the steps ascending. Three make the V of DropHead.
        shape: ``"linear"``, or ``"constant"``: each rate holds until the next point.

    Raises:
        ValueError: no points, a rate outside [0, 1], steps that are negative or do not ascend, another shape.

    Example:
        >>> vee = Piecewise([(0, 0.2), (4, 0.0), (8, 0.2)])
        >>> [vee(step) for step in (0, 2, 4, 6, 8, 9)]
        [0.2, 0.1, 0.0, 0.1, 0.2, 0.2]
        >>> [Piecewise([(0, 0.5), (3, 0.1)], shape="constant")(step) for step in range(5)]
        [0.5, 0.5, 0.5, 0.1, 0.1]
    """

    points: tuple[tuple[int, float], ...]
    shape: str = "linear"

    def __init__(self, points: Iterable[tuple[int, float]], shape: str = "linear") -> None:
        pairs = []
        for point in points:
            if not isinstance(point, (tuple, list)) or len(point) != 2:
                bad_type("Piecewise", "points", "pairs of a step and a rate", repr(point))
            step, p = point
            pairs.append((check_count("Piecewise", "points", step, at_least=0), check_p("Piecewise", p, "points")))
        steps = [step for step, _ in pairs]
        if not pairs or any(later <= step for step, later in itertools.pairwise(steps)):
            bad_value("Piecewise", "points", "one or more, their steps ascending", steps)
        _store(self, points=tuple(pairs), shape=check_choice("Piecewise", "shape", shape, ("constant", "linear")))

    def rate(self, step: int) -> float:
        """Return the rate on the line or step that a step lies on."""
        right = bisect.bisect_right(self.points, step, key=lambda point: point[0])
        if right == 0:
            return self.points[0][1]
        begin, start = self.points[right - 1]
        if self.shape == "constant" or right == len(self.points):
            return start
        finish, end = self.points[right]
        return _between(start, end, (step - begin) / (finish - begin))


def _store(schedule: Schedule, **values: object) -> None:
    """Keep checked arguments in one form, so that equal schedules print alike."""
    for name, value in values.items():
        object.__setattr__(schedule, name, value)


def _between(start: float, end: float, share: float) -> float:
    """Return the point of the way from one rate to another; the ends are met exactly, and never passed."""
    return end if share >= 1 else start + (end - start) * share
