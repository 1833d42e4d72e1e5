"""Numbers about a model, against cases that can be computed by hand."""

import json
import math

import numpy as np
import pytest
import torch
from conftest import refusal
from torch import nn

from fer_utils.emotions import EMOTIONS
from fer_utils.evaluation import (
    autocast,
    by_group,
    compactness,
    confusion,
    hesitation,
    most_confused_pair,
    predict,
    scores,
)
from fer_utils.transforms import channel_statistics

# Eight faces: three of anger (one taken for fear), four of happiness (one for anger, one for fear), one of fear.
LABELS = np.array([0, 0, 0, 3, 3, 3, 3, 2])
PREDICTED = np.array([0, 0, 2, 3, 3, 0, 2, 2])


def test_scores_of_a_case_computed_by_hand():
    # F1: anger 2·2/(3+3) = 2/3, fear 2·1/(1+3) = 1/2, happiness 2·2/(4+2) = 2/3; the others have none.
    found = scores(LABELS.tolist(), PREDICTED.tolist())
    assert found["accuracy"] == pytest.approx(5 / 8)
    assert found["weighted_f1"] == pytest.approx((3 * 2 / 3 + 1 * 1 / 2 + 4 * 2 / 3) / 8)
    assert found["macro_f1"] == pytest.approx((2 / 3 + 1 / 2 + 2 / 3) / 3)
    assert found["recall"] == pytest.approx(dict(zip(EMOTIONS, [2 / 3, 0, 1, 1 / 2, 0, 0, 0])))  # 0 where no face is
    assert json.loads(json.dumps(found)) == found
    for labels, predicted in (([0, 1], [0]), ([], []), ([0, 1], [[0, 1]]), ([0], np.eye(7)[:1])):
        assert "give one prediction for each label" in refusal(scores, labels, predicted)


def test_confusion_has_true_classes_in_rows_and_predicted_ones_in_columns_as_counts_or_shares():
    wanted = np.zeros((7, 7), int)
    wanted[0, 0], wanted[0, 2], wanted[3, 3], wanted[3, 0], wanted[3, 2], wanted[2, 2] = 2, 1, 2, 1, 1, 1
    assert np.array_equal(confusion(LABELS, PREDICTED), wanted)
    shares = confusion(LABELS, PREDICTED, normalise_rows=True)
    assert shares == pytest.approx(wanted / np.maximum(wanted.sum(1, keepdims=True), 1))  # 0 where no face is


def test_the_most_confused_pair_is_the_one_with_the_largest_mean_share_whatever_its_size():
    labels = np.repeat([2, 6, 0, 1], [1000, 40, 10, 10])
    predicted = labels.copy()
    predicted[:300] = 6  # 300 faces, 30 % of fear for surprise, no surprise for fear: 15 %
    predicted[1040:1042], predicted[1050:1052] = 1, 0  # four faces, 20 % both ways
    assert most_confused_pair(labels, predicted) == ("anger", "disgust", pytest.approx(0.2))


POINTS = np.array([[0.0, 0.0], [2.0, 0.0], [1.0, 4.0], [1.0, 4.0], [1.0, 4.0]])
GROUPS = np.array([1, 1, 5, 5, 5])


def test_compactness_of_hand_made_examples():
    found = compactness(POINTS, GROUPS)  # class 1: mean (1, 0), distances 1; class 5: all at (1, 4)
    assert (found.intra, found.inter, found.ratio) == pytest.approx((0.5, 4, 0.125))  # classes weighted alike: not 2/5
    far = compactness(np.float32(10_000) + POINTS.astype(np.float32), GROUPS)  # float32 loses no digits of it
    assert far.ratio == pytest.approx(0.125, rel=1e-6)
    found = compactness(np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]]), np.array([0, 3, 6]))
    assert found.inter == pytest.approx((3 + 4 + 5) / 3) and found.intra == 0  # the mean over pairs
    assert compactness(np.array([[-1.0], [1.0], [-2.0], [2.0]]), np.array([0, 0, 1, 1])).ratio == math.inf
    for labels, number in (([3, 3, 3, 3, 3], 1), ([], 0)):
        said = refusal(compactness, POINTS[:len(labels)], np.array(labels, int))
        assert f"compactness compares classes, and here is {number}" in said


