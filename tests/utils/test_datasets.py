"""The one data type and its split into training and validation; what ``load_dataset`` takes, and refuses."""

from dataclasses import replace

import numpy as np
from conftest import refusal
from datasets_on_disk import same

from fer_utils.datasets import DATASETS, TEST_SPLIT, FaceDataset, load_dataset, name_of, split_train_validation
from fer_utils.emotions import EMOTIONS
from fer_utils.runs.run import load_held_out

# FaceDataset


def test_the_fingerprint_knows_pixels_labels_order_classes_and_soft_labels(make_faces):
    faces = make_faces(14)
    soft = np.eye(7, dtype=np.float32)[faces.labels]
    others = [replace(faces, images=faces.images // 2), replace(faces, labels=faces.labels[::-1].copy()),
              faces.subset(np.arange(14)[::-1]), replace(faces, classes=(*EMOTIONS, "contempt")),
              replace(faces, soft_labels=soft), replace(faces, soft_labels=0.9 * soft + np.float32(0.1 / 7))]
    assert len({faces.fingerprint, *(other.fingerprint for other in others)}) == 7
    assert faces.subset(np.arange(14), "validation").fingerprint == make_faces(14).fingerprint == faces.fingerprint


def test_a_subset_takes_rows_of_every_field_by_index_or_mask(make_faces):
    whole, eight, labels = make_faces(16), (*EMOTIONS, "contempt"), np.arange(16) % 8
    more = FaceDataset(whole.images, labels, whole.names, "train", "random pixels", eight,
                       np.eye(8, dtype=np.float32)[labels], np.arange(16) // 2)
    assert more.counts().tolist() == [2] * 8
    assert replace(whole, labels=labels * 0 + 5).counts().tolist() == [0, 0, 0, 0, 0, 16, 0]
    for rows in (np.arange(15, 3, -1), labels == 3):
        part = more.subset(rows, "part")
        assert (part.classes, part.split, part.source) == (eight, "part", "random pixels")
        for name in ("images", "labels", "names", "soft_labels", "persons"):
            assert np.array_equal(getattr(part, name), getattr(more, name)[rows]), name
    assert more.subset([1]).split == "train"


def test_fields_of_another_shape_or_type_are_refused(make_faces):
    faces = make_faces(7)

    def image(*shape, kind=np.uint8):
        return "give uint8 of shape (N, H, W) or", {"images": np.zeros(shape, kind)}

    def label(*values, kind=np.int64):
        return "labels are ", {"labels": np.array(values).astype(kind)}

    assert replace(faces, images=np.zeros((7, 4, 5, 3), np.uint8)).images.ndim == 4
    cases = [*(image(7, 4, 4, kind=kind) for kind in (np.float32, np.int64, bool, np.int8)),
             *(image(*shape) for shape in ((7, 16), (7, 4, 4, 1), (7, 3, 4, 4), (7, 4, 4, 4), (1, 7, 4, 4, 3))),
             *(label(*range(7), kind=kind) for kind in (np.int32, float, str)),
             label(*range(6)), label(*range(8)), label(*np.arange(7)[:, None]),
             ("labels run from 0 to 7; they index the 7 classes", {"labels": np.array([0, 1, 2, 3, 4, 5, 7])}),
             ("labels run from -1 to 6", {"labels": np.arange(7) - (np.arange(7) == 0)}),
             *((f"{n} names for 7 images", {"names": np.array(["name"] * n)}) for n in (0, 6, 8)),
             ("no image at all", {"images": np.zeros((0, 4, 4), np.uint8), "labels": np.zeros(0, np.int64),
                                  "names": np.array([])}),
             ("soft_labels are float64", {"soft_labels": np.full((7, 7), 1 / 7)}),
             ("soft_labels are float32 (7, 8)", {"soft_labels": np.full((7, 8), 1 / 8, np.float32)}),
             ("add up to 1 in each row", {"soft_labels": np.ones((7, 7), np.float32)}),
             ("persons are int64 (6,)", {"persons": np.arange(6)}), ("persons are float", {"persons": np.ones(7)})]
    for message, fields in cases:
        said = refusal(replace, faces, **fields)
        assert said.startswith("random pixels, split 'train': ") and message in said, (message, said)


def test_the_validation_share_is_disjoint_complete_stratified_and_follows_from_the_seed(make_faces):
    whole = replace(make_faces(700, size=8), labels=np.repeat(np.arange(7), [10, 20, 30, 100, 140, 180, 220]))
    train, validation = split_train_validation(whole, 0.3, seed=0)
    assert sorted([*train.names, *validation.names]) == sorted(whole.names)
    assert validation.counts().tolist() == [3, 6, 9, 30, 42, 54, 66]
    for part, split in ((train, "train"), (validation, "validation")):
        assert same(part, whole.subset(np.isin(whole.names, part.names))) and part.split == split
    assert same(validation, split_train_validation(whole, 0.3, seed=0)[1])
    assert not same(validation, split_train_validation(whole, 0.3, seed=1)[1])


def test_a_share_that_cannot_be_split_off_is_refused(make_faces):
    faces, shares = make_faces(70), (0.0, 1.0, -0.1, 1.5, float("nan"), 0.999)
    said = [refusal(split_train_validation, faces, fraction, 0) for fraction in shares]
    said.append(refusal(split_train_validation, make_faces(7), 0.3, 0))  # all classes have one image
    assert all("random pixels: cannot split off a validation share" in words for words in said), said
    assert "by is 'face'; choose 'image' or 'person'" in refusal(split_train_validation, faces, 0.3, 0, by="face")


def test_of_few_images_each_class_that_has_two_is_on_both_sides(make_faces):
    few = make_faces(40, size=8).subset(np.arange(2, 40))
    few = few.subset(np.flatnonzero((few.labels != 3) | (np.arange(38) < 5)))  # of class 3 one is left
    train, validation = split_train_validation(few, 0.05, seed=0)
    assert validation.counts().tolist() == [1, 1, 1, 0, 1, 1, 1] and train.counts().min() == 1
    assert len(train) + len(validation) == len(few)
    persons = replace(make_faces(14, size=8), persons=np.arange(14) % 2)
    parts = [set(part.persons) for part in split_train_validation(persons, 0.15, 0, "person")]
    assert sorted(parts, key=min) == [{0}, {1}]


def test_data_sets_are_found_by_the_names_that_people_call_them(cache):
    wanted = {"rafdb": ("RAF-DB", "raf_db", "RAFDB", "raf"), "ferplus": ("fer+", "FER Plus", "FERPlus"),
              "fer2013": ("FER-2013", "FER2013", "fer_2013", "fer"), "synthetic": ("Synthetic",), "folder": ("Folder",)}
    assert all(name_of(called) == name for name, names in wanted.items() for called in names)
    assert name_of("affectnet") == "affectnet" and name_of(None) is None
    assert len(load_dataset("Synthetic", split="Probe", subset="700")) == 700
    assert "did you mean 'synthetic'?" in refusal(load_dataset, "sinthetic")


def test_what_runs_are_tested_on_is_a_split_and_not_private_test():
    assert set(TEST_SPLIT) == set(DATASETS) and all(TEST_SPLIT[name] in DATASETS[name] for name in DATASETS)
    assert TEST_SPLIT["fer2013"] == TEST_SPLIT["ferplus"] == "public_test"


def test_unknown_names_splits_and_options_are_refused_with_those_that_are_known(cache, tmp_path):
    def check(message, name="synthetic", split="test", **options):
        said = refusal(load_dataset, name, tmp_path, split, **options)
        assert message in said, (message, said)

    check("dataset = 'affectnet': choose one of synthetic, fer2013", "affectnet")
    for name, splits in DATASETS.items():
        check(f"{name} has no option 'colourful'; it takes ", name, "train", colourful=True)
        for split in ("middle", "Training", None):
            check(f"unknown split {split!r} of {name}; choose one of {', '.join(splits)}", name, split)
    for faults in ("constant", ["constants"], {"constant": 1}, 3):
        check(f"leave_out = {faults!r}: give a list of constant, duplicates, leaked", leave_out=faults)
    for subset in (0, True, 0.5, "all"):
        check(f"subset = {subset!r}: give a whole number", subset=subset)
    for subset in (10**6, 3):
        check(f"cannot take a subset of {subset} of 700 images", subset=subset)


def test_a_subset_is_stratified_always_the_same_and_says_so(cache):
    whole, part = load_dataset("synthetic"), load_dataset("synthetic", subset=700)
    assert len(part) == 700 and part.source == f"{whole.source}, 700 of {len(whole)} images"
    assert np.abs(part.counts() - 700 * whole.counts() / len(whole)).max() < 1
    assert same(part, whole.subset(np.isin(whole.names, part.names)))
    assert same(part, load_dataset("synthetic", subset=700))
    assert same(whole, load_dataset("synthetic", subset=len(whole)))
    assert len(load_held_out("synthetic", None, {"subset": 700})) == len(load_dataset("synthetic", split="test"))
