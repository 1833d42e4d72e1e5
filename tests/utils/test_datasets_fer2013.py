"""FER2013 in every form: what is in the files comes out, once, in order; whatever is wrong with them is said."""

import csv
import io
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import refusal
from datasets_on_disk import (
    CODES,
    HEADERS,
    REAL,
    encoded,
    for_each,
    noise,
    pack,
    put,
    refused,
    same,
    table,
    table_rows,
    with_real_data,
    write_archive,
    write_faces,
    write_fer2013,
)
from PIL import Image

from fer_utils.datasets import DATASETS, PAPER_COUNTS, fer2013, load_dataset
from fer_utils.emotions import EMOTIONS, label_of

WHOLE = " ".join(["7"] * 2304)


@pytest.fixture
def root(tmp_path, cache):
    return write_fer2013(tmp_path / "fer2013")


def expected(root, *usages):
    """Pixels, labels and names by a reading of one's own: file after file, by split and then by row."""
    files = [file for file in root.rglob("*_*.*") if file.name.split("_")[0] in usages]
    files.sort(key=lambda file: (usages.index(file.name.split("_")[0]), int(file.stem.split("_")[1])))
    images = [np.asarray(Image.open(file)) for file in files]
    return np.stack(images), [label_of(file.parent.name) for file in files], [file.stem for file in files]


# Kaggle's folders and their zip


def test_a_folder_and_its_zips_give_the_official_splits_pixel_by_pixel(root, tmp_path):
    others = [pack(root, tmp_path / "plain.zip"), pack(root, tmp_path / "inner.zip", "fer2013/", reverse=True)]
    put(tmp_path / "download" / "README.md", "beside it")
    pack(root, tmp_path / "download" / "archive.zip")
    for split, usages in {"train": ["Training"], "public_test": ["PublicTest"], "private_test": ["PrivateTest"],
                          "test": ["PublicTest", "PrivateTest"]}.items():
        faces = load_dataset("fer2013", root, split)
        images, labels, names = expected(root, *usages)
        assert np.array_equal(faces.images, images) and faces.labels.tolist() == labels
        assert faces.names.tolist() == names and (faces.split, faces.source) == (split, "FER2013")
        assert split != "train" or sorted(names) != names  # ordered by number and not by name
        assert all(same(load_dataset("fer2013", other, split), faces) for other in (*others, f"{tmp_path}/download"))


def test_what_is_no_image_of_it_is_left_alone_and_colour_becomes_grey(root, tmp_path):
    before = load_dataset("fer2013", root)
    put(root / "train" / "angry" / ".DS_Store", b"noise")
    put(root / "__MACOSX" / "train" / "angry" / "._Training_0.png", b"\0\5\26\7")
    put(root / "labels.csv", "no image")
    path = root / "train" / "angry" / "Training_0.png"
    with Image.open(path) as image:
        image.convert("RGB").save(path)
    assert all(same(load_dataset("fer2013", copy), before) for copy in (root, pack(root, tmp_path / "mac.zip")))


