"""The mask contract: masks that are a function of a key, an offset and an element's index, and nothing else.

Every random zero of thinout comes through this door. See "The mask contract" in the documentation.
"""

from __future__ import annotations

import numbers

import torch
from torch import Tensor

from thinout._checks import bad_type, check_p
from thinout.ops import _apply, _backends
from thinout.ops._contract import MASK_FORMAT as MASK_FORMAT
from thinout.ops._contract import Mask, locate, quantise, row_major_strides
from thinout.ops._contract import NoiseShape as NoiseShape
from thinout.ops._contract import Shard as Shard
from thinout.ops._contract import check_noise_shape as check_noise_shape
from thinout.ops._contract import effective_p as effective_p
from thinout.ops._inputs import (
    check_floating_point,
    check_generator,
    check_index,
    check_key,
    check_offset,
    check_rate,
)

__all__ = [
    "MASK_FORMAT",
    "NoiseShape",
    "Shard",
    "backends",
    "check_noise_shape",
    "draw_key",
    "dropout",
    "dropout_mask",
    "effective_p",
]


def draw_key(generator: torch.Generator | None = None) -> Tensor:
    """Draw a key from a generator: one int64, uniform over [-2**63, 2**63 - 1).

    Args:
        generator: where to draw; None is torch's default CPU generator, which `torch.manual_seed` seeds.

    Returns:
        A 0-d int64 tensor on the device of the generator.

    Raises:
        RuntimeError: a private generator is used while a graph is compiled or while a backward pass recomputes the
            forward pass: neither can rewind it.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> key = draw_key()
        >>> key.dtype, key.shape
        (torch.int64, torch.Size([]))
    """
    if generator is not None:
        check_generator(generator)
    # generator=None is passed on purpose: the overload with a generator is the one that inductor leaves as it is, so
    # that compiled code draws the keys that eager code draws.
    device = "cpu" if generator is None else generator.device
    return torch.randint(-(1 << 63), (1 << 63) - 1, (), dtype=torch.int64, generator=generator, device=device)


def dropout(
    x: Tensor,
    key: Tensor | int,
    p: float | Tensor,
    *,
    offset: int = 0,
    noise_shape: NoiseShape | None = None,
    first_index: int = 0,
    shard: Shard | None = None,
    wide: bool = False,
    rescale: bool = True,
    inplace: bool = False,
    backend: str | None = None,
) -> Tensor:
    r"""Drop elements of `x` by the mask of a key, and scale the rest so that the mean holds.

    .. math:: y_i = x_i / (1 - p) \text{ if element } i \text{ is kept}, \quad y_i = 0 \text{ otherwise}

    Element `i` in row-major order is kept iff ``(lane ^ 0x8000) >= round(p * 2**16)``, where ``lane`` is 16-bit lane
    ``i % 8`` of the Philox4x32-10 block with counter ``(i // 8, offset)`` under the key. A dropped element is 0
    whatever it was, an infinity or NaN too. Backward applies the same mask to the gradient and keeps the key alone.

    Args:
        x: floating-point tensor of any shape.
        key: what the mask is a function of: an int, or a 0-d int64 tensor as `draw_key` gives.
        p: drop probability in [0, 1]; as a float64 CPU tensor of one element it can change in compiled graphs.
        offset: second number that the mask is a function of, for example a sample or step index.
        noise_shape: shape of the mask before it is broadcast: an entry 1 is shared, None is as the input.
        first_index: mask index of the first element, for a shard of the leading dimension.
        shard: where `x` lies in a larger tensor, for shards of other dimensions.
        wide: use 32 bits an element, for probabilities below 2**-8.
        rescale: whether kept elements are multiplied by 1 / (1 - p); without it they are left as they are.
        inplace: write the result into `x`.
        backend: name out of `backends()`, for tests; None takes the fastest.

    Returns:
        A tensor like `x`, in its strides; `x` itself where ``p == 0``.

    Raises:
        ValueError: p outside [0, 1], a noise shape or shard that does not fit.
        TypeError: `x` is not floating point, the key is not int64.

    Example:
        >>> dropout(torch.ones(8), key=1, p=0.5)
        tensor([2., 0., 2., 0., 2., 0., 0., 0.])
        >>> dropout(torch.ones(2, 3), key=1, p=0.5, noise_shape=(None, 1))
        tensor([[2., 2., 2.],
                [0., 0., 0.]])
    """
    check_floating_point("dropout", "x", x)
    key = check_key("dropout", key, x.device)
    offset = check_offset("dropout", offset)
    first_index, strides = locate("dropout", x.shape, noise_shape, first_index, shard)
    if first_index or type(first_index) is not int or shard is not None:
        check_index("dropout", x.shape, first_index, strides or row_major_strides(x.shape))
    if isinstance(p, Tensor):
        p = check_rate("dropout", p)
        return _apply.apply_traced(x, key, p, offset, wide, rescale, first_index, strides, inplace=inplace)
    p = check_p("dropout", p)
    if p == 0:
        return x
    mask = Mask(quantise(p, wide), offset, wide, rescale, first_index, strides)
    return _apply.apply(x, key, mask, inplace=inplace, backend=backend)


def dropout_mask(
    shape: tuple[int, ...],
    key: Tensor | int,
    p: float | Tensor,
    *,
    offset: int = 0,
    noise_shape: NoiseShape | None = None,
    first_index: int = 0,
    shard: Shard | None = None,
    wide: bool = False,
    device: torch.device | str = "cpu",
    backend: str | None = None,
) -> Tensor:
    """Return the mask that `dropout` applies under the same arguments.

    Args:
        shape: shape of the input that the mask is for.
        key: see `dropout`; so are the other arguments.
        p: drop probability in [0, 1]; as a float64 CPU tensor of one element it can change in compiled graphs.
        offset: second number that the mask is a function of.
        noise_shape: shape of the mask before it is broadcast.
        first_index: mask index of the first element.
        shard: where the input lies in a larger tensor.
        wide: use 32 bits an element.
        device: where the mask is wanted.
        backend: name out of `backends()`.

    Returns:
        A bool tensor of `shape`, True where an element is kept.

    Raises:
        ValueError: p outside [0, 1], a noise shape or shard that does not fit.
        TypeError: the key is not int64.

    Example:
        >>> dropout_mask((8,), key=1, p=0.5)
        tensor([ True, False,  True, False,  True, False, False, False])
    """
    where, place = "dropout_mask", torch.device(device)
    if place.type != "cpu" and place.index is None:
        place = torch.empty(0, device=place).device  # "cuda" is "cuda:0", as a key on it says
    key = check_key(where, key, place)
    if isinstance(shape, numbers.Integral):
        bad_type(where, "shape", "a sequence of ints", shape, f"Write ({shape},) for one dimension.")
    first_index, strides = locate(where, shape, noise_shape, first_index, shard)
    check_index(where, shape, first_index, strides or row_major_strides(shape))
    p = check_rate(where, p) if isinstance(p, Tensor) else check_p(where, p)
    offset = check_offset(where, offset)
    if backend is None and _apply.mask_needs_operator(key, p):
        return _apply.trace_mask(shape, key, p, offset, wide, first_index, strides, place)
    threshold = quantise(float(p), wide)
    return _backends.keep_mask(
        tuple(shape), key, Mask(threshold, offset, wide, False, first_index, strides), place, backend
    )


def backends() -> dict[str, str]:
    """Return the backends of the mask contract and what each serves here.

    Example:
        >>> list(backends())
        ['cpu', 'triton', 'torch', 'reference']
    """
    return _backends.available()
