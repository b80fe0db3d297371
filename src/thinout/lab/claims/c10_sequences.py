"""C10: noise at each time step helps to recognise whole sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from thinout.lab.claims._claim import Claim, Effect, Finding, Panel, Size, Unit, grid
from thinout.lab.claims._evidence import Evidence
from thinout.lab.claims._training import SIDE, SMALL, clean_metrics, images, recipe_for, train
from thinout.nn import Dropout

P, HIDDEN = 0.3, 96
NOISE_SHAPES = {"each step": None, "locked": (None, 1, None)}
ARMS = {
    "none": "no noise",
    "each step": f"dropout with p = {P} on the rows that it reads and on the states that are classified, a new mask at "
    "each step",
    "locked": f"the same with one mask for all steps of a sequence (p = {P})",
}


class RowReader(nn.Module):
    """An LSTM that reads an image row by row, from top to bottom, and classifies it by the mean of its states.

    Args:
        arm: a name of `ARMS`.
    """

    def __init__(self, arm: str) -> None:
        super().__init__()
        noise_shape = NOISE_SHAPES.get(arm)
        p = 0.0 if arm == "none" else P
        self.before, self.after = (Dropout(p, noise_shape=noise_shape) for _ in range(2))
        self.lstm = nn.LSTM(SIDE, HIDDEN, batch_first=True)
        self.head = nn.Linear(HIDDEN, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, 10) for images (N, 1, 28, 28)."""
        states, _ = self.lstm(self.before(images.squeeze(1)))
        logits: Tensor = self.head(self.after(states).mean(1))
        return logits


def units(size: Size) -> Sequence[Unit]:
    """Return every arm."""
    return grid(tuple(ARMS), 2 if size == "quick" else 8)


def measure(unit: Unit, size: Size) -> Mapping[str, float]:
    """Train one network and measure it."""
    splits = images(SMALL, unit.seed)
    recipe = recipe_for(3600, steps=60 if size == "quick" else 1500, lr=2e-3, clip_norm=1.0)
    model, result = train(lambda: RowReader(unit.arm), splits, recipe, unit.seed)
    return clean_metrics(model, splits) | {"best epoch": result.best_epoch}


def judge(evidence: Evidence) -> Finding:
    """Compare noise at each step with none, and with one mask a sequence."""
    effects = [
        Effect.of(f"{name}, {arm} minus {baseline}", evidence.difference(arm, baseline, name), unit)
        for arm, baseline in (("each step", "none"), ("locked", "none"), ("each step", "locked"))
        for name, unit in (("test NLL", "nats"), ("test error", "percentage points"))
    ]
    change, locked = (evidence.difference("each step", other, "test NLL") for other in ("none", "locked"))
    text = (
        f"Noise at each step changes the test NLL by {change.mean:+.3f} nats, one mask a sequence by "
        f"{evidence.difference('locked', 'none', 'test NLL').mean:+.3f}."
    )
    helps = change.high is not None and change.high < 0
    if helps and locked.low is not None and locked.low > 0:
        condition = "the kind of noise: one mask a sequence does better"
        return Finding(verdict="conditional", condition=condition, sentence=text, effects=tuple(effects))
    if helps:
        return Finding(verdict="supported", sentence=text, effects=tuple(effects))
    harms = change.low is not None and change.low > 0
    return Finding(verdict="refuted" if harms else "no evidence", sentence=text, effects=tuple(effects))


CLAIM = Claim(
    id="C10",
    section="2.3",
    title="Noise at each time step",
    statement="Noise at each time step helps a recurrent network to recognise whole sequences.",
    hypothesis="With a new mask at each time step the test NLL is lower than without noise.",
    refutation="It is higher.",
    data=f"fashion-mnist-small read row by row, an LSTM of {HIDDEN} units, the mean of its states classified",
    arms=ARMS,
    metric="test NLL, noise off, at the best validation epoch",
    rule="Paired by seed. Supported if the 95 % interval of each step minus none lies below 0, but conditional if "
    "that of each step minus locked lies above 0 too; refuted if that of each step minus none lies above 0, else no "
    "evidence.",
    units=units,
    measure=measure,
    judge=judge,
    panels=(
        Panel(title="Test NLL", value="test NLL", what="test NLL in nats"),
        Panel(title="Test error", value="test error", what="test error in %"),
        Panel(title="Gap", value="gap", what="test minus training NLL"),
    ),
    data_sets=(SMALL,),
    references=("Gal, Ghahramani 2016, arXiv 1512.05287",),
)
