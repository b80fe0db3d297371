"""LeNet-5 with dropout, in a wide form of today and in the form of 1998."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from thinout._checks import bad_value, check_p
from thinout.nn import Dropout

_SIDE = 32  # of the input image; 28x28 images are padded by 2
_POOLED_SIDE = 5  # 32 -conv5-> 28 -pool2-> 14 -conv5-> 10 -pool2-> 5


class LeNet5(nn.Module):
    """Two unpadded 5x5 convolutions, each with ReLU and 2x2 max-pooling, then fully connected layers.

    Dropout sits on the *input* of every fully connected layer: ``flatten -> dropout -> linear -> ReLU -> dropout ->
    linear``. It has no parameters and draws nothing at construction, so the initial weights do not depend on p.

    Args:
        p: drop probability of every dropout layer.
        in_channels: channels of the image.
        num_classes: outputs.
        hidden: widths of the fully connected layers before the output layer.
        channels: output channels of the two convolutions.

    Shape:
        input (N, in_channels, 32, 32), output: logits (N, num_classes).

    Raises:
        ValueError: p outside of [0, 1], or in `forward` an input of another shape.

    Example:
        >>> sum(weight.numel() for weight in LeNet5(num_classes=43).parameters())
        6785963

    Source:
        LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document recognition", Proc. IEEE
        86(11); the widths are those of present-day traffic-sign networks.
    """

    def __init__(
        self,
        p: float = 1 / 3,
        *,
        in_channels: int = 1,
        num_classes: int = 10,
        hidden: tuple[int, ...] = (4096,),
        channels: tuple[int, int] = (32, 64),
    ) -> None:
        super().__init__()
        check_p("LeNet5", p)
        self.in_channels = in_channels
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, channels[0], 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(channels[0], channels[1], 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(),
        )  # fmt: skip  # one line a stage
        widths = (channels[1] * _POOLED_SIDE**2, *hidden)
        layers: list[nn.Module] = []
        for num_inputs, num_outputs in pairwise(widths):
            layers += [Dropout(p), nn.Linear(num_inputs, num_outputs), nn.ReLU()]
        self.classifier = nn.Sequential(*layers, Dropout(p), nn.Linear(widths[-1], num_classes))

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of a batch of images."""
        if images.ndim != 4 or images.shape[1:] != (self.in_channels, _SIDE, _SIDE):
            allowed = f"of shape (N, {self.in_channels}, {_SIDE}, {_SIDE})"
            bad_value("LeNet5", "images", allowed, tuple(images.shape), "Pad 28x28 images by 2.")
        logits: Tensor = self.classifier(self.features(images))
        return logits


def lenet5_1998(p: float = 1 / 3, *, in_channels: int = 1, num_classes: int = 10) -> LeNet5:
    """Return LeCun's LeNet-5 in the way in which it is mostly rendered today, with dropout at the same places.

    6 and 16 channels, fully connected layers of 120 and 84. The paper differs in this: its subsampling layers average
    and have a trainable coefficient and bias, squashed by a sigmoid; its units are scaled tanh; a table connects each
    map of the second convolution to some maps of the first only; its output layer measures distances to fixed codes
    (RBF). Here: max-pooling, ReLU, full connections, linear output, cross entropy. The 120 units, a convolution in the
    paper, see the whole 5x5 map, which makes them a fully connected layer; so dropout sits on the inputs of three.

    Args:
        p: drop probability of every dropout layer.
        in_channels: channels of the image.
        num_classes: outputs.

    Example:
        >>> sum(weight.numel() for weight in lenet5_1998().parameters())
        61706
    """
    return LeNet5(p, in_channels=in_channels, num_classes=num_classes, hidden=(120, 84), channels=(6, 16))
