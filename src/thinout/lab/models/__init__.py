"""The networks of the built-in cases."""

from thinout.lab.models._alexnet import AlexNet as AlexNet
from thinout.lab.models._alexnet import SmallAlexNet as SmallAlexNet
from thinout.lab.models._characters import CausalAttention as CausalAttention
from thinout.lab.models._characters import CharLSTM as CharLSTM
from thinout.lab.models._characters import CharTransformer as CharTransformer
from thinout.lab.models._lenet5 import LeNet5 as LeNet5
from thinout.lab.models._lenet5 import lenet5_1998 as lenet5_1998
from thinout.lab.models._mlp import MLP as MLP
from thinout.lab.models._ngrams import NgramNet as NgramNet
from thinout.lab.models._series import SeriesNet as SeriesNet
from thinout.lab.models._spectrogram import SpectrogramNet as SpectrogramNet
from thinout.lab.models._steering import ClipNet as ClipNet
from thinout.lab.models._steering import SteeringNet as SteeringNet

__all__ = [
    "MLP",
    "AlexNet",
    "CausalAttention",
    "CharLSTM",
    "CharTransformer",
    "ClipNet",
    "LeNet5",
    "NgramNet",
    "SeriesNet",
    "SmallAlexNet",
    "SpectrogramNet",
    "SteeringNet",
    "lenet5_1998",
]
