"""thinout: the dropout library for PyTorch.

import thinout.nn as tnn

layer = tnn.Dropout(p=0.5)
"""

from thinout import functional as functional
from thinout import nn as nn
from thinout import ops as ops
from thinout.ops import backends as backends

__version__ = "0.1.0.dev0"
__all__ = ["__version__", "backends", "functional", "nn", "ops"]
