"""FER2013 in every form: what is in the files comes out, once, in order; whatever is wrong with them is said."""

import re
import shutil
import subprocess
import sys

import datasets_on_disk as disk
import numpy as np
import pytest
from conftest import refusal
from PIL import Image

from fer_utils.datasets import DATASETS, PAPER_COUNTS, fer2013, load_dataset
from fer_utils.emotions import label_of

WHOLE = " ".join(["7"] * 2304)


@pytest.fixture
def root(tmp_path, cache):
    return disk.write_fer2013(tmp_path / "fer2013")


def expected(root, *usages):
    """Pixels, labels and names by a reading of one's own: file after file, by split and then by row."""
    files = [file for file in root.rglob("*_*.*") if file.name.split("_")[0] in usages]
    files.sort(key=lambda file: (usages.index(file.name.split("_")[0]), int(file.stem.split("_")[1])))
    images = [np.asarray(Image.open(file)) for file in files]
    return np.stack(images), [label_of(file.parent.name) for file in files], [file.stem for file in files]


def test_a_folder_and_its_zips_give_the_official_splits_pixel_by_pixel(root, tmp_path):
    others = [disk.pack(root, tmp_path / "inner.zip", "fer2013/", reverse=True),
              disk.pack(root, tmp_path / "download" / "archive.zip"), str(tmp_path / "download")]
    disk.put(tmp_path / "download" / "README.md", "beside it")
    for split, usages in {"train": ["Training"], "public_test": ["PublicTest"], "private_test": ["PrivateTest"],
                          "test": ["PublicTest", "PrivateTest"]}.items():
        faces = load_dataset("fer2013", root, split)
        images, labels, names = expected(root, *usages)
        assert np.array_equal(faces.images, images) and faces.labels.tolist() == labels
        assert faces.names.tolist() == names and (faces.split, faces.source) == (split, "FER2013")
        assert split != "train" or sorted(names) != names  # ordered by number and not by name
        assert all(disk.same(load_dataset("fer2013", other, split), faces) for other in others)


def test_what_is_no_image_of_it_is_left_alone_and_colour_becomes_grey(root, tmp_path):
    before = load_dataset("fer2013", root)
    disk.put(root / "train" / "angry" / ".DS_Store", b"noise")
    disk.put(root / "__MACOSX" / "train" / "angry" / "._Training_0.png", b"\0\5\26\7")
    disk.put(root / "labels.csv", "no image")
    path = root / "train" / "angry" / "Training_0.png"
    with Image.open(path) as image:
        image.convert("RGB").save(path)
    for copy in (root, disk.pack(root, tmp_path / "mac.zip")):
        assert disk.same(load_dataset("fer2013", copy), before)


def test_what_is_wrong_with_a_copy_is_named(root, tmp_path):
    def check(name, damage, *texts):
        for packed in (False, True):
            copy = shutil.copytree(root, tmp_path / f"{name}, {packed}")
            damage(copy)
            disk.refused("fer2013", disk.pack(copy, tmp_path / f"{name}.zip") if packed else copy, *texts)

    def without(*names, usage="Training"):
        return lambda copy: [file.unlink() for name in names for file in copy.rglob(f"{name}/{usage}*")]

    def added(path, content=b"broken"):
        return lambda copy: disk.put(copy / path, content)

    def again(copy):
        file = next((copy / "train" / "happy").iterdir())
        shutil.copy(file, copy / "train" / "sad" / file.name)

    def nothing(copy):
        for file in copy.rglob("*.*"):
            file.unlink()

    face, no_image = disk.encoded(disk.noise(48, 48)), "cannot be read as an image"
    disk.for_each(check, [
        ("no fear", without("fear"), "no Training image of fear; the download"),
        ("two missing", without("disgust", "sad", usage="PublicTest"), "no PublicTest image of disgust, sadness"),
        ("nothing", nothing, "no image in it; expected train/<emotion>/Training_<row>.png"),
        *((name, added(f"{name}.png", face), f"{name}.png: its folder is not one of the emotions")
          for name in ("train/contempt/Training_8", "Training_801")),
        ("row twice", again, "the same row of FER2013; keep the one that is right"),
        *((name, added(f"train/happy/{name}", face), f"train/happy/{name}: not named Training_, PublicTest_ or "
           "PrivateTest_<row>") for name in ("image_3.png", "Training_3a.png", "training-4.jpeg", "Validation_3.png")),
        ("broken", added("test/neutral/PublicTest_777.png", face[:200]),
         f"test/neutral/PublicTest_777.png: {no_image}"),
        *((f"{size}", added("train/sad/Training_777.png", disk.encoded(disk.noise(*size))),
           f"train/sad/Training_777.png: {size[1]}x{size[0]} pixels; FER2013's are 48x48")
          for size in ((47, 48), (48, 64), (1, 1), (96, 96))),
    ])


