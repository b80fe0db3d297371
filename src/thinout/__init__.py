"""thinout: the dropout library for PyTorch.

import thinout.nn as tnn

layer = tnn.Dropout(p=0.5)
"""

from thinout import companions as companions
from thinout import functional as functional
from thinout import fused as fused
from thinout import losses as losses
from thinout import nn as nn
from thinout import ops as ops
from thinout import schedules as schedules
from thinout.ops import backends as backends
from thinout.regularization import regularization as regularization
from thinout.torch_patch import patch_torch as patch_torch
from thinout.torch_patch import torch_patched as torch_patched

__version__ = "0.1.0.dev0"

__all__ = [
    "__version__",
    "backends",
    "companions",
    "functional",
    "fused",
    "losses",
    "nn",
    "ops",
    "patch_torch",
    "regularization",
    "schedules",
    "torch_patched",
]
