"""A text classifier on a bag of n-grams."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from thinout._checks import check_p
from thinout.nn import Dropout

_SCALE = 0.02  # deviation of the initial embeddings


class NgramNet(nn.Module):
    """The mean embedding of a text's n-grams, one hidden layer, dropout on the input of both linear layers.

    Args:
        p: drop probability of both dropout layers.
        num_buckets: numbers that n-grams may have; 0 stands for none.
        width: features of an n-gram.
        hidden: units of the hidden layer.
        num_classes: outputs.

    Shape:
        input: int64 (N, L), filled up with zeros; output: logits (N, num_classes).

    Raises:
        ValueError: p outside of [0, 1].

    Example:
        >>> NgramNet(0.5)(torch.tensor([[5, 9, 0], [7, 0, 0]])).shape
        torch.Size([2, 2])

    Source: Joulin, Grave, Bojanowski, Mikolov 2017, arXiv 1607.01759 (without the hidden layer); Iyyer, Manjunatha,
    Boyd-Graber, Daumé 2015, "Deep unordered composition rivals syntactic methods for text classification", ACL.
    """

    def __init__(
        self, p: float = 0.5, *, num_buckets: int = 2**15, width: int = 32, hidden: int = 64, num_classes: int = 2
    ) -> None:
        super().__init__()
        check_p("NgramNet", p)
        self.embedding = nn.EmbeddingBag(num_buckets, width, mode="mean", padding_idx=0)
        with torch.no_grad():  # as small as torch's are large: an n-gram never seen in training should say nothing
            self.embedding.weight.mul_(_SCALE)
        self.classifier = nn.Sequential(
            Dropout(p), nn.Linear(width, hidden), nn.ReLU(), Dropout(p), nn.Linear(hidden, num_classes)
        )

    def forward(self, numbers: Tensor) -> Tensor:
        """Return the logits of a batch of texts."""
        logits: Tensor = self.classifier(self.embedding(numbers))
        return logits
