"""Networks that steer: from a camera frame, and from a clip of successive frames."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from thinout._checks import bad_value, check_choice, check_p
from thinout.nn import Dropout, Dropout3d

_FRAME = (3, 60, 80)


class SteeringNet(nn.Module):
    """Four convolutions with strides, then fully connected layers with dropout on their inputs.

    It has the form of the network of Bojarski et al. at a sixth of its width: ``convolutions -> flatten -> dropout ->
    linear -> ReLU -> dropout -> linear``. Dropout draws nothing at construction, so the initial weights do not depend
    on p.

    Args:
        p: drop probability of both dropout layers.
        hidden: units of the hidden fully connected layer.

    Shape:
        input (N, 3, 60, 80), output (N, 1).

    Raises:
        ValueError: p outside of [0, 1], or in `forward` an input of another shape.

    Example:
        >>> import torch
        >>> SteeringNet(0.2)(torch.zeros(2, 3, 60, 80)).shape
        torch.Size([2, 1])

    Source:
        Bojarski et al. 2016, "End to end learning for self-driving cars", arXiv 1604.07316.
    """

    def __init__(self, p: float = 0.2, *, hidden: int = 64) -> None:
        super().__init__()
        check_p("SteeringNet", p)
        self.features = nn.Sequential(
            nn.Conv2d(3, 12, 5, stride=2),  # 60x80 -> 28x38
            nn.ReLU(),
            nn.Conv2d(12, 16, 5, stride=2),  # -> 12x17
            nn.ReLU(),
            nn.Conv2d(16, 24, 3, stride=2),  # -> 5x8
            nn.ReLU(),
            nn.Conv2d(24, 24, 3),  # -> 3x6
            nn.ReLU(),
            nn.Flatten(),
        )
        self.regressor = nn.Sequential(
            Dropout(p), nn.Linear(24 * 3 * 6, hidden), nn.ReLU(), Dropout(p), nn.Linear(hidden, 1)
        )

    def forward(self, frames: Tensor) -> Tensor:
        """Return the steering of each frame."""
        if frames.ndim != 4 or frames.shape[1:] != _FRAME:
            bad_value("SteeringNet", "frames", f"of shape (N, {', '.join(map(str, _FRAME))})", tuple(frames.shape))
        angles: Tensor = self.regressor(self.features(frames))
        return angles


class ClipNet(nn.Module):
    """Three convolutions over time and space, a mean over time, and a linear layer; dropout behind each convolution.

    Args:
        p: drop probability of every dropout layer.
        drop: what one draw of dropout decides on: ``"channels"``, a whole channel of a clip (`Dropout3d`); or
            ``"locked"``, one place of one channel, alike at all times of the clip: a mask drawn anew for each frame
            would be averaged out by the frames beside it, which are nearly equal.

    Shape:
        input (N, 3, T, 30, 40), output (N, 1).

    Raises:
        ValueError: p outside of [0, 1], another `drop`, or in `forward` an input that is no clip.

    Example:
        >>> import torch
        >>> ClipNet(0.1)(torch.zeros(2, 3, 8, 30, 40)).shape
        torch.Size([2, 1])

    Source:
        Tompson et al. 2015, "Efficient object localization using convolutional networks", arXiv 1411.4280 (whole
        channels); Gal, Ghahramani 2016, "A theoretically grounded application of dropout in recurrent neural
        networks", arXiv 1512.05287 (one mask for all times).
    """

    def __init__(self, p: float = 0.1, *, drop: Literal["channels", "locked"] = "channels") -> None:
        super().__init__()
        check_p("ClipNet", p)
        check_choice("ClipNet", "drop", drop, ("channels", "locked"))

        def dropout() -> nn.Module:
            return Dropout3d(p) if drop == "channels" else Dropout(p, noise_shape=(None, None, 1, None, None))

        self.features = nn.Sequential(
            nn.Conv3d(3, 12, (3, 5, 5), stride=2, padding=(1, 0, 0)),  # 8x30x40 -> 4x13x18
            nn.ReLU(),
            dropout(),
            nn.Conv3d(12, 24, 3, stride=(1, 2, 2), padding=(1, 0, 0)),  # -> 4x6x8
            nn.ReLU(),
            dropout(),
            nn.Conv3d(24, 32, 3, stride=(1, 1, 2), padding=(1, 0, 0)),  # -> 4x4x3
            nn.ReLU(),
            dropout(),
        )
        self.regressor = nn.Sequential(nn.Flatten(), nn.Linear(32 * 4 * 3, 1))

    def forward(self, clips: Tensor) -> Tensor:
        """Return the steering at the end of each clip."""
        if clips.ndim != 5 or clips.shape[1] != 3:
            bad_value("ClipNet", "clips", "of shape (N, 3, T, 30, 40)", tuple(clips.shape))
        angles: Tensor = self.regressor(self.features(clips).mean(2))
        return angles
