"""Dropout of words: of their types, of their occurrences as ids, and of their vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from thinout import functional as F
from thinout import ops
from thinout._checks import check_count, check_p
from thinout.nn._from_torch import check_source
from thinout.nn._rate import Rated, rate
from thinout.nn._registry import ErrorInput, Inputs, LayerSpec, register


class EmbeddingDropout(Rated, nn.Embedding):
    """An embedding that drops word types in training; see `thinout.functional.embedding_dropout`.

    It is a `torch.nn.Embedding`: the weights are called `weight`, checkpoints of the torch class load, `max_norm`,
    `scale_grad_by_freq` and `sparse` act on the weights themselves.

    Args:
        num_embeddings: size of the vocabulary.
        embedding_dim: features of a vector.
        padding_idx: id whose vector is never dropped, scaled or trained; 0 is an id as any other.
        max_norm: as in `torch.nn.Embedding`; so are the next ones.
        norm_type: order of the norm of `max_norm`.
        scale_grad_by_freq: divide gradients by the number of occurrences.
        sparse: give the weights a sparse gradient.
        device: of the weights.
        dtype: of the weights.
        p: drop probability of a word type, in [0, 1].

    Shape:
        Ids of any shape to (*, embedding_dim).

    Raises:
        ValueError: p outside [0, 1].
        IndexError: an id outside of the vocabulary.

    Example:
        >>> layer = EmbeddingDropout(1000, 16, padding_idx=0, p=0.1)
        >>> layer(torch.tensor([[5, 6, 5, 0]])).shape
        torch.Size([1, 4, 16])

    Source: Gal, Ghahramani 2016, arXiv 1512.05287; Merity, Keskar, Socher 2018, arXiv 1708.02182.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        p: float = 0.1,
    ) -> None:
        options = (padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, _weight, _freeze, device, dtype)
        super().__init__(num_embeddings, embedding_dim, *options)
        self.p = p

    @classmethod
    def from_torch(cls, module: nn.Embedding, *, p: float = 0.1) -> Self:
        """Return a layer with the weights and every attribute of a `torch.nn.Embedding`; the weights are a copy.

        Where weights are tied, assign the parameter again: ``layer.weight = module.weight``.

        Raises:
            TypeError: `module` is no `torch.nn.Embedding`.
            ValueError: its weights are computed from others.
        """
        check_source(cls.__name__, module, nn.Embedding)
        layer = cls(
            module.num_embeddings,
            module.embedding_dim,
            module.padding_idx,
            module.max_norm,
            module.norm_type,
            module.scale_grad_by_freq,
            module.sparse,
            module.weight.detach().clone(),
            not module.weight.requires_grad,
            p=p,
        )
        return layer.train(module.training)

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, *args: Any, p: float = 0.1, **kwargs: Any) -> Self:
        """Return a layer over given vectors; arguments as of `torch.nn.Embedding.from_pretrained`, and `p`."""
        check_p(cls.__name__, p)
        layer: Self = super().from_pretrained(embeddings, *args, **kwargs)
        layer.p = p
        return layer

    def forward(
        self,
        input: Tensor,
        *,
        key: Tensor | int | None = None,
        generator: torch.Generator | None = None,
        offset: int = 0,
    ) -> Tensor:
        """Look ids up, and drop word types in training mode."""
        return F.embedding_dropout(
            input,
            self.weight,
            p=rate(self),
            training=self.training,
            padding_idx=self.padding_idx,
            max_norm=self.max_norm,
            norm_type=self.norm_type,
            scale_grad_by_freq=self.scale_grad_by_freq,
            sparse=self.sparse,
            key=key,
            generator=generator,
            offset=offset,
        )

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return f"{super().extra_repr()}, p={self.p}"


class WordDropout(Rated):
    """Replace words by the unknown word in training; see `thinout.functional.word_dropout`.

    Args:
        p: probability of a replacement, in [0, 1].
        unk_id: id of the unknown word.
        special_ids: ids that are never replaced.

    Shape:
        Ids of any shape; the output is like the input.

    Raises:
        ValueError: p outside [0, 1] or a negative id.

    Example:
        >>> layer = WordDropout(p=0.5, unk_id=1, special_ids=(0,))
        >>> layer(torch.tensor([[5, 6, 0], [7, 8, 0]]), key=1)
        tensor([[5, 1, 0],
                [1, 8, 0]])

    Source: Bowman et al. 2016, arXiv 1511.06349; Iyyer et al. 2015, ACL.
    """

    def __init__(self, p: float = 0.5, *, unk_id: int, special_ids: Sequence[int] = ()) -> None:
        super().__init__()
        self.p = p
        self.unk_id = check_count("WordDropout", "unk_id", unk_id, at_least=0)
        self.special_ids = tuple(check_count("WordDropout", "special_ids", each, at_least=0) for each in special_ids)

    def forward(
        self,
        input: Tensor,
        *,
        key: Tensor | int | None = None,
        generator: torch.Generator | None = None,
        offset: int = 0,
    ) -> Tensor:
        """Replace ids in training mode, in a new tensor."""
        return F.word_dropout(
            input,
            rate(self),
            unk_id=self.unk_id,
            special_ids=self.special_ids,
            training=self.training,
            key=key,
            generator=generator,
            offset=offset,
        )

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return f"p={self.p}, unk_id={self.unk_id}, special_ids={self.special_ids}"


