"""AlexNet in three published forms, and a small one for small images; each with dropout where its source has it."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from thinout._checks import bad_value, check_choice, check_count, check_p
from thinout.nn import Dropout

Form = Literal["single-tower", "two-towers", "torchvision"]

FORMS = ("single-tower", "two-towers", "torchvision")
_WIDTHS = {
    "single-tower": (96, 256, 384, 384, 256),
    "two-towers": (96, 256, 384, 384, 256),
    "torchvision": (64, 192, 384, 256, 256),
}
_ONES = (2, 4, 5, 6, 7)  # layers that the paper starts with biases of 1, so that their ReLUs are active at first
_MAP_SIDE = 6  # of the map that the last pooling leaves, at the sizes that AlexNet is made for
_NATURAL = 227  # 227 -conv11/4-> 55 -pool3/2-> 27 -conv5-> 27 -pool3/2-> 13 -conv3- -conv3- -conv3-> 13 -pool3/2-> 6


class AlexNet(nn.Module):
    """Five convolutions with ReLU, three of them max-pooled, and three fully connected layers of 9216 inputs.

    * ``"single-tower"``: widths 96, 256, 384, 384, 256, every map connected with every other; dropout on the inputs of
      fc6 and fc7, as in torchvision's.
    * ``"two-towers"``: the paper's: conv2, conv4 and conv5 in two groups, each of which sees half of the maps; local
      response normalisation after conv1 and conv2; dropout on the outputs of fc6 and fc7; weights from N(0, 0.01),
      biases 1 in conv2, conv4, conv5, fc6 and fc7, else 0.
    * ``"torchvision"``: narrower (64, 192, 384, 256, 256), PyTorch's initial weights; state dicts of
      ``torchvision.models.alexnet`` fit it.

    Dropout has no parameters and draws nothing at construction, so the initial weights do not depend on p.

    Args:
        p: drop probability of both dropout layers.
        form: one of the above.
        num_classes: outputs.
        in_channels: channels of the image.
        side: of the image in pixels. At 227 the first convolution, 11x11 with stride 4, has no padding, and at 224 (and
            any other) 2: either gives 55x55. At a size whose last map is not 6x6, an adaptive average makes it so:
            the fully connected layers stay what they are.

    Shape:
        input (N, in_channels, side, side), output: logits (N, num_classes).

    Raises:
        ValueError: p outside of [0, 1], no such form, side below 63, or in `forward` an input of another shape.

    Example:
        >>> with torch.device("meta"):
        ...     nets = [AlexNet(form=form) for form in ("single-tower", "two-towers", "torchvision")]
        >>> [sum(weight.numel() for weight in net.parameters()) for net in nets]
        [62378344, 60965224, 61100840]

    Source:
        Krizhevsky, Sutskever, Hinton 2012, "ImageNet classification with deep convolutional neural networks", NeurIPS
        25; Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks", arXiv 1404.5997, whose
        single tower torchvision has.
    """

    def __init__(
        self,
        p: float = 1 / 3,
        *,
        form: Form = "single-tower",
        num_classes: int = 1000,
        in_channels: int = 3,
        side: int = 224,
    ) -> None:
        super().__init__()
        check_p("AlexNet", p)
        check_choice("AlexNet", "form", form, FORMS)
        check_count("AlexNet", "num_classes", num_classes)
        check_count("AlexNet", "side", side, at_least=63)  # the last pooling then sees 3x3
        self.in_channels, self.side = in_channels, side
        self.features = _features(form, in_channels, 0 if side == _NATURAL else 2)
        self.avgpool = nn.AdaptiveAvgPool2d((_MAP_SIDE, _MAP_SIDE))
        num_features = _WIDTHS[form][-1] * _MAP_SIDE**2
        self.classifier = _classifier(form, p, (num_features, 4096, 4096, num_classes))
        _initialise(self, form)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of a batch of images."""
        _check_images("AlexNet", images, self.in_channels, self.side)
        logits: Tensor = self.classifier(torch.flatten(self.avgpool(self.features(images)), 1))
        return logits


