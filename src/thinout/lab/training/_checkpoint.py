"""The state of a training after an epoch, in one file that is there whole or not at all."""

from __future__ import annotations

import hashlib
import io
import math
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from thinout._checks import ThinoutError
from thinout.lab.rows import write_atomically

CHECKPOINT_FORMAT = 2


class CheckpointError(ThinoutError):
    """A checkpoint that cannot be written, cannot be read, or belongs to another training."""


@dataclass(kw_only=True)
class TrainingState:
    """How far a training has come; generators are absent because `RunSeeds` derives them from the epoch.

    Args:
        identity: what the training is (case, p, recipe, seeds, initial weights, data): a checkpoint of another is
            refused.
        epoch: epochs done.
        best_epoch: epoch with the lowest validation NLL so far, 0 before the first.
        best_nll: that NLL.
        best_weights: the state dict of that epoch.
        history: one record an epoch.
        model: state dict after the epoch; filled only on the way to the file.
        optimizer: likewise.
    """

    identity: str
    epoch: int = 0
    best_epoch: int = 0
    best_nll: float = math.inf
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    model: dict[str, Any] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)


def write_checkpoint(path: Path, state: TrainingState) -> None:
    """Write the state atomically; raises CheckpointError where the disk refuses."""
    buffer = io.BytesIO()
    torch.save({"format": CHECKPOINT_FORMAT, **{key: getattr(state, key) for key in _FIELDS}}, buffer)
    buffer.seek(0, io.SEEK_END)
    buffer.write(hashlib.sha256(buffer.getbuffer()).digest())  # torch.load takes a weight with a bit turned
    try:
        write_atomically(path, buffer.getbuffer())
    except OSError as error:
        raise CheckpointError(
            f"fit: the checkpoint {path} cannot be written ({error.strerror}). Free space."
        ) from error


def read_checkpoint(path: Path, identity: str) -> TrainingState | None:
    """Read the state of the training `identity`, or None where there is no file yet."""
    if not path.exists():
        return None
    try:
        content = torch.load(io.BytesIO(_checked(path)), map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"fit: the checkpoint {path} cannot be read. Delete it to start again.") from error
    if not isinstance(content, dict) or content.pop("format", None) != CHECKPOINT_FORMAT:
        raise CheckpointError(f"fit: {path} is no checkpoint of format {CHECKPOINT_FORMAT}. Delete it to start again.")
    if content["identity"] != identity:
        raise CheckpointError(
            f"fit: the checkpoint {path} belongs to a training with another case, p, recipe, seed, model or "
            "data. Repeat that command, or choose another folder (--folder)."
        )
    return TrainingState(**content)


def _checked(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(max(0, path.stat().st_size - hashlib.sha256().digest_size))
        if file.read() != hashlib.sha256(content).digest():
            raise EOFError("it is damaged, or of an older version")
    return content


_FIELDS = tuple(TrainingState.__dataclass_fields__)
