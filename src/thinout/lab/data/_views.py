"""Images as a network sees them: normalised, and at training time shifted, mirrored or recoloured at random."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample, interpolate, pad
from torch.utils.data import Dataset


class Images(Protocol):
    """uint8 images of one shape (C, H, W): a tensor (N, C, H, W), or photos that are decoded when asked for."""

    def __len__(self) -> int:
        """Return how many there are."""
        ...

    def __getitem__(self, index: int, /) -> Tensor:
        """Return one."""
        ...


View = Callable[[Tensor], Tensor]
"""From uint8 images (N, C, H, W) to the float32 inputs of a network."""


class Viewed(Dataset[tuple[Tensor, Tensor]]):
    """Images with labels, seen through a view; what a view draws at random comes from torch's default generator.

    Args:
        images: uint8, of one shape.
        labels: int64, (N,).
        view: turns a batch of images into inputs.
        indices: which of them; None is all.
    """

    def __init__(self, images: Images, labels: Tensor, view: View, indices: Tensor | None = None) -> None:
        self.images, self.view = images, view
        self.indices = torch.arange(len(images)) if indices is None else indices
        self.labels = labels[self.indices]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
        """Return several examples, whose images go through the view together."""
        chosen = self.indices[torch.as_tensor(indices)]
        if isinstance(self.images, Tensor):
            pixels = self.images[chosen]
        else:
            pixels = torch.stack([self.images[index] for index in chosen.tolist()])
        return list(zip(self.view(pixels), self.labels[torch.as_tensor(indices)], strict=True))


@dataclass(frozen=True, eq=False)
class Photo:
    """What AlexNet sees: a square out of a larger one, less the mean and over the deviation of each channel.

    Args:
        size: side of the square that the network takes.
        square: side that images are scaled to before; they are square already.
        mean: of each channel over the training part, on the scale [0, 1].
        std: likewise.
        noise: (3, 3), or None: the middle square, nothing at random. Its columns are the principal components of the
            training part's colours, each times its eigenvalue; with it, a random square, mirrored half of the time,
            gets the colour shift ``noise @ a`` with each a of N(0, 0.1).

    Source: Krizhevsky, Sutskever, Hinton 2012, "ImageNet classification with deep convolutional neural networks",
    section 4.1.
    """

    size: int
    square: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    noise: Tensor | None = None

    def __call__(self, pixels: Tensor) -> Tensor:
        """Return inputs (N, 3, size, size)."""
        scaled = pixels.to(torch.float32).div_(255)
        if scaled.shape[-1] != self.square:
            scaled = interpolate(scaled, (self.square, self.square), mode="bilinear", antialias=True)
        num, play = len(scaled), self.square - self.size
        if self.noise is None:
            top = left = torch.full((num,), play // 2)
            mirrored, shift = torch.zeros(num, dtype=torch.bool), torch.zeros(num, 3)
        else:
            top, left = torch.randint(play + 1, (2, num))
            mirrored = torch.rand(num) < 0.5
            shift = 0.1 * torch.randn(num, 3) @ self.noise.T
        squares = _cut(scaled, top, left, mirrored, self.size) + shift[:, :, None, None]
        return (squares - _channels(self.mean)) / _channels(self.std)


def _cut(images: Tensor, top: Tensor, left: Tensor, mirrored: Tensor, size: int) -> Tensor:
    steps = torch.arange(size)
    rows = top[:, None] + steps
    columns = left[:, None] + torch.where(mirrored[:, None], size - 1 - steps, steps)
    number = torch.arange(len(images))[:, None, None]
    return images.permute(0, 2, 3, 1)[number, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()


def _channels(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values).view(1, -1, 1, 1)


def colour_components(pixels: Tensor) -> Tensor:
    """Return the principal components of RGB values in [0, 1], each times its eigenvalue, as columns (3, 3).

    Args:
        pixels: (N, 3) values of pixels.
    """
    values, vectors = torch.linalg.eigh(torch.cov(pixels.double().T))
    # Eigenvectors are known up to their sign: one is chosen, or two machines may differ.
    signs = torch.where(vectors.gather(0, vectors.abs().argmax(0, keepdim=True)) < 0, -1.0, 1.0)
    components: Tensor = vectors * signs * values
    return components.float()


@dataclass(frozen=True, kw_only=True)
class Sign:
    """What a network for traffic signs sees: each image by itself centred and scaled to unit deviation.

    That takes brightness and contrast out, which differ much more between two photos of one sign than signs do.

    Args:
        degrees: largest rotation, drawn uniformly.
        shift: largest shift in each direction, as a share of the side.
        scale: largest relative change of size.
        stretch: largest relative change of width, while the height changes the other way.
        shear: largest slant: movement sideways over height.
        blur: largest share of a mean over 3x3 pixels that is mixed in, in [0, 1].
        size: side that images are scaled to, or None for the one that they have.
        local: whether brightness and contrast are taken out around each pixel too, by `locally_normalised`: a shadow
            across a sign is then gone as well.

    With the first six 0 nothing is drawn. Signs are not mirrored: a mirrored one is often another sign.
    """

    degrees: float = 0.0
    shift: float = 0.0
    scale: float = 0.0
    stretch: float = 0.0
    shear: float = 0.0
    blur: float = 0.0
    size: int | None = None
    local: bool = False

    def still(self) -> Sign:
        """Return the view that draws nothing: what images are tested with."""
        return Sign(size=self.size, local=self.local)

    def __call__(self, pixels: Tensor) -> Tensor:
        """Return inputs (N, C, H, W)."""
        images = standardised(pixels)
        if self.size is not None and images.shape[-1] != self.size:
            images = interpolate(images, (self.size, self.size), mode="bilinear", antialias=True)
        if self.degrees or self.shift or self.scale or self.stretch or self.shear:
            images = self._moved(images)
        if self.blur:
            images = images.lerp(_box_mean(images, 3), self.blur * torch.rand(len(images), 1, 1, 1))
        return locally_normalised(images) if self.local else images

    def _moved(self, images: Tensor) -> Tensor:
        angle, size, right, down, width, slant = torch.rand(6, len(images)).mul_(2).sub_(1)
        angle, size = angle * (self.degrees * torch.pi / 180), 1 + self.scale * size
        wide, high = size * (1 + self.stretch * width), size * (1 - self.stretch * width)
        # In coordinates where the image spans [-1, 1]: a share of the side is twice as much there.
        rows = [
            torch.stack([wide * angle.cos(), self.shear * slant - wide * angle.sin(), 2 * self.shift * right]),
            torch.stack([high * angle.sin(), high * angle.cos(), 2 * self.shift * down]),
        ]
        grid = affine_grid(torch.stack(rows).permute(2, 0, 1), list(images.shape), align_corners=False)
        return grid_sample(images, grid, padding_mode="border", align_corners=False)


def standardised(pixels: Tensor) -> Tensor:
    """Return images each with mean 0 and deviation 1 over all its pixels and channels; a constant one becomes 0."""
    images = pixels.to(torch.float32)
    dims = tuple(range(1, images.dim()))
    centred = images - images.mean(dims, keepdim=True)
    # Whole numbers that are not all equal deviate by more than this; so only a constant image is touched by it.
    return centred / centred.square().mean(dims, keepdim=True).sqrt().clamp(min=1e-3)


def locally_normalised(images: Tensor) -> Tensor:
    r"""Return images with mean and deviation around each pixel taken out: local contrast normalisation.

    With $m$ the mean of the channels around a pixel and $s$ their deviation there,
    $(x - m) / \max(s, \bar s / 2)$ where $\bar s$ is the mean of $s$ over the image: what is flat stays flat, and is
    not blown up into noise. "Around" is a triangular window that reaches over a quarter of the side.

    Args:
        images: (N, C, H, W).

    Source: Jarrett, Kavukcuoglu, Ranzato, LeCun 2009, "What is the best multi-stage architecture for object
    recognition?", ICCV, where the floor is the whole mean and the window Gaussian; Sermanet, LeCun 2011,
    "Traffic sign recognition with multi-scale convolutional networks", IJCNN, for these images.
    """
    grey = images.mean(1, keepdim=True)
    window = 2 * (images.shape[-1] // 8) + 1
    centre = _box_mean(_box_mean(grey, window), window)
    spread = _box_mean(_box_mean((grey - centre).square(), window), window).sqrt()
    floor = (spread.mean((1, 2, 3), keepdim=True) / 2).clamp(min=1e-3)
    return (images - centre) / torch.maximum(spread, floor)


def _box_mean(images: Tensor, window: int) -> Tensor:
    """Return the mean over a square around each pixel; beyond the border its pixels go on."""
    reach = window // 2
    rows = avg_pool2d(pad(images, (reach, reach, 0, 0), mode="replicate"), (1, window), stride=1)
    return avg_pool2d(pad(rows, (0, 0, reach, reach), mode="replicate"), (window, 1), stride=1)
