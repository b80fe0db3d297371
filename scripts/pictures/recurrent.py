"""Pictures of dropout along a sequence."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure
from torch import Tensor

import thinout.nn as tnn
from pictures._canvas import figure, mask, values

_STEPS, _SIZE = 10, 10


def _memory(cell: torch.nn.LSTMCell) -> Tensor:
    """Return the memory of one sequence at each step, scaled to a largest value of 1."""
    state, steps = None, []
    for step, x in enumerate(torch.randn(_STEPS, 1, 4, generator=torch.Generator().manual_seed(2))):
        state = cell(2 * x, state, key=7, offset=step if cell.per == "step" else 0)
        steps.append(state[1][0])
    memory = torch.stack(steps)
    return memory / memory.abs().max()


def draw() -> dict[str, Figure]:
    """Return masks and memories of one sequence: a row a step, a column a feature."""
    drawn, axes = figure(4)
    ones, names = torch.ones(_STEPS, 1, _SIZE), {"rows": "steps", "columns": "features"}
    mask(axes[0], tnn.Dropout(0.4)(ones, key=7)[:, 0], "Dropout: a mask a step", **names)
    mask(axes[1], tnn.LockedDropout(0.4)(ones, key=7)[:, 0], "LockedDropout: one mask", **names)
    torch.manual_seed(0)
    zoneout = tnn.ZoneoutLSTMCell(4, _SIZE, p_hidden=0.0, p_cell=0.5)
    values(axes[2], _memory(zoneout), "zoneout: memories stay", rows="steps", columns="memory cells", span=1)
    rnndrop = tnn.RNNDropCell(4, _SIZE, p=0.4)
    values(axes[3], _memory(rnndrop), "RNNDrop: cells are off", rows="steps", columns="memory cells", span=1)
    return {"recurrent": drawn}