def test_where_it_is_and_where_to_get_it_is_said(root, tmp_path):
    said = refusal(load_dataset, "fer2013")
    assert "Kaggle" in said and "data_dir" in said
    disk.refused("fer2013", tmp_path / "elsewhere", "FER2013 is not there; download it")
    for name in ("archive.zip", "archive (1).zip"):
        disk.pack(root, tmp_path / "two zips" / name)
    disk.refused("fer2013", tmp_path / "two zips", "neither train/ and test/, nor fer2013.csv", "(2 zips); give")
    (tmp_path / "nothing").mkdir()
    disk.refused("fer2013", tmp_path / "nothing", "(0 zips)")


def test_a_split_that_is_not_there_is_named_with_those_that_are(tmp_path, cache):
    whole = disk.write_fer2013(tmp_path / "data", {"Training": 1, "PublicTest": 1})
    csv = disk.put(tmp_path / "fer2013.csv", disk.table(disk.table_rows(("Training", "PublicTest"))))
    for root in (whole, csv):
        assert len(load_dataset("fer2013", root, "public_test")) == 7
        for split in ("private_test", "test"):
            said = refusal(load_dataset, "fer2013", root, split)
            assert f"split '{split}' needs images named " in said and "the splits train, public_test" in said, said


def write_table(folder, form, rows):
    """One of the forms in which the table is passed on; returns what a reader would name."""
    inner = "icml_face_data.csv" if "icml" in form else "fer2013.csv"
    content = disk.table(rows, inner).encode()
    if form.endswith(".zip"):
        return disk.write_archive(folder / form, [("README.md", b"beside it"), (f"__MACOSX/._{inner}", b"\0\5"),
                                             (inner, content)])
    if form.endswith(".tar.gz"):
        return disk.write_archive(folder / form, [("fer2013/fer2013.csv", content)])
    file = disk.put(folder / ("fer2013" if form == "a folder in a folder" else "") / inner, content)
    return folder if form.startswith("a folder") else file


def test_every_form_of_the_table_gives_the_faces_of_the_folders(tmp_path, cache):
    official = disk.table_rows()
    rows = [official[k] for k in np.random.default_rng(1).permutation(len(official))]
    folders = disk.write_faces(tmp_path / "folders", rows)

    def check(form):
        root = write_table(tmp_path / f"table {form}", form, rows)
        for split in DATASETS["fer2013"]:
            assert disk.same(load_dataset("fer2013", root, split), load_dataset("fer2013", folders, split))
        if form in ("fer2013.tar.gz", "fer2013.zip"):  # a folder that holds it is enough
            assert disk.same(load_dataset("fer2013", root.parent), load_dataset("fer2013", root))

    disk.for_each(check, [(form,) for form in ("fer2013.csv", "icml_face_data.csv", "fer2013.tar.gz", "fer2013.zip",
                                          "icml.zip", "a folder", "a folder with icml", "a folder in a folder")])
    more = disk.put(tmp_path / "more" / "fer2013.csv", re.sub("(?m)^(?=.)", "one more column,", disk.table(rows)))
    assert disk.same(load_dataset("fer2013", more, "test"), load_dataset("fer2013", folders, "test"))


def test_a_cell_that_is_none_is_named_with_its_row(tmp_path, cache):
    def check(cell, column, message, name="fer2013.csv"):
        rows = disk.table_rows()
        rows[9][column] = cell
        said = disk.refused("fer2013", disk.put(tmp_path / name, disk.table(rows, name)), f"{name}: row 9: {message}")
        assert len(said) < len(str(tmp_path)) + 200

    pixels = {WHOLE[:-2]: "2303 pixels from 7 to 7", WHOLE + " 7": "2305 pixels from 7 to 7", "": "0 pixels",
              WHOLE[:-1] + "256": "2304 pixels from 7 to 256", WHOLE[:-1] + "-1": "2304 pixels from -1 to 7",
              WHOLE[:-1] + "9" * 30: "2304 pixels from 7 to "}
    no_number = [WHOLE[:-1] + cell for cell in ("a", "1.5", "nan", "0x10", "7;7", "7\0", "é")] + ["a" + WHOLE[1:]]
    disk.for_each(check, [*((cell, 0, f"emotion is {cell[:40]!r}; expected 0 to 6") for cell in (
                         "", "7", "-1", "1.5", "10", "nan", "anger", "\u0665", "9" * 300)),
                     ("8", 0, "emotion is '8'", "icml_face_data.csv"),
                     *((cell, 1, message) for cell, message in pixels.items()),
                     *((cell, 1, "a pixel is not a whole number; expected 2304 from") for cell in no_number),
                     *((cell, 2, f"Usage is {cell!r}; expected Training or PublicTest or PrivateTest")
                       for cell in ("Validation", "", "training", "Training_1"))])


