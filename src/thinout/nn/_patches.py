"""Dropout that shortens or cuts a sequence: random patches kept, a span of tokens zeroed."""

from __future__ import annotations

import torch
from torch import Tensor

from thinout import functional as F
from thinout._checks import check_count, check_p
from thinout.nn._rate import Adjustable, Rated, Setting, rate
from thinout.nn._registry import ErrorInput, LayerSpec, register


class PatchDropout(Rated):
    """Keep an exact number of random patches of each sequence in training; see `thinout.functional.patch_dropout`.

    Arguments come in the order of timm's class of this name. The length of the output follows from `p`, so compiled
    code is compiled again for each new length.

    Args:
        p: drop probability of a patch, in [0, 1]; at least one patch is kept.
        num_prefix_tokens: tokens that are always kept, such as the class token.
        ordered: keep the order of the patches.
        return_indices: return a pair, with the indices of the patches that were kept, or None where all were.

    Shape:
        (N, P + L, C) to (N, P + k, C).

    Raises:
        ValueError: p outside [0, 1] or an input of fewer than three dimensions.

    Example:
        >>> layer = PatchDropout(p=0.5)
        >>> layer(torch.ones(2, 197, 8)).shape
        torch.Size([2, 99, 8])
        >>> layer.eval()(torch.ones(2, 197, 8)).shape
        torch.Size([2, 197, 8])

    Source: Liu, Matsoukas, Strand, Azizpour, Smith 2023, WACV, arXiv 2208.07220.
    """

    def __init__(
        self, p: float = 0.5, num_prefix_tokens: int = 1, ordered: bool = False, return_indices: bool = False
    ) -> None:
        super().__init__()
        self.p = p
        self.num_prefix_tokens = check_count("PatchDropout", "num_prefix_tokens", num_prefix_tokens, at_least=0)
        self.ordered = ordered
        self.return_indices = return_indices

    def forward(
        self, input: Tensor, *, generator: torch.Generator | None = None
    ) -> Tensor | tuple[Tensor, Tensor | None]:
        """Drop patches in training mode."""
        return F.patch_dropout(
            input,
            self.p,
            num_prefix_tokens=self.num_prefix_tokens,
            ordered=self.ordered,
            return_indices=self.return_indices,
            training=self.training,
            generator=generator,
        )

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        text = f"p={self.p}, num_prefix_tokens={self.num_prefix_tokens}, ordered={self.ordered}"
        return text + (", return_indices=True" if self.return_indices else "")


