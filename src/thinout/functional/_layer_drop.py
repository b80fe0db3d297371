"""LayerDrop: layers of a stack that are left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from thinout import ops
from thinout._checks import check_choice
from thinout.functional._decide import call_branch, is_readable, share_key
from thinout.functional._shared import check_probability, is_off
from thinout.ops._inputs import check_floating_point, check_key

RULES = ("constant", "linear")


def layer_rates(where: str, p: float | Tensor, num_layers: int, rule: str) -> list[float | Tensor]:
    """Return the drop probability of each layer: p for all, or l/L p for layer l of L."""
    check_choice(where, "rule", rule, RULES)
    p = check_probability(where, p)
    return [p if rule == "constant" else p * ((index + 1) / num_layers) for index in range(num_layers)]


def keep_layers(where: str, num_layers: int, p: float | Tensor, rule: str, key: Tensor, offset: int) -> Tensor:
    """Return a bool tensor, on the device of the key, that says of each layer whether it is kept.

    Layer l has element l of the key's mask in both rules.
    """
    rates = layer_rates(where, p, num_layers, rule)
    if rule == "constant" or num_layers == 0:
        return ops.dropout_mask((num_layers,), key, p, offset=offset, device=key.device)
    single = [
        ops.dropout_mask((1,), key, rate, offset=offset, first_index=index, device=key.device)
        for index, rate in enumerate(rates)
    ]
    return torch.cat(single)


def draw_layers(
    where: str,
    num_layers: int,
    p: float | Tensor,
    rule: str,
    skip: bool,
    sync: bool,
    key: Tensor | int | None,
    generator: torch.Generator | None,
    offset: int,
    device: torch.device,
) -> tuple[Tensor, bool]:
    """Return which layers are kept, and whether Python may ask for it."""
    given = key is not None
    key = ops.draw_key(generator) if key is None else check_key(where, key, device)
    asked = skip and is_readable(key)
    if asked and sync and not given:
        key = share_key(key, device)
    return keep_layers(where, num_layers, p, rule, key, offset), asked


def layer_drop(
    input: Tensor,
    layers: Sequence[Callable[[Tensor], Tensor]],
    *,
    p: float | Tensor = 0.2,
    rule: str = "constant",
    skip: bool = True,
    sync: bool = True,
    training: bool,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Apply layers one after another, and leave each out with a probability, for the whole batch ("LayerDrop").

    .. math:: x_l = m_l f_l(x_{l-1}) + (1 - m_l) x_{l-1}, \quad m_l \sim \text{Bernoulli}(1 - p_l)

    with :math:`p_l = p`, or :math:`p_l = \frac{l}{L} p` by the linear rule, for layers :math:`l = 1, ..., L`. Nothing
    is scaled: what a layer adds to its input is part of it. Outside training all layers run. A layer that is left out
    is not called, except in compiled graphs and under `vmap`, which cannot leave a call out: there all are computed and
    selected.

    Args:
        input: floating-point tensor; each layer gives a tensor of the same shape.
        layers: functions or modules, in their order.
        p: drop probability in [0, 1]. 0 draws nothing; 1 returns the input.
        rule: "constant", or "linear", by which p is the rate of the last layer.
        skip: False computes every layer and selects, so that every parameter takes part in every step, with a zero
            gradient where its layer was dropped. DDP needs that, or `find_unused_parameters=True`.
        sync: whether the processes of an initialised `torch.distributed` decide alike where layers are not called, by
            the key of rank 0; one message a call. No message where `key` is given.
        training: whether to drop.
        key: key of the mask, one element a layer; None draws one.
        generator: where the key is drawn.
        offset: second number that the mask is a function of.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: p outside [0, 1], another rule, or a layer that changes the shape.
        TypeError: the input is not floating point, or a layer that does not return a tensor.

    Example:
        >>> layers = [lambda x: 10 * x + 1, lambda x: 10 * x + 2, lambda x: 10 * x + 3]
        >>> layer_drop(torch.zeros(1), layers, p=0.5, training=True, key=1)
        tensor([13.])
        >>> layer_drop(torch.zeros(1), layers, p=0.5, training=False)
        tensor([123.])

    Source: Fan, Grave, Joulin 2020, ICLR, arXiv 1909.11556. With the linear rule and a p that grows by schedule it is
    progressive layer dropping: Zhang, He 2020, NeurIPS, arXiv 2010.13369.
    """
    where = "layer_drop"
    p = check_probability(where, p)
    check_choice(where, "rule", rule, RULES)
    check_floating_point(where, "input", input)
    x = input
    if is_off(p, training):
        for layer in layers:
            x = call_branch(where, layer, x)
        return x
    kept, asked = draw_layers(where, len(layers), p, rule, skip, sync, key, generator, offset, input.device)
    if asked:
        for layer, keep in zip(layers, kept.tolist(), strict=True):
            x = call_branch(where, layer, x) if keep else x
        return x
    for layer, keep in zip(layers, kept.to(input.device).unbind(), strict=True):
        x = torch.where(keep, call_branch(where, layer, x), x)
    return x
