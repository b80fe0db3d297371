"""Hard-concrete gates, whose expected number of open ones is a penalty with a gradient."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from thinout import functional as F
from thinout._checks import bad_value, check_choice, check_count, check_integer, check_not_negative, check_p
from thinout.functional._hard_concrete import check_stretch
from thinout.functional._shared import times
from thinout.nn._rate import Adjustable, Setting, rate
from thinout.nn._registry import ErrorInput, LayerSpec, register
from thinout.ops._inputs import check_floating_point


class HardConcreteGate(Adjustable):
    r"""Multiply features by learned gates that are random in training and often exactly 0; see `hard_concrete`.

    .. math:: y = z \odot x, \quad \text{penalty} = \lambda \sum_j P(z_j > 0)

    `regularization` gives the penalty, the expected number of open gates times `penalty`: add it to the loss of each
    step. It is no KL divergence and is not divided by the number of examples. In eval each gate has its estimate, and
    what a gate of 0 multiplies can be taken out of the network.

    Args:
        num_gates: number of features.
        p: probability that a gate is closed at the start, in (0, 1).
        dim: dimension of the features: -1 for linear layers, 1 for the channels of maps.
        mode: "batch", one sample of the gates for all examples; "example", one for each index of the first dimension.
        penalty: price of an open gate, 0 or more; can be set at any time.
        beta: temperature of the gates.
        gamma: lower end of the stretched interval, negative.
        zeta: upper end of the stretched interval, above 1.
        device: where the parameter is.
        dtype: its type.

    Shape:
        Any with `num_gates` in dimension `dim`; the output is like the input.

    Raises:
        ValueError: a number outside of its range, an input of another number of features.

    Example:
        >>> gate = HardConcreteGate(16, p=0.2)
        >>> gate(torch.randn(8, 16)).shape
        torch.Size([8, 16])
        >>> gate.regularization()
        tensor(12.8000, grad_fn=<MulBackward0>)

    Source: Louizos, Welling, Kingma 2018, "Learning sparse neural networks through L0 regularization", ICLR, arXiv
    1712.01312.
    """

    penalty = Setting(check_not_negative)

    def __init__(
        self,
        num_gates: int,
        *,
        p: float = 0.5,
        dim: int = -1,
        mode: str = "batch",
        penalty: float = 1.0,
        beta: float = 2 / 3,
        gamma: float = -0.1,
        zeta: float = 1.1,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        where = type(self).__name__
        self.num_gates = check_count(where, "num_gates", num_gates)
        self.p = check_p(where, p)
        if p in (0, 1):
            bad_value(where, "p", "a number in (0, 1)", p, "A gate that never moves has no gradient.")
        check_stretch(where, beta, gamma, zeta)
        self.dim = check_integer(where, "dim", dim)
        self.mode = check_choice(where, "mode", mode, ("batch", "example"))
        self.penalty = penalty
        self.beta, self.gamma, self.zeta = beta, gamma, zeta
        self.log_alpha = nn.Parameter(torch.empty(num_gates, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set all gates to the probability `p` of being closed."""
        location = math.log((1 - self.p) / self.p) + self.beta * math.log(-self.gamma / self.zeta)
        nn.init.constant_(self.log_alpha, location)

    def gates(self, num_samples: int | None = None, *, generator: torch.Generator | None = None) -> Tensor:
        """Return the gates, sampled in training mode: (num_gates,), or that of each sample, (num_samples, num_gates).

        Args:
            num_samples: number of samples.
            generator: where the noise is drawn.
        """
        shape = (self.num_gates,) if num_samples is None else (num_samples, self.num_gates)
        return F.hard_concrete(
            self.log_alpha,
            training=self.training,
            shape=shape,
            beta=self.beta,
            gamma=self.gamma,
            zeta=self.zeta,
            generator=generator,
        )

    def forward(self, input: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Multiply by the gates."""
        where = type(self).__name__
        check_floating_point(where, "input", input)
        if not -input.dim() <= self.dim < input.dim() or input.shape[self.dim] != self.num_gates:
            allowed = f"of size {self.num_gates} in dimension {self.dim}"
            bad_value(where, "input", allowed, f"shape {tuple(input.shape)}")
        dim = self.dim % input.dim()
        own = self.training and self.mode == "example"
        if own and dim == 0:
            bad_value(where, "input", "with a dimension of examples before the features", f"shape {tuple(input.shape)}")
        gates = self.gates(input.shape[0] if own else None, generator=generator)
        shape = [1] * input.dim()
        shape[dim] = self.num_gates
        if own:
            shape[0] = input.shape[0]
        return input * gates.to(input.dtype).reshape(shape)

    def regularization(self) -> Tensor:
        """Return `penalty` times the expected number of open gates, a 0-d tensor."""
        probabilities = F.hard_concrete_l0(self.log_alpha, beta=self.beta, gamma=self.gamma, zeta=self.zeta)
        return times(probabilities.sum(), rate(self, "penalty"))

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        text = f"{self.num_gates}, p={self.p}, dim={self.dim}, mode={self.mode!r}, penalty={self.penalty}"
        return f"{text}, beta={self.beta}, gamma={self.gamma}, zeta={self.zeta}"


def _reference(gate: HardConcreteGate, x: Tensor) -> Tensor:
    """Compute the gates from the definition."""
    wide = torch.promote_types(gate.log_alpha.dtype, torch.float32)
    uniform = torch.rand(gate.num_gates, dtype=wide, generator=None)
    logit = uniform.log() - torch.log1p(-uniform)
    concrete = 1 / (1 + torch.exp(-(logit + gate.log_alpha.to(wide)) / gate.beta))
    stretched = concrete * (gate.zeta - gate.gamma) + gate.gamma
    return x * torch.minimum(torch.ones(()), torch.relu(stretched)).to(x.dtype)


def _estimate(gate: HardConcreteGate, x: Tensor) -> Tensor:
    return x * (torch.sigmoid(gate.log_alpha) * (gate.zeta - gate.gamma) + gate.gamma).clamp(0, 1)


register(
    LayerSpec(
        layer=HardConcreteGate,
        arguments={"num_gates": 6, "p": 0.3},
        shape=(3, 4, 6),
        reference=_reference,
        evaluate=_estimate,
        rates=(),
        selects=False,
        tolerance=1e-6,
        errors=(
            ErrorInput(
                error=ValueError, match=r"`p` must be a number in \(0, 1\), got 1", arguments={"num_gates": 6, "p": 1}
            ),
            ErrorInput(
                error=ValueError, match=r"`p` must be a number in \[0, 1\]", arguments={"num_gates": 6, "p": -0.5}
            ),
            ErrorInput(error=ValueError, match="`gamma` must be a negative", arguments={"num_gates": 6, "gamma": 0.1}),
            ErrorInput(
                error=ValueError, match="`zeta` must be a number above 1", arguments={"num_gates": 6, "zeta": 1.0}
            ),
            ErrorInput(error=ValueError, match="`beta` must be a positive", arguments={"num_gates": 6, "beta": 0.0}),
            ErrorInput(
                error=ValueError,
                match="`penalty` must be a finite number of",
                arguments={"num_gates": 6, "penalty": -1},
            ),
            ErrorInput(error=ValueError, match="`mode` must be one of", arguments={"num_gates": 6, "mode": "row"}),
            ErrorInput(error=ValueError, match="`input` must be of size 6 in dimension -1", input=torch.ones(3, 5)),
            ErrorInput(
                error=ValueError,
                match="`input` must be with a dimension of examples",
                arguments={"num_gates": 6, "mode": "example"},
                input=torch.ones(6),
            ),
        ),
    )
)
