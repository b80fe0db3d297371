"""Multi-sample dropout: several masks for one input of a head."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from thinout._checks import bad_value, check_count
from thinout.functional._shared import Rate, drop


def multi_sample_dropout(
    input: Tensor,
    head: Callable[[Tensor], Tensor],
    *,
    p: Rate = 0.5,
    num_samples: int = 8,
    training: bool,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Apply one head to several dropouts of one input, in one pass.

    .. math:: z_k = \text{head}(D_k(x)), \quad k = 1 \ldots K \qquad\text{(training)}

    and :math:`\text{head}(x)` otherwise. What lies before is computed once. The loss is the mean over :math:`k` of the
    losses of :math:`z_k`, as `multi_sample_loss` takes it, and not the loss of the mean.

    Args:
        input: (N, ...), floating point.
        head: takes (K N, ...) and gives one tensor (K N, ...); in eval mode (N, ...).
        p: drop probability in [0, 1].
        num_samples: number :math:`K` of masks.
        training: whether to drop.
        key: key of the masks; with one sample the mask is that of `dropout` under the same key. None draws one.
        generator: where the key is drawn.
        offset: second number that the masks are a function of.

    Returns:
        (K, N, ...) in training, for every p; (N, ...) otherwise.

    Raises:
        ValueError: p outside [0, 1], fewer than one sample, an input without a batch dimension.
        TypeError: the input is not floating point.

    Example:
        >>> x = torch.ones(1, 3)
        >>> multi_sample_dropout(x, lambda h: h.sum(-1), num_samples=4, training=True, key=1)
        tensor([[4.],
                [2.],
                [2.],
                [0.]])
        >>> multi_sample_dropout(x, lambda h: h.sum(-1), training=False)
        tensor([3.])

    Source: Inoue 2019, arXiv 1905.09788.
    """
    where = "multi_sample_dropout"
    num_samples = check_count(where, "num_samples", num_samples)
    if input.dim() == 0:
        bad_value(where, "input", "a tensor with a batch dimension", "a 0-d tensor")
    repeated = input.expand(num_samples, *input.shape)
    dropped = drop(where, repeated, p, training, False, None, key, generator, offset)
    if not training:
        return head(input)
    output = head(dropped.flatten(0, 1))
    return output.view(num_samples, input.shape[0], *output.shape[1:])


def multi_sample_loss(
    criterion: Callable[[Tensor, Tensor], Tensor], output: Tensor, target: Tensor, *, training: bool
) -> Tensor:
    r"""Return the mean over the samples of the losses, which is not the loss of the mean output.

    .. math:: L = \frac{1}{K} \sum_k \ell(z_k, y)

    For a convex loss, such as cross-entropy, the loss of the mean output is smaller (Jensen): another objective, in
    which the samples need not be right one by one.

    Args:
        criterion: loss of outputs (N, ...) and a target.
        output: (K, N, ...) in training, (N, ...) otherwise, as `multi_sample_dropout` gives it.
        target: target of the N examples.
        training: whether the output has the dimension of samples.

    Returns:
        What the criterion returns.

    Example:
        >>> output = torch.tensor([[1.0], [3.0]])  # two samples of one example
        >>> squares = torch.nn.functional.mse_loss
        >>> multi_sample_loss(squares, output, torch.tensor([2.0]), training=True)
        tensor(1.)
        >>> squares(output.mean(0), torch.tensor([2.0]))
        tensor(0.)

    Source: Inoue 2019, arXiv 1905.09788.
    """
    if not training:
        return criterion(output, target)
    return torch.stack([criterion(sample, target) for sample in output.unbind()]).mean(0)
