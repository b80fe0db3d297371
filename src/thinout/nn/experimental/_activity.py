"""Dropouts that look at how active units are: Jumpout, Max-drop and MaxDropout."""

from __future__ import annotations

import torch
from torch import Tensor

from thinout import ops
from thinout._checks import check_choice, check_not_negative, check_p
from thinout.functional import experimental as F
from thinout.functional.experimental._activity import MODES, THRESHOLDS
from thinout.nn._rate import Adjustable, Rated, Setting, rate
from thinout.nn._registry import ErrorInput, LayerSpec, register


class Jumpout(Adjustable):
    """Drop at a rate that is drawn anew in each call; see `thinout.functional.experimental.jumpout`.

    Args:
        p_min: smallest rate, in [0, 1].
        p_max: largest rate, in [0, 1].
        sigma: spread of the rates, at least 0. All three can be set at any time.

    Shape:
        Any; the output is like the input.

    Raises:
        ValueError: a rate outside [0, 1] or a negative `sigma`.

    Example:
        >>> Jumpout(0.05, 0.5)(torch.ones(2, 3)).shape
        torch.Size([2, 3])

    Source: Wang, Zhou, Bilmes 2019, ICML, PMLR 97:6668-6676; the exponent, the clipping and the defaults are assumed.
    """

    p_min = Setting()
    p_max = Setting()
    sigma = Setting(check_not_negative)

    def __init__(self, p_min: float = 0.01, p_max: float = 0.6, *, sigma: float = 0.1) -> None:
        super().__init__()
        self.p_min, self.p_max, self.sigma = p_min, p_max, sigma

    def forward(self, input: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Drop in training mode; rate and mask are drawn from `generator`."""
        settings = (rate(self, name) for name in ("p_min", "p_max", "sigma"))
        return F.jumpout(input, *settings, training=self.training, generator=generator)

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return f"p_min={self.p_min}, p_max={self.p_max}, sigma={self.sigma}"


class MaxDrop2d(Rated):
    """Zero the largest activation of a map or of a position; see `thinout.functional.experimental.max_drop2d`.

    Args:
        p: probability that a maximum is zeroed, in [0, 1].
        mode: "feature", a maximum for each map, or "channel", one for each position.
        batched: whether inputs are (N, C, H, W); False for (C, H, W).

    Shape:
        (N, C, H, W), or (C, H, W) with ``batched=False``; the output is like the input.

    Raises:
        ValueError: p outside [0, 1], another mode, or an input of another rank.

    Example:
        >>> y = MaxDrop2d(1.0)(torch.arange(8.0).view(1, 2, 2, 2) + 1)
        >>> y.flatten(2)
        tensor([[[1., 2., 3., 0.],
                 [5., 6., 7., 0.]]])

    Source: Park, Kwak 2016, ACCV, LNCS 10112:189-204; one draw a maximum and no rescaling are assumed.
    """

    def __init__(self, p: float = 0.1, mode: str = "feature", *, batched: bool = True) -> None:
        super().__init__()
        self.p = check_p("MaxDrop2d", p)
        self.mode, self.batched = check_choice("MaxDrop2d", "mode", mode, MODES), batched

    def forward(
        self,
        input: Tensor,
        *,
        key: Tensor | int | None = None,
        generator: torch.Generator | None = None,
        offset: int = 0,
    ) -> Tensor:
        """Zero maxima in training mode; `key`, `generator` and `offset` as in `thinout.functional`."""
        return F.max_drop2d(
            input,
            rate(self),
            self.mode,
            training=self.training,
            batched=self.batched,
            key=key,
            generator=generator,
            offset=offset,
        )

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return f"p={self.p}, mode={self.mode!r}, batched={self.batched}"


class MaxDropout(Rated):
    """Zero the most active units of a tensor; see `thinout.functional.experimental.max_dropout`.

    Args:
        p: largest part of the range of values that is cut off, in [0, 1].
        threshold: "uniform", a part drawn from U(0, p) in each call, or "fixed", p itself.

    Shape:
        Any; the output is like the input.

    Raises:
        ValueError: p outside [0, 1] or another threshold.

    Example:
        >>> MaxDropout(0.3, "fixed")(torch.tensor([0.0, 1.0, 6.0, 8.0, 10.0]))
        tensor([0., 1., 6., 0., 0.])

    Source: Goncalves dos Santos, Colombo, Roder, Papa 2020, ICPR, arXiv 2007.13723; the uniform threshold is assumed.
    """

    def __init__(self, p: float = 0.3, threshold: str = "uniform") -> None:
        super().__init__()
        self.p = check_p("MaxDropout", p)
        self.threshold = check_choice("MaxDropout", "threshold", threshold, THRESHOLDS)

    def forward(self, input: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Zero the most active units in training mode; the threshold is drawn from `generator`."""
        return F.max_dropout(input, rate(self), self.threshold, training=self.training, generator=generator)

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return f"p={self.p}, threshold={self.threshold!r}"


def _jumpout_reference(module: Jumpout, x: Tensor) -> Tensor:
    spread = torch.randn(1, dtype=torch.promote_types(x.dtype, torch.float32)).double().abs()
    share = int((x > 0).sum()) / x.numel()
    p = float(((module.p_min + spread * module.sigma).clamp(max=module.p_max) / share).clamp(max=module.p_max))
    scale = (1 - ops.effective_p(p)) ** -0.75
    y: Tensor = ops.dropout(x, ops.draw_key(), p, rescale=False, backend="reference") * scale
    return y.to(x.dtype)


def _max_drop_reference(module: MaxDrop2d, x: Tensor) -> Tensor:
    kept = ops.dropout_mask((*x.shape[:2], 1, 1), ops.draw_key(), module.p, backend="reference")
    y = x.clone()
    for image, channel in (~kept[..., 0, 0]).nonzero().tolist():
        y[image, channel].view(-1)[int(x[image, channel].argmax())] = 0
    return y


def _all_maxima(module: MaxDrop2d, x: Tensor) -> Tensor:
    return torch.where(x == x.flatten(2).amax(2)[..., None, None], 0.0, x)


def _max_dropout_reference(module: MaxDropout, x: Tensor) -> Tensor:
    part = torch.rand((), dtype=torch.promote_types(x.dtype, torch.float32)) * module.p
    y: Tensor = torch.where(x - x.min() > (1 - part) * (x.max() - x.min()), 0, x)
    return y


_INTEGERS = ErrorInput(
    error=TypeError, match="`input` must be a floating-point tensor", input=torch.ones(2, 3, 4, 4, dtype=torch.int64)
)
_RATE_ERRORS = tuple(
    ErrorInput(error=ValueError, match=r"`p` must be a number in \[0, 1\], got", arguments={"p": p})
    for p in (-0.1, 1.5, float("nan"))
)

register(
    LayerSpec(
        layer=Jumpout,
        arguments={"p_min": 0.2, "p_max": 0.6, "sigma": 0.1},
        shape=(5, 4, 6),
        reference=_jumpout_reference,
        rates=("p_min", "p_max", "sigma"),
        errors=(
            _INTEGERS,
            *(
                ErrorInput(error=ValueError, match=f"`{name}` must be a number in", arguments={name: value})
                for name in ("p_min", "p_max")
                for value in (-0.1, 1.5, float("nan"))
            ),
            ErrorInput(
                error=ValueError, match="`sigma` must be a finite number of at least 0", arguments={"sigma": -1.0}
            ),
        ),
        exceptions={
            "vmap": "the rate is a function of the data, and under vmap a mask has one rate for all samples",
        },
    )
)
register(
    LayerSpec(
        layer=MaxDrop2d,
        arguments={"p": 0.4},
        shape=(3, 5, 4, 3),
        reference=_max_drop_reference,
        full=_all_maxima,
        errors=(
            _INTEGERS,
            *_RATE_ERRORS,
            ErrorInput(error=ValueError, match="`mode` must be one of", arguments={"mode": "row"}),
            ErrorInput(error=ValueError, match="For one unbatched input pass batched=False", input=torch.ones(3, 4, 4)),
        ),
    )
)
register(
    LayerSpec(
        layer=MaxDropout,
        arguments={"p": 0.8},
        shape=(6, 5, 4),
        reference=_max_dropout_reference,
        errors=(
            _INTEGERS,
            *_RATE_ERRORS,
            ErrorInput(error=ValueError, match="`threshold` must be one of", arguments={"threshold": "normal"}),
        ),
        exceptions={"full_rate": "a threshold is drawn below p: at 1 any part of the range is cut off"},
    )
)
