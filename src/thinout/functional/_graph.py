"""Dropout on graphs given by their edges: of edges, of nodes, of messages, and the normalisation that follows.

Edges are a tensor (2, E) of node numbers, sources in the first row and targets in the second.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from thinout import ops
from thinout._checks import bad_value, check_choice, check_count
from thinout.functional._shared import as_scalar, check_integers, check_probability, drop, is_off
from thinout.ops._inputs import check_floating_point, check_generator


def drop_edge_mask(
    edge_index: Tensor,
    p: float | Tensor = 0.5,
    *,
    exact: bool = False,
    undirected: bool = False,
    training: bool,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Choose edges to keep: the form of `drop_edge` whose shape does not depend on the draw, for compiled code.

    Multiply messages by it, or give it to `normalize_edges` as the weight of edges.

    Args:
        edge_index: (2, E) integers.
        p: drop probability of an edge, in [0, 1].
        exact: drop exactly :math:`\operatorname{round}(p E)` edges, as the paper does, in place of each for itself. The
            ranks come from PyTorch's generator, so this form takes no `key`.
        undirected: let both directions of an edge share their fate, and so all edges between two nodes; `exact` then
            counts pairs of nodes.
        training: whether to drop.
        key: key of the mask; None draws one.
        generator: where the key, or the noise of `exact`, is drawn.
        offset: second number that the mask is a function of.

    Returns:
        A bool tensor (E,), True where an edge is kept.

    Raises:
        ValueError: p outside [0, 1], edges of another shape, a key together with `exact`.
        TypeError: edges that are no integers.

    Example:
        >>> edges = torch.tensor([[0, 1, 1, 2, 2, 2], [1, 0, 2, 1, 0, 2]])
        >>> drop_edge_mask(edges, 0.5, undirected=True, training=True, key=1)
        tensor([ True,  True,  True,  True, False, False])

    Source: Rong, Huang, Xu, Huang 2020, "DropEdge", ICLR, arXiv 1907.10903.
    """
    where = "drop_edge"
    p = check_probability(where, p)
    _check_edges(where, edge_index)
    if exact and (key is not None or offset):
        got = f"{key!r} with offset {offset}"
        bad_value(where, "key", "None with exact=True, and the offset 0", got, "Pass generator= instead.")
    num_edges, device = edge_index.size(1), edge_index.device
    if is_off(p, training):
        return torch.ones(num_edges, dtype=torch.bool, device=device)
    group = _pairs(edge_index) if undirected else None
    if exact:
        chosen = _keep_exactly(num_edges, group, p, device, generator)
    else:
        key = ops.draw_key(generator) if key is None else key
        chosen = ops.dropout_mask((num_edges,), key, p, offset=offset, device=device)
    return chosen if group is None else chosen[group]


