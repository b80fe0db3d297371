"""Data in arrays (tables, series, frames): the container, and how it is cut into standardised parts."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import TensorDataset

from thinout._checks import check_count
from thinout.lab.data._sampling import Indices, permutation
from thinout.lab.data._split import Splits, check_share, validation_indices
from thinout.lab.data._types import bad_data, read_bytes, unreadable

_BROKEN = (
    KeyError, ValueError, EOFError, TypeError, AttributeError,
    zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError,  # what zipfile raises of a damaged member
)  # fmt: skip
Floats = npt.NDArray[np.float64]
_TEST_SEEDS = 2**32  # added to a seed: the test part must not be drawn from the numbers of the validation part


@dataclass(frozen=True, eq=False)
class ArrayData:
    """Examples in arrays.

    Args:
        name: name for messages.
        num_outputs: how many classes there are, or numbers to be predicted of an example.
        inputs: float64 (N, features) or (N, channels, ...); NaN is a missing value.
        targets: int64 labels (N,), or float64 numbers (N, num_outputs).
        test_parts: the test parts that the publisher defined, each the places of its examples; () where there is none.
    """

    name: str
    num_outputs: int
    inputs: Floats
    targets: npt.NDArray[Any]
    test_parts: tuple[Indices, ...] = ()

    def __post_init__(self) -> None:
        if self.inputs.ndim < 2 or self.inputs.size == 0:
            bad_data(self.name, "inputs", "at least one example of at least one number", f"shape {self.inputs.shape}")
        if np.isinf(self.inputs).any():
            bad_data(self.name, "inputs", "finite or missing", "infinite numbers")
        _check_targets(self.name, self.targets, len(self.inputs), self.num_outputs)
        for part in self.test_parts:
            _check_part(self.name, part, len(self.inputs))

    @property
    def has_labels(self) -> bool:
        """Whether targets are classes."""
        return self.targets.ndim == 1


def _check_targets(name: str, targets: npt.NDArray[Any], num_examples: int, num_outputs: int) -> None:
    if len(targets) != num_examples:
        bad_data(name, "targets", f"as many as the {num_examples} examples", len(targets))
    if targets.ndim == 1:
        low, high = int(targets.min()), int(targets.max())
        if targets.dtype != np.int64 or low < 0 or high >= num_outputs:
            bad_data(name, "labels", f"int64 in [0, {num_outputs - 1}]", f"{targets.dtype}, {low} to {high}")
    elif targets.shape[1:] != (num_outputs,) or not np.isfinite(targets).all():
        bad_data(name, "targets", f"{num_outputs} finite numbers an example", f"shape {targets.shape}")


def _check_part(name: str, part: Indices, num_examples: int) -> None:
    is_inside = part.ndim == 1 and 0 < len(part) < num_examples and part.min() >= 0 and part.max() < num_examples
    if not is_inside or len(np.unique(part)) < len(part):
        allowed = f"different places in [0, {num_examples - 1}], not all of them"
        bad_data(name, "test part", allowed, f"{len(part)} places")


def array_splits(data: ArrayData, *, seed: int, validation: float = 0.2, test: float = 0.2) -> Splits:
    r"""Cut data into three parts, fill in what is missing, and standardise by the training part alone.

    With mean m and standard deviation s of each feature (or channel) over the training part, missing values left out,
    every part becomes :math:`(x - m) / s`, a missing value 0, which is the mean; a feature that is constant in the
    training part is only centred. Numbers to be predicted are standardised likewise.

    Args:
        data: the examples.
        seed: decides the parts; of test parts that the publisher defined, number ``seed % len(test_parts)`` is taken.
        validation: share of what is no test example that is held out, in (0, 1); of labels, of every class.
        test: share of the test part, where the publisher defined none; of labels, of every class.

    Raises:
        ValueError, TypeError: seed or a share out of range, or no number.
        DataError: too few examples, of one class or in all.

    Example:
        >>> features = np.arange(20.0).reshape(10, 2)
        >>> data = ArrayData("steps", 2, features, np.arange(10) % 2)
        >>> splits = array_splits(data, seed=0)
        >>> len(splits.train), len(splits.validation), len(splits.test), splits.shape
        (6, 2, 2, (2,))
    """
    check_count("array_splits", "seed", seed, at_least=0)
    everything = np.arange(len(data.inputs))
    if data.test_parts:
        tested = data.test_parts[seed % len(data.test_parts)]
    else:
        tested = _held_out(data, everything, check_share(test), seed + _TEST_SEEDS)
    rest = np.setdiff1d(everything, tested)
    held = _held_out(data, rest, check_share(validation), seed)
    return standardised_splits(data, train=np.setdiff1d(rest, held), validation=held, test=tested)


def standardised_splits(data: ArrayData, *, train: Indices, validation: Indices, test: Indices) -> Splits:
    """Return three chosen parts, standardised as `array_splits` does.

    Args:
        data: the examples.
        train: places of the training part.
        validation: of the validation part.
        test: of the test part.
    """
    mean, std = _statistics(data.inputs[train])
    centre, scale = target_scale(data, train)

    def part(places: Indices) -> TensorDataset:
        inputs = np.nan_to_num((data.inputs[places] - mean) / std, nan=0.0)
        targets = data.targets[places] if data.has_labels else ((data.targets[places] - centre) / scale)
        wanted = torch.from_numpy(targets if data.has_labels else targets.astype(np.float32))
        return TensorDataset(torch.from_numpy(inputs.astype(np.float32)), wanted)

    shape, std_of_targets = data.inputs.shape[1:], () if data.has_labels else tuple(scale.tolist())
    return Splits(
        part(train),
        part(validation),
        part(test),
        data.num_outputs,
        tuple(shape),
        target_std=std_of_targets,
        test_digest=_digest(data.inputs[test], data.targets[test]),
    )


def _digest(*arrays: npt.NDArray[Any]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape};".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def target_scale(data: ArrayData, train: Indices) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of the targets of the training part; 0 and 1 of labels."""
    if data.has_labels:
        return np.zeros(1), np.ones(1)
    targets = data.targets[train]
    std = targets.std(0)
    if not (std > 0).all():
        bad_data(data.name, "targets", "different from each other in the training part", "one constant number")
    return targets.mean(0), std


