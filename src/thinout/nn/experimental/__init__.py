"""Layers for methods whose full recipe could not be read in a source.

Each says what was assumed, in the docstring of its function in `thinout.functional.experimental`. Names, defaults and
masks may change between versions, where those of `thinout.nn` may not.
"""

from thinout.nn.experimental._activity import Jumpout as Jumpout
from thinout.nn.experimental._activity import MaxDrop2d as MaxDrop2d
from thinout.nn.experimental._activity import MaxDropout as MaxDropout
from thinout.nn.experimental._maps import AttentionDropLayer as AttentionDropLayer
from thinout.nn.experimental._maps import CheckerboardDropout2d as CheckerboardDropout2d
from thinout.nn.experimental._maps import WeightedChannelDropout as WeightedChannelDropout

__all__ = [
    "AttentionDropLayer",
    "CheckerboardDropout2d",
    "Jumpout",
    "MaxDrop2d",
    "MaxDropout",
    "WeightedChannelDropout",
]
