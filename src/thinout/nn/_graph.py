"""Dropout on graphs given by their edges: of edges, of nodes, of messages."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from thinout import functional as F
from thinout import ops
from thinout._checks import check_p
from thinout.nn._rate import Rated, rate
from thinout.nn._registry import ErrorInput, Inputs, LayerSpec, register


class DropEdge(Rated):
    """Remove edges of a graph at random in training; see `thinout.functional.drop_edge`.

    Args:
        p: drop probability of an edge, in [0, 1].
        exact: drop exactly round(p E) edges.
        undirected: let both directions of an edge share their fate.
        as_mask: return a bool mask of the edges, whose shape does not depend on the draw; compiled code needs it.

    Shape:
        (2, E) to (2, K) and (K,): the edges that are kept and their places; with `as_mask` to (E,).

    Raises:
        ValueError: p outside [0, 1] or edges of another shape.

    Example:
        >>> edges = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]])
        >>> kept, ids = DropEdge(p=0.5)(edges, key=1)
        >>> kept
        tensor([[0, 2],
                [1, 3]])

    Source: Rong, Huang, Xu, Huang 2020, ICLR, arXiv 1907.10903.
    """

    def __init__(self, p: float = 0.5, *, exact: bool = False, undirected: bool = False, as_mask: bool = False) -> None:
        super().__init__()
        self.p = p
        self.exact = exact
        self.undirected = undirected
        self.as_mask = as_mask

    def forward(
        self,
        edge_index: Tensor,
        *,
        key: Tensor | int | None = None,
        generator: torch.Generator | None = None,
        offset: int = 0,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Drop edges in training mode."""
        function = F.drop_edge_mask if self.as_mask else F.drop_edge
        return function(
            edge_index,
            rate(self),
            exact=self.exact,
            undirected=self.undirected,
            training=self.training,
            key=key,
            generator=generator,
            offset=offset,
        )

    def extra_repr(self) -> str:
        """Return the arguments of the constructor."""
        return f"p={self.p}, exact={self.exact}, undirected={self.undirected}, as_mask={self.as_mask}"


class DropNode(Rated, nn.modules.dropout._DropoutNd):
    """Drop the features of whole nodes in training; see `thinout.functional.drop_node`.

    Args:
        p: drop probability of a node, in [0, 1].
        inplace: write the result into the input.

    Shape:
        Features of nodes (n, *); the output is like the input.

    Raises:
        ValueError: p outside [0, 1] or an input without dimensions.

    Example:
        >>> DropNode(p=0.5)(torch.ones(10, 4)).shape
        torch.Size([10, 4])

    Source: Feng et al. 2020, NeurIPS, arXiv 2005.11079.
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__(check_p("DropNode", p), inplace)

    def forward(
        self,
        input: Tensor,
        *,
        key: Tensor | int | None = None,
        generator: torch.Generator | None = None,
        offset: int = 0,
    ) -> Tensor:
        """Drop nodes in training mode."""
        return F.drop_node(
            input,
            rate(self),
            training=self.training,
            inplace=self.inplace,
            key=key,
            generator=generator,
            offset=offset,
        )


class DropMessage(Rated, nn.modules.dropout._DropoutNd):
    """Drop single elements of the messages along edges in training; see `thinout.functional.drop_message`.

    Args:
        p: drop probability of an element, in [0, 1].
        inplace: write the result into the input.

    Shape:
        Messages (E, *); the output is like the input.

    Raises:
        ValueError: p outside [0, 1] or an input without dimensions.

    Example:
        >>> DropMessage(p=0.5)(torch.ones(30, 4)).shape
        torch.Size([30, 4])

    Source: Fang, Xiao, Wang, Xu, Yang, Yang 2023, AAAI, arXiv 2204.10037.
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__(check_p("DropMessage", p), inplace)

    def forward(
        self,
        input: Tensor,
        *,
        key: Tensor | int | None = None,
        generator: torch.Generator | None = None,
        offset: int = 0,
    ) -> Tensor:
        """Drop elements of messages in training mode."""
        return F.drop_message(
            input,
            rate(self),
            training=self.training,
            inplace=self.inplace,
            key=key,
            generator=generator,
            offset=offset,
        )


def _edges(dtype: torch.dtype, generator: torch.Generator) -> Inputs:
    return (torch.randint(0, 20, (2, 100), generator=generator),)


def _edge_reference(module: DropEdge, edge_index: Tensor) -> Tensor:
    return ops.dropout_mask((edge_index.size(1),), ops.draw_key(), module.p, backend="reference")


def _element_reference(module: DropNode | DropMessage, x: Tensor) -> Tensor:
    noise_shape = (None, 1) if isinstance(module, DropNode) else None
    return ops.dropout(x, ops.draw_key(), module.p, noise_shape=noise_shape, backend="reference")


_RATE_ERRORS = (
    ErrorInput(error=ValueError, match=r"`p` must be a number in \[0, 1\], got", arguments={"p": 1.5}),
    ErrorInput(error=ValueError, match=r"`p` must be a number in \[0, 1\], got", arguments={"p": float("nan")}),
    ErrorInput(error=TypeError, match=r"`p` must be a number in \[0, 1\], got", arguments={"p": "0.5"}),
)

register(
    LayerSpec(
        layer=DropEdge,
        arguments={"p": 0.3, "as_mask": True},
        inputs=_edges,
        reference=_edge_reference,
        evaluate=lambda module, edge_index: torch.ones(edge_index.size(1), dtype=torch.bool),
        full=lambda module, edge_index: torch.zeros(edge_index.size(1), dtype=torch.bool),
        selects=False,
        errors=(
            *_RATE_ERRORS,
            ErrorInput(
                error=ValueError, match=r"`edge_index` must be of shape \(2, E\)", input=torch.ones(3, 2).long()
            ),
            ErrorInput(error=TypeError, match="`edge_index` must be a tensor of integers", input=torch.ones(2, 3)),
        ),
        exceptions={"empty": "edges have no batch dimension; a graph without edges is (2, 0)"},
    )
)
for _layer in (DropNode, DropMessage):
    register(
        LayerSpec(
            layer=_layer,
            arguments={"p": 0.3},
            shape=(40, 3),
            reference=_element_reference,
            errors=(
                *_RATE_ERRORS,
                ErrorInput(error=ValueError, match="at least 1 dimension", input=torch.tensor(1.0)),
                ErrorInput(
                    error=TypeError,
                    match="`input` must be a floating-point tensor",
                    input=torch.ones(3, dtype=torch.int64),
                ),
            ),
        )
    )
