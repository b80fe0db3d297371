"""Dropout layers: modules that store arguments and call `thinout.functional`."""

from thinout.nn._channel import Dropout1d as Dropout1d
from thinout.nn._channel import Dropout2d as Dropout2d
from thinout.nn._channel import Dropout3d as Dropout3d
from thinout.nn._drop_connect import DropConnectLinear as DropConnectLinear
from thinout.nn._drop_connect_conv import DropConnectConv1d as DropConnectConv1d
from thinout.nn._drop_connect_conv import DropConnectConv2d as DropConnectConv2d
from thinout.nn._drop_connect_conv import DropConnectConv3d as DropConnectConv3d
from thinout.nn._elementwise import ClassicDropout as ClassicDropout
from thinout.nn._elementwise import Dropout as Dropout
from thinout.nn._fraternal import FraternalLoss as FraternalLoss
from thinout.nn._gates import HardConcreteGate as HardConcreteGate
from thinout.nn._registry import REGISTRY as REGISTRY
from thinout.nn._registry import ErrorInput as ErrorInput
from thinout.nn._registry import LayerSpec as LayerSpec
from thinout.nn._targeted import TargetedUnitDropout as TargetedUnitDropout
from thinout.nn._targeted import TargetedWeightDropout as TargetedWeightDropout
from thinout.nn._weight_drop import WeightDrop as WeightDrop

__all__ = [
    "REGISTRY",
    "ClassicDropout",
    "DropConnectConv1d",
    "DropConnectConv2d",
    "DropConnectConv3d",
    "DropConnectLinear",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "ErrorInput",
    "FraternalLoss",
    "HardConcreteGate",
    "LayerSpec",
    "TargetedUnitDropout",
    "TargetedWeightDropout",
    "WeightDrop",
]
