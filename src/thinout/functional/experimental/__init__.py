"""Functions for methods whose full recipe could not be read in a source.

Each says what was assumed. Names, defaults and masks may change between versions, where those of
`thinout.functional` may not.
"""

from thinout.functional.experimental._activity import jumpout as jumpout
from thinout.functional.experimental._activity import max_drop2d as max_drop2d
from thinout.functional.experimental._activity import max_dropout as max_dropout
from thinout.functional.experimental._maps import attention_drop_layer as attention_drop_layer
from thinout.functional.experimental._maps import checkerboard_dropout2d as checkerboard_dropout2d
from thinout.functional.experimental._maps import weighted_channel_dropout as weighted_channel_dropout

__all__ = [
    "attention_drop_layer",
    "checkerboard_dropout2d",
    "jumpout",
    "max_drop2d",
    "max_dropout",
    "weighted_channel_dropout",
]
