"""Bounds on gradients."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from thinout._checks import bad_type, bad_value, check_positive
from thinout.companions._units import unit_norms, units

Parameters = nn.Module | Tensor | Iterable[Tensor]


def clip_by_value_(parameters: Parameters, c: float) -> None:
    r"""Clamp every entry of the gradients into [-c, c], in place, as `torch.nn.utils.clip_grad_value_` does.

    .. math:: g_i \leftarrow \max(-c, \min(c, g_i))

    The direction of the gradient changes. NaN stays NaN. With `torch.amp.GradScaler` call
    ``scaler.unscale_(optimizer)`` first: gradients are multiplied by the scale until then.

    Args:
        parameters: a network, a tensor or several; those without a gradient are passed over.
        c: largest absolute value.

    Raises:
        ValueError: c is not positive, or there are no parameters, such as from a generator that was used up.
        TypeError: what is given are no tensors.

    Example:
        >>> w = torch.zeros(2, requires_grad=True)
        >>> (w * torch.tensor([3.0, 0.5])).sum().backward()
        >>> clip_by_value_(w, 1.0)
        >>> w.grad
        tensor([1.0000, 0.5000])
    """
    c = check_positive("clip_by_value_", "c", c, finite=False)
    graded = [x for x in _parameters("clip_by_value_", parameters) if x.grad is not None]
    if graded:  # torch's raises where there are none
        clip_grad_value_(graded, c)


def clip_by_norm_(
    parameters: Parameters, c: float, *, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    r"""Scale the gradients, as one vector, to a norm of at most c, in place, as `torch.nn.utils.clip_grad_norm_` does.

    .. math:: g \leftarrow g \min(1, \frac{c}{\Vert g \Vert + 10^{-6}})

    The direction holds. The norm is over all parameters together: clip the whole network in one call. Where the norm is
    infinite, finite entries become 0 and infinite ones NaN; where it is NaN, all become NaN: ask for
    `error_if_nonfinite`, or leave it to `torch.amp.GradScaler` to skip such a step. With it, call
    ``scaler.unscale_(optimizer)`` first.

    Args:
        parameters: a network, a tensor or several; those without a gradient are passed over.
        c: largest norm; infinity measures and clips nothing.
        norm_type: order of the norm; ``math.inf`` is the largest absolute value.
        error_if_nonfinite: whether an infinite or NaN norm raises, with the gradients as they were.

    Returns:
        The norm before clipping, 0-d.

    Raises:
        ValueError: c or `norm_type` is not positive, or there are no parameters.
        TypeError: what is given are no tensors.
        RuntimeError: the norm is not finite and `error_if_nonfinite` was asked for.

    Example:
        >>> w = torch.zeros(2, requires_grad=True)
        >>> (w * torch.tensor([3.0, 4.0])).sum().backward()
        >>> clip_by_norm_(w, 1.0)
        tensor(5.)
        >>> w.grad
        tensor([0.6000, 0.8000])

    Source: Pascanu, Mikolov, Bengio 2013, ICML, arXiv 1211.5063.
    """
    c = check_positive("clip_by_norm_", "c", c, finite=False)
    norm_type = check_positive("clip_by_norm_", "norm_type", norm_type, finite=False)
    tensors = _parameters("clip_by_norm_", parameters)
    return clip_grad_norm_(tensors, c, norm_type=norm_type, error_if_nonfinite=error_if_nonfinite)


@torch.no_grad()
def adaptive_clip_(
    parameters: Parameters, clip_factor: float = 0.01, *, eps: float = 1e-3, skip: str | Iterable[str] = ()
) -> None:
    r"""Scale the gradient of each unit to at most a share of the unit's own weights, in place ("AGC").

    .. math:: G_i \leftarrow G_i \min(1, \lambda \frac{\max(\Vert W_i \Vert_2, \epsilon)}{\Vert G_i \Vert_2})

    Unit i has the weights :math:`W_i` that `max_norm_` would bound: a row, a filter; a bias or another vector is one
    unit as a whole. Gradients that need no clipping are left alone, bit for bit. Norms are taken in float32 at least.
    A NaN gradient stays, an infinite one makes its unit's gradient 0 and NaN. With `torch.amp.GradScaler` call
    ``scaler.unscale_(optimizer)`` first.

    Args:
        parameters: a network, a tensor or several; those without a gradient are passed over. Only a network tells that
            a weight is a transposed convolution's, whose units lie along another dimension.
        clip_factor: the share lambda.
        eps: norm that weights count as having at least, so that a unit of zeros can leave zero.
        skip: patterns of names of layers or parameters to leave alone. The paper leaves out the last linear layer.

    Raises:
        ValueError: `clip_factor` or `eps` is not positive, there are no parameters, or a pattern means none.
        TypeError: what is given are no tensors, `skip` comes without a network, or a gradient is sparse.

    Example:
        >>> w = torch.tensor([[3.0, 4.0], [0.0, 0.0]], requires_grad=True)
        >>> (w * 10).sum().backward()
        >>> adaptive_clip_(w, 0.01)
        >>> w.grad.norm(dim=1)  # 0.01 * 5 and 0.01 * eps
        tensor([5.0000e-02, 1.0000e-05])

    Source: Brock, De, Smith, Simonyan 2021, "High-performance large-scale image recognition without normalization",
    ICML, arXiv 2102.06171.
    """
    clip_factor = check_positive("adaptive_clip_", "clip_factor", clip_factor)
    eps = check_positive("adaptive_clip_", "eps", eps)
    for owner, weight in _owned("adaptive_clip_", parameters, skip):
        if weight.grad is None:
            continue
        if weight.grad.layout != torch.strided:
            bad_type("adaptive_clip_", "parameters", "of dense gradients", str(weight.grad.layout), "Use skip.")
        for (values, dim), (gradients, _) in zip(units(owner, weight), units(owner, weight.grad), strict=True):
            largest = clip_factor * unit_norms(values, dim).clamp(min=eps)
            norms = unit_norms(gradients, dim)
            gradients.mul_(torch.where(norms > largest, largest / norms, 1.0))


def _parameters(where: str, source: Parameters) -> list[Tensor]:
    if isinstance(source, Tensor):
        return [source]
    tensors = list(source.parameters() if isinstance(source, nn.Module) else source)
    for tensor in tensors:
        if not isinstance(tensor, Tensor):
            bad_type(where, "parameters", "a torch.nn.Module or tensors", type(tensor).__name__)
    if not tensors:
        remedy = "A generator such as model.parameters() gives its tensors once."
        bad_value(where, "parameters", "a model or tensors, at least one", "none", remedy)
    return tensors


def _owned(where: str, source: Parameters, skip: str | Iterable[str]) -> list[tuple[nn.Module | None, Tensor]]:
    """Return the parameters, each with the layer that it is a parameter of, where that is known."""
    patterns = [skip] if isinstance(skip, str) else list(skip)
    tensors = _parameters(where, source)
    if not isinstance(source, nn.Module):
        if patterns:
            remedy = "Tensors have no names: give the model, or leave tensors out yourself."
            bad_type(where, "skip", "empty without a model", repr(skip), remedy)
        return [(None, tensor) for tensor in tensors]
    owners: dict[Tensor, nn.Module] = {}
    spared: set[Tensor] = set()
    used: set[str] = set()
    for place, layer in source.named_modules(remove_duplicate=False):
        for name, parameter in layer.named_parameters(recurse=False):
            owners.setdefault(parameter, layer)
            names = (place, f"{place}.{name}".lstrip("."))
            fitting = {pattern for pattern in patterns if any(fnmatchcase(each, pattern) for each in names)}
            used |= fitting
            if fitting:
                spared.add(parameter)
    for pattern in patterns:
        if pattern not in used:
            bad_value(where, "skip", "patterns that each mean a layer or parameter", repr(pattern))
    return [(layer, parameter) for parameter, layer in owners.items() if parameter not in spared]
