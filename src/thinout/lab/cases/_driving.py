"""Steering by a camera: from one frame, and from a clip of eight."""

from __future__ import annotations

from functools import partial
from typing import Literal

from thinout.lab.case import BASELINE, Case, Recipe, dropout_arm
from thinout.lab.cases._names import choose_data
from thinout.lab.data import Splits, drive_splits, load
from thinout.lab.models import ClipNet, SteeringNet

_SETS = ("donkey-tub",)
_ARMS = (BASELINE, dropout_arm(0.1), dropout_arm(0.2), dropout_arm(0.5))
CLIP = 8


def make_case(data: str | None = None) -> Case:
    """Return the case that steers by single frames; the seed decides which contiguous block is the test part."""
    name = choose_data("driving", data, _SETS)
    return Case(
        name="driving",
        title="Steering from a camera frame (four convolutions, 64 hidden units)",
        model=SteeringNet,
        data=partial(_frames, name),
        data_name=name,
        recipe=Recipe(epochs=12, batch_size=32, schedule="cosine", patience=None),
        task="regression",
        metric="error",
        arms=_ARMS,
        has_numbered_splits=True,
    )


def make_video(data: str | None = None) -> Case:
    """Return the case that steers by clips, with whole channels dropped."""
    return _video("video", "channels", data)


def make_locked_video(data: str | None = None) -> Case:
    """Return the case that steers by clips, with one mask for all times of a clip."""
    return _video("video-locked", "locked", data)


def _video(case: str, drop: Literal["channels", "locked"], data: str | None) -> Case:
    name = choose_data(case, data, _SETS)
    what = "whole channels dropped" if drop == "channels" else "one mask for all frames"
    return Case(
        name=case,
        title=f"Steering from a clip of {CLIP} frames (three 3-d convolutions, {what})",
        model=partial(ClipNet, drop=drop),
        data=partial(_clips, name),
        data_name=name,
        recipe=Recipe(epochs=12, batch_size=32, schedule="cosine", patience=None),
        task="regression",
        metric="error",
        arms=_ARMS,
        has_numbered_splits=True,
    )


def _frames(name: str, seed: int) -> Splits:
    return drive_splits(load(name), seed=seed)


def _clips(name: str, seed: int) -> Splits:
    return drive_splits(load(name), seed=seed, clip=CLIP, pool=2, every=2)
