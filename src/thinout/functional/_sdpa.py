"""Scaled dot product attention that knows of training, with the mask of the contract.

Shape letters: Q queries, K keys, E features, V features of the values.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as torch_functional
from torch.utils.checkpoint import checkpoint

from thinout import ops
from thinout._checks import bad_type, bad_value, check_count
from thinout.functional._shared import check_probability, is_off, may_happen
from thinout.ops._inputs import check_floating_point


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float | Tensor = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    *,
    training: bool,
    chunk_size: int | None = None,
    mask_key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Attend, and drop attention weights in training only.

    .. math:: y = D\left(\text{softmax}\left(s\, q k^T + b\right)\right) v

    `torch.nn.functional.scaled_dot_product_attention` applies `dropout_p` in eval mode too, and each of its backends
    draws another mask. Here nothing is dropped unless `training`; then PyTorch's own function is called, with its fused
    kernels. In training the mask is that of the contract on every device and in compiled code.

    A query that may look at no key gets zeros, as in PyTorch since 2.5.

    Args:
        query: (\*, Q, E).
        key: (\*, K, E): the keys that are attended to. The key of the mask is `mask_key`.
        value: (\*, K, V).
        attn_mask: bool, True where a query may look, or floating point, added to the logits; broadcast to (\*, Q, K).
        dropout_p: drop probability of an attention weight, in [0, 1].
        is_causal: let query i look at keys 0 to i; not together with `attn_mask`.
        scale: factor of the logits; None is 1 / sqrt(E).
        enable_gqa: let groups of query heads share a head of keys and values, in dimension -3.
        training: whether to drop.
        chunk_size: number of queries whose weights are computed at a time and computed again in backward, so that the
            (\*, Q, K) weights are never kept as a whole: less memory for about a third more work. The mask is the same
            for each size. Not under transforms of `torch.func`.
        mask_key: key of the mask; None draws one.
        generator: where the key is drawn.
        offset: second number that the mask is a function of.

    Returns:
        (\*, Q, V).

    Raises:
        ValueError: a rate outside [0, 1], shapes that do not fit, a mask together with `is_causal`.
        TypeError: inputs that are not floating point, a mask of integers.

    Example:
        >>> q = torch.zeros(1, 4)
        >>> v = torch.eye(4)
        >>> scaled_dot_product_attention(q, v, v, dropout_p=0.5, training=True, mask_key=1)
        tensor([[0.5000, 0.0000, 0.5000, 0.0000]])
        >>> scaled_dot_product_attention(q, v, v, dropout_p=0.5, training=False)
        tensor([[0.2500, 0.2500, 0.2500, 0.2500]])

    Source: Vaswani et al. 2017, arXiv 1706.03762.
    """
    where = "scaled_dot_product_attention"
    dropout_p = check_probability(where, dropout_p, "dropout_p")
    _check_inputs(where, query, key, value, attn_mask, is_causal, enable_gqa)
    if chunk_size is not None:
        check_count(where, "chunk_size", chunk_size)
    if is_off(dropout_p, training):
        return torch_functional.scaled_dot_product_attention(
            query, key, value, attn_mask, is_causal=is_causal, scale=scale, enable_gqa=enable_gqa
        )
    if enable_gqa:
        key, value = (each.repeat_interleave(query.size(-3) // each.size(-3), -3) for each in (key, value))
    query = query * (query.size(-1) ** -0.5 if scale is None else scale)
    mask_key = ops.draw_key(generator) if mask_key is None else mask_key
    num_queries, num_keys = query.size(-2), key.size(-2)
    mask_lead = () if attn_mask is None else attn_mask.shape[:-2]
    lead = torch.broadcast_shapes(query.shape[:-2], key.shape[:-2], mask_lead)
    whole = (*lead, num_queries, num_keys)

    def rows(begin: int, end: int, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None) -> Tensor:
        bias = _bias(query, attn_mask, is_causal, begin, end, num_keys)
        shard = None if end - begin == num_queries else ops.Shard(whole, (0,) * len(lead) + (begin, 0))
        return _attend(query[..., begin:end, :], key, value, bias, dropout_p, mask_key, offset, shard)

    if chunk_size is None or num_queries <= chunk_size:
        return rows(0, num_queries, query, key, value, attn_mask)
    pieces = []
    for begin in range(0, num_queries, chunk_size):
        part = (begin, min(begin + chunk_size, num_queries), query, key, value, attn_mask)
        pieces.append(checkpoint(rows, *part, use_reentrant=False, preserve_rng_state=False))
    return torch.cat(pieces, dim=-2)


def _check_inputs(
    where: str, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None, is_causal: bool, enable_gqa: bool
) -> None:
    for name, tensor in (("query", query), ("key", key), ("value", value)):
        check_floating_point(where, name, tensor)
        if tensor.dim() < 2:
            bad_value(where, name, "a tensor of at least 2 dimensions (*, length, E)", f"shape {tuple(tensor.shape)}")
    if key.size(-1) != query.size(-1):
        bad_value(where, "key", f"of {query.size(-1)} features, as the query", f"shape {tuple(key.shape)}")
    if value.size(-2) != key.size(-2):
        bad_value(where, "value", f"of length {key.size(-2)}, as the keys", f"shape {tuple(value.shape)}")
    if enable_gqa:
        for name, tensor in (("query", query), ("key", key), ("value", value)):
            if tensor.dim() < 3 or query.size(-3) % tensor.size(-3):
                allowed = "with a number of heads, in dimension -3, that divides the query's"
                bad_value(where, name, allowed, f"shape {tuple(tensor.shape)}")
    if attn_mask is None:
        return
    if is_causal:
        bad_value(where, "attn_mask", "None with is_causal=True", f"a mask of shape {tuple(attn_mask.shape)}")
    if attn_mask.dim() < 2:
        bad_value(where, "attn_mask", "a tensor of at least 2 dimensions (*, Q, K)", f"shape {tuple(attn_mask.shape)}")
    if attn_mask.dtype != torch.bool and not attn_mask.is_floating_point():
        bad_type(where, "attn_mask", "a bool or floating-point tensor", f"a {attn_mask.dtype} tensor")


def _bias(
    query: Tensor, attn_mask: Tensor | None, is_causal: bool, begin: int, end: int, num_keys: int
) -> Tensor | None:
    """Return what is added to the logits of some rows."""
    if is_causal:
        never = torch.full((end - begin, num_keys), -math.inf, dtype=query.dtype, device=query.device)
        return never.triu(begin + 1)
    if attn_mask is None:
        return None
    if attn_mask.size(-2) > 1:
        attn_mask = attn_mask[..., begin:end, :]
    if attn_mask.dtype != torch.bool:
        return attn_mask.to(query.dtype)
    return torch.zeros_like(attn_mask, dtype=query.dtype).masked_fill(~attn_mask, -math.inf)


def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None,
    p: float | Tensor,
    mask_key: Tensor | int,
    offset: int,
    shard: ops.Shard | None,
) -> Tensor:
    logits = query @ key.transpose(-2, -1)
    if bias is None:
        blind = None
    else:
        blind = (bias.detach() == -math.inf).all(-1, keepdim=True)
        logits = logits + bias.masked_fill(blind, 0.0)  # the softmax of a row of minus infinities is NaN
    weights = ops.dropout(torch.softmax(logits, dim=-1), mask_key, p, offset=offset, shard=shard)
    y = weights.to(value.dtype) @ value
    return y.masked_fill(blind, 0.0) if blind is not None and may_happen(blind) else y
