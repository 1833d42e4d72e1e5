"""Where a network looks: maps of the pixels that an answer rests on, and how well they meet a region that is known.

pytorch-grad-cam (``grad-cam`` on PyPI) draws class activation maps, too. It brings OpenCV, some 150 MB, for the few
lines that a reader should see anyway; so they stand here, and its GradCAM (1.5.7) gives the same maps to 3e-5.
"""

from itertools import product

import numpy as np
import torch

from .errors import FerError
from .evaluation import predict
from .transforms import normalise, resize, to_channels


def occlusion_map(network, images, classes, *, patch=8, stride=8, mean, **inputs):
    """How far a class's probability falls while a grey patch hides a pixel: float64 (N, H, W), the mean over all
    patches that hide it (Zeiler and Fergus 2014, section 4.2). Negative: the class gains by what is hidden.

    ``images``: uint8 (N, H, W) or (N, H, W, 3); ``classes``: (N,), whose probability; ``patch``, ``stride``: its side
    and its steps in pixels. It has the grey ``mean`` of the training images, which a network gets as 0; ``inputs``:
    what else ``evaluation.predict`` takes. For each place of the patch all images are copied, and answered.
    """
    images, classes = _checked(images, classes)
    height, width = images.shape[1:3]
    if not 1 <= stride <= patch <= min(height, width):
        raise FerError(f"patch {patch}, stride {stride}: give 1 <= stride <= patch <= {min(height, width)} pixels.")
    tops, lefts = ([*range(0, side - patch, stride), side - patch] for side in (height, width))
    hidden = np.zeros((len(tops) * len(lefts), height, width), bool)
    for place, (top, left) in zip(hidden, product(tops, lefts)):
        place[top:top + patch, left:left + patch] = True
    grey = np.rint(255 * np.asarray(mean)).astype(np.uint8)[:1 if images.ndim == 3 else 3]
    copies = np.where(hidden.reshape(len(hidden), 1, *images.shape[1:3], *[1] * (images.ndim - 3)), grey, images)
    seen = np.concatenate([images, copies.reshape(-1, *images.shape[1:])])
    answers = predict(network, seen, mean=mean, **inputs)[1].reshape(len(hidden) + 1, len(images), -1)
    asked = answers[:, np.arange(len(images)), classes].astype(np.float64)
    return np.tensordot(asked[0] - asked[1:], hidden, (0, 0)) / hidden.sum(0)


def class_activation_map(network, images, classes, layer, *, size, mean, std, **_):
    """Grad-CAM (Selvaraju et al. 2017): ReLU(Σ_k w_k A_k) of the maps A_k of one ``layer``, each weighted by the mean
    gradient of the class's logit in it, enlarged to the image: float64 (N, H, W). Arguments as in ``occlusion_map``.

    Where only average pooling and a linear layer follow, w_k is the class's weight of feature k over the number of
    places: Zhou et al. 2016's class activation map. A ResNet has 2 × 2 places there for 48 pixels, earlier ones more.
    """
    images, classes = _checked(images, classes)
    batch = normalise(resize(to_channels(torch.from_numpy(images)), size), mean, std)
    maps, training = [], network.training
    with layer.register_forward_hook(lambda module, given, out: maps.append(out)):
        logits = network.eval()(batch.to(next(network.parameters()).device))[1]
    network.train(training)
    gradient, = torch.autograd.grad(logits[torch.arange(len(images)), torch.from_numpy(classes)].sum(), maps)
    weighted = (gradient.mean((2, 3), keepdim=True) * maps[0]).sum(1, keepdim=True).relu().detach().cpu()
    return torch.nn.functional.interpolate(weighted, images.shape[1:3], mode="bilinear")[:, 0].double().numpy()


def score(maps, regions):
    """How well maps, float (N, H, W), meet the true regions, bool (N, H, W), none empty: two float64 (N,).

    The share of a map's positive mass that lies in the region (*relevance mass accuracy*, Arras et al. 2022) over the
    region's share of the image: 1 is no better than chance, nan a map without anything positive. And the *pointing
    game* (Zhang et al. 2018): 1 where the maximum lies in the region, 0 where not, of equal maxima the share that does.
    """
    maps, regions = np.asarray(maps, np.float64), np.asarray(regions)
    if maps.ndim != 3 or maps.shape != regions.shape or regions.dtype != bool or not regions.any((1, 2)).all():
        raise FerError(f"{maps.shape} maps, {regions.shape} regions of {regions.dtype}; give both (N, H, W), the "
                       "regions bool and none of them empty.")
    mass, highest = np.maximum(maps, 0), maps == maps.max((1, 2), keepdims=True)
    with np.errstate(invalid="ignore"):
        share = (mass * regions).sum((1, 2)) / mass.sum((1, 2))
    return share / regions.mean((1, 2)), (highest & regions).sum((1, 2)) / highest.sum((1, 2))


def _checked(images, classes):
    images, classes = np.ascontiguousarray(images), np.asarray(classes)
    if images.ndim not in (3, 4) or not len(images) or classes.shape != images.shape[:1]:
        raise FerError(f"{images.shape} images and {classes.shape} classes; give images (N, H, W) and a class each.")
    return images, classes.astype(np.int64)
