"""What two gloo processes compute for test_layers_ddp.py: every registered layer in DistributedDataParallel."""

import datetime
import json
import os
import traceback

import pytest
import torch
from torch import distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils._pytree import tree_leaves, tree_map

import thinout.nn as tnn

WORLD_SIZE, STEPS = 2, 4


class Scaled(nn.Module):
    """A layer behind a learned factor, so that a layer without parameters has one before it too."""

    def __init__(self, layer, inputs):
        super().__init__()
        self.layer = layer
        if floating(inputs):
            self.factor = nn.Parameter(torch.ones(()))

    def forward(self, *inputs):
        return self.layer(*tree_map(lambda leaf: leaf * self.factor if is_floating(leaf) else leaf, inputs))


def is_floating(leaf):
    return isinstance(leaf, torch.Tensor) and leaf.is_floating_point()


def floating(tree):
    return [leaf for leaf in tree_leaves(tree) if is_floating(leaf)]


def gathered(value):
    """Return the value of each process."""
    values = [None] * WORLD_SIZE
    dist.all_gather_object(values, value)
    return values


def same(tensors):
    first, *others = gathered([tensor.detach().clone() for tensor in tensors])
    return all(torch.equal(one, two) for other in others for one, two in zip(first, other, strict=True))


def train(model, inputs, steps=STEPS):
    """Train a wrapped model on the same inputs everywhere; return whether outputs ever differed between processes.

    After each step gradients and parameters must be the same everywhere.
    """
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-3)
    differed = False
    for step in range(steps):
        optimiser.zero_grad()
        outputs = floating(model(*inputs))
        differed |= not same(outputs)
        sum(output.square().sum() for output in outputs if output.requires_grad).backward()
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        assert gradients, f"step {step}: no gradients"
        assert same(gradients), f"step {step}: gradients differ between processes"
        optimiser.step()
        assert same(list(model.parameters())), f"step {step}: parameters differ between processes"
    return differed


def check_registered(name):
    """A layer trains under DDP, with the same gradients and different masks in the processes."""
    spec = tnn.REGISTRY[name]
    inputs = spec.example()
    model = Scaled(spec.make(), inputs)
    if any(True for _ in model.parameters()):
        assert train(DistributedDataParallel(model), inputs), "the processes have one mask"
    else:  # integers in, integers out: there is nothing to train
        calls = [tree_leaves(model(*inputs)) for _ in range(STEPS)]
        assert not all(same(outputs) for outputs in calls), "the processes have one mask"


class Record(nn.Linear):
    """A layer that notes that it was called."""

    calls: list

    def forward(self, x):
        self.calls.append(self.number)
        return torch.tanh(super().forward(x))


def recording(count=6):
    torch.manual_seed(0)  # the same weights everywhere; the caller seeds again
    layers, calls = [Record(4, 4) for _ in range(count)], []
    for number, layer in enumerate(layers):
        layer.number, layer.calls = number, calls
    torch.manual_seed(100 + dist.get_rank())
    return layers, calls


def check_layer_drop_skips_alike():
    """With the default, all processes leave out the same layers."""
    layers, calls = recording()
    stack = tnn.LayerDrop(layers, p=0.5)
    inputs = (torch.randn(3, 4, generator=torch.Generator().manual_seed(1)),)
    model = DistributedDataParallel(Scaled(stack, inputs), find_unused_parameters=True)
    assert not train(model, inputs, steps=8)
    ours, theirs = gathered(calls)
    assert ours == theirs
    assert 0 < len(calls) < 8 * 6


def check_layer_drop_without_sync_decides_apart():
    """Without it they do not: DDP averages what there is, but collectives inside of the layers would wait for ever."""
    layers, calls = recording()
    stack = tnn.LayerDrop(layers, p=0.5, sync=False)
    inputs = (torch.randn(3, 4, generator=torch.Generator().manual_seed(1)),)
    assert train(DistributedDataParallel(Scaled(stack, inputs), find_unused_parameters=True), inputs, steps=8)
    ours, theirs = gathered(calls)
    assert ours != theirs


