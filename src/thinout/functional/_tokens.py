"""Dropout of words: of their types, of their occurrences as ids, and of their vectors.

Shape letters: N batch, T tokens, C features, V words of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as torch_functional

from thinout import ops
from thinout._checks import bad_value, check_count
from thinout.functional._shared import check_integers, check_mask, check_probability, drop, is_off
from thinout.ops._inputs import check_floating_point


def embedding_dropout(
    input: Tensor,
    weight: Tensor,
    *,
    p: float | Tensor = 0.1,
    training: bool,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Look words up and drop word types: all occurrences of a word in the batch vanish together.

    .. math:: y_t = \frac{m_{w_t}}{1 - p} E_{w_t}, \quad m_w \sim \text{Bernoulli}(1 - p) \text{ for each word } w

    in training and :math:`y_t = E_{w_t}` otherwise. Mask index `w` of the contract is word `w`. The mask acts on the
    vectors that were looked up and never on a copy of the weights, so that `max_norm` renormalises the weights
    themselves, gradients stay sparse with `sparse`, and of the vocabulary a call touches one number a word.

    Args:
        input: ids of any shape.
        weight: (V, C).
        p: drop probability of a word type, in [0, 1].
        training: whether to drop.
        padding_idx: id whose vector is neither dropped nor scaled and takes no gradient; 0 is an id as any other.
        max_norm: as in `torch.nn.functional.embedding`; so are the next three.
        norm_type: order of the norm of `max_norm`.
        scale_grad_by_freq: divide gradients by the number of occurrences.
        sparse: give the weights a sparse gradient.
        key: key of the mask; None draws one.
        generator: where the key is drawn.
        offset: second number that the mask is a function of.

    Returns:
        The vectors, (\*, C).

    Raises:
        IndexError: an id outside of [0, V), as PyTorch raises it on a CPU.
        ValueError: p outside [0, 1], a padding index that is no id.
        TypeError: ids that are no integers.

    Example:
        >>> embedding_dropout(torch.tensor([0, 1, 0, 2]), torch.ones(3, 2), p=0.5, training=True, key=1)
        tensor([[2., 2.],
                [0., 0.],
                [2., 2.],
                [2., 2.]])

    Source: Gal, Ghahramani 2016, arXiv 1512.05287, section 4.2; Merity, Keskar, Socher 2018, arXiv 1708.02182.
    """
    where = "embedding_dropout"
    p = check_probability(where, p)
    check_integers(where, "input", input)
    check_floating_point(where, "weight", weight)
    if padding_idx is not None and not -len(weight) <= padding_idx < len(weight):
        bad_value(where, "padding_idx", f"an id of one of {len(weight)} words", padding_idx)
    options = (padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse)
    vectors = torch_functional.embedding(input, weight, *options)
    if is_off(p, training):
        return vectors
    work = torch.promote_types(weight.dtype, torch.float32)
    one_each = torch.ones(weight.size(0), 1, dtype=work, device=weight.device)
    scales = ops.dropout(one_each, ops.draw_key(generator) if key is None else key, p, offset=offset)
    if padding_idx is not None:
        # Filled where it is: a number copied from the CPU would stop the queue of a GPU at each step.
        row = torch.full((1,), padding_idx % len(scales), device=scales.device)
        scales = scales.index_fill(0, row, 1.0)
    scales = scales[input]
    return torch.where(scales != 0, (vectors * scales).to(vectors.dtype), 0.0)


