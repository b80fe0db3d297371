"""A convolutional network for time series of any length."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from thinout._checks import bad_value, check_p
from thinout.nn import Dropout, Dropout1d

_KERNELS = (7, 5, 3)


class SeriesNet(nn.Module):
    """Three convolutions over time with whole channels dropped between them, pooled over time, and a linear layer.

    Its parts are ``[convolution -> normalisation -> ReLU -> max-pooling -> Dropout1d] * 2 -> convolution ->
    normalisation -> ReLU -> mean and maximum over time -> Dropout -> linear``: after the fully convolutional network
    of Wang et al., but narrower, with pooling, and with group normalisation in the place of batch normalisation, whose
    statistics dropout would shift between training and test.

    Args:
        p: drop probability of every dropout layer.
        in_channels: channels of a series.
        num_classes: outputs.
        channels: output channels of the convolutions.

    Shape:
        input (N, in_channels, length) of a length of at least 4, output: logits (N, num_classes).

    Raises:
        ValueError: p outside of [0, 1], or in `forward` an input of another shape.

    Example:
        >>> SeriesNet(0.2, in_channels=6, num_classes=4)(torch.zeros(2, 6, 100)).shape
        torch.Size([2, 4])

    Source:
        Wang, Yan, Oates 2017, "Time series classification from scratch with deep neural networks: a strong baseline",
        arXiv 1611.06455.
    """

    def __init__(
        self,
        p: float = 0.2,
        *,
        in_channels: int = 1,
        num_classes: int = 2,
        channels: tuple[int, int, int] = (32, 64, 64),
    ) -> None:
        super().__init__()
        check_p("SeriesNet", p)
        self.in_channels = in_channels
        stages: list[nn.Module] = []
        for kernel, (num_inputs, num_outputs) in zip(_KERNELS, pairwise((in_channels, *channels)), strict=True):
            convolution = nn.Conv1d(num_inputs, num_outputs, kernel, padding=kernel // 2)
            stages += [convolution, nn.GroupNorm(8, num_outputs), nn.ReLU(), nn.MaxPool1d(2), Dropout1d(p)]
        self.features = nn.Sequential(*stages[:-2])  # what leaves the last one is dropped after pooling over all times
        self.classifier = nn.Sequential(Dropout(p), nn.Linear(2 * channels[-1], num_classes))

    def forward(self, series: Tensor) -> Tensor:
        """Return the logits of a batch of series."""
        if series.ndim != 3 or series.shape[1] != self.in_channels:
            bad_value("SeriesNet", "series", f"of shape (N, {self.in_channels}, length)", tuple(series.shape))
        maps = self.features(series)
        logits: Tensor = self.classifier(torch.cat([maps.mean(2), maps.amax(2)], dim=1))
        return logits