def check_layer_drop_by_key_needs_no_message():
    """With one key everywhere the processes agree, and send nothing: rank 0 may be alone."""
    layers, calls = recording()
    stack = tnn.LayerDrop(layers, p=0.5)
    if dist.get_rank() == 0:
        for step in range(8):
            stack(torch.zeros(1, 4), key=5, offset=step)
    dist.barrier()
    if dist.get_rank() == 1:
        for step in range(8):
            stack(torch.zeros(1, 4), key=5, offset=step)
    ours, theirs = gathered(calls)
    assert ours == theirs


def check_layer_drop_selects_apart():
    """With skip=False masks differ, every layer has a gradient, and DDP needs no search for unused parameters."""
    layers, calls = recording()
    inputs = (torch.randn(3, 4, generator=torch.Generator().manual_seed(1)),)
    model = DistributedDataParallel(Scaled(tnn.LayerDrop(layers, p=0.5, skip=False), inputs))
    assert train(model, inputs, steps=8)
    assert len(calls) == 8 * 6


def check_layer_drop_needs_the_search_where_it_skips():
    """DDP without `find_unused_parameters` says so at the next step, when a layer was left out."""
    layers, _ = recording()
    stack, x = tnn.LayerDrop(layers, p=0.5), torch.ones(1, 4)
    model = DistributedDataParallel(Scaled(stack, (x,)))
    stack.p = 1.0
    model(x).sum().backward()
    with pytest.raises(RuntimeError, match="find_unused_parameters"):
        model(x).sum().backward()


def check_block_skips_alike():
    """The residual block in mode "batch" decides alike everywhere, or computes everywhere."""
    inputs = (torch.randn(3, 4, generator=torch.Generator().manual_seed(1)),)
    for skip, num_calls in ((True, None), (False, 12)):
        (branch,), calls = recording(1)
        block = tnn.StochasticDepthBlock(branch, 0.5, "batch", skip=skip)
        model = DistributedDataParallel(Scaled(block, inputs), find_unused_parameters=skip)
        assert train(model, inputs, steps=12) == (not skip)
        ours, theirs = gathered(calls)
        assert ours == theirs
        assert len(calls) == num_calls if num_calls else 0 < len(calls) < 12


def check_fully_sharded_layers_are_skipped_alike():
    """Sharded layers, whose calls are collectives, do not hang: skipped alike, or all computed."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh("cpu", (WORLD_SIZE,))
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
    for skip in (True, False):
        layers, calls = recording()
        stack = tnn.LayerDrop(layers, p=0.5, skip=skip)
        for layer in layers:
            fully_shard(layer, mesh=mesh)
        fully_shard(stack, mesh=mesh)
        for _ in range(6):
            y = stack(x.clone().requires_grad_())
            y.square().sum().backward()
        ours, theirs = gathered(calls)
        assert ours == theirs
        assert (len(calls) < 36) == skip


CHECKS = {
    name.removeprefix("check_"): function
    for name, function in list(globals().items())
    if name.startswith("check_") and name != "check_registered"
}


def attempt(check, *arguments):
    """Return None, or what went wrong."""
    torch.manual_seed(100 + dist.get_rank())
    try:
        check(*arguments)
    except Exception:  # of any kind: its text is sent to the first process, which fails with it
        return traceback.format_exc()
    return None


def run(rank, folder):
    """Run all checks as one of the processes; rank 0 writes what went wrong, by name."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/store",
        rank=rank,
        world_size=WORLD_SIZE,
        timeout=datetime.timedelta(seconds=30),
    )
    try:
        results = {}
        for name, spec in tnn.REGISTRY.items():
            if "ddp" not in spec.exceptions:
                results[name] = gathered(attempt(check_registered, name))
        for name, check in CHECKS.items():
            results[name] = gathered(attempt(check))
    finally:
        dist.destroy_process_group()
    if rank == 0:
        with open(f"{folder}/results.json", "w") as file:
            json.dump({name: [what for what in both if what] for name, both in results.items()}, file)
    # All is done and written. On a busy machine torch's threads of sharded models can abort the interpreter's exit.
    os._exit(0)
