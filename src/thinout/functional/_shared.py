"""What the families of functions share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from thinout import ops
from thinout._checks import bad_type, bad_value, check_count, check_p
from thinout.ops import NoiseShape, _apply
from thinout.ops._contract import NARROW, WIDE, Mask, noise_strides, quantise
from thinout.ops._inputs import check_floating_point, check_generator, check_key, check_rate

Rate = float | Tensor
"""A rate: a number, or in compiled code a one-element float64 CPU tensor, which can change without a new graph."""


def drop(
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
    strides = None if noise_shape is None else noise_strides(where, input.shape, noise_shape)
    if not training or (not isinstance(p, Tensor) and p == 0):
        return input
    if key is None:
        key = ops.draw_key(generator)
        if offset == 0 and not isinstance(p, Tensor) and not torch.compiler.is_compiling():
            # The common call, with everything checked: straight to the kernel, since small tensors pay for each line.
            # Not where dynamo looks on: it warns of what is kept in a cache.
            return _apply.apply(input, key, _common_mask(p, rescale, strides), inplace=inplace)
    return ops.dropout(input, key, p, offset=offset, noise_shape=noise_shape, rescale=rescale, inplace=inplace)


@functools.lru_cache(maxsize=512)
def _common_mask(p: float, rescale: bool, strides: tuple[int, ...] | None) -> Mask:
    """Return a mask of offset 0, kept, since rates come again."""
    return Mask(quantise(p), rescale=rescale, index_strides=strides)


def check_probability(where: str, p: Rate, name: str = "p") -> Rate:
    """Return a probability, as a number or as the tensor that compiled code has; or raise."""
    return check_setting(where, name, p, check_p)


def check_setting(where: str, name: str, value: Rate, check: Callable[[str, Any, str], float]) -> Rate:
    """Return a setting that `check` allows, as a number or as the tensor that compiled code has; or raise."""
    return check_rate(where, value, name, check) if isinstance(value, Tensor) else check(where, value, name)


def effective_rate(where: str, p: Rate, *, wide: bool = False) -> Rate:
    """Return the drop probability that a mask at rate `p` really has, in the form of `p`."""
    if not isinstance(p, Tensor):
        return ops.effective_p(check_p(where, p), wide=wide)
    steps = WIDE if wide else NARROW
    return torch.round(check_rate(where, p) * steps) / steps


def as_scalar(value: Rate, like: Tensor) -> float | Tensor:
    """Return a setting as something that arithmetic with `like` takes without changing its dtype or device."""
    if not isinstance(value, Tensor):
        return value
    dtype = torch.float32 if like.device.type == "mps" else torch.float64  # MPS has no float64
    return value.reshape(()).to(like.device, dtype)  # 0-d: it does not promote


def times(x: Tensor, factor: Rate) -> Tensor:
    """Return ``x * factor`` in the dtype of `x`, 0-d inputs too."""
    return (x * as_scalar(factor, x)).to(x.dtype)


def check_maps(where: str, letters: str, input: Tensor, batched: bool) -> None:
    """Raise unless an input has the rank of a batch of maps, or of one example; the rank is never guessed at."""
    names = ["N", "C", *letters] if batched else ["C", *letters]
    if input.dim() != len(names):
        other = "one unbatched input" if batched else "a batch"
        allowed = f"a tensor of {len(names)} dimensions ({', '.join(names)})"
        bad_value(where, "input", allowed, f"shape {tuple(input.shape)}", f"For {other} pass batched={not batched}.")


def per_axis(where: str, name: str, value: int | Sequence[int], num_axes: int, *, at_least: int = 1) -> tuple[int, ...]:
    """Return one whole number for each axis out of one for all or a sequence, or raise."""
    values = (value,) * num_axes if not isinstance(value, Sequence) or isinstance(value, str) else tuple(value)
    if len(values) != num_axes:
        bad_value(where, name, f"one whole number or {num_axes} of them", repr(value))
    return tuple(check_count(where, name, entry, at_least=at_least) for entry in values)


def select(keep: Tensor, x: Tensor) -> Tensor:
    """Return `x` where it is kept and 0 elsewhere, an infinity or NaN that is dropped too, in the strides of `x`."""
    if x.is_contiguous():
        return torch.where(keep, x, 0.0)
    # `where` gives the strides of the mask, so it works on a mask that lies in memory as x does.
    order = sorted(range(x.dim()), key=x.stride, reverse=True)
    back = [order.index(dim) for dim in range(x.dim())]
    return torch.where(keep.permute(order).contiguous(), x.permute(order), 0.0).permute(back)


def is_off(p: Rate, training: bool) -> bool:
    """Whether a call drops nothing and draws nothing; a rate that is a tensor cannot be asked in a compiled graph."""
    return not training or (not isinstance(p, Tensor) and p == 0)


def _draw(
    sample: Callable[..., Tensor],
    fill: Callable[[Tensor], Tensor],
    shape: Sequence[int] | None,
    like: Tensor,
    generator: torch.Generator | None,
) -> Tensor:
    """Draw noise in float32 at least: uniforms drawn in half precision have wrong rates."""
    check_generator(generator)
    dtype = torch.promote_types(like.dtype, torch.float32)
    device = like.device if generator is None else generator.device
    sizes = tuple(like.shape if shape is None else shape)
    if torch.compiler.is_compiling() and not torch._C._are_functorch_transforms_active():
        # PyTorch's factories take no generator with a symbolic size, which a second size of batches makes of the first.
        return fill(torch.empty(sizes, dtype=dtype, device=device))
    return sample(sizes, dtype=dtype, device=device, generator=generator).to(like.device)


def draw_normal(like: Tensor, shape: Sequence[int] | None = None, generator: torch.Generator | None = None) -> Tensor:
    """Return standard normal noise of a shape (that of `like` by default), in float32 or float64.

    On a GPU inductor puts its own generator in the place of this one, unless ``torch._inductor.config.fallback_random``
    is set: its noise is as good, and another one.
    """
    return _draw(torch.randn, _fill_normal, shape, like, generator)


def _fill_normal(noise: Tensor) -> Tensor:
    return noise.normal_(generator=None)


def draw_uniform(like: Tensor, shape: Sequence[int] | None = None, generator: torch.Generator | None = None) -> Tensor:
    """Return noise uniform over [0, 1) of a shape (that of `like` by default), in float32 or float64."""
    return _draw(_rand, _fill_rand, shape, like, generator)


def _rand(shape: tuple[int, ...], *, dtype: torch.dtype, **options: Any) -> Tensor:
    """Return what `torch.rand` draws, by the one random operator that inductor leaves as it is."""
    bits = _num_bits(dtype)
    return torch.randint(0, 1 << bits, shape, dtype=dtype, **options).mul_(2.0**-bits)


def _fill_rand(noise: Tensor) -> Tensor:
    bits = _num_bits(noise.dtype)
    return torch.randint_like(noise, 0, 1 << bits, generator=None).mul_(2.0**-bits)


def _num_bits(dtype: torch.dtype) -> int:
    return 53 if dtype == torch.float64 else 24


def draw_keys(
    where: str, count: int, key: Tensor | int | None, generator: torch.Generator | None, device: torch.device
) -> list[Tensor]:
    """Return the keys of the masks of one call that needs several, all made from the one key that it draws or is given.

    The first is the key itself; the next ones lie a golden ratio of 2**64 apart, which wraps.
    """
    first = ops.draw_key(generator) if key is None else check_key(where, key, device)
    return [first] + [first + _wrapped(number * _GOLDEN) for number in range(1, count)]


_GOLDEN = 0x9E3779B97F4A7C15


def _wrapped(number: int) -> int:
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


def check_integers(where: str, name: str, tensor: Tensor) -> None:
    """Raise unless an argument is a tensor of integers."""
    kinds = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
    if not isinstance(tensor, Tensor) or tensor.dtype not in kinds:
        got = f"a {tensor.dtype} tensor" if isinstance(tensor, Tensor) else repr(type(tensor).__name__)
        bad_type(where, name, "a tensor of integers", got)


def check_mask(where: str, name: str, mask: Tensor, shape: Sequence[int]) -> None:
    """Raise unless an argument is a bool tensor of a shape; True stands for what counts."""
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        got = f"a {mask.dtype} tensor" if isinstance(mask, Tensor) else repr(type(mask).__name__)
        bad_type(where, name, "a bool tensor, True where there is something", got)
    if mask.shape != tuple(shape):
        bad_value(where, name, f"of shape {tuple(shape)}", tuple(mask.shape))


def may_happen(case: Tensor) -> bool:
    """Whether a rare case, a bool tensor, must be treated: asked where that is free, else taken for granted."""
    free = case.device.type == "cpu" and not torch._C._are_functorch_transforms_active()
    return not free or _apply.needs_operator(case) or bool(case.any())
