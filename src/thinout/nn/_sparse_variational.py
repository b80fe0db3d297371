"""Sparse variational dropout: layers whose weights have a variance each; here what they share, and the linear layer."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from thinout import functional as F
from thinout._checks import check_finite
from thinout.functional._sparse_variational import check_threshold, prune
from thinout.nn._from_torch import TorchTwin, check_source, copy_parameters
from thinout.nn._rate import Adjustable, Setting, rate
from thinout.nn._registry import ErrorInput, LayerSpec, register


class _SparseVariational(Adjustable, TorchTwin):
    """What linear layers and convolutions share. `_twin` is torch's class."""

    threshold = Setting(check_threshold)
    regularization_is_total = True
    weight: Tensor
    log_sigma2: nn.Parameter
    initial_log_sigma2: float
    _twin: ClassVar[type[nn.Module]]
    _own_parameters = ("log_sigma2",)

    def _configure(self, threshold: float, initial_log_sigma2: float) -> None:
        self.threshold = threshold
        self.initial_log_sigma2 = check_finite(type(self).__name__, initial_log_sigma2, "initial_log_sigma2")
        self.log_sigma2 = nn.Parameter(torch.full_like(self.weight, self.initial_log_sigma2))

    def reset_parameters(self) -> None:
        """Draw weights as torch's class does and go back to the variance of the beginning."""
        super().reset_parameters()  # type: ignore[misc]  # of torch's class
        if "log_sigma2" in self._parameters:  # it is not while torch's constructor is at work
            nn.init.constant_(self.log_sigma2, self.initial_log_sigma2)

    @staticmethod
    def _arguments(module: Any) -> dict[str, Any]:
        """Return the constructor arguments of a layer of torch's class."""
        raise NotImplementedError

    @classmethod
    def from_torch(cls, module: nn.Module, **options: Any) -> Self:
        """Return a layer with all attributes of a torch layer and copies of its parameters, which it begins at.

        Args:
            module: a layer of the torch class.
            options: `threshold` and `initial_log_sigma2`.
        """
        check_source(cls.__name__, module, cls._twin)
        layer = cls(**cls._arguments(module), device="meta", **options)
        copy_parameters(module, layer)
        weight = layer.weight
        noise = torch.full_like(weight, layer.initial_log_sigma2)
        layer.log_sigma2 = nn.Parameter(noise, requires_grad=weight.requires_grad)
        return layer

    def to_torch(self) -> nn.Module:
        """Return a layer of the torch class with the weights of evaluation, those that are pruned as zeros."""
        layer = self._twin(**self._arguments(self), device="meta")
        source = {name: value for name, value in self.named_parameters() if name not in self._own_parameters}
        for name, parameter in source.items():
            value = parameter.detach().clone()
            if name == "weight":
                value = prune(value, self.log_sigma2.detach(), self.threshold)
            setattr(layer, name, nn.Parameter(value, requires_grad=parameter.requires_grad))
        return layer.train(self.training)

    @property
    def log_alpha(self) -> Tensor:
        """Logarithm of the variance of each weight in units of its square; see `functional.sparse_log_alpha`."""
        return F.sparse_log_alpha(self.weight, self.log_sigma2)

    def sparsity(self) -> float:
        """Return the part of the weights that evaluation leaves out, a number from 0 to 1."""
        with torch.no_grad():
            return (self.log_alpha >= self.threshold).double().mean().item()

    def regularization(self) -> Tensor:
        """Return the KL divergence of all weights from the prior: 0-d, in nats for all training examples."""
        return F.log_uniform_kl(self.log_alpha).sum()

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        text = f"threshold={self.threshold}, initial_log_sigma2={self.initial_log_sigma2}"
        return f"{super().extra_repr()}, {text}"


