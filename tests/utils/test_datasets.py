"""Readers: what is in the files comes out, once, in order; whatever is wrong with them is said."""

import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from fer_utils import datasets
from fer_utils.datasets import (
    DATASETS,
    PAPER_COUNTS,
    SYNTHETIC,
    TEST_SPLIT,
    FaceDataset,
    load_dataset,
    split_train_validation,
)
from fer_utils.datasets.cache import entries, forget
from fer_utils.emotions import EMOTIONS, label_of
from fer_utils.errors import FerError
from fer_utils.runs.run import load_held_out

FOLDERS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
ARCHIVE = Path(__file__).parents[2] / "shared" / "datasets" / "fer2013"
PER_CLASS = {"Training": 3, "PublicTest": 2, "PrivateTest": 1}


def png(seed, size=(48, 48)):
    pixels = np.random.default_rng(seed).integers(0, 256, size, np.uint8)
    content = io.BytesIO()
    PIL.Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def write_fer2013(root, per_class=PER_CLASS):
    """A small FER2013 in the layout of the Kaggle download, its rows spread over the classes as in the original."""
    row = 0
    for split, number in per_class.items():
        for turn in range(number):
            for name in FOLDERS[turn:] + FOLDERS[:turn]:
                folder = root / ("train" if split == "Training" else "test") / name
                folder.mkdir(parents=True, exist_ok=True)
                path = folder / f"{split}_{row}.png"
                path.write_bytes(png(row))
                if row % 10 == 3:  # Kaggle's present version is in JPEG
                    with PIL.Image.open(path) as image:
                        image.save(path.with_suffix(".jpg"))
                    path.unlink()
                row += 1
    return root


def write_zip(path, root, prefix=""):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(root.rglob("*")):
            archive.write(file, prefix + file.relative_to(root).as_posix())
    return path


def expected(root, *splits):
    """Pixels, labels and names by a reading of one's own: file after file, by split and then by row."""
    files = [file for file in root.rglob("*_*.*") if file.name.split("_")[0] in splits]
    files.sort(key=lambda file: (splits.index(file.name.split("_")[0]), int(file.stem.split("_")[1])))
    images = [np.asarray(PIL.Image.open(file)) for file in files]
    return np.stack(images), [label_of(file.parent.name) for file in files], [file.stem for file in files]


@pytest.fixture
def fer2013(tmp_path, cache):
    return write_fer2013(tmp_path / "fer2013")


