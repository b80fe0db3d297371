"""Networks of several paths: Shake-Shake, ShakeDrop and the joins of FractalNet."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from thinout import functional as F
from thinout import ops
from thinout._checks import check_choice, check_count, check_interval
from thinout.functional._depth import MODES
from thinout.functional._shake import LEVELS
from thinout.functional._shared import draw_keys
from thinout.nn._rate import Rated, Setting, rate
from thinout.nn._registry import ErrorInput, LayerSpec, register


class ShakeShake(nn.Module):
    """Mix the outputs of two branches at random, and their gradients by another number; see `functional.shake_shake`.

    Args:
        level: "image" draws for each example, "batch" once.

    Shape:
        Two tensors (N, ...) of one shape; the output is like them.

    Raises:
        ValueError: another level, or inputs of different shapes.

    Example:
        >>> layer, x = ShakeShake(), torch.ones(4, 3)
        >>> first, second = nn.Linear(3, 3), nn.Linear(3, 3)
        >>> (x + layer(first(x), second(x))).shape
        torch.Size([4, 3])

    Source: Gastaldi 2017, arXiv 1705.07485.
    """

    def __init__(self, level: str = "image") -> None:
        super().__init__()
        self.level = check_choice(type(self).__name__, "level", level, ("batch", "image"))

    def forward(self, first: Tensor, second: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Mix at random in training mode, by halves in eval mode."""
        return F.shake_shake(first, second, level=self.level, training=self.training, generator=generator)

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return f"level={self.level!r}"


