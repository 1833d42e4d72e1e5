"""``IslandLoss``: centre loss whose centres also push each other apart, in angle."""

import torch

from .center_loss import CenterLoss
from .errors import FerError


class IslandLoss(CenterLoss):
    """Cai et al. 2018, *Island loss for learning discriminative features in facial expression recognition*, FG. C
    classes, features of width D; features, labels, options and errors are ``CenterLoss``'s, under Eq. 2.

    ``forward``: L_IL = L_C + λ₁ Σ_j Σ_{k≠j} (1 + cos(c_j, c_k)), over ordered pairs, so that each pair counts twice.
    No gradient of the second part, ``repulsion()``, reaches the network: it knows the centres alone. Their step is

        Δc_j = Eq. 2's + λ₁/(C − 1) Σ_{k≠j} [ c_k / (‖c_k‖‖c_j‖) − (c_k·c_j) c_j / (‖c_k‖‖c_j‖³) ],

    and c_j ← c_j − α Δc_j. The bracket is the gradient of cos(c_j, c_k) with respect to c_j. A centre at the origin has
    no angle: its cosines count as 0, and it neither pushes nor is pushed. Unlike Eq. 2's, the step moves the centres of
    absent classes, too.
    """

    def __init__(self, num_classes, feat_dim, *, lam1=10.0, alpha=0.5, reduction="mean", init="zeros"):
        super().__init__(num_classes, feat_dim, alpha=alpha, reduction=reduction, init=init)
        if num_classes < 2 or reduction == "none" or not (isinstance(lam1, int | float) and 0 <= lam1 < float("inf")):
            raise FerError(f"{num_classes} classes, reduction {reduction!r}, lam1 = {lam1!r}: give two or more, 'mean' "
                           "or 'sum', and a finite number from 0 up.")
        self.lam1 = float(lam1)

    def forward(self, features, labels, class_weights=None):
        return super().forward(features, labels, class_weights) + self.lam1 * self.repulsion()

    def repulsion(self):
        """Σ_j Σ_{k≠j} (1 + cos(c_j, c_k)), a number; two centres reach 0 where they lie opposite each other."""
        cosines = (directions := self._directions()[0]) @ directions.T
        return (1 + cosines).sum() - (1 + cosines.diagonal()).sum()

    def update_centers(self, features, labels):
        self.update_centers_from(*self.class_statistics(features, labels))  # all centres move, in one step

    def _step(self, sums, counts):
        directions, inverse = self._directions()
        total = directions.sum(0)  # k = j adds nothing: a direction has no part across itself
        push = inverse * (total - (directions @ total).unsqueeze(1) * directions)
        return super()._step(sums, counts) + self.alpha * self.lam1 / (len(self.centers) - 1) * push

    def _directions(self):
        """Each centre's direction (C, D) and 1/‖c‖ (C, 1), both 0 at the origin."""
        norms = torch.linalg.vector_norm(self.centers, dim=1, keepdim=True)
        inverse = torch.where(norms > 0, 1 / norms, 0)
        return self.centers * inverse, inverse
