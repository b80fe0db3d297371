"""Spoken digits: wav files of one format alone, spectrograms against a plain computation, the official layout."""

from __future__ import annotations

import io
import math
import os
import struct
import tarfile
import wave
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from thinout.lab import data
from thinout.lab.data import DataError, Recordings, log_mel, read_recordings, recording_splits
from thinout.lab.data._log_mel import mel_filters
from thinout.lab.data._wav import read_wav

RATE = 8000
SAMPLES = np.array([0, 1, -1, 32767, -32768, 5], np.int16)


def wav(samples: np.ndarray = SAMPLES, *, rate: int = RATE, channels: int = 1, width: int = 2) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return buffer.getvalue()


def test_samples_come_as_they_are() -> None:
    np.testing.assert_array_equal(read_wav(wav(), "x.wav", rate=RATE), SAMPLES)


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (wav(rate=16_000), r"1 channel\(s\), 16 bit, 16000 Hz"),
        (wav(rate=44_100), "44100 Hz"),
        (wav(channels=2), r"2 channel\(s\)"),
        (wav(width=1), "8 bit"),
        (wav(width=3), "24 bit"),
    ],
)
def test_another_format_is_named_with_the_file_and_how_to_convert_it(content: bytes, got: str) -> None:
    with pytest.raises(
        DataError, match=rf"^set: x.wav: .*of 1 channel, 16 bit, 8000 Hz, got .*{got}.* -ar 8000"
    ) as caught:
        read_wav(content, "set: x.wav", rate=RATE)
    assert "\n" not in str(caught.value)


def test_a_file_cut_short_at_any_byte_is_an_error() -> None:
    whole = wav()
    for length in range(len(whole)):
        with pytest.raises(DataError, match=r"^x.wav: "):
            read_wav(whole[:length], "x.wav", rate=RATE)


def test_a_file_cut_short_says_how_much_is_there() -> None:
    with pytest.raises(DataError, match="6 samples long, got 4: it is cut short"):
        read_wav(wav()[:-4], "x.wav", rate=RATE)


def test_a_header_that_announces_gigabytes_is_an_error() -> None:
    content = bytearray(wav())
    content[40:44] = struct.pack("<I", 2**31)
    with pytest.raises(DataError, match="cut short"):
        read_wav(bytes(content), "x.wav", rate=RATE)


@pytest.mark.parametrize(
    "content", [b"", b"RIFF", b"<html>not found</html>", wav().replace(b"WAVE", b"AVI "), wav(SAMPLES[:0])]
)
def test_what_is_no_wav_file_is_an_error(content: bytes) -> None:
    with pytest.raises(DataError, match=r"^x.wav: "):
        read_wav(content, "x.wav", rate=RATE)


def test_floating_point_is_another_format_that_can_be_converted() -> None:
    content = bytearray(wav())
    content[20:22] = struct.pack("<H", 3)  # IEEE float
    with pytest.raises(DataError, match=r"PCM.*unknown format: 3\. Convert it: .* -ar 8000"):
        read_wav(bytes(content), "x.wav", rate=RATE)


def test_an_extensible_header_of_24_bit_is_another_format_that_can_be_converted() -> None:
    pcm = struct.pack("<H", 1) + bytes.fromhex("000000001000800000aa00389b71")
    form = struct.pack("<HHIIHHHHI", 0xFFFE, 1, RATE, 3 * RATE, 3, 24, 22, 24, 4) + pcm
    chunks = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", 6) + bytes(6)
    with pytest.raises(DataError, match=r"^x.wav: .*(65534|24 bit).*Convert it: .* -ar 8000"):
        read_wav(b"RIFF" + struct.pack("<I", len(chunks)) + chunks, "x.wav", rate=RATE)


def test_what_is_damaged_is_not_to_be_converted() -> None:
    with pytest.raises(DataError) as caught:
        read_wav(wav()[:30], "x.wav", rate=RATE)
    assert "Convert" not in str(caught.value)


