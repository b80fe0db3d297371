"""Max-pooling over what dropout leaves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from thinout import functional as F
from thinout import ops
from thinout._checks import check_p
from thinout.functional._shared import per_axis
from thinout.nn._rate import Rated, rate
from thinout.nn._registry import ErrorInput, LayerSpec, register

Size = int | Sequence[int]


class _MaxPoolDropout(Rated, nn.modules.pooling._MaxPoolNd):
    """What the two ranks share."""

    _function: ClassVar[Any]
    _num_axes: ClassVar[int]

    def __init__(
        self,
        kernel_size: Size,
        p: float = 0.5,
        *,
        stride: Size | None = None,
        padding: Size = 0,
        dilation: Size = 1,
        ceil_mode: bool = False,
        batched: bool = True,
    ) -> None:
        where = type(self).__name__
        sizes = {"kernel_size": kernel_size, "dilation": dilation, "stride": kernel_size if stride is None else stride}
        for name, value in sizes.items():
            per_axis(where, name, value, self._num_axes)
        per_axis(where, "padding", padding, self._num_axes, at_least=0)
        super().__init__(kernel_size, stride, padding, dilation, False, ceil_mode)  # type: ignore[arg-type]  # tuples
        self.p = check_p(where, p)
        self.batched = batched

    def forward(
        self,
        input: Tensor,
        *,
        key: Tensor | int | None = None,
        generator: torch.Generator | None = None,
        offset: int = 0,
    ) -> Tensor:
        """Pool what dropout leaves in training mode, by probabilities in eval mode."""
        y: Tensor = self._function(
            input,
            self.kernel_size,
            rate(self),
            training=self.training,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            ceil_mode=self.ceil_mode,
            batched=self.batched,
            key=key,
            generator=generator,
            offset=offset,
        )
        return y

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return f"p={self.p}, {super().extra_repr()}, batched={self.batched}"


class MaxPoolDropout1d(_MaxPoolDropout, nn.MaxPool1d):
    """Max-pool sequences over what dropout leaves; see `thinout.functional.max_pool_dropout2d`.

    Args:
        kernel_size: length of a window.
        p: drop probability of an element, in [0, 1].
        stride: step between windows; `kernel_size` by default.
        padding: elements added on both sides, which are never the maximum.
        dilation: step between the elements of a window.
        ceil_mode: whether windows may reach over the end.
        batched: whether inputs are (N, C, L); False for (C, L).

    Shape:
        (N, C, L) to (N, C, L'), with L' as `torch.nn.MaxPool1d` gives.

    Raises:
        ValueError: p outside [0, 1], sizes that do not fit, or an input of another rank.

    Example:
        >>> MaxPoolDropout1d(2, p=0.5)(torch.ones(1, 3, 8)).shape
        torch.Size([1, 3, 4])

    Source: Wu, Gu 2015, Neural Networks 71, arXiv 1512.00242.
    """

    _function = staticmethod(F.max_pool_dropout1d)
    _num_axes = 1


class MaxPoolDropout2d(_MaxPoolDropout, nn.MaxPool2d):
    """Max-pool maps over what dropout leaves; see `thinout.functional.max_pool_dropout2d`.

    In eval mode it pools by the probabilities of being the maximum, which is the mean of what training does.

    Args:
        kernel_size: side of a window, or one for each axis.
        p: drop probability of an element, in [0, 1].
        stride: step between windows; `kernel_size` by default.
        padding: elements added on both sides, which are never the maximum.
        dilation: step between the elements of a window.
        ceil_mode: whether windows may reach over the end.
        batched: whether inputs are (N, C, H, W); False for (C, H, W).

    Shape:
        (N, C, H, W) to (N, C, H', W'), with the sizes that `torch.nn.MaxPool2d` gives.

    Raises:
        ValueError: p outside [0, 1], sizes that do not fit, or an input of another rank.

    Example:
        >>> layer = MaxPoolDropout2d(2, p=0.5)
        >>> layer.eval()(torch.ones(1, 1, 4, 4))  # 1 - 0.5**4
        tensor([[[[0.9375, 0.9375],
                  [0.9375, 0.9375]]]])

    Source: Wu, Gu 2015, Neural Networks 71, arXiv 1512.00242.
    """

    _function = staticmethod(F.max_pool_dropout2d)
    _num_axes = 2


def _windows(module: _MaxPoolDropout, x: Tensor) -> Tensor:
    """Return windows of 2 that do not overlap, as (windows, elements)."""
    if x.dim() == 3:
        return x.view(*x.shape[:2], -1, 2)
    num, channels, rows, columns = x.shape
    return x.view(num, channels, rows // 2, 2, columns // 2, 2).transpose(3, 4).flatten(4)


def _reference(module: _MaxPoolDropout, x: Tensor) -> Tensor:
    kept = ops.dropout_mask(tuple(x.shape), ops.draw_key(), module.p, backend="reference")
    windows, kept = _windows(module, x.contiguous()), _windows(module, kept)
    largest = windows.masked_fill(~kept, -math.inf).amax(-1)
    return torch.where(kept.any(-1), largest, 0)


def _expected(module: _MaxPoolDropout, x: Tensor) -> Tensor:
    """Sum over the cases which element is the largest that is left."""
    p = ops.effective_p(module.p)
    windows = _windows(module, x.contiguous()).sort(-1).values
    num = windows.shape[-1]
    weights = [(1 - p) * p ** (num - 1 - place) for place in range(num)]
    return (windows * torch.tensor(weights, dtype=x.dtype)).sum(-1)


def _max(module: _MaxPoolDropout, x: Tensor) -> Tensor:
    return _windows(module, x.contiguous()).amax(-1)


for _layer, _shape in ((MaxPoolDropout1d, (3, 4, 12)), (MaxPoolDropout2d, (2, 3, 6, 4))):
    register(
        LayerSpec(
            layer=_layer,
            arguments={"kernel_size": 2, "p": 0.3},
            shape=_shape,
            reference=_reference,
            evaluate=_expected,
            zero=_max,
            full=lambda module, x: torch.zeros_like(_max(module, x)),
            selects=False,
            twin=getattr(nn, _layer.__name__.replace("Dropout", "")),
            tolerance=1e-6,  # of the sum over a window
            errors=(
                *(
                    ErrorInput(
                        error=ValueError,
                        match=r"`p` must be a number in \[0, 1\], got",
                        arguments={"kernel_size": 2, "p": p},
                    )
                    for p in (-0.1, 1.5, float("nan"))
                ),
                ErrorInput(
                    error=ValueError,
                    match="`kernel_size` must be a whole number of at least 1",
                    arguments={"kernel_size": 0},
                ),
                ErrorInput(
                    error=ValueError,
                    match="`padding` must be at most half of kernel_size",
                    arguments={"kernel_size": 2, "padding": 2},
                    input=torch.ones(_shape),
                ),
                ErrorInput(
                    error=ValueError, match="For one unbatched input pass batched=False", input=torch.ones(_shape[1:])
                ),
                ErrorInput(
                    error=TypeError,
                    match="`input` must be a floating-point tensor",
                    input=torch.ones(_shape, dtype=torch.int64),
                ),
            ),
        )
    )
