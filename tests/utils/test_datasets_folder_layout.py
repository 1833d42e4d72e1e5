"""Splits, persons and labels as people lay them out: kept where they can be known, asked for where they can't."""

import io

import numpy as np
import pytest
from conftest import refusal
from datasets_on_disk import encoded, for_each, noise, pack, put, refused, write_own
from PIL import Image

from fer_utils.datasets import load_dataset
from fer_utils.datasets.folder import own_validation
from fer_utils.datasets.folder_layout import split_of
from fer_utils.datasets.report import persons
from fer_utils.emotions import EMOTIONS


def loaded(root, **options):
    return {split: load_dataset("folder", root, split, **options) for split in ("train", "test")}


def paths(dataset):
    return sorted(name.partition("_")[2] for name in dataset.names.tolist())


def laid_out(root, *layouts, n=5):
    """Images of every emotion for each layout, which holds {emotion} and {k}; their numbers are all different."""
    for turn, layout in enumerate(layouts):
        for label, emotion in enumerate(EMOTIONS):
            for k in range(n):
                face = noise(24, 24, seed=1000 * turn + 10 * label + k)
                put(root / layout.format(emotion=emotion, k=k), encoded(face))
    return root


@pytest.mark.parametrize("train, test", [
    ("Training", "PublicTest"), ("training", "testing"), ("train", "public_test"), ("TRAIN", "private-test"),
    ("train_set", "test_set"), ("FER2013Train", "FER2013Test"), ("train/images", "test/images"), ("train data", "eval"),
    ("all/a/train", "all/b/test"), ("train", "valid"), ("Training", "PrivateTest"), ("images/train", "images/val")])
def test_a_split_that_somebody_made_is_kept(tmp_path, cache, train, test):
    root = laid_out(tmp_path / "mine", f"{train}/{{emotion}}/{{k}}.png", f"{test}/{{emotion}}/{{k}}.png")
    for packed in (root, pack(root, tmp_path / "mine.zip")):
        parts = loaded(packed)
        assert [len(part) for part in parts.values()] == [35, 35]
        for folder, part in zip((train, test), parts.values()):
            assert all(path.startswith(f"{folder}/") for path in paths(part))


def test_validation_images_beside_a_test_stay_their_own_split_and_alone_are_the_test(tmp_path, cache):
    layouts = [f"{part}/{{emotion}}/{{k}}.png" for part in ("train", "val", "test")]
    root = laid_out(tmp_path / "three", *layouts)
    assert {split: len(part) for split, part in loaded(root).items()} == {"train": 35, "test": 35}
    own = own_validation(root)
    assert own.split == "validation" and all(path.startswith("val/") for path in paths(own))
    assert load_dataset("folder", root, "validation").fingerprint == own.fingerprint
    two = laid_out(tmp_path / "two", *layouts[:2])
    assert own_validation(two) is None
    assert loaded(two)["test"].source == "two, its validation images are the test"


def test_words_for_splits():
    assert [split_of(word) for word in ("Test", "dev", "Validation", "PublicTest", "train2", "contest", "trainer",
                                        "evaluate me", "")] == [
        "test", "validation", "validation", "validation", "train", None, None, None, None]


def test_persons_in_folders_and_in_file_names_are_never_in_two_splits(tmp_path, cache):
    layouts = {"folders": [f"P{person:04d}/{{emotion}}/{{k}}.png" for person in range(10)],
               "between": [f"faces/Subject {person}/cropped/{{emotion}}/{{k}}.png" for person in range(10)],
               "CK+48": [f"{{emotion}}/S{person:03d}_001_0000001{{k}}.png" for person in range(10)],
               "named": [f"{{emotion}}/subject_{person}-{{k}}.png" for person in range(10)]}
    for name, of in layouts.items():
        train, test = loaded(laid_out(tmp_path / name, *of, n=2)).values()
        assert len(set(train.persons)) == 8 and len(set(test.persons)) == 2, name
        assert not set(train.persons) & set(test.persons)
        assert persons(train, test) == "0 of the 2 persons of test are in train, too"


def test_persons_of_a_division_that_somebody_made_are_told_and_so_is_that_nobody_knows_them(tmp_path, cache):
    given = laid_out(tmp_path / "given", *(f"{part}/{{emotion}}/{{k}}.png" for part in (
        "train/P1", "train/P2", "test/P2", "test/P3")), n=1)
    assert persons(*loaded(given).values()) == "1 of the 2 persons of test are in train, too"
    train, test = loaded(write_own(tmp_path / "unknown")).values()
    assert train.persons is None and "who is in the images is not known" in persons(train, test)


def test_unknown_folders_above_are_a_question_and_its_answers_are_taken(tmp_path, cache):
    for names in (("camera1", "camera2"), ("Anna", "Ben"), ("old", "P001"), ("2023", "2024"), ("a/P1", "b/P2")):
        root = laid_out(tmp_path / names[0], *(f"{name}/{{emotion}}/{{k}}.png" for name in names))
        for split in ("train", "test"):
            refused("folder", root, "say who is in it? Give above='persons'", "above='nothing'", split=split)
        train, test = loaded(root, above="persons").values()
        assert len({*train.persons, *test.persons}) == 2 and not {*train.persons} & {*test.persons}
        assert load_dataset("folder", root, above="nothing").persons is None
    assert "above = 'nobody'" in refusal(load_dataset, "folder", root, above="nobody")
    both = laid_out(tmp_path / "both", "train/{emotion}/{k}.png", "more/{emotion}/{k}.png")
    refused("folder", both, "lies outside train/, validation/ and test/", "put it into one of them")
    twice = laid_out(tmp_path / "twice", "train/a/{emotion}/{k}.png", "test/train/{emotion}/{k}.png")
    refused("folder", twice, "which others lie in")


