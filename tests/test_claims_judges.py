"""The judges of all claims: evidence that is made up, whose verdict follows from the rule that the claim states."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pytest

from thinout.lab.claims import VERDICTS, Claim, Evidence, Finding, all_claims, find
from thinout.lab.claims import c04_expectation as c04
from thinout.lab.claims import c20_choice_of_p as c20
from thinout.lab.claims._claim import Verdict
from thinout.lab.claims._evidence import Floats

Values = Mapping[str, float | Sequence[float]]
Place = str | float | tuple[str, float]  # an arm at every x, an x of every arm, or one of both
Changes = Mapping[Place, Values]

DEEP = {f"{name}: weights, part {part} of 5": 0.5 for name in ("tanh", "ReLU") for part in range(1, 6)}
BLOCK, PIXELS = "a block of 10x10 occluded: rise", "half of the pixels deleted: rise"
RISES = (PIXELS, "Gaussian noise, sd 1: rise", BLOCK, "adversarial step of 0.1: rise")
TENTH, WAY, LEARNED = "loss when a tenth is removed", "way to least squares", "units that learned"
MEMBER, WHOLE = "gain of averaging", "gain over the whole net"
SPREAD, KEPT, CHANGE = "spread of the loss", "kept for backward, KiB", "change of the next layer"
LEAK, CHOSEN = "dropped units with any gradient", "correlation of importance and being kept"

# What every arm has at every place. A float is a mean over seeds, a whole number is exact, a list is seed by seed.
BASES: dict[str, Values] = {
    "C01": {"gap": 1.0, "test NLL": 1.0},
    "C02": {"correlation": 0.2, TENTH: 0.3, "loss when one unit is removed": 0.4},
    "C03": {"NLL": 0.5, "error": 15.0},
    "C04": {"mean": 1.0, c04.OUTPUT: 1.0, c04.COST: 0.0},
    "C05": {"tanh": -3.0, "ReLU": -3.0, **DEEP},
    "C06": {"tanh": 3.0, "ReLU": 3.0, **DEEP},
    "C07": {"clean": 12.0, **dict.fromkeys(RISES, 18.0), **{name[:-6]: 30.0 for name in RISES}},
    "C08": {"steps to the target": 100.0, "seconds to the target": 1.0},
    "C09": {"solved": 80.0, "clean loss": 0.1},
    "C10": {"test NLL": 0.5, "test error": 15.0},
    "C11": {"test NLL": 0.6, WAY: 0.5, "way to ridge": 0.1},
    "C12": {"test error": 15.0},
    "C13": {"time over dense": 1.2, "multiply-adds over dense": 0.5},
    "C14": {"disagreement": 10.0, MEMBER: 1.0, WHOLE: 0.1, "error of the average": 12.0},
    "C15": {"parameters": 1000, KEPT: 500, "elements masked": 102_400, "peak of a step, KiB": 900},
    "C16": {"gap": 0.2, "test NLL": 0.5, "test error": 15.0, "parameters": 1000},
    "C17": {"gap": 0.5, LEARNED: 90.0, "median way of a unit": 1.0},
    "C18": {"balanced error": 15.0},
    "C19": {"share": 3.0},
    "C20": {"test NLL": 1.0},
    "C21": {
        SPREAD: 0.3, f"{SPREAD} without masks": 0.1, "spread over mean": 0.3, "spread over mean without masks": 0.2,
        "spread of one batch over masks": 0.2, "test NLL": 0.5, "curvature, mean over masks": 1.0,
        "curvature, one mask": 2.0,
    },
    "C22": {"studies": 0},
    "C23": {LEAK: 0, CHOSEN: 0.0},
    "C24": {
        CHANGE: 9.5, "mean, masked over clean": 1.0, "variance, masked over clean": 2.0,
        "variance, measured over formula": 1.0,
    },
    "C25": {"train error": 5.0},
}  # fmt: skip
MISSED: Values = {"steps to the target": [100.0] * 7 + [math.nan], "seconds to the target": [1.0] * 7 + [math.nan]}
RATES = ("none", "p=0.2", "p=0.5")
NOISES = ("noise of p=0.1", "noise of p=0.3")
LIGHT: Values = {"time over dense": 0.8}
FALLEN: Changes = {("unscaled", x): {"mean": 1 - x} for x in c04.RATES}
MORE: Changes = {("constant", 300): {"test NLL": 0.55}, ("constant", 30_000): {"test NLL": 0.5}}
FASTER: Changes = {(arm, 3e-3): {"steps to the target": 40.0} for arm in RATES[1:]}
CASES = [unit.arm for unit in find("C22").units("full")]


def steps(count: float) -> Values:
    return {"steps to the target": count, "seconds to the target": count / 100}


def both(value: float) -> Values:
    return {"tanh": value, "ReLU": value}


def errors(percent: float) -> Values:
    return {"test error": percent, "balanced error": percent}


def share(percent: float) -> Values:
    return {"share": percent}


def solved(percent: float, *arms: str) -> dict[Place, Values]:
    return {arm: {"solved": percent} for arm in arms}


def valley(narrow: Sequence[float], wide: Sequence[float]) -> Changes:
    """Return the test NLL over p of both nets: low at some rates, 10 % higher at the others."""
    low = {"width 128": narrow, "width 1024": wide}
    return {(arm, x): {"test NLL": 1.0 if x in low[arm] else 1.1} for arm in low for x in c20.RATES}


def study(change: float, p_value: float, number: int = 1) -> Values:
    """Return what is read of a study: change in per cent, p-value."""
    bounds = {"mean": change, "low": change - 1, "high": change + 1}
    values = {"p": 0.5, "pairs": 8, **{f"change, {end}": bound for end, bound in bounds.items()}, "p-value": p_value}
    return {"studies": number, **{f"study {number}: {name}": value for name, value in values.items()}}


def studies(*groups: tuple[int, Values]) -> Changes:
    """Return the studies of the first so many cases, of the next, and so on."""
    found = [values for count, values in groups for _ in range(count)]
    return dict(zip(CASES, found, strict=False))


HELP, HARM, NOTHING = study(-5.0, 1e-4), study(5.0, 1e-4), study(1.0, 0.9)
TWICE, TORN = {**HELP, **study(-5.0, 1e-4, number=2)}, {**HELP, **study(5.0, 1e-4, number=2)}
NO_DROPOUT = studies((22, {"studies": 1, "study 1: p": 0, "study 1: pairs": 8}))

# Claim, verdict by its rule, what it follows from, what differs from the base.
SCENARIOS: list[tuple[str, Verdict, str, Changes]] = [
    ("C01", "supported", "both fall everywhere", {"p=0.5": {"gap": 0.7, "test NLL": 0.7}}),
    ("C01", "conditional", "the gap falls, the NLL rises", {"p=0.5": {"gap": 0.7, "test NLL": 1.3}}),
    ("C01", "conditional", "the NLL falls at one size", {("p=0.5", 300): {"test NLL": 0.7}}),
    ("C01", "refuted", "the NLL rises at one size", {("p=0.5", 300): {"test NLL": 1.3}}),
    ("C01", "no evidence", "the gap alone rises", {"p=0.5": {"gap": 1.3}}),
    ("C01", "no evidence", "all alike", {}),
    ("C02", "supported", "both fall", {"p=0.5": {"correlation": 0.1, TENTH: 0.1}}),
    ("C02", "conditional", "units correlate less", {"p=0.5": {"correlation": 0.1}}),
    ("C02", "conditional", "units are missed less, and correlate more", {"p=0.5": {"correlation": 0.3, TENTH: 0.1}}),
    ("C02", "refuted", "all alike", {}),
    ("C02", "refuted", "it falls with p = 0.2 alone", {"p=0.2": {"correlation": 0.1, TENTH: 0.1}}),
    ("C03", "supported", "one and 200 passes are worse", {"1 pass": {"NLL": 0.7}, "200 passes": {"NLL": 0.6}}),
    ("C03", "conditional", "one pass is worse", {"1 pass": {"NLL": 0.7}}),
    ("C03", "conditional", "200 passes are better", {"1 pass": {"NLL": 0.7}, "200 passes": {"NLL": 0.4}}),
    ("C03", "refuted", "all alike", {}),
    ("C03", "refuted", "one pass is better", {"1 pass": {"NLL": 0.4}}),
    ("C04", "conditional", "the unscaled mean is 1 - p", FALLEN),
    ("C04", "supported", "both means are 1", {}),
    ("C04", "supported", "the unscaled mean is 1 at one rate", {**FALLEN, ("unscaled", 0.1): {"mean": 1.0}}),
    ("C04", "supported", "the scaled mean is off by 0.9 of p / 100", {("scaled", 0.1): {"mean": 1.0009}}),
    ("C04", "refuted", "the scaled mean is off by 1.1 of p / 100", {("scaled", 0.1): {"mean": 1.0011}}),
    ("C05", "supported", "larger than none and scale", {"dropout": both(-2.0)}),
    ("C05", "supported", "at the greatest depth alone", {("dropout", 50): both(-2.0)}),
    ("C05", "conditional", "larger with one activation", {"dropout": {"ReLU": -2.0}}),
    ("C05", "refuted", "larger than none, but not than scale", {"dropout": both(-2.0), "scale": both(-2.0)}),
    ("C05", "refuted", "larger at other depths", {"dropout": both(-2.0), ("dropout", 50): both(-3.0)}),
    ("C05", "refuted", "larger than scale with one activation, than none with neither", {"scale": {"tanh": -4.0}}),
    ("C05", "refuted", "larger than scale, but not than none", {"scale": both(-4.0)}),
    ("C05", "refuted", "all alike", {}),
    ("C06", "supported", "smaller with both", {"dropout": both(2.0)}),
    ("C06", "conditional", "smaller with one, larger with the other", {"dropout": {"tanh": 4.0, "ReLU": 2.0}}),
    ("C06", "refuted", "smaller at other depths", {"dropout": both(2.0), ("dropout", 50): both(3.0)}),
    ("C06", "refuted", "larger", {"dropout": both(4.0)}),
    ("C06", "refuted", "all alike", {}),
    ("C07", "supported", "less in all", {arm: dict.fromkeys(RISES, 10.0) for arm in ("hidden", "input", "both")}),
    ("C07", "conditional", "less in one, more in one", {"input": {PIXELS: 10.0}, "both": {BLOCK: 25.0}}),
    ("C07", "refuted", "more in one", {"hidden": {BLOCK: 25.0}}),
    ("C07", "no evidence", "fewer errors on all images alike", {"hidden": {"clean": 10.0, BLOCK[:-6]: 28.0}}),
    ("C07", "no evidence", "all alike", {}),
    ("C08", "supported", "each at its own best rate", {**FASTER, "none": steps(200.0), ("none", 1e-3): steps(60.0)}),
    ("C08", "supported", "a seed misses the target at a slow rate", {**FASTER, 3e-4: MISSED}),
    ("C08", "conditional", "faster with one rate", {"p=0.2": steps(60.0), "p=0.5": steps(200.0)}),
    ("C08", "conditional", "faster with one rate, the other misses it", {"p=0.2": steps(60.0), "p=0.5": MISSED}),
    ("C08", "refuted", "slower with one rate", {1e-3: steps(60.0), ("p=0.5", 1e-3): steps(90.0)}),
    ("C08", "refuted", "dropout misses the target with one seed", {1e-3: steps(60.0), "p=0.5": MISSED}),
    ("C08", "no evidence", "no dropout misses the target with one seed", {1e-3: steps(60.0), "none": MISSED}),
    ("C08", "no evidence", "nobody reaches the target with one seed", dict.fromkeys(RATES, MISSED)),
    ("C08", "no evidence", "all alike", {1e-3: steps(60.0)}),
    ("C09", "supported", "better in all, and than noise", solved(95.0, "p=0.1", "p=0.3")),
    ("C09", "conditional", "better than both with one rate", solved(95.0, "p=0.1", "p=0.3", "noise of p=0.3")),
    ("C09", "conditional", "better in one, worse in others", {**solved(60.0, "p=0.3"), ("p=0.1", 2): {"solved": 95.0}}),
    ("C09", "refuted", "better, but not than noise", solved(95.0, "p=0.1", "p=0.3", *NOISES)),
    ("C09", "refuted", "worse in one", {("p=0.3", 1): {"solved": 60.0}}),
    ("C09", "no evidence", "better than noise alone", solved(60.0, *NOISES)),
    ("C09", "no evidence", "all alike", {}),
    ("C10", "supported", "lower than none and locked", {"each step": {"test NLL": 0.4}}),
    ("C10", "supported", "lower than none, as locked is", {arm: {"test NLL": 0.4} for arm in ("each step", "locked")}),
    ("C10", "conditional", "locked is lower still", {"each step": {"test NLL": 0.4}, "locked": {"test NLL": 0.3}}),
    ("C10", "refuted", "higher", {"each step": {"test NLL": 0.6}}),
    ("C10", "no evidence", "higher than locked alone", {"locked": {"test NLL": 0.3}}),
    ("C10", "no evidence", "all alike", {}),
    ("C11", "supported", "near, and more gain with more data", {"constant": {WAY: 0.05}, **MORE}),
    ("C11", "conditional", "near", {"constant": {WAY: 0.05}}),
    ("C11", "conditional", "more gain with more data", MORE),
    ("C11", "refuted", "the interval of the way is not below 0.1", {"constant": {WAY: 0.099}}),
    ("C11", "refuted", "less gain", {"constant": {"test NLL": 0.5}, ("constant", 300): {"test NLL": 0.4}}),
    ("C11", "refuted", "less harm", {("constant", 300): {"test NLL": 0.9}}),
    ("C11", "refuted", "annealed does both", {"annealed": {WAY: 0.01}, ("annealed", 30_000): {"test NLL": 0.5}}),
    ("C12", "supported", "it falls everywhere", {"p=0.5": errors(12.0)}),
    ("C12", "conditional", "falls at one, rises at one", {("p=0.5", 100): errors(12.0), ("p=0.5", 300): errors(18.0)}),
    ("C12", "refuted", "it rises at one", {("p=0.5", 100): errors(18.0)}),
    ("C12", "no evidence", "all alike", {}),
    ("C13", "supported", "less everywhere", dict.fromkeys((0.2, 0.5, 0.8), LIGHT)),
    ("C13", "conditional", "less with two masks", dict.fromkeys(("unit masks", "block masks"), LIGHT)),
    ("C13", "conditional", "less with one mask at one rate", {("element masks", 0.8): LIGHT}),
    ("C13", "refuted", "the intervals hold 1", {x: {"time over dense": 0.99} for x in (0.2, 0.5, 0.8)}),
    ("C13", "refuted", "more everywhere", {}),
    ("C14", "supported", "both gains", {}),
    ("C14", "conditional", "over a member alone", {"sub-networks": {WHOLE: 0.0}}),
    ("C14", "conditional", "over a member, a loss over the whole net", {"sub-networks": {WHOLE: -0.1}}),
    ("C14", "refuted", "neither", {"sub-networks": {MEMBER: 0.0, WHOLE: 0.0}}),
    ("C15", "supported", "more parameters", {"thinout": {"parameters": 1001}}),
    ("C15", "conditional", "each keeps a byte an element", {"PyTorch": {KEPT: 600}, "thinout": {KEPT: 600}}),
    ("C15", "refuted", "one keeps less", {"PyTorch": {KEPT: 900}, "thinout": {KEPT: 599}}),
    ("C15", "refuted", "fewer parameters", {"thinout": {"parameters": 999}}),
    ("C16", "supported", "fewer parameters, as good", {"clip value": {"parameters": 900}}),
    ("C16", "conditional", "as many, as good", {}),
    ("C16", "conditional", "more parameters, as good", {"clip value": {"parameters": 1100}}),
    ("C16", "conditional", "fewer, worse with one form", {"clip value": {"parameters": 900, "test NLL": 0.6}}),
    ("C16", "refuted", "as many, worse with one form", {"clip norm": {"test NLL": 0.6}}),
    ("C16", "refuted", "as many, not shown to be as good", {"clip norm": {"test NLL": 0.515}}),
    ("C17", "supported", "a gap is left, units fail", {"p=0.2": {LEARNED: 20.0}}),
    ("C17", "conditional", "a gap is left, units learn", {}),
    ("C17", "conditional", "a gap is left, most units are not shown to fail", {"p=0.8": {LEARNED: 50.0}}),
    ("C17", "conditional", "no gap at one rate, units fail", {"p=0.8": {LEARNED: 20.0, "gap": 0.0}}),
    ("C17", "refuted", "no gap at one rate, units learn", {"p=0.2": {"gap": 0.0}}),
    ("C17", "refuted", "the gap is negative", {"p=0.8": {"gap": -0.1}}),
    ("C18", "supported", "with 10 and 43 classes", {("p=0.5, x classes", x): errors(12.0) for x in (10, 43)}),
    ("C18", "refuted", "at 1 to 10", {("p=0.5", 10): errors(12.0)}),
    ("C18", "refuted", "at 1 to 100, weighted", {("p=0.5, weighted", 100): errors(12.0)}),
    ("C18", "refuted", "with two and more signs", {"p=0.5, x classes": errors(12.0)}),
    ("C18", "refuted", "with two classes at 1 to 1", {("p=0.5", 1): errors(12.0)}),
    ("C18", "no evidence", "it rises", {"p=0.5": errors(18.0)}),
    ("C18", "no evidence", "all alike", {}),
    ("C19", "supported", "grows, and is large", {2048: share(15.0)}),
    ("C19", "conditional", "grows with one", {("thinout", 2048): share(8.0)}),
    ("C19", "conditional", "is large with one", {"PyTorch": share(15.0)}),
    ("C19", "conditional", "grows and is large with one", {("PyTorch", 2048): share(15.0)}),
    ("C19", "conditional", "grows with both, is large with one", {2048: share(15.0), ("thinout", 2048): share(8.0)}),
    ("C19", "conditional", "is large with both, grows with one", {2048: share(15.0), ("thinout", 128): share(15.0)}),
    ("C19", "conditional", "grows with both, to 10 %", {2048: share(10.1)}),
    ("C19", "refuted", "clearly below 10 %", {}),
    ("C19", "refuted", "clearly below 10 %, the intervals overlap", {2048: share(3.03)}),
    ("C19", "refuted", "large for a small net alone", {128: share(30.0)}),
    ("C19", "no evidence", "an interval below 10 % holds it", {"thinout": share(9.9)}),
    ("C19", "no evidence", "both intervals above 10 % hold it", {128: share(20.0), 2048: share(10.1)}),
    ("C20", "supported", "ranges of 0 and 0.1", valley([0.5], [0.4, 0.5])),
    ("C20", "supported", "neighbours 2.1 % higher", {x: {"test NLL": 1 + 0.21 * abs(x - 0.5)} for x in c20.RATES}),
    ("C20", "no evidence", "neighbours 1.9 % higher", {x: {"test NLL": 1 + 0.19 * abs(x - 0.5)} for x in c20.RATES}),
    ("C20", "supported", "good rates apart from the best", valley([0.1, 0.5, 0.9], [0.0, 0.2])),
    ("C20", "conditional", "narrow and wide", valley([0.5], [0.2, 0.3, 0.4, 0.5])),
    ("C20", "refuted", "0.3 and everything", valley([0.1, 0.2, 0.3, 0.4], c20.RATES)),
    ("C20", "no evidence", "0.2 and 0.2", valley([0.1, 0.2, 0.3], [0.5, 0.6, 0.7])),
    ("C20", "no evidence", "narrow and 0.2", valley([0.5], [0.5, 0.6, 0.7])),
    ("C20", "no evidence", "0.2 and wide", valley([0.1, 0.2, 0.3], c20.RATES)),
    ("C21", "supported", "noisier and worse", {"p=0.5": {"test NLL": 0.6}}),
    ("C21", "conditional", "noisier", {}),
    ("C21", "conditional", "noisier and better", {"p=0.5": {"test NLL": 0.4}}),
    ("C21", "refuted", "worse", {"p=0.5": {SPREAD: 0.1, "test NLL": 0.6}}),
    ("C21", "refuted", "the same spread", {"p=0.5": {SPREAD: 0.1}}),
    ("C22", "supported", "half were studied", studies((11, HELP))),
    ("C22", "supported", "helps in most by Holm's method", studies((11, HELP), (1, study(-5.0, 4e-3)), (10, NOTHING))),
    ("C22", "conditional", "helps in half, in two studies each", studies((11, TWICE), (11, NOTHING))),
    ("C22", "conditional", "helps in most, harms in one", studies((21, HELP), (1, HARM))),
    ("C22", "conditional", "helps and harms in one, helps in the others", studies((1, TORN), (21, HELP))),
    ("C22", "conditional", "helps in one after the correction", studies((1, study(-5.0, 2e-3)), (21, NOTHING))),
    ("C22", "conditional", "helps in one, the others need no test", {**NO_DROPOUT, **studies((1, study(-5.0, 0.04)))}),
    ("C22", "refuted", "harms in one", studies((1, HARM), (21, NOTHING))),
    ("C22", "no evidence", "the help is lost by the correction", studies((1, study(-5.0, 3e-3)), (21, NOTHING))),
    ("C22", "no evidence", "the harm is lost by the correction", studies((1, study(5.0, 3e-3)), (21, NOTHING))),
    ("C22", "no evidence", "fewer than half were studied", studies((10, HELP))),
    ("C22", "no evidence", "validation chose none", NO_DROPOUT),
    ("C22", "no evidence", "nothing was studied", {}),
    ("C23", "supported", "both", {"dropout": {LEAK: 5.0, CHOSEN: 0.021}}),
    ("C23", "conditional", "gradients, negative correlation", {"dropout": {LEAK: 5.0, CHOSEN: -0.1}}),
    ("C23", "conditional", "no gradient, negative correlation", {"dropout": {CHOSEN: -0.021}}),
    ("C23", "conditional", "gradients, no correlation", {"dropout": {LEAK: 5.0}}),
    ("C23", "conditional", "a gradient in one pass", {("dropout", 0.5): {LEAK: [0.0] * 9 + [0.1]}}),
    ("C23", "conditional", "gradients, correlation at one", {"dropout": {LEAK: 5.0}, ("dropout", 0.8): {CHOSEN: 0.1}}),
    ("C23", "conditional", "no gradient, correlation at one", {("dropout", 0.8): {CHOSEN: 0.1}}),
    ("C23", "refuted", "neither", {"dropout": {CHOSEN: -0.019}}),
    ("C24", "supported", "small everywhere", {}),
    ("C24", "conditional", "small at one rate", {"dropout": {CHANGE: 60.0}, ("dropout", 0.1): {CHANGE: 9.5}}),
    ("C24", "conditional", "not small at one rate", {("dropout", 0.8): {CHANGE: 9.9}}),
    ("C24", "refuted", "the intervals reach 10 %", {"dropout": {CHANGE: 9.9}}),
    ("C25", "supported", "alike", {}),
    ("C25", "supported", "shown to be within 1 point", {"none": {"train error": 4.2}}),
    ("C25", "conditional", "worse with one rate at one width", {("p=0.2", 8): {"train error": 9.0}}),
    ("C25", "conditional", "as well at one width", {"none": {"train error": 1.0}, ("none", 8): {"train error": 5.0}}),
    ("C25", "refuted", "not shown to be within 1 point", {"none": {"train error": 4.005}}),
]


def judged(claim: Claim, changes: Changes) -> Finding:
    """Judge evidence with the claim's own arms, places and seeds.

    A seed's deviation is 2 % that all arms share and 1 % that is the arm's own. Both are centred: the means over seeds
    are those that are stated, and arms that are alike differ by 0 on average.
    """
    generator, shared = np.random.default_rng(0), dict[tuple[float | None, str], Floats]()

    def deviations(count: int) -> Floats:
        drawn: Floats = generator.normal(size=count)
        drawn -= drawn.mean()
        drawn /= max(drawn.std(), 1e-9)  # of one seed there is no deviation
        return drawn

    seeds = dict[tuple[str, float | None], list[int]]()
    for unit in claim.units("full"):
        seeds.setdefault((unit.arm, unit.x), []).append(unit.seed)
    cells = dict[tuple[str, float | None], dict[int, dict[str, float]]]()
    for (arm, x), own in seeds.items():
        cells[arm, x] = {seed: {} for seed in own}
        places: Iterable[Place] = (arm,) if x is None else (x, arm, (arm, x))
        values = {**BASES[claim.id], **{k: v for place in places for k, v in changes.get(place, {}).items()}}
        for name, stated in values.items():
            means = np.broadcast_to(np.asarray(stated, dtype=np.float64), len(own))
            if isinstance(stated, float):
                common = shared.setdefault((x, name), deviations(len(own)))
                means = means + max(1.0, abs(stated)) * (0.02 * common + 0.01 * deviations(len(own)))
            for seed, value in zip(own, means.tolist(), strict=True):
                cells[arm, x][seed][name] = value
    return claim.judge(Evidence(cells))


@pytest.mark.parametrize(
    ("claim", "verdict", "changes"),
    [
        pytest.param(claim, verdict, changes, id=f"{claim}-{verdict}: {why}")
        for claim, verdict, why, changes in SCENARIOS
    ],
)
def test_the_verdict_follows_from_the_rule(claim: str, verdict: Verdict, changes: Changes) -> None:
    finding = judged(find(claim), changes)
    assert finding.verdict == verdict, finding.sentence
    assert finding.sentence.endswith(".")
    assert bool(finding.condition) == (verdict == "conditional")
    for effect in finding.effects:
        numbers = (effect.value, effect.low, effect.high, effect.p_value)
        assert all(number is None or math.isfinite(number) for number in numbers), effect.name


@pytest.mark.parametrize("claim", all_claims(), ids=lambda claim: claim.id)
def test_every_verdict_that_a_rule_names_is_reached_and_no_other(claim: Claim) -> None:
    named = {verdict for verdict in VERDICTS if verdict in claim.rule.lower()}
    assert named == {verdict for name, verdict, *_ in SCENARIOS if name == claim.id}
    assert {"supported", "refuted"} <= named


@pytest.mark.parametrize(
    ("claim", "changes"),
    [
        ("C01", {("p=0.5", 300): {"gap": 0.985, "test NLL": 0.985}}),
        ("C07", {"input": {PIXELS: 17.75}}),
        ("C09", {("p=0.1", 1): {"solved": 81.3}}),
        ("C12", {("p=0.5", 300): errors(14.8)}),
        ("C18", {("p=0.5", 10): errors(14.78)}),
    ],
)
def test_what_is_significant_alone_is_lost_by_the_correction(claim: str, changes: Changes) -> None:
    finding = judged(find(claim), changes)
    assert 0.01 < min(effect.p_value for effect in finding.effects if effect.p_value is not None) < 0.05
    assert finding.verdict == "no evidence"
