"""Log-mel spectrograms, in torch alone."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from thinout._checks import bad_value, check_count

_RANGE = 1e-6  # of power below the loudest place of a clip: 60 dB; all that is softer is taken for silence
_SMALLEST = 1e-20  # so that a silent clip has a logarithm


def mel_filters(*, rate: int, num_bins: int, num_mels: int) -> Tensor:
    r"""Return triangular filters over frequencies, equally spaced on the mel scale, (num_bins, num_mels).

    .. math:: m(f) = 2595 \log_{10}(1 + f / 700)

    Each filter rises from the centre of the one below to 1 at its own and falls to the centre of the one above.

    Args:
        rate: samples a second; bins lie evenly in [0, rate / 2].
        num_bins: frequencies of the spectrum.
        num_mels: filters.

    Raises:
        ValueError: a filter lies between two bins and sees none: too many filters for so few bins.

    Example:
        >>> mel_filters(rate=8000, num_bins=129, num_mels=4).shape
        torch.Size([129, 4])

    Source: Davis, Mermelstein 1980, IEEE Trans. ASSP 28(4); the formula for mel is O'Shaughnessy's (1987), as in HTK.
    """
    check_count("mel_filters", "num_mels", num_mels)
    top = 2595 * math.log10(1 + rate / 2 / 700)
    corners = 700 * (10 ** (torch.linspace(0, top, num_mels + 2, dtype=torch.float64) / 2595) - 1)
    frequencies = torch.linspace(0, rate / 2, num_bins, dtype=torch.float64)[:, None]
    low, centre, high = corners[:-2], corners[1:-1], corners[2:]
    rising, falling = (frequencies - low) / (centre - low), (high - frequencies) / (high - centre)
    filters = torch.minimum(rising, falling).clamp(min=0)
    if (filters.sum(0) == 0).any():
        bad_value("mel_filters", "num_mels", f"few enough for {num_bins} frequencies", num_mels)
    return filters.float()


def log_mel(waves: Tensor, *, rate: int, num_mels: int = 40, window: int = 256, hop: int = 128) -> Tensor:
    r"""Return the log-mel spectrograms of clips, each with mean 0 and deviation 1, (N, num_mels, T // hop + 1).

    Power of a Hann-windowed Fourier transform, summed by mel filters, no softer than 60 dB below the loudest place of
    the clip; then its logarithm, standardised clip by clip, which takes the loudness of a recording out.

    Args:
        waves: (N, T), of any scale.
        rate: samples a second.
        num_mels: filters.
        window: samples that one frame sees.
        hop: samples between two frames.

    Example:
        >>> log_mel(torch.randn(2, 8000), rate=8000).shape
        torch.Size([2, 40, 63])
    """
    shape = torch.hann_window(window)
    spectrum = torch.stft(waves, window, hop, window=shape, pad_mode="constant", return_complex=True)
    filters = mel_filters(rate=rate, num_bins=window // 2 + 1, num_mels=num_mels)
    power = torch.einsum("nft,fm->nmt", spectrum.abs().square(), filters)
    floor = power.amax((1, 2), keepdim=True) * _RANGE
    levels = torch.maximum(power, floor).clamp(min=_SMALLEST).log()
    centred = levels - levels.mean((1, 2), keepdim=True)
    return centred / centred.square().mean((1, 2), keepdim=True).sqrt().clamp(min=1e-3)