class SparseVariationalLinear(_SparseVariational, nn.Linear):
    """A linear layer that learns which weights it can do without; see `functional.sparse_variational_linear`.

    It is a `torch.nn.Linear`: it takes the same arguments and loads the same checkpoints, whose variances stay as they
    are. Add ``thinout.regularization(model, num_examples, kl_weight=...)`` to the loss, with a weight that rises from 0
    to 1 over the first epochs, and no weight decay. In eval mode the weights with log alpha of at least `threshold` are
    0; `sparsity` tells how many, and `to_torch` makes a plain layer.

    Args:
        in_features: size of an input.
        out_features: size of an output.
        bias: whether there is a bias.
        device: where the parameters are.
        dtype: their type.
        threshold: of log alpha, at least 0; 3 is a rate of 0.95; infinity prunes nothing. It can be set at any time.
        initial_log_sigma2: logarithm of the variance to begin with.

    Shape:
        (*, in_features) to (*, out_features).

    Raises:
        ValueError: a negative threshold, an input of other features.

    Example:
        >>> layer = SparseVariationalLinear.from_torch(nn.Linear(20, 30))
        >>> layer(torch.randn(8, 20)).shape
        torch.Size([8, 30])
        >>> type(layer.to_torch())
        <class 'torch.nn.modules.linear.Linear'>

    Source: Molchanov, Ashukha, Vetrov 2017, "Variational dropout sparsifies deep neural networks", ICML, arXiv
    1701.05369.
    """

    _twin = nn.Linear

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        threshold: float = 3.0,
        initial_log_sigma2: float = -10.0,
    ) -> None:
        construct: Any = super().__init__
        construct(in_features, out_features, bias, device, dtype)
        self._configure(threshold, initial_log_sigma2)

    @staticmethod
    def _arguments(module: Any) -> dict[str, Any]:
        return {
            "in_features": module.in_features,
            "out_features": module.out_features,
            "bias": module.bias is not None,
            "dtype": module.weight.dtype,
        }

    def forward(self, input: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Apply the layer: with noise in training mode, pruned in eval mode."""
        return F.sparse_variational_linear(
            input,
            self.weight,
            self.log_sigma2,
            self.bias,
            training=self.training,
            threshold=rate(self, "threshold"),
            generator=generator,
        )


class _Plain(nn.Module):
    """A layer as torch's own class applies it."""

    def __init__(self, layer: _SparseVariational) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer._twin.forward(self.layer, x)
        return y


def _with_weight(module: _SparseVariational, x: Tensor, weight: Tensor, *, bias: bool = True) -> Tensor:
    state = {"layer.weight": weight.to(x.dtype)}
    if not bias and module.bias is not None:
        state["layer.bias"] = torch.zeros_like(module.get_parameter("bias"), dtype=x.dtype)
    y: Tensor = torch.func.functional_call(_Plain(module), state, (x,))
    return y.detach()


def _reference(module: _SparseVariational, x: Tensor) -> Tensor:
    """Compute mean and variance by torch's own layer."""
    dtype = torch.promote_types(x.dtype, torch.float32)
    variance = _with_weight(module, x.to(dtype).square(), module.log_sigma2.detach().to(dtype).exp(), bias=False)
    noise = torch.randn(variance.shape, dtype=dtype)
    return (_with_weight(module, x, module.weight) + variance.sqrt() * noise).to(x.dtype)


def _evaluate(module: _SparseVariational, x: Tensor) -> Tensor:
    log_alpha = module.log_sigma2 - 2 * module.weight.abs().log()
    return _with_weight(module, x, module.weight * (log_alpha < module.threshold))


def register_sparse_variational(
    layer: type[_SparseVariational], arguments: dict[str, Any], shape: tuple[int, ...], wrong: Tensor, match: str
) -> None:
    """Register a layer with an input of a wrong shape and what is said of it."""
    register(
        LayerSpec(
            layer=layer,
            arguments={**arguments, "threshold": 0.5, "initial_log_sigma2": -3.0},
            shape=shape,
            reference=_reference,
            evaluate=_evaluate,
            rates=("threshold",),
            selects=False,
            tolerance=1e-5,
            twin=layer._twin,
            errors=(
                *(
                    ErrorInput(error=error, match=said, arguments={**arguments, **options})
                    for options, error, said in (
                        ({"threshold": -1}, ValueError, "`threshold` must be a number of at least 0, got -1.0"),
                        ({"threshold": float("nan")}, ValueError, "`threshold` must be a number of at least 0, got"),
                        ({"threshold": "3"}, TypeError, "`threshold` must be a number of at least 0, got '3'"),
                        (
                            {"initial_log_sigma2": float("inf")},
                            ValueError,
                            "`initial_log_sigma2` must be a finite number, got inf",
                        ),
                    )
                ),
                ErrorInput(error=ValueError, match=match, input=wrong),
                ErrorInput(
                    error=TypeError,
                    match="`input` must be a floating-point tensor",
                    input=torch.ones(shape, dtype=torch.int64),
                ),
            ),
            exceptions={
                "zero_rate": "its rates are learned, one a weight; a threshold of 0 prunes in eval mode only",
                "full_rate": "its rates are learned, one a weight; a threshold of 1 prunes in eval mode only",
            },
        )
    )


register_sparse_variational(
    SparseVariationalLinear,
    {"in_features": 5, "out_features": 6},
    (3, 5),
    torch.ones(3, 4),
    "`input` must be of 5 features in its last dimension",
)
