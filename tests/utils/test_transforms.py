"""Batches in, batches out: each transform against a definition that is written down here."""

import math

import numpy as np
import pytest
import torch

from fer_utils.transforms import DRAWS, augment, channel_statistics, normalise, resize, to_channels


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(n=8, size=48, channels=1, seed=0):
    return torch.rand(n, channels, size, size, generator=rng(seed))


def test_channel_statistics_are_numpys_on_floats_in_any_order():
    for shape in ((50, 48, 48), (50, 20, 30, 3)):  # grey and colour
        images = np.random.default_rng(0).integers(0, 200, shape, np.uint8)
        images[..., 1] //= 2  # channels that differ
        floats = (images if len(shape) == 4 else np.stack([images] * 3, 3)) / 255
        mean, std = channel_statistics(images)
        assert mean == pytest.approx(floats.mean((0, 1, 2)), rel=1e-12) and len(mean) == 3
        assert std == pytest.approx(floats.std((0, 1, 2)), rel=1e-9) and len(std) == 3
        assert channel_statistics(images[::-1]) == (mean, std)
    assert channel_statistics(np.full((3, 8, 8), 51, np.uint8))[1] == (1 / 255,) * 3  # by which one can divide


def test_to_channels_of_grey_and_colour():
    grey = torch.arange(2 * 4 * 5, dtype=torch.uint8).view(2, 4, 5)
    colour = torch.stack([grey, grey + 100, 255 - grey], 3)
    square = grey[:, :, :4]  # the middle one: no face is squeezed
    assert torch.equal(to_channels(square), square[:, None].float() / 255)
    out = to_channels(colour)
    assert out.shape == (2, 3, 4, 4) and out.dtype == torch.float32
    assert torch.equal(out[:, 2], (255 - square).float() / 255)


def test_normalise_removes_each_channels_own_mean_and_deviation_given_as_numbers_or_tensors():
    images, mean, std = torch.full((1, 3, 2, 2), 0.5), (0.5, 0.25, 0.0), (0.1, 0.125, 0.5)
    out = normalise(images, mean, std)
    assert out[0, :, 0, 0].tolist() == pytest.approx([0, 2, 1])
    assert torch.equal(out, normalise(images, torch.tensor(mean), torch.tensor(std)))
    assert torch.equal(out, normalise(images[:, :1], mean, std))  # grey images become three channels


def test_resize_gives_the_size_and_keeps_constants_and_images_of_that_size():
    for channels, before, size in ((1, (48, 48), 24), (3, (48, 48), 96), (1, (48, 48), 31), (3, (40, 60), 48)):
        out = resize(torch.full((2, channels, *before), 0.3), size)
        assert out.shape == (2, channels, size, size) and (out - 0.3).abs().max() < 1e-6
    assert torch.equal(resize(batch(), 48), batch())


def test_resize_averages_when_it_shrinks():
    stripes = torch.zeros(1, 1, 64, 64)
    stripes[..., ::4] = 1.0  # a sampler that looks at two neighbours only would find none of them
    inner = resize(stripes, 16)[..., 2:-2]
    assert (inner - 0.25).abs().max() < 1e-5


def test_augment_with_all_off_is_the_identity_and_a_flip_alone_mirrors_some_images():
    for channels in (1, 3):
        images = batch(64, channels=channels)
        assert torch.allclose(augment(images, 48, rng(), flip=False), images, atol=1e-5)
        out = augment(images, 48, rng())
        kept = (out - images).abs().amax((1, 2, 3)) < 1e-4
        mirrored = (out - images.flip(3)).abs().amax((1, 2, 3)) < 1e-4
        assert (kept ^ mirrored).all() and 16 <= int(mirrored.sum()) <= 48


def test_each_image_has_numbers_of_its_own_and_keeps_its_pixels_in_all_channels_alike():
    images = batch(1).expand(64, 1, 48, 48)
    for options in ({"rotation": 10.0, "crop": 0.1}, {"flip": False, "rotation": 10.0}, {"flip": False, "crop": 0.2}):
        assert len(torch.unique(augment(images, 48, rng(), **options).flatten(1), dim=0)) >= 60, options
    images = torch.arange(8.0).view(8, 1, 1, 1).expand(8, 1, 48, 48) / 8
    assert torch.allclose(augment(images, 48, rng(), rotation=30.0, crop=0.3), images, atol=1e-5)
    out = augment(batch(16).expand(16, 3, 48, 48), 48, rng(), rotation=20.0, crop=0.2)
    assert torch.equal(out[:, 0], out[:, 1]) and torch.equal(out[:, 0], out[:, 2])


