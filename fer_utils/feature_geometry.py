"""How features lie, measured in their full dimension, and the few points of them that make a picture.

Classes are weighted alike, as in ``evaluation.compactness``, so that the largest does not speak for all.
"""

import json
from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA
from sklearn.metrics import pairwise_distances_argmin
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from .errors import FerError
from .evaluation import compactness

NEIGHBOURS = 20  # as in Caron et al. 2021, where 20 did best for features of deep networks; not chosen on our data
SHOWN = 29  # points of each class in a picture: 203 of seven classes
REACH = 10.0  # how far from the origin the farthest of the shown training points lies


@dataclass(frozen=True)
class Collapse:
    """How far features have come towards neural collapse (Papyan, Han and Donoho 2020, PNAS 117:24652, Fig. 2 to 7):
    all but ``agreement`` are 0 when it is complete. With class means μ_k and their mean μ_G:

    - ``within`` (NC1): tr(Σ_W Σ_B⁺)/C, the scatter in the classes against that of their means.
    - ``norms`` (NC2): sd over mean of ‖μ_k − μ_G‖; ``angles``: sd of the cosines between two μ_k − μ_G;
      ``simplex``: mean |cosine + 1/(C−1)|, how far these are from the widest angle that C directions can have.
    - ``duality`` (NC3): ‖W/‖W‖ − M/‖M‖‖² with the classifier's weights W and the rows μ_k − μ_G of M; at most 4.
    - ``agreement`` (NC4): the share of features whose nearest class mean is the network's answer.

    A class of few images draws its mean after it, and ``within`` comes out too small: compare parts of about one size.
    """

    within: float
    norms: float
    angles: float
    simplex: float
    duality: float
    agreement: float


def class_means(features, labels):
    """The classes that have a member (C,), and the means of their features, float64 (C, D)."""
    features, labels = _checked(features, labels)
    present = np.unique(labels)
    return present, np.stack([features[labels == k].mean(0) for k in present])


def neural_collapse(features, labels, weight, answers):
    """``Collapse`` of features (N, D) with labels (N,); ``weight`` (C, D): the last layer's; ``answers`` (N,): the
    network's. Classes without a member are left out; ``FerError`` where fewer than two have one."""
    features, labels = _checked(features, labels)
    present, means = class_means(features, labels)
    if len(present) < 2:
        raise FerError(f"neural collapse compares classes, and here is {len(present)}; give features of two or more.")
    centred = means - means.mean(0)
    # Σ_B = MᵀM / C; its pseudo-inverse needs only the directions in which the means differ, never a D × D matrix.
    _, spread, directions = np.linalg.svd(centred / np.sqrt(len(present)), full_matrices=False)
    kept = spread > spread[0] * max(centred.shape) * np.finfo(float).eps
    scatter = np.mean([np.mean(((features[labels == k] - mean) @ directions[kept].T) ** 2, axis=0)
                       for k, mean in zip(present, means)], axis=0)
    within = float((scatter / spread[kept] ** 2).sum() / len(present)) if kept.any() else float("inf")
    norms = np.linalg.norm(centred, axis=1)
    unit = centred / np.where(norms, norms, 1)[:, None]
    cosines = (unit @ unit.T)[np.triu_indices(len(present), 1)]
    ours, theirs = (matrix / (np.linalg.norm(matrix) or 1.0) for matrix in (np.asarray(weight)[present], centred))
    agreement = (nearest_mean(features, present, means) == np.asarray(answers)).mean()
    return Collapse(within, float(norms.std() / norms.mean()) if norms.any() else 0.0, float(cosines.std()),
                    float(np.abs(cosines + 1 / (len(present) - 1)).mean()), float(((ours - theirs) ** 2).sum()),
                    float(agreement))


def nearest_mean(features, classes, means):
    """The class (N,) whose mean is nearest to each feature, by Euclidean distance; ``means`` as in ``class_means``."""
    return np.asarray(classes)[pairwise_distances_argmin(np.asarray(features, np.float64), means)]


def nearest_mean_accuracy(train, train_labels, test, test_labels):
    """Accuracy of the nearest class mean: the means of training features (N, D), judged on test features (M, D)."""
    test, test_labels = _checked(test, test_labels)
    return float((nearest_mean(test, *class_means(train, train_labels)) == test_labels).mean())


def knn_accuracy(train, train_labels, test, test_labels, neighbours=NEIGHBOURS):
    """Accuracy of a vote of the nearest training features, or of all where there are fewer, judged on test features."""
    train, train_labels = _checked(train, train_labels)
    test, test_labels = _checked(test, test_labels)
    vote = KNeighborsClassifier(min(neighbours, len(train)), algorithm="brute").fit(train, train_labels)
    return float(vote.score(test, test_labels))


def nearest(features, known, count=5):
    """The ``count`` nearest of the features ``known`` (M, D) to each of ``features`` (N, D), by Euclidean distance:
    their rows, int64 (N, count), and how far they are, float64 (N, count), the nearest first; all M where there are
    fewer. Raises ``FerError`` for features of another dimension, and where none is known."""
    features, known = np.asarray(features, np.float64), np.asarray(known, np.float64)
    if features.ndim != 2 or known.ndim != 2 or features.shape[1] != known.shape[1] or not len(known):
        raise FerError(f"{features.shape} features and {known.shape} known ones; give (N, D) and (M, D) of one model.")
    neighbours = NearestNeighbors(n_neighbors=min(count, len(known)), algorithm="brute").fit(known)
    return neighbours.kneighbors(features)[::-1]


