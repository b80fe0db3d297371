"""Read wav files of one stated format with Python's own `wave`."""

from __future__ import annotations

import io
import wave

import numpy as np
import numpy.typing as npt

from thinout.lab.data._types import bad_data

Samples = npt.NDArray[np.int16]

_WIDTH = 2  # bytes a sample


def read_wav(content: bytes, where: object, *, rate: int) -> Samples:
    """Return the samples of a mono wav file of 16 bit, (T,).

    Args:
        content: the file's bytes.
        where: how messages call the file.
        rate: samples a second that the file must have; nothing is resampled.

    Raises:
        DataError: another rate, width or number of channels; no wav file, an empty one, or one that is cut short.
    """
    remedy = f"Convert it: ffmpeg -i IN.wav -ac 1 -ar {rate} -sample_fmt s16 OUT.wav."
    try:
        with wave.open(io.BytesIO(content)) as file:
            got, num_samples = (file.getnchannels(), 8 * file.getsampwidth(), file.getframerate()), file.getnframes()
            samples = file.readframes(num_samples)
    except (wave.Error, EOFError, RuntimeError) as error:  # `chunk` raises the latter where a size leads nowhere
        got_error = f"{type(error).__name__}: {error}".removesuffix(": ")
        # "unknown format": floating-point numbers; in Python 3.11 also the extensible header that 24 bit may come with.
        bad_data(where, "file", "a complete wav file (PCM)", got_error, remedy if "unknown" in got_error else "")
    if got != (1, 8 * _WIDTH, rate):
        channels, bits, got_rate = got
        allowed = f"of 1 channel, 16 bit, {rate} Hz"
        bad_data(where, "file", allowed, f"{channels} channel(s), {bits} bit, {got_rate} Hz", remedy)
    if num_samples == 0:
        bad_data(where, "file", "at least one sample long", "none")
    if len(samples) != _WIDTH * num_samples:
        bad_data(where, "file", f"{num_samples} samples long", f"{len(samples) // _WIDTH}: it is cut short")
    return np.frombuffer(samples, dtype="<i2").astype(np.int16)
