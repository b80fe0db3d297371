"""Concrete dropout: layers that learn their rate, given the weights that follow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from thinout import functional as F
from thinout._checks import bad_type, bad_value, check_count, check_not_negative, check_p, message
from thinout.functional._concrete import check_temperature
from thinout.nn._from_torch import check_source
from thinout.nn._rate import Adjustable, Setting, rate
from thinout.nn._registry import ErrorInput, LayerSpec, register


def check_initial_p(where: str, p: object) -> float:
    """Return a rate that can be learned, which is inside of (0, 1), or raise."""
    value = check_p(where, p)
    if value in (0.0, 1.0):
        bad_value(where, "p", "a number in (0, 1)", value, "A rate of 0 or 1 has no gradient: it could not be learned.")
    return value


class _Concrete(Adjustable):
    """What all ranks share: the rate, what follows, and the term of the loss."""

    temperature = Setting(check_temperature)
    weight_regularizer = Setting(check_not_negative)
    dropout_regularizer = Setting(check_not_negative)
    regularization_is_total = True
    _letters: ClassVar[str] = ""  # of the dimensions that share a mask
    _temperature_default: ClassVar[float]
    _twin: ClassVar[type[nn.Module]]

    def __init__(
        self,
        p: float = 0.1,
        *,
        following: nn.Module | Sequence[nn.Module] | None = None,
        num_units: int | None = None,
        temperature: float | None = None,
        weight_regularizer: float = 5e-9,
        dropout_regularizer: float = 1.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        where = type(self).__name__
        self.initial_p = check_initial_p(where, p)
        self.temperature = self._temperature_default if temperature is None else temperature
        self.weight_regularizer = weight_regularizer
        self.dropout_regularizer = dropout_regularizer
        self.num_units = None if num_units is None else check_count(where, "num_units", num_units)
        # A tuple, since a module that is an attribute would be a child, with its parameters in this state dict.
        self._following: tuple[nn.Module, ...] = ()
        # One dimension, since FSDP takes no parameter without.
        self.p_logit = nn.Parameter(torch.empty(1, device=device, dtype=dtype))
        self.reset_parameters()
        if following is not None:
            self.before(*((following,) if isinstance(following, nn.Module) else following))

    @classmethod
    def from_torch(cls, module: nn.Module, **options: Any) -> Self:
        """Return a layer that begins at the rate of a torch dropout layer; `options` are the constructor's."""
        check_source(cls.__name__, module, cls._twin)
        return cls(module.p, **options).train(module.training)  # type: ignore[arg-type]  # a float

    def reset_parameters(self) -> None:
        """Go back to the rate of the beginning."""
        nn.init.constant_(self.p_logit, _logit(self.initial_p))

    @property
    def p(self) -> float:
        """The rate as it is now, a number; setting it writes the parameter, outside of any graph."""
        return self.p_logit.detach().double().sigmoid().item()

    @p.setter
    def p(self, value: float) -> None:
        logit = _logit(check_initial_p(type(self).__name__, value))
        with torch.no_grad():
            self.p_logit.fill_(logit)

    def before(self, *layers: nn.Module) -> Self:
        """Say whose weights the dropped units meet, and return this layer.

        Args:
            layers: layers with a `weight`; several where they see the same dropped units, as the projections of
                attention do. They stay the children of the model that they are in. Where the model gets another layer
                in place of one, say so again.

        Raises:
            TypeError: a layer without a weight.
            ValueError: the number of dropped units does not follow from the layers.
        """
        where = type(self).__name__
        for layer in layers:
            weight = getattr(layer, "weight", None)
            if not isinstance(weight, Tensor) or weight.dim() < 2:
                bad_type(where, "following", "a layer whose `weight` has 2 dimensions or more", type(layer).__name__)
        if self.num_units is None:
            for layer in layers:
                self._count(layer)
        self._following = layers
        return self

    def _count(self, layer: nn.Module) -> int:
        raise NotImplementedError

    def regularization(self) -> Tensor:
        """Return the term of the loss, a 0-d tensor in nats for all training examples; see `concrete_regularization`.

        Raises:
            RuntimeError: nobody has said which layers follow.
        """
        if not self._following:
            remedy = "Pass following=LAYER, or call before(LAYER)."
            raise RuntimeError(message(type(self).__name__, "following", "the layer behind the dropout", None, remedy))
        num_units = self._count(self._following[0]) if self.num_units is None else self.num_units
        return F.concrete_regularization(
            self.p_logit,
            [layer.weight for layer in self._following],  # type: ignore[misc]  # checked in `before`
            num_units,
            weight_regularizer=rate(self, "weight_regularizer"),
            dropout_regularizer=rate(self, "dropout_regularizer"),
        )

    def extra_repr(self) -> str:
        """Return the arguments of the constructor, with the rate as it is now."""
        p = self.initial_p if self.p_logit.is_meta else self.p
        text = f"p={p:.6g}, temperature={self.temperature}, weight_regularizer={self.weight_regularizer}"
        units = "" if self.num_units is None else f", num_units={self.num_units}"
        return f"{text}, dropout_regularizer={self.dropout_regularizer}{units}"


def _logit(p: float) -> float:
    return math.log(p) - math.log1p(-p)


