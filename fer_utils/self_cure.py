"""``SelfCure``: images whose label looks wrong weigh less, and some are relabelled.

SCN, Wang et al. 2020, *Suppressing uncertainties for large-scale facial expression recognition*, CVPR; the paper of
this course names it as future work. It has three parts, one for each of the network's doubts: how important an image
is, that some are clearly less important than others, and whether another label fits it better.
"""

import torch
from torch import nn
from torch.nn import functional

from .errors import FerError

HIGH = 0.7  # β, the share of a batch that counts as important
MARGIN = 0.15  # δ₁, by how much the important ones shall be ahead in the mean
RELABEL = 0.2  # δ₂, by how much another class must be more probable than the label


class SelfCure(nn.Module):
    """The importance of each image, and the labels as they are by now.

    ``labels`` int64 (N,), those of the training images, are copied: the buffer ``labels`` is what ``relabel`` changes,
    and is saved with the module. ``forward(features, logits, rows)`` does all of SCN in a step: it returns the weighted
    logits (B, C) that enter the cross-entropy, and the rank loss, to be added to it with the same weight (the paper's
    γ = 0.5; so λ of a centre loss beside them keeps its meaning). With ``rows`` (B,), these images may be relabelled.
    """

    def __init__(self, feat_dim, labels):
        super().__init__()
        self.attention = nn.Linear(feat_dim, 1)
        self.register_buffer("labels", labels.clone())

    def forward(self, features, logits, rows=None):
        importance = self.importance(features)
        weighted = weighted_logits(logits, importance)
        if rows is not None:
            self.relabel(rows, weighted, importance)
        return weighted, rank_regularisation(importance)

    def importance(self, features):
        """α_i = σ(wᵀx_i) (eq. 1), float32 (B,), between 0 and 1, from features (B, D)."""
        return self.attention(features.float()).squeeze(1).sigmoid()

    @torch.no_grad()
    def relabel(self, rows, logits, importance):
        """Give the images ``rows`` int64 (B,) of the less important group another label where the network is surer of
        it than of theirs by δ₂ (eq. 6): y′ = argmax P where max P − P_y > δ₂.

        The published code looks at the important group, too; the paper, and this, do not.
        """
        high, low = groups(importance)
        probabilities = logits.float().softmax(1)[low]
        most, answers = probabilities.max(1)
        own = probabilities.gather(1, self.labels[rows[low]].unsqueeze(1)).squeeze(1)
        surer = most - own > RELABEL
        self.labels[rows[low][surer]] = answers[surer]


def weighted_logits(logits, importance):
    """What enters the cross-entropy: α_i Wᵀx_i (eq. 2). ``logits`` (B, C), ``importance`` (B,).

    An image with α near 0 has almost equal logits whatever the network says, and so hardly any gradient.
    """
    return importance.unsqueeze(1) * logits.float()


def rank_regularisation(importance):
    """max(0, δ₁ − (mean α of the important group − mean α of the other)) (eq. 3 and 4), a scalar.

    Without it the network would find everything equally important.
    """
    high, low = groups(importance)
    return functional.relu(MARGIN - (importance[high].mean() - importance[low].mean()))


def groups(importance):
    """Indexes of the more important 70 % of a batch and of the rest, int64; each has one image at least."""
    if len(importance) < 2:
        raise FerError("one image alone has no rank; self_cure needs two in a batch.")
    order = importance.argsort(descending=True, stable=True)
    edge = min(max(1, round(HIGH * len(order))), len(order) - 1)
    return order[:edge], order[edge:]
