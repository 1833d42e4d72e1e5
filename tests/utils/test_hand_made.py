"""Hand-made features against loops over pixels, and the ladder of classifiers beneath a network."""

import sys

import numpy as np
import pytest

from fer_utils.datasets import load_dataset
from fer_utils.errors import FerError
from fer_utils.hand_made import hog, ladder, lbp, linear_svm, pixels

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (3, 24, 24), dtype=np.uint8)


def pattern(image, y, x):
    """The uniform pattern of a pixel whose 8 neighbours lie at a distance of 1, those on the diagonals interpolated."""
    bits = []
    for k in range(8):
        down, right = -np.sin(2 * np.pi * k / 8), np.cos(2 * np.pi * k / 8)
        top, left = int(np.floor(y + down + 1e-9)), int(np.floor(x + right + 1e-9))
        f, g = y + down - top, x + right - left
        f, g = (0 if abs(part) < 1e-9 else part for part in (f, g))
        near = [[float(image[top + i, left + j]) if (i == 0 or f) and (j == 0 or g) else 0.0 for j in (0, 1)]
                for i in (0, 1)]
        value = (1 - f) * ((1 - g) * near[0][0] + g * near[0][1]) + f * ((1 - g) * near[1][0] + g * near[1][1])
        bits.append(value >= image[y, x] - 1e-9)
    changes = sum(bits[k] != bits[k - 1] for k in range(8))
    return sum(bits) if changes <= 2 else 9


def test_lbp_counts_the_uniform_patterns_of_each_cell():
    found = lbp(IMAGES, cells=3).reshape(3, 3, 3, 10)
    counts = np.zeros(10)
    for y in range(8, 16):  # the cell in the middle: no pixel at the image's edge
        for x in range(8, 16):
            counts[pattern(IMAGES[1], y, x)] += 1
    assert found[1, 1, 1] == pytest.approx(counts / 64, abs=1 / 64) and np.allclose(found.sum(-1), 1)


def test_hog_has_the_widths_that_are_told_and_sees_directions():
    stripes = np.zeros((2, 48, 48), np.uint8)
    stripes[0, ::4], stripes[1, :, ::4] = 255, 255
    found = hog(stripes)
    assert found.shape == (2, 5 * 5 * 2 * 2 * 8)  # blocks of 2 × 2 among 6 × 6 cells, 8 directions
    strongest = found.reshape(2, -1, 8).sum(1).argmax(1)
    assert (strongest[0] - strongest[1]) % 8 == 4, "a quarter turn is half of the eight directions"


def test_pixels_know_neither_light_nor_contrast():
    assert np.allclose(pixels(IMAGES), pixels(IMAGES // 2 + 40), atol=0.02)
    assert np.isfinite(pixels(np.full((1, 8, 8), 7, np.uint8))).all()


def test_the_svm_is_the_one_that_validation_prefers():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    features = rng.normal(size=(60, 5)) + labels[:, None]
    model = linear_svm(features, labels, features[:20], 1 - labels[:20])  # validation wants the worst answers
    assert model.score(features[:20], 1 - labels[:20]) >= linear_svm(
        features, labels, features[:20], labels[:20]).score(features[:20], 1 - labels[:20])


def test_each_rung_answers_every_face_and_edges_beat_the_largest_class():
    faces = [load_dataset("synthetic", split=split, subset=size) for split, size in (("train", 700), ("test", 140))]
    train, validation = faces[0].subset(np.arange(0, 700, 2)), faces[0].subset(np.arange(1, 700, 2))
    found = ladder(train, validation, faces[1])
    assert list(found) == ["largest class", "1-NN on pixels", "15-NN on pixels", "LBP + linear SVM", "HOG + linear SVM"]
    right = {name: (answers == faces[1].labels).mean() for name, answers in found.items()}
    assert len({answers.shape for answers in found.values()}) == 1
    assert right["HOG + linear SVM"] > right["largest class"] == (faces[1].labels == 3).mean()


def test_without_scikit_image_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.feature", None)
    with pytest.raises(FerError, match="pip install scikit-image"):
        lbp(IMAGES)
