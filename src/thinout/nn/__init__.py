"""Dropout layers: modules that store arguments and call `thinout.functional`."""

from thinout.nn._channel import Dropout1d as Dropout1d
from thinout.nn._channel import Dropout2d as Dropout2d
from thinout.nn._channel import Dropout3d as Dropout3d
from thinout.nn._concrete import ConcreteDropout as ConcreteDropout
from thinout.nn._concrete_maps import ConcreteDropout1d as ConcreteDropout1d
from thinout.nn._concrete_maps import ConcreteDropout2d as ConcreteDropout2d
from thinout.nn._concrete_maps import ConcreteDropout3d as ConcreteDropout3d
from thinout.nn._elementwise import ClassicDropout as ClassicDropout
from thinout.nn._elementwise import Dropout as Dropout
from thinout.nn._registry import REGISTRY as REGISTRY
from thinout.nn._registry import ErrorInput as ErrorInput
from thinout.nn._registry import LayerSpec as LayerSpec
from thinout.nn._sparse_variational import SparseVariationalLinear as SparseVariationalLinear
from thinout.nn._sparse_variational_conv import SparseVariationalConv1d as SparseVariationalConv1d
from thinout.nn._sparse_variational_conv import SparseVariationalConv2d as SparseVariationalConv2d
from thinout.nn._sparse_variational_conv import SparseVariationalConv3d as SparseVariationalConv3d
from thinout.nn._variational import VariationalDropout as VariationalDropout
from thinout.nn._variational import VariationalLinear as VariationalLinear

__all__ = [
    "REGISTRY",
    "ClassicDropout",
    "ConcreteDropout",
    "ConcreteDropout1d",
    "ConcreteDropout2d",
    "ConcreteDropout3d",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "ErrorInput",
    "LayerSpec",
    "SparseVariationalConv1d",
    "SparseVariationalConv2d",
    "SparseVariationalConv3d",
    "SparseVariationalLinear",
    "VariationalDropout",
    "VariationalLinear",
]
