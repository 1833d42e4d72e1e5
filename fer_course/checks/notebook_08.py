"""Exercises of notebook 8: a reader's own folder, a photo, and how sure a network is."""

from functools import partial

import numpy as np

from fer_utils.emotions import EMOTIONS, FER2013_CODES

from .verdict import FunctionCheck, Mistake


def _folders(rng):
    """Lists of folder names: all seven, some missing, in any order."""
    return [(rng.permutation(EMOTIONS).tolist(),), (["surprise", "anger", "happiness"],),
            (["anger", "fear", "happiness", "neutral", "sadness", "surprise"],)]


folder_numbers = FunctionCheck(
    lambda folders: [EMOTIONS.index(name) for name in folders], _folders,
    "Each emotion keeps its number, whichever folders are there.",
    (Mistake(lambda folders: [sorted(folders).index(name) for name in folders], "Numbered in alphabetical order, as "
             "torchvision's ImageFolder does: right while all seven are there. Where one is missing, all after it "
             "move up by one, and no program notices."),
     Mistake(lambda folders: list(range(len(folders))), "Numbered as they come: a disk may list its folders in any "
             "order."),
     Mistake(lambda folders: [FER2013_CODES.index(name) for name in folders], "These are FER2013's own codes; this "
             "network was trained with the order of EMOTIONS."),
     Mistake(lambda folders: sorted(EMOTIONS.index(name) for name in folders), "The right numbers, but sorted: the "
             "first one belongs to the first folder of the list.")))


def _photos(rng):
    """(image, left, top, side): inside, over an edge, over a corner; wide and tall, grey and in colour."""
    wide, tall = rng.integers(0, 256, (6, 10), np.uint8), rng.integers(0, 256, (9, 5, 3), np.uint8)
    return [(wide, 3, 1, 4), (wide, 8, 4, 4), (wide, 5, 0, 6), (tall, 2, 7, 4), (tall, 0, 3, 5)]


def _cut(image, left, top, side, swapped=False, edges=(0, 1)):
    """Right as it is; ``swapped`` takes rows for columns, ``edges`` (1, 0) the width for the height."""
    height, width = (image.shape[edge] for edge in edges)
    left, top = min(left, width - side), min(top, height - side)
    first, second = (left, top) if swapped else (top, left)
    return image[first:first + side, second:second + side]


square_crop = FunctionCheck(
    _cut, _photos, "Rows come first, and the square is pushed back inside.",
    (Mistake(lambda image, left, top, side: image[top:top + side, left:left + side], "A slice that reaches over the "
             "edge is cut short without an error, and a network would get it stretched. Push the square back inside."),
     Mistake(partial(_cut, swapped=True), "Rows come first: image[top:…, left:…]. `left` counts columns."),
     Mistake(partial(_cut, edges=(1, 0)), "The shape is (height, width): `left` is bounded by shape[1], `top` by "
             "shape[0]."),
     Mistake(lambda image, left, top, side: image[top:side, left:side], "A slice ends at top + side, not at side.")))


def _answers(rng):
    """(probabilities, labels) of networks that are too sure, and of some that are always right."""
    cases = []
    for count, sharp in ((40, 3.0), (12, 0.5), (5, 8.0)):
        logits = sharp * rng.normal(size=(count, 7))
        probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        cases += [(probabilities, rng.integers(0, 7, count)), (probabilities, probabilities.argmax(1))]
    return cases


def _right(probabilities, labels):
    return (probabilities.argmax(1) == labels).mean()


overconfidence = FunctionCheck(
    lambda probabilities, labels: probabilities.max(1).mean() - _right(probabilities, labels), _answers,
    "Above 0 the network is surer than it is right; below 0 it is not sure enough.",
    (Mistake(lambda probabilities, labels: _right(probabilities, labels) - probabilities.max(1).mean(), "The other way "
             "round: how sure it is comes first, so that overconfidence is positive."),
     Mistake(lambda probabilities, labels: probabilities[np.arange(len(labels)), labels].mean()
             - _right(probabilities, labels), "How sure it is, is the largest probability of each face, whether "
             "right or wrong, and not that of the true class."),
     Mistake(lambda probabilities, labels: probabilities.max(1).mean(), "That is how sure it is; take off how often "
             "it is right."),
     Mistake(lambda probabilities, labels: probabilities.max(0).mean() - _right(probabilities, labels), "max(0) looks "
             "for the largest of each class; a face is a row, so max(1)."),
     Mistake(lambda probabilities, labels: abs(probabilities.max(1).mean() - _right(probabilities, labels)), "Keep the "
             "sign: too sure and not sure enough are different faults.")))