def test_what_is_wrong_with_a_copy_is_named(root, tmp_path):
    def check(name, damage, *texts):
        for packed in (False, True):
            copy = shutil.copytree(root, tmp_path / f"{name}, {packed}")
            damage(copy)
            refused("fer2013", pack(copy, tmp_path / f"{name}.zip") if packed else copy, *texts)

    def without(*names, usage="Training"):
        return lambda copy: [file.unlink() for name in names for file in copy.rglob(f"{name}/{usage}*")]

    def added(path, content=b"broken"):
        return lambda copy: put(copy / path, content)

    def again(copy):
        file = next((copy / "train" / "happy").iterdir())
        shutil.copy(file, copy / "train" / "sad" / file.name)

    def nothing(copy):
        for file in copy.rglob("*.*"):
            file.unlink()

    face, no_image = encoded(noise(48, 48)), "cannot be read as an image"
    for_each(check, [
        ("no fear", without("fear"), "no Training image of fear; the download is not complete"),
        ("two missing", without("disgust", "sad", usage="PublicTest"), "no PublicTest image of disgust, sadness"),
        ("nothing", nothing, "no image in it; expected train/<emotion>/Training_<row>.png"),
        ("contempt", added("train/contempt/Training_8.png", face),
         "train/contempt/Training_8.png: its folder is not one of the seven"),
        ("no folder", added("Training_801.png", face), "Training_801.png: its folder is not one of the seven"),
        ("row twice", again, "the same row of FER2013; keep the one that is right"),
        *((name, added(f"train/happy/{name}", face), f"train/happy/{name}: not named Training_, PublicTest_ or "
           "PrivateTest_<row>") for name in ("image_3.png", "Training_3a.png", "training-4.jpeg", "Validation_3.png")),
        ("broken", added("test/neutral/PublicTest_777.png", face[:200]),
         f"test/neutral/PublicTest_777.png: {no_image}"),
        *((f"{size}", added("train/sad/Training_777.png", encoded(noise(*size))),
           f"train/sad/Training_777.png: {size[1]}x{size[0]} pixels; FER2013's are 48x48")
          for size in ((47, 48), (48, 64), (1, 1), (96, 96))),
    ])


def test_where_it_is_and_where_to_get_it_is_said(root, tmp_path):
    said = refusal(load_dataset, "fer2013")
    assert "Kaggle" in said and "data_dir" in said
    refused("fer2013", tmp_path / "elsewhere", "there is no such file or folder")
    for name in ("archive.zip", "archive (1).zip"):
        pack(root, tmp_path / "two zips" / name)
    refused("fer2013", tmp_path / "two zips", "neither train/ and test/, nor fer2013.csv", "(2 zips); give")
    (tmp_path / "nothing").mkdir()
    refused("fer2013", tmp_path / "nothing", "(0 zips)")


def test_a_split_that_is_not_there_is_named_with_those_that_are(tmp_path, cache):
    whole = write_fer2013(tmp_path / "data", {"Training": 1, "PublicTest": 1})
    csv = put(tmp_path / "fer2013.csv", table(table_rows(("Training", "PublicTest"))))
    for root in (whole, csv):
        assert len(load_dataset("fer2013", root, "public_test")) == 7
        for split in ("private_test", "test"):
            said = refusal(load_dataset, "fer2013", root, split)
            assert f"split '{split}' needs images named " in said and "the splits train, public_test" in said, said


# The challenge's table


def write_table(folder, form, rows):
    """One of the forms in which the table is passed on; returns what a reader would name."""
    inner = "icml_face_data.csv" if "icml" in form else "fer2013.csv"
    content = table(rows, inner).encode()
    if form.endswith(".zip"):
        return write_archive(folder / form, [("README.md", b"beside it"), (f"__MACOSX/._{inner}", b"\0\5"),
                                             (inner, content)])
    if form.endswith(".tar.gz"):
        return write_archive(folder / form, [("fer2013/fer2013.csv", content)])
    file = put(folder / ("fer2013" if form == "a folder in a folder" else "") / inner, content)
    return folder if form.startswith("a folder") else file


def test_every_form_of_the_table_gives_the_faces_of_the_folders(tmp_path, cache):
    official = table_rows()
    rows = [official[k] for k in np.random.default_rng(1).permutation(len(official))]
    folders = write_faces(tmp_path / "folders", rows)

    def check(form):
        root = write_table(tmp_path / f"table {form}", form, rows)
        for split in DATASETS["fer2013"]:
            assert same(load_dataset("fer2013", root, split), load_dataset("fer2013", folders, split))
        if form in ("fer2013.tar.gz", "fer2013.zip"):  # a folder that holds it is enough
            assert same(load_dataset("fer2013", root.parent), load_dataset("fer2013", root))

    for_each(check, [(form,) for form in ("fer2013.csv", "icml_face_data.csv", "fer2013.tar.gz", "fer2013.zip",
                                          "icml.zip", "a folder", "a folder with icml", "a folder in a folder")])
    more = put(tmp_path / "more" / "fer2013.csv", re.sub("(?m)^(?=.)", "one more column,", table(rows)))
    assert same(load_dataset("fer2013", more, "test"), load_dataset("fer2013", folders, "test"))


