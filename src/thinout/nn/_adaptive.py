"""Dropout whose strength is a function of the example: standout and information dropout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from thinout import functional as F
from thinout._checks import bad_type, check_finite, check_not_negative, message
from thinout.nn._rate import Adjustable, Setting, rate
from thinout.nn._registry import ErrorInput, LayerSpec, register


class Standout(Adjustable):
    """A layer whose units are kept with a probability that its own weights give; see `thinout.functional.standout`.

    Args:
        linear: gives the pre-activations: a `Linear`, a convolution, or any module. Its bias belongs to them.
        activation: from pre-activations to hidden units; None leaves them as they are, which is right where ReLU
            follows, since it commutes with the mask.
        alpha: slope of the keep probability; 0 is classic dropout.
        beta: shift of the keep probability.

    Shape:
        That of `linear`.

    Raises:
        ValueError: alpha or beta is not finite.
        TypeError: `linear` is no module, alpha or beta no number.

    Example:
        >>> layer = Standout(nn.Linear(4, 3), torch.tanh, alpha=1.0, beta=0.5)
        >>> layer(torch.randn(2, 4)).shape
        torch.Size([2, 3])

    Source: Ba, Frey 2013, NIPS, "Adaptive dropout for training deep neural networks".
    """

    alpha = Setting(check_finite)
    beta = Setting(check_finite)

    def __init__(
        self,
        linear: nn.Module,
        activation: Callable[[Tensor], Tensor] | None = None,
        *,
        alpha: float = 1.0,
        beta: float = 0.0,
    ) -> None:
        super().__init__()
        if not isinstance(linear, nn.Module):
            bad_type(type(self).__name__, "linear", "a module", repr(linear))
        self.linear = linear
        self.activation = activation
        self.alpha = alpha
        self.beta = beta

    def forward(self, input: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Compute the units; drop in training mode, weigh by the keep probabilities in eval mode."""
        preactivation = self.linear(input)
        return F.standout(
            preactivation if self.activation is None else self.activation(preactivation),
            preactivation,
            alpha=rate(self, "alpha"),
            beta=rate(self, "beta"),
            training=self.training,
            generator=generator,
        )

    def extra_repr(self) -> str:
        """Return the settings."""
        return f"alpha={self.alpha}, beta={self.beta}"


class InformationDropout(Adjustable):
    r"""Multiply by log-normal noise whose size a network learns; see `thinout.functional.information_dropout`.

    The loss to minimise is the negative log-likelihood, averaged over examples, plus `regularization`:

    .. math:: -\log p(t \mid y) + \beta \, \text{KL}

    Args:
        alpha_max: bound of the noise, at least 0.
        beta: weight of the penalty, at least 0.

    Shape:
        Activations of any shape, logits that broadcast to it; the output is like the activations.

    Raises:
        ValueError: alpha_max or beta negative or infinite.
        TypeError: alpha_max or beta is not a number.

    Example:
        >>> body, size, layer = nn.Linear(4, 3), nn.Linear(4, 3), InformationDropout(beta=0.01)
        >>> x = torch.randn(2, 4)
        >>> y = layer(torch.relu(body(x)), size(x))
        >>> loss = y.square().mean() + layer.regularization()

    Source: Achille, Soatto 2016, arXiv 1611.01353. The authors' code divides the penalty by the size of the training
    set and takes beta = 3.
    """

    alpha_max = Setting(check_not_negative)
    beta = Setting(check_not_negative)
    _seen: tuple[Tensor, Tensor] | None

    def __init__(self, alpha_max: float = 0.7, *, beta: float = 1.0) -> None:
        super().__init__()
        self.alpha_max = alpha_max
        self.beta = beta
        self._seen = None

    def forward(self, input: Tensor, logits: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Apply noise in training mode, and remember what `regularization` needs, in every mode."""
        transformed = torch._C._are_functorch_transforms_active()  # whose tensors are dead outside of them
        if not transformed and not torch.compiler.is_exporting():
            self._seen = input, logits
        return F.information_dropout(
            input, logits, alpha_max=rate(self, "alpha_max"), training=self.training, generator=generator
        )

    def regularization(self) -> Tensor:
        """Return beta times the penalty of the last forward pass: 0-d, in nats per example.

        Reentrant checkpointing runs forward without a graph: use ``use_reentrant=False``. Under `torch.func`, and in
        exported programs, call `thinout.functional.information_penalty`.

        Raises:
            RuntimeError: there was no forward pass since the layer was made or copied.
        """
        if self._seen is None:
            remedy = "Under torch.func call thinout.functional.information_penalty."
            text = message(type(self).__name__, "regularization", "asked for after a forward pass", "no pass", remedy)
            raise RuntimeError(text)
        return F.information_penalty(*self._seen) * self.beta

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what was seen, which is part of a graph that cannot be copied."""
        return {**self.__dict__, "_seen": None}

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return f"alpha_max={self.alpha_max}, beta={self.beta}"


def _linear() -> nn.Linear:
    """Return a layer for the checks, made without drawing from torch's generator."""
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, 6, 5)
    with torch.no_grad():
        layer.weight.copy_(torch.arange(30.0, device="cpu").sin().view(5, 6))
        layer.bias.copy_(torch.arange(5.0, device="cpu").cos())
    return layer