def test_the_ratio_does_not_change_with_scale_shift_or_rotation():
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(70, 6)), np.arange(70) % 7
    plain, turn = compactness(features, labels), np.linalg.qr(rng.normal(size=(6, 6)))[0]
    assert compactness(1000 * features @ turn + 5, labels).ratio == pytest.approx(plain.ratio, rel=1e-9)


class Pixels(nn.Module):
    """Features: the mean of each channel in the left half, so that a mirror image is another one to it; logits: seven
    times the first; batch norm, to tell training from testing."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.sizes = []

    def forward(self, images):
        self.sizes.append(tuple(images.shape))
        features = self.norm(images)[..., : images.shape[-1] // 2].mean((2, 3))
        return features, features[:, :1] * torch.arange(7.0)


def test_predict_gives_features_and_probabilities_of_every_image_in_order(make_faces):
    faces, model = make_faces(20, size=16), Pixels()
    mean, std = channel_statistics(faces.images)
    features, probabilities = predict(model, faces.images, size=16, mean=mean, std=std, batch_size=8)
    wanted = (faces.images[..., :8].mean((1, 2)) / 255 - mean[0]) / std[0] / math.sqrt(1 + model.norm.eps)
    odds = np.exp(wanted[:, None] * np.arange(7))
    assert features.shape == (20, 3) and features.dtype == probabilities.dtype == np.float32
    assert np.abs(features - wanted[:, None]).max() < 1e-5
    assert probabilities == pytest.approx(odds / odds.sum(1, keepdims=True), abs=1e-5)
    assert [shape[0] for shape in model.sizes] == [8, 8, 4]


def test_predict_evaluates_resizes_and_hands_the_model_back_as_it_was(make_faces):
    for training in (True, False):
        model = Pixels().train(training)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        predict(model, make_faces(8, size=48, colour=True).images, size=32, mean=(0.5,) * 3, std=(0.2,) * 3)
        assert model.training is training and model.sizes == [(8, 3, 32, 32)]
        assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_mirror_is_the_mean_of_the_answers_to_an_image_and_its_mirror_image(make_faces):
    faces, inputs = make_faces(20, size=16), {"size": 16, "mean": (0.5,) * 3, "std": (0.02,) * 3}
    plain, mirrored = (predict(Pixels(), images, **inputs) for images in (faces.images, faces.images[:, :, ::-1]))
    both = predict(Pixels(), faces.images, mirror=True, **inputs)
    for found, one, other in zip(both, plain, mirrored):
        assert np.allclose(found, (one + other) / 2, atol=1e-6) and not np.allclose(one, other, atol=1e-3)


def test_bf16_is_used_when_it_is_asked_for():
    for precision, kind in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        with autocast(precision, "cpu"):
            assert nn.Linear(4, 4)(torch.ones(2, 4)).dtype == kind


def test_accuracy_by_group_with_its_interval():
    labels, predicted = np.array([0, 1, 2, 3, 4, 4, 4, 4]), np.array([0, 1, 2, 0, 4, 4, 0, 0])
    words = np.array(["b", "b", "b", "b", "a", "a", "a", "a"])
    table = by_group(labels, predicted, words)
    assert list(table.index) == ["a", "b"] and table.n.tolist() == [4, 4] and table.accuracy.tolist() == [0.5, 0.75]
    z, p, n = 1.959964, 0.75, 4  # Wilson's interval, from its own formula
    middle, half = (p + z**2 / 2 / n) / (1 + z**2 / n), z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + (z / 2 / n)**2)
    assert (table.low["b"], table.high["b"]) == pytest.approx((middle - half, middle + half), abs=1e-6)
    narrow = by_group(labels, predicted, words, level=0.5)
    assert table.low["b"] < narrow.low["b"] < 0.75 < narrow.high["b"] < table.high["b"]
    for shapes in ((3, 3, 2), (3, 2, 3), (0, 0, 0)):
        assert "give one of each" in refusal(by_group, *map(np.zeros, shapes))


def test_hesitation_counts_equally_likely_classes():
    rows = [[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25] * 4, [0.5, 0.25, 0.25, 0]]
    assert hesitation(rows) == pytest.approx([1, 2, 4, 2**1.5])
