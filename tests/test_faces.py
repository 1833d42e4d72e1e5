"""The synthetic faces: reproducible, faithful to the action units, and strict about their input."""

import numpy as np
import pytest

from fer_utils.datasets import load_dataset
from fer_utils.emotions import EMOTIONS
from fer_utils.errors import FerError
from fer_utils.faces import ACTION_UNITS, UNITS, Difficulty, draw_faces, sample_units, synthetic_faces

PLAIN = dict(noise=0.0, pose=0.0, light=0.0)  # every face at the same place, so that regions are fixed rows and columns
MOUTH = (slice(None), slice(30, 46), slice(12, 36))
EYES = (slice(None), slice(18, 26), slice(8, 40))
FOREHEAD = (slice(None), slice(0, 16))


def faces_with(*units, n=24, **options):
    intensities = np.zeros((n, len(UNITS)), np.float32)
    intensities[:, [UNITS.index(unit) for unit in units]] = 1.0
    return draw_faces(intensities, np.random.Generator(np.random.PCG64(7)), **{**PLAIN, **options}).astype(float)


def test_prototypes_cover_the_emotions_and_use_known_units():
    assert set(ACTION_UNITS) == set(EMOTIONS)
    assert {unit for units in ACTION_UNITS.values() for unit in units} == set(UNITS)


def test_same_seed_same_bytes_other_seed_other_bytes():
    counts = [3] * 7
    images, labels = synthetic_faces(counts, seed=5)
    again, same_labels = synthetic_faces(counts, seed=5)
    other, _ = synthetic_faces(counts, seed=6)
    assert np.array_equal(images, again) and np.array_equal(labels, same_labels)
    assert not np.array_equal(images, other)


def test_counts_types_and_shuffle():
    counts = [5, 0, 3, 40, 1, 2, 40]
    images, labels = synthetic_faces(counts, seed=1)
    assert images.shape == (91, 48, 48) and images.dtype == np.uint8
    assert labels.dtype == np.int64 and np.bincount(labels, minlength=7).tolist() == counts
    assert (np.diff(labels) < 0).any()


def test_no_faces_is_no_error():
    images, labels = synthetic_faces([0] * 7, seed=1)
    assert images.shape == (0, 48, 48) and labels.shape == (0,)


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_chunk_changes_nothing(chunk):
    options = dict(noise=0.05, pose=1.0, light=1.0, occlusion=0.5)
    assert np.array_equal(faces_with(6, 12, chunk=chunk, **options), faces_with(6, 12, **options))


@pytest.mark.parametrize("size", [16, 33, 96])
def test_other_sizes(size):
    assert faces_with(12, size=size).shape == (24, size, size)


@pytest.mark.parametrize("unit, where, elsewhere", [
    (1, FOREHEAD, MOUTH), (2, FOREHEAD, MOUTH), (4, FOREHEAD, MOUTH), (5, EYES, MOUTH), (6, EYES, FOREHEAD),
    (7, EYES, MOUTH), (9, EYES, (slice(None), slice(0, 12))), (12, MOUTH, FOREHEAD), (15, MOUTH, FOREHEAD),
    (16, MOUTH, FOREHEAD), (20, MOUTH, FOREHEAD), (23, MOUTH, FOREHEAD), (26, MOUTH, FOREHEAD),
])
def test_a_unit_acts_where_it_should(unit, where, elsewhere):
    change = np.abs(faces_with(unit) - faces_with())
    assert change[where].mean() > 1.0
    assert change[elsewhere].max() <= 1.0  # one grey step, for a rounding at the border


def test_a_dropped_jaw_darkens_the_mouth_and_raised_lids_brighten_the_eyes():
    neutral = faces_with()
    assert (faces_with(26)[MOUTH].mean((1, 2)) < neutral[MOUTH].mean((1, 2))).all()
    assert (faces_with(5)[EYES].mean((1, 2)) > neutral[EYES].mean((1, 2))).mean() > 0.8


def test_sampled_units_follow_the_difficulty():
    labels, rng = np.repeat(np.arange(7), 200), np.random.Generator(np.random.PCG64(0))
    prototype = np.array([[unit in ACTION_UNITS[name] for unit in UNITS] for name in EMOTIONS])[labels]
    clear = sample_units(labels, rng, Difficulty(weakest=1, strongest=1, uneven=0, missing=0, stray=0))
    assert np.array_equal(clear, prototype.astype(np.float32))
    vague = sample_units(labels, rng, Difficulty(missing=0.5, stray=0.2))
    assert abs((vague[prototype] == 0).mean() - 0.5) < 0.05
    assert abs((vague[~prototype] > 0).mean() - 0.2) < 0.05
    assert vague.min() >= 0 and vague.max() <= 1


def decodability(difficulty):
    """Accuracy of ridge regression on halved images, on faces that it was not fitted to."""
    def features(seed):
        images, labels = synthetic_faces([120] * 7, seed, difficulty)
        small = images.reshape(-1, 24, 2, 24, 2).mean((2, 4)).reshape(len(images), -1)
        return (small - small.mean(1, keepdims=True)) / (small.std(1, keepdims=True) + 1.0), labels

    (x, y), (test_x, test_y) = features(1), features(2)
    weights = np.linalg.solve(x.T @ x + 100.0 * np.eye(x.shape[1]), x.T @ np.eye(7)[y])
    return ((test_x @ weights).argmax(1) == test_y).mean()


def test_emotions_can_be_read_and_difficulty_matters():
    easy = Difficulty(weakest=1, strongest=1, uneven=0, missing=0, stray=0, noise=0, pose=0, light=0, occlusion=0)
    hard = Difficulty(weakest=0.2, strongest=0.4, missing=0.5, stray=0.3, noise=0.1, pose=2, light=2, occlusion=0.5)
    assert decodability(easy) > 0.9
    assert decodability(hard) < 0.4


@pytest.mark.parametrize("counts", [[1] * 6, [1] * 8, [1, 1, 1, -1, 1, 1, 1], [1.5] * 7, 3])
def test_bad_counts_are_refused(counts):
    with pytest.raises(FerError, match="synthetic_faces: counts .* pass 7 integers"):
        synthetic_faces(counts, seed=0)


@pytest.mark.parametrize("units, message", [
    (np.zeros(13), "shape"), (np.zeros((2, 12)), "shape"), (np.full((1, 13), 1.1), "outside"),
    (np.full((1, 13), -0.1), "outside"), (np.full((1, 13), np.nan), "outside"),
])
def test_bad_units_are_refused(units, message):
    with pytest.raises(FerError, match=f"draw_faces: units .*{message}"):
        draw_faces(units, np.random.default_rng(0))


def test_too_small_a_size_is_refused():
    with pytest.raises(FerError, match="size is 15; pass at least 16"):
        faces_with(size=15)


@pytest.mark.parametrize("split, fingerprint", [
    ("train", "48986ac8e58e9401459f1a4c4b0995912d72c40bc5d90746257e71443ea30e28"),
    ("test", "b153b8ab8326a6ed86f3581b370cb678b361911387c7e299b7e51ad49cd75989"),
    ("probe", "b03641c06f8245ec24d07fdc96d639ed85055420bd060bdb5e532eab43346f4a"),
])
def test_the_embedded_faces_are_frozen(split, fingerprint):
    """Their difficulty was set with softmax alone, before centre loss was run on them: they stay as they are."""
    assert load_dataset("synthetic", split=split).fingerprint == fingerprint
