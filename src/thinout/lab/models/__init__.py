"""The networks of the built-in cases."""

from thinout.lab.models._alexnet import AlexNet as AlexNet
from thinout.lab.models._alexnet import SmallAlexNet as SmallAlexNet
from thinout.lab.models._lenet5 import LeNet5 as LeNet5
from thinout.lab.models._lenet5 import lenet5_1998 as lenet5_1998
from thinout.lab.models._mlp import MLP as MLP
from thinout.lab.models._series import SeriesNet as SeriesNet
from thinout.lab.models._steering import ClipNet as ClipNet
from thinout.lab.models._steering import SteeringNet as SteeringNet

__all__ = [
    "MLP",
    "AlexNet",
    "ClipNet",
    "LeNet5",
    "SeriesNet",
    "SmallAlexNet",
    "SteeringNet",
    "lenet5_1998",
]
