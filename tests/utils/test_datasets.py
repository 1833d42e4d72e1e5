"""The one data type and its split into training and validation; what ``load_dataset`` takes, and refuses."""

from dataclasses import replace

import numpy as np
import pytest
from datasets_on_disk import for_each

from fer_utils.datasets import DATASETS, TEST_SPLIT, FaceDataset, load_dataset, split_train_validation
from fer_utils.emotions import EMOTIONS
from fer_utils.errors import FerError
from fer_utils.runs.run import load_held_out


@pytest.fixture(scope="module", autouse=True)
def one_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_UTILS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


# FaceDataset


def test_the_fingerprint_knows_pixels_labels_order_classes_and_soft_labels(make_faces):
    faces = make_faces(14)
    soft = np.eye(7, dtype=np.float32)[faces.labels]
    others = [replace(faces, images=faces.images // 2), replace(faces, labels=faces.labels[::-1].copy()),
              faces.subset(np.arange(14)[::-1]), replace(faces, classes=(*EMOTIONS, "contempt")),
              replace(faces, soft_labels=soft), replace(faces, soft_labels=0.9 * soft + np.float32(0.1 / 7))]
    assert len({faces.fingerprint, *(other.fingerprint for other in others)}) == 7
    assert make_faces(14).fingerprint == faces.fingerprint
    assert faces.subset(np.arange(14), "validation").fingerprint == faces.fingerprint


def test_a_subset_takes_rows_of_every_field_by_index_or_mask(make_faces):
    whole = make_faces(21)
    part = whole.subset(whole.labels == 3)
    assert np.array_equal(part.images, whole.images[3::7])
    assert part.names.tolist() == ["train_3", "train_10", "train_17"] and part.split == "train"
    assert whole.subset([1, 0], "swapped").split == "swapped" and whole.subset([1, 0]).labels.tolist() == [1, 0]

    eight, labels = (*EMOTIONS, "contempt"), np.arange(16) % 8
    more = FaceDataset(whole.images[:16], labels, whole.names[:16], "train", "random pixels", eight,
                       np.eye(8, dtype=np.float32)[labels], np.arange(16) // 2)
    part = more.subset(np.arange(15, 3, -1), "part")
    assert (part.classes, part.split, part.source) == (eight, "part", "random pixels")
    assert np.array_equal(part.soft_labels.argmax(1), part.labels) and part.persons[0] == 7


def test_counts_have_a_place_for_each_class(make_faces):
    faces = replace(make_faces(7), labels=np.array([6, 6, 1, 1, 1, 0, 3]))
    assert faces.counts().tolist() == [1, 3, 0, 1, 0, 0, 2]
    assert len(replace(faces, classes=(*EMOTIONS, "contempt")).counts()) == 8


def test_fields_of_another_shape_or_type_are_refused(make_faces):
    faces = make_faces(7)

    def check(message, **fields):
        with pytest.raises(FerError, match=f"random pixels, split 'train': .*{message}"):
            replace(faces, **fields)

    def image(*shape, kind=np.uint8):
        return "images are .*; give uint8 of shape .N, H, W. or", {"images": np.zeros(shape, kind)}

    def label(*values, kind=np.int64):
        return r"labels are .*; give int64 of shape .7,.", {"labels": np.array(values).astype(kind)}

    assert replace(faces, images=np.zeros((7, 4, 5, 3), np.uint8)).images.ndim == 4
    cases = [*(image(7, 4, 4, kind=kind) for kind in (np.float32, np.int64, bool, np.int8)),
             *(image(*shape) for shape in ((7, 16), (7,), (7, 4, 4, 1), (7, 3, 4, 4), (7, 4, 4, 4), (1, 7, 4, 4, 3))),
             *(label(*range(7), kind=kind) for kind in (np.int32, np.uint8, float, str)),
             label(*range(6)), label(*range(8)), label(*np.eye(7)), label(*np.arange(7)[:, None]),
             ("labels run from 0 to 7; they index the 7 classes", {"labels": np.array([0, 1, 2, 3, 4, 5, 7])}),
             ("labels run from -1 to 6", {"labels": np.arange(7) - (np.arange(7) == 0)}),
             *((f"{n} names for 7 images", {"names": np.array(["name"] * n)}) for n in (0, 6, 8)),
             ("no image at all", {"images": np.zeros((0, 4, 4), np.uint8), "labels": np.zeros(0, np.int64),
                                  "names": np.array([])}),
             ("soft labels are float64", {"soft_labels": np.full((7, 7), 1 / 7)}),
             (r"soft labels are float32 \(7, 8\)", {"soft_labels": np.full((7, 8), 1 / 8, np.float32)}),
             ("each row adding up to 1", {"soft_labels": np.ones((7, 7), np.float32)}),
             (r"persons are int64 \(6,\)", {"persons": np.arange(6)}), ("persons are float", {"persons": np.ones(7)})]
    for_each(lambda message, fields: check(message, **fields), cases)


# Training and validation


@pytest.fixture
def unbalanced(make_faces):
    return replace(make_faces(700, size=8), labels=np.repeat(np.arange(7), [10, 20, 30, 100, 140, 180, 220]))


def test_the_validation_share_is_disjoint_complete_and_stratified(unbalanced):
    train, validation = split_train_validation(unbalanced, 0.3, seed=0)
    assert sorted([*train.names, *validation.names]) == sorted(unbalanced.names)
    assert validation.counts().tolist() == [3, 6, 9, 30, 42, 54, 66]
    assert (train.split, validation.split) == ("train", "validation")
    row = {name: k for k, name in enumerate(unbalanced.names)}
    for part in (train, validation):
        rows = [row[name] for name in part.names]
        assert np.array_equal(part.images, unbalanced.images[rows])
        assert np.array_equal(part.labels, unbalanced.labels[rows])


def test_the_split_follows_from_the_seed(unbalanced):
    first, again, other = (split_train_validation(unbalanced, 0.3, seed)[1].names.tolist() for seed in (0, 0, 1))
    assert first == again != other


def test_a_share_that_cannot_be_split_off_is_refused(make_faces):
    def check(fraction, n=70):
        with pytest.raises(FerError, match="random pixels: cannot split off a validation share"):
            split_train_validation(make_faces(n), fraction, seed=0)

    for_each(check, [(0.0,), (1.0,), (-0.1,), (1.5,), (float("nan"),), (0.001,), (0.999,)])
    check(0.3, n=8)  # six classes have one image
    with pytest.raises(FerError, match="by is 'face'; choose 'image' or 'person'"):
        split_train_validation(make_faces(70), 0.3, 0, by="face")


# What load_dataset takes


def test_what_runs_are_tested_on_is_a_split_and_not_private_test():
    assert set(TEST_SPLIT) == set(DATASETS) and all(TEST_SPLIT[name] in DATASETS[name] for name in DATASETS)
    assert TEST_SPLIT["fer2013"] == TEST_SPLIT["ferplus"] == "public_test"


def test_unknown_names_splits_and_options_are_refused_with_those_that_are_known(tmp_path):
    with pytest.raises(FerError, match="unknown data set 'affectnet'.*synthetic, fer2013"):
        load_dataset("affectnet")
    for name, splits in DATASETS.items():
        with pytest.raises(FerError, match=f"{name} has no option 'colourful'; it takes .*leave_out"):
            load_dataset(name, colourful=True)
        for split in ("validation", "Training", None):
            with pytest.raises(FerError, match=f"unknown split {split!r} of {name}.*{', '.join(splits)}"):
                load_dataset(name, tmp_path, split)


def test_an_unknown_fault_is_refused():
    for faults in ("constant", ["constants"], {"constant": 1}, 3):
        with pytest.raises(FerError, match="leave_out = .*: give a list of constant, duplicates, leaked"):
            load_dataset("synthetic", leave_out=faults)


def test_a_subset_is_stratified_always_the_same_and_says_so():
    whole, part = load_dataset("synthetic"), load_dataset("synthetic", subset=700)
    assert len(part) == 700 and part.source == f"{whole.source}, 700 of {len(whole)} images"
    assert np.abs(part.counts() - 700 * whole.counts() / len(whole)).max() < 1
    assert part.fingerprint == load_dataset("synthetic", subset=700).fingerprint
    label_of = dict(zip(whole.names, whole.labels))
    assert len(set(part.names)) == 700 and [label_of[name] for name in part.names] == part.labels.tolist()
    assert load_dataset("synthetic", subset=len(whole)).fingerprint == whole.fingerprint
    assert len(load_held_out("synthetic", None, {"subset": 700})) == len(load_dataset("synthetic", split="test"))


def test_a_subset_that_cannot_be_taken_is_refused():
    def check(subset, message):
        with pytest.raises(FerError, match=message):
            load_dataset("synthetic", split="test", subset=subset)

    for_each(check, [(0, "subset = 0: give a whole number"), (True, "subset = True"), (0.5, "subset = 0.5"),
                     ("700", "subset = '700'"), (10**6, "cannot take a subset of 1000000"),
                     (3, "cannot take a subset of 3")])
