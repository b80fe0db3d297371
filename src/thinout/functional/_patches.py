"""Dropout that shortens or cuts a sequence: random patches kept, a span of tokens zeroed.

Shape letters: N batch, L patches, T tokens, C features.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from thinout._checks import bad_value, check_count, check_p
from thinout.functional._shared import as_scalar, check_integers, check_probability, draw_uniform, is_off
from thinout.ops._inputs import check_floating_point


def num_patches_kept(num_patches: int, p: float) -> int:
    r"""Return how many patches `patch_dropout` keeps.

    .. math:: k = \max(1, \lfloor L (1 - p) \rfloor)

    of the decimal product: ``int(10 * (1 - 0.9))`` is 0 in floating point, here it is 1.

    Args:
        num_patches: patches of a sequence, without prefix tokens.
        p: drop probability in [0, 1].

    Example:
        >>> num_patches_kept(196, 0.5), num_patches_kept(10, 0.9), num_patches_kept(10, 1.0)
        (98, 1, 1)
    """
    where = "num_patches_kept"
    exact = round(num_patches * (1 - check_p(where, p)), 6)
    return min(check_count(where, "num_patches", num_patches, at_least=0), max(1, math.floor(exact)))


def patch_dropout(
    input: Tensor,
    p: float = 0.5,
    *,
    num_prefix_tokens: int = 1,
    ordered: bool = False,
    return_indices: bool = False,
    training: bool,
    generator: torch.Generator | None = None,
) -> Tensor | tuple[Tensor, Tensor | None]:
    r"""Keep an exact number of random patches of each sequence, which becomes shorter and cheaper.

    Each of the `L` patches is kept with probability :math:`k / L`, independently for the sequences of a batch, with
    :math:`k = \max(1, \lfloor L (1 - p) \rfloor)`. Nothing is scaled. Add positional embeddings before; what belongs to
    positions afterwards (relative biases, masks) must be gathered with the indices. Eval sees all patches, so a model
    that averages over patches sees more of them there than in training.

    Args:
        input: (N, P + L, C) or with more dimensions behind, the P prefix tokens first.
        p: drop probability of a patch, in [0, 1]; at least one patch is kept.
        num_prefix_tokens: tokens that are always kept, such as the class token.
        ordered: keep the order of the patches; else they come in random order.
        return_indices: also return which patches were kept.
        training: whether to drop.
        generator: where the noise is drawn.

    Returns:
        (N, P + k, C); with `return_indices` also the indices (N, k) among the L patches, or None where nothing was
        dropped.

    Raises:
        ValueError: p outside [0, 1], an input of fewer than 3 dimensions or shorter than its prefix.
        TypeError: the input is not floating point.

    Example:
        >>> x = torch.arange(1.0, 6.0).view(1, 5, 1)
        >>> y, indices = patch_dropout(x, 0.5, ordered=True, return_indices=True, training=True)
        >>> y.shape, bool((y[0, 1:, 0] == indices[0] + 2).all())
        (torch.Size([1, 3, 1]), True)

    Source: Liu, Matsoukas, Strand, Azizpour, Smith 2023, "PatchDropout", WACV, arXiv 2208.07220; Li, Fan, Hu,
    Feichtenhofer, He 2023, "FLIP", arXiv 2212.00794.
    """
    where = "patch_dropout"
    p = check_p(where, p)
    check_floating_point(where, "input", input)
    num_prefix = check_count(where, "num_prefix_tokens", num_prefix_tokens, at_least=0)
    if input.dim() < 3:
        bad_value(where, "input", "a tensor of at least 3 dimensions (N, L, C)", f"shape {tuple(input.shape)}")
    batch, length = input.shape[:2]
    if length < num_prefix:
        bad_value(where, "num_prefix_tokens", f"at most the length {length} of the input", num_prefix)
    if is_off(p, training) or length == num_prefix:
        return (input, None) if return_indices else input
    num_kept = num_patches_kept(length - num_prefix, p)
    noise = draw_uniform(input, (batch, length - num_prefix), generator)
    indices = noise.topk(num_kept, dim=1).indices
    if ordered:
        indices = indices.sort(dim=1).values
    prefix = torch.arange(num_prefix, device=input.device).expand(batch, num_prefix)
    rows = torch.cat([prefix, indices + num_prefix], dim=1) + torch.arange(batch, device=input.device)[:, None] * length
    # Whole rows by one index are several times as fast as `gather`, which reads an index for each feature.
    kept = input.flatten(0, 1).index_select(0, rows.flatten()).view(*rows.shape, *input.shape[2:])
    return (kept, indices) if return_indices else kept


def hidden_cut(
    input: Tensor,
    ratio: float | Tensor = 0.1,
    *,
    training: bool,
    lengths: Tensor | None = None,
    scores: Tensor | None = None,
    top: float = 0.4,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Zero one contiguous span of tokens in each sequence of hidden states.

    A text of :math:`n` tokens loses :math:`\max(1, \lfloor r n \rfloor)` of them, never all; nothing is scaled. It
    begins anywhere that it fits, or, with `scores`, at one of the tokens that score best ("strategic" sampling by
    attention); there a span that would pass the end begins earlier, where the authors' code cuts it short.

    Args:
        input: (N, T, C).
        ratio: part of the tokens to cut, in [0, 1].
        training: whether to cut.
        lengths: (N,) integers, tokens of each text; what lies behind is padding, which is not counted and not cut.
        scores: (N, T), such as the attention that each token receives; None begins the span at random.
        top: with `scores`, the span begins at one of this part of the tokens, the best.
        generator: where the noise is drawn.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: a ratio outside [0, 1], an input of another rank, lengths or scores of another shape.
        TypeError: the input or scores are not floating point, lengths are no integers.

    Example:
        >>> y = hidden_cut(torch.ones(1, 10, 2), 0.3, training=True)
        >>> (y == 0).sum().item()
        6

    Source: Chen, Shen, Chen, Yang 2021, "HiddenCut", ACL, arXiv 2106.00149.
    """
    where = "hidden_cut"
    ratio = check_probability(where, ratio, "ratio")
    check_floating_point(where, "input", input)
    if input.dim() != 3:
        bad_value(where, "input", "a tensor of 3 dimensions (N, T, C)", f"shape {tuple(input.shape)}")
    num_texts, num_tokens = input.shape[:2]
    if lengths is not None:
        check_integers(where, "lengths", lengths)
        if lengths.shape != (num_texts,):
            bad_value(where, "lengths", f"of shape ({num_texts},)", tuple(lengths.shape))
    if scores is not None:
        check_floating_point(where, "scores", scores)
    if scores is not None and scores.shape != (num_texts, num_tokens):
        bad_value(where, "scores", f"of shape ({num_texts}, {num_tokens})", tuple(scores.shape))
    top = check_p(where, top, "top")
    if is_off(ratio, training) or num_tokens == 0:
        return input
    noise = draw_uniform(input, (num_texts,), generator)
    sizes = (
        torch.full((num_texts,), num_tokens, device=input.device)
        if lengths is None
        else lengths.to(input.device, torch.int64)
    )
    # A ratio is taken for the decimal number that it is written as: 0.29 of 100 tokens are 29, not 28.
    wanted = (sizes * as_scalar(ratio, input) + 1e-5).floor().long()
    cut = wanted.clamp(min=1).minimum((sizes - 1).clamp(min=0))
    if isinstance(ratio, Tensor):  # compiled code cannot ask for the ratio before
        cut = cut * (as_scalar(ratio, input) > 0)
    begin = (noise * (sizes - cut + 1)).long() if scores is None else _one_of_the_best(scores, sizes, top, noise)
    begin = begin.minimum(sizes - cut)
    place = torch.arange(num_tokens, device=input.device)
    inside = (place >= begin[:, None]) & (place < (begin + cut)[:, None])
    # The output has the strides of the condition: those of the input, by this first operand.
    inside = torch.zeros_like(input[..., :1], dtype=torch.bool) | inside[..., None]
    return torch.where(inside, 0.0, input)


def _one_of_the_best(scores: Tensor, sizes: Tensor, top: float, noise: Tensor) -> Tensor:
    """Return one of the tokens with the best scores for each text, chosen by noise in [0, 1)."""
    padded = torch.arange(scores.size(1), device=scores.device) >= sizes[:, None]
    order = scores.detach().masked_fill(padded, -math.inf).argsort(dim=1, descending=True)
    num_best = (sizes * top + 1e-5).floor().clamp(min=1)
    return order.gather(1, (noise * num_best).long()[:, None]).squeeze(1)
