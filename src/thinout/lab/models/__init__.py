"""The networks of the built-in cases."""

from thinout.lab.models._lenet5 import LeNet5 as LeNet5
from thinout.lab.models._lenet5 import lenet5_1998 as lenet5_1998
from thinout.lab.models._mlp import MLP as MLP

__all__ = ["MLP", "LeNet5", "lenet5_1998"]
