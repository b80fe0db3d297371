"""Cut a drive into contiguous blocks, and those into frames or clips with the steering to be predicted."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d
from torch.utils.data import TensorDataset

from thinout._checks import check_count
from thinout.lab.data._sampling import Indices
from thinout.lab.data._split import Splits, channel_statistics
from thinout.lab.data._tub import Drive
from thinout.lab.data._types import bad_data

NUM_BLOCKS = 5
GAP = 10  # frames: half a second at the 20 a second that Donkeycar takes by default
_Mask = npt.NDArray[np.bool_]


def drive_splits(
    drive: Drive, *, seed: int, clip: int = 1, pool: int = 1, every: int = 1, num_blocks: int = NUM_BLOCKS
) -> Splits:
    r"""Cut a drive into contiguous blocks: one to test on, one to validate on, the others to learn from.

    Neighbouring frames are nearly equal, so a random split would test on what was learnt. Frames of the training part
    that are at most `GAP` frames from another part are left out. The training part comes twice, once mirrored, with
    the steering turned round. Pixels are standardised by channel, angles by mean and deviation of the training part
    without its mirror image: a prediction of 0 is that of the training mean.

    Args:
        drive: the frames in their order.
        seed: block ``seed % num_blocks`` is the test part; the validation part is the block that follows it (the first
            follows the last), and with each further `num_blocks` seeds the one after that.
        clip: successive frames an example; the steering is that of the last one.
        pool: frames are averaged over squares of this side.
        every: how many frames training examples are apart.
        num_blocks: number of blocks, at least 3.

    Returns:
        Inputs (N, 3, height, width), or (N, 3, clip, height, width) of clips; targets (N, 1).

    Raises:
        ValueError, TypeError: an argument out of range, or no number.
        DataError: too few frames, or a constant angle.
    """
    for name, value, least in (("seed", seed, 0), ("clip", clip, 1), ("pool", pool, 1), ("every", every, 1)):
        check_count("drive_splits", name, value, at_least=least)
    check_count("drive_splits", "num_blocks", num_blocks, at_least=3)
    train, validation, test = (_ends(part, clip) for part in _parts(len(drive.frames), seed, num_blocks))
    if min(map(len, (train, validation, test))) == 0:
        bad_data(drive.name, "frames", f"enough for {num_blocks} blocks of clips of {clip}", len(drive.frames))
    mean, std = channel_statistics(drive.name, drive.frames[train])
    pixels = _pixels(drive, mean, std, pool)
    centre, scale = drive.angles[train].mean(), drive.angles[train].std()
    if scale == 0:
        bad_data(drive.name, "angles", "different from each other in the training part", "one constant number")

    def part(ends: Indices, *, mirror: bool = False) -> TensorDataset:
        places = torch.from_numpy(ends[:, None] + np.arange(1 - clip, 1))
        clips = pixels[places].transpose(1, 2).contiguous() if clip > 1 else pixels[places[:, 0]]
        angles = drive.angles[ends, None]
        if mirror:
            clips, angles = torch.cat([clips, clips.flip(-1)]), np.concatenate([angles, -angles])
        return TensorDataset(clips, torch.from_numpy(((angles - centre) / scale).astype(np.float32)))

    held, tested = part(validation), part(test)
    shape = tuple(tested.tensors[0].shape[1:])
    train_part = part(train[::every], mirror=True)
    return Splits(train_part, held, tested, 1, shape, mean, std, target_std=(float(scale),))


def _parts(num_frames: int, seed: int, num_blocks: int) -> tuple[_Mask, _Mask, _Mask]:
    blocks = np.arange(num_frames) * num_blocks // num_frames
    tested = seed % num_blocks
    held = (tested + 1 + seed // num_blocks % (num_blocks - 1)) % num_blocks
    test, validation = blocks == tested, blocks == held
    others_before = np.concatenate([[0], np.cumsum(test | validation)])  # frames of the two parts before each place
    places = np.arange(num_frames)
    start, stop = np.maximum(places - GAP, 0), np.minimum(places + GAP + 1, num_frames)
    return others_before[stop] == others_before[start], validation, test


def _ends(part: _Mask, clip: int) -> Indices:
    """Return the places of frames that, with the `clip` - 1 before them, lie in the part."""
    windows = np.lib.stride_tricks.sliding_window_view(np.concatenate([np.zeros(clip - 1, bool), part]), clip)
    return np.flatnonzero(windows.all(1))


def _pixels(drive: Drive, mean: tuple[float, ...], std: tuple[float, ...], pool: int) -> Tensor:
    pixels = torch.from_numpy(drive.frames).permute(0, 3, 1, 2).to(torch.float32).div_(255)
    pixels.sub_(torch.tensor(mean).view(1, -1, 1, 1)).div_(torch.tensor(std).view(1, -1, 1, 1))
    return avg_pool2d(pixels, pool) if pool > 1 else pixels.contiguous()
