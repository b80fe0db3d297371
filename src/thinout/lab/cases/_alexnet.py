"""AlexNet on any folder of photos: the forms of the article, of the 2012 paper and of torchvision, and a small one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from torch import nn

from thinout.lab.case import BASELINE, Arm, Case, Recipe, dropout_arm
from thinout.lab.cases._images import SIGN_VIEW, SIGNS
from thinout.lab.data import (
    SKIP_BAD,
    Splits,
    class_names,
    describe,
    load,
    open_folder,
    photo_splits,
    sign_splits,
    square_side,
)
from thinout.lab.models import AlexNet, SmallAlexNet

SETS = ("ants-bees", "cifar10", "cifar10-jpeg", "cifar10-jpeg-small", *SIGNS)
ARMS: tuple[Arm, ...] = (BASELINE, dropout_arm(1 / 3), dropout_arm(0.5))
Model = Callable[..., nn.Module]

_LARGE = Recipe(epochs=14, batch_size=16, lr=5e-5, schedule="cosine", patience=None)
_SMALL = Recipe(epochs=40, lr=1e-3, schedule="cosine", patience=None)


def maker(
    name: str, title: str, model: Model, *, size: int, default: str, recipe: Recipe
) -> Callable[[str | None], Case]:
    """Return the `make_case` of one form.

    Args:
        name: of the case.
        title: of the case.
        model: takes the drop probability, ``num_classes`` and ``in_channels``.
        size: side of the images that the model takes.
        default: name of the data set where none is given.
        recipe: how it is trained.
    """

    def make_case(data: str | None = None) -> Case:
        # What is no name of a set is the path of a folder of images; SKIP_BAD alone is the default, with that wish.
        source = default if data is None or data == SKIP_BAD else data
        chosen = source.removesuffix(SKIP_BAD)
        is_set = chosen in SETS
        num_classes = describe(chosen).num_classes if is_set else len(class_names(source))
        return Case(
            name=name,
            title=title,
            model=partial(model, num_classes=num_classes, in_channels=3),
            data=partial(_of_set, chosen, size) if is_set else partial(_of_folder, source, size),
            data_name=chosen if is_set else f"folder {Path(chosen).resolve().name}",
            recipe=recipe,
            arms=ARMS,
        )

    return make_case


def _of_set(name: str, size: int, seed: int) -> Splits:
    if name in SIGNS:
        return sign_splits(load(name), seed=seed, view=replace(SIGN_VIEW, size=size))
    return photo_splits(load(name), seed=seed, size=size)


def _of_folder(source: str, size: int, seed: int) -> Splits:
    return photo_splits(open_folder(source, side=square_side(size)), seed=seed, size=size)


make_case = maker(
    "alexnet",
    "AlexNet, one tower (96, 256, 384, 384, 256 channels), dropout before fc6 and fc7",
    partial(AlexNet, form="single-tower", side=227),
    size=227,
    default="ants-bees",
    recipe=_LARGE,
)
make_128 = maker(
    "alexnet-128",
    "AlexNet, one tower, on images of 128 pixels",
    partial(AlexNet, form="single-tower", side=128),
    size=128,
    default="ants-bees",
    recipe=_LARGE,
)
make_2012 = maker(
    "alexnet-2012",
    "AlexNet as of 2012: two towers, local response normalisation, dropout after fc6 and fc7",
    partial(AlexNet, form="two-towers", side=224),
    size=224,
    default="ants-bees",
    recipe=_LARGE,
)
make_torchvision = maker(
    "alexnet-torchvision",
    "AlexNet as torchvision has it (64, 192, 384, 256, 256 channels)",
    partial(AlexNet, form="torchvision", side=224),
    size=224,
    default="ants-bees",
    recipe=_LARGE,
)
make_small = maker(
    "alexnet-64",
    "AlexNet cut down for images of 64 pixels (24, 64, 96, 96, 64 channels, 512 hidden units)",
    SmallAlexNet,
    size=64,
    default="cifar10-jpeg-small",
    recipe=_SMALL,
)
