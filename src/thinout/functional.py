"""Dropouts without state: checks and work are here, the modules of `thinout.nn` store arguments and call these.

Shape letters: N batch, C channels, L length, D depth, H height, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from thinout import ops
from thinout._checks import bad_value, check_p
from thinout.ops import NoiseShape, _apply
from thinout.ops._contract import NARROW, Mask, quantise
from thinout.ops._inputs import check_floating_point, check_rate

__all__ = ["classic_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d"]


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
    return _dropout("dropout", input, p, training, inplace, noise_shape, key, generator, offset)


def _dropout(
    where: str,
    input: Tensor,
    p: float | Tensor,
    training: bool,
    inplace: bool,
    noise_shape: NoiseShape | None,
    key: Tensor | int | None,
    generator: torch.Generator | None,
    offset: int,
    *,
    rescale: bool = True,
) -> Tensor:
    p = check_rate(where, p) if isinstance(p, Tensor) else check_p(where, p)
    check_floating_point(where, "input", input)
    if noise_shape is not None:
        ops.check_noise_shape(where, input.shape, noise_shape)
    if not training or (not isinstance(p, Tensor) and p == 0):
        return input
    if key is None:
        key = ops.draw_key(generator)
        if noise_shape is None and offset == 0 and not isinstance(p, Tensor):
            # The common call, with everything checked: straight to the kernel, since small tensors pay for each line.
            return _apply.apply(input, key, Mask(quantise(p), rescale=rescale), inplace=inplace)
    return ops.dropout(input, key, p, offset=offset, noise_shape=noise_shape, rescale=rescale, inplace=inplace)


def _channel_dropout(
    where: str,
    letters: str,
    input: Tensor,
    p: float | Tensor,
    training: bool,
    inplace: bool,
    batched: bool,
    key: Tensor | int | None,
    generator: torch.Generator | None,
    offset: int,
) -> Tensor:
    names = ["N", "C", *letters] if batched else ["C", *letters]
    if input.dim() != len(names):
        other = "one unbatched input" if batched else "a batch"
        allowed = f"a tensor of {len(names)} dimensions ({', '.join(names)})"
        bad_value(where, "input", allowed, f"shape {tuple(input.shape)}", f"For {other} pass batched={not batched}.")
    noise_shape = [None] * (len(names) - len(letters)) + [1] * len(letters)
    return _dropout(where, input, p, training, inplace, noise_shape, key, generator, offset)


def dropout1d(
    input: Tensor,
    p: float | Tensor = 0.5,
    *,
    training: bool,
    inplace: bool = False,
    batched: bool = True,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Drop whole channels of a batch of sequences: the mask has shape (N, C, 1).

    Args:
        input: (N, C, L), or (C, L) with ``batched=False``; the rank is never guessed at.
        p: drop probability of a channel, in [0, 1].
        training: whether to drop.
        inplace: write the result into the input.
        batched: whether the first dimension is the batch.
        key: key of the mask; None draws one.
        generator: where the key is drawn.
        offset: second number that the mask is a function of.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: p outside [0, 1] or an input of another rank.
        TypeError: the input is not floating point.

    Example:
        >>> dropout1d(torch.ones(1, 3, 2), 0.5, training=True, key=1)
        tensor([[[2., 2.],
                 [0., 0.],
                 [2., 2.]]])

    Source: Tompson, Goroshin, Jain, LeCun, Bregler 2015, arXiv 1411.4280.
    """
    return _channel_dropout("dropout1d", "L", input, p, training, inplace, batched, key, generator, offset)


def dropout2d(
    input: Tensor,
    p: float | Tensor = 0.5,
    *,
    training: bool,
    inplace: bool = False,
    batched: bool = True,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Drop whole feature maps of a batch of images: the mask has shape (N, C, 1, 1).

    `torch.nn.functional.dropout2d` takes a 3-D input for (N, C, L) and warns; here it is an error, or one unbatched
    image if you say so.

    Args:
        input: (N, C, H, W), or (C, H, W) with ``batched=False``.
        p: drop probability of a channel, in [0, 1].
        training: whether to drop.
        inplace: write the result into the input.
        batched: whether the first dimension is the batch.
        key: key of the mask; None draws one.
        generator: where the key is drawn.
        offset: second number that the mask is a function of.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: p outside [0, 1] or an input of another rank.
        TypeError: the input is not floating point.

    Example:
        >>> dropout2d(torch.ones(1, 3, 1, 2), 0.5, training=True, key=1)[0, :, 0]
        tensor([[2., 2.],
                [0., 0.],
                [2., 2.]])

    Source: Tompson et al. 2015, arXiv 1411.4280.
    """
    return _channel_dropout("dropout2d", "HW", input, p, training, inplace, batched, key, generator, offset)


def dropout3d(
    input: Tensor,
    p: float | Tensor = 0.5,
    *,
    training: bool,
    inplace: bool = False,
    batched: bool = True,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Drop whole feature maps of a batch of volumes: the mask has shape (N, C, 1, 1, 1).

    Args:
        input: (N, C, D, H, W), or (C, D, H, W) with ``batched=False``.
        p: drop probability of a channel, in [0, 1].
        training: whether to drop.
        inplace: write the result into the input.
        batched: whether the first dimension is the batch.
        key: key of the mask; None draws one.
        generator: where the key is drawn.
        offset: second number that the mask is a function of.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: p outside [0, 1] or an input of another rank.
        TypeError: the input is not floating point.

    Example:
        >>> dropout3d(torch.ones(1, 3, 1, 1, 1), 0.5, training=True, key=1).flatten()
        tensor([2., 0., 2.])

    Source: Tompson et al. 2015, arXiv 1411.4280.
    """
    return _channel_dropout("dropout3d", "DHW", input, p, training, inplace, batched, key, generator, offset)


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
        return _dropout("classic_dropout", input, p, True, inplace, None, key, generator, offset, rescale=False)
    check_floating_point("classic_dropout", "input", input)
    if isinstance(p, Tensor):
        steps = torch.round(check_rate("classic_dropout", p) * NARROW)
        factor = (1 - steps / NARROW).to(input.device, torch.float32).reshape(())  # 0-d: it leaves the dtype alone
        return input.mul_(factor) if inplace else (input * factor).to(input.dtype)
    keep_prob = 1 - ops.effective_p(check_p("classic_dropout", p))
    return input.mul_(keep_prob) if inplace else input * keep_prob
