"""Where the randomness of a run comes from, and digests that prove it."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset, TensorDataset

from thinout._checks import check_count
from thinout.lab.case import Case
from thinout.lab.data import Splits, Viewed


@dataclass(frozen=True, kw_only=True)
class RunSeeds:
    """Independent seeds of one run; arms with the same run seed share them all.

    What is random in an epoch is a pure function of these, the epoch's number and the process's rank. So nothing that
    happens in between (an evaluation, a restart) can shift it, and a checkpoint needs no generator states.

    Args:
        init: initial weights.
        order: order of the training examples.
        masks: the default generator while training: dropout masks and other noise inside of the model.
        split: the validation cut; 32 bits, since it goes to the user's own function, and many libraries take no more.

    Example:
        >>> RunSeeds.from_seed(0) == RunSeeds.from_seed(0), RunSeeds.from_seed(0).init == RunSeeds.from_seed(1).init
        (True, False)
    """

    init: int
    order: int
    masks: int
    split: int

    @classmethod
    def from_seed(cls, seed: int) -> RunSeeds:
        """Derive the four seeds of a run from its one seed."""
        check_count("RunSeeds", "seed", seed, at_least=0)
        init, order, masks, split = derive(seed, num_seeds=4)
        return cls(init=init, order=order, masks=masks, split=split >> 31)

    def epoch_order(self, epoch: int, num_examples: int) -> Tensor:
        """Return the permutation in which an epoch visits the training examples, int64 (num_examples,)."""
        generator = torch.Generator().manual_seed(derive(self.order, epoch)[0])
        return torch.randperm(num_examples, generator=generator)

    def epoch_masks(self, epoch: int, rank: int) -> int:
        """Return the seed of the default generator for one epoch in one process."""
        return derive(self.masks, epoch, rank)[0]

    def epoch_loads(self, epoch: int, rank: int) -> int:
        """Return the seed of what a data set draws while one process loads the batches of one epoch."""
        return derive(self.order, epoch, rank, _LOADS)[0]


def split_seed(case: Case, seed: int) -> int:
    """Return the seed that a case's `splits` takes in the run of a seed."""
    return seed if case.has_numbered_splits else RunSeeds.from_seed(seed).split


_NUM_DIGESTED = 8  # images of a part that are looked at: a photo is decoded for it
_LOADS = 1  # tells these seeds from the ones of the orders


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Run a block under `torch.manual_seed(seed)` and restore the generators afterwards."""
    with torch.random.fork_rng(devices=list(range(torch.cuda.device_count()))):
        torch.manual_seed(seed)
        yield


@contextmanager
def seeded_everywhere(seed: int) -> Iterator[None]:
    """Run a block with the generators of torch, NumPy and Python seeded, and restore them afterwards."""
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002  # a user's data set may use it
    try:
        with seeded(seed):
            np.random.seed(seed % 2**32)  # noqa: NPY002  # likewise
            random.seed(seed)
            yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002  # likewise
        random.setstate(python_state)


def digest_weights(weights: Mapping[str, Tensor]) -> str:
    """Return the sha256 of a state dict: types, shapes and bytes; a dropout layer more shifts names, not weights."""
    digest = hashlib.sha256()
    for value in weights.values():
        digest.update(f"{value.dtype} {tuple(value.shape)};".encode())
        digest.update(_bytes(value))
    return digest.hexdigest()


def digest_order(seeds: RunSeeds, num_examples: int) -> str:
    """Return the sha256 of the order of the first two epochs."""
    orders = [_bytes(seeds.epoch_order(epoch, num_examples)) for epoch in (1, 2)]
    return hashlib.sha256(b"".join(orders)).hexdigest()


def digest_test(splits: Splits) -> str:
    """Return the sha256 of the test part as it was before it was standardised, which differs from seed to seed."""
    if splits.test_digest:
        return splits.test_digest
    if type(splits.test) is not TensorDataset or not splits.mean:
        return digest_parts(splits.test)
    images, *others = splits.test.tensors
    shape = (1, -1, *(1,) * (images.dim() - 2))
    mean, std = torch.tensor(splits.mean).view(shape), torch.tensor(splits.std).view(shape)
    pixels = (255 * (images * std + mean)).round().to(torch.int16)  # whole numbers again, whatever was rounded between
    return digest_parts(TensorDataset(pixels, *others))


def digest_parts(*parts: Dataset[tuple[Tensor, ...]]) -> str:
    """Return the sha256 of which examples are in which part.

    Of images behind a view their numbers, labels and a sample of the pixels; of other data sets what can be known.
    """
    digest = hashlib.sha256()
    for part in parts:
        _update_with_part(digest, part)
    return digest.hexdigest()


def _update_with_part(digest: hashlib._Hash, part: Dataset[tuple[Tensor, ...]]) -> None:
    if type(part) is TensorDataset:
        for tensor in part.tensors:
            digest.update(_bytes(tensor))
    elif isinstance(part, Subset):
        digest.update(np.asarray(part.indices, dtype=np.int64).tobytes())
    elif type(part) is Viewed:
        digest.update(_bytes(part.indices))
        digest.update(_bytes(part.labels))
        # Some of the pixels: one set may come in two forms, as its publisher has it and packed.
        for place in part.indices[:: max(1, math.ceil(len(part) / _NUM_DIGESTED))].tolist():
            digest.update(_bytes(part.images[place]))
    digest.update(f"{len(part)};".encode())  # type: ignore[arg-type]  # torch's Dataset declares no __len__


def _bytes(tensor: Tensor) -> bytes | memoryview:
    # Through uint8, since NumPy does not know bfloat16.
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data


def derive(*entropy: int, num_seeds: int = 1) -> list[int]:
    """Return independent seeds of 63 bits that are a pure function of some numbers."""
    # 63 bits: torch takes an int64.
    return [int(word >> 1) for word in np.random.SeedSequence(entropy).generate_state(num_seeds, np.uint64)]