def word_dropout(
    input: Tensor,
    p: float | Tensor = 0.5,
    *,
    unk_id: int,
    special_ids: Sequence[int] = (),
    training: bool,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Replace words by the unknown word at random, each occurrence for itself.

    The input is not written to: targets that are a view of the same ids keep them.

    Args:
        input: ids of any shape.
        p: probability of a replacement, in [0, 1].
        unk_id: id of the unknown word.
        special_ids: ids that are never replaced, such as those of padding, begin and end.
        training: whether to replace.
        key: key of the mask; None draws one.
        generator: where the key is drawn.
        offset: second number that the mask is a function of.

    Returns:
        Ids like the input.

    Raises:
        ValueError: p outside [0, 1] or a negative id.
        TypeError: ids that are no integers.

    Example:
        >>> word_dropout(torch.tensor([5, 6, 0, 7, 8, 0]), 0.5, unk_id=1, special_ids=[0], training=True, key=1)
        tensor([5, 1, 0, 1, 8, 0])

    Source: Bowman, Vilnis, Vinyals, Dai, Jozefowicz, Bengio 2016, arXiv 1511.06349; Iyyer et al. 2015, ACL.
    """
    where = "word_dropout"
    p = check_probability(where, p)
    check_count(where, "unk_id", unk_id, at_least=0)
    for each in special_ids:
        check_count(where, "special_ids", each, at_least=0)
    check_integers(where, "input", input)
    if is_off(p, training):
        return input
    key = ops.draw_key(generator) if key is None else key
    keep = ops.dropout_mask(tuple(input.shape), key, p, offset=offset, device=input.device)
    replaced = (input != unk_id) & ~keep  # in the strides of the input, which the output then has
    for each in special_ids:
        replaced = replaced & (input != each)
    return torch.where(replaced, unk_id, input)


def token_dropout(
    input: Tensor,
    p: float | Tensor = 0.5,
    *,
    training: bool,
    inplace: bool = False,
    rescale: bool = True,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Drop whole vectors of tokens: the mask of (N, T, C) has shape (N, T, 1).

    Args:
        input: (\*, C) of at least two dimensions; the last one is shared.
        p: drop probability of a token, in [0, 1].
        training: whether to drop.
        inplace: write the result into the input.
        rescale: multiply what is kept by 1 / (1 - p), so that the mean holds. Without it a sum over tokens shrinks; a
            mean over the survivors is `mean_of_survivors`.
        key: key of the mask; None draws one.
        generator: where the key is drawn.
        offset: second number that the mask is a function of.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: p outside [0, 1] or an input of fewer than two dimensions.
        TypeError: the input is not floating point.

    Example:
        >>> token_dropout(torch.ones(1, 4, 2), 0.5, training=True, key=1)
        tensor([[[2., 2.],
                 [0., 0.],
                 [2., 2.],
                 [0., 0.]]])

    Source: Dai, Le 2015, arXiv 1511.01432; Iyyer, Manjunatha, Boyd-Graber, Daume 2015, ACL.
    """
    if input.dim() < 2:
        bad_value("token_dropout", "input", "a tensor of at least 2 dimensions (*, C)", f"shape {tuple(input.shape)}")
    noise_shape = [None] * (input.dim() - 1) + [1]
    return drop("token_dropout", input, p, training, inplace, noise_shape, key, generator, offset, rescale=rescale)


def mean_of_survivors(
    input: Tensor,
    p: float | Tensor = 0.3,
    *,
    training: bool,
    mask: Tensor | None = None,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Average the vectors of a text over the tokens that survive: the input layer of a deep averaging network.

    .. math:: y = \frac{\sum_t m_t x_t}{\sum_t m_t}

    By symmetry the expectation is the mean over all tokens, exactly. A text that would lose all of its tokens keeps all
    of them; dividing by its count of zero is the usual mistake. A text of padding alone gives zeros.

    Args:
        input: (N, T, C).
        p: drop probability of a token, in [0, 1].
        training: whether to drop; otherwise the mean is over all tokens.
        mask: bool (N, T), True at tokens and False at padding; None for no padding.
        key: key of the mask; None draws one.
        generator: where the key is drawn.
        offset: second number that the mask is a function of.

    Returns:
        (N, C).

    Raises:
        ValueError: p outside [0, 1], an input of another rank, or a mask of another shape.
        TypeError: the input is not floating point, or the mask is not bool.

    Example:
        >>> mean_of_survivors(torch.tensor([[[1.0], [2.0], [6.0]]]), 0.5, training=True, key=1)
        tensor([[3.5000]])
        >>> mean_of_survivors(torch.tensor([[[1.0], [2.0], [6.0]]]), 0.5, training=False)
        tensor([[3.]])

    Source: Iyyer, Manjunatha, Boyd-Graber, Daume 2015, "Deep unordered composition rivals syntactic methods", ACL.
    """
    where = "mean_of_survivors"
    p = check_probability(where, p)
    check_floating_point(where, "input", input)
    if input.dim() != 3:
        bad_value(where, "input", "a tensor of 3 dimensions (N, T, C)", f"shape {tuple(input.shape)}")
    if mask is None:
        mask = torch.ones(input.shape[:2], dtype=torch.bool, device=input.device)
    check_mask(where, "mask", mask, input.shape[:2])
    kept = mask
    if not is_off(p, training):
        key = ops.draw_key(generator) if key is None else key
        survives = ops.dropout_mask(tuple(mask.shape), key, p, offset=offset, device=input.device) & mask
        kept = torch.where(survives.any(1, keepdim=True), survives, mask)
    count = kept.sum(1, keepdim=True).clamp(min=1)
    work = torch.promote_types(input.dtype, torch.float32)  # counts beyond 2048 are not exact in half precision
    total = torch.where(kept[..., None], input, 0.0).sum(1, dtype=work)
    return (total / count).to(input.dtype)
