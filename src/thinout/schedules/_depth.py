"""Rates over the depth of a network."""

from __future__ import annotations

import math
from collections.abc import Sequence

from thinout._checks import check_choice, check_count, check_p
from thinout.schedules._curves import Curriculum

RULES = ("original", "timm")


def linear_rates(p_last: float, depth: int, *, rule: str = "original") -> list[float]:
    r"""Return the rates of the layers of a network, growing linearly to the last one's.

    .. math:: p_l = \frac{l}{L} p_L \ \text{(original)}, \qquad p_l = \frac{l - 1}{L - 1} p_L \ \text{(timm)}

    for l = 1, ..., L. By the rule of timm the first layer is always kept, and so is a single one.

    Args:
        p_last: rate of the last layer.
        depth: number of layers L.
        rule: ``"original"``, that of the paper, or ``"timm"``, that of timm and most vision transformers.

    Returns:
        The rates, the first layer's first.

    Raises:
        ValueError: `p_last` outside [0, 1], no layers, another rule.

    Example:
        >>> linear_rates(0.5, 5)
        [0.1, 0.2, 0.3, 0.4, 0.5]
        >>> linear_rates(0.5, 5, rule="timm")
        [0.0, 0.125, 0.25, 0.375, 0.5]

    Source: Huang, Sun, Liu, Sedra, Weinberger 2016, "Deep networks with stochastic depth", ECCV, arXiv 1603.09382.
    """
    p_last = check_p("linear_rates", p_last, "p_last")
    depth = check_count("linear_rates", "depth", depth)
    check_choice("linear_rates", "rule", rule, RULES)
    if rule == "original":
        return [p_last * (layer / depth) for layer in range(1, depth + 1)]
    return [p_last * (layer / max(depth - 1, 1)) for layer in range(depth)]


def progressive_rates(p_last: float, depth: int, step: int, *, gamma: float) -> list[float]:
    r"""Return the rates of the layers of a network at a step, by progressive layer dropping.

    .. math:: p_l(t) = \frac{l}{L} (1 - \theta(t)), \qquad \theta(t) = (1 - \bar{\theta}) e^{-\gamma t} + \bar{\theta}

    The last layer is kept with probability :math:`\theta(t)`, which falls from 1 to :math:`\bar{\theta} = 1 - p_L`. It
    is curriculum dropout in time and the original rule over depth: ``DropoutScheduler(model, Curriculum(p_last,
    gamma=gamma), depth="original")`` sets the same rates.

    Args:
        p_last: rate that the last layer approaches, :math:`1 - \bar{\theta}`; 0.5 in DeepSpeed.
        depth: number of layers L.
        step: number of optimiser steps taken.
        gamma: speed; 0.001 in DeepSpeed.

    Returns:
        The rates, the first layer's first.

    Raises:
        ValueError: `p_last` outside [0, 1], no layers, a negative step, gamma not positive.

    Example:
        >>> [round(p, 4) for p in progressive_rates(0.5, 4, 1000, gamma=0.001)]
        [0.079, 0.158, 0.237, 0.3161]

    Source: Zhang, He 2020, "Accelerating training of transformer-based language models with progressive layer
    dropping", NeurIPS, arXiv 2010.13369.
    """
    return linear_rates(Curriculum(check_p("progressive_rates", p_last, "p_last"), gamma=gamma)(step), depth)


def expected_depth(rates: Sequence[float]) -> float:
    r"""Return how many layers of a network are computed on average.

    .. math:: E[\text{depth}] = \sum_l (1 - p_l)

    which by the original rule at :math:`p_L = 1/2` is :math:`(3 L - 1) / 4`.

    Args:
        rates: the layers' rates.

    Raises:
        ValueError: a rate outside [0, 1].

    Example:
        >>> expected_depth(linear_rates(0.5, 54))
        40.25

    Source: Huang et al. 2016, ECCV, arXiv 1603.09382, section 3.
    """
    return math.fsum(1 - check_p("expected_depth", p, "rates") for p in rates)
