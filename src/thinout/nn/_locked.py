"""Dropout with one mask for all time steps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from thinout import functional as F
from thinout import ops
from thinout._checks import check_p
from thinout.functional._locked import Sequences
from thinout.nn._rate import Rated, rate
from thinout.nn._registry import ErrorInput, LayerSpec, register


class LockedDropout(Rated, nn.modules.dropout._DropoutNd):
    """Drop the same features at every step of a sequence; see `thinout.functional.locked_dropout`.

    Args:
        p: drop probability of a feature, in [0, 1].
        batch_first: whether inputs are (N, L, C), as in `torch.nn.LSTM`; packed sequences do not depend on it.
        inplace: write the result into the input.
        batched: whether inputs have a batch dimension; False for (L, C).

    Shape:
        (L, N, C), or (N, L, C) with ``batch_first=True``, or (L, C) with ``batched=False``, or a `PackedSequence`; the
        output is like the input.

    Raises:
        ValueError: p outside [0, 1] or an input of another rank.

    Example:
        >>> y = LockedDropout(p=0.5, batch_first=True)(torch.ones(2, 3, 8))
        >>> bool((y == y[:, :1]).all())
        True

    Source: Gal, Ghahramani 2016, arXiv 1512.05287; Merity, Keskar, Socher 2018, arXiv 1708.02182.
    """

    def __init__(
        self, p: float = 0.5, batch_first: bool = False, *, inplace: bool = False, batched: bool = True
    ) -> None:
        super().__init__(check_p(type(self).__name__, p), inplace)
        self.batch_first = batch_first
        self.batched = batched

    def forward(
        self,
        input: Sequences,
        *,
        key: Tensor | int | None = None,
        generator: torch.Generator | None = None,
        offset: int = 0,
    ) -> Sequences:
        """Apply dropout in training mode; `key`, `generator` and `offset` as in `thinout.functional`."""
        return F.locked_dropout(
            input,
            rate(self),
            training=self.training,
            batch_first=self.batch_first,
            inplace=self.inplace,
            batched=self.batched,
            key=key,
            generator=generator,
            offset=offset,
        )

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        more = ("" if not self.inplace else ", inplace=True") + ("" if self.batched else ", batched=False")
        return f"p={self.p}, batch_first={self.batch_first}{more}"


def _reference(module: LockedDropout, x: Tensor) -> Tensor:
    """Apply one mask of (N, C) step by step."""
    key, (steps, sequences, features) = ops.draw_key(), x.shape
    ones = torch.ones(sequences, features, dtype=torch.float64, device=x.device)
    keep = ops.dropout(ones, key, module.p, backend="reference") != 0
    scale = 1 / (1 - ops.effective_p(module.p))
    work = torch.promote_types(x.dtype, torch.float32)
    scaled = (x.to(work) * scale).to(x.dtype)
    return torch.stack([torch.where(keep, scaled[step], 0.0) for step in range(steps)])


register(
    LayerSpec(
        layer=LockedDropout,
        arguments={"p": 0.3},
        shape=(4, 5, 6),
        reference=_reference,
        errors=(
            ErrorInput(error=ValueError, match=r"`p` must be a number in \[0, 1\], got", arguments={"p": -0.1}),
            ErrorInput(error=ValueError, match=r"`p` must be a number in \[0, 1\], got", arguments={"p": float("nan")}),
            ErrorInput(error=TypeError, match=r"`p` must be a number in \[0, 1\], got", arguments={"p": "0.5"}),
            ErrorInput(error=ValueError, match="For one unbatched sequence pass batched=False", input=torch.ones(4, 6)),
            ErrorInput(
                error=ValueError,
                match="For a batch pass batched=True",
                arguments={"batched": False},
                input=torch.ones(4, 5, 6),
            ),
            ErrorInput(
                error=TypeError,
                match="`input` must be a floating-point tensor",
                input=torch.ones(4, 5, 6, dtype=torch.int64),
            ),
        ),
    )
)
