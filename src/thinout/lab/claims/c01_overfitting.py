"""C01: dropout prevents overfitting and improves generalisation. C12 judges the same measurements for accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from thinout.lab.claims._claim import Claim, Effect, Finding, Panel, Size, Unit, Verdict, grid
from thinout.lab.claims._evidence import Evidence
from thinout.lab.claims._training import clean_metrics, images, mlp, recipe_for, train

RATES = {"none": 0.0, "p=0.2": 0.2, "p=0.5": 0.5}
SIZES = (100, 300, 1000, 3000, 10_000, 54_000)
ARMS = {
    "none": "no dropout",
    "p=0.2": "dropout with p = 0.2 after each hidden layer, up to 3,000 images",
    "p=0.5": "dropout with p = 0.5 after each hidden layer",
}
NUM_VALIDATION = 2_000  # more would cost more than the training, where that has few images
DATA = (
    f"Fashion-MNIST, 100 to 54,000 training images, {NUM_VALIDATION:,} for validation, the whole test part; "
    "perceptron 784-512-512-10"
)


def units(size: Size) -> Sequence[Unit]:
    """Return every arm at every number of training images; the quick form leaves the large ones out."""
    if size == "quick":
        return grid(tuple(ARMS), 2, SIZES[:2])
    # p = 0.2 decides nothing: where training takes longest it would only take time.
    return [unit for unit in grid(tuple(ARMS), 8, SIZES) if unit.arm != "p=0.2" or unit.x in SIZES[:4]]


def measure(unit: Unit, size: Size) -> Mapping[str, float]:
    """Train one network and measure it with dropout off."""
    num_train = int(unit.x or 0)
    splits = images("fashion-mnist", unit.seed, num_train=num_train, num_validation=NUM_VALIDATION)
    recipe = recipe_for(num_train, steps=200 if size == "quick" else 1500)
    model, result = train(lambda: mlp(RATES[unit.arm]), splits, recipe, unit.seed)
    return clean_metrics(model, splits) | {"best epoch": result.best_epoch}


def changes(evidence: Evidence, metric: str, unit: str) -> list[Effect]:
    """Return, for each number of images, the change that p = 0.5 makes."""
    effects = []
    for x in evidence.xs():
        change = evidence.difference("p=0.5", "none", metric, x)
        effects.append(Effect.of(f"{metric}, {x:,.0f} images, p=0.5 minus none", change, unit))
    return effects


def sizes_where(effects: Sequence[Effect], *, lower: bool) -> list[Effect]:
    """Return the effects that stand Bonferroni's correction for their number, of one sign."""
    level = 0.05 / len(effects)
    return [
        effect
        for effect in effects
        if effect.p_value is not None and effect.p_value < level and (effect.value < 0) == lower
    ]


def judge(evidence: Evidence) -> Finding:
    """Ask at how many sizes the gap and the test NLL fall."""
    gaps, losses = changes(evidence, "gap", "nats"), changes(evidence, "test NLL", "nats")
    smaller, better, worse = (
        sizes_where(gaps, lower=True),
        sizes_where(losses, lower=True),
        sizes_where(losses, lower=False),
    )
    text = (
        f"With p = 0.5 the gap between test and training NLL is smaller at {len(smaller)} of {len(gaps)} sizes of the "
        f"training set, the test NLL lower at {len(better)} and higher at {len(worse)}."
    )
    effects = tuple(gaps + losses)
    if len(smaller) == len(gaps) and len(better) == len(losses):
        return Finding(verdict="supported", sentence=text, effects=effects)
    if not smaller and not better:
        verdict: Verdict = "refuted" if worse else "no evidence"
        return Finding(verdict=verdict, sentence=text, effects=effects)
    return Finding(verdict="conditional", condition="the number of training images", sentence=text, effects=effects)


CLAIM = Claim(
    id="C01",
    section="1, 2.1",
    title="Overfitting and generalisation",
    statement="Dropout prevents overfitting and improves generalisation.",
    hypothesis="With p = 0.5 the gap between test and training NLL is smaller and the test NLL lower than without "
    "dropout, whatever the size of the training set.",
    refutation="The gap is not smaller and the test NLL not lower at any size.",
    data=DATA,
    arms=ARMS,
    metric="test NLL minus training NLL, and test NLL, both with dropout off, at the best validation epoch",
    rule="p = 0.5 against none, paired by seed, significant at 0.05 over the number of sizes. Supported if gap and "
    "test NLL fall at every size, conditional if one of them at some, refuted if none falls and the test NLL rises "
    "somewhere, else no evidence.",
    units=units,
    measure=measure,
    judge=judge,
    panels=(
        Panel(title="Generalisation gap", value="gap", what="test minus training NLL", axis="training images", log="x"),
        Panel(title="Test NLL", value="test NLL", what="test NLL in nats", axis="training images", log="x"),
    ),
    data_sets=("fashion-mnist",),
    references=("Srivastava et al. 2014, JMLR 15:1929-1958, section 7.4",),
)
