"""Every registered layer trains in two processes, by DistributedDataParallel over gloo on this machine alone."""

import json

import pytest
import torch
from _ddp_layers import CHECKS, WORLD_SIZE, run

import thinout.nn as tnn

pytestmark = pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without torch.distributed")


@pytest.fixture(scope="module")
def failures(tmp_path_factory):
    """What went wrong in the one run of two processes, by the name of the layer or check."""
    folder = tmp_path_factory.mktemp("ddp")
    torch.multiprocessing.spawn(run, args=(str(folder),), nprocs=WORLD_SIZE)
    return json.loads((folder / "results.json").read_text())


@pytest.mark.parametrize("name", [*tnn.REGISTRY, *CHECKS])
def test_data_parallel(name, failures):
    if name in tnn.REGISTRY and "ddp" in tnn.REGISTRY[name].exceptions:
        pytest.skip(f"{name} is excepted: {tnn.REGISTRY[name].exceptions['ddp']}")
    assert not failures[name], "\n".join(failures[name])