class ConcreteDropout(_Concrete):
    """Drop elements by a continuous mask and learn the rate; see `thinout.functional.concrete_dropout`.

    Add ``thinout.regularization(model, num_examples)`` to the loss: without it the rate goes to 0. The scale of the
    noise's cost depends on the weights that follow, so the layer has to know them.

    Args:
        p: rate to begin with, in (0, 1). As an attribute it is the rate as it is now, and can be set.
        following: the linear layer that sees the dropped units, or several; see `before`.
        num_units: number of units that are dropped by themselves, where it is not the input features of `following`.
        temperature: of the mask, positive.
        weight_regularizer: half the square of the prior's length scale; together with `dropout_regularizer` it is in
            nats for all examples, that is N times what the authors' code has.
        dropout_regularizer: 1 for the bound on the evidence.
        device: where the parameter is.
        dtype: its type.

    Shape:
        Any; the output is like the input.

    Raises:
        ValueError: p not inside of (0, 1), a temperature that is not positive, a convolution that follows.
        TypeError: p is not a number, what follows has no weight.

    Example:
        >>> linear = nn.Linear(20, 30)
        >>> model = nn.Sequential(ConcreteDropout(0.1, following=linear), linear)
        >>> y = model(torch.randn(8, 20))
        >>> model[0].regularization().shape
        torch.Size([])
        >>> f"{model[0].p:.2f}"
        '0.10'

    Source: Gal, Hron, Kendall 2017, "Concrete dropout", NIPS, arXiv 1705.07832; defaults: the authors' code.
    """

    _temperature_default = 0.1
    _twin = nn.Dropout

    def forward(self, input: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Apply the mask in training mode."""
        return F.concrete_dropout(
            input, self.p_logit, temperature=rate(self, "temperature"), training=self.training, generator=generator
        )

    def _count(self, layer: nn.Module) -> int:
        weight: Tensor = layer.weight  # type: ignore[assignment]  # checked in `before`
        if weight.dim() > 2:
            remedy = "Before a convolution use ConcreteDropout2d, or pass num_units."
            bad_value(type(self).__name__, "following", "a linear layer", type(layer).__name__, remedy)
        return weight.shape[1]


def _reference(module: _Concrete, x: Tensor) -> Tensor:
    """Compute the mask from the formula of the paper."""
    dtype = torch.promote_types(x.dtype, torch.float32)
    shape = x.shape[:2] + (1,) * (x.dim() - 2) if module._letters else x.shape
    u = torch.rand(shape, dtype=dtype)
    p = module.p_logit.detach().to(dtype).sigmoid()[0]
    z = torch.sigmoid((p.log() - torch.log1p(-p) + u.log() - torch.log1p(-u)) / module.temperature)
    return (x * ((1 - z) / (1 - p))).to(x.dtype)


_WRONG = (
    ({"p": 0.0}, ValueError, r"`p` must be a number in \(0, 1\), got 0.0. A rate of 0 or 1 has no gradient"),
    ({"p": 1}, ValueError, r"`p` must be a number in \(0, 1\), got 1.0"),
    ({"p": 1.5}, ValueError, r"`p` must be a number in \[0, 1\], got 1.5"),
    ({"p": float("nan")}, ValueError, r"`p` must be a number in \[0, 1\], got nan"),
    ({"temperature": 0.0}, ValueError, "`temperature` must be a positive number, got 0.0"),
    ({"weight_regularizer": -1.0}, ValueError, "`weight_regularizer` must be a finite number of at least 0, got -1.0"),
    ({"dropout_regularizer": "1"}, TypeError, "`dropout_regularizer` must be a finite number of at least 0, got '1'"),
    ({"num_units": 0}, ValueError, "`num_units` must be a whole number of at least 1, got 0"),
    ({"following": nn.ReLU()}, TypeError, "`following` must be a layer whose `weight` has 2 dimensions or more, got R"),
)


def register_concrete(
    layer: type[_Concrete], shape: tuple[int, ...], follower: nn.Module, said: str, *errors: ErrorInput
) -> None:
    """Register a layer with what cannot follow it and what is said of it."""
    register(
        LayerSpec(
            layer=layer,
            arguments={"p": 0.3},
            shape=shape,
            reference=_reference,
            rates=("temperature", "weight_regularizer", "dropout_regularizer"),
            selects=False,
            any_rank=not layer._letters,
            tolerance=1e-5,
            errors=(
                *(ErrorInput(error=error, match=match, arguments=wrong) for wrong, error, match in _WRONG),
                ErrorInput(error=ValueError, match=said, arguments={"following": follower}),
                ErrorInput(
                    error=TypeError,
                    match="`input` must be a floating-point tensor",
                    input=torch.ones(shape, dtype=torch.int64),
                ),
                *errors,
            ),
            exceptions={
                "zero_rate": "its rate is learned and never 0; a temperature of 0 is refused: a step has no gradient",
                "full_rate": "its rate is learned and never 1; 1 is no limit of the temperature",
            },
        )
    )


register_concrete(
    ConcreteDropout,
    (5, 4, 3),
    nn.utils.skip_init(nn.Conv2d, 3, 2, 1),
    "`following` must be a linear layer, got Conv2d. Before a convolution use ConcreteDropout2d, or pass num_units",
)
