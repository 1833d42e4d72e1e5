"""The synthetic faces: reproducible, faithful to the action units, and strict about their input."""

import hashlib

import numpy as np
import pytest
from conftest import refusal

from fer_utils import faces
from fer_utils.datasets import load_dataset
from fer_utils.emotions import EMOTIONS
from fer_utils.faces import ACTION_UNITS, UNITS, Difficulty, draw_faces, persons_of, sample_units, synthetic_faces
from fer_utils.faces.traits import COVER, HUES, IDENTITY, LIGHT, PASSING, POSE

PLAIN = dict(noise=0.0, pose=0.0, light=0.0)  # every face at the same place, so that regions are fixed rows and columns
MOUTH = (slice(None), slice(30, 46), slice(12, 36))
EYES = (slice(None), slice(18, 26), slice(8, 40))
FOREHEAD = (slice(None), slice(0, 16))


def faces_with(*units, n=24, **options):
    intensities = np.zeros((n, len(UNITS)), np.float32)
    intensities[:, [UNITS.index(unit) for unit in units]] = 1.0
    return draw_faces(intensities, np.random.Generator(np.random.PCG64(7)), **{**PLAIN, **options}).astype(float)


@pytest.mark.parametrize("split, fingerprint", [
    ("train", "48986ac8e58e9401459f1a4c4b0995912d72c40bc5d90746257e71443ea30e28"),
    ("test", "b153b8ab8326a6ed86f3581b370cb678b361911387c7e299b7e51ad49cd75989"),
    ("probe", "b03641c06f8245ec24d07fdc96d639ed85055420bd060bdb5e532eab43346f4a"),
])
def test_the_embedded_faces_are_frozen(split, fingerprint):
    """Their difficulty was set with softmax alone, before centre loss was run on them: they stay as they are."""
    assert load_dataset("synthetic", split=split).fingerprint == fingerprint


@pytest.mark.parametrize("size, fingerprint", [
    (48, "c089477626eca38bc3d89a6d4bc7fe7411db2f98dfbd28d9e1296e5c7ed5cb65"),
    (160, "0f207b545cf291b3c322ae15bb5056279837060d74a0929a90a53ab19c535ed6"),
])
def test_faces_in_colour_are_frozen(size, fingerprint):
    images, labels = synthetic_faces([2] * 7, seed=4, size=size, colour=True)
    assert images.shape == (14, size, size, 3) and images.dtype == np.uint8
    assert hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest() == fingerprint


def test_chunks_change_nothing_and_other_sizes_are_drawn(monkeypatch):
    options = dict(noise=0.05, pose=1.0, light=1.0, occlusion=0.5)
    whole = [faces_with(6, 12, colour=colour, **options) for colour in (False, True)]
    with monkeypatch.context() as patch:
        patch.setattr(faces, "CHUNK", 7)
        assert all(np.array_equal(faces_with(6, 12, colour=k == 1, **options), whole[k]) for k in (0, 1))
    for size in (16, 33, 96):
        assert faces_with(12, size=size).shape == (24, size, size)


def test_a_unit_acts_where_it_should():
    neutral, hair = faces_with(), (slice(None), slice(0, 12))
    places = {**dict.fromkeys((1, 2, 4), (FOREHEAD, MOUTH)), 5: (EYES, MOUTH), 6: (EYES, FOREHEAD), 7: (EYES, MOUTH),
              9: (EYES, hair), **dict.fromkeys((12, 15, 16, 20, 23, 26), (MOUTH, FOREHEAD))}
    assert set(places) == set(UNITS) == {unit for units in ACTION_UNITS.values() for unit in units}
    for unit, (where, elsewhere) in places.items():
        change = np.abs(faces_with(unit) - neutral)
        assert change[where].mean() > 1.0, unit
        assert change[elsewhere].max() <= 1.0, unit  # one grey step, for a rounding at the border
    # A dropped jaw darkens the mouth, and raised lids brighten the eyes.
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


def test_colour_keeps_the_persons_and_their_expressions():
    grey = faces_with(1, 4, 15) - faces_with()
    colour = (faces_with(1, 4, 15, colour=True) - faces_with(colour=True)).mean(3)
    for change, same, other in zip(grey, colour, np.roll(colour, 1, 0)):
        agreement = np.corrcoef(change.ravel(), same.ravel())[0, 1]
        assert agreement > 0.85 and agreement > np.corrcoef(change.ravel(), other.ravel())[0, 1]
    assert np.array_equal(synthetic_faces([2] * 7, 3)[1], synthetic_faces([2] * 7, 3, colour=True)[1])


def test_bad_input_is_refused():
    for counts in ([1] * 6, [1] * 8, [1, 1, 1, -1, 1, 1, 1], [1.5] * 7, 3):
        said = refusal(synthetic_faces, counts, seed=0)
        assert "synthetic_faces: counts is" in said and "pass 7 integers" in said, counts
    for units, message in ((np.zeros(13), "shape"), (np.zeros((2, 12)), "shape"), (np.full((1, 13), 1.1), "outside"),
                           (np.full((1, 13), -0.1), "outside"), (np.full((1, 13), np.nan), "outside")):
        said = refusal(draw_faces, units, np.random.default_rng(0))
        assert "draw_faces: units " in said and message in said
    assert synthetic_faces([0] * 7, seed=1)[0].shape == (0, 48, 48)  # none is no fault
    assert "size is 15; pass at least 16" in refusal(faces_with, size=15)
    assert "persons has shape (3,); pass (24,)" in refusal(faces_with, persons=[0, 0, 1])
    assert "images_per_person is 0" in refusal(synthetic_faces, [1] * 7, 0, images_per_person=0)


def test_the_pictures_of_a_person_show_one_emotion_and_the_first_is_the_one_that_they_have_alone():
    assert persons_of(np.array([3, 0, 3, 3, 0, 3, 3]), 2).tolist() == [1, 0, 1, 2, 0, 2, 3]
    counts = [3, 2, 7, 4, 1, 8, 5]
    alone, labels = synthetic_faces(counts, seed=6)
    together, same_labels = synthetic_faces(counts, seed=6, images_per_person=4)
    assert np.array_equal(labels, same_labels)
    _, first = np.unique(persons_of(labels, 4), return_index=True)
    differs = (alone != together).any((1, 2))
    assert not differs[first].any() and differs.sum() == len(labels) - len(first)


def test_a_person_is_known_by_what_lasts():
    persons = np.repeat(np.arange(12), 2)
    for colour in (False, True):
        images = faces_with(persons=persons, colour=colour, pose=0.0)
        hair = images[:, 2:9, 16:32].reshape(24, -1)
        away = np.abs(hair[:, None] - hair).mean(2)
        np.fill_diagonal(away, np.inf)
        assert (persons[away.argmin(1)] == persons).mean() > 0.9
        assert (images[0::2] != images[1::2]).any()  # gaze and blur are of the moment
    assert set(PASSING) <= {*IDENTITY, *POSE, *LIGHT, *COVER, *HUES} and all(0 < f <= 1 for f in PASSING.values())
