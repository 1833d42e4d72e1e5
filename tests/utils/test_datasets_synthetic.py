"""The drawn faces as a data set: its options, its wrong labels, its persons, and the split that keeps persons apart."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import refusal
from datasets_on_disk import same
from scipy.stats import chi2_contingency

from fer_utils import faces
from fer_utils.datasets import PAPER_COUNTS, SYNTHETIC, load_dataset, split_train_validation
from fer_utils.datasets.cache import entries
from fer_utils.datasets.synthetic import groups

TAKES = {"images_per_person": 5}


@pytest.fixture(scope="module", autouse=True)
def one_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_UTILS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def load(split="test", **options):
    return load_dataset("synthetic", split=split, **options)


def test_options_are_kept_named_and_have_entries_of_their_own(cache):
    plain = load()
    for source, shape, options in (
            ("", (48, 48), {"size": 48, "colour": False, "label_noise": 0, "images_per_person": 1}),
            (", 20 x 20 pixels", (20, 20), {"size": 20}), (", 20 x 20 pixels", (20, 20), {"size": np.int64(20)}),
            (", in colour, 20 x 20 pixels", (20, 20, 3), {"size": 20, "colour": True}),
            (", 20 x 20 pixels, 3 images per person", (20, 20), {"size": 20, "images_per_person": 3})):
        dataset = load(**options)
        assert dataset.images.shape == (700, *shape) and dataset.source == f"synthetic faces{source}"
        assert np.array_equal(dataset.labels, plain.labels) and np.array_equal(dataset.names, plain.names)
    assert len(entries()) == 4


def test_bad_options_are_refused():
    for option, *values in (("size", 15, 513, 48.0, True, "large", None), ("colour", 1, "yes"),
                            ("label_noise", -0.1, 1.01, float("nan"), True, "much", None),
                            ("images_per_person", 0, 2.5, True, 1001)):
        for value in values:
            said = refusal(load, **{option: value})
            assert f"synthetic: {option} is {value!r}; " in said, said


def test_faces_have_the_promised_counts_in_rafdbs_proportions_and_none_is_in_two_splits():
    prints, names = set(), set()
    for split, (counts, _) in SYNTHETIC.items():
        dataset = load(split)
        assert dataset.counts().tolist() == list(counts) and dataset.images.shape == (sum(counts), 48, 48)
        assert dataset.split == split
        prints |= {image.tobytes() for image in dataset.images}
        names |= set(dataset.names)
        if split != "probe":
            wanted = sum(counts) * np.array(PAPER_COUNTS["rafdb"]) / sum(PAPER_COUNTS["rafdb"])
            assert np.abs(counts - wanted).max() <= 0.5
    assert load("probe").counts().tolist() == [200] * 7 and len(prints) == len(names) == 5100


def test_faces_are_drawn_once_and_anew_when_their_code_changes(cache, monkeypatch, tmp_path):
    drawn = []

    def draw(counts, seed):
        drawn.append(seed)
        return np.full((sum(counts), 48, 48), seed, np.uint8), np.repeat(np.arange(7), counts)

    monkeypatch.setattr(faces, "synthetic_faces", draw)
    assert load().fingerprint == load().fingerprint and drawn == [SYNTHETIC["test"][1]]
    load("probe")
    assert len(drawn) == 2  # each split by itself
    (tmp_path / "faces.py").write_text("# another drawing")
    monkeypatch.setattr(faces, "__file__", str(tmp_path / "faces.py"))
    load()
    assert len(drawn) == 3


def test_that_share_of_the_training_labels_is_wrong_drawn_evenly_and_what_is_tested_on_stays_clean():
    clean, noisy = load("train"), {share: load("train", label_noise=share) for share in (0.0005, 0.2, 0.3335, 1)}
    for share, dataset in noisy.items():
        assert (clean.labels != dataset.labels).sum() == round(3000 * share)
        assert np.array_equal(clean.images, dataset.images) and dataset.labels.dtype == np.int64
        assert dataset.source == f"synthetic faces, {100 * share:g} % of the labels wrong"
    assert len({clean.fingerprint, *(dataset.fingerprint for dataset in noisy.values())}) == 5
    steps = np.bincount((noisy[1].labels - clean.labels) % 7, minlength=7)
    assert steps[0] == 0 and np.abs(steps[1:] - 500).max() < 5 * np.sqrt(500)  # the other six alike
    wrong = noisy[0.2].labels != clean.labels
    assert np.array_equal(noisy[0.2].labels[wrong], noisy[0.3335].labels[wrong])  # they stay where there are more
    for label in range(7):  # and each class alike
        of_class = clean.labels == label
        assert abs(wrong[of_class].mean() - 0.2) < 4 * np.sqrt(0.2 * 0.8 / of_class.sum())
    for split in ("test", "probe"):
        dataset = load(split, label_noise=0.5)
        assert same(dataset, load(split)) and dataset.source == "synthetic faces"


def test_each_person_is_in_so_many_images_with_one_emotion_and_in_one_split():
    assert load().persons is None  # without takes nobody is named
    parts = [load(split, **TAKES) for split in SYNTHETIC]
    persons = [set(part.persons) for part in parts]
    assert len(set.union(*persons)) == sum(map(len, persons))
    for dataset in parts:
        times = np.bincount(dataset.persons - dataset.persons.min())
        assert (times <= 5).all() and (times < 5).sum() <= 7 and (times > 0).all()
        for person in np.unique(dataset.persons)[::20]:
            assert len(set(dataset.labels[dataset.persons == person])) == 1
    noisy = load("train", label_noise=0.3, **TAKES)  # a wrong label makes no other person
    assert np.array_equal(parts[0].persons, noisy.persons) and np.array_equal(parts[0].images, noisy.images)


def test_a_split_by_person_keeps_persons_apart_and_classes_in_proportion_and_follows_from_the_seed(make_faces):
    dataset = load("train", **TAKES)
    for fraction in (0.1, 0.15, 0.5, 1 / 3):
        train, validation = split_train_validation(dataset, fraction, 0, by="person")
        assert not set(train.persons) & set(validation.persons)
        assert sorted([*train.names, *validation.names]) == sorted(dataset.names)
        assert (train.split, validation.split) == ("train", "validation")
        assert np.abs(validation.counts() - fraction * dataset.counts()).max() <= 10  # two takes
    again, other = (split_train_validation(dataset, 1 / 3, seed, by="person")[1] for seed in (0, 1))
    assert same(again, validation)
    assert 0.2 < len(set(again.persons) & set(other.persons)) / len(set(again.persons)) < 0.5  # two draws of a third
    for persons, in_validation in ((10, 3), (2, 1)):  # as in JAFFE, few persons, each with every emotion
        few = replace(make_faces(210), persons=np.repeat(np.arange(persons), 210 // persons))
        train, validation = split_train_validation(few, 0.3, 0, by="person")
        assert len(set(validation.persons)) == in_validation
        assert len(set(train.persons)) == persons - in_validation and not set(train.persons) & set(validation.persons)


def test_a_split_by_person_that_cannot_be_is_refused(make_faces):
    for fraction, message, persons in (
            (0.3, "doesn't say who is in its images", None), (0.3, "1 persons, and each side", np.zeros(64, np.int64)),
            *((fraction, f"validation share of {fraction}", np.arange(64) // 8)
              for fraction in (0.0, 1.0, 20, float("nan"), float("inf"), "x"))):
        said = refusal(split_train_validation, replace(make_faces(64), persons=persons), fraction, 0, by="person")
        assert message in said, (message, said)


def test_the_traits_of_the_faces_are_those_that_they_are_drawn_with(monkeypatch):
    drawn, draw = [], faces.draw_traits
    monkeypatch.setattr(faces, "draw_traits", lambda *args, **more: drawn.append(draw(*args, **more)) or drawn[-1])
    counts = (3, 0, 2, 5, 1, 0, 4)
    for options in ({}, TAKES):
        drawn.clear()
        faces.synthetic_faces(counts, 7, **options)
        told = faces.traits_of_faces(counts, 7, **options)
        assert drawn[0].keys() == told.keys() and all(np.array_equal(drawn[0][name], told[name]) for name in told)


def test_groups_are_what_one_sees_and_tell_nothing_about_the_emotion():
    found, probe = groups("probe"), load("probe")
    images = probe.images.astype(float)
    assert {name: sorted(set(words)) for name, words in found.items()} == {
        "skin": ["dark", "light", "medium"], "light": ["bright", "dim", "medium"], "glasses": ["glasses", "none"],
        "beard": ["beard", "none"], "head": ["straight", "turned"], "covered": ["covered", "free"]}
    nose = images[:, 20:30, 20:28].mean((1, 2))
    for trait, words in {"skin": ("dark", "medium", "light"), "light": ("dim", "medium", "bright")}.items():
        assert np.all(np.diff([nose[found[trait] == word].mean() for word in words]) > 10)
        assert all(abs((found[trait] == word).mean() - 1 / 3) < 0.04 for word in words)
    assert abs((found["glasses"] == "glasses").mean() - 0.15) < 0.03 and (found["covered"] == "covered").mean() < 0.1
    assert abs((found["head"] == "turned").mean() - 0.5) < 0.05
    for trait, rows in {"glasses": slice(17, 27), "beard": slice(29, 45)}.items():
        change = np.abs(images[found[trait] != "none"].mean(0) - images[found[trait] == "none"].mean(0))
        assert rows.start <= np.unravel_index(change.argmax(), change.shape)[0] < rows.stop and change.max() > 8
    for words in found.values():
        table = np.array([np.bincount(probe.labels[words == word], minlength=7) for word in np.unique(words)])
        assert chi2_contingency(table).pvalue > 0.001
    assert "public_test" in refusal(groups, "public_test")
