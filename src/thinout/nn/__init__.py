"""Dropout layers: modules that store arguments and call `thinout.functional`."""

from thinout.nn import experimental as experimental
from thinout.nn._adaptive import InformationDropout as InformationDropout
from thinout.nn._adaptive import Standout as Standout
from thinout.nn._alpha import AlphaDropout as AlphaDropout
from thinout.nn._alpha import FeatureAlphaDropout as FeatureAlphaDropout
from thinout.nn._attention import DropAttention as DropAttention
from thinout.nn._attention import DropHead as DropHead
from thinout.nn._attention import DropKey as DropKey
from thinout.nn._channel import Dropout1d as Dropout1d
from thinout.nn._channel import Dropout2d as Dropout2d
from thinout.nn._channel import Dropout3d as Dropout3d
from thinout.nn._concrete import ConcreteDropout as ConcreteDropout
from thinout.nn._concrete_maps import ConcreteDropout1d as ConcreteDropout1d
from thinout.nn._concrete_maps import ConcreteDropout2d as ConcreteDropout2d
from thinout.nn._concrete_maps import ConcreteDropout3d as ConcreteDropout3d
from thinout.nn._depth import DropPath as DropPath
from thinout.nn._depth import ScheduledDropPath as ScheduledDropPath
from thinout.nn._depth import StochasticDepth as StochasticDepth
from thinout.nn._depth import StochasticDepthBlock as StochasticDepthBlock
from thinout.nn._drop_block import DropBlock1d as DropBlock1d
from thinout.nn._drop_block import DropBlock2d as DropBlock2d
from thinout.nn._drop_block import DropBlock3d as DropBlock3d
from thinout.nn._drop_connect import DropConnectLinear as DropConnectLinear
from thinout.nn._drop_connect_conv import DropConnectConv1d as DropConnectConv1d
from thinout.nn._drop_connect_conv import DropConnectConv2d as DropConnectConv2d
from thinout.nn._drop_connect_conv import DropConnectConv3d as DropConnectConv3d
from thinout.nn._elementwise import ClassicDropout as ClassicDropout
from thinout.nn._elementwise import Dropout as Dropout
from thinout.nn._erasing import Cutout as Cutout
from thinout.nn._erasing import RandomErasing as RandomErasing
from thinout.nn._gates import HardConcreteGate as HardConcreteGate
from thinout.nn._graph import DropEdge as DropEdge
from thinout.nn._graph import DropMessage as DropMessage
from thinout.nn._graph import DropNode as DropNode
from thinout.nn._layer_drop import LayerDrop as LayerDrop
from thinout.nn._locked import LockedDropout as LockedDropout
from thinout.nn._multi_sample import MultiSampleDropout as MultiSampleDropout
from thinout.nn._nested import NestedDropout as NestedDropout
from thinout.nn._noise import GaussianDropout as GaussianDropout
from thinout.nn._noise import GaussianNoise as GaussianNoise
from thinout.nn._noise import Uout as Uout
from thinout.nn._patches import HiddenCut as HiddenCut
from thinout.nn._patches import PatchDropout as PatchDropout
from thinout.nn._paths import FractalJoin as FractalJoin
from thinout.nn._paths import ShakeDrop as ShakeDrop
from thinout.nn._paths import ShakeShake as ShakeShake
from thinout.nn._pattern import PatternDropout2d as PatternDropout2d
from thinout.nn._pooling import MaxPoolDropout1d as MaxPoolDropout1d
from thinout.nn._pooling import MaxPoolDropout2d as MaxPoolDropout2d
from thinout.nn._recurrent_cells import RNNDropCell as RNNDropCell
from thinout.nn._recurrent_cells import SemeniutaGRUCell as SemeniutaGRUCell
from thinout.nn._recurrent_cells import SemeniutaLSTMCell as SemeniutaLSTMCell
from thinout.nn._recurrent_layer import RecurrentLayer as RecurrentLayer
from thinout.nn._registry import REGISTRY as REGISTRY
from thinout.nn._registry import ErrorInput as ErrorInput
from thinout.nn._registry import LayerSpec as LayerSpec
from thinout.nn._sdpa import ScaledDotProductAttention as ScaledDotProductAttention
from thinout.nn._shakeout import ShakeoutLinear as ShakeoutLinear
from thinout.nn._sparse_variational import SparseVariationalLinear as SparseVariationalLinear
from thinout.nn._sparse_variational_conv import SparseVariationalConv1d as SparseVariationalConv1d
from thinout.nn._sparse_variational_conv import SparseVariationalConv2d as SparseVariationalConv2d
from thinout.nn._sparse_variational_conv import SparseVariationalConv3d as SparseVariationalConv3d
from thinout.nn._spectral import SpectralDropout as SpectralDropout
from thinout.nn._swapout import Swapout as Swapout
from thinout.nn._targeted import TargetedUnitDropout as TargetedUnitDropout
from thinout.nn._targeted import TargetedWeightDropout as TargetedWeightDropout
from thinout.nn._tokens import EmbeddingDropout as EmbeddingDropout
from thinout.nn._tokens import TokenDropout as TokenDropout
from thinout.nn._tokens import WordDropout as WordDropout
from thinout.nn._variational import VariationalDropout as VariationalDropout
from thinout.nn._variational import VariationalLinear as VariationalLinear
from thinout.nn._variational_rnn import VariationalGRU as VariationalGRU
from thinout.nn._variational_rnn import VariationalLSTM as VariationalLSTM
from thinout.nn._weight_drop import WeightDrop as WeightDrop
from thinout.nn._zoneout import ZoneoutCell as ZoneoutCell
from thinout.nn._zoneout import ZoneoutGRUCell as ZoneoutGRUCell
from thinout.nn._zoneout import ZoneoutLSTMCell as ZoneoutLSTMCell

