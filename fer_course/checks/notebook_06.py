"""Exercises of notebook 6: pictures of features, and numbers."""

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from fer_utils.feature_geometry import nearest_mean_accuracy
from fer_utils.transforms import to_channels

from .small_network import SmallNetwork
from .verdict import FunctionCheck, Mistake, ValueCheck, is_untouched

_SENTENCES = ("tighter", "moved", "overlap", "hidden")


def _said(*values):
    return dict(zip(_SENTENCES, values))


def _is(name, wrong):
    return lambda mine: mine.keys() == set(_SENTENCES) and mine[name] is wrong


reading = ValueCheck(
    _said(False, False, False, True),
    "The pictures carry the last sentence only. All the others take a number in the full dimension.",
    (Mistake(_said(True, True, True, True), "Only one of the four can be read off. Ask of each: does it hold in all "
             "2,048 dimensions, or in two chosen ones?"),
     Mistake(_said(True, False, False, True), "A panel has its own scale and hides its own share: clouds may look "
             "tight because the plot is zoomed, or because their spread is in the hidden dimensions. Measure "
             "intra/inter in all 2,048."),
     Mistake(_is("tighter", True), "\"tighter\": each panel has its own scale and hides its own share of the spread. "
             "Compactness takes a number, intra/inter in all dimensions.", matches=True),
     Mistake(_is("moved", True), "\"moved\": each model has a PCA of its own. Its axes are other directions, and left "
             "and right are arbitrary, because a component's sign is. Places can't be compared between "
             "panels.",
             matches=True),
     Mistake(_is("overlap", True), "\"overlap\": in the left panel 28 % of the spread is hidden. Two classes may lie "
             "on top of each other in the plane and far apart in the third direction.", matches=True),
     Mistake(_is("hidden", False), "\"hidden\": that one can be read off. Explained variance is the share of the "
             "spread in the plane; the rest is hidden, 28 % against 5 %.", matches=True)),
    "Keep the four names, and say True or False to each.")


def _clouds(rng):
    """(features, k): features (N, D) far from the origin, with directions of different spread."""
    return [(rng.normal(size=(n, d)) * np.linspace(3, 0.5, d) + 4, k)
            for n, d, k in ((40, 6, 2), (25, 10, 3), (60, 5, 2))]


def _singular(features, center=True):
    return np.linalg.svd(features - features.mean(axis=0) if center else features, compute_uv=False)


def _share(values, k):
    return values[:k].sum() / values.sum()


explained = FunctionCheck(
    lambda features, k: PCA().fit(features).explained_variance_ratio_[:k].sum(), _clouds,
    "The share of the whole spread that the first k directions hold.",
    (Mistake(lambda features, k: _share(_singular(features), k), "Variance goes with the square: square the singular "
             "values before you add them up."),
     Mistake(lambda features, k: _share(_singular(features, center=False)**2, k), "The mean is still in: then the "
             "first direction points to the cloud instead of along it, and seems to explain nearly all. Subtract the "
             "mean first."),
     Mistake(lambda features, k: 1.0, "That divides by the k directions that were kept, which explain all of "
             "themselves. The whole is the spread in all directions."),
     Mistake(lambda features, k: PCA().fit(features).explained_variance_ratio_[k - 1], "That is the k-th direction "
             "alone. A picture of k directions shows all of the first k: add them up."),
     Mistake(lambda features, k: PCA(k).fit(features).explained_variance_.sum(), "That is the variance itself, in the "
             "features' own unit. As a share it must be divided by the variance in all directions."),
     Mistake(lambda features, k: 100 * PCA().fit(features).explained_variance_ratio_[:k].sum(), "Right, in percent; "
             "give a share between 0 and 1.")))


def _two_parts(rng):
    """(train, test, k): test features that lie elsewhere and spread otherwise than training features, as they do."""
    return [(rng.normal(size=(n, d)) * np.linspace(3, 0.5, d) + 2,
             rng.normal(size=(m, d)) * np.linspace(1, 2, d) + 3, k)
            for n, m, d, k in ((40, 15, 6, 2), (30, 30, 9, 3), (60, 5, 4, 2))]


def _upright(function, *case):
    """Points (N, k) with each axis turned so that its largest coordinate is positive: PCA leaves the sign open."""
    points = function(*case)
    if is_untouched(points):
        return points
    points = points.detach().numpy() if isinstance(points, torch.Tensor) else np.asarray(points)
    if points.ndim != 2 or not points.size:
        return points
    largest = points[np.abs(points).argmax(axis=0), np.arange(points.shape[1])]
    return points * np.where(largest < 0, -1, 1)