def test_what_is_no_table_of_fer2013_is_refused(tmp_path, cache, monkeypatch):
    text = disk.table(disk.table_rows())
    not_sad = [row for row in disk.table_rows() if row[0] != "4" or row[2] != "PublicTest"]
    disk.for_each(lambda name, content, message: disk.refused(
        "fer2013", disk.put(tmp_path / name / "fer2013.csv", content), "fer2013.csv: ", message), [
        ("empty", "", "cannot be read as a CSV file"),
        ("header only", "emotion,pixels,Usage\n", "0 rows; expected emotion, pixels and Usage"),
        ("label", text.replace("emotion,", "label,", 1), "a table with the columns label, pixels, Usage; expected "),
        ("no usage", disk.table(disk.table_rows(), "train.csv"), "a table with the columns emotion, pixels; "),
        ("no header", text.split("\n", 1)[1], "a table with the columns 0, "),
        ("emotion twice", text.replace("emotion,", "emotion,emotion ,", 1), "columns emotion, emotion, "),
        ("no sadness", disk.table(not_sad), "no PublicTest image of sadness; the download is not complete")])
    rows = disk.table_rows()
    rows[3][0] = "8"  # archive and member are named
    disk.refused("fer2013", write_table(tmp_path, "faces.zip", rows), "faces.zip: fer2013.csv: row 3: emotion is")
    monkeypatch.setattr(fer2013, "BYTES", 10)
    disk.refused("fer2013", tmp_path / "header only" / "fer2013.csv",
            "fer2013.csv has 21 bytes unpacked; a data set of faces has no such file")


def test_train_csv_is_the_training_rows(tmp_path, cache):
    rows = disk.table_rows(("Training", "Training"))
    whole, text = disk.put(tmp_path / "whole" / "fer2013.csv", disk.table(rows)), disk.table(rows, "train.csv")
    deep, flat = tmp_path / "deep" / "fer2013", tmp_path / "flat"
    for place in (deep, flat):
        disk.put(place / "train.csv", text)
        disk.put(place / "test.csv", f"pixels\n{WHOLE}\n")
    for root in (deep.parent, flat, flat / "train.csv", disk.pack(deep.parent, tmp_path / "kaggle.zip")):
        assert disk.same(load_dataset("fer2013", root), load_dataset("fer2013", whole))
        assert "it holds the splits train." in refusal(load_dataset, "fer2013", root, "public_test")
    alone = disk.put(tmp_path / "alone" / "test.csv", f"pixels\n{WHOLE}\n")
    for root in (alone, alone.parent):
        disk.refused("fer2013", root, "test.csv: images without labels", "give fer2013.csv")


def test_a_table_with_the_test_rows_comes_before_train_csv(tmp_path, cache):
    rows, root = disk.table_rows(), tmp_path / "root"
    disk.put(root / "train.csv", disk.table(rows[:7][::-1], "train.csv"))
    write_table(root, "fer2013.tar.gz", rows)
    assert len(load_dataset("fer2013", root, "private_test")) == 7
    disk.put(root / "fer2013" / "icml_face_data.csv", disk.table(rows[:14], "icml_face_data.csv"))
    assert len(load_dataset("fer2013", root, "public_test")) == 7
    assert "split 'private_test' needs" in refusal(load_dataset, "fer2013", root, "private_test")


@disk.with_real_data
def test_real_fer2013_has_its_official_counts_and_order(tmp_path, cache):
    train, test = (load_dataset("fer2013", disk.REAL, split) for split in ("train", "public_test"))
    assert tuple(train.counts()) == PAPER_COUNTS["fer2013"] == (3995, 436, 4097, 7215, 4965, 4830, 3171)
    assert test.counts().tolist() == [467, 56, 496, 895, 607, 653, 415]
    assert (len(train), len(test)) == (fer2013.SIZES["train"], fer2013.SIZES["public_test"]) == (28_709, 3_589)
    assert (np.diff([int(name.split("_")[1]) for name in train.names]) > 0).all()
    assert "it holds the splits train, public_test" in refusal(load_dataset, "fer2013", disk.REAL, "private_test")

    subprocess.run([sys.executable, disk.REAL / "make_csv.py", tmp_path / "fer2013.csv", "--rows", "2000"], check=True)
    assert disk.same(load_dataset("fer2013", tmp_path / "fer2013.csv"), train.subset(slice(0, 2000)))
    rows = [[str([label_of(name) for name in disk.CODES].index(test.labels[row])),
             " ".join(map(str, test.images[row].ravel())), "PublicTest"] for row in range(0, 3589, 9)]
    path = disk.put(tmp_path / "public" / "fer2013.csv", disk.table(rows))
    assert load_dataset("fer2013", path, "public_test").fingerprint == test.subset(slice(0, 3589, 9)).fingerprint