# labels.csv


def table(root, header, rows, name="labels.csv"):
    put(root / name, "\n".join([header, *rows]) + "\n")
    return root


def flat(root, n=5, folder=""):
    """Numbered images in one folder: (name, emotion)."""
    rows = []
    for label, emotion in enumerate(EMOTIONS):
        for k in range(n):
            rows.append((f"{label}{k:02d}.png", emotion))
            put(root / folder / rows[-1][0], encoded(noise(24, 24, seed=10 * label + k)))
    return rows


def test_labels_beside_a_flat_folder_are_read_however_they_are_written(tmp_path, cache):
    def check(name, header, line, table_name="labels.csv", folder=""):
        root = tmp_path / name
        rows = flat(root, folder=folder)
        table(root, header, [line.format(file=file, emotion=emotion, Emotion=emotion.upper(), stem=file[:-4])
                             for file, emotion in rows], table_name)
        train, test = loaded(root).values()
        assert (len(train), len(test)) == (28, 7)
        labels = dict(rows)
        for part in (train, test):
            for image, label, path in zip(part.images, part.labels, part.names):
                file = path.split("/")[-1].partition("_")[2] if "/" not in path else path.split("/")[-1]
                assert EMOTIONS[label] == labels[file]
                assert np.array_equal(image, np.asarray(Image.open(root / folder / file)))

    for_each(check, [
        ("plain", "file,emotion", "{file},{emotion}"), ("order", "Emotion,x,Image Name", "{Emotion},1,{file}"),
        ("semicolons", "filename;label", "{file};{emotion}"), ("tabs", "image\tclass", "{file}\t{emotion}", "a.tsv"),
        ("no ending", "image_id,file_name,expression", "9,{stem},{emotion}"),
        ("windows", "path,emotion", "C:\\Users\\me\\{file},{emotion}"),
        ("inside", "path,emotion", "images/{file},{emotion}", "labels.csv", "images"),
        ("quoted", '"file","emotion"', '"{file}","{Emotion}"', "Labels.CSV")])


def test_a_table_may_tell_splits_and_persons(tmp_path, cache):
    root = tmp_path / "mine"
    rows = flat(root)
    table(root, "file,emotion,usage,subject", [f"{file},{emotion},{'Training' if file[2] != '4' else 'PublicTest'},"
                                               f"{file[2]}" for file, emotion in rows])
    train, test = loaded(root).values()
    assert (len(train), len(test)) == (28, 7) and len(set(train.persons)) == 4 and len(set(test.persons)) == 1
    two = tmp_path / "two tables"
    for part in ("train", "test"):
        table(two, "file,emotion", [f"{part}/{file},{emotion}" for file, emotion in flat(two, folder=part)],
              f"{part}_labels.csv")
    assert [len(part) for part in loaded(two).values()] == [35, 35]


def test_what_a_table_cannot_mean_is_named_and_left_out_on_request(tmp_path, cache):
    def check(name, change, *texts, left=34):
        root = tmp_path / name
        lines = [f"{file},{emotion}" for file, emotion in flat(root)]
        table(root, "file,emotion", change(lines))
        refused("folder", root, *texts)
        if left:
            parts = loaded(root, skip_unknown=True)
            assert sum(map(len, parts.values())) == left and "left out" in parts["train"].source

    for_each(check, [
        ("other class", lambda rows: ["000.png,contempt", *rows[1:]], "emotion 'contempt': 000.png",
         "skip_unknown=True"),
        ("no image", lambda rows: [*rows[1:], "999.png,fear"], "no such image: 999.png"),
        ("not listed", lambda rows: rows[1:], "not listed: 000.png")])
    check("twice", lambda rows: [*rows, "000.png,fear"], "000.png is listed twice", left=0)
    root = tmp_path / "columns"
    flat(root)
    refused("folder", table(root, "a,b", ["000.png,fear"]), "a table with the columns a, b; expected a file name and")


def test_folders_of_other_classes_are_left_out_on_request(tmp_path, cache):
    root = write_own(tmp_path / "mine", (*EMOTIONS, "contempt"), n=5)
    refused("folder", root, "contempt/00.png: its folder is not one of the emotions")
    train, test = loaded(root, skip_unknown=True).values()
    assert len(train) + len(test) == 35 and train.source == test.source == "mine, 5 left out (5 contempt)"


def test_names_that_differ_only_in_unicodes_form_are_one(tmp_path, cache):
    root = tmp_path / "mine"
    rows = flat(root)
    (root / "000.png").rename(root / "u\u0308ber.png")  # as macOS writes it
    table(root, "file,emotion", ["\u00fcber.png,anger", *(f"{file},{emotion}" for file, emotion in rows[1:])])
    assert "über.png" in [path for part in loaded(root).values() for path in paths(part)]
    put(root / "\u00fcber.png", io.BytesIO(encoded(noise(24, 24))).getvalue())
    refused("folder", root, "are two files of one name")