def _direct(fitted, shown, k, center):
    return (shown - center) @ PCA(k).fit(fitted).components_.T


project = FunctionCheck(
    lambda train, test, k: PCA(k).fit(train).transform(test), _two_parts,
    "Fitted to the training features alone; the test features are only looked at from there.",
    (Mistake(lambda train, test, k: PCA(k).fit_transform(test), "PCA was fitted to the test features. Then the two "
             "panels show two different planes, and the test set has chosen its own best view. fit on training, "
             "transform both."),
     Mistake(lambda train, test, k: PCA(k).fit(np.concatenate([train, test])).transform(test), "PCA was fitted to both "
             "parts together, so the test features had a say in the plane. Fit it to the training features alone."),
     Mistake(lambda train, test, k: _direct(train, test, k, test.mean(axis=0)), "The plane is right, but the test "
             "features' own mean was subtracted. That hides whether they lie elsewhere than the training features; "
             "subtract the training mean from both."),
     Mistake(lambda train, test, k: _direct(train, test, k, 0), "The plane is right, but no mean was subtracted: the "
             "cloud lies off the origin. PCA's transform subtracts the training mean."),
     Mistake(lambda train, test, k: PCA(k).fit_transform(train), "Those are the training features; the test features "
             "were asked for.")),
    trial=_upright)


def _faces(rng):
    return [(to_channels(torch.from_numpy(rng.integers(256, size=(n, 8, 8, 3), dtype=np.uint8))),)
            for n in (4, 9, 20)]


def _extracted(function, images):
    network = SmallNetwork()
    features = function(network, images)
    if is_untouched(features):
        return None
    return {"the features": features, "batch norm's running mean afterwards": network.running_mean}


@torch.no_grad()
def _features_of(network, images):
    return network.eval()(images)[0]


def _features_after_a_look(network, images):
    network(images)
    return _features_of(network, images)


features_of = FunctionCheck(
    _features_of, _faces,
    "In eval() a face's features do not depend on the rest of the batch.",
    (Mistake(lambda network, images: network(images)[0], "The network is still in training mode: batch norm takes mean "
             "and deviation from this batch, so a face's features depend on its neighbours. no_grad() does not change "
             "that; network.eval() does."),
     Mistake(_features_after_a_look, "Batch norm learned from these images in a pass before eval(). Call eval() first: "
             "looking at faces must not change the network."),
     Mistake(lambda network, images: network.eval()(images)[1], "Those are the logits, one for each class. The "
             "features are the first of the two that the network returns, what the last layer sees."),
     Mistake(lambda network, images: network.eval()(images), "The network returns two things, features and logits. "
             "Take the first.")),
    trial=_extracted)


def _labelled(rng):
    """(train, its labels, test, its labels): mostly noise, so that seen points look far better than fresh ones."""
    found = []
    for n, m, d, signal in ((70, 35, 30, 0.0), (84, 70, 20, 1.0), (63, 70, 40, 0.5)):
        means = signal * rng.normal(size=(7, d))
        labels, others = np.arange(n) % 7, np.arange(m) % 7
        found.append((means[labels] + rng.normal(size=(n, d)), labels,
                      means[others] + rng.normal(size=(m, d)), others))
    return found


def _judged(fit_to, means_of, judged):
    """Accuracy of the nearest mean in the LDA plane; each argument is (features, labels)."""
    plane = LinearDiscriminantAnalysis(n_components=2).fit(*fit_to)
    (known, known_labels), (shown, labels) = means_of, judged
    return nearest_mean_accuracy(plane.transform(known), known_labels, plane.transform(shown), labels)


def _both(a, b, c, d):
    return np.concatenate([a, c]), np.concatenate([b, d])


plane_accuracy = FunctionCheck(
    lambda a, b, c, d: _judged((a, b), (a, b), (c, d)), _labelled,
    "Plane and means from training, judgement on test. Try it on noise: a beautiful picture, but one in seven right.",
    (Mistake(lambda a, b, c, d: _judged((a, b), (a, b), (a, b)), "Judged on the points that the plane was fitted to. "
             "They fall into clusters even when they are noise; that is the picture that misleads. Judge the test "
             "points."),
     Mistake(lambda a, b, c, d: _judged((c, d), (c, d), (c, d)), "Plane and means were fitted to the test points. Then "
             "nothing is left to test on."),
     Mistake(lambda a, b, c, d: _judged((a, b), (c, d), (c, d)), "The plane is right, but the class means are those of "
             "the test points, so they know the answers. Take the training points' means."),
     Mistake(lambda a, b, c, d: _judged(_both(a, b, c, d), (a, b), (c, d)), "The plane was fitted to both parts "
             "together: it has seen the test labels.")))
