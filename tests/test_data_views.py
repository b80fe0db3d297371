"""What networks see of images: crops, colours, movements; from values that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from _photos import write_photos

from thinout.lab.data import Sign, Viewed, open_folder, photo_splits
from thinout.lab.data._views import Photo, colour_components, locally_normalised, standardised

PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1 / 255,) * 3}  # inputs are then the pixels' numbers


def numbered(num: int = 1, side: int = 8) -> torch.Tensor:
    """Return images whose pixels are all different in each channel."""
    return (torch.arange(3 * side * side) % 251).view(1, 3, side, side).expand(num, -1, -1, -1).to(torch.uint8)


def test_without_noise_a_photo_is_its_middle_square() -> None:
    pixels = numbered()
    seen = Photo(4, 8, **PLAIN)(pixels)
    torch.testing.assert_close(seen, pixels[:, :, 2:6, 2:6].float(), atol=1e-3, rtol=0)


def test_a_training_photo_is_any_square_or_its_mirror_image() -> None:
    pixels = numbered(2000, 8)
    seen = Photo(7, 8, **PLAIN, noise=torch.zeros(3, 3))(pixels).round().to(torch.uint8)
    squares = [pixels[0, :, top : top + 7, left : left + 7] for top in (0, 1) for left in (0, 1)]
    possible = [variant for square in squares for variant in (square, square.flip(2))]
    counts = [int((seen == variant).flatten(1).all(1).sum()) for variant in possible]
    assert sum(counts) == 2000
    # Each is Binomial(2000, 1/8), mean 250, deviation 14.8: below 170 or above 330 with probability 1e-6 for all eight.
    assert min(counts) > 170
    assert max(counts) < 330


def test_the_colour_shift_has_the_paper_s_distribution() -> None:
    noise = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.5, 0.0], [0.0, 0.0, 0.0]])
    seen = Photo(4, 4, (0.0,) * 3, (1.0,) * 3, noise)(torch.zeros(40_000, 3, 4, 4, dtype=torch.uint8))
    assert seen.flatten(2).std(2).max() == 0  # one shift for all pixels of an image
    shifts = seen[:, :, 0, 0]
    # 0.1 times noise times standard normals: covariance 0.01 * noise @ noise.T; 40,000 draws know a deviation to
    # 0.35 %, and 3 % are over eight of its standard errors.
    torch.testing.assert_close(shifts.std(0), 0.1 * noise.square().sum(1).sqrt(), rtol=0.03, atol=1e-6)
    torch.testing.assert_close(torch.cov(shifts.T), 0.01 * noise @ noise.T, rtol=0.06, atol=1e-3)


def test_colour_components_are_eigenvectors_times_eigenvalues() -> None:
    values = torch.tensor([0.04, 0.01, 0.0025], dtype=torch.float64)
    vectors = torch.linalg.qr(torch.tensor([[1.0, 2, 0], [0, 1, 3], [2, 0, 1]], dtype=torch.float64)).Q
    draws = torch.randn(200_000, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    components = colour_components(draws * values.sqrt() @ vectors.T).double()
    got = sorted(components.norm(dim=0).tolist(), reverse=True)
    np.testing.assert_allclose(got, values, rtol=0.02)
    assert (components.T @ components - torch.diag(components.square().sum(0))).abs().max() < 1e-6  # orthogonal
    largest = components[:, components.norm(dim=0).argmax()]
    assert abs(float(largest @ vectors[:, 0]) / 0.04) > 0.99


def test_a_sign_is_centred_and_scaled_by_itself() -> None:
    pixels = torch.randint(0, 120, (5, 3, 32, 32), dtype=torch.uint8)
    seen = Sign()(pixels)
    torch.testing.assert_close(seen.mean((1, 2, 3)), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(seen.square().mean((1, 2, 3)), torch.ones(5))
    torch.testing.assert_close(Sign()(2 * pixels + 7), seen, atol=1e-4, rtol=1e-4)  # brightness and contrast are gone
    assert standardised(torch.full((1, 3, 4, 4), 9, dtype=torch.uint8)).abs().max() == 0


def test_a_sign_that_is_not_moved_stays_and_one_that_is_stays_near() -> None:
    pixels = numbered(64, 32)
    still = Sign(shift=1e-9)(pixels)
    torch.testing.assert_close(still, Sign()(pixels), atol=1e-3, rtol=0)
    smooth = torch.linspace(0, 250, 32).to(torch.uint8).expand(64, 3, 32, 32)
    moved = Sign(shift=0.1)(smooth)[:, :, 16, 16]
    slope = 31 / (2 * 31 / 3.4641) * 2 / 31  # of the standardised ramp, a pixel
    assert (moved - Sign()(smooth)[:, :, 16, 16]).abs().max() <= 0.1 * 32 * slope * 1.1
    assert moved.std() > 0.05
    assert Sign(degrees=10, size=64)(pixels).shape == (64, 3, 64, 64)


def dots(num: int, *, column: int = 16) -> torch.Tensor:
    """Return a dot far up and a dot far down, each wide enough that a shift by less than a pixel moves its weight."""
    pixels = torch.zeros(num, 1, 33, 33, dtype=torch.uint8)
    pixels[:, :, 4:7, column - 1 : column + 2] = 200
    pixels[:, :, 26:29, column - 1 : column + 2] = 200
    return pixels


def columns_of(images: torch.Tensor, rows: slice) -> torch.Tensor:
    """Return the centre of brightness of some rows."""
    bright = (images - images.amin((1, 2, 3), keepdim=True))[:, 0, rows].sum(1)
    return (bright * torch.arange(33.0)).sum(1) / bright.sum(1)


def test_a_slant_moves_top_and_bottom_apart() -> None:
    torch.manual_seed(0)
    seen = Sign(shear=0.3)(dots(2000))
    top, bottom = columns_of(seen, slice(16)), columns_of(seen, slice(17, 33))
    torch.testing.assert_close(top + bottom, torch.full((2000,), 32.0), atol=0.05, rtol=0)
    apart = (bottom - top).abs().max().item()  # 22 rows lie between: up to 0.3 * 22 columns, and 2000 draws come near
    assert 0.98 * 6.6 < apart < 1.02 * 6.6


def test_a_stretch_widens_what_it_flattens() -> None:
    torch.manual_seed(0)
    flat = torch.maximum(dots(2000, column=6), dots(2000, column=26))
    seen = Sign(stretch=0.2)(flat)
    bright = seen - seen.amin((1, 2, 3), keepdim=True)
    weight, steps = bright.sum((1, 2, 3)), torch.arange(33.0) - 16
    wide = ((bright.sum((1, 2)) * steps.square()).sum(1) / weight).sqrt()
    high = ((bright.sum((1, 3)) * steps.square()).sum(1) / weight).sqrt()
    # Sampled from a coordinate a times as far, a thing is 1/a as large: 1 / (1 + u) wide and 1 / (1 - u) high.
    assert np.corrcoef(1 / wide.numpy(), 1 / high.numpy())[0, 1] < -0.99
    assert (wide.max() / wide.min()).item() == pytest.approx(1.2 / 0.8, rel=0.03)


def test_blur_mixes_in_the_mean_of_the_neighbours() -> None:
    torch.manual_seed(0)
    pixels = torch.zeros(3000, 1, 33, 33, dtype=torch.uint8)
    pixels[:, :, 16, 16] = 255
    seen = Sign(blur=0.6)(pixels)
    base = seen[:, 0, 0, 0]
    share = (seen[:, 0, 16, 17] - base) / (seen[:, 0, 15:18, 15:18].sum((1, 2)) - 9 * base)
    assert 0 <= share.min() < 0.001  # a ninth of what is mixed in
    assert 0.6 / 9 - 0.001 < share.max() <= 0.6 / 9 + 1e-5
    sd = 0.6 / 9 / 12**0.5  # of a uniform draw
    assert abs(share.mean().item() - 0.3 / 9) < 4 * sd / 3000**0.5  # false-alarm rate 6e-5, seed fixed


def test_a_shadow_and_contrast_are_gone_where_they_are_taken_out_locally() -> None:
    generator = torch.Generator().manual_seed(3)
    image = torch.randint(0, 90, (4, 3, 32, 32), generator=generator).float()
    plain = locally_normalised(image)
    torch.testing.assert_close(locally_normalised(2.5 * image + 40), plain, atol=1e-4, rtol=1e-4)
    slope = torch.linspace(0, 60, 32)  # light that grows across the sign: its own mean follows it, but at the borders
    torch.testing.assert_close(locally_normalised(image + slope)[..., 8:24], plain[..., 8:24], atol=0.12, rtol=0)
    assert (standardised((image + slope).byte()) - standardised(image.byte()))[..., 8:24].abs().max() > 0.3
    # By hand, in the middle of an image that is one dot: windows of 3 make the triangle 1/9, 2/9, 3/9, 2/9, 1/9.
    dot = torch.zeros(1, 1, 9, 9)
    dot[0, 0, 4, 4] = 1
    triangle = torch.tensor([1.0, 2, 3, 2, 1]) / 9
    near = torch.outer(triangle, triangle)
    centred = torch.zeros(13, 13)
    centred[6, 6] = 1
    centred[4:9, 4:9] -= near
    spread = torch.stack(
        [torch.stack([(centred.square()[r : r + 5, c : c + 5] * near).sum() for c in range(9)]) for r in range(9)]
    ).sqrt()
    expected = centred[2:11, 2:11] / spread.clamp(min=spread.mean().item() / 2)
    torch.testing.assert_close(locally_normalised(dot)[0, 0], expected, atol=1e-5, rtol=1e-4)
    assert locally_normalised(torch.full((1, 3, 32, 32), 7.0)).abs().max() < 1e-3


def test_a_view_that_holds_still_draws_nothing() -> None:
    pixels = numbered(6, 32)
    view = Sign(degrees=10, shift=0.1, scale=0.1, stretch=0.1, shear=0.1, blur=1.0, size=40, local=True)
    before = torch.get_rng_state()
    seen = view.still()(pixels)
    assert torch.equal(torch.get_rng_state(), before)
    assert seen.shape == (6, 3, 40, 40)
    torch.testing.assert_close(seen, Sign(size=40, local=True)(pixels), atol=0, rtol=0)


def test_a_shift_moves_by_its_share_of_the_side() -> None:
    pixels = torch.zeros(4000, 1, 33, 33, dtype=torch.uint8)
    pixels[:, :, 16, 16] = 255
    moved = Sign(shift=0.2)(pixels).flatten(1).argmax(1)
    rows, columns = moved // 33, moved % 33
    for places in (rows, columns):
        assert (places.min().item(), places.max().item()) in {(16 - r, 16 + r) for r in (6, 7)}  # 0.2 * 33 = 6.6


def test_what_is_seen_at_random_comes_from_the_generator_alone(tmp_path) -> None:
    splits = photo_splits(open_folder(write_photos(tmp_path / "photos"), side=18), seed=0, size=16, validation=0.34)
    assert isinstance(splits.train, Viewed)
    looks = []
    for _ in range(2):
        torch.manual_seed(5)
        looks.append(torch.stack([x for x, _ in splits.train.__getitems__([0, 1, 2])]))
    assert torch.equal(*looks)
    assert not torch.equal(looks[0], torch.stack([splits.train[i][0] for i in range(3)]))
    plain = splits.plain_train
    assert torch.equal(plain[0][0], plain[0][0])
    assert splits.measured_train is plain
    assert splits.train.labels.tolist() == [int(label) for _, label in plain]
    assert splits.shape == plain[0][0].shape == (3, 16, 16)