def nothing_is_decoded(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("an image was decoded again")
    monkeypatch.setattr(PIL.Image, "open", refuse)


# What comes out


@pytest.mark.parametrize("split, kinds", [
    ("train", ["Training"]), ("public_test", ["PublicTest"]), ("private_test", ["PrivateTest"]),
    ("test", ["PublicTest", "PrivateTest"]),
])
def test_a_folder_gives_the_official_splits_pixel_by_pixel(fer2013, split, kinds):
    faces = load_dataset("fer2013", fer2013, split)
    images, labels, names = expected(fer2013, *kinds)
    assert len(faces) == 7 * sum(PER_CLASS[kind] for kind in kinds)
    assert np.array_equal(faces.images, images)
    assert faces.labels.tolist() == labels
    assert faces.names.tolist() == names
    assert faces.split == split and faces.source == "FER2013"


def test_rows_are_ordered_by_number_and_not_by_name(fer2013):
    rows = [int(name.split("_")[1]) for name in load_dataset("fer2013", fer2013, "train").names]
    assert rows == list(range(21))
    assert sorted(rows, key=str) != rows  # the case that would tell them apart is in it


def test_test_is_public_and_private_together(fer2013):
    public, private, both = (load_dataset("fer2013", fer2013, split) for split in
                             ("public_test", "private_test", "test"))
    assert np.array_equal(both.images, np.concatenate([public.images, private.images]))
    assert both.labels.tolist() == public.labels.tolist() + private.labels.tolist()


@pytest.mark.parametrize("prefix", ["", "fer2013/"])
@pytest.mark.parametrize("split", DATASETS["fer2013"])
def test_folder_and_zip_are_equal(fer2013, tmp_path, split, prefix):
    from_folder = load_dataset("fer2013", fer2013, split)
    from_zip = load_dataset("fer2013", write_zip(tmp_path / "archive.zip", fer2013, prefix), split)
    assert np.array_equal(from_folder.images, from_zip.images)
    assert np.array_equal(from_folder.labels, from_zip.labels)
    assert np.array_equal(from_folder.names, from_zip.names)
    assert from_folder.fingerprint == from_zip.fingerprint


def test_a_folder_that_holds_the_zip_is_enough(fer2013, tmp_path):
    (tmp_path / "download").mkdir()
    write_zip(tmp_path / "download" / "archive.zip", fer2013)
    (tmp_path / "download" / "README.md").write_text("beside it")
    faces = load_dataset("fer2013", str(tmp_path / "download"))
    assert faces.fingerprint == load_dataset("fer2013", fer2013).fingerprint


def test_colour_files_are_read_as_grey_ones(fer2013):
    path = fer2013 / "train" / "angry" / "Training_0.png"
    with PIL.Image.open(path) as image:
        grey = np.asarray(image)
        image.convert("RGB").save(path)
    assert np.array_equal(load_dataset("fer2013", fer2013).images[0], grey)


def test_files_that_are_no_images_are_left_alone(fer2013):
    before = load_dataset("fer2013", fer2013).fingerprint
    (fer2013 / "train" / "angry" / ".DS_Store").write_bytes(b"noise")
    (fer2013 / "labels.csv").write_text("no image")
    assert load_dataset("fer2013", fer2013).fingerprint == before


def test_the_fingerprint_knows_pixels_labels_and_order(make_faces):
    faces = make_faces(14)
    darker = FaceDataset(faces.images // 2, faces.labels, faces.names, "train", "random pixels")
    relabelled = FaceDataset(faces.images, faces.labels[::-1].copy(), faces.names, "train", "random pixels")
    prints = {other.fingerprint for other in (faces, darker, relabelled, faces.subset(np.arange(14)[::-1]))}
    assert len(prints) == 4
    assert make_faces(14).fingerprint == faces.fingerprint
    assert faces.subset(np.arange(14), "validation").fingerprint == faces.fingerprint


def test_a_data_set_may_have_other_classes_soft_labels_and_persons(make_faces):
    faces = make_faces(16)
    eight, labels = (*EMOTIONS, "contempt"), np.arange(16) % 8
    soft = np.eye(8, dtype=np.float32)[labels]
    more = FaceDataset(faces.images, labels, faces.names, "train", "random pixels", eight, soft, np.arange(16) // 2)
    part = more.subset(np.arange(15, 3, -1), "part")
    assert part.classes == eight and part.split == "part" and part.source == "random pixels"
    assert np.array_equal(part.soft_labels.argmax(1), part.labels) and part.persons[0] == 7
    assert more.counts().tolist() == [2] * 8
    softer = replace(more, soft_labels=0.9 * soft + np.float32(0.1 / 8))
    assert len({faces.fingerprint, more.fingerprint, softer.fingerprint}) == 3


@pytest.mark.parametrize("field, value, message", [
    ("labels", np.full(14, 7), "they index the 7 classes"),
    ("soft_labels", np.full((14, 7), 1 / 7), "soft labels are float64"),
    ("soft_labels", np.full((14, 8), 1 / 8, np.float32), r"soft labels are float32 \(14, 8\)"),
    ("soft_labels", np.ones((14, 7), np.float32), "each row adding up to 1"),
    ("persons", np.arange(13), r"persons are int64 \(13,\)"),
    ("persons", np.arange(14.0), "persons are float64"),
])
def test_fields_of_another_shape_or_type_are_refused(make_faces, field, value, message):
    with pytest.raises(FerError, match=f"random pixels, split 'train': .*{message}"):
        replace(make_faces(14), **{field: value})


@pytest.mark.parametrize("name", DATASETS)
def test_an_option_that_a_reader_does_not_take_is_refused(name):
    with pytest.raises(FerError, match=f"{name} has no option 'colourful'; it takes"):
        load_dataset(name, colourful=True)


# The cache


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_the_second_load_decodes_nothing(fer2013, tmp_path, monkeypatch, packed):
    root = write_zip(tmp_path / "archive.zip", fer2013) if packed else fer2013
    first = load_dataset("fer2013", root, "train")
    nothing_is_decoded(monkeypatch)
    second = load_dataset("fer2013", root, "train")
    assert np.array_equal(first.images, second.images) and np.array_equal(first.names, second.names)
    assert first.fingerprint == second.fingerprint
    assert len(load_dataset("fer2013", root, "public_test")) == 14  # another split was cached with it


def test_the_cache_lies_where_fer_utils_cache_says(fer2013, cache):
    assert not cache.exists()
    load_dataset("fer2013", fer2013)
    assert len(list(cache.iterdir())) == 1


def test_what_was_read_from_a_folder_is_forgotten_and_nothing_else(fer2013, tmp_path, cache):
    sibling = shutil.copytree(fer2013, fer2013.with_name(f"{fer2013.name} and more"))
    for root in (fer2013, sibling):
        load_dataset("fer2013", root)
    (fer2013 / "train" / "note.txt").write_text("another state of the same folder")
    load_dataset("fer2013", fer2013)
    archive = write_zip(tmp_path / "archive.zip", sibling)
    load_dataset("fer2013", archive)
    assert len(entries()) == 4 and forget(fer2013) == (2, 2) and forget(fer2013) == (0, 0)
    assert len(entries()) == 2 and forget(archive) == (1, 1)
    load_dataset("fer2013", sibling)
    assert len(entries()) == 1


def test_labels_and_names_of_a_cached_data_set_can_be_changed_without_harm(fer2013):
    load_dataset("fer2013", fer2013).labels[:] = 6
    assert load_dataset("fer2013", fer2013).counts().tolist() == [3] * 7


def test_a_changed_file_is_noticed(fer2013):
    before = load_dataset("fer2013", fer2013).fingerprint
    path = fer2013 / "train" / "angry" / "Training_0.png"
    path.write_bytes(png(1000))
    os.utime(path, ns=(1, 1))  # so that no clock is too coarse
    assert load_dataset("fer2013", fer2013).fingerprint != before
    assert np.array_equal(load_dataset("fer2013", fer2013).images[0], np.asarray(PIL.Image.open(path)))


def test_an_added_file_and_a_removed_file_are_noticed(fer2013):
    path = fer2013 / "train" / "sad" / "Training_900.png"
    assert len(load_dataset("fer2013", fer2013)) == 21
    path.write_bytes(png(900))
    assert len(load_dataset("fer2013", fer2013)) == 22
    path.unlink()
    assert len(load_dataset("fer2013", fer2013)) == 21


def test_a_changed_zip_is_noticed(fer2013, tmp_path):
    archive = write_zip(tmp_path / "archive.zip", fer2013)
    before = load_dataset("fer2013", archive).fingerprint
    (fer2013 / "train" / "angry" / "Training_0.png").write_bytes(png(1000))
    write_zip(archive, fer2013)
    assert load_dataset("fer2013", archive).fingerprint != before


@pytest.mark.parametrize("saved_before_the_crash", [0, 1, 2])
@pytest.mark.parametrize("crash", [KeyboardInterrupt, OSError, MemoryError])
def test_a_crash_while_writing_leaves_no_half_cache(fer2013, cache, monkeypatch, saved_before_the_crash, crash):
    save, calls = np.save, []

    def save_and_crash(path, array):
        if len(calls) == saved_before_the_crash:
            Path(path).write_bytes(b"half")
            raise crash("in the middle of it")
        calls.append(path)
        save(path, array)

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", save_and_crash)
        with pytest.raises(FerError if crash is OSError else crash):
            load_dataset("fer2013", fer2013)
    assert list(cache.iterdir()) == []  # the real one has 75 MB: a reader who interrupts twice must not lose 150
    images, labels, _ = expected(fer2013, "Training")
    faces = load_dataset("fer2013", fer2013)
    assert np.array_equal(faces.images, images) and faces.labels.tolist() == labels


def test_a_cache_that_cannot_be_written_is_named_and_left_empty(fer2013, cache, monkeypatch):
    def full(path, array):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(np, "save", full)
    with pytest.raises(FerError, match="cache cannot be written.*No space left.*FER_UTILS_CACHE") as caught:
        load_dataset("fer2013", fer2013)
    assert str(cache) in str(caught.value)
    assert list(cache.iterdir()) == []


def test_a_cache_folder_that_cannot_be_made_is_named(fer2013, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("FER_UTILS_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(FerError, match="cache cannot be written"):
        load_dataset("fer2013", fer2013)


def test_another_version_of_the_readers_reads_anew(fer2013, cache, monkeypatch):
    load_dataset("fer2013", fer2013)
    monkeypatch.setattr(datasets.cache, "FORMAT", datasets.cache.FORMAT + 1)
    with monkeypatch.context() as patch:
        nothing_is_decoded(patch)
        with pytest.raises(FerError, match="was decoded again"):
            load_dataset("fer2013", fer2013)
    load_dataset("fer2013", fer2013)
    assert len(list(cache.iterdir())) == 2


def test_another_process_that_was_faster_does_no_harm(fer2013, cache, monkeypatch):
    rename = Path.rename

    def late(part, folder):  # the other one's folder is there when ours is to be put in place
        rename(part, folder)
        raise OSError("the folder exists")

    monkeypatch.setattr(Path, "rename", late)
    assert len(load_dataset("fer2013", fer2013)) == 21
    assert len(list(cache.iterdir())) == 1


# Bad input


def test_an_unknown_data_set_lists_those_that_are_known():
    with pytest.raises(FerError, match="unknown data set 'affectnet'.*synthetic, fer2013"):
        load_dataset("affectnet")


@pytest.mark.parametrize("name, split", [("synthetic", "validation"), ("synthetic", "public_test"),
                                         ("fer2013", "probe"), ("fer2013", "Training"), ("fer2013", None)])
def test_an_unknown_split_lists_those_that_are_known(name, split, tmp_path):
    with pytest.raises(FerError, match=f"unknown split {split!r} of {name}.*{', '.join(DATASETS[name])}"):
        load_dataset(name, tmp_path, split)


def test_fer2013_without_a_root_says_where_to_get_it():
    with pytest.raises(FerError, match="Kaggle.*data_dir"):
        load_dataset("fer2013")


def test_a_missing_folder_is_named(tmp_path, cache):
    with pytest.raises(FerError, match="no such file or folder") as caught:
        load_dataset("fer2013", tmp_path / "elsewhere")
    assert str(tmp_path / "elsewhere") in str(caught.value)


def test_an_empty_folder_is_refused(tmp_path, cache):
    (tmp_path / "nothing").mkdir()
    with pytest.raises(FerError, match=r"nothing: neither train/ and test/, nor fer2013.csv .*nor one zip .*0 zips"):
        load_dataset("fer2013", tmp_path / "nothing")


def test_empty_folders_in_the_right_places_are_refused(tmp_path, cache):
    for name in FOLDERS:
        (tmp_path / "data" / "train" / name).mkdir(parents=True)
    with pytest.raises(FerError, match="data: no image in it; expected train/<emotion>/Training_<row>.png"):
        load_dataset("fer2013", tmp_path / "data")


def test_two_zips_are_one_too_many(fer2013, tmp_path):
    (tmp_path / "download").mkdir()
    for name in ("archive.zip", "archive (1).zip"):
        write_zip(tmp_path / "download" / name, fer2013)
    with pytest.raises(FerError, match=r"download: neither .* \(2 zips\); give .* the file itself"):
        load_dataset("fer2013", tmp_path / "download")


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_a_missing_class_is_named(fer2013, tmp_path, packed):
    for file in (fer2013 / "train" / "fear").iterdir():
        file.unlink()
    root = write_zip(tmp_path / "archive.zip", fer2013) if packed else fer2013
    with pytest.raises(FerError, match="no Training image of fear; the download is not complete") as caught:
        load_dataset("fer2013", root)
    assert str(root) in str(caught.value)


def test_a_class_missing_in_the_test_images_alone_is_named_too(fer2013):
    for name in ("disgust", "sad"):
        for file in (fer2013 / "test" / name).glob("PublicTest*"):
            file.unlink()
    with pytest.raises(FerError, match="no PublicTest image of disgust, sadness"):
        load_dataset("fer2013", fer2013)


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_an_unknown_class_folder_is_named(fer2013, tmp_path, packed):
    (fer2013 / "train" / "contempt").mkdir()
    (fer2013 / "train" / "contempt" / "Training_800.png").write_bytes(png(800))
    root = write_zip(tmp_path / "archive.zip", fer2013) if packed else fer2013
    with pytest.raises(FerError, match="train/contempt/Training_800.png: its folder is not one of the seven"):
        load_dataset("fer2013", root)


def test_an_image_outside_of_any_folder_is_refused(fer2013, tmp_path):
    (fer2013 / "Training_801.png").write_bytes(png(801))
    with pytest.raises(FerError, match="Training_801.png: its folder is not one of the seven"):
        load_dataset("fer2013", write_zip(tmp_path / "archive.zip", fer2013))


@pytest.mark.parametrize("name", ["image_3.png", "Training_3a.png", "im0.jpg", "training-4.jpeg", "Validation_3.png"])
def test_a_wrong_file_name_is_named(fer2013, name):
    (fer2013 / "train" / "happy" / name).write_bytes(png(3))
    with pytest.raises(FerError, match=f"train/happy/{name}: not named Training_, PublicTest_ or PrivateTest_<row>"):
        load_dataset("fer2013", fer2013)


@pytest.mark.parametrize("content", [b"", b"not an image", png(0)[:200], png(0)[:-40], b"\xff\xd8\xff\xe0broken"],
                         ids=["empty", "text", "first bytes", "last bytes cut", "broken JPEG"])
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_a_broken_image_is_named(fer2013, tmp_path, content, packed):
    (fer2013 / "test" / "neutral" / "PublicTest_777.png").write_bytes(content)
    root = write_zip(tmp_path / "archive.zip", fer2013) if packed else fer2013
    with pytest.raises(FerError, match="test/neutral/PublicTest_777.png: cannot be read as an image") as caught:
        load_dataset("fer2013", root)
    assert str(root) in str(caught.value)


@pytest.mark.parametrize("size", [(47, 48), (48, 64), (1, 1), (96, 96)])
def test_an_image_of_the_wrong_size_is_named_with_its_size(fer2013, size):
    (fer2013 / "train" / "sad" / "Training_777.png").write_bytes(png(0, size))
    with pytest.raises(FerError, match=f"train/sad/Training_777.png: {size[1]}x{size[0]} pixels; FER2013's are 48x48"):
        load_dataset("fer2013", fer2013)


def test_bad_data_leaves_nothing_in_the_cache(fer2013, cache):
    (fer2013 / "train" / "sad" / "Training_777.png").write_bytes(b"broken")
    with pytest.raises(FerError):
        load_dataset("fer2013", fer2013)
    assert not cache.exists() or list(cache.iterdir()) == []


def test_a_split_that_is_not_in_the_download_is_named_with_those_that_are(tmp_path, cache):
    root = write_fer2013(tmp_path / "data", {"Training": 1, "PublicTest": 1})
    assert len(load_dataset("fer2013", root, "public_test")) == 7
    for split in ("private_test", "test"):
        with pytest.raises(FerError, match=f"split '{split}' needs images named privatetest_<row>.*"
                                           "it holds the splits train, public_test"):
            load_dataset("fer2013", root, split)


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.7, 0.95, 0.999])
def test_a_truncated_zip_is_named_wherever_it_was_cut(fer2013, tmp_path, share):
    archive = write_zip(tmp_path / "archive.zip", fer2013)
    content = archive.read_bytes()
    archive.write_bytes(content[:int(share * len(content))])
    with pytest.raises(FerError, match="archive.zip: not a whole zip.*download it again"):
        load_dataset("fer2013", archive)


def test_a_zip_that_lacks_its_last_byte_is_refused(fer2013, tmp_path):
    archive = write_zip(tmp_path / "archive.zip", fer2013)
    archive.write_bytes(archive.read_bytes()[:-1])
    with pytest.raises(FerError, match="archive.zip: not a whole zip"):
        load_dataset("fer2013", archive)


@pytest.mark.parametrize("content", [b"", b"emotion,pixels,Usage\n", b"PK\3\4 and no more", bytes(range(256)) * 40],
                         ids=["empty", "text", "first bytes", "noise"])
@pytest.mark.parametrize("name", ["fer2013.zip", "fer2013.tar.gz", "fer2013.txt"])
def test_something_else_than_an_archive_is_refused(tmp_path, cache, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FerError, match=f"{name}: not a whole zip or tar.*download it again"):
        load_dataset("fer2013", tmp_path / name)


def test_a_table_without_rows_is_refused(tmp_path, cache):
    (tmp_path / "fer2013.csv").write_text("emotion,pixels,Usage\n")
    with pytest.raises(FerError, match="fer2013.csv: 0 rows; expected emotion, pixels and Usage"):
        load_dataset("fer2013", tmp_path / "fer2013.csv")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"])
@pytest.mark.parametrize("place", [0.02, 0.3, 0.6, 0.98])
def test_a_zip_with_a_corrupted_member_is_refused(fer2013, tmp_path, method, place):
    content = (fer2013 / "train" / "fear" / "Training_2.png").read_bytes()
    path = tmp_path / "archive.zip"
    write_zip(path, fer2013)
    with zipfile.ZipFile(path, "a", method) as archive:
        archive.writestr("train/fear/Training_500.png", content[:100] + bytes(2000) + content[100:])
        member = archive.getinfo("train/fear/Training_500.png")
    start = member.header_offset + 30 + len(member.filename)
    at = start + int(place * (member.compress_size - 40))
    damaged = bytearray(path.read_bytes())
    damaged[at:at + 40] = b"\xff" * 40
    path.write_bytes(damaged)
    with pytest.raises(FerError, match="archive.zip: train/fear/Training_500.png: .*download it again"):
        load_dataset("fer2013", path)


# FaceDataset


def faces(images=None, labels=None, names=None):
    images = np.zeros((7, 4, 4), np.uint8) if images is None else images
    labels = np.arange(7) if labels is None else labels
    return FaceDataset(images, labels, np.array(list("abcdefg")) if names is None else names, "train", "made here")


@pytest.mark.parametrize("images", [np.zeros((7, 4, 5), np.uint8), np.zeros((7, 4, 4, 3), np.uint8)])
def test_grey_and_colour_images_are_accepted(images):
    assert len(faces(images)) == 7


@pytest.mark.parametrize("images", [
    np.zeros((7, 4, 4), np.float32), np.zeros((7, 4, 4), np.int64), np.zeros((7, 4, 4), bool),
    np.zeros((7, 4, 4), np.int8),
    np.zeros((7, 16), np.uint8), np.zeros((7,), np.uint8), np.zeros((7, 4, 4, 1), np.uint8),
    np.zeros((7, 3, 4, 4), np.uint8), np.zeros((7, 4, 4, 4), np.uint8), np.zeros((1, 7, 4, 4, 3), np.uint8),
], ids=lambda array: f"{array.dtype} {array.shape}")
def test_images_of_another_type_or_shape_are_refused(images):
    with pytest.raises(FerError, match=r"made here, split 'train': images are .*; give uint8 of shape \(N, H, W\)"):
        faces(images)


@pytest.mark.parametrize("labels", [
    np.arange(7, dtype=np.int32), np.arange(7, dtype=np.uint8), np.arange(7.0), np.arange(6), np.arange(8) % 7,
    np.arange(7).reshape(7, 1), np.eye(7, dtype=np.int64), np.array(EMOTIONS),
], ids=lambda array: f"{array.dtype} {array.shape}")
def test_labels_of_another_type_or_shape_are_refused(labels):
    with pytest.raises(FerError, match=r"made here.*labels are .*; give int64 of shape \(7,\)"):
        faces(labels=labels)


@pytest.mark.parametrize("labels, span", [([0, 1, 2, 3, 4, 5, 7], "0 to 7"), ([-1, 1, 2, 3, 4, 5, 6], "-1 to 6")])
def test_labels_out_of_range_are_refused(labels, span):
    with pytest.raises(FerError, match=f"labels run from {span}"):
        faces(labels=np.array(labels))


@pytest.mark.parametrize("number", [0, 6, 8])
def test_a_name_too_many_or_too_few_is_refused(number):
    with pytest.raises(FerError, match=f"{number} names for 7 images"):
        faces(names=np.array(["name"] * number))


def test_a_data_set_without_an_image_is_refused():
    with pytest.raises(FerError, match="no image at all"):
        FaceDataset(np.zeros((0, 4, 4), np.uint8), np.zeros(0, np.int64), np.array([]), "train", "made here")


def test_a_subset_takes_rows_by_index_or_mask(make_faces):
    whole = make_faces(21)
    part = whole.subset(whole.labels == 3)
    assert np.array_equal(part.images, whole.images[3::7])
    assert part.names.tolist() == ["train_3", "train_10", "train_17"]
    assert part.split == "train" and whole.subset([1, 0], "swapped").split == "swapped"
    assert whole.subset([1, 0]).labels.tolist() == [1, 0]


def test_counts_have_a_place_for_each_class():
    assert faces(labels=np.array([6, 6, 1, 1, 1, 0, 3])).counts().tolist() == [1, 3, 0, 1, 0, 0, 2]


# Training and validation


def unbalanced(make_faces):
    whole = make_faces(700, size=8)
    labels = np.repeat(np.arange(7), [10, 20, 30, 100, 140, 180, 220])
    return FaceDataset(whole.images, labels, whole.names, "train", "random pixels")


def test_the_validation_share_is_disjoint_complete_and_stratified(make_faces):
    whole = unbalanced(make_faces)
    train, validation = split_train_validation(whole, 0.3, seed=0)
    assert not set(train.names) & set(validation.names)
    assert set(train.names) | set(validation.names) == set(whole.names)
    assert len(train) + len(validation) == 700
    assert validation.counts().tolist() == [3, 6, 9, 30, 42, 54, 66]
    assert (train.split, validation.split) == ("train", "validation")


def test_the_split_keeps_each_image_with_its_label_and_name(make_faces):
    whole = unbalanced(make_faces)
    row = {name: k for k, name in enumerate(whole.names)}
    for part in split_train_validation(whole, 0.3, seed=0):
        rows = [row[name] for name in part.names]
        assert np.array_equal(part.images, whole.images[rows]) and np.array_equal(part.labels, whole.labels[rows])


def test_the_split_follows_from_the_seed(make_faces):
    whole = unbalanced(make_faces)
    first, again, other = (split_train_validation(whole, 0.3, seed)[1] for seed in (0, 0, 1))
    assert first.names.tolist() == again.names.tolist()
    assert first.names.tolist() != other.names.tolist()


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 1.5, float("nan"), 0.001, 0.999])
def test_a_share_that_cannot_be_split_off_is_refused(make_faces, fraction):
    with pytest.raises(FerError, match="random pixels: cannot split off a validation share"):
        split_train_validation(make_faces(70), fraction, seed=0)


def test_a_class_with_a_single_image_cannot_be_split(make_faces):
    with pytest.raises(FerError, match="cannot split off"):
        split_train_validation(make_faces(8), 0.3, seed=0)


# The synthetic faces as a data set


@pytest.mark.parametrize("split, total", [("train", 3000), ("test", 700)])
def test_synthetic_counts_keep_rafdbs_proportions(split, total):
    counts = np.array(SYNTHETIC[split][0])
    wanted = total * np.array(PAPER_COUNTS["rafdb"]) / sum(PAPER_COUNTS["rafdb"])
    assert counts.sum() == total
    assert np.abs(counts - wanted).max() <= 0.5


def test_the_papers_table_2_adds_up():
    assert sum(PAPER_COUNTS["rafdb"]) == 12271
    assert sum(PAPER_COUNTS["fer2013"]) == 28709


def test_what_runs_are_tested_on_is_a_split_and_not_private_test():
    assert set(TEST_SPLIT) == set(DATASETS)
    assert all(TEST_SPLIT[name] in DATASETS[name] for name in DATASETS)
    assert TEST_SPLIT["fer2013"] == "public_test"


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_UTILS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield {split: load_dataset("synthetic", split=split) for split in SYNTHETIC}


def test_synthetic_faces_have_the_counts_that_are_promised(synthetic):
    for split, (counts, _) in SYNTHETIC.items():
        assert synthetic[split].counts().tolist() == list(counts)
        assert synthetic[split].images.shape == (sum(counts), 48, 48)
        assert synthetic[split].split == split
    assert synthetic["probe"].counts().tolist() == [200] * 7


def test_synthetic_splits_share_no_face(synthetic):
    prints = [hashlib.sha256(image).digest() for split in SYNTHETIC for image in synthetic[split].images]
    assert len(set(prints)) == len(prints)
    assert len({name for split in SYNTHETIC for name in synthetic[split].names}) == len(prints)


def test_synthetic_faces_are_drawn_once_and_come_from_the_cache_afterwards(cache, monkeypatch):
    drawn = []

    def draw(counts, seed):
        drawn.append(seed)
        return np.full((sum(counts), 48, 48), seed, np.uint8), np.repeat(np.arange(7), counts)

    monkeypatch.setattr(datasets.synthetic.faces, "synthetic_faces", draw)
    first, second = load_dataset("synthetic", split="test"), load_dataset("synthetic", split="test")
    assert first.fingerprint == second.fingerprint
    assert drawn == [SYNTHETIC["test"][1]]
    load_dataset("synthetic", split="probe")
    assert len(drawn) == 2  # each split by itself


def test_synthetic_faces_are_drawn_anew_when_their_code_changes(cache, monkeypatch, tmp_path):
    drawn = []

    def draw(counts, seed):
        drawn.append(seed)
        return np.zeros((sum(counts), 48, 48), np.uint8), np.repeat(np.arange(7), counts)

    monkeypatch.setattr(datasets.synthetic.faces, "synthetic_faces", draw)
    load_dataset("synthetic", split="test")
    (tmp_path / "faces.py").write_text("# another drawing")
    monkeypatch.setattr(datasets.synthetic.faces, "__file__", str(tmp_path / "faces.py"))
    load_dataset("synthetic", split="test")
    assert len(drawn) == 2


# FER2013 as a table

CODES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")  # as the challenge numbered them
HEADERS = {"fer2013.csv": "emotion,pixels,Usage", "icml_face_data.csv": "emotion, Usage, pixels"}


def table_rows(usages=("Training", "PublicTest", "PrivateTest")):
    """(code, 2304 grey levels, usage) of every class in every split, the classes in no simple order."""
    count = 7 * len(usages)
    pixels = np.random.default_rng(0).integers(0, 256, (count, 2304))
    return [[str(3 * row % 7), " ".join(map(str, pixels[row])), usages[row // 7]] for row in range(count)]


def table(rows, name="fer2013.csv"):
    swapped = name == "icml_face_data.csv"
    lines = [HEADERS[name], *(",".join((code, usage, pixels) if swapped else (code, pixels, usage))
                              for code, pixels, usage in rows)]
    return "\n".join(lines) + "\n"


def write_faces(root, rows):
    """The same faces in Kaggle's folders."""
    for row, (code, pixels, usage) in enumerate(rows):
        folder = root / ("train" if usage == "Training" else "test") / CODES[int(code)]
        folder.mkdir(parents=True, exist_ok=True)
        image = np.array(pixels.split(), np.uint8).reshape(48, 48)
        PIL.Image.fromarray(image).save(folder / f"{usage}_{row:05d}.png")
    return root


def write_table(folder, form, rows):
    """One of the forms in which the table is passed on; returns what a reader would name."""
    folder.mkdir()
    inner = "icml_face_data.csv" if "icml" in form else "fer2013.csv"
    content = table(rows, inner).encode()
    if form.endswith(".zip"):
        with zipfile.ZipFile(folder / form, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("README.md", "beside it")
            archive.writestr(f"__MACOSX/._{inner}", b"\0\5\26\7")
            archive.writestr(inner, content)
        return folder / form
    if form.endswith(".tar.gz"):
        (folder / "source.csv").write_bytes(content)
        with tarfile.open(folder / form, "w:gz") as archive:
            archive.add(folder / "source.csv", "fer2013/fer2013.csv")
        (folder / "source.csv").unlink()
        return folder / form
    file = folder / ("fer2013" if form == "a folder in a folder" else "") / inner
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    return folder if form.startswith("a folder") else file


FORMS = ("fer2013.csv", "icml_face_data.csv", "fer2013.tar.gz", "fer2013.zip", "icml.zip", "a folder",
         "a folder with icml", "a folder in a folder")


def same(one, other):
    return (one.fingerprint == other.fingerprint and one.names.tolist() == other.names.tolist()
            and one.labels.tolist() == other.labels.tolist() and np.array_equal(one.images, other.images))


@pytest.mark.parametrize("order", ["official", "interleaved"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_table_gives_the_faces_of_the_folders(tmp_path, cache, form, order):
    rows = table_rows()
    if order == "interleaved":
        rows = [rows[k] for k in np.random.default_rng(1).permutation(len(rows))]
    folders = write_faces(tmp_path / "folders", rows)
    root = write_table(tmp_path / "table", form, rows)
    for split in DATASETS["fer2013"]:
        assert same(load_dataset("fer2013", root, split), load_dataset("fer2013", folders, split))


@pytest.mark.parametrize("form", ["fer2013.tar.gz", "fer2013.zip"])
def test_a_folder_that_holds_one_packed_table_is_enough(tmp_path, cache, form):
    archive = write_table(tmp_path / "table", form, table_rows())
    assert same(load_dataset("fer2013", archive.parent), load_dataset("fer2013", archive))


def test_the_codes_of_the_table_become_the_one_order_of_the_course(tmp_path, cache):
    pixels = " ".join(["9"] * 2304)
    path = tmp_path / "fer2013.csv"
    path.write_text(table([[str(code), pixels, "Training"] for code in range(7)]))
    labels = load_dataset("fer2013", path).labels
    assert [EMOTIONS[k] for k in labels] == ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]


def test_rows_keep_their_official_numbers_when_usages_are_interleaved(tmp_path, cache):
    rows = table_rows()
    rows = [rows[k] for turn in range(7) for k in (14 + turn, turn, 7 + turn)]  # private, training, public, private …
    path = tmp_path / "fer2013.csv"
    path.write_text(table(rows))
    for split, usage, first in (("train", "Training", 1), ("public_test", "PublicTest", 2),
                                ("private_test", "PrivateTest", 0)):
        faces = load_dataset("fer2013", path, split)
        official = range(first, 21, 3)
        assert faces.names.tolist() == [f"{usage}_{row:05d}" for row in official]
        assert [" ".join(map(str, image.ravel())) for image in faces.images] == [rows[row][1] for row in official]
        assert [EMOTIONS[k] for k in faces.labels] == [EMOTIONS[label_of(CODES[int(rows[row][0])])] for row in official]


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("write", [
    lambda text: "\ufeff" + text,
    lambda text: text.replace("\n", "\r\n"),
    lambda text: "\ufeff" + text.replace("\n", "\r\n").rstrip(),
    lambda text: text.rstrip("\n"),
    lambda text: text + "\n\n",
    lambda text: re.sub("[^,\n]+", lambda cell: f'"{cell[0]}"', text),
    lambda text: text.replace(",", ", "),
    lambda text: text.replace("Training", "Training "),
    lambda text: re.sub("(?m)$", ",one more", text.rstrip("\n")),
], ids=["BOM", "CRLF", "BOM, CRLF, no final newline", "no final newline", "blank lines at the end", "quotes",
        "spaces after commas", "spaces after the usage", "another column"])
def test_the_table_is_read_however_it_was_saved(tmp_path, cache, name, write):
    rows = table_rows()
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / name).write_text(table(rows, name))
    (tmp_path / name).write_bytes(write(table(rows, name)).encode())
    assert same(load_dataset("fer2013", tmp_path / name, "test"), load_dataset("fer2013", tmp_path / "plain", "test"))


WHOLE = " ".join(["7"] * 2304)


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("column, cell, message", [
    *((0, cell, f"row 9: emotion is {cell!r}; expected 0 to 6")
      for cell in ("NaN", "nan", "-1", "7", "", "1.5", "inf", "angry", "0x3", "9" * 30, "True")),
    *((2, cell, f"row 9: Usage is {cell!r}; expected Training or PublicTest or PrivateTest")
      for cell in ("Validation", "", "training", "NaN", "Training_1")),
    (1, WHOLE[:-2], "row 9: 2303 pixels from 7 to 7; expected 2304 from 0 to 255"),
    (1, WHOLE + " 7", "row 9: 2305 pixels from 7 to 7; expected 2304 from 0 to 255"),
    (1, "", "row 9: 0 pixels; expected 2304 from 0 to 255"),
    (1, "    ", "row 9: 0 pixels; expected 2304 from 0 to 255"),
    (1, WHOLE[:-1] + "256", "row 9: 2304 pixels from 7 to 256; expected 2304 from 0 to 255"),
    (1, WHOLE[:-1] + "-1", "row 9: 2304 pixels from -1 to 7; expected 2304 from 0 to 255"),
    (1, WHOLE[:-1] + "9" * 30, "row 9: 2304 pixels from 7 to .*; expected 2304 from 0 to 255"),
    *((1, WHOLE[:-1] + cell, "row 9: a pixel is not a whole number; expected 2304 from 0 to 255")
      for cell in ("a", "1.5", "nan", "0x10", "7;7", "7\0", "é")),
    (1, "a" + WHOLE[1:], "row 9: a pixel is not a whole number; expected 2304 from 0 to 255"),
])
def test_a_wrong_cell_is_named_with_its_row(tmp_path, cache, name, column, cell, message):
    rows = table_rows()
    rows[9][column] = cell
    path = tmp_path / name
    path.write_text(table(rows, name), encoding="utf-8")
    with pytest.raises(FerError, match=f"{name}: {message}") as caught:
        load_dataset("fer2013", path)
    assert str(path) in str(caught.value) and len(str(caught.value)) < len(str(path)) + 200
    assert not cache.exists()


@pytest.mark.parametrize("content, message", [
    (b"", "cannot be read as a CSV file"), (b"\n\n", "cannot be read as a CSV file"),
    (b"emotion,pixels,Usage\n", "0 rows; expected emotion, pixels and Usage"),
    (table(table_rows()).replace("emotion,", "label,", 1).encode(),
     "a table with the columns label, pixels, Usage; expected emotion, pixels and Usage"),
    (table(table_rows()).replace("Usage", "usage", 1).encode(), "columns emotion, pixels, usage; expected"),
    (table(table_rows()).split("\n", 1)[1].encode(), "a table with the columns 0, .*; expected emotion, pixels"),
    (table(table_rows()).replace("emotion,", "emotion,emotion ,", 1).encode(), "columns emotion, emotion, .* expected"),
    (table(table_rows()).replace("Training\n", "Training,\n").encode(), "cannot be read as a CSV file"),
    (table(table_rows()).replace("Training\n", "Training,1,1\n", 3).encode(), "cannot be read as a CSV file"),
    (table(table_rows()).replace("PrivateTest\n", '"PrivateTest\n', 1).encode(), "cannot be read as a CSV file"),
    (table(table_rows()).encode("utf-16"), "cannot be read as a CSV file"),
    (np.random.default_rng(0).bytes(20_000), "cannot be read as a CSV file|0 rows|columns"),
    (gzip.compress(table(table_rows()).encode()), "cannot be read as a CSV file"),
], ids=["empty", "blank lines", "header only", "label", "usage", "no header", "emotion twice",
        "a comma too many in each row", "cells too many in some rows", "an open quote", "UTF-16", "noise", "gzip"])
def test_what_is_no_table_of_fer2013_is_refused(tmp_path, cache, content, message):
    path = tmp_path / "fer2013.csv"
    path.write_bytes(content)
    with pytest.raises(FerError, match=f"fer2013.csv: .*({message})") as caught:
        load_dataset("fer2013", path)
    assert len(str(caught.value)) < len(str(path)) + 400
    assert not cache.exists()


def test_an_error_in_a_packed_table_names_archive_and_member(tmp_path, cache):
    rows = table_rows()
    rows[3][0] = "8"
    for form in ("fer2013.zip", "fer2013.tar.gz"):
        root = write_table(tmp_path / form.replace(".", "-"), form, rows)
        with pytest.raises(FerError, match=f"{form}: (fer2013/)?fer2013.csv: row 3: emotion is '8'"):
            load_dataset("fer2013", root)


def test_a_class_that_is_missing_in_the_table_is_named(tmp_path, cache):
    path = tmp_path / "fer2013.csv"
    path.write_text(table([row for row in table_rows() if row[0] != "4" or row[2] != "PublicTest"]))
    with pytest.raises(FerError, match="fer2013.csv: no PublicTest image of sadness; the download is not complete"):
        load_dataset("fer2013", path)


def test_a_split_that_is_not_in_the_table_is_named_with_those_that_are(tmp_path, cache):
    path = tmp_path / "fer2013.csv"
    path.write_text(table(table_rows(("Training", "PublicTest"))))
    assert len(load_dataset("fer2013", path, "public_test")) == 7
    with pytest.raises(FerError, match="split 'private_test' needs .*it holds the splits train, public_test"):
        load_dataset("fer2013", path, "private_test")


def test_the_table_is_parsed_once_and_comes_from_the_cache_afterwards(tmp_path, cache, monkeypatch):
    path = tmp_path / "fer2013.csv"
    path.write_text(table(table_rows()))
    first = load_dataset("fer2013", path, "test")
    with monkeypatch.context() as patch:
        patch.setattr(datasets.fer2013, "read_table", None)
        assert same(load_dataset("fer2013", path, "test"), first)
    path.write_text(table(table_rows()[::-1]))
    os.utime(path, ns=(1, 1))
    assert not same(load_dataset("fer2013", path, "test"), first)


# train.csv and test.csv of the challenge


def train_csv(rows):
    return "\n".join(["emotion,pixels", *(f"{code},{pixels}" for code, pixels, _ in rows)]) + "\n"


@pytest.mark.parametrize("form", ["the file", "a folder", "a folder in a folder", "zip", "with spaces"])
def test_train_csv_is_the_training_rows(tmp_path, cache, form):
    rows = table_rows(("Training", "Training"))
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / "fer2013.csv").write_text(table(rows))
    place = tmp_path / "root" / ("fer2013" if form == "a folder in a folder" else "")
    place.mkdir(parents=True)
    text = train_csv(rows)
    (place / "train.csv").write_text(text.replace(",", ", ") if form == "with spaces" else text)
    (place / "test.csv").write_text("pixels\n" + rows[0][1] + "\n")
    root = tmp_path / "root"
    if form == "zip":
        root = write_zip(tmp_path / "kaggle.zip", root)
    assert same(load_dataset("fer2013", place / "train.csv" if form == "the file" else root),
                load_dataset("fer2013", tmp_path / "whole"))
    with pytest.raises(FerError, match="split 'public_test' needs .*it holds the splits train"):
        load_dataset("fer2013", root, "public_test")


@pytest.mark.parametrize("inside", [False, True])
def test_test_csv_has_no_labels_and_says_so(tmp_path, cache, inside):
    (tmp_path / "test.csv").write_text(f"pixels\n{WHOLE}\n")
    with pytest.raises(FerError, match="test.csv: images without labels.*give fer2013.csv, icml_face"):
        load_dataset("fer2013", tmp_path if inside else tmp_path / "test.csv")


def test_a_table_with_the_test_rows_comes_before_train_csv(tmp_path, cache):
    rows, folder = table_rows(), tmp_path / "root" / "fer2013"
    folder.mkdir(parents=True)
    (tmp_path / "root" / "train.csv").write_text(train_csv(rows[:7][::-1]))
    write_table(tmp_path / "packed", "fer2013.tar.gz", rows).rename(tmp_path / "root" / "fer2013.tar.gz")
    assert len(load_dataset("fer2013", tmp_path / "root", "private_test")) == 7
    (folder / "icml_face_data.csv").write_text(table(rows[:14], "icml_face_data.csv"))
    assert len(load_dataset("fer2013", tmp_path / "root", "public_test")) == 7
    with pytest.raises(FerError, match="split 'private_test'"):
        load_dataset("fer2013", tmp_path / "root", "private_test")


def test_only_train_csv_may_lack_its_usages(tmp_path, cache):
    (tmp_path / "fer2013.csv").write_text(train_csv(table_rows()))
    with pytest.raises(FerError, match="a table with the columns emotion, pixels; expected emotion, pixels and Usage"):
        load_dataset("fer2013", tmp_path)


# The real thing, where it is


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    if not (ARCHIVE / "archive.zip").exists():
        pytest.skip(f"FER2013 is not at {ARCHIVE}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_UTILS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield lambda split: load_dataset("fer2013", ARCHIVE, split)


@pytest.mark.parametrize("split, counts", [
    ("train", (3995, 436, 4097, 7215, 4965, 4830, 3171)), ("public_test", (467, 56, 496, 895, 607, 653, 415)),
])
def test_real_fer2013_has_its_official_counts(real, split, counts):
    faces = real(split)
    assert faces.counts().tolist() == list(counts)
    assert len(faces) == {"train": 28709, "public_test": 3589}[split]
    assert faces.images.shape == (len(faces), 48, 48)


def test_real_fer2013_agrees_with_table_2_of_the_paper(real):
    assert tuple(real("train").counts()) == PAPER_COUNTS["fer2013"]


def test_real_fer2013_rows_are_in_the_order_of_the_official_file(real):
    rows = np.array([int(name.split("_")[1]) for name in real("train").names])
    assert (np.diff(rows) > 0).all()


def test_real_fer2013_says_that_private_test_is_not_in_it(real):
    with pytest.raises(FerError, match="split 'private_test' needs .*it holds the splits train, public_test"):
        real("private_test")


def test_real_fer2013_is_the_same_from_the_official_table(real, tmp_path, monkeypatch):
    subprocess.run([sys.executable, ARCHIVE / "make_csv.py", tmp_path / "fer2013.csv", "--rows", "2000"], check=True)
    archive = real("train")
    monkeypatch.setenv("FER_UTILS_CACHE", str(tmp_path / "cache"))
    from_table = load_dataset("fer2013", tmp_path / "fer2013.csv")
    assert len(from_table) == 2000
    assert same(from_table, archive.subset(slice(0, 2000)))


def test_real_public_test_is_the_same_from_the_official_table(real, tmp_path, monkeypatch):
    faces = real("public_test")
    lines = ["emotion,pixels,Usage"]
    for row in range(0, 3589, 9):
        code = [label_of(name) for name in CODES].index(faces.labels[row])
        lines.append(f"{code},{' '.join(map(str, faces.images[row].ravel()))},PublicTest")
    (tmp_path / "fer2013.csv").write_text("\n".join(lines))
    monkeypatch.setenv("FER_UTILS_CACHE", str(tmp_path / "cache"))
    from_table = load_dataset("fer2013", tmp_path / "fer2013.csv", "public_test")
    assert from_table.fingerprint == faces.subset(slice(0, 3589, 9)).fingerprint


def test_what_macos_adds_to_a_zip_is_passed_over(fer2013, cache, tmp_path):
    path = tmp_path / "mac.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(fer2013.rglob("*.*")):
            archive.write(file, file.relative_to(fer2013).as_posix())
            archive.writestr(f"__MACOSX/{file.parent.relative_to(fer2013).as_posix()}/._{file.name}", b"\0\5\26\7")
    assert len(load_dataset("fer2013", path)) == len(load_dataset("fer2013", fer2013))


def test_one_row_in_two_folders_is_refused(fer2013, cache):
    file = next(iter(sorted((fer2013 / "train" / "happy").iterdir())))
    (fer2013 / "train" / "sad" / file.name).write_bytes(file.read_bytes())
    with pytest.raises(FerError, match="the same row"):
        load_dataset("fer2013", fer2013)


@pytest.mark.parametrize("name", ["images", "labels", "names"])
def test_a_damaged_cache_is_named(name, fer2013, cache):
    load_dataset("fer2013", fer2013)
    (folder,) = cache.iterdir()
    (folder / f"{name}.npy").write_bytes((folder / f"{name}.npy").read_bytes()[:40])
    with pytest.raises(FerError, match="cache is damaged"):
        load_dataset("fer2013", fer2013)


def test_a_table_of_absurd_size_is_not_even_opened(cache, monkeypatch, tmp_path):
    path = tmp_path / "fer2013.csv"
    path.write_text("emotion,pixels,Usage\n")
    monkeypatch.setattr("fer_utils.datasets.fer2013.BYTES", 10)
    with pytest.raises(FerError, match="fer2013.csv has 21 bytes unpacked; a data set of faces has no such file"):
        load_dataset("fer2013", path)


def test_a_subset_is_stratified_always_the_same_and_says_so():
    whole, part = load_dataset("synthetic"), load_dataset("synthetic", subset=700)
    assert len(part) == 700 and part.source == f"{whole.source}, 700 of {len(whole)} images"
    assert np.abs(part.counts() - 700 * whole.counts() / len(whole)).max() < 1
    assert part.fingerprint == load_dataset("synthetic", subset=700).fingerprint
    names = dict(zip(whole.names, whole.labels))
    assert len(set(part.names)) == 700 and all(names[name] == label for name, label in zip(part.names, part.labels))
    assert load_dataset("synthetic", subset=len(whole)).fingerprint == whole.fingerprint


@pytest.mark.parametrize("subset, message", [(0, "subset = 0: give a whole number"), (True, "subset = True"),
                                             (0.5, "subset = 0.5"), ("700", "subset = '700'"),
                                             (10**6, "cannot take a subset of 1000000"),
                                             (3, "cannot take a subset of 3")])
def test_a_subset_that_cannot_be_taken_is_refused(subset, message):
    with pytest.raises(FerError, match=message):
        load_dataset("synthetic", subset=subset)


def test_what_is_tested_on_stays_whole_with_a_subset():
    assert len(load_held_out("synthetic", None, {"subset": 700})) == len(load_dataset("synthetic", split="test"))