def test_rows_keep_their_official_numbers_and_codes_become_the_order_of_the_course(tmp_path, cache):
    rows = [[str(k), " ".join([str(k + 7 * turn)] * 2304), usage] for k in range(7)
            for turn, usage in enumerate(("PrivateTest", "Training", "PublicTest"))]
    path = put(tmp_path / "fer2013.csv", table(rows))
    for split, usage, first in (("train", "Training", 1), ("public_test", "PublicTest", 2),
                                ("private_test", "PrivateTest", 0)):
        faces = load_dataset("fer2013", path, split)
        assert faces.names.tolist() == [f"{usage}_{row:05d}" for row in range(first, 21, 3)]
        assert [EMOTIONS[k] for k in faces.labels] == ["anger", "disgust", "fear", "happiness", "sadness", "surprise",
                                                       "neutral"]
        assert faces.images[:, 5, 5].tolist() == [k + 7 * first for k in range(7)]


def with_cell(tmp_path, column, cell, name="fer2013.csv"):
    """A table whose row 9 has this cell."""
    rows, lines = [row[:] for row in table_rows()], io.StringIO()
    rows[9][column] = cell
    order = (0, 2, 1) if name == "icml_face_data.csv" else (0, 1, 2)
    csv.writer(lines, lineterminator="\n").writerows([row[k] for k in order] for row in rows)
    return put(tmp_path / name, HEADERS[name] + "\n" + lines.getvalue())


def test_a_cell_that_is_none_is_named_with_its_row(tmp_path, cache):
    def check(cell, column, message, name="fer2013.csv"):
        said = refused("fer2013", with_cell(tmp_path, column, cell, name), f"{name}: row 9: {message}")
        assert len(said) < len(str(tmp_path)) + 200

    end = "; expected 2304 from 0 to 255"
    pixels = {WHOLE[:-2]: "2303 pixels from 7 to 7", WHOLE + " 7": "2305 pixels from 7 to 7", "": "0 pixels",
              WHOLE[:-1] + "256": "2304 pixels from 7 to 256", WHOLE[:-1] + "-1": "2304 pixels from -1 to 7",
              WHOLE[:-1] + "9" * 30: "2304 pixels from 7 to "}
    no_number = [WHOLE[:-1] + cell for cell in ("a", "1.5", "nan", "0x10", "7;7", "7\0", "é")] + ["a" + WHOLE[1:]]
    for_each(check, [*((cell, 0, f"emotion is {cell[:40]!r}; expected 0 to 6") for cell in (
                         "", "7", "-1", "1.5", "10", "nan", "anger", "\u0665", "9" * 300)),
                     ("8", 0, "emotion is '8'", "icml_face_data.csv"),
                     *((cell, 1, message) for cell, message in pixels.items()),
                     *((cell, 1, "a pixel is not a whole number" + end) for cell in no_number),
                     *((cell, 2, f"Usage is {cell!r}; expected Training or PublicTest or PrivateTest")
                       for cell in ("Validation", "", "training", "Training_1"))])


