"""Nine layers through PyTorch's own compiler, with code generation: the masks are eager's, forward and backward."""

import pytest
import torch

from thinout.nn import REGISTRY

LAYERS = (
    "Dropout",
    "Dropout2d",
    "AlphaDropout",
    "Uout",
    "GaussianDropout",
    "DropBlock2d",
    "StochasticDepth",
    "DropConnectLinear",
    "LockedDropout",
)


@pytest.mark.parametrize("name", LAYERS)
def test_compiled_by_inductor_is_eager(name):
    spec = REGISTRY[name]
    layer, (x, *rest) = spec.make(), spec.example()
    results = []
    torch._dynamo.reset()
    for function in (layer, torch.compile(layer, fullgraph=True)):
        torch.manual_seed(3)
        leaf = x.clone().requires_grad_()
        first, second = function(leaf, *rest), function(leaf, *rest)
        assert not torch.equal(first, second), "two calls have one mask"
        results.append((first, second, torch.autograd.grad(first.square().sum(), leaf)[0]))
    for compiled, eager in zip(*reversed(results), strict=True):
        torch.testing.assert_close(compiled, eager)
        assert torch.equal(compiled == 0, eager == 0)
