"""Dropout layers: modules that store arguments and call `thinout.functional`."""

from thinout.nn import experimental as experimental
from thinout.nn._channel import Dropout1d as Dropout1d
from thinout.nn._channel import Dropout2d as Dropout2d
from thinout.nn._channel import Dropout3d as Dropout3d
from thinout.nn._drop_block import DropBlock1d as DropBlock1d
from thinout.nn._drop_block import DropBlock2d as DropBlock2d
from thinout.nn._drop_block import DropBlock3d as DropBlock3d
from thinout.nn._elementwise import ClassicDropout as ClassicDropout
from thinout.nn._elementwise import Dropout as Dropout
from thinout.nn._erasing import Cutout as Cutout
from thinout.nn._erasing import RandomErasing as RandomErasing
from thinout.nn._pattern import PatternDropout2d as PatternDropout2d
from thinout.nn._pooling import MaxPoolDropout1d as MaxPoolDropout1d
from thinout.nn._pooling import MaxPoolDropout2d as MaxPoolDropout2d
from thinout.nn._registry import REGISTRY as REGISTRY
from thinout.nn._registry import ErrorInput as ErrorInput
from thinout.nn._registry import LayerSpec as LayerSpec
from thinout.nn._spectral import SpectralDropout as SpectralDropout

__all__ = [
    "REGISTRY",
    "ClassicDropout",
    "Cutout",
    "DropBlock1d",
    "DropBlock2d",
    "DropBlock3d",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "ErrorInput",
    "LayerSpec",
    "MaxPoolDropout1d",
    "MaxPoolDropout2d",
    "PatternDropout2d",
    "RandomErasing",
    "SpectralDropout",
]
