"""From batches of uint8 images to batches that are ready for the network, on whatever device they lie."""

import math

import numpy as np
import torch
from torch.nn import functional

# Mean and standard deviation of ImageNet's channels, as torchvision's weights expect them.
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def channel_statistics(images):
    """Mean and standard deviation of each channel, in [0, 1], of uint8 (N, H, W) or (N, H, W, 3).

    Two tuples of three floats; grey images count as three equal channels. Computed from the histogram, so it is exact
    and independent of the order of the images.
    """
    channels = [images] if images.ndim == 3 else [images[..., k] for k in range(3)]
    level, found = np.arange(256) / 255, []
    for channel in channels:
        share = np.bincount(channel.reshape(-1), minlength=256) / channel.size
        mean = float((share * level).sum())
        deviation = math.sqrt(float((share * (level - mean) ** 2).sum()))
        found.append((mean, max(deviation, 1 / 255)))  # a set of constant images must not divide by zero
    means, deviations = zip(*(found * 3 if images.ndim == 3 else found))
    return means, deviations


def to_channels(images):
    """uint8 (N, H, W) or (N, H, W, 3) as float (N, 1 or 3, S, S) in [0, 1], the middle square: no face is squeezed."""
    images = images.unsqueeze(1) if images.ndim == 3 else images.permute(0, 3, 1, 2)
    height, width = images.shape[2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return images[:, :, top:top + side, left:left + side].float() / 255


def normalise(images, mean, std):
    """float (N, 1 or 3, H, W) in [0, 1] as (N, 3, H, W) with the given mean and deviation of each channel removed.

    Three floats each; a loop on a GPU gives them as tensors that lie there, so as not to wait for them.
    """
    mean, std = (torch.as_tensor(values, device=images.device).view(1, 3, 1, 1) for values in (mean, std))
    return (images - mean).div_(std).contiguous(memory_format=torch.channels_last)


def resize(images, size):
    """float (N, C, H, W) as (N, C, size, size); averages when it shrinks."""
    if images.shape[-2:] == (size, size):
        return images
    return functional.interpolate(images, (size, size), mode="bilinear", antialias=True, align_corners=False)


DRAWS = 13  # random numbers that ``augment`` takes for an image


def augment(images, size, rng, *, flip=True, rotation=0.0, crop=0.0, shift=0.0, erase=0.0):
    """Flip, rotate, crop, shift and blot each image of a batch with numbers of its own.

    ``images`` float (N, C, H, W); returns (N, C, size, size).
    ``rotation``: the largest angle in degrees, either way. ``crop``: the largest share of the side that is cut away;
    where the window lies is drawn too, and ``shift`` moves it by up to that share of the side, beyond the border even.
    ``erase``: the chance that a rectangle of 2 to 20 % of the image is filled with one grey of its own.
    ``rng``: a CPU generator on every device, so that a GPU augments as a CPU does, or (N, DRAWS) numbers drawn from
    one, on the images' device. One interpolation does everything, and the border repeats the outermost pixels.
    """
    draws = rng
    if isinstance(rng, torch.Generator):
        draws = torch.rand(len(images), DRAWS, generator=rng).to(images.device)
    mirror = torch.where(draws[:, 0] < 0.5, -1.0, 1.0) if flip else torch.ones_like(draws[:, 0])
    angle = (2 * draws[:, 1] - 1) * math.radians(rotation)
    side = 1 - crop * draws[:, 2]
    centre = (2 * draws[:, 3:5] - 1) * (1 - side).unsqueeze(1) + 2 * shift * (2 * draws[:, 5:7] - 1)
    matrix = torch.stack([torch.stack([mirror * side * angle.cos(), -side * angle.sin(), centre[:, 0]], 1),
                          torch.stack([mirror * side * angle.sin(), side * angle.cos(), centre[:, 1]], 1)], 1)
    grid = functional.affine_grid(matrix, [len(images), images.shape[1], size, size], align_corners=False)
    images = functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return _erase(images, draws[:, 7:], erase) if erase else images


def _erase(images, draws, share):
    """Random erasing (Zhong et al. 2020): ``draws`` (N, 6) say whether, how large, how wide, where (2), how grey."""
    size = images.shape[-1]
    area, stretch = 0.02 + 0.18 * draws[:, 1], torch.exp((2 * draws[:, 2] - 1) * math.log(3.0))
    half = torch.stack([(area * stretch).sqrt(), (area / stretch).sqrt()], 1) / 2
    axis = (torch.arange(size, device=images.device) + 0.5) / size
    inside = (axis - draws[:, 3:5, None]).abs() < half[:, :, None]
    blot = inside[:, 0, None, :] & inside[:, 1, :, None] & (draws[:, 0] < share)[:, None, None]
    return torch.where(blot[:, None], draws[:, 5, None, None, None], images)
