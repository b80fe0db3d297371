"""Dropouts of channels and cells of maps: weighted channels, checkerboards, and by attention."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from thinout import ops
from thinout._checks import check_count, check_p
from thinout.functional import experimental as F
from thinout.functional.experimental._maps import check_ratio
from thinout.nn._rate import Rated, Setting, rate
from thinout.nn._registry import ErrorInput, LayerSpec, register


class WeightedChannelDropout(Rated):
    """Keep channels by their activity; see `thinout.functional.experimental.weighted_channel_dropout`.

    Args:
        p: drop probability of a selected channel, in [0, 1].
        wrs_ratio: share of the channels that is selected, in (0, 1].
        batched: whether inputs are (N, C, H, W); False for (C, H, W).

    Shape:
        (N, C, H, W), or (C, H, W) with ``batched=False``, after a ReLU; the output is like the input.

    Raises:
        ValueError: p outside [0, 1], a ratio outside (0, 1], or an input of another rank.

    Example:
        >>> y = WeightedChannelDropout(0.0, 0.5)(torch.rand(1, 8, 4, 4))
        >>> int((y.sum((2, 3)) != 0).sum())
        4

    Source: Hou, Wang 2019, AAAI 33:8425-8432; how survivors are scaled is assumed.
    """

    def __init__(self, p: float = 0.1, wrs_ratio: float = 0.9, *, batched: bool = True) -> None:
        super().__init__()
        where = "WeightedChannelDropout"
        self.p = check_p(where, p)
        self.wrs_ratio, self.batched = check_ratio(where, "wrs_ratio", wrs_ratio), batched

    def forward(self, input: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Select channels in training mode; everything is drawn from `generator`."""
        return F.weighted_channel_dropout(
            input, rate(self), self.wrs_ratio, training=self.training, batched=self.batched, generator=generator
        )

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return f"p={self.p}, wrs_ratio={self.wrs_ratio}, batched={self.batched}"


class CheckerboardDropout2d(nn.Module):
    """Drop one colour of a checkerboard; see `thinout.functional.experimental.checkerboard_dropout2d`.

    Args:
        cell: side of a cell, in elements.
        batched: whether inputs are (N, C, H, W); False for (C, H, W).

    Shape:
        (N, C, H, W), or (C, H, W) with ``batched=False``; the output is like the input.

    Raises:
        ValueError: a cell below 1 or an input of another rank.

    Example:
        >>> CheckerboardDropout2d(2)(torch.ones(1, 1, 4, 6), key=0)[0, 0]
        tensor([[0., 0., 2., 2., 0., 0.],
                [0., 0., 2., 2., 0., 0.],
                [2., 2., 0., 0., 2., 2.],
                [2., 2., 0., 0., 2., 2.]])

    Source: Nguyen, Choi, Yang 2022, IEEE Access 10:76044-76054; the layout of the board is assumed.
    """

    def __init__(self, cell: int = 1, *, batched: bool = True) -> None:
        super().__init__()
        self.cell, self.batched = check_count("CheckerboardDropout2d", "cell", cell), batched

    def forward(
        self,
        input: Tensor,
        *,
        key: Tensor | int | None = None,
        generator: torch.Generator | None = None,
        offset: int = 0,
    ) -> Tensor:
        """Drop cells in training mode; `key`, `generator` and `offset` as in `thinout.functional`."""
        return F.checkerboard_dropout2d(
            input,
            self.cell,
            training=self.training,
            batched=self.batched,
            key=key,
            generator=generator,
            offset=offset,
        )

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return f"cell={self.cell}, batched={self.batched}"


class AttentionDropLayer(Rated):
    """Hide the most attended region of maps (ADL); see `thinout.functional.experimental.attention_drop_layer`.

    Args:
        p: probability of hiding rather than weighting, in [0, 1].
        gamma: share of the largest attention at and above which cells are hidden, in [0, 1]; can be set at any time.
        per_example: whether each example has a coin of its own; else there is one a call, as in the authors' code.
        batched: whether inputs are (N, C, H, W); False for (C, H, W).

    Shape:
        (N, C, H, W), or (C, H, W) with ``batched=False``; the output is like the input.

    Raises:
        ValueError: p or gamma outside [0, 1], or an input of another rank.

    Example:
        >>> AttentionDropLayer(1.0, 0.7)(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))
        tensor([[[[1., 2.],
                  [0., 0.]]]])

    Source: Choe, Shim 2019, CVPR, arXiv 1908.10028, after code of the method.
    """

    gamma = Setting()

    def __init__(self, p: float = 0.75, gamma: float = 0.9, *, per_example: bool = False, batched: bool = True) -> None:
        super().__init__()
        self.p = check_p("AttentionDropLayer", p)
        self.gamma, self.per_example, self.batched = gamma, per_example, batched

    def forward(
        self,
        input: Tensor,
        *,
        key: Tensor | int | None = None,
        generator: torch.Generator | None = None,
        offset: int = 0,
    ) -> Tensor:
        """Hide or weight in training mode; `key`, `generator` and `offset` as in `thinout.functional`."""
        return F.attention_drop_layer(
            input,
            rate(self),
            rate(self, "gamma"),
            training=self.training,
            per_example=self.per_example,
            batched=self.batched,
            key=key,
            generator=generator,
            offset=offset,
        )

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return f"p={self.p}, gamma={self.gamma}, per_example={self.per_example}, batched={self.batched}"


