"""Stochastic depth: dropout of whole residual branches."""

from __future__ import annotations

from typing import Any

import torch
import torch.fx
from torch import Tensor, nn

from thinout import ops
from thinout._checks import bad_type, bad_value, check_choice, check_count
from thinout.functional._depth import MODES, num_kept_rows, stochastic_depth, stochastic_depth_block
from thinout.nn._rate import Rated, Setting, rate
from thinout.nn._registry import ErrorInput, LayerSpec, register

torch.fx.wrap("stochastic_depth")  # one node of a graph, as torchvision's is


class StochasticDepth(Rated):
    """Drop the output of a residual branch, for whole examples or the whole batch; see `functional.stochastic_depth`.

    Args:
        p: drop probability in [0, 1].
        mode: "row" drops examples, "batch" all or nothing.
        scaled: whether what is kept is multiplied by 1 / (1 - p).

    Shape:
        (N, ...); the output is like the input.

    Raises:
        ValueError: p outside [0, 1] or a mode of another name.
        TypeError: p is not a number.

    Example:
        >>> layer = StochasticDepth(p=0.2, mode="row")
        >>> x, branch = torch.ones(4, 3), nn.Linear(3, 3)
        >>> (x + layer(branch(x))).shape
        torch.Size([4, 3])

    Source: Huang et al. 2016, arXiv 1603.09382. Also called drop path.
    """

    def __init__(self, p: float = 0.5, mode: str = "row", *, scaled: bool = True) -> None:
        super().__init__()
        self.p = p
        self.mode = check_choice(type(self).__name__, "mode", mode, MODES)
        self.scaled = scaled

    def forward(
        self,
        input: Tensor,
        *,
        key: Tensor | int | None = None,
        generator: torch.Generator | None = None,
        offset: int = 0,
    ) -> Tensor:
        """Drop in training mode; `key`, `generator` and `offset` as in `thinout.functional.stochastic_depth`."""
        return stochastic_depth(
            input,
            self._current_rate(),
            mode=self.mode,
            scaled=self.scaled,
            training=self.training,
            key=key,
            generator=generator,
            offset=offset,
        )

    def _current_rate(self) -> float | Tensor:
        return rate(self)

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return f"p={self.p}, mode={self.mode!r}" + ("" if self.scaled else ", scaled=False")


DropPath = StochasticDepth