class ShakeDrop(Rated):
    """Scale a residual branch at random, and its gradient by another number; see `functional.shake_drop`.

    Args:
        p: probability in [0, 1] that the branch is shaken; the paper lets it grow to 0.5 by the linear rule of depth.
        alpha: range of the factor in the forward pass.
        beta: range of the factor in the backward pass.
        level: whether the factors are drawn for the "batch", each "image", "channel" or "pixel".

    Shape:
        (N, ...); the output is like the input.

    Raises:
        ValueError: p outside [0, 1], a range that is none, or another level.
        TypeError: p is not a number, or a range is not a pair of numbers.

    Example:
        >>> ShakeDrop(p=0.5).eval()(torch.ones(3))  # 0.5 * 1 + 0.5 * E[alpha]
        tensor([0.5000, 0.5000, 0.5000])

    Source: Yamada, Iwamura, Akiba, Kise 2019, IEEE Access 7, arXiv 1802.02375.
    """

    def __init__(
        self,
        p: float = 0.5,
        alpha: tuple[float, float] = (-1.0, 1.0),
        beta: tuple[float, float] = (0.0, 1.0),
        *,
        level: str = "image",
    ) -> None:
        super().__init__()
        where = type(self).__name__
        self.p = p
        self.alpha, self.beta = check_interval(where, "alpha", alpha), check_interval(where, "beta", beta)
        self.level = check_choice(where, "level", level, LEVELS)

    def forward(self, input: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Shake in training mode, multiply by the mean factor in eval mode."""
        return F.shake_drop(
            input,
            rate(self),
            alpha=self.alpha,
            beta=self.beta,
            level=self.level,
            training=self.training,
            generator=generator,
        )

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return f"p={self.p}, alpha={self.alpha}, beta={self.beta}, level={self.level!r}"


class FractalJoin(Rated):
    """Join paths by the mean of those that survive; see `functional.fractal_join`.

    Args:
        p: drop probability of a path in local passes, in [0, 1].
        global_ratio: probability of a pass in which one column alone survives, in [0, 1].
        num_columns: columns of the network; None where each has a path here.
        join: number of the join in the network.
        mode: "batch" draws once for all rows, "row" for each.

    Shape:
        One tensor (N, ...) for each path, all of one shape; the output is like them.

    Raises:
        ValueError: a rate outside [0, 1], fewer columns than paths, or another mode.
        TypeError: a rate is not a number.

    Example:
        >>> key = ops.draw_key()  # one for all joins of a forward pass
        >>> first, last = FractalJoin(num_columns=3, join=0), FractalJoin(num_columns=3, join=1)
        >>> x = torch.ones(2, 4)
        >>> last(first(x, x, key=key), x, x, key=key).shape
        torch.Size([2, 4])

    Source: Larsson, Maire, Shakhnarovich 2017, ICLR, arXiv 1605.07648.
    """

    global_ratio = Setting()

    def __init__(
        self,
        p: float = 0.15,
        global_ratio: float = 0.5,
        *,
        num_columns: int | None = None,
        join: int = 0,
        mode: str = "batch",
    ) -> None:
        super().__init__()
        where = type(self).__name__
        self.p, self.global_ratio = p, global_ratio
        self.num_columns = None if num_columns is None else check_count(where, "num_columns", num_columns)
        self.join = check_count(where, "join", join, at_least=0)
        self.mode = check_choice(where, "mode", mode, MODES)

    def forward(
        self,
        *inputs: Tensor,
        key: Tensor | int | None = None,
        generator: torch.Generator | None = None,
        offset: int = 0,
    ) -> Tensor:
        """Return the mean of the survivors in training mode, of all in eval mode."""
        return F.fractal_join(
            inputs,
            rate(self),
            global_ratio=rate(self, "global_ratio"),
            num_columns=self.num_columns,
            join=self.join,
            mode=self.mode,
            training=self.training,
            key=key,
            generator=generator,
            offset=offset,
        )

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return (
            f"p={self.p}, global_ratio={self.global_ratio}, num_columns={self.num_columns}, join={self.join}, "
            f"mode={self.mode!r}"
        )


def _pair(dtype: torch.dtype, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    both = torch.randn(2, 6, 3, 2, generator=generator, dtype=torch.float64).to(dtype)
    return both[0].clone(), both[1].clone()


def _triple(dtype: torch.dtype, generator: torch.Generator) -> tuple[Tensor, ...]:
    three = torch.randn(3, 4, 3, generator=generator, dtype=torch.float64).to(dtype)
    return tuple(path.clone() for path in three)


def _uniform(x: Tensor) -> Tensor:
    """Return two numbers in [0, 1) for each example."""
    shape = (2, len(x), *[1] * (x.dim() - 1))
    return torch.rand(shape, dtype=torch.promote_types(x.dtype, torch.float32))


def _shake_shake_reference(module: ShakeShake, first: Tensor, second: Tensor) -> Tensor:
    alpha = _uniform(first)[0].to(first.dtype).double()
    return (alpha * first.double() + (1 - alpha) * second.double()).to(first.dtype)


def _shake_drop_reference(module: ShakeDrop, x: Tensor) -> Tensor:
    keep = ops.dropout_mask((1,), ops.draw_key(), module.p, backend="reference")
    low, high = module.alpha
    alpha = (low + (high - low) * _uniform(x)[0]).to(x.dtype)
    return x if keep else x * alpha


def _fractal_reference(module: FractalJoin, *inputs: Tensor) -> Tensor:
    keys, paths = draw_keys("reference", 4, None, None, torch.device("cpu")), len(inputs)

    def index(key: Tensor) -> int:
        at = [ops.dropout_mask((1,), key, j / paths, wide=True, backend="reference") for j in range(1, paths)]
        return sum(not kept for kept in at)

    if not ops.dropout_mask((1,), keys[0], module.global_ratio, backend="reference"):
        return inputs[index(keys[1])]
    keep = ops.dropout_mask((paths,), keys[2], module.p, backend="reference").tolist()
    alive = [x for x, kept in zip(inputs, keep, strict=True) if kept] or [inputs[index(keys[3])]]
    work = torch.promote_types(inputs[0].dtype, torch.float32)
    return (sum(x.to(work) for x in alive[1:]) + alive[0].to(work)).div(len(alive)).to(inputs[0].dtype)


def _wrong(name: str, value: Any, match: str, error: type[Exception] = ValueError) -> ErrorInput:
    return ErrorInput(error=error, match=match, arguments={name: value})


_BY_DESIGN = "the backward pass scales by another random number than the forward pass, by the design of the method"

register(
    LayerSpec(
        layer=ShakeShake,
        inputs=_pair,
        reference=_shake_shake_reference,
        evaluate=lambda module, first, second: first / 2 + second / 2,
        rates=(),
        selects=False,
        tolerance=1e-6,
        errors=(
            _wrong("level", "pixel", "`level` must be one of batch, image"),
            ErrorInput(
                error=ValueError, match="`second` must be of the shape", input=(torch.ones(2, 3), torch.ones(2, 1))
            ),
            ErrorInput(
                error=TypeError, match="`second` must be of the dtype", input=(torch.ones(2), torch.ones(2).double())
            ),
            ErrorInput(error=TypeError, match="`first` must be a floating-point", input=(torch.arange(2),) * 2),
        ),
        exceptions={"gradient": _BY_DESIGN},
    )
)
register(
    LayerSpec(
        layer=ShakeDrop,
        arguments={"p": 0.6},
        shape=(6, 3, 2),
        reference=_shake_drop_reference,
        evaluate=lambda module, x: x * (1 - ops.effective_p(module.p)),
        full=_shake_drop_reference,
        selects=False,
        errors=(
            _wrong("p", 2, r"`p` must be a number in \[0, 1\], got"),
            _wrong("p", "0.5", r"`p` must be a number in \[0, 1\], got", TypeError),
            _wrong("alpha", (1, 0), "`alpha` must be a pair of finite numbers"),
            _wrong("beta", 1.0, "`beta` must be a pair of finite numbers", TypeError),
            _wrong("level", "row", "`level` must be one of batch, channel, image, pixel"),
            ErrorInput(
                error=ValueError,
                match="at least 2 dimensions",
                arguments={"level": "channel"},
                input=torch.ones(3),
            ),
            ErrorInput(
                error=TypeError, match="`input` must be a floating-point", input=torch.ones(3, dtype=torch.int64)
            ),
        ),
        exceptions={"gradient": _BY_DESIGN},
    )
)
register(
    LayerSpec(
        layer=FractalJoin,
        arguments={"p": 0.4, "global_ratio": 0.25},
        inputs=_triple,
        rates=("p", "global_ratio"),
        reference=_fractal_reference,
        evaluate=lambda module, *inputs: (inputs[0] + inputs[1] + inputs[2]) / 3,
        full=_fractal_reference,
        selects=False,
        tolerance=1e-6,
        errors=(
            _wrong("p", 1.5, r"`p` must be a number in \[0, 1\], got"),
            _wrong("global_ratio", -0.5, "`global_ratio` must be a number"),
            _wrong("mode", "column", "`mode` must be one of batch, row"),
            ErrorInput(error=ValueError, match="`inputs` must be at least one tensor, got none", input=()),
            ErrorInput(
                error=ValueError,
                match="`num_columns` must be at least the number of inputs, 2, got 1",
                arguments={"num_columns": 1},
                input=(torch.ones(2), torch.ones(2)),
            ),
            ErrorInput(
                error=ValueError, match="`inputs` must be all of the shape", input=(torch.ones(2), torch.ones(3))
            ),
            ErrorInput(
                error=TypeError, match="`inputs` must be all of the dtype", input=(torch.ones(2), torch.ones(2).half())
            ),
        ),
    )
)