def _channels_reference(module: WeightedChannelDropout, x: Tensor) -> Tensor:
    """Select channels one after the other, without their keys' logarithms."""
    num, channels = x.shape[:2]
    uniform = torch.rand(num, channels, dtype=torch.promote_types(x.dtype, torch.float32)).double()
    kept = ops.dropout_mask((num, channels), ops.draw_key(), module.p, backend="reference")
    y = torch.zeros_like(x)
    for image in range(num):
        scores = [float(x[image, channel].double().mean()) for channel in range(channels)]
        keys = [float(uniform[image, channel]) ** (1 / scores[channel]) for channel in range(channels)]
        best = sorted(range(channels), key=keys.__getitem__)[-math.ceil(module.wrs_ratio * channels) :]
        scale = sum(scores) / sum(scores[channel] for channel in best)
        for channel in best:
            if kept[image, channel]:
                y[image, channel] = (x[image, channel].double() * scale).to(x.dtype)
    return y


def _board_reference(module: CheckerboardDropout2d, x: Tensor) -> Tensor:
    kept = ops.dropout_mask((len(x),), ops.draw_key(), 0.5, backend="reference").tolist()
    y = torch.zeros_like(x)
    for image, white in enumerate(kept):
        for i in range(x.shape[2]):
            for j in range(x.shape[3]):
                if (i // module.cell + j // module.cell) % 2 != int(white):
                    y[image, :, i, j] = x[image, :, i, j] * 2
    return y


def _weighted(module: AttentionDropLayer, x: Tensor) -> Tensor:
    work = torch.promote_types(x.dtype, torch.float32)
    return (x.to(work) * x.to(work).mean(1, keepdim=True).sigmoid()).to(x.dtype)


def _hidden(module: AttentionDropLayer, x: Tensor) -> Tensor:
    y = x.clone()
    for image, attention in enumerate(x.to(torch.promote_types(x.dtype, torch.float32)).mean(1)):
        y[image, :, attention >= module.gamma * attention.max()] = 0
    return y


def _attention_reference(module: AttentionDropLayer, x: Tensor) -> Tensor:
    weighs = ops.dropout_mask((len(x),), ops.draw_key(), module.p, backend="reference")
    return torch.where(weighs[:, None, None, None], _weighted(module, x), _hidden(module, x))


def _errors(shape: tuple[int, ...], **wrong: tuple[Any, ...]) -> tuple[ErrorInput, ...]:
    return (
        *(
            ErrorInput(error=ValueError, match=f"`{name}` must be", arguments={name: value})
            for name, values in wrong.items()
            for value in values
        ),
        ErrorInput(error=ValueError, match="For one unbatched input pass batched=False", input=torch.ones(shape[1:])),
        ErrorInput(
            error=TypeError,
            match="`input` must be a floating-point tensor",
            input=torch.ones(shape, dtype=torch.int64),
        ),
    )


_RATES = (-0.1, 1.5, float("nan"))
_SHAPE = (4, 5, 2, 3)

register(
    LayerSpec(
        layer=WeightedChannelDropout,
        arguments={"p": 0.3, "wrs_ratio": 0.7},
        inputs=lambda dtype, generator: ((torch.rand(_SHAPE, generator=generator) + 0.1).to(dtype),),
        reference=_channels_reference,
        full=lambda module, x: torch.zeros_like(x),
        selects=False,
        tolerance=1e-5,  # of the sums of scores
        errors=_errors(_SHAPE, p=_RATES, wrs_ratio=(0.0, 1.5, float("nan"))),
        exceptions={"zero_rate": "the selection of channels, in front of the gate whose rate p is, stays random"},
    )
)
register(
    LayerSpec(
        layer=CheckerboardDropout2d,
        arguments={"cell": 2},
        shape=(8, 2, 3, 3),
        reference=_board_reference,
        rates=(),
        errors=_errors(_SHAPE, cell=(0, -1)),
    )
)
register(
    LayerSpec(
        layer=AttentionDropLayer,
        arguments={"p": 0.5, "gamma": 0.8, "per_example": True},
        shape=(8, 3, 2, 3),
        reference=_attention_reference,
        zero=_weighted,
        full=_hidden,
        selects=False,
        tolerance=1e-6,  # of the mean over channels
        errors=_errors(_SHAPE, p=_RATES, gamma=_RATES),
    )
)
