"""Before networks: nearest neighbours, and the features that the paper names as history with a linear SVM."""

import numpy as np
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from .errors import optional_import

STRENGTHS = (0.00001, 0.0001, 0.001)  # C of the SVM: what a wrong image costs; larger ones take minutes, for nothing
PATTERNS = 10  # uniform patterns of 8 neighbours: 0 to 8 brighter ones in a row, and all others


def pixels(images):
    """Each image uint8 (N, H, W) as one row of its pixels, float32 (N, H·W), of mean 0 and deviation 1."""
    rows = images.reshape(len(images), -1).astype(np.float32)
    return (rows - rows.mean(1, keepdims=True)) / np.maximum(rows.std(1, keepdims=True), 1e-6)


def lbp(images, cells=6):
    """Local binary patterns (Ojala et al. 2002): float32 (N, cells² · 10). Images in colour are made grey.

    Each pixel is told by which of its 8 neighbours are at least as bright, in uniform patterns; each cell by how often
    it has which.
    """
    feature = optional_import("skimage.feature", "scikit-image")
    rows = []
    for image in _grey(images):
        codes = feature.local_binary_pattern(image, P=8, R=1, method="uniform").astype(int)
        parts = [part for band in np.array_split(codes, cells) for part in np.array_split(band, cells, axis=1)]
        rows.append(np.concatenate([np.bincount(part.ravel(), minlength=PATTERNS) / part.size for part in parts]))
    return np.array(rows, np.float32)


def hog(images, orientations=8, cell=8):
    """Histograms of oriented gradients (Dalal and Triggs 2005), float32 (N, D): in each cell of ``cell`` px, how strong
    the edges are in each of ``orientations`` directions, normalised in blocks of 2 × 2 cells."""
    feature = optional_import("skimage.feature", "scikit-image")
    options = {"orientations": orientations, "pixels_per_cell": (cell, cell), "cells_per_block": (2, 2)}
    return np.array([feature.hog(image, **options) for image in _grey(images)], np.float32)


def _grey(images):
    return images if images.ndim == 3 else images.mean(3).round().astype(np.uint8)


def linear_svm(features, labels, validation_features, validation_labels, seed=0):
    """A linear SVM (scikit-learn's) on scaled features, its C chosen among ``STRENGTHS`` by validation accuracy.

    ``features`` (N, D) and ``labels`` (N,) train it. Returns the classifier, whose ``predict`` takes (M, D).
    """
    tried = [make_pipeline(StandardScaler(), LinearSVC(C=strength, dual=True, tol=1e-2, max_iter=3000,
                                                       random_state=seed)).fit(features, labels)
             for strength in STRENGTHS]
    return max(tried, key=lambda model: model.score(validation_features, validation_labels))


def ladder(train, validation, test, seed=0):
    """What each rung beneath a network answers to the faces of ``test``: {name: int64 (N,)}.

    All learn from ``train``; ``validation`` chooses the SVMs' C. The three are ``FaceDataset``s of one size; nothing
    is drawn at random but, by ``seed``, the order in which the SVM looks at the images.
    """
    answers = {"largest class": np.full(len(test), train.counts().argmax())}
    sets = [pixels(part.images) for part in (train, test)]
    for k in (1, 15):
        neighbours = KNeighborsClassifier(min(k, len(train))).fit(sets[0], train.labels)
        answers[f"{k}-NN on pixels"] = neighbours.predict(sets[1])
    for name, features in (("LBP + linear SVM", lbp), ("HOG + linear SVM", hog)):
        seen, judged, asked = (features(part.images) for part in (train, validation, test))
        answers[name] = linear_svm(seen, train.labels, judged, validation.labels, seed).predict(asked)
    return answers
