"""Dropout layers: modules that store arguments and call `thinout.functional`."""

from thinout.nn._adaptive import InformationDropout as InformationDropout
from thinout.nn._adaptive import Standout as Standout
from thinout.nn._alpha import AlphaDropout as AlphaDropout
from thinout.nn._alpha import FeatureAlphaDropout as FeatureAlphaDropout
from thinout.nn._channel import Dropout1d as Dropout1d
from thinout.nn._channel import Dropout2d as Dropout2d
from thinout.nn._channel import Dropout3d as Dropout3d
from thinout.nn._elementwise import ClassicDropout as ClassicDropout
from thinout.nn._elementwise import Dropout as Dropout
from thinout.nn._multi_sample import MultiSampleDropout as MultiSampleDropout
from thinout.nn._nested import NestedDropout as NestedDropout
from thinout.nn._noise import GaussianDropout as GaussianDropout
from thinout.nn._noise import GaussianNoise as GaussianNoise
from thinout.nn._noise import Uout as Uout
from thinout.nn._registry import REGISTRY as REGISTRY
from thinout.nn._registry import ErrorInput as ErrorInput
from thinout.nn._registry import LayerSpec as LayerSpec
from thinout.nn._shakeout import ShakeoutLinear as ShakeoutLinear
from thinout.nn._swapout import Swapout as Swapout

__all__ = [
    "REGISTRY",
    "AlphaDropout",
    "ClassicDropout",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "ErrorInput",
    "FeatureAlphaDropout",
    "GaussianDropout",
    "GaussianNoise",
    "InformationDropout",
    "LayerSpec",
    "MultiSampleDropout",
    "NestedDropout",
    "ShakeoutLinear",
    "Standout",
    "Swapout",
    "Uout",
]