def drop_edge(
    edge_index: Tensor,
    p: float | Tensor = 0.5,
    *,
    exact: bool = False,
    undirected: bool = False,
    training: bool,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> tuple[Tensor, Tensor]:
    r"""Remove edges of a graph at random.

    Nothing is scaled: normalise the adjacency of the survivors (`normalize_edges`), as the paper does. Self-loops are
    edges as any other, and are kept once or not at all; those that a layer adds to every node are added afterwards.

    Args:
        edge_index: (2, E) integers.
        p: drop probability of an edge, in [0, 1].
        exact: drop exactly :math:`\operatorname{round}(p E)` edges, by PyTorch's generator.
        undirected: let both directions of an edge share their fate.
        training: whether to drop.
        key: key of the mask; None draws one.
        generator: where the key, or the noise of `exact`, is drawn.
        offset: second number that the mask is a function of.

    Returns:
        The edges that are kept, (2, K) in their order, and their places (K,) in the input, by which attributes of edges
        are chosen: ``edge_attr[ids]``.

    Raises:
        ValueError: p outside [0, 1], edges of another shape, a key together with `exact`.
        TypeError: edges that are no integers.

    Example:
        >>> edges = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]])
        >>> drop_edge(edges, 0.5, training=True, key=1)
        (tensor([[0, 2],
                [1, 3]]), tensor([0, 2]))

    Source: Rong, Huang, Xu, Huang 2020, "DropEdge", ICLR, arXiv 1907.10903.
    """
    options = {"exact": exact, "undirected": undirected, "key": key, "generator": generator, "offset": offset}
    keep = drop_edge_mask(edge_index, p, training=training, **options)  # type: ignore[arg-type]  # of these types
    if is_off(p, training):
        return edge_index, torch.arange(edge_index.size(1), device=edge_index.device)
    ids = keep.nonzero().squeeze(1)
    return edge_index.index_select(1, ids), ids


def _check_edges(where: str, edge_index: Tensor) -> None:
    check_integers(where, "edge_index", edge_index)
    if edge_index.dim() != 2 or edge_index.size(0) != 2:
        bad_value(where, "edge_index", "of shape (2, E)", tuple(edge_index.shape))


def _pairs(edge_index: Tensor) -> Tensor:
    """Number the pairs of nodes that edges join, 0, 1, ..., whatever the direction; return the number of each edge."""
    if edge_index.size(1) == 0:
        return edge_index[0].long()
    low, high = edge_index.long().aminmax(dim=0)
    pair, order = (low * (high.max() + 1) + high).sort()
    # `torch.unique` would do, but its shape depends on the data; this has the same result and can be compiled.
    number = (pair.diff(prepend=pair[:1]) != 0).long().cumsum(0)
    return torch.zeros_like(number).scatter(0, order, number)


def _keep_exactly(
    num_edges: int, group: Tensor | None, p: float | Tensor, device: torch.device, generator: torch.Generator | None
) -> Tensor:
    """Choose all but an exact number of edges, or of groups: entry i is then for group i."""
    check_generator(generator)
    # generator=None is passed on purpose, as in `ops.draw_key`: compiled code then draws what eager code draws.
    drawn_on = device if generator is None else generator.device
    order = torch.randperm(num_edges, generator=generator, device=drawn_on).to(device)
    num = torch.full((), num_edges, device=device) if group is None or num_edges == 0 else group.max() + 1
    counts = order < num  # beyond the number of groups there is nothing to choose
    # In float64, as Python's round(p * E) is and compiled code; in float32 a half may be rounded the other way.
    wide = torch.float32 if device.type == "mps" else torch.float64
    num_dropped = (num.to(wide) * as_scalar(p, num)).round()
    return torch.empty_like(counts).scatter(0, order, counts.cumsum(0) > num_dropped)


def drop_node(
    input: Tensor,
    p: float | Tensor = 0.5,
    *,
    training: bool,
    inplace: bool = False,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Drop the features of whole nodes and scale the others by 1 / (1 - p): the mask has shape (n, 1).

    Nodes and edges stay: a node without features still passes on what it receives.

    Args:
        input: features of the nodes, (n, \*).
        p: drop probability of a node, in [0, 1].
        training: whether to drop.
        inplace: write the result into the input.
        key: key of the mask; None draws one.
        generator: where the key is drawn.
        offset: second number that the mask is a function of.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: p outside [0, 1] or an input without dimensions.
        TypeError: the input is not floating point.

    Example:
        >>> drop_node(torch.ones(4, 2), 0.5, training=True, key=1)
        tensor([[2., 2.],
                [0., 0.],
                [2., 2.],
                [0., 0.]])

    Source: Feng et al. 2020, "Graph random neural networks" (GRAND), NeurIPS, arXiv 2005.11079.
    """
    if input.dim() == 0:
        bad_value("drop_node", "input", "a tensor of at least 1 dimension (n, *)", "a tensor without dimensions")
    noise_shape = [None] + [1] * (input.dim() - 1)
    return drop("drop_node", input, p, training, inplace, noise_shape, key, generator, offset)


def drop_message(
    input: Tensor,
    p: float | Tensor = 0.5,
    *,
    training: bool,
    inplace: bool = False,
    key: Tensor | int | None = None,
    generator: torch.Generator | None = None,
    offset: int = 0,
) -> Tensor:
    r"""Drop single elements of the messages along edges and scale the others by 1 / (1 - p).

    Dropping features, nodes or edges is this with elements of the mask shared; of all of them this one has the least
    variance. Drop the messages, and never weights that were dropped before: see the documentation of graphs.

    Args:
        input: messages, (E, \*).
        p: drop probability of an element, in [0, 1].
        training: whether to drop.
        inplace: write the result into the input.
        key: key of the mask; None draws one.
        generator: where the key is drawn.
        offset: second number that the mask is a function of.

    Returns:
        A tensor like the input.

    Raises:
        ValueError: p outside [0, 1] or an input without dimensions.
        TypeError: the input is not floating point.

    Example:
        >>> drop_message(torch.ones(2, 4), 0.5, training=True, key=1)
        tensor([[2., 0., 2., 0.],
                [2., 0., 0., 0.]])

    Source: Fang, Xiao, Wang, Xu, Yang, Yang 2023, "DropMessage", AAAI, arXiv 2204.10037.
    """
    if input.dim() == 0:
        bad_value("drop_message", "input", "a tensor of at least 1 dimension (E, *)", "a tensor without dimensions")
    return drop("drop_message", input, p, training, inplace, None, key, generator, offset)


def normalize_edges(
    edge_index: Tensor, edge_weight: Tensor | None = None, *, num_nodes: int, mode: str = "row"
) -> Tensor:
    r"""Return the weights of edges in the normalised adjacency; call it after edges were dropped.

    .. math:: n_{ji} = w_{ji} / d_i \ \text{(row)}, \quad n_{ji} = w_{ji} / \sqrt{d_j d_i} \ \text{(symmetric)}

    with the degree :math:`d_i = \sum_j w_{ji}` of a target. Weights of edges into a node sum to 1 in the first form. A
    node that lost all of its edges gets none of them back: its weights are 0 and nothing is divided by its degree of 0.

    Args:
        edge_index: (2, E) integers.
        edge_weight: (E,), not negative; a mask as `drop_edge_mask` gives it stands for 1 and 0, None for 1.
        num_nodes: number of nodes.
        mode: "row" or "symmetric".

    Returns:
        (E,).

    Raises:
        ValueError: edges or weights of another shape, an unknown mode.
        TypeError: edges that are no integers.

    Example:
        >>> edges = torch.tensor([[0, 1, 2, 0], [2, 2, 2, 1]])
        >>> normalize_edges(edges, torch.tensor([True, True, False, False]), num_nodes=3)
        tensor([0.5000, 0.5000, 0.0000, 0.0000])

    Source: Kipf, Welling 2017, arXiv 1609.02907; Rong et al. 2020, arXiv 1907.10903, equation 1.
    """
    where = "normalize_edges"
    _check_edges(where, edge_index)
    check_choice(where, "mode", mode, ("row", "symmetric"))
    check_count(where, "num_nodes", num_nodes, at_least=0)
    if edge_weight is None:
        edge_weight = torch.ones(edge_index.size(1), device=edge_index.device)
    elif edge_weight.dtype == torch.bool:
        edge_weight = edge_weight.to(torch.get_default_dtype())
    check_floating_point(where, "edge_weight", edge_weight)
    if edge_weight.shape != edge_index.shape[1:]:
        bad_value(where, "edge_weight", f"of shape ({edge_index.size(1)},)", tuple(edge_weight.shape))
    source, target = edge_index.long().unbind(0)
    work = edge_weight.to(torch.promote_types(edge_weight.dtype, torch.float32))  # in bfloat16 256 + 1 is 256
    degree = work.new_zeros(num_nodes).index_add(0, target, work)
    degree = degree.masked_fill(degree <= 0, math.inf)  # whose reciprocal is 0, and its derivative too
    if mode == "row":
        normalized = work * degree.reciprocal()[target]
    else:
        inverse = degree.rsqrt()
        normalized = work * inverse[source] * inverse[target]
    return normalized.to(edge_weight.dtype)