class TokenDropout(Rated, nn.modules.dropout._DropoutNd):
    """Drop whole vectors of tokens in training; see `thinout.functional.token_dropout`.

    Args:
        p: drop probability of a token, in [0, 1].
        inplace: write the result into the input.
        rescale: multiply what is kept by 1 / (1 - p).

    Shape:
        (*, C) of at least two dimensions; the output is like the input.

    Raises:
        ValueError: p outside [0, 1] or an input of fewer than two dimensions.

    Example:
        >>> TokenDropout(p=0.5)(torch.ones(2, 3, 4)).shape
        torch.Size([2, 3, 4])

    Source: Dai, Le 2015, arXiv 1511.01432; Iyyer et al. 2015, ACL.
    """

    def __init__(self, p: float = 0.5, inplace: bool = False, *, rescale: bool = True) -> None:
        super().__init__(check_p("TokenDropout", p), inplace)
        self.rescale = rescale

    def forward(
        self,
        input: Tensor,
        *,
        key: Tensor | int | None = None,
        generator: torch.Generator | None = None,
        offset: int = 0,
    ) -> Tensor:
        """Drop tokens in training mode."""
        return F.token_dropout(
            input,
            rate(self),
            training=self.training,
            inplace=self.inplace,
            rescale=self.rescale,
            key=key,
            generator=generator,
            offset=offset,
        )

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return super().extra_repr() + ("" if self.rescale else ", rescale=False")


WRONG_RATES = tuple(
    ErrorInput(error=error, match=r"`p` must be a number in \[0, 1\], got", arguments={"p": p})
    for p, error in ((-0.1, ValueError), (1.5, ValueError), (float("nan"), ValueError), ("0.5", TypeError))
)


def wrong_rates(**arguments: Any) -> tuple[ErrorInput, ...]:
    """Return the wrong values of `p`, for a layer that needs other arguments too."""
    return tuple(
        ErrorInput(error=wrong.error, match=wrong.match, arguments={**arguments, **(wrong.arguments or {})})
        for wrong in WRONG_RATES
    )


def _ids(dtype: torch.dtype, generator: torch.Generator) -> Inputs:
    return (torch.randint(0, 50, (6, 20), generator=generator),)


def _embedding_reference(module: EmbeddingDropout, ids: Tensor) -> Tensor:
    key = ops.draw_key()
    table = ops.dropout(module.weight, key, module.p, noise_shape=(None, 1), backend="reference")
    return table[ids]


def _word_reference(module: WordDropout, ids: Tensor) -> Tensor:
    keep = ops.dropout_mask(tuple(ids.shape), ops.draw_key(), module.p, backend="reference")
    return torch.where(keep | torch.isin(ids, torch.tensor(module.special_ids)), ids, module.unk_id)


def _all_unknown(module: WordDropout, ids: Tensor) -> Tensor:
    return torch.where((ids == 0) | (ids == 2), ids, 1)


def _token_reference(module: TokenDropout, x: Tensor) -> Tensor:
    noise_shape = (None, None, 1)
    return ops.dropout(
        x, ops.draw_key(), module.p, noise_shape=noise_shape, rescale=module.rescale, backend="reference"
    )


_VOCABULARY = {"num_embeddings": 50, "embedding_dim": 3}
_NO_IDS = ErrorInput(error=TypeError, match="`input` must be a tensor of integers", input=torch.ones(3))

register(
    LayerSpec(
        layer=EmbeddingDropout,
        arguments={**_VOCABULARY, "p": 0.3},
        inputs=_ids,
        reference=_embedding_reference,
        evaluate=lambda module, ids: module.weight[ids],
        full=lambda module, ids: torch.zeros(*ids.shape, 3),
        twin=nn.Embedding,
        errors=(
            *wrong_rates(**_VOCABULARY),
            _NO_IDS,
            ErrorInput(error=IndexError, match="index out of range", input=torch.tensor([50])),
            ErrorInput(error=IndexError, match="index out of range", input=torch.tensor([-1])),
        ),
    )
)
register(
    LayerSpec(
        layer=WordDropout,
        arguments={"p": 0.3, "unk_id": 1, "special_ids": (0, 2)},
        inputs=_ids,
        reference=_word_reference,
        full=_all_unknown,
        selects=False,
        errors=(
            *wrong_rates(unk_id=1),
            _NO_IDS,
            ErrorInput(error=ValueError, match="`unk_id` must be a whole number", arguments={"unk_id": -1}),
            ErrorInput(
                error=ValueError, match="`special_ids` must be", arguments={"unk_id": 1, "special_ids": (0, -100)}
            ),
        ),
    )
)
register(
    LayerSpec(
        layer=TokenDropout,
        arguments={"p": 0.3},
        shape=(5, 12, 3),
        reference=_token_reference,
        errors=(
            *WRONG_RATES,
            ErrorInput(error=ValueError, match="at least 2 dimensions", input=torch.ones(3)),
            ErrorInput(
                error=TypeError,
                match="`input` must be a floating-point tensor",
                input=torch.ones(3, 2, dtype=torch.int64),
            ),
        ),
    )
)
