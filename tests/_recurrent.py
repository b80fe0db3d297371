"""What the tests of recurrent dropout share."""

import torch
from scipy.stats import binomtest
from torch import nn

FALSE_ALARM = 1e-8  # of each test of a rate, of which there are 7
SHUT = -1e3  # a bias that makes a gate 0; its negative makes it 1
LENGTHS = [3, 5, 1, 5]  # of sequences padded to (5, 4, C)


def normal(*shape, dtype=torch.float64, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def is_rate(events, p):
    """Whether events of a probability p are as many as chance allows; a million tell rates of 0.3 apart by 1 %."""
    return binomtest(int(events.sum()), events.numel(), p).pvalue > FALSE_ALARM


def valid(padded, lengths=LENGTHS):
    """Return the steps of (L, N, C) that are inside of the sequences."""
    return torch.cat([padded[:length, n] for n, length in enumerate(lengths)])


def parts(state):
    return [state] if isinstance(state, torch.Tensor) else list(state)


def set_gates(cell, **biases):
    """Set gates of a cell to constants: the weights to 0 and the biases as given, by the gate's letter."""
    names = "rzn" if isinstance(cell, nn.GRUCell) else "ifgo"
    with torch.no_grad():
        for gate, bias in biases.items():
            rows = slice(names.index(gate) * cell.hidden_size, (names.index(gate) + 1) * cell.hidden_size)
            for weight in (cell.weight_ih, cell.weight_hh):
                weight[rows] = 0
            cell.bias_ih[rows], cell.bias_hh[rows] = bias, 0
    return cell
