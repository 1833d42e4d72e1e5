"""How features lie, against cases whose answer is known: simplices, lines, points that coincide."""

import json
import math

import numpy as np
import pytest
from conftest import refusal
from sklearn.decomposition import PCA

from fer_utils.feature_geometry import (
    class_means,
    fig1,
    geometry,
    knn_accuracy,
    nearest,
    nearest_mean_accuracy,
    neural_collapse,
    shown,
)


def simplex(classes, dimension, seed=0):
    """Means of a simplex equiangular tight frame: equal lengths, every cosine −1/(C−1), turned at random."""
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(dimension, classes)))[0]
    return (np.eye(classes) - 1 / classes) @ turn.T


def cloud(n=140, dimension=12, spread=1.0, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 7
    return 3 * rng.normal(size=(7, dimension))[labels] + spread * rng.normal(size=(n, dimension)), labels


def collapse(features, labels, weight=None, answers=None):
    """Its measures where it matters neither what the last layer nor what the network's answers are."""
    weight = np.ones((7, np.shape(features)[-1])) if weight is None else weight
    return neural_collapse(features, labels, weight, labels if answers is None else answers)


def test_a_collapsed_simplex_has_every_measure_at_zero_and_classes_without_a_member_are_left_out():
    for classes, numbers in ((2, [0, 1]), (7, range(7)), (3, [0, 2, 5])):
        means, labels = np.zeros((7, 20)), np.repeat(numbers, 4)
        means[list(numbers)] = simplex(classes, 20)
        found = collapse(5 * means[labels] + 3, labels, weight=2 * means, answers=labels)
        measured = [found.within, found.norms, found.angles, found.simplex, found.duality]
        assert measured == pytest.approx([0] * 5, abs=1e-12) and found.agreement == 1, classes


def test_within_is_the_trace_with_the_pseudo_inverse():
    for dimension in (5, 30):  # fewer than there are classes, and more
        features, labels = cloud(dimension=dimension)
        means = np.stack([features[labels == k].mean(0) for k in range(7)])
        between = np.cov(means.T, bias=True)
        within = np.mean([np.cov(features[labels == k].T, bias=True) for k in range(7)], axis=0)
        wanted = np.trace(within @ np.linalg.pinv(between, rcond=1e-12)) / 7
        assert collapse(features, labels).within == pytest.approx(wanted, rel=1e-6)


def test_norms_and_angles_of_an_example_by_hand():
    # Means (3, 0), (0, 3) and (−3, −3) about the origin: lengths 3, 3, 3√2; cosines 0, −1/√2, −1/√2.
    found = collapse(np.array([[3.0, 0], [0, 3], [-3, -3]]), np.array([0, 1, 2]))
    lengths, cosines = np.array([1, 1, math.sqrt(2)]), np.array([0, -math.sqrt(0.5), -math.sqrt(0.5)])
    assert found.norms == pytest.approx(lengths.std() / lengths.mean())
    assert found.angles == pytest.approx(cosines.std())
    assert found.simplex == pytest.approx(np.abs(cosines + 1 / 2).mean())
    features, labels = np.array([[0.0], [1], [4], [5]]), np.array([0, 0, 1, 1])
    assert collapse(features, labels, answers=[0, 1, 1, 1]).agreement == pytest.approx(3 / 4)  # not with labels


def test_duality_is_4_where_the_weights_point_the_other_way_and_2_where_they_are_at_right_angles():
    means, labels = simplex(7, 20), np.arange(7)
    assert collapse(means, labels, weight=-3 * means).duality == pytest.approx(4)
    both = np.hstack([means, np.zeros((7, 20))]), np.hstack([np.zeros((7, 20)), means])
    assert collapse(both[0], labels, weight=both[1]).duality == pytest.approx(2)
    assert collapse(means, labels, weight=np.roll(means, 1, axis=0)).duality > 2  # the classes' order counts


def test_measures_do_not_change_with_scale_shift_rotation_or_the_size_of_a_class():
    features, labels = cloud()
    weight = np.random.default_rng(1).normal(size=(7, 12))
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(12, 12)))[0]
    plain = collapse(features, labels, weight)
    turned = collapse(100 * features @ turn + 7, labels, weight @ turn)
    more = np.concatenate([np.arange(140), *[np.flatnonzero(labels == 3)] * 9])  # happiness ten times
    for found in (turned, collapse(features[more], labels[more], weight)):
        assert vars(found) == pytest.approx(vars(plain), rel=1e-8)


def test_means_that_coincide_are_no_collapse_but_a_breakdown():
    found = collapse(np.array([[-1.0, 0], [1, 0], [-2, 0], [2, 0]]), np.array([0, 0, 1, 1]))
    assert found.within == math.inf and found.norms == 0


def test_nearest_mean_and_neighbours_are_fitted_on_the_training_features_alone():
    train, train_labels = np.array([[0.0], [1], [2], [10], [11], [12]]), np.array([0, 0, 0, 1, 1, 1])
    test, test_labels = np.array([[5.9], [6.1], [100], [-9]]), np.array([0, 0, 1, 1])  # means at 1 and 11
    assert nearest_mean_accuracy(train, train_labels, test, test_labels) == pytest.approx(2 / 4)
    assert knn_accuracy(train, train_labels, test, test_labels, neighbours=3) == pytest.approx(2 / 4)
    train, labels = np.arange(50.0)[:, None], np.array([0] * 11 + [1] * 39)
    assert knn_accuracy(train, labels, [[0.0]], [0]) == 1  # 11 of 20
    assert knn_accuracy(train[8:12], labels[8:12], [[0.0]], [0]) == 1  # 3 of 4: there are no more