class HiddenCut(Adjustable):
    """Zero one contiguous span of tokens of each text in training; see `thinout.functional.hidden_cut`.

    The paper trains on three terms: the cross entropies with and without the cut, and the divergence of the two
    predictions, `thinout.functional.js_divergence`.

    Args:
        ratio: part of the tokens to cut, in [0, 1].
        top: with scores, the span begins at one of this part of the tokens, the best.

    Shape:
        (N, T, C); the output is like the input.

    Raises:
        ValueError: a ratio outside [0, 1] or an input of another rank.

    Example:
        >>> HiddenCut(ratio=0.2)(torch.ones(2, 10, 4)).shape
        torch.Size([2, 10, 4])

    Source: Chen, Shen, Chen, Yang 2021, ACL, arXiv 2106.00149.
    """

    ratio = Setting()

    def __init__(self, ratio: float = 0.1, *, top: float = 0.4) -> None:
        super().__init__()
        self.ratio = ratio
        self.top = check_p("HiddenCut", top, "top")

    def forward(
        self,
        input: Tensor,
        lengths: Tensor | None = None,
        scores: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Cut spans in training mode; `lengths` (N,) and `scores` (N, T) as in `thinout.functional.hidden_cut`."""
        return F.hidden_cut(
            input,
            rate(self, "ratio"),
            training=self.training,
            lengths=lengths,
            scores=scores,
            top=self.top,
            generator=generator,
        )

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return f"ratio={self.ratio}, top={self.top}"


def _patch_reference(module: PatchDropout, x: Tensor) -> Tensor:
    num_prefix = module.num_prefix_tokens
    work = torch.promote_types(x.dtype, torch.float32)
    noise = torch.rand(x.size(0), x.size(1) - num_prefix, dtype=work, generator=None)
    num_kept = F.num_patches_kept(noise.size(1), module.p)
    texts = [
        torch.cat([text[:num_prefix], text[num_prefix:][numbers.argsort(descending=True)[:num_kept]]])
        for text, numbers in zip(x, noise, strict=True)
    ]
    return torch.stack(texts)


def _cut_reference(module: HiddenCut, x: Tensor) -> Tensor:
    noise = torch.rand(x.size(0), dtype=torch.promote_types(x.dtype, torch.float32), generator=None)
    size = min(max(1, int(module.ratio * x.size(1) + 1e-5)), x.size(1) - 1)
    y = x.clone()
    for text, number in zip(y, noise.tolist(), strict=True):
        begin = int(number * (x.size(1) - size + 1))
        text[begin : begin + size] = 0
    return y


_NOT_FLOATING = ErrorInput(
    error=TypeError,
    match="`input` must be a floating-point tensor",
    input=torch.ones(2, 4, 3, dtype=torch.int64),
)

register(
    LayerSpec(
        layer=PatchDropout,
        arguments={"p": 0.3},
        shape=(4, 11, 2),
        reference=_patch_reference,
        selects=False,
        errors=(
            ErrorInput(error=ValueError, match=r"`p` must be a number in \[0, 1\], got", arguments={"p": 1.5}),
            ErrorInput(error=TypeError, match=r"`p` must be a number in \[0, 1\], got", arguments={"p": "0.5"}),
            ErrorInput(error=ValueError, match="`num_prefix_tokens` must be", arguments={"num_prefix_tokens": -1}),
            ErrorInput(error=ValueError, match="at least 3 dimensions", input=torch.ones(4, 3)),
            ErrorInput(error=ValueError, match="at most the length 0", input=torch.ones(4, 0, 3)),
            _NOT_FLOATING,
        ),
        exceptions={
            "compile": "the length of the output follows from p: each new length is a new graph",
            "full_rate": "at p = 1 one patch is kept, another one each time",
        },
    )
)
register(
    LayerSpec(
        layer=HiddenCut,
        arguments={"ratio": 0.3},
        shape=(5, 12, 2),
        reference=_cut_reference,
        rates=("ratio",),
        errors=(
            ErrorInput(error=ValueError, match=r"`ratio` must be a number in \[0, 1\], got", arguments={"ratio": 1.5}),
            ErrorInput(error=TypeError, match=r"`ratio` must be a number in \[0, 1\], got", arguments={"ratio": "1"}),
            ErrorInput(error=ValueError, match=r"`top` must be a number in \[0, 1\], got", arguments={"top": 1.5}),
            ErrorInput(error=ValueError, match="of 3 dimensions", input=torch.ones(4, 3)),
            ErrorInput(
                error=ValueError, match="`lengths` must be of shape", input=(torch.ones(2, 4, 3), torch.tensor([4]))
            ),
            ErrorInput(
                error=TypeError,
                match="`lengths` must be a tensor of integers",
                input=(torch.ones(2, 4, 3), torch.ones(2)),
            ),
            ErrorInput(
                error=ValueError, match="`scores` must be of shape", input=(torch.ones(2, 4, 3), None, torch.ones(2, 3))
            ),
            ErrorInput(
                error=TypeError,
                match="`scores` must be a floating-point tensor",
                input=(torch.ones(2, 4, 3), None, torch.ones(2, 4, dtype=torch.int64)),
            ),
            _NOT_FLOATING,
        ),
        exceptions={"full_rate": "a ratio of 1 leaves one token, at either end"},
    )
)
