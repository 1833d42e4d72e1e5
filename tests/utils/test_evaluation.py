"""Numbers about a model, against cases that can be computed by hand."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from fer_utils.emotions import EMOTIONS
from fer_utils.errors import FerError
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
    # F1: anger 2·2/(3+3) = 2/3, fear 2·1/(1+3) = 1/2, happiness 2·2/(4+2) = 2/3, the other four 0.
    found = scores(LABELS, PREDICTED)
    assert found["accuracy"] == pytest.approx(5 / 8)
    assert found["weighted_f1"] == pytest.approx((3 * 2 / 3 + 1 * 1 / 2 + 4 * 2 / 3) / 8)
    assert found["macro_f1"] == pytest.approx((2 / 3 + 1 / 2 + 2 / 3) / 7)


def test_recall_of_each_class_by_name_is_zero_where_no_face_is():
    recall = scores(LABELS, PREDICTED)["recall"]
    assert tuple(recall) == EMOTIONS
    assert [recall[name] for name in EMOTIONS] == pytest.approx([2 / 3, 0, 1, 1 / 2, 0, 0, 0])


def test_scores_of_a_perfect_and_of_a_hopeless_model():
    labels = np.arange(7)
    perfect, hopeless = scores(labels, labels), scores(labels, (labels + 1) % 7)
    assert perfect["accuracy"] == perfect["weighted_f1"] == perfect["macro_f1"] == 1
    assert hopeless["accuracy"] == hopeless["weighted_f1"] == hopeless["macro_f1"] == 0


def test_a_model_that_says_happiness_always_is_unmasked_by_macro_f1():
    labels = np.array([3] * 80 + [0, 1, 2, 4, 5, 6] * 3 + [0, 1])
    found = scores(labels, np.full(100, 3))
    assert found["accuracy"] == pytest.approx(0.8)
    assert found["weighted_f1"] == pytest.approx(0.8 * 1.6 / 1.8)
    assert found["macro_f1"] == pytest.approx(1.6 / 1.8 / 7)


def test_scores_are_plain_numbers_that_json_can_hold():
    found = scores(LABELS.tolist(), PREDICTED.tolist())
    assert all(type(found[name]) is float for name in ("accuracy", "weighted_f1", "macro_f1"))
    assert all(type(value) is float for value in found["recall"].values())


@pytest.mark.parametrize("labels, predicted", [([0, 1], [0]), ([], []), ([0, 1], [[0, 1]]), ([0], np.eye(7)[:1])])
def test_scores_want_one_prediction_for_each_label(labels, predicted):
    with pytest.raises(FerError, match="give one prediction for each label"):
        scores(labels, predicted)


def test_confusion_counts_true_classes_in_rows_and_predicted_ones_in_columns():
    counts = confusion(LABELS, PREDICTED)
    wanted = np.zeros((7, 7), int)
    wanted[0, 0], wanted[0, 2], wanted[3, 3], wanted[3, 0], wanted[3, 2], wanted[2, 2] = 2, 1, 2, 1, 1, 1
    assert np.array_equal(counts, wanted)


def test_confusion_rows_sum_to_one_and_to_zero_where_no_face_is():
    shares = confusion(LABELS, PREDICTED, normalise_rows=True)
    assert shares.sum(1) == pytest.approx([1, 0, 1, 1, 0, 0, 0])
    assert shares[3] == pytest.approx([1 / 4, 0, 1 / 4, 1 / 2, 0, 0, 0])


def test_the_most_confused_pair_is_the_one_with_the_largest_mean_share():
    labels = np.repeat([2, 6, 0, 1], [100, 4, 10, 10])
    predicted = labels.copy()
    predicted[:30] = 6  # 30 % of fear for surprise, no surprise for fear: 15 %
    predicted[104:106], predicted[114:116] = 1, 0  # 20 % both ways
    assert most_confused_pair(labels, predicted) == ("anger", "disgust", pytest.approx(0.2))


def test_a_classs_size_plays_no_part_in_the_most_confused_pair():
    labels = np.repeat([2, 6, 3, 4], [1000, 1000, 4, 4])
    predicted = labels.copy()
    predicted[:400] = 6  # 400 faces, 20 % on average
    predicted[2000:2002] = 4  # two faces, 25 %
    assert most_confused_pair(labels, predicted) == ("happiness", "neutral", pytest.approx(0.25))


# Compactness

POINTS = np.array([[0.0, 0.0], [2.0, 0.0], [1.0, 4.0], [1.0, 4.0], [1.0, 4.0]])
GROUPS = np.array([1, 1, 5, 5, 5])


def test_compactness_of_a_hand_made_example():
    found = compactness(POINTS, GROUPS)  # class 1: mean (1, 0), distances 1; class 5: all at (1, 4)
    assert found.intra == pytest.approx(0.5)  # classes weighted alike: (1 + 0) / 2, and not 2/5
    assert found.inter == pytest.approx(4)
    assert found.ratio == pytest.approx(0.125)


def test_compactness_intra_is_the_mean_over_classes():
    points = np.array([[-6.0], [6.0], [10.0], [10.0], [19.0], [21.0], [19.0], [21.0]])
    found = compactness(points, np.array([0, 0, 1, 1, 2, 2, 2, 2]))  # distances to the means: 6, 0 and 1
    assert found.intra == pytest.approx(7 / 3)


def test_compactness_inter_is_the_mean_over_pairs():
    points = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    found = compactness(points, np.array([0, 3, 6]))
    assert found.inter == pytest.approx((3 + 4 + 5) / 3) and found.intra == 0


def test_the_ratio_does_not_change_with_scale_shift_or_rotation():
    chance = np.random.default_rng(0)
    features, labels = chance.normal(size=(70, 6)), np.arange(70) % 7
    turn = np.linalg.qr(chance.normal(size=(6, 6)))[0]
    plain = compactness(features, labels)
    scaled = compactness(1000 * features + 5, labels)
    assert scaled.ratio == pytest.approx(plain.ratio, rel=1e-9)
    assert scaled.intra == pytest.approx(1000 * plain.intra, rel=1e-9)
    assert compactness(features @ turn, labels).ratio == pytest.approx(plain.ratio, rel=1e-9)


def test_compactness_of_fp32_features_does_not_lose_digits():
    features = np.float32(10_000) + POINTS.astype(np.float32)
    assert compactness(features, GROUPS).ratio == pytest.approx(0.125, rel=1e-6)


def test_coinciding_class_means_have_an_infinite_ratio():
    assert compactness(np.array([[-1.0], [1.0], [-2.0], [2.0]]), np.array([0, 0, 1, 1])).ratio == math.inf


@pytest.mark.parametrize("labels, number", [([3, 3, 3, 3, 3], 1), ([], 0)])
def test_compactness_wants_two_classes(labels, number):
    with pytest.raises(FerError, match=f"compactness compares classes, and here is {number}"):
        compactness(POINTS[:len(labels)], np.array(labels, int))


# Prediction


class Pixels(nn.Module):
    """Features: the mean of each channel; logits: seven times the first; batch norm, to tell the two modes apart."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.sizes = []

    def forward(self, images):
        self.sizes.append(tuple(images.shape))
        features = self.norm(images).mean((2, 3))
        return features, features[:, :1] * torch.arange(7.0)


