"""Centre loss: Eq. 1 pulls each feature towards its class centre, Eq. 2 moves the centres."""

import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from .errors import FerError


class CenterLoss(nn.Module):
    """Eq. 1 and Eq. 2 of the paper, after Wen et al., *A discriminative feature learning approach for deep face
    recognition*, ECCV 2016.

    ``forward(features, labels)``: ½‖x_i − c_{y_i}‖², reduced by "mean" (the default here), "sum" (as Eq. 1 is
    printed) or "none". It moves nothing. λ is no part of it: the training loop multiplies.

    ``update_centers(features, labels)``: one step of Eq. 2, once per optimiser step:
    Δc_j = Σ_i δ(y_i = j)(c_j − x_i) / (1 + Σ_i δ(y_i = j)), c_j ← c_j − α Δc_j.

    ``centers`` is a float32 buffer (num_classes, feat_dim): saved with the module, unknown to the optimiser, and so
    free of weight decay and of λ. They start at zero. Raises ``FerError`` for features that are not a float
    (B, feat_dim), for labels that are not an integer (B,), for an empty batch and for α that is negative or not finite.
    """

    def __init__(self, num_classes, feat_dim, *, alpha=0.5, reduction="mean"):
        super().__init__()
        if not (isinstance(alpha, (int, float)) and math.isfinite(alpha) and alpha >= 0):
            raise FerError(f"alpha = {alpha!r}: give a finite number from 0 up, usually below 1.")
        if reduction not in ("mean", "sum", "none"):
            raise FerError(f"reduction {reduction!r}: choose 'mean', 'sum' or 'none'.")
        if alpha > 2:
            warnings.warn(f"alpha = {alpha}: above 2 the centres of large classes overshoot further with every step "
                          "and diverge.", stacklevel=2)
        self.alpha, self.reduction = float(alpha), reduction
        self.register_buffer("centers", torch.zeros(num_classes, feat_dim))

    def forward(self, features, labels):
        self._check(features, labels)
        # Half precision cannot hold the small differences between large coordinates, so this part is an fp32 island.
        with torch.autocast(features.device.type, enabled=False):
            loss = 0.5 * (features.float() - self.centers[labels]).square().sum(1)
        return {"mean": loss.mean, "sum": loss.sum, "none": lambda: loss}[self.reduction]()

    @torch.no_grad()
    def update_centers(self, features, labels):
        self._check(features, labels)
        deviations = self.centers[labels] - features.detach().float()
        sums = torch.zeros_like(self.centers).index_add_(0, labels, deviations)
        counts = torch.bincount(labels, minlength=len(self.centers)).unsqueeze(1)
        self.centers -= self.alpha * sums / (1 + counts)

    def extra_repr(self):
        return f"classes={len(self.centers)}, feat_dim={self.centers.shape[1]}, alpha={self.alpha}"

    def _check(self, features, labels):
        if features.ndim != 2 or features.shape[1] != self.centers.shape[1] or not features.is_floating_point():
            raise FerError(f"features are {features.dtype} {tuple(features.shape)}; give floats of shape "
                           f"(batch, {self.centers.shape[1]}).")
        if labels.shape != features.shape[:1] or labels.dtype not in (torch.int64, torch.int32):
            raise FerError(f"labels are {labels.dtype} {tuple(labels.shape)}; give integers of shape "
                           f"({len(features)},).")
        if not len(features):
            raise FerError("an empty batch has no centre loss; leave it out.")
        # On a GPU this would wait for the device at every step; FaceDataset has checked the labels already.
        if labels.device.type == "cpu" and not (0 <= int(labels.min()) and int(labels.max()) < len(self.centers)):
            wrong = labels[(labels < 0) | (labels >= len(self.centers))][0]
            raise FerError(f"label {int(wrong)} is out of range; there are {len(self.centers)} centres, numbered "
                           "from 0.")


@dataclass(frozen=True)
class Simulation:
    """What ``simulate`` saw. ``start`` and ``points`` (N, 2): where the points began and ended; ``labels`` (N,);
    ``paths`` (steps + 1, classes, 2): the centres; ``cross_entropy`` and ``center_loss`` (steps,)."""

    alpha: float
    lam: float
    labels: np.ndarray
    start: np.ndarray
    points: np.ndarray
    paths: np.ndarray
    cross_entropy: np.ndarray
    center_loss: np.ndarray

    def by_class(self):
        """(name, points, path of the centre) of each class."""
        return [(name, self.points[self.labels == k], self.paths[:, k]) for k, name in enumerate(self.names)]

    names = ("happiness", "sadness", "surprise")


def simulate(alpha, lam, *, seed=0, steps=60, members=30, batch=24, rate=0.05):
    """Eq. 1 to Eq. 3 on three classes of free points in the plane, small enough for a slider.

    Each step, every point goes down the gradient of L_S + λ L_C (both summed over the points; three fixed directions
    are the classifier), and a batch of points moves the centres by Eq. 2. Returns a ``Simulation``.
    """
    chance = np.random.default_rng(seed)
    directions = np.array([[0.0, 1.2], [-1.04, -0.6], [1.04, -0.6]])
    labels = np.repeat(np.arange(3), members)
    points = start = 0.7 * directions[labels] + chance.normal(0, 0.8, (3 * members, 2))
    one_hot, centers = np.eye(3)[labels], np.zeros((3, 2))
    paths, cross_entropy, center = [centers], [], []
    for _ in range(steps):
        logits = points @ directions.T
        shares = np.exp(logits - logits.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        away = points - centers[labels]
        cross_entropy.append(-np.log((shares * one_hot).sum(1)).mean())
        center.append(0.5 * (away**2).sum(1).mean())
        chosen = chance.permutation(len(points))[:batch]
        counts = one_hot[chosen].sum(0)[:, None]
        centers = centers + alpha * (one_hot[chosen].T @ away[chosen]) / (1 + counts)
        points = points - rate * ((shares - one_hot) @ directions + lam * away)
        paths.append(centers)
    return Simulation(alpha, lam, labels, start, points, np.array(paths), np.array(cross_entropy), np.array(center))
