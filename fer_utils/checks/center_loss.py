"""Exercises of notebook 3: the equations of centre loss."""

import numpy as np

from .core import FunctionCheck, Mistake


def _batches(chance):
    """(features, centers, labels) of several sizes, in numpy."""
    return [(chance.normal(size=(n, d)), chance.normal(size=(c, d)), chance.integers(c, size=n))
            for n, c, d in ((5, 3, 2), (1, 2, 4), (12, 7, 3))]


eq1 = FunctionCheck(
    lambda x, c, y: 0.5 * ((x - c[y])**2).sum(), _batches,
    "Half the sum of the squared distances, for each image to the centre of its own class.",
    (Mistake(lambda x, c, y: ((x - c[y])**2).sum(), "Twice as large: Eq. 1 has a factor of one half."),
     Mistake(lambda x, c, y: 0.5 * ((x - c[y])**2).sum(1).mean(), "That is the mean over the images; Eq. 1 is a sum. "
             "It is what λ multiplies in this course, and not what the paper prints."),
     Mistake(lambda x, c, y: 0.5 * np.sqrt(((x - c[y])**2).sum(1)).sum(), "Distances, not squared ones: leave the root "
             "out.")))
