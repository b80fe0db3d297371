"""A small convolutional net for spectrograms."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from thinout._checks import bad_value, check_p
from thinout.nn import Dropout, Dropout2d

_NUM_POOLED = 3


class SpectrogramNet(nn.Module):
    """Three times a padded 3x3 convolution, ReLU, 2x2 max-pooling and channel dropout, then two linear layers.

    Channels are dropped with half the rate of units: a channel is seen at many places, a unit of the linear layers
    once.

    Args:
        p: drop probability on the input of both linear layers.
        num_classes: outputs.
        num_mels: height of a spectrogram.
        num_frames: width of a spectrogram.
        channels: output channels of the convolutions.
        hidden: units of the first linear layer.

    Shape:
        input (N, 1, num_mels, num_frames), output: logits (N, num_classes).

    Raises:
        ValueError: p outside of [0, 1], or in `forward` an input of another shape.

    Example:
        >>> sum(weight.numel() for weight in SpectrogramNet().parameters())
        311434

    Source: Tompson et al. 2015, arXiv 1411.4280, for dropout of channels.
    """

    def __init__(
        self,
        p: float = 0.5,
        *,
        num_classes: int = 10,
        num_mels: int = 40,
        num_frames: int = 63,
        channels: tuple[int, int, int] = (16, 32, 64),
        hidden: int = 128,
    ) -> None:
        super().__init__()
        check_p("SpectrogramNet", p)
        self.shape = (1, num_mels, num_frames)
        stages: list[nn.Module] = []
        for num_inputs, num_outputs in pairwise((1, *channels)):
            stages += [nn.Conv2d(num_inputs, num_outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), Dropout2d(p / 2)]
        self.features = nn.Sequential(*stages, nn.Flatten())
        num_features = channels[-1] * (num_mels // 2**_NUM_POOLED) * (num_frames // 2**_NUM_POOLED)
        self.classifier = nn.Sequential(
            Dropout(p), nn.Linear(num_features, hidden), nn.ReLU(), Dropout(p), nn.Linear(hidden, num_classes)
        )

    def forward(self, spectrograms: Tensor) -> Tensor:
        """Return the logits of a batch of spectrograms."""
        if spectrograms.ndim != 4 or spectrograms.shape[1:] != self.shape:
            allowed = f"of shape (N, {', '.join(map(str, self.shape))})"
            bad_value("SpectrogramNet", "spectrograms", allowed, tuple(spectrograms.shape))
        logits: Tensor = self.classifier(self.features(spectrograms))
        return logits
