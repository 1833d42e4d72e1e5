"""Exercises of notebook 9: losses side by side."""

import numpy as np
import torch
from torch.nn import functional

from fer_utils.island_loss import IslandLoss
from fer_utils.training.class_balance import ClassBalance

from .verdict import FunctionCheck, Mistake


def _centers(rng):
    """Centres (C, D) as float64 arrays: in the plane, in more directions, and two that lie opposite each other."""
    return [(rng.normal(size=shape),) for shape in ((3, 2), (7, 5), (4, 3))] + [(np.array([[1.0, 0.0], [-2.0, 0.0]]),)]


def _repulsion(centers):
    return IslandLoss(*centers.shape, init=torch.tensor(centers)).repulsion().item()


def _pairs(value, ordered=True, itself=False):
    """A sum of ``value(a, b)`` over pairs of centres."""
    def total(centers):
        return sum(value(a, b) for j, a in enumerate(centers) for k, b in enumerate(centers)
                   if (j != k or itself) and (ordered or j <= k))
    return total


def _cosine(a, b):
    return a @ b / (np.linalg.norm(a) * np.linalg.norm(b))


repulsion = FunctionCheck(
    _repulsion, _centers, "Each pair adds between 0 (opposite) and 4 (one direction): it counts from either end.",
    (Mistake(_pairs(lambda a, b: 1 + _cosine(a, b), ordered=False), "Half of it: the paper sums over *ordered* pairs, "
             "so (j, k) and (k, j) both count."),
     Mistake(_pairs(lambda a, b: 1 + _cosine(a, b), itself=True), "A centre is compared with itself, too: its cosine "
             "is 1, so each class adds 2 that nothing can lower. Leave out k = j."),
     Mistake(_pairs(_cosine), "The 1 is missing. It moves no centre, but with it a pair adds nothing where it lies "
             "opposite, and never less than nothing."),
     Mistake(_pairs(lambda a, b: 1 - _cosine(a, b)), "The sign of the cosine: this is large where centres lie apart, "
             "so making it small would pull them together."),
     Mistake(_pairs(lambda a, b: 1 + a @ b), "That is the scalar product. Divide it by both lengths: a long centre "
             "must not count more, and the loss could be lowered without end.")),
    tolerance=1e-4)


def _tables(rng):
    """(strengths, validation accuracy, test accuracy); the best by either, and by their sum, lie apart."""
    return [([0.005, 0.02, 0.05, 0.2], [0.60, 0.78, 0.74, 0.70], [0.60, 0.70, 0.73, 0.75]),
            ([0.1, 0.3, 1.0], [0.80, 0.79, 0.60], [0.60, 0.78, 0.90])]


def _best(strengths, measure):
    return strengths[int(np.argmax(measure))]


choose_strength = FunctionCheck(
    lambda strengths, validation, test: _best(strengths, validation), _tables,
    "Validation chooses, and the test set has no say. That is why its number can be believed.",
    (Mistake(lambda strengths, validation, test: _best(strengths, test), "Chosen on the test set. Its accuracy is then "
             "the best of several, and so too good; notebook 5 measured by how much."),
     Mistake(lambda strengths, validation, test: _best(strengths, np.add(validation, test)), "The test set has a say "
             "here, if half a one. It may not have any."),
     Mistake(lambda strengths, validation, test: int(np.argmax(validation)), "That is the place in the list. Return "
             "the strength that stands there."),
     Mistake(lambda strengths, validation, test: max(validation), "That is the best validation accuracy. Return the "
             "strength that reached it."),
     Mistake(lambda strengths, validation, test: _best(strengths, np.negative(validation)), "The worst of them: "
             "accuracy is to be large.")))


def _distances(rng):
    """(same, distances): as many pairs of one person as of two, no two distances equal."""
    cases = []
    for count, apart in ((20, 1.0), (51, 2.0), (200, 0.5), (8, 9.0)):
        same = rng.permutation(np.repeat([True, False], count))
        cases.append((same, np.exp(rng.normal(size=2 * count)) + apart * ~same))
    return cases


def _errors(same, distances, threshold):
    """The share of two persons taken for one, and of one person taken for two."""
    accepted = distances <= threshold
    return accepted[~same].mean(), (~accepted)[same].mean()


def _at_equal(same, distances):
    found = [_errors(same, distances, threshold) for threshold in distances]
    return min(found, key=lambda pair: abs(pair[0] - pair[1]))


def _fewest(same, distances):
    return min(sum(_errors(same, distances, threshold)) / 2 for threshold in distances)


eer = FunctionCheck(
    lambda same, distances: float(np.mean(_at_equal(same, distances))), _distances,
    "One number for a whole curve: 0 where the two kinds of pairs do not overlap, 0.5 for guessing.",
    (Mistake(_fewest, "That is the smallest error of all thresholds. The EER is taken where both errors are *equal*, "
             "and is never smaller than it."),
     Mistake(lambda same, distances: 1 - float(np.mean(_at_equal(same, distances))), "The share that is right, or the "
             "comparison the wrong way round: a *small* distance says \"the same\"."),
     Mistake(lambda same, distances: float(sum(_at_equal(same, distances))), "The sum of both errors. They are equal "
             "there: give one of them."),
     Mistake(lambda same, distances: float(np.mean(_errors(same, distances, distances.mean()))), "The threshold is the "
             "mean distance; nothing makes the two errors equal there. Try every distance as the threshold."),
     Mistake(lambda same, distances: min(abs(np.subtract(*_errors(same, distances, threshold)))
                                         for threshold in distances), "That is how far the two errors are from each "
             "other, which is 0 at the right threshold. Give the error itself.")))


def _batches(rng):
    """(logits (B, C), labels (B,), counts (C,)) as float32, int64 and float32 tensors; rare classes among them."""
    cases = []
    for counts in ([7215, 436, 4097], [90, 10], [5, 500, 50, 1]):
        logits = torch.tensor(2 * rng.normal(size=(6, len(counts))), dtype=torch.float32)
        cases.append((logits, torch.tensor(rng.integers(len(counts), size=6)), torch.tensor(counts).float()))
    return cases


def _shifted(shift):
    return lambda logits, labels, counts: functional.cross_entropy(logits + shift(counts / counts.sum()), labels)


def _adjusted(logits, labels, counts):
    return ClassBalance(shift=(counts / counts.sum()).log()).cross_entropy(logits, labels)


adjusted = FunctionCheck(
    _adjusted, _batches, "A rare class now has to be ahead by more, in training alone. At the test nothing is added.",
    (Mistake(_shifted(lambda shares: -shares.log()), "The sign: so the rare class gets a lead in training, and has to "
             "learn even less than without it."),
     Mistake(_shifted(lambda shares: shares), "The shares themselves lie between 0 and 1 and hardly move a logit. Add "
             "their logarithm."),
     Mistake(_shifted(lambda shares: 0 * shares), "That is the usual cross-entropy: counts play no part in it."),
     Mistake(lambda logits, labels, counts: functional.cross_entropy(logits, labels, 1 / counts), "That is a class "
             "weight. Here no image counts for more; the logits are moved before the loss."),
     Mistake(lambda logits, labels, counts: len(labels) * _adjusted(logits, labels, counts), "The sum over the batch. "
             "Give the mean, so that λ and the learning rate mean the same for every batch size.")),
    tolerance=1e-4)