def _standout(layer: Standout, x: Tensor) -> Tensor:
    a = torch.nn.functional.linear(x, layer.linear.weight, layer.linear.bias)  # type: ignore[arg-type]  # a lent layer
    work = a.detach().to(torch.promote_types(x.dtype, torch.float32))
    mask = torch.rand(a.shape, dtype=work.dtype) < torch.sigmoid(layer.alpha * work + layer.beta)
    return torch.tanh(a) * mask


def _standout_eval(layer: Standout, x: Tensor) -> Tensor:
    a: Tensor = layer.linear(x)
    return torch.tanh(a) * torch.sigmoid(layer.alpha * a + layer.beta)


def _information_inputs(dtype: torch.dtype, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    x, logits = torch.randn(2, 5, 4, generator=generator, dtype=torch.float64)
    return x.to(dtype), logits.to(dtype)


def _information_dropout(layer: InformationDropout, x: Tensor, logits: Tensor) -> Tensor:
    dtype = torch.promote_types(x.dtype, torch.float32)
    noise = torch.randn(x.shape, dtype=dtype) * layer.alpha_max
    return (x * torch.exp(torch.sigmoid(logits.to(dtype)) * noise)).to(x.dtype)


register(
    LayerSpec(
        layer=Standout,
        arguments={"linear": _linear(), "activation": torch.tanh, "alpha": 1.5, "beta": -0.5},
        shape=(4, 6),
        reference=_standout,
        evaluate=_standout_eval,
        rates=(),
        selects=False,
        tolerance=1e-6,
        errors=(
            ErrorInput(error=TypeError, match="`linear` must be a module", arguments={"linear": 3}),
            ErrorInput(
                error=ValueError,
                match="`alpha` must be a finite number",
                arguments={"linear": _linear(), "alpha": float("nan")},
            ),
            ErrorInput(
                error=ValueError,
                match="`beta` must be a finite number",
                arguments={"linear": _linear(), "beta": float("inf")},
            ),
        ),
        exceptions={
            "repr": "it wraps a module, whose repr stands in it",
            "factory": "its parameters are those of the module that it wraps",
        },
    )
)
register(
    LayerSpec(
        layer=InformationDropout,
        arguments={"alpha_max": 0.5, "beta": 0.25},
        inputs=_information_inputs,
        reference=_information_dropout,
        rates=("alpha_max", "beta"),
        selects=False,
        errors=(
            *(
                ErrorInput(error=error, match=f"`{name}` must be a finite number of", arguments={name: wrong})
                for name in ("alpha_max", "beta")
                for wrong, error in ((-0.1, ValueError), (float("nan"), ValueError), ("1", TypeError))
            ),
            ErrorInput(
                error=ValueError,
                match=r"`logits` must be of a shape that broadcasts to \(2, 3\)",
                input=(torch.ones(2, 3), torch.ones(2)),
            ),
            ErrorInput(
                error=TypeError,
                match="`input` must be a floating-point tensor",
                input=(torch.ones(2, dtype=torch.int64), torch.ones(2)),
            ),
        ),
        exceptions={"full_rate": "1 is no limit of the settings: the noise is noise, not zeros"},
    )
)