def plain_log_mel(clip: np.ndarray, num_mels: int, window: int, hop: int) -> np.ndarray:
    """The same by the definitions, in loops and without any transform of a library."""
    padded = np.concatenate([np.zeros(window // 2), clip, np.zeros(window // 2)])
    hann = np.array([0.5 - 0.5 * math.cos(2 * math.pi * i / window) for i in range(window)])
    turns = np.exp(-2j * np.pi * np.outer(np.arange(window // 2 + 1), np.arange(window)) / window)
    frames = [turns @ (hann * padded[start : start + window]) for start in range(0, len(clip) + 1, hop)]
    power = np.abs(np.array(frames).T) ** 2  # (frequencies, frames)

    def mel(frequency: float) -> float:
        return 2595 * math.log10(1 + frequency / 700)

    centres = np.linspace(0, mel(RATE / 2), num_mels + 2)
    corners = 700 * (10 ** (centres / 2595) - 1)
    bands = np.zeros((num_mels, len(power)))
    for band, (low, centre, high) in enumerate(zip(corners, corners[1:], corners[2:], strict=False)):
        for place in range(len(power)):
            frequency = place * RATE / window
            if low < frequency < high:
                slope = (
                    (frequency - low) / (centre - low) if frequency < centre else (high - frequency) / (high - centre)
                )
                bands[band, place] = slope
    levels = bands @ power
    levels = np.log(np.maximum(levels, levels.max() * 1e-6))
    return (levels - levels.mean()) / levels.std()


def test_a_spectrogram_is_what_the_definitions_give() -> None:
    clip = np.random.default_rng(0).normal(size=700)
    got = log_mel(torch.from_numpy(clip).float()[None], rate=RATE, num_mels=12, window=128, hop=50)
    np.testing.assert_allclose(got[0].numpy(), plain_log_mel(clip, 12, 128, 50), atol=2e-4)


@pytest.mark.parametrize("frequency", [250, 1000, 3000])
def test_a_tone_is_in_its_band(frequency: int) -> None:
    tone = torch.sin(2 * math.pi * frequency * torch.arange(4000) / RATE)
    loudest = log_mel(tone[None], rate=RATE).mean(2).argmax().item()
    top = 2595 * math.log10(1 + RATE / 2 / 700)
    expected = 2595 * math.log10(1 + frequency / 700) / top * 41 - 1
    assert abs(loudest - expected) <= 1


def test_loudness_is_taken_out_and_silence_stays_finite() -> None:
    clips = torch.from_numpy(np.random.default_rng(1).normal(size=(1, 4000))).float()
    torch.testing.assert_close(log_mel(1000 * clips, rate=RATE), log_mel(clips, rate=RATE), atol=1e-3, rtol=0)
    assert log_mel(torch.zeros(1, 4000), rate=RATE).abs().max() < 0.01


def test_a_filter_that_no_frequency_reaches_is_refused() -> None:
    with pytest.raises(ValueError, match="`num_mels` must be few enough for 17 frequencies, got 40"):
        mel_filters(rate=RATE, num_bins=17, num_mels=40)


def tone(digit: int, speaker: int, take: int) -> np.ndarray:
    """A recording whose pitch is its digit."""
    length = 2000 + 97 * take
    return (8000 * np.sin(2 * np.pi * (300 + 300 * digit + speaker) * np.arange(length) / RATE)).astype(np.int16)


def recordings(takes: int = 8, digits: int = 10) -> dict[str, bytes]:
    speakers = ("george", "theo")
    return {
        f"{digit}_{name}_{take}.wav": wav(tone(digit, number, take))
        for digit in range(digits)
        for number, name in enumerate(speakers)
        for take in range(takes)
    }


def in_folder(path: Path, files: dict[str, bytes]) -> Path:
    path.mkdir()
    for name, content in files.items():
        (path / name).write_bytes(content)
    return path


def in_tar(path: Path, files: dict[str, bytes], root: str = "") -> Path:
    with tarfile.open(path, "w:xz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"{root}recordings/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def in_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("free-spoken-digit-dataset-master/README.md", "words")
        archive.writestr("__MACOSX/recordings/._0_george_0.wav", "what a Mac adds")
        for name, content in files.items():
            archive.writestr(f"free-spoken-digit-dataset-master/recordings/{name}", content)
    return path


FORMS: dict[str, Callable[[Path, dict[str, bytes]], Path]] = {"folder": in_folder, "tar": in_tar, "zip": in_zip}


@pytest.mark.parametrize("form", FORMS)
def test_the_official_layout_is_read_in_each_form(tmp_path: Path, form: str) -> None:
    found = read_recordings(FORMS[form](tmp_path / "set", recordings(takes=6)))
    assert (found.digits.tolist(), len(found.waves)) == ([digit for digit in range(10) for _ in range(12)], 120)
    assert found.speakers[:12] == ("george",) * 6 + ("theo",) * 6
    assert found.takes.tolist() == list(range(6)) * 20
    np.testing.assert_array_equal(found.waves[17], tone(1, 0, 5))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("10_george_0.wav", wav(), "named DIGIT_SPEAKER_TAKE.wav"),
        ("seven.wav", wav(), "named DIGIT_SPEAKER_TAKE.wav"),
        ("7_george_99.wav", wav(rate=16_000), "7_george_99.wav: .*8000 Hz, got .*16000 Hz"),
        ("7_george_99.wav", wav()[:-1], "7_george_99.wav: .*cut short"),
    ],
)
def test_a_bad_recording_is_named(tmp_path: Path, form: str, name: str, content: bytes, sentence: str) -> None:
    path = FORMS[form](tmp_path / "set", recordings(takes=1, digits=2) | {name: content})
    with pytest.raises(DataError, match=sentence):
        read_recordings(path)


def test_a_link_in_the_archive_is_refused(tmp_path: Path) -> None:
    path = in_tar(tmp_path / "set", recordings(takes=1))
    with tarfile.open(path, "w:xz") as archive:
        link = tarfile.TarInfo("recordings/0_george_0.wav")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(DataError, match="got the link"):
        read_recordings(path)


@pytest.mark.parametrize("form", FORMS)
def test_no_recordings_are_an_error(tmp_path: Path, form: str) -> None:
    with pytest.raises(DataError, match=r"files DIGIT_SPEAKER_TAKE.wav in a folder recordings, got none"):
        read_recordings(FORMS[form](tmp_path / "set", {}))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Recordings:
    return read_recordings(in_folder(tmp_path_factory.mktemp("speech") / "set", recordings()))


def test_takes_0_to_4_are_the_test_part_and_validation_is_by_take(small: Recordings) -> None:
    splits = recording_splits(small, seed=3, validation_takes=1)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [2 * 20, 20, 5 * 20]
    assert splits.shape == (1, 40, 63) == tuple(splits.train.tensors[0].shape[1:])
    for part in (splits.train, splits.validation, splits.test):
        counts = torch.bincount(part.tensors[1])
        assert len(set(counts.tolist())) == 1
    everything = log_mel(
        torch.from_numpy(np.stack([np.pad(wave, (0, 8000 - len(wave))) for wave in small.waves])) / 2**15, rate=RATE
    )
    torch.testing.assert_close(splits.test.tensors[0][:, 0], everything[torch.from_numpy(small.takes < 5)])


def test_the_seed_chooses_the_validation_takes_and_leaves_the_test_part(small: Recordings) -> None:
    some = [recording_splits(small, seed=seed, validation_takes=1) for seed in range(8)]
    again = recording_splits(small, seed=0, validation_takes=1)
    assert torch.equal(some[0].validation.tensors[0], again.validation.tensors[0])
    # The seeds are fixed; by chance all eight choose the same of three takes once in 2187.
    assert any(not torch.equal(some[0].validation.tensors[0], other.validation.tensors[0]) for other in some)
    assert all(torch.equal(some[0].test.tensors[0], other.test.tensors[0]) for other in some)


def test_too_few_takes_are_an_error(small: Recordings) -> None:
    with pytest.raises(DataError, match="more than 5 beside the 5 of the test part, got 3"):
        recording_splits(small, seed=0)


def test_other_recordings_under_the_known_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THINOUT_DATA", str(tmp_path))
    monkeypatch.setenv("THINOUT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "fsdd").mkdir()
    in_folder(tmp_path / "fsdd" / "recordings", recordings(takes=1))
    assert [check.state for check in data.check("fsdd")] == ["differs"]
    with pytest.raises(DataError, match=r"the 3000 of content dbd573d7.* got 20 of content"):
        data.load("fsdd")


def test_a_recording_of_another_rate_in_the_known_set_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THINOUT_DATA", str(tmp_path))
    (tmp_path / "fsdd").mkdir()
    in_folder(tmp_path / "fsdd" / "recordings", recordings(takes=1) | {"7_theo_0.wav": wav(rate=16_000)})
    with pytest.raises(DataError, match=r"7_theo_0.wav: .*of 1 channel, 16 bit, 8000 Hz, got .*16000 Hz.* -ar 8000"):
        data.load("fsdd")


def test_missing_recordings_say_where_how_and_what_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THINOUT_DATA", str(tmp_path))
    monkeypatch.setenv("THINOUT_CACHE", str(tmp_path / "cache"))
    with pytest.raises(DataError) as caught:
        data.load("fsdd")
    for words in (
        str(tmp_path / "fsdd"),
        str(tmp_path / "cache" / "fsdd"),
        "Get it from https://github.com/Jakobovski",
        "`thinout study lenet5` needs no download",
    ):
        assert words in str(caught.value)


@pytest.mark.data
@pytest.mark.skipif("THINOUT_DATA" not in os.environ, reason="THINOUT_DATA is not set")
def test_the_real_set_has_its_published_counts() -> None:
    real = data.load("fsdd")
    assert np.bincount(real.digits).tolist() == [300] * 10
    assert sorted(set(real.speakers)) == ["george", "jackson", "lucas", "nicolas", "theo", "yweweler"]
    assert sorted(set(real.takes.tolist())) == list(range(50))
    splits = recording_splits(real, seed=0)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [2400, 300, 300]
    assert [check.state for check in data.check("fsdd")] == ["ok"]
