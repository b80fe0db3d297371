"""Multi-sample dropout: several masks for one input of a head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from thinout import functional as F
from thinout import ops
from thinout._checks import bad_type, check_count, check_p
from thinout.nn._adaptive import _linear
from thinout.nn._rate import Rated, rate
from thinout.nn._registry import ErrorInput, LayerSpec, register


class MultiSampleDropout(Rated):
    """Apply one head to several dropouts of its input; see `thinout.functional.multi_sample_dropout`.

    Args:
        head: the part of the network behind the dropout, a module from one tensor to one.
        p: drop probability in [0, 1].
        num_samples: number of masks; the paper calls it n.

    Shape:
        (N, ...) to (num_samples, N, ...) in training, to (N, ...) in eval mode, where ... is what the head makes.

    Raises:
        ValueError: p outside [0, 1], fewer than one sample.
        TypeError: the head is no module, p no number.

    Example:
        >>> layer = MultiSampleDropout(nn.Linear(4, 3), p=0.5, num_samples=8)
        >>> x, target = torch.randn(2, 4), torch.tensor([0, 2])
        >>> logits = layer(x)
        >>> logits.shape
        torch.Size([8, 2, 3])
        >>> loss = layer.loss(nn.functional.cross_entropy, logits, target)
        >>> layer.eval()(x).shape
        torch.Size([2, 3])

    Source: Inoue 2019, arXiv 1905.09788.
    """

    def __init__(self, head: nn.Module, p: float = 0.5, *, num_samples: int = 8) -> None:
        super().__init__()
        if not isinstance(head, nn.Module):
            bad_type(type(self).__name__, "head", "a module", repr(head))
        self.p = check_p(type(self).__name__, p)
        self.num_samples = check_count(type(self).__name__, "num_samples", num_samples)
        self.head = head

    def forward(
        self,
        input: Tensor,
        *,
        key: Tensor | int | None = None,
        generator: torch.Generator | None = None,
        offset: int = 0,
    ) -> Tensor:
        """Return the outputs of the samples in training mode, the output in eval mode."""
        return F.multi_sample_dropout(
            input,
            self.head,
            p=rate(self),
            num_samples=self.num_samples,
            training=self.training,
            key=key,
            generator=generator,
            offset=offset,
        )

    def loss(self, criterion: Callable[[Tensor, Tensor], Tensor], output: Tensor, target: Tensor) -> Tensor:
        """Return the mean of the samples' losses in training mode, the loss in eval mode; see `multi_sample_loss`."""
        return F.multi_sample_loss(criterion, output, target, training=self.training)

    def extra_repr(self) -> str:
        """Return the settings."""
        return f"p={self.p}, num_samples={self.num_samples}"


def _reference(layer: MultiSampleDropout, x: Tensor) -> Tensor:
    many = torch.stack([x] * layer.num_samples)
    dropped = ops.dropout(many, ops.draw_key(), layer.p, backend="reference")
    return torch.stack([layer.head(sample) for sample in dropped])


def _repeat(layer: MultiSampleDropout, x: Tensor) -> Tensor:
    y: Tensor = layer.head(x)
    return torch.stack([y] * layer.num_samples)


def _arguments(**arguments: Any) -> dict[str, Any]:
    return {"head": _linear(), "p": 0.3, "num_samples": 3} | arguments


register(
    LayerSpec(
        layer=MultiSampleDropout,
        arguments=_arguments(),
        shape=(4, 6),
        reference=_reference,
        evaluate=lambda layer, x: layer.head(x),
        zero=_repeat,
        full=lambda layer, x: _repeat(layer, torch.zeros_like(x)),
        selects=False,
        tolerance=1e-6,
        errors=(
            *(
                ErrorInput(error=error, match=r"`p` must be a number in \[0, 1\]", arguments=_arguments(p=p))
                for p, error in ((-0.1, ValueError), (1.5, ValueError), (float("nan"), ValueError), ("1", TypeError))
            ),
            ErrorInput(error=ValueError, match="`num_samples` must be", arguments=_arguments(num_samples=0)),
            ErrorInput(error=TypeError, match="`head` must be a module", arguments=_arguments(head=None)),
            ErrorInput(error=ValueError, match="a tensor with a batch dimension", input=torch.tensor(1.0)),
        ),
        exceptions={
            "repr": "it wraps a module, whose repr stands in it",
            "factory": "its parameters are those of the module that it wraps",
        },
    )
)