def test_what_is_no_table_of_fer2013_is_refused(tmp_path, cache, monkeypatch):
    text, no_csv = table(table_rows()), "cannot be read as a CSV file"
    contents = {
        "empty": ("", no_csv),
        "header only": ("emotion,pixels,Usage\n", "0 rows; expected emotion, pixels and Usage"),
        "label": (text.replace("emotion,", "label,", 1), "a table with the columns label, pixels, Usage; expected "
                                                         "emotion, pixels and Usage"),
        "no usage": (table(table_rows(), "train.csv"), "a table with the columns emotion, pixels; expected emotion"),
        "no header": (text.split("\n", 1)[1], "a table with the columns 0, "),
        "emotion twice": (text.replace("emotion,", "emotion,emotion ,", 1), "columns emotion, emotion, "),
        "no sadness": (table([row for row in table_rows() if row[0] != "4" or row[2] != "PublicTest"]),
                       "no PublicTest image of sadness; the download is not complete")}
    for_each(lambda name, content, message: refused(
        "fer2013", put(tmp_path / name / "fer2013.csv", content), "fer2013.csv: ", message),
        [(name, *pair) for name, pair in contents.items()])
    rows = table_rows()
    rows[3][0] = "8"  # archive and member are named
    refused("fer2013", write_table(tmp_path, "faces.zip", rows), "faces.zip: fer2013.csv: row 3: emotion is '8'")
    monkeypatch.setattr(fer2013, "BYTES", 10)
    refused("fer2013", tmp_path / "header only" / "fer2013.csv",
            "fer2013.csv has 21 bytes unpacked; a data set of faces has no such file")


# train.csv and test.csv of the challenge


def test_train_csv_is_the_training_rows(tmp_path, cache):
    rows = table_rows(("Training", "Training"))
    whole, text = put(tmp_path / "whole" / "fer2013.csv", table(rows)), table(rows, "train.csv")
    deep, flat = tmp_path / "deep" / "fer2013", tmp_path / "flat"
    for place, content in ((deep, text), (flat, text.replace(",", ", "))):
        put(place / "train.csv", content)
        put(place / "test.csv", f"pixels\n{WHOLE}\n")
    for root in (deep.parent, flat, flat / "train.csv", pack(deep.parent, tmp_path / "kaggle.zip")):
        assert same(load_dataset("fer2013", root), load_dataset("fer2013", whole))
        assert "it holds the splits train." in refusal(load_dataset, "fer2013", root, "public_test")
    alone = put(tmp_path / "alone" / "test.csv", f"pixels\n{WHOLE}\n")
    for root in (alone, alone.parent):
        refused("fer2013", root, "test.csv: images without labels", "give fer2013.csv")


def test_a_table_with_the_test_rows_comes_before_train_csv(tmp_path, cache):
    rows, root = table_rows(), tmp_path / "root"
    put(root / "train.csv", table(rows[:7][::-1], "train.csv"))
    write_table(root, "fer2013.tar.gz", rows)
    assert len(load_dataset("fer2013", root, "private_test")) == 7
    put(root / "fer2013" / "icml_face_data.csv", table(rows[:14], "icml_face_data.csv"))
    assert len(load_dataset("fer2013", root, "public_test")) == 7
    assert "split 'private_test' needs" in refusal(load_dataset, "fer2013", root, "private_test")


# The real thing, where it is


@with_real_data
def test_real_fer2013_has_its_official_counts_and_order(tmp_path, cache):
    train, test = (load_dataset("fer2013", REAL, split) for split in ("train", "public_test"))
    assert tuple(train.counts()) == PAPER_COUNTS["fer2013"] == (3995, 436, 4097, 7215, 4965, 4830, 3171)
    assert test.counts().tolist() == [467, 56, 496, 895, 607, 653, 415]
    assert (len(train), len(test)) == (fer2013.SIZES["train"], fer2013.SIZES["public_test"]) == (28_709, 3_589)
    assert (np.diff([int(name.split("_")[1]) for name in train.names]) > 0).all()
    assert "it holds the splits train, public_test" in refusal(load_dataset, "fer2013", REAL, "private_test")

    subprocess.run([sys.executable, REAL / "make_csv.py", tmp_path / "fer2013.csv", "--rows", "2000"], check=True)
    assert same(load_dataset("fer2013", tmp_path / "fer2013.csv"), train.subset(slice(0, 2000)))
    rows = [[str([label_of(name) for name in CODES].index(test.labels[row])),
             " ".join(map(str, test.images[row].ravel())), "PublicTest"] for row in range(0, 3589, 9)]
    path = put(tmp_path / "public" / "fer2013.csv", table(rows))
    assert load_dataset("fer2013", path, "public_test").fingerprint == test.subset(slice(0, 3589, 9)).fingerprint
