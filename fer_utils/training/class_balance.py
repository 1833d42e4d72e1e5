"""Rare classes: what weighs more, is drawn more often, or is asked for more, by how many images a class has."""

from dataclasses import dataclass

import torch
from torch.nn import functional


@dataclass(frozen=True)
class ClassBalance:
    """What a recipe asks for, as tensors float32 (C,), each None where it is not asked for. ``weights`` multiply the
    cross-entropy of each image, ``center_weights`` its centre loss; ``shift`` is added to the logits in training."""

    weights: torch.Tensor | None = None
    center_weights: torch.Tensor | None = None
    shift: torch.Tensor | None = None

    def cross_entropy(self, logits, targets, label_smoothing=0.0):
        """The mean over a batch; ``targets`` are labels int64 (B,) or probabilities (B, C)."""
        logits = logits.float() if self.shift is None else logits.float() + self.shift
        if self.weights is None:
            return functional.cross_entropy(logits, targets, label_smoothing=label_smoothing)
        # torch's own mean divides by the weights of the batch, which makes it depend on who else is in it.
        return functional.cross_entropy(logits, targets, self.weights, label_smoothing=label_smoothing,
                                        reduction="sum") / len(targets)


def class_balance(recipe, counts, device):
    """The ``ClassBalance`` of a recipe for classes of ``counts`` (C,) training images.

    ``class_weights`` and ``center_class_weights`` are powers p: a class of n images weighs n^−p, and the mean over all
    images is 1. At p = 1 the loss is averaged over classes instead of images. ``logit_adjustment`` τ adds τ log π to
    the logits, π the classes' shares (Menon et al. 2021, *Long-tail learning via logit adjustment*, eq. 10). A class
    without an image is left alone.
    """
    counts = torch.as_tensor(counts, dtype=torch.float32).clamp(min=1)

    def weights(power):
        if not power:
            return None
        raised = counts ** -power
        return (raised * counts.sum() / (raised * counts).sum()).to(device)

    shift = recipe.logit_adjustment * (counts / counts.sum()).log() if recipe.logit_adjustment else None
    return ClassBalance(weights(recipe.class_weights), weights(recipe.center_class_weights),
                        None if shift is None else shift.to(device))


def balanced_order(labels, rng):
    """As many rows as there are ``labels`` int64 (N,), drawn with replacement, each class that is there as often."""
    chance = 1 / torch.bincount(labels.cpu())[labels.cpu()].double()
    return torch.multinomial(chance, len(labels), replacement=True, generator=rng)
