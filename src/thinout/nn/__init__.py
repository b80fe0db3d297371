"""Dropout layers: modules that store arguments and call `thinout.functional`."""

from thinout.nn._channel import Dropout1d as Dropout1d
from thinout.nn._channel import Dropout2d as Dropout2d
from thinout.nn._channel import Dropout3d as Dropout3d
from thinout.nn._depth import DropPath as DropPath
from thinout.nn._depth import ScheduledDropPath as ScheduledDropPath
from thinout.nn._depth import StochasticDepth as StochasticDepth
from thinout.nn._depth import StochasticDepthBlock as StochasticDepthBlock
from thinout.nn._elementwise import ClassicDropout as ClassicDropout
from thinout.nn._elementwise import Dropout as Dropout
from thinout.nn._layer_drop import LayerDrop as LayerDrop
from thinout.nn._paths import FractalJoin as FractalJoin
from thinout.nn._paths import ShakeDrop as ShakeDrop
from thinout.nn._paths import ShakeShake as ShakeShake
from thinout.nn._registry import REGISTRY as REGISTRY
from thinout.nn._registry import ErrorInput as ErrorInput
from thinout.nn._registry import LayerSpec as LayerSpec

__all__ = [
    "REGISTRY",
    "ClassicDropout",
    "DropPath",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "ErrorInput",
    "FractalJoin",
    "LayerDrop",
    "LayerSpec",
    "ScheduledDropPath",
    "ShakeDrop",
    "ShakeShake",
    "StochasticDepth",
    "StochasticDepthBlock",
]
