"""Companions of dropout, which act on weights and gradients: max-norm, clipping, conversions.

    constraint = MaxNorm(model, 3.0).attach(optimizer)  # after every step of the optimiser
    clip_by_norm_(model, 1.0)                            # between backward() and step()

Max-norm is what dropout was first trained with (Srivastava et al. 2014). Clipping is no form of dropout: it bounds the
step, drops nothing and changes no parameter count.
"""

from thinout.companions._clip import adaptive_clip_ as adaptive_clip_
from thinout.companions._clip import clip_by_norm_ as clip_by_norm_
from thinout.companions._clip import clip_by_value_ as clip_by_value_
from thinout.companions._convert import classic_to_inverted as classic_to_inverted
from thinout.companions._max_norm import MaxNorm as MaxNorm
from thinout.companions._max_norm import max_norm_ as max_norm_

__all__ = ["MaxNorm", "adaptive_clip_", "classic_to_inverted", "clip_by_norm_", "clip_by_value_", "max_norm_"]