def test_predict_gives_features_and_probabilities_of_every_image_in_order(make_faces):
    faces, model = make_faces(20, size=16), Pixels()
    mean, std = channel_statistics(faces.images)
    features, probabilities = predict(model, faces.images, size=16, mean=mean, std=std, batch_size=8)
    wanted = (faces.images.mean((1, 2)) / 255 - mean[0]) / std[0] / math.sqrt(1 + model.norm.eps)
    assert features.shape == (20, 3) and features.dtype == np.float32
    assert np.abs(features - wanted[:, None]).max() < 1e-5
    assert probabilities.shape == (20, 7) and probabilities.dtype == np.float32
    assert probabilities.sum(1) == pytest.approx(np.ones(20), abs=1e-6)
    assert probabilities == pytest.approx(np.exp(z := wanted[:, None] * np.arange(7)) / np.exp(z).sum(1, keepdims=True),
                                          abs=1e-5)
    assert [shape[0] for shape in model.sizes] == [8, 8, 4]


def test_predict_does_not_depend_on_the_batch_size_and_repeats_itself(make_faces):
    faces, model = make_faces(20, size=16, colour=True), Pixels()
    inputs = {"size": 16, "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)}
    one, many, again = (predict(model, faces.images, **inputs, batch_size=size) for size in (1, 20, 20))
    assert np.allclose(one[0], many[0], atol=1e-6) and np.allclose(one[1], many[1], atol=1e-6)
    assert np.array_equal(many[0], again[0]) and np.array_equal(many[1], again[1])


@pytest.mark.parametrize("training", [True, False])
def test_predict_evaluates_and_hands_the_model_back_as_it_was(make_faces, training):
    model = Pixels().train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    predict(model, make_faces(8, size=16).images, size=16, mean=(0.5,) * 3, std=(0.2,) * 3)
    assert model.training is training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_predict_resizes_to_the_size_of_training(make_faces):
    model = Pixels()
    predict(model, make_faces(3, size=48).images, size=32, mean=(0.5,) * 3, std=(0.2,) * 3)
    assert model.sizes == [(3, 3, 32, 32)]


class Left(nn.Module):
    """Sees the left half alone, so that a mirror image is another one to it."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, images):
        features = self.scale * images[..., : images.shape[-1] // 2].mean((2, 3))
        return features, 7 * features[:, :1] * torch.arange(7.0)


def test_mirror_is_the_mean_of_the_answers_to_an_image_and_its_mirror_image(make_faces):
    faces, inputs = make_faces(20, size=16), {"size": 16, "mean": (0.5,) * 3, "std": (0.2,) * 3}
    plain, mirrored = (predict(Left(), images, **inputs) for images in (faces.images, faces.images[:, :, ::-1]))
    both = predict(Left(), faces.images, mirror=True, **inputs)
    for found, one, other in zip(both, plain, mirrored):
        assert np.allclose(found, (one + other) / 2, atol=1e-6) and not np.allclose(one, other, atol=1e-3)
    assert both[1].sum(1) == pytest.approx(np.ones(20), abs=1e-6)


def test_bf16_is_used_when_it_is_asked_for():
    layer, x = nn.Linear(4, 4), torch.ones(2, 4)
    with autocast("bf16", "cpu"):
        assert layer(x).dtype == torch.bfloat16
    with autocast("fp32", "cpu"):
        assert layer(x).dtype == torch.float32


# Groups

def test_accuracy_by_group_with_its_interval():
    labels, predicted = np.array([0, 1, 2, 3, 4, 4, 4, 4]), np.array([0, 1, 2, 0, 4, 4, 0, 0])
    table = by_group(labels, predicted, np.array(["b", "b", "b", "b", "a", "a", "a", "a"]))
    assert list(table.index) == ["a", "b"] and table.n.tolist() == [4, 4]
    assert table.accuracy.tolist() == [0.5, 0.75]
    z, p, n = 1.959964, 0.75, 4  # Wilson's interval, from its own formula
    middle, half = (p + z**2 / 2 / n) / (1 + z**2 / n), z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + (z / 2 / n)**2)
    assert (table.low["b"], table.high["b"]) == pytest.approx((middle - half, middle + half), abs=1e-6)


def test_groups_add_up_to_the_whole():
    chance = np.random.default_rng(0)
    labels, predicted = chance.integers(0, 7, 300), chance.integers(0, 7, 300)
    table = by_group(labels, predicted, chance.choice(["x", "y", "z"], 300))
    assert table.n.sum() == 300
    assert (table.n * table.accuracy).sum() / 300 == pytest.approx(scores(labels, predicted)["accuracy"])
    wide, narrow = (by_group(labels, predicted, np.full(300, "all"), level) for level in (0.95, 0.5))
    assert wide.low.item() < narrow.low.item() < wide.accuracy.item() < narrow.high.item() < wide.high.item()


@pytest.mark.parametrize("shapes", [(3, 3, 2), (3, 2, 3), (0, 0, 0)])
def test_groups_that_do_not_fit_are_refused(shapes):
    with pytest.raises(FerError, match="one of each"):
        by_group(*(np.zeros(size) for size in shapes))


def test_hesitation_counts_equally_likely_classes():
    rows = [[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25] * 4, [0.5, 0.25, 0.25, 0]]
    assert hesitation(rows) == pytest.approx([1, 2, 4, 2**1.5])
    assert hesitation(np.float32([0.1, 0.9])) == pytest.approx(math.exp(-0.1 * math.log(0.1) - 0.9 * math.log(0.9)))