def test_nearest_by_hand_and_all_where_there_are_fewer():
    rows, distances = nearest([[0.0, 0.0], [5.0, 0.0]], [[3.0, 4.0], [1.0, 0.0], [5.0, 0.0]], 2)
    assert rows.tolist() == [[1, 0], [2, 1]] and distances.tolist() == [[1.0, 5.0], [0.0, 4.0]]
    assert nearest([[0.0]], [[1.0], [-3.0]], 5)[0].tolist() == [[0, 1]]
    for known in (np.zeros((4, 3)), np.zeros((0, 2)), np.zeros(2)):
        assert "known ones; give (N, D) and (M, D)" in refusal(nearest, [[0.0, 0.0]], known)


def test_shown_are_at_most_so_many_of_each_class_and_always_the_same():
    labels = np.repeat(np.arange(7), [50, 5, 40, 100, 29, 30, 28])
    rows = shown(labels)
    assert np.bincount(labels[rows]).tolist() == [29, 5, 29, 29, 29, 29, 28] and len(set(rows)) == len(rows)
    assert np.array_equal(rows, shown(labels)) and not np.array_equal(np.sort(rows)[:29], np.arange(29))


def test_fig1_is_pca_of_the_training_features_in_a_unit_of_its_own():
    (known, labels), (new, test_labels) = cloud(300, seed=1), cloud(90, spread=50, seed=2)
    for factor, extra in ((1, 0), (1e-6, 0), (1e6, 0), (1, 210)):  # 222 dimensions are solved in another way
        train, test = (np.pad(factor * features, [(0, 0), (0, extra)]) for features in (known, new))
        found, pca = fig1(train, labels, test, test_labels), PCA(10, svd_solver="full").fit(train)
        assert found["explained"] == pytest.approx(pca.explained_variance_ratio_, abs=1e-4)
        for name, (features, of) in {"train": (train, labels), "test": (test, test_labels)}.items():
            rows, part = shown(of), found[name]
            assert part["labels"] == of[rows].tolist() and part["classes"] == list(range(7))
            wanted = np.abs(pca.transform(features)[:, :3])  # the sign of an axis means nothing
            assert np.abs(np.abs(part["points"]) * found["scale"] - wanted[rows]).max() < 0.006 * found["scale"]
            means = np.abs(pca.transform(class_means(features, of)[1])[:, :3])
            assert np.abs(np.abs(part["means"]) * found["scale"] - means).max() < 0.006 * found["scale"]
        assert np.linalg.norm(found["train"]["points"], axis=1).max() == pytest.approx(10, abs=0.01)


def test_features_in_one_point_and_in_two_dimensions_still_make_a_picture():
    labels = np.arange(14) % 7
    point = fig1(np.ones((14, 5)), labels, np.ones((14, 5)), labels)
    assert not np.any(point["train"]["points"]) and not np.any(point["explained"]) and point["scale"] == 1
    flat = fig1(np.random.default_rng(0).normal(size=(14, 2)), labels, np.ones((14, 2)), labels)
    assert {len(row) for row in flat["train"]["points"]} == {3} and len(flat["explained"]) == 2


def test_geometry_is_complete_small_and_plain():
    parts = {name: (*cloud(n, 64, seed=seed), np.arange(n) % 7)
             for name, n, seed in (("train", 400, 1), ("validation", 210, 2), ("test", 280, 3))}
    found = geometry(parts, np.random.default_rng(0).normal(size=(7, 64)))
    assert json.loads(json.dumps(found)) == found and len(json.dumps(found, separators=(",", ":"))) < 12_000
    assert sorted(found) == ["dimension", "fig1", "neighbours", "parts"] and found["dimension"] == 64
    for name, (features, labels, _) in parts.items():
        part, means = found["parts"][name], class_means(features, labels)[1]
        assert part["images"] == len(labels) and part["accuracy"]["network"] == 1
        assert part["distances"][2][5] == pytest.approx(np.linalg.norm(means[2] - means[5]), rel=1e-4)
        assert np.mean(part["scatter"]) == pytest.approx(part["compactness"]["intra"], rel=1e-4)
        assert np.sum(part["distances"]) / 42 == pytest.approx(part["compactness"]["inter"], rel=1e-4)
        assert ("knn" in part["accuracy"]) == (name != "train")
    both, accuracy = (*parts["train"][:2], *parts["test"][:2]), found["parts"]["test"]["accuracy"]
    assert accuracy["knn"] == pytest.approx(knn_accuracy(*both), rel=1e-4)
    assert accuracy["nearest_mean"] == pytest.approx(nearest_mean_accuracy(*both), rel=1e-4)
    assert found["fig1"]["test"]["points"] == fig1(*both)["test"]["points"]


def test_what_cannot_be_measured_is_refused():
    ones, unfit = np.ones((3, 2)), "give features (N, D) and a label each"
    calls = [(unfit, collapse, ones, [0, 1]), (unfit, collapse, np.ones(3), [0, 1, 2]),
             (unfit, knn_accuracy, np.ones((0, 2)), [], ones[:1], [0]), (unfit, class_means, ones[:2], [[0, 1]]),
             ("here is 1", collapse, ones, [4, 4, 4]),
             ("2 of the features' numbers are not finite", collapse, [[1.0, np.nan], [np.inf, 0]], [0, 1]),
             ("2 dimensions and test features 3", fig1, ones, [0, 1, 2], np.ones((3, 3)), [0, 1, 2])]
    assert [wanted for wanted, *call in calls if wanted not in refusal(*call)] == []
