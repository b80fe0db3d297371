"""Dropout of single elements: the inverted form of today and the classic one."""

from __future__ import annotations

import torch
from torch import Tensor

from thinout.functional._shared import drop, effective_rate, times
from thinout.ops import NoiseShape
from thinout.ops._inputs import check_floating_point


def dropout(
    input: Tensor,
    p: float | Tensor = 0.5,
    *,
    training: bool,
    inplace: bool = False,
    noise_shape: NoiseShape | None = None,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Drop elements at random in training and scale the rest so that the mean holds ("inverted dropout").

    .. math:: y = \frac{m \odot x}{1 - p}, \quad m_i \sim \text{Bernoulli}(1 - p) \qquad\text{(training)}

    and :math:`y = x` otherwise. With :math:`x` fixed, :math:`E[y] = x` and :math:`\text{Var}[y] = x^2 p / (1 - p)`.

    Args:
        input: floating-point tensor of any shape.
        p: drop probability in [0, 1]. 0 returns the input itself and draws nothing; 1 gives zeros with zero gradient.
        training: whether to drop; there is no default, since `torch.nn.functional.dropout` surprises with True.
        inplace: write the result into the input.
        noise_shape: shape of the mask before it is broadcast: an entry 1 is shared, None is as the input. (N, 1, C)
            drops whole features of (N, L, C) sequences.
        key: key of the mask, for callers that keep their own; None draws one.
        generator: where the key is drawn; None is torch's default generator.
        offset: second number that the mask is a function of, beside the key.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: p outside [0, 1] or a noise shape that does not fit the input.
        TypeError: the input is not floating point.

    Example:
        >>> x = torch.ones(2, 4)
        >>> dropout(x, 0.5, training=True, key=1)
        tensor([[2., 0., 2., 0.],
                [2., 0., 0., 0.]])
        >>> dropout(x, 0.5, training=False) is x
        True

    Source: Hinton, Srivastava, Krizhevsky, Sutskever, Salakhutdinov 2012, arXiv 1207.0580; Srivastava et al. 2014,
    JMLR 15:1929-1958.
    """
    return drop("dropout", input, p, training, inplace, noise_shape, key, generator, offset)


def classic_dropout(
    input: Tensor,
    p: float | Tensor = 0.5,
    *,
    training: bool,
    inplace: bool = False,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Drop without scaling in training, and scale by the keep probability at test time: the form of 2012 and 2014.

    .. math:: y = m \odot x \ \text{(training)}, \qquad y = (1 - p)\, x \ \text{(otherwise)}

    To reproduce a paper that used this form in inverted code: initial weights of the next layer times (1 - p), their
    learning rate times (1 - p)^2, a max-norm bound c becomes (1 - p) c, an L2 coefficient divided by (1 - p)^2.

    Args:
        input: floating-point tensor of any shape.
        p: drop probability in [0, 1].
        training: whether to drop; otherwise the input is multiplied by (1 - p), with p as the mask quantises it.
        inplace: write the result into the input.
        key: key of the mask; None draws one.
        generator: where the key is drawn.
        offset: second number that the mask is a function of.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: p outside [0, 1].
        TypeError: the input is not floating point.

    Example:
        >>> classic_dropout(torch.ones(4), 0.5, training=True, key=1)
        tensor([1., 0., 1., 0.])
        >>> classic_dropout(torch.ones(4), 0.5, training=False)
        tensor([0.5000, 0.5000, 0.5000, 0.5000])

    Source: Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov 2014, JMLR 15:1929-1958, sections 4 and 10.
    """
    if training:
        return drop("classic_dropout", input, p, True, inplace, None, key, generator, offset, rescale=False)
    check_floating_point("classic_dropout", "input", input)
    keep_prob = 1 - effective_rate("classic_dropout", p)
    scaled = times(input, keep_prob)
    return input.copy_(scaled) if inplace else scaled
