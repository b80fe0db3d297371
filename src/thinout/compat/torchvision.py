"""The dropouts of `torchvision.ops`, on thinout's masks."""

from thinout.compat._depth import StochasticDepth as StochasticDepth
from thinout.compat._depth import stochastic_depth as stochastic_depth

__all__ = ["StochasticDepth", "stochastic_depth"]