def _statistics(inputs: Floats) -> tuple[Floats, Floats]:
    """Return mean and deviation of each feature or channel over what is not missing, shaped to be broadcast."""
    axes = (0, *range(2, inputs.ndim))
    known = ~np.isnan(inputs)
    count = np.maximum(known.sum(axes, keepdims=True), 1)
    filled = np.where(known, inputs, 0.0)
    mean = filled.sum(axes, keepdims=True) / count
    std = np.sqrt((np.where(known, filled - mean, 0.0) ** 2).sum(axes, keepdims=True) / count)
    # Relative: the deviation of equal numbers is not exactly 0 when their mean is rounded.
    is_constant = std <= 1e-12 * np.maximum(np.abs(mean), 1.0)
    return mean, np.where(is_constant, 1.0, std)


def _held_out(data: ArrayData, places: Indices, share: float, seed: int) -> Indices:
    if data.has_labels:
        chosen = validation_indices(data.name, data.targets[places], share, seed, what="examples")
    else:
        count = round(len(places) * share)
        if not 0 < count < len(places):
            bad_data(data.name, "examples", f"enough to hold out {share:g} of them", len(places))
        chosen = permutation(np.random.PCG64(seed), len(places))[:count]
    return np.sort(places[chosen])


def read_npz(path: Path, names: tuple[str, ...]) -> Mapping[str, npt.NDArray[Any]]:
    """Return arrays of an npz file, nothing of it executed.

    Raises:
        DataError: it is no such file, or lacks an array.
    """
    try:
        # Opened here, since np.load leaves a damaged file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            return {name: content[name] for name in names}
    except OSError as error:
        unreadable(path, error)
    except _BROKEN as error:
        bad_data(path, "file", f"an npz file with {', '.join(names)}", f"{type(error).__name__}: {error}")


def read_text(path: Path, *, max_bytes: int) -> str:
    """Return the text of a file in UTF-8 of at most some bytes.

    Raises:
        DataError: it cannot be read, is larger, or is no such text.
    """
    content = read_bytes(path, max_bytes=max_bytes)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        bad_data(path, "file", "text in UTF-8", str(error))


def to_number(where: object, text: str, name: str) -> float:
    """Return a cell as a finite number, or raise DataError."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        bad_data(where, name, "a finite number", repr(text))
    return value
