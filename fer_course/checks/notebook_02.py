"""Exercises of notebook 2: the model to beat, and how it is measured."""

import numpy as np
import torch

from fer_utils.emotions import EMOTIONS
from fer_utils.paper import TRAIN_COUNTS

from .small_network import SmallNetwork
from .verdict import FunctionCheck, Mistake, ValueCheck

_COUNTS = np.array(TRAIN_COUNTS["fer2013"])
_SHARE = _COUNTS[EMOTIONS.index("happiness")] / _COUNTS.sum()
_F1 = 2 * _SHARE / (1 + _SHARE)  # its recall is 1 and its precision the share

lazy_program = ValueCheck(
    (_SHARE, _F1 / 7), "A quarter right, and nothing learnt. Read every accuracy on FER2013 beside this one.",
    (Mistake(lambda mine: max(mine) > 1, "Give shares between 0 and 1, not percent.", matches=True),
     Mistake((_F1 / 7, _SHARE), "The two have changed places: first the accuracy."),
     Mistake(lambda mine: abs(mine[0] - 1 / 7) < 0.005, "One in seven is what guessing at random reaches, or a lazy "
             "program where all classes are equally large. Here happiness has 7,215 of 28,709.", matches=True),
     Mistake(lambda mine: abs(mine[0] - 0.389) < 0.005, "That is the accuracy on the drawn faces. FER2013 has another "
             "share of happy ones, and so another dummy.", matches=True),
     Mistake((_SHARE, _F1), "That is the F1 of happiness alone. Macro F1 is the mean over all seven classes, and the "
             "other six have 0."),
     Mistake((_SHARE, 1 / 7), "That is the mean *recall*. F1 also asks how many of the answers \"happiness\" were "
             "right, and that is only one in four."),
     Mistake((_SHARE, _SHARE), "Accuracy and macro F1 are equal only by chance. F1 is made for each class; then their "
             "mean is taken. Most classes have 0 here."),
     Mistake((_SHARE, _SHARE * _F1), "That is the weighted F1, in which a class counts by its size. In macro F1 all "
             "seven count the same.")),
    "A pair: accuracy, macro F1. The hint has the formula of F1.", tolerance=0.005)


def _accuracies(rng):
    return [(float(rng.uniform(0.5, 0.9)), n) for n in (450, 900, 3589)]


standard_error = FunctionCheck(
    lambda accuracy, n: 100 * np.sqrt(accuracy * (1 - accuracy) / n), _accuracies,
    "Four times the faces, half the error. At 450 faces and 80 % it is 1.9 points, at 900 it is 1.3.",
    (Mistake(lambda accuracy, n: np.sqrt(accuracy * (1 - accuracy) / n), "Right, but as a share: give points of "
             "accuracy, so times 100."),
     Mistake(lambda accuracy, n: 100 * accuracy * (1 - accuracy) / n, "That is the variance (times 100); its root is "
             "missing. Twice the faces do not halve the error."),
     Mistake(lambda accuracy, n: 100 * np.sqrt(accuracy * (1 - accuracy)) / n, "n belongs under the root, too: twice "
             "the faces make the error smaller by a factor of 1.4, not of 2."),
     Mistake(lambda accuracy, n: 100 * np.sqrt(accuracy / n), "There is p, but not 1 − p. A model that is always "
             "right has no error at all."),
     Mistake(lambda accuracy, n: 100 * np.sqrt(accuracy * (1 - accuracy)), "That is how much *one* face strays; the "
             "mean of n faces strays less.")),
    tolerance=5e-3)


def _networks(rng):
    return [(SmallNetwork(), torch.tensor(rng.normal(size=(n, 3, 6, 6)), dtype=torch.float32)) for n in (7, 1, 4)]


_TRAINING_MODE = ("The network is still in training mode. Batch norm then uses the batch's mean instead of what it has "
                  "learnt, so a face's answer depends on the other faces in the batch, and one face alone gets the "
                  "worst one. Call network.eval() first; torch.no_grad() saves memory and does not do that.")

probabilities = FunctionCheck(
    lambda network, batch: network.eval()(batch)[1].softmax(1), _networks,
    "In evaluation mode a face gets the same answer in every batch.",
    (Mistake(lambda network, batch: network(batch)[1].softmax(1), _TRAINING_MODE),
     Mistake(lambda network, batch: torch.cat([network(one)[1].softmax(1) for one in batch.split(1)]), _TRAINING_MODE),
     Mistake(lambda network, batch: network.eval()(batch)[1], "Those are logits: any numbers, which do not add "
             "up to 1. Softmax over the seven classes makes probabilities of them."),
     Mistake(lambda network, batch: network.eval()(batch)[1].softmax(0), "That softmax runs down the batch, so "
             "the *faces* share out each class. Each row should add up to 1: dim=1."),
     Mistake(lambda network, batch: network.eval()(batch)[1].softmax(1).argmax(1), "Those are the chosen classes; "
             "asked for are the probabilities of all seven, (images, 7)."),
     Mistake(lambda network, batch: network.eval()(batch)[0].softmax(1), "The network returns features first, "
             "then logits; those are the features.")))


def _histories(rng):
    def history(epochs):
        rise = 0.8 - 0.4 * np.exp(-np.arange(epochs) / 3)
        return rise[:, None] + rng.normal(scale=0.05, size=(epochs, 2))
    return [(history(a), history(b)) for a, b in ((6, 9), (12, 7), (8, 8), (5, 20))]


def _cut(*runs):
    budget = min(map(len, runs))
    return [run[:budget] for run in runs]


def _tested(run):
    """The test accuracy at the epoch that validation chooses."""
    return run[run[:, 0].argmax(), 1]


def _fair(softmax, center):
    softmax, center = _cut(softmax, center)
    return _tested(center) - _tested(softmax)


_ON_TEST = ("It takes the best *test* accuracy of all epochs: the test set chooses the epoch, and luck is counted as "
            "skill. Let validation choose the epoch, then read the test there.")
_LAST = "It reads the last epoch. In this course validation chooses which epoch is kept, and so the last may not be it."

fair_gain = FunctionCheck(
    _fair, _histories, "Equal budgets, each run at the epoch that its own validation chose, and the test opened there "
    "only.",
    (Mistake(lambda softmax, center: center[:, 1].max() - softmax[:, 1].max(), _ON_TEST),
     Mistake(lambda softmax, center: np.subtract(*[run[:, 1].max() for run in _cut(center, softmax)]), _ON_TEST),
     Mistake(lambda softmax, center: _tested(center) - _tested(softmax), "One run had more epochs to choose from, and "
             "a longer training is a gain of its own. Cut both to the shorter one's length first."),
     Mistake(lambda softmax, center: _tested(center) - softmax[-1, 1], "Centre loss at its best epoch against softmax "
             "at its last one: the rule must be the same for both."),
     Mistake(lambda softmax, center: center[-1, 1] - softmax[-1, 1], _LAST),
     Mistake(lambda softmax, center: np.subtract(*[run[-1, 1] for run in _cut(center, softmax)]), _LAST),
     Mistake(lambda softmax, center: np.subtract(*[run[:, 0].max() for run in _cut(center, softmax)]),
             "That is the gain on *validation*, which has chosen the epochs and so flatters both. Read the second "
             "column there."),
     Mistake(lambda softmax, center: np.subtract(*[run[_cut(softmax, center)[0][:, 0].argmax(), 1]
                                                   for run in (center, softmax)]),
             "It reads both at the epoch that was best for softmax. Each run is kept at its own best epoch."),
     Mistake(lambda softmax, center: -_fair(softmax, center), "The sign: a gain is centre loss minus softmax.")))
