"""Centre loss: Eq. 1 pulls each feature towards its class centre, Eq. 2 moves the centres."""

import math
import warnings

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