class SmallAlexNet(nn.Module):
    """AlexNet cut down for images of 64x64: its layers in their order, a first window of 5x5, a quarter of the width.

    Dropout sits on the inputs of the two hidden fully connected layers.

    Args:
        p: drop probability of both dropout layers.
        num_classes: outputs.
        in_channels: channels of the image.
        widths: channels of the five convolutions.
        hidden: width of the two hidden fully connected layers.

    Shape:
        input (N, in_channels, 64, 64), output: logits (N, num_classes).

    Raises:
        ValueError: p outside of [0, 1], or in `forward` an input of another shape.

    Example:
        >>> sum(weight.numel() for weight in SmallAlexNet(num_classes=10).parameters())
        797290
    """

    side = 64
    _map_side = 3  # 64 -conv5/2-> 32 -pool3/2-> 15 -conv5-> 15 -pool3/2-> 7 -conv3- -conv3- -conv3-> 7 -pool3/2-> 3

    def __init__(
        self,
        p: float = 1 / 3,
        *,
        num_classes: int = 10,
        in_channels: int = 3,
        widths: tuple[int, int, int, int, int] = (24, 64, 96, 96, 64),
        hidden: int = 512,
    ) -> None:
        super().__init__()
        check_p("SmallAlexNet", p)
        self.in_channels = in_channels
        one, two, three, four, five = widths
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, one, 5, stride=2, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(one, two, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(two, three, 3, padding=1), nn.ReLU(),
            nn.Conv2d(three, four, 3, padding=1), nn.ReLU(),
            nn.Conv2d(four, five, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2),
        )  # fmt: skip  # a stage a line
        self.classifier = _classifier("single-tower", p, (five * self._map_side**2, hidden, hidden, num_classes))
        _initialise(self, "single-tower")

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of a batch of images."""
        _check_images("SmallAlexNet", images, self.in_channels, self.side)
        logits: Tensor = self.classifier(torch.flatten(self.features(images), 1))
        return logits


def _features(form: str, in_channels: int, padding: int) -> nn.Sequential:
    one, two, three, four, five = _WIDTHS[form]
    groups = 2 if form == "two-towers" else 1
    layers: list[nn.Module] = []
    for convolution, has_response_norm, is_pooled in (
        (nn.Conv2d(in_channels, one, 11, stride=4, padding=padding), True, True),
        (nn.Conv2d(one, two, 5, padding=2, groups=groups), True, True),
        (nn.Conv2d(two, three, 3, padding=1), False, False),
        (nn.Conv2d(three, four, 3, padding=1, groups=groups), False, False),
        (nn.Conv2d(four, five, 3, padding=1, groups=groups), False, True),
    ):
        layers += [convolution, nn.ReLU(inplace=True)]
        if has_response_norm and form == "two-towers":
            # PyTorch divides alpha by the size of the window, the paper does not: 1e-4 there is 5e-4 here.
            layers.append(nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0))
        if is_pooled:
            layers.append(nn.MaxPool2d(3, stride=2))
    return nn.Sequential(*layers)


def _classifier(form: str, p: float, widths: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for num_inputs, num_outputs in pairwise(widths[:-1]):
        hidden = [nn.Linear(num_inputs, num_outputs), nn.ReLU(inplace=True)]
        layers += [*hidden, Dropout(p)] if form == "two-towers" else [Dropout(p), *hidden]
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))


def _initialise(model: nn.Module, form: str) -> None:
    """Draw initial weights: the paper's for the two towers, PyTorch's for torchvision's, else He's with biases 0."""
    if form == "torchvision":
        return
    layers = [module for module in model.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    for number, layer in enumerate(layers, start=1):
        if form == "two-towers" or number == len(layers):  # small last weights: all classes start alike
            nn.init.normal_(layer.weight, std=0.01)
        else:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if layer.bias is not None:
            nn.init.constant_(layer.bias, 1.0 if form == "two-towers" and number in _ONES else 0.0)


def _check_images(where: str, images: Tensor, in_channels: int, side: int) -> None:
    if images.ndim != 4 or images.shape[1:] != (in_channels, side, side):
        remedy = "Scale and crop images, or give the network another side."
        bad_value(where, "images", f"of shape (N, {in_channels}, {side}, {side})", tuple(images.shape), remedy)
