"""LeNet-5 with dropout, in a wide form of today and in the form of 1998."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from thinout._checks import bad_value, check_p
from thinout.nn import Dropout

_SIDE = 32  # of the input image; 28x28 images are padded by 2
_NUM_POOLED = 2
_POOLED_SIDE = 5  # 32 -conv5-> 28 -pool2-> 14 -conv5-> 10 -pool2-> 5


class LeNet5(nn.Module):
    """Unpadded 5x5 convolutions with ReLU, the first two with 2x2 max-pooling, then fully connected layers.

    Dropout sits on the *input* of every fully connected layer: ``flatten -> dropout -> linear -> ReLU -> dropout ->
    linear``. It has no parameters and draws nothing at construction, so the initial weights do not depend on p.

    Args:
        p: drop probability of every dropout layer.
        in_channels: channels of the image.
        num_classes: outputs.
        hidden: widths of the fully connected layers before the output layer.
        channels: output channels of the convolutions: two that are pooled, and at most a third, which sees the whole
            5x5 map that they leave.

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
        channels: tuple[int, ...] = (32, 64),
    ) -> None:
        super().__init__()
        check_p("LeNet5", p)
        self.in_channels = in_channels
        stages: list[nn.Module] = []
        for index, (num_inputs, num_outputs) in enumerate(pairwise((in_channels, *channels))):
            pooling = [nn.MaxPool2d(2)] if index < _NUM_POOLED else []
            stages += [nn.Conv2d(num_inputs, num_outputs, 5), nn.ReLU(), *pooling]
        self.features = nn.Sequential(*stages, nn.Flatten())
        num_features = channels[-1] * (_POOLED_SIDE**2 if len(channels) == _NUM_POOLED else 1)
        layers: list[nn.Module] = []
        for num_inputs, num_outputs in pairwise((num_features, *hidden)):
            layers += [Dropout(p), nn.Linear(num_inputs, num_outputs), nn.ReLU()]
        self.classifier = nn.Sequential(*layers, Dropout(p), nn.Linear((num_features, *hidden)[-1], num_classes))

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of a batch of images."""
        if images.ndim != 4 or images.shape[1:] != (self.in_channels, _SIDE, _SIDE):
            allowed = f"of shape (N, {self.in_channels}, {_SIDE}, {_SIDE})"
            bad_value("LeNet5", "images", allowed, tuple(images.shape), "Pad 28x28 images by 2.")
        logits: Tensor = self.classifier(self.features(images))
        return logits


def lenet5_1998(p: float = 1 / 3, *, in_channels: int = 1, num_classes: int = 10) -> LeNet5:
    """Return LeCun's LeNet-5 as it is mostly rendered today, with dropout on the inputs of its fully connected layers.

    Convolutions C1, C3 and C5 of 6, 16 and 120 maps; fully connected F6 of 84 units and the output layer, each behind
    dropout. The paper differs in this: its subsampling layers average and have a trainable coefficient and bias,
    squashed by a sigmoid; its units are scaled tanh; a table connects each map of C3 to some maps of S2 only; its
    output layer measures distances to fixed codes (RBF). Here: max-pooling, ReLU, full connections, a linear output
    and cross entropy. C5, whose 5x5 windows see one place only, is often written as a linear layer of 400 inputs; as
    it is a convolution in the paper, no dropout precedes it, and both forms of the net have dropout at two places.

    Args:
        p: drop probability of every dropout layer.
        in_channels: channels of the image.
        num_classes: outputs.

    Example:
        >>> sum(weight.numel() for weight in lenet5_1998().parameters())
        61706
    """
    return LeNet5(p, in_channels=in_channels, num_classes=num_classes, hidden=(84,), channels=(6, 16, 120))
