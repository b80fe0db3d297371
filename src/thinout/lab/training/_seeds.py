"""Where the randomness of a run comes from, and digests that prove it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset, TensorDataset

from thinout._checks import check_count
from thinout.lab.data import Splits


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
        init, order, masks, split = _derive(seed, num_seeds=4)
        return cls(init=init, order=order, masks=masks, split=split >> 31)

    def epoch_order(self, epoch: int, num_examples: int) -> Tensor:
        """Return the permutation in which an epoch visits the training examples, int64 (num_examples,)."""
        generator = torch.Generator().manual_seed(_derive(self.order, epoch)[0])
        return torch.randperm(num_examples, generator=generator)

    def epoch_masks(self, epoch: int, rank: int) -> int:
        """Return the seed of the default generator for one epoch in one process."""
        return _derive(self.masks, epoch, rank)[0]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Run a block under `torch.manual_seed(seed)` and restore the generators afterwards."""
    with torch.random.fork_rng(devices=list(range(torch.cuda.device_count()))):
        torch.manual_seed(seed)
        yield


def digest_weights(weights: Mapping[str, Tensor]) -> str:
    """Return the sha256 of a state dict: names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for name, value in weights.items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)};".encode())
        digest.update(_bytes(value))
    return digest.hexdigest()


def digest_order(seeds: RunSeeds, num_examples: int) -> str:
    """Return the sha256 of the order of the first two epochs."""
    orders = [_bytes(seeds.epoch_order(epoch, num_examples)) for epoch in (1, 2)]
    return hashlib.sha256(b"".join(orders)).hexdigest()


def digest_split(splits: Splits) -> str:
    """Return the sha256 of which examples are in which part; of other data sets than tensors, what can be known."""
    digest = hashlib.sha256()
    for part in (splits.train, splits.validation, splits.test):
        _update_with_part(digest, part)
    return digest.hexdigest()


def _update_with_part(digest: hashlib._Hash, part: Dataset[tuple[Tensor, ...]]) -> None:
    if isinstance(part, TensorDataset):
        for tensor in part.tensors:
            digest.update(_bytes(tensor))
    elif isinstance(part, Subset):
        digest.update(np.asarray(part.indices, dtype=np.int64).tobytes())
    digest.update(f"{len(part)};".encode())  # type: ignore[arg-type]  # torch's Dataset declares no __len__


def _bytes(tensor: Tensor) -> bytes | memoryview:
    # Through uint8, since NumPy does not know bfloat16.
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data


def _derive(*entropy: int, num_seeds: int = 1) -> list[int]:
    # 63 bits: torch takes an int64.
    return [int(word >> 1) for word in np.random.SeedSequence(entropy).generate_state(num_seeds, np.uint64)]