def shown(labels):
    """Rows of at most ``SHOWN`` members of each class, class by class: the first ones of a fixed permutation, so that
    two models show the same faces."""
    labels = np.asarray(labels)
    order = np.random.default_rng(0).permutation(len(labels))
    return np.concatenate([order[labels[order] == k][:SHOWN] for k in np.unique(labels)])


def fig1(train, train_labels, test, test_labels):
    """The paper's Fig. 1 as numbers: features in the three directions in which the *training* features spread most.

    Returns a dict that JSON can hold: ``explained``, the share of the training features' variance that each of the
    first ten components has; ``scale``; and for ``train`` and ``test`` the ``labels`` and coordinates ``points``
    [x, y, z] of the features ``shown``, and ``classes`` with their ``means``. Coordinates are rounded to two decimals;
    the farthest training point shown lies 10 from the origin, and ``scale`` undoes that. Nothing is fitted to ``test``.
    """
    train, train_labels = _checked(train, train_labels)
    test, test_labels = _checked(test, test_labels)
    if test.shape[1] != train.shape[1]:
        raise FerError(f"training features have {train.shape[1]} dimensions and test features {test.shape[1]}; give "
                       "those of one model.")
    components = min(10, *train.shape)
    with np.errstate(invalid="ignore"):  # features in one point: shares of nothing
        pca = PCA(components, svd_solver="full" if min(train.shape) < 200 else "covariance_eigh").fit(train)
    axes = np.zeros((3, train.shape[1]))
    axes[:min(3, components)] = pca.components_[:3]
    parts = {name: (features, labels, shown(labels), *class_means(features, labels))
             for name, features, labels in (("train", train, train_labels), ("test", test, test_labels))}
    chosen = (train[parts["train"][2]] - pca.mean_) @ axes.T
    scale = float(np.linalg.norm(chosen, axis=1).max() / REACH) or 1.0

    def placed(features):
        return (((features - pca.mean_) @ axes.T / scale).round(2) + 0.0).tolist()  # + 0: there is no -0.0

    return {"explained": np.nan_to_num(pca.explained_variance_ratio_).round(4).tolist(), "scale": scale,
            **{name: {"labels": labels[rows].tolist(), "points": placed(features[rows]),
                      "classes": classes.tolist(), "means": placed(means)}
               for name, (features, labels, rows, classes, means) in parts.items()}}


def geometry(parts, weight):
    """All that is told of a model's features, as a dict that JSON can hold.

    ``parts``: {"train": (features, labels, answers), …, "test": …}, and "validation" where there is one; ``weight``:
    the classifier's. ``dimension``, ``neighbours`` (the k of k-NN) and ``fig1``, and in ``parts`` for each part:
    ``images``; ``compactness`` and ``collapse``, from the part's own class means; ``classes``, the ``scatter`` of each
    (mean distance to its mean) and the ``distances`` between their means, (C, C); ``accuracy`` of the ``network``, of
    the ``nearest_mean`` of the training features, and of ``knn``, but for training features, their own neighbours.
    """
    (train, train_labels, _), (test, test_labels, _) = parts["train"], parts["test"]
    found = {}
    for name, (features, labels, answers) in parts.items():
        near, (classes, means) = compactness(features, labels), class_means(features, labels)
        scatter = [np.linalg.norm(features[labels == k] - mean, axis=1).mean() for k, mean in zip(classes, means)]
        accuracy = {"network": float((np.asarray(answers) == labels).mean()),
                    "nearest_mean": nearest_mean_accuracy(train, train_labels, features, labels)}
        if name != "train":
            accuracy["knn"] = knn_accuracy(train, train_labels, features, labels)
        found[name] = {"images": len(labels), "compactness": {**vars(near), "ratio": near.ratio},
                       "collapse": vars(neural_collapse(features, labels, weight, answers)), "accuracy": accuracy,
                       "classes": classes.tolist(), "scatter": scatter,
                       "distances": np.linalg.norm(means[:, None] - means, axis=2).tolist()}
    text = json.dumps({"dimension": train.shape[1], "neighbours": NEIGHBOURS, "parts": found,
                       "fig1": fig1(train, train_labels, test, test_labels)})
    return json.loads(text, parse_float=lambda number: float(f"{float(number):.5g}"))  # five digits of every number


def _checked(features, labels):
    features, labels = np.asarray(features), np.asarray(labels)
    if features.ndim != 2 or labels.shape != features.shape[:1] or not len(labels):
        raise FerError(f"{features.shape} features and {labels.shape} labels; give features (N, D) and a label each.")
    if not np.isfinite(features).all():
        raise FerError(f"{(~np.isfinite(features)).sum()} of the features' numbers are not finite; retrain the model.")
    return features.astype(np.float64, copy=False), labels