__all__ = [
    "REGISTRY",
    "AlphaDropout",
    "ClassicDropout",
    "ConcreteDropout",
    "ConcreteDropout1d",
    "ConcreteDropout2d",
    "ConcreteDropout3d",
    "Cutout",
    "DropAttention",
    "DropBlock1d",
    "DropBlock2d",
    "DropBlock3d",
    "DropConnectConv1d",
    "DropConnectConv2d",
    "DropConnectConv3d",
    "DropConnectLinear",
    "DropEdge",
    "DropHead",
    "DropKey",
    "DropMessage",
    "DropNode",
    "DropPath",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "EmbeddingDropout",
    "ErrorInput",
    "FeatureAlphaDropout",
    "FractalJoin",
    "GaussianDropout",
    "GaussianNoise",
    "HardConcreteGate",
    "HiddenCut",
    "InformationDropout",
    "LayerDrop",
    "LayerSpec",
    "LockedDropout",
    "MaxPoolDropout1d",
    "MaxPoolDropout2d",
    "MultiSampleDropout",
    "NestedDropout",
    "PatchDropout",
    "PatternDropout2d",
    "RNNDropCell",
    "RandomErasing",
    "RecurrentLayer",
    "ScaledDotProductAttention",
    "ScheduledDropPath",
    "SemeniutaGRUCell",
    "SemeniutaLSTMCell",
    "ShakeDrop",
    "ShakeShake",
    "ShakeoutLinear",
    "SparseVariationalConv1d",
    "SparseVariationalConv2d",
    "SparseVariationalConv3d",
    "SparseVariationalLinear",
    "SpectralDropout",
    "Standout",
    "StochasticDepth",
    "StochasticDepthBlock",
    "Swapout",
    "TargetedUnitDropout",
    "TargetedWeightDropout",
    "TokenDropout",
    "Uout",
    "VariationalDropout",
    "VariationalGRU",
    "VariationalLSTM",
    "VariationalLinear",
    "WeightDrop",
    "WordDropout",
    "ZoneoutCell",
    "ZoneoutGRUCell",
    "ZoneoutLSTMCell",
    "experimental",
]
