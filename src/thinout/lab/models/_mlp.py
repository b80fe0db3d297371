"""Fully connected networks on pixels in no order: those on which dropout was shown first."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from thinout._checks import check_count, check_p
from thinout.nn import Dropout

INPUT_SHARE = 0.4
"""Drop probability of the inputs over that of hidden units, where only the latter is given: 0.2 for 0.5."""


class MLP(nn.Module):
    """Linear layers with ReLU between them, and dropout on the input of every one: pixels less often than units.

    Its parts are ``flatten -> dropout(input_p) -> [linear -> ReLU -> dropout(p)] * depth -> linear``. Dropout has no
    parameters and draws nothing at construction, so the initial weights do not depend on p.

    Args:
        p: drop probability of hidden units.
        input_p: drop probability of inputs; None is ``0.4 * p``, the 0.2 that goes with 0.5 in the paper.
        in_features: numbers in one input, whatever its shape.
        num_classes: outputs.
        hidden: widths of the hidden layers.

    Shape:
        input (N, ...) with in_features numbers an example, output: logits (N, num_classes).

    Raises:
        ValueError: a probability outside of [0, 1], a size below 1, or no hidden layer.

    Example:
        >>> net = MLP(0.5)
        >>> [layer.p for layer in net.layers if isinstance(layer, Dropout)]
        [0.2, 0.5, 0.5, 0.5]
        >>> sum(weight.numel() for weight in net.parameters())
        2913290

    Source:
        Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov 2014, "Dropout: a simple way to prevent neural
        networks from overfitting", JMLR 15:1929-1958, section 6.1.1 and appendix B.1.
    """

    def __init__(
        self,
        p: float = 0.5,
        *,
        input_p: float | None = None,
        in_features: int = 28 * 28,
        num_classes: int = 10,
        hidden: tuple[int, ...] = (1024, 1024, 1024),
    ) -> None:
        super().__init__()
        check_p("MLP", p)
        input_p = INPUT_SHARE * p if input_p is None else check_p("MLP", input_p, "input_p")
        check_count("MLP", "hidden", len(hidden))
        for width in (in_features, *hidden, num_classes):
            check_count("MLP", "width", width)
        layers: list[nn.Module] = [nn.Flatten(), Dropout(input_p)]
        for num_inputs, num_outputs in pairwise((in_features, *hidden)):
            layers += [nn.Linear(num_inputs, num_outputs), nn.ReLU(), Dropout(p)]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden[-1], num_classes))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits of a batch."""
        logits: Tensor = self.layers(inputs)
        return logits