def test_the_generator_alone_decides_or_numbers_drawn_from_it_beforehand():
    images, before = batch(16), torch.get_rng_state()
    options = {"rotation": 10.0, "crop": 0.1, "shift": 0.1, "erase": 0.5}
    whole, again, other = (augment(images, 48, rng(seed), **options) for seed in (5, 5, 4))
    assert torch.equal(whole, again) and not torch.equal(whole, other)
    assert torch.equal(torch.get_rng_state(), before)
    draws = torch.rand(16, DRAWS, generator=rng(5))
    assert torch.equal(whole, augment(images, 48, draws, **options))
    halves = [augment(images[rows], 48, draws[rows], **options) for rows in (slice(0, 5), slice(5, 16))]
    assert torch.allclose(torch.cat(halves), whole, atol=1e-6)


def test_values_stay_between_zero_and_one_and_sizes_are_as_asked():
    for channels, size in ((1, 48), (1, 32), (3, 64)):
        out = augment(batch(32, channels=channels), size, rng(), flip=True, rotation=180.0, crop=0.9)
        assert out.shape == (32, channels, size, size) and out.min() >= 0 and out.max() <= 1


def test_rotation_turns_either_way_and_never_further_than_its_angle():
    size = 65
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, size)] * 2, indexing="ij")
    dot = torch.exp(-((x - 0.5) ** 2 + y**2) / 0.02).expand(256, 1, size, size)  # right of the middle
    for largest in (10.0, 90.0, 180.0):
        out = augment(dot, size, rng(), flip=False, rotation=largest)[:, 0]
        angles = torch.rad2deg(torch.atan2((out * y).sum((1, 2)), (out * x).sum((1, 2))))
        assert angles.abs().max() < largest + 0.5
        assert angles.max() > 0.9 * largest and angles.min() < -0.9 * largest
    ring = torch.exp(-((x**2 + y**2).sqrt() - 0.5) ** 2 / 0.01)  # looks the same after any turn and any mirror
    out = augment(ring.expand(64, 1, size, size), size, rng(), flip=True, rotation=math.degrees(math.pi))
    assert (out - ring).abs().max() < 0.05


def test_crop_cuts_away_up_to_its_share_and_never_looks_outside():
    ramp = torch.linspace(0, 1, 49).expand(256, 1, 49, 49)  # a window's position and width can be read off it
    rows = augment(ramp, 49, rng(), flip=False, crop=0.3)[:, 0, 24]
    steps = rows.diff(dim=1)[:, 1:-1]  # the outermost half pixel may be a repeated border
    width = steps.mean(1) * 48
    assert (steps - steps.mean(1, keepdim=True)).abs().max() < 1e-4
    assert width.min() > 0.69 and width.max() < 1.001
    assert width.min() < 0.73 and width.max() > 0.97
    middle = rows[:, 24]
    assert middle.min() < 0.45 and middle.max() > 0.55  # the window wanders
    assert ((middle - 0.5).abs() <= (1 - width) / 2 * 49 / 48 + 1e-4).all()  # and stays inside


def test_shift_moves_by_up_to_its_share_either_way_and_repeats_the_border():
    ramp = torch.linspace(0, 1, 41).expand(256, 1, 41, 41)  # where a window lies can be read off its middle
    out = augment(ramp, 41, rng(), flip=False, shift=0.2)[:, 0]
    moved = (out[:, 20, 20] - 0.5) * 40 / 41
    assert moved.abs().max() < 0.2 + 1e-4 and moved.max() > 0.18 and moved.min() < -0.18
    assert out.min() >= 0 and out.max() <= 1
    assert (out - out[:, :1]).abs().max() < 1e-5  # every row alike: across, it only moved
    down = augment(ramp.transpose(2, 3), 41, rng(), flip=False, shift=0.2)[:, 0, 20, 20]
    assert down.std() > 0.05 and not torch.equal(down, out[:, 20, 20])


def test_shift_and_erase_take_numbers_of_their_own():
    """Where they are off, images come out as they did before there were any."""
    images, options = batch(16), {"rotation": 10.0, "crop": 0.1}
    plain = augment(images, 48, rng(), **options)
    erased = augment(images, 48, rng(), erase=1.0, **options)
    outside = (plain - erased).abs().amax(1) < 1e-6
    assert 0.5 < outside.float().mean() < 0.98


def test_erase_blots_out_one_rectangle_of_one_grey_in_its_share_of_the_images():
    images = torch.full((512, 3, 48, 48), -1.0)  # a value that no blot has
    for share in (0.0, 0.3, 1.0):
        out = augment(images, 48, rng(), flip=False, erase=share)
        blots = out[:, 0] != -1
        found = blots.flatten(1).any(1)
        assert found.float().mean() == pytest.approx(share, abs=0.07)
        for image, blot in zip(out[found], blots[found]):
            assert torch.equal(blot, blot.any(1)[:, None] & blot.any(0))  # a rectangle
            assert len(image[:, blot].unique()) == 1 and 0 <= image[:, blot].max() <= 1
    areas, tall = blots.float().mean((1, 2)), blots.any(2).sum(1) / blots.any(1).sum(1)
    assert areas.max() < 0.24 and areas.median() > 0.03  # 2 to 20 %, less what lies beyond the border
    assert tall.min() < 0.6 and tall.max() > 1.6