class ScheduledDropPath(StochasticDepth):
    r"""Drop a path of a cell with a probability that grows with the training and with the depth of the cell.

    .. math:: p(t) = p \, \min(1, t / T) \, (c + 1) / C

    for optimiser step :math:`t` of :math:`T`, in cell :math:`c` of :math:`C`. Call `step` after each step of the
    optimiser; the number of steps is in the state dict, so that a run that is resumed goes on where it stood.

    Args:
        p: drop probability of the last cell at the end of the training, in [0, 1]; settable at any time.
        num_steps: optimiser steps T over which the rate grows.
        cell: number c of the cell, from 0.
        num_cells: how many cells C there are; with 1 the depth plays no part.
        mode: "row" drops examples, "batch" all or nothing.
        scaled: whether what is kept is multiplied by 1 / (1 - p(t)).
        steps_done: optimiser steps t that lie behind.

    Shape:
        (N, ...); the output is like the input.

    Raises:
        ValueError: p outside [0, 1], another mode, no steps, a cell that is not one of the cells, or a state dict whose
            number of steps is negative.
        TypeError: p is not a number, or the others are not whole ones.

    Example:
        >>> layer = ScheduledDropPath(p=0.3, num_steps=100, cell=1, num_cells=3)
        >>> for _ in range(50):
        ...     layer.step()
        >>> round(layer.current_p, 6)  # 0.3 * 1/2 * 2/3
        0.1

    Source: Zoph, Vasudevan, Shlens, Le 2018, CVPR, arXiv 1707.07012; the factor of depth is that of the authors' code.
    """

    _progress = Setting()

    def __init__(
        self,
        p: float,
        num_steps: int,
        *,
        cell: int = 0,
        num_cells: int = 1,
        mode: str = "row",
        scaled: bool = True,
        steps_done: int = 0,
    ) -> None:
        super().__init__(p, mode, scaled=scaled)
        where = type(self).__name__
        self.num_steps = check_count(where, "num_steps", num_steps)
        self.num_cells = check_count(where, "num_cells", num_cells)
        self.cell = check_count(where, "cell", cell, at_least=0)
        if self.cell >= self.num_cells:
            bad_value(where, "cell", f"less than `num_cells`, {self.num_cells}", self.cell, "Cells count from 0.")
        self._set_steps(steps_done)

    def _set_steps(self, steps_done: object) -> None:
        self.steps_done = check_count(type(self).__name__, "steps_done", steps_done, at_least=0)
        self._progress = min(1.0, self.steps_done / self.num_steps) * ((self.cell + 1) / self.num_cells)

    def step(self) -> None:
        """Count one step of the optimiser."""
        self._set_steps(self.steps_done + 1)

    @property
    def current_p(self) -> float:
        """The drop probability of now."""
        return self.p * self._progress

    def _current_rate(self) -> float | Tensor:
        return rate(self) * rate(self, "_progress")

    def get_extra_state(self) -> dict[str, int]:
        """Return what the state dict holds: the steps behind. The schedule itself is the constructor's."""
        return {"steps_done": self.steps_done}

    def set_extra_state(self, state: Any) -> None:
        """Take the number of steps from a state dict."""
        if not isinstance(state, dict) or set(state) != {"steps_done"}:
            bad_type(type(self).__name__, "state", "a dict with `steps_done` alone", repr(state))
        self._set_steps(state["steps_done"])

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        cells = f"cell={self.cell}, num_cells={self.num_cells}"
        scaled = "" if self.scaled else ", scaled=False"
        return (
            f"p={self.p}, num_steps={self.num_steps}, {cells}, mode={self.mode!r}{scaled}, steps_done={self.steps_done}"
        )


