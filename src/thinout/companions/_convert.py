"""Settings of papers with classic dropout, for inverted dropout."""

from __future__ import annotations

from thinout._checks import bad_value, check_p, check_positive


def classic_to_inverted(
    p: float,
    *,
    std: float | None = None,
    lr: float | None = None,
    max_norm: float | None = None,
    weight_decay: float | None = None,
) -> dict[str, float]:
    r"""Convert settings of a paper with classic dropout into those of inverted dropout.

    Classic weights :math:`W` whose input is dropped at rate p, and scaled by :math:`q = 1 - p` only when predicting,
    do what inverted weights :math:`W' = q W` do. Hence, for the layer behind that dropout,

    .. math:: \sigma' = q \sigma, \quad \eta' = q^2 \eta, \quad c' = q c, \quad \lambda' = \lambda / q^2

    for the initial standard deviation, the learning rate, the max-norm bound and the L2 coefficient. The step of SGD,
    with momentum too, then takes :math:`W'` where it would take :math:`q W`. The bias keeps its settings. An optimiser
    that divides by the size of the gradient (Adam) needs :math:`\eta' = q \eta` instead.

    Args:
        p: drop probability of the layer's input, less than 1. Papers of that time print the keep probability.
        std: standard deviation of the initial weights.
        lr: learning rate of SGD.
        max_norm: largest norm of a unit's incoming weights; square roots of the squared bounds of Hinton et al. 2012.
        weight_decay: L2 coefficient, added to the gradient.

    Returns:
        What was given, under the same names.

    Raises:
        ValueError: p outside [0, 1), or a setting that is not positive (0 for `weight_decay` is).

    Example:
        >>> classic_to_inverted(0.5, std=0.01, lr=0.1, max_norm=2.0)
        {'std': 0.005, 'lr': 0.025, 'max_norm': 1.0}

    Source: Srivastava et al. 2014, JMLR 15:1929-1958, sections 4 and 10, and algebra.
    """
    keep_prob = 1 - check_p("classic_to_inverted", p)
    if keep_prob == 0:
        bad_value("classic_to_inverted", "p", "less than 1", p)
    factors = {"std": keep_prob, "lr": keep_prob**2, "max_norm": keep_prob, "weight_decay": 1 / keep_prob**2}
    given = {"std": std, "lr": lr, "max_norm": max_norm, "weight_decay": weight_decay}
    for name, value in given.items():
        if value is not None and not (name == "weight_decay" and value == 0):
            check_positive("classic_to_inverted", name, value)
    return {name: value * factors[name] for name, value in given.items() if value is not None}
