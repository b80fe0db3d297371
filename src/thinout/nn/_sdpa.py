"""Scaled dot product attention that knows of training."""

from __future__ import annotations

import torch
from torch import Tensor

from thinout import functional as F
from thinout import ops
from thinout._checks import check_count
from thinout.nn._rate import Rated, rate
from thinout.nn._registry import ErrorInput, Inputs, LayerSpec, register


class ScaledDotProductAttention(Rated):
    """Attend, and drop attention weights in training; see `thinout.functional.scaled_dot_product_attention`.

    Args:
        p: drop probability of an attention weight, in [0, 1].
        is_causal: let query i look at keys 0 to i.
        scale: factor of the logits; None is 1 / sqrt(E).
        enable_gqa: let groups of query heads share a head of keys and values.
        chunk_size: number of queries whose weights are computed at a time and again in backward; None for all.

    Shape:
        Queries (*, Q, E), keys (*, K, E), values (*, K, V) and a mask broadcast to (*, Q, K) give (*, Q, V).

    Raises:
        ValueError: p outside [0, 1] or shapes that do not fit.

    Example:
        >>> attention = ScaledDotProductAttention(p=0.1, is_causal=True)
        >>> q = k = v = torch.randn(2, 4, 8, 16)
        >>> attention(q, k, v).shape
        torch.Size([2, 4, 8, 16])

    Source: Vaswani et al. 2017, arXiv 1706.03762.
    """

    def __init__(
        self,
        p: float = 0.1,
        *,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
        chunk_size: int | None = None,
    ) -> None:
        super().__init__()
        self.p = p
        self.is_causal = is_causal
        self.scale = scale
        self.enable_gqa = enable_gqa
        self.chunk_size = None if chunk_size is None else check_count(type(self).__name__, "chunk_size", chunk_size)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        *,
        mask_key: Tensor | int | None = None,
        generator: torch.Generator | None = None,
        offset: int = 0,
    ) -> Tensor:
        """Attend; `key` are the keys that are attended to, `mask_key` is the key of the mask."""
        return F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask,
            rate(self),
            self.is_causal,
            self.scale,
            self.enable_gqa,
            training=self.training,
            chunk_size=self.chunk_size,
            mask_key=mask_key,
            generator=generator,
            offset=offset,
        )

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        text = f"p={self.p}, is_causal={self.is_causal}, scale={self.scale}, enable_gqa={self.enable_gqa}"
        return f"{text}, chunk_size={self.chunk_size}"


def _inputs(dtype: torch.dtype, generator: torch.Generator) -> Inputs:
    shapes = ((2, 2, 5, 3), (2, 2, 7, 3), (2, 2, 7, 3))
    return tuple(torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in shapes)


def _plain(query: Tensor, key: Tensor, value: Tensor, key_of_mask: Tensor | None = None, p: float = 0.0) -> Tensor:
    weights = (query @ key.mT / query.size(-1) ** 0.5).softmax(-1)
    if key_of_mask is not None:
        weights = ops.dropout(weights, key_of_mask, p, backend="reference")
    y: Tensor = weights @ value
    return y


register(
    LayerSpec(
        layer=ScaledDotProductAttention,
        arguments={"p": 0.3},
        inputs=_inputs,
        reference=lambda module, query, key, value: _plain(query, key, value, ops.draw_key(), module.p),
        evaluate=lambda module, query, key, value: _plain(query, key, value),
        full=lambda module, query, key, value: torch.zeros_like(query),
        selects=False,
        tolerance=1e-5,
        errors=(
            ErrorInput(error=ValueError, match=r"`p` must be a number in \[0, 1\], got", arguments={"p": 1.5}),
            ErrorInput(error=TypeError, match=r"`p` must be a number in \[0, 1\], got", arguments={"p": None}),
            ErrorInput(error=ValueError, match="`chunk_size` must be a whole number", arguments={"chunk_size": 0}),
            ErrorInput(error=ValueError, match="`query` must be a tensor of at least 2", input=(torch.ones(4),) * 3),
            ErrorInput(
                error=ValueError,
                match="`key` must be of 4 features",
                input=(torch.ones(3, 4), torch.ones(3, 5), torch.ones(3, 4)),
            ),
            ErrorInput(
                error=ValueError,
                match="`value` must be of length 3",
                input=(torch.ones(3, 4), torch.ones(3, 4), torch.ones(2, 4)),
            ),
            ErrorInput(
                error=TypeError,
                match="`attn_mask` must be a bool or floating-point tensor",
                input=(torch.ones(3, 4), torch.ones(3, 4), torch.ones(3, 4), torch.ones(3, 3, dtype=torch.int64)),
            ),
            ErrorInput(
                error=ValueError,
                match="`attn_mask` must be a tensor of at least 2",
                input=(torch.ones(3, 4), torch.ones(3, 4), torch.ones(3, 4), torch.ones(3)),
            ),
            ErrorInput(
                error=ValueError,
                match="`attn_mask` must be None with is_causal=True",
                arguments={"is_causal": True},
                input=(torch.ones(3, 4), torch.ones(3, 4), torch.ones(3, 4), torch.ones(3, 3)),
            ),
            ErrorInput(
                error=ValueError,
                match="`key` must be with a number of heads, in dimension -3, that divides the query's",
                arguments={"enable_gqa": True},
                input=(torch.ones(3, 2, 4), torch.ones(2, 2, 4), torch.ones(2, 2, 4)),
            ),
            ErrorInput(
                error=TypeError,
                match="`query` must be a floating-point tensor",
                input=(torch.ones(3, 4, dtype=torch.int64),) * 3,
            ),
        ),
        exceptions={"autocast": "it multiplies matrices, which autocast does in the lower precision"},
    )
)