class StochasticDepthBlock(Rated):
    """Add a residual branch that is computed only where it is kept; see `functional.stochastic_depth_block`.

    ``StochasticDepthBlock(branch, p)(x)`` stands for ``x + StochasticDepth(p)(branch(x))`` and takes about 1 - p of its
    time.

    Args:
        branch: the residual branch; its output has the shape of its input.
        p: drop probability in [0, 1].
        mode: "row" computes the branch for a random set of a fixed number of examples, "batch" once or not at all.
        skip: False computes the branch always and selects; for mode "batch" under DDP and FSDP.
        sync: in mode "batch", whether the processes of an initialised `torch.distributed` decide alike.

    Shape:
        (N, ...); the output is like the input.

    Raises:
        ValueError: p outside [0, 1], another mode, or a branch that changes the shape.
        TypeError: p is not a number, or the branch is not a module.

    Example:
        >>> block = StochasticDepthBlock(nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 8)), p=0.4)
        >>> block(torch.ones(5, 8)).shape  # computes the branch for 3 rows
        torch.Size([5, 8])

    Source: Huang et al. 2016, arXiv 1603.09382; Oquab et al. 2023 (DINOv2), arXiv 2304.07193.
    """

    def __init__(
        self, branch: nn.Module, p: float = 0.5, mode: str = "row", *, skip: bool = True, sync: bool = True
    ) -> None:
        super().__init__()
        where = type(self).__name__
        self.p = p
        self.mode = check_choice(where, "mode", mode, MODES)
        if not isinstance(branch, nn.Module):
            bad_type(where, "branch", "a module", type(branch).__name__)
        self.branch, self.skip, self.sync = branch, skip, sync

    def forward(self, input: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Add the branch, or in training mode what is kept of it; `generator` is where noise and keys are drawn."""
        return stochastic_depth_block(
            input,
            self.branch,
            p=self.p if self.mode == "row" else rate(self),  # in mode "row" the rate is a shape
            mode=self.mode,
            skip=self.skip,
            sync=self.sync,
            training=self.training,
            generator=generator,
        )

    def extra_repr(self) -> str:
        """Return the arguments of the constructor but the branch."""
        return f"p={self.p}, mode={self.mode!r}, skip={self.skip}, sync={self.sync}"


def _branch_reference(module: StochasticDepth, x: Tensor) -> Tensor:
    p = getattr(module, "current_p", module.p)
    rows = x.shape[0] if module.mode == "row" else 1
    keep = ops.dropout_mask((rows,), ops.draw_key(), p, backend="reference")
    scale = 1 / (1 - ops.effective_p(p)) if module.scaled else 1.0
    kept = (x.to(torch.promote_types(x.dtype, torch.float32)) * scale).to(x.dtype)
    return torch.where(keep.reshape(-1, *[1] * (x.dim() - 1)), kept, 0.0)


def _block_reference(module: StochasticDepthBlock, x: Tensor) -> Tensor:
    num_rows, kept = len(x), num_kept_rows(len(x), module.p)
    order = torch.rand(num_rows, dtype=torch.promote_types(x.dtype, torch.float32)).argsort()
    y = x.clone()
    for row in order[:kept]:
        y[row] += module.branch(x[row]) * (num_rows / kept)
    return y


_RATE_ERRORS = tuple(
    ErrorInput(error=error, match=r"`p` must be a number in \[0, 1\], got", arguments={"p": p})
    for p, error in ((-0.1, ValueError), (1.5, ValueError), (float("nan"), ValueError), ("0.5", TypeError))
)
_MODE_ERROR = ErrorInput(
    error=ValueError, match="`mode` must be one of batch, row", arguments={"p": 0.5, "mode": "column"}
)
_INPUT_ERRORS = (
    ErrorInput(error=TypeError, match="`input` must be a floating-point", input=torch.ones(3, dtype=torch.int64)),
    ErrorInput(error=ValueError, match=r"at least 1 dimension \(N, ...\), got a 0-d tensor", input=torch.tensor(1.0)),
)

register(
    LayerSpec(
        layer=StochasticDepth,
        arguments={"p": 0.3},
        shape=(24, 3, 2),
        reference=_branch_reference,
        errors=(*_RATE_ERRORS, _MODE_ERROR, *_INPUT_ERRORS),
    )
)
register(
    LayerSpec(
        layer=ScheduledDropPath,
        arguments={"p": 0.6, "num_steps": 8, "cell": 1, "num_cells": 2, "steps_done": 9},
        shape=(24, 3, 2),
        reference=_branch_reference,
        errors=(
            ErrorInput(error=ValueError, match=r"`p` must be a number", arguments={"p": 1.5, "num_steps": 8}),
            ErrorInput(error=ValueError, match="`num_steps` must be", arguments={"p": 0.5, "num_steps": 0}),
            ErrorInput(
                error=ValueError,
                match="`cell` must be less than `num_cells`, 3, got 3",
                arguments={"p": 0.5, "num_steps": 8, "cell": 3, "num_cells": 3},
            ),
            *_INPUT_ERRORS,
        ),
    )
)
register(
    LayerSpec(
        layer=StochasticDepthBlock,
        arguments={"branch": nn.Sequential(nn.LayerNorm(4), nn.Tanh()), "p": 0.4},
        shape=(9, 4),
        reference=_block_reference,
        evaluate=lambda module, x: x + module.branch(x),
        full=lambda module, x: x,
        selects=False,
        tolerance=1e-6,
        errors=(
            *(
                ErrorInput(error=wrong.error, match=wrong.match, arguments={"branch": nn.Tanh(), **wrong.arguments})
                for wrong in (*_RATE_ERRORS, _MODE_ERROR)
                if wrong.arguments is not None
            ),
            *_INPUT_ERRORS,
            ErrorInput(error=TypeError, match="`branch` must be a module", arguments={"branch": torch.tanh}),
            ErrorInput(
                error=ValueError,
                match="`output of a layer` must be of the shape of its input",
                arguments={"branch": nn.Flatten(0)},
                input=torch.ones(4, 3),
            ),
        ),
        exceptions={
            "compile": "the number of rows is a shape of the compiled graph, so that a new rate can compile it again",
            "repr": "as with every container, the repr lists the module that it holds",
            "factory": "its parameters are those of the branch that it is given",
        },
    )
)
