"""Dropout inside of attention: of weights, of keys before the softmax, of columns, of heads."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from thinout import functional as F
from thinout import ops
from thinout._checks import check_choice, check_count, check_integer
from thinout.nn._rate import Rated, rate
from thinout.nn._registry import ErrorInput, Inputs, LayerSpec, register


class DropAttention(Rated):
    """Drop attention weights and let each row sum to 1 again, in training; see `thinout.functional.drop_attention`.

    Args:
        p: drop probability of a weight, in [0, 1].
        mode: "element", or "column" to drop a key for all queries at once.
        window: length of the spans of neighbouring keys that are dropped together.
        stop_gradient: take the sum that a row is divided by for a constant in backward.

    Shape:
        Weights after the softmax, (*, Q, K); the output is like the input.

    Raises:
        ValueError: p outside [0, 1], an unknown mode or a window below 1.

    Example:
        >>> weights = torch.randn(2, 4, 8, 8).softmax(-1)
        >>> layer = DropAttention(p=0.3, mode="column")
        >>> bool(torch.allclose(layer(weights).sum(-1), torch.ones(2, 4, 8)))
        True

    Source: Lin, Liu, Huang, Chen, Qiu, Huang 2019, arXiv 1907.11065.
    """

    def __init__(self, p: float = 0.1, *, mode: str = "element", window: int = 1, stop_gradient: bool = True) -> None:
        super().__init__()
        self.p = p
        self.mode = check_choice("DropAttention", "mode", mode, ("column", "element"))
        self.window = check_count("DropAttention", "window", window)
        self.stop_gradient = stop_gradient

    def forward(
        self,
        input: Tensor,
        *,
        key: Tensor | int | None = None,
        generator: torch.Generator | None = None,
        offset: int = 0,
    ) -> Tensor:
        """Drop weights in training mode."""
        return F.drop_attention(
            input,
            rate(self),
            mode=self.mode,
            window=self.window,
            stop_gradient=self.stop_gradient,
            training=self.training,
            key=key,
            generator=generator,
            offset=offset,
        )

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        text = f"p={self.p}, mode={self.mode!r}, window={self.window}"
        return text + ("" if self.stop_gradient else ", stop_gradient=False")


class DropKey(Rated):
    """Set attention logits to minus infinity at random in training; see `thinout.functional.drop_key`.

    Args:
        p: drop probability of a key, for each query, in [0, 1].

    Shape:
        Logits before the softmax, (*, Q, K); the output is like the input.

    Raises:
        ValueError: p outside [0, 1] or an input of fewer than two dimensions.

    Example:
        >>> weights = DropKey(p=0.3)(torch.randn(2, 4, 8, 8)).softmax(-1)
        >>> bool(weights.isfinite().all())
        True

    Source: Li, Hu, Nie et al. 2023, CVPR, arXiv 2208.02646.
    """

    def __init__(self, p: float = 0.1) -> None:
        super().__init__()
        self.p = p

    def forward(
        self,
        input: Tensor,
        *,
        key: Tensor | int | None = None,
        generator: torch.Generator | None = None,
        offset: int = 0,
    ) -> Tensor:
        """Drop keys in training mode."""
        return F.drop_key(input, rate(self), training=self.training, key=key, generator=generator, offset=offset)

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return f"p={self.p}"


class DropHead(Rated):
    """Drop whole attention heads of each example in training; see `thinout.functional.drop_head`.

    Args:
        p: drop probability of a head, in [0, 1].
        dim: the dimension of the heads.

    Shape:
        Outputs of heads, (N, H, *) by default; the output is like the input.

    Raises:
        ValueError: p outside [0, 1] or a dimension that the input does not have.

    Example:
        >>> DropHead(p=0.2)(torch.ones(2, 8, 16, 4)).shape
        torch.Size([2, 8, 16, 4])

    Source: Zhou, Ge, Xu, Wei, Zhou 2020, Findings of EMNLP, arXiv 2004.13342.
    """

    def __init__(self, p: float = 0.1, *, dim: int = 1) -> None:
        super().__init__()
        self.p = p
        self.dim = check_integer("DropHead", "dim", dim)

    def forward(
        self,
        input: Tensor,
        *,
        key: Tensor | int | None = None,
        generator: torch.Generator | None = None,
        offset: int = 0,
    ) -> Tensor:
        """Drop heads in training mode."""
        return F.drop_head(
            input, rate(self), dim=self.dim, training=self.training, key=key, generator=generator, offset=offset
        )

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return f"p={self.p}, dim={self.dim}"


def _weights(dtype: torch.dtype, generator: torch.Generator) -> Inputs:
    logits = torch.randn(2, 2, 6, 6, generator=generator, dtype=torch.float64)
    return (logits.softmax(-1).to(dtype),)


def _attention_reference(module: DropAttention, x: Tensor) -> Tensor:
    kept = ops.dropout(x, ops.draw_key(), module.p, rescale=False, backend="reference")
    total = kept.sum(-1, keepdim=True, dtype=torch.promote_types(x.dtype, torch.float32))
    return torch.where(total > 0, kept / total, x).to(x.dtype)


def _key_reference(module: DropKey, x: Tensor) -> Tensor:
    keep = ops.dropout_mask(tuple(x.shape), ops.draw_key(), module.p, backend="reference")
    return x.masked_fill(~keep & keep.any(-1, keepdim=True), -math.inf)


def _head_reference(module: DropHead, x: Tensor) -> Tensor:
    key = ops.draw_key()
    keep = ops.dropout_mask(tuple(x.shape[:2]), key, module.p, backend="reference")
    factors = keep.double() * x.size(1) / keep.sum(1, keepdim=True)
    return (x.double() * factors[..., None, None]).to(x.dtype)


_COMMON_ERRORS = (
    ErrorInput(error=ValueError, match=r"`p` must be a number in \[0, 1\], got", arguments={"p": 1.5}),
    ErrorInput(error=ValueError, match=r"`p` must be a number in \[0, 1\], got", arguments={"p": float("nan")}),
    ErrorInput(error=TypeError, match=r"`p` must be a number in \[0, 1\], got", arguments={"p": "0.5"}),
    ErrorInput(
        error=TypeError, match="`input` must be a floating-point tensor", input=torch.ones(2, 3, dtype=torch.int64)
    ),
)
_FLAT = ErrorInput(error=ValueError, match="at least 2 dimensions", input=torch.ones(3))

register(
    LayerSpec(
        layer=DropAttention,
        # With the gradient stopped, derivatives are not those of the output; the tests compare them with a closed form.
        arguments={"p": 0.3, "stop_gradient": False},
        inputs=_weights,
        reference=_attention_reference,
        full=lambda module, x: x,
        selects=False,
        tolerance=1e-6,
        errors=(
            *_COMMON_ERRORS,
            _FLAT,
            ErrorInput(error=ValueError, match="`mode` must be one of column, element", arguments={"mode": "row"}),
            ErrorInput(error=ValueError, match="`window` must be a whole number", arguments={"window": 0}),
        ),
    )
)
register(
    LayerSpec(
        layer=DropKey,
        arguments={"p": 0.3},
        shape=(2, 2, 6, 6),
        reference=_key_reference,
        full=lambda module, x: x,
        selects=False,
        errors=(*_COMMON_ERRORS, _FLAT),
        exceptions={
            "gradient": "outputs are minus infinity where a key is dropped: tested behind the softmax",
            "functional_gradient": "outputs are minus infinity where a key is dropped: tested behind the softmax",
        },
    )
)
register(
    LayerSpec(
        layer=DropHead,
        arguments={"p": 0.3},
        shape=(5, 8, 2, 2),
        reference=_head_reference,
        selects=False,
        tolerance=1e-6,
        errors=(
            *_COMMON_ERRORS,
            ErrorInput(error=TypeError, match="`dim` must be a whole number", arguments={"dim": "heads"}),
            ErrorInput(error=ValueError, match="`dim` must be a dimension of the input", input=torch.ones(3)),
        ),
        exceptions={"full_rate": "at p = 1 each example keeps one head, another one each time"},
    )
)
