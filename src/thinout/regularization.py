"""The term that learned rates and gates add to the loss, collected from all layers of a model."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from thinout._checks import bad_type, bad_value, check_count, check_not_negative

__all__ = ["regularization"]


def regularization(model: nn.Module, num_examples: int, *, kl_weight: float | Tensor = 1.0) -> Tensor:
    r"""Return the sum of the terms that the layers of a model add to the loss of one training step.

    .. math:: L = \frac{1}{|B|} \sum_{i \in B} -\log p(y_i \mid x_i) + \frac{\beta}{N} \sum_l R_l + \sum_g P_g

    The loss it belongs to is the *mean* negative log-likelihood of the batch B in nats per example: cross-entropy or
    `torch.nn.GaussianNLLLoss` with ``reduction="mean"`` and one target an example. N is the size of the training set,
    not of the batch. For a mean squared error in place of the likelihood of a Gaussian of precision :math:`\tau`, pass
    ``kl_weight=2 / tau``: the error is :math:`2 / \tau` times that likelihood.

    A layer takes part by a method ``regularization()`` of its class, which returns a 0-d tensor with a graph. Where the
    class has ``regularization_is_total = True``, it is an :math:`R_l`, in nats for the whole training set, as a
    Kullback-Leibler divergence of weights is: it is divided by N and multiplied by :math:`\beta`. Without it, it is a
    :math:`P_g`, of the size of the loss already, with a weight of its own: hard-concrete gates and information dropout.
    Modules that the model holds more than once count once.

    Call it in each step, outside of `torch.no_grad`; in evaluation it tells the same.

    Args:
        model: holds the layers.
        num_examples: N.
        kl_weight: :math:`\beta`, at least 0: 1 for the bound on the evidence; from 0 to 1 over the first epochs for
            warm-up. As a 0-d tensor it can change in compiled code.

    Returns:
        A 0-d tensor, in float32 at least, on the device of the first layer that takes part.

    Raises:
        ValueError: no layer has a regulariser, num_examples is less than 1, kl_weight is negative.
        TypeError: the model is no module, num_examples is not a whole number.

    Example:
        >>> import thinout.nn as tnn
        >>> model = nn.Sequential(tnn.SparseVariationalLinear(4, 8), nn.ReLU(), tnn.SparseVariationalLinear(8, 2))
        >>> loss = nn.functional.cross_entropy(model(torch.randn(5, 4)), torch.tensor([0, 1, 0, 1, 1]))
        >>> (loss + regularization(model, num_examples=1000, kl_weight=0.1)).backward()

    Source: Kingma, Salimans, Welling 2015, arXiv 1506.02557, equations 2 and 12.
    """
    where = "regularization"
    if not isinstance(model, nn.Module):
        bad_type(where, "model", "a torch.nn.Module", repr(type(model).__name__))
    num_examples = check_count(where, "num_examples", num_examples)
    if not isinstance(kl_weight, Tensor):
        kl_weight = check_not_negative(where, kl_weight, "kl_weight")
    terms = list(_terms(model, kl_weight, num_examples))
    if not terms:
        remedy = "Put one in, such as ConcreteDropout, VariationalLinear or SparseVariationalLinear."
        bad_value(where, "model", "a model with a layer that has a regularization", type(model).__name__, remedy)
    return sum(term.to(terms[0].device) for term in terms[1:]) + terms[0]


def _terms(model: nn.Module, kl_weight: float | Tensor, num_examples: int) -> Iterator[Tensor]:
    for module in model.modules():
        # Asked of the class: a compiled module answers for the module in it, which comes by itself.
        method = getattr(type(module), "regularization", None)
        if method is None:
            continue
        term: Tensor = method(module)
        term = term.to(torch.promote_types(term.dtype, torch.float32))
        total = getattr(module, "regularization_is_total", False)
        yield term * kl_weight / num_examples if total else term
