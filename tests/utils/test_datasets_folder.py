"""A reader's own folder: any names, sizes and colours that people have; what is unclear is refused, not guessed."""

import io
import os
import shutil
import sys
import warnings
import zipfile

import numpy as np
import pytest
from PIL import Image

from fer_utils.datasets import folder as reader
from fer_utils.datasets import load_dataset
from fer_utils.emotions import EMOTIONS
from fer_utils.errors import FerError
from fer_utils.runs.settings import check_parameters

ADJECTIVES = ("angry", "disgusted", "fearful", "happy", "neutral", "sad", "surprised")


def pixels(seed, shape=(48, 48)):
    """Noise over a gradient: unlike for each seed, and its middle differs from its borders."""
    height, width = shape[:2]
    ramp = np.add.outer(np.arange(height) * 80 // height, np.arange(width) * 80 // width)
    noise = np.random.default_rng(seed).integers(0, 90, shape)
    return (noise + (ramp if len(shape) == 2 else ramp[..., None])).astype(np.uint8)


def put(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


def write(root, folders=EMOTIONS, n=6, shape=(48, 48), splits=("",)):
    """``n`` PNG files (whose pixels come back exactly) for each folder of each split."""
    for turn, split in enumerate(splits):
        for label, folder in enumerate(folders):
            for k in range(n):
                put(root / split / folder / f"{k:02d}.png", pixels(1000 * turn + 10 * label + k, shape))
    return root


@pytest.fixture
def folder(tmp_path, cache):
    return write(tmp_path / "mine")


def both(root):
    return [load_dataset("folder", root, split) for split in reader.SPLITS]


def paths(dataset):
    return [name.removeprefix(f"{dataset.split}_") for name in dataset.names.tolist()]


def refused(root, cache, *texts):
    for split in reader.SPLITS:
        with pytest.raises(FerError) as caught:
            load_dataset("folder", root, split)
        assert all(text in str(caught.value) for text in (*texts, str(root))), str(caught.value)
    assert not cache.exists() or not list(cache.iterdir())


# Names and labels


@pytest.mark.parametrize("folders", [
    EMOTIONS, ADJECTIVES, ("anger", "disgust", "fear", "happy", "neutral", "sad", "surprise"),
    tuple(name.upper() for name in EMOTIONS), tuple(name.title() for name in ADJECTIVES)],
    ids=["nouns", "adjectives", "FER2013's", "upper case", "title case"])
def test_every_spelling_of_an_emotion_is_understood(tmp_path, cache, folders):
    for dataset in both(write(tmp_path / "mine", folders)):
        assert [folders[label] for label in dataset.labels] == [path.split("/")[0] for path in paths(dataset)]
        assert (dataset.counts() > 0).all()


def test_two_spellings_of_one_emotion_are_one_class(folder):
    shutil.copytree(folder / "happiness", folder / "Happy")
    train, test = both(folder)
    happy = EMOTIONS.index("happiness")
    assert train.counts()[happy] + test.counts()[happy] == 12
    assert test.counts()[happy] == 2


def test_pixels_labels_and_names_belong_together(folder):
    for dataset in both(folder):
        assert dataset.images.shape[1:] == (48, 48)
        assert dataset.source == "mine" and all(name.startswith(f"{dataset.split}_") for name in dataset.names)
        for image, label, path in zip(dataset.images, dataset.labels, paths(dataset)):
            assert np.array_equal(image, np.asarray(Image.open(folder / path)))
            assert path.startswith(EMOTIONS[label] + "/")


def test_the_source_is_named_even_when_the_folder_is_the_current_one(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert load_dataset("folder", ".").source == "mine"


# Training and test


def test_every_fifth_image_of_a_class_is_a_test_image(tmp_path, cache):
    train, test = both(write(tmp_path / "mine", n=11))
    assert sorted(paths(test)) == sorted(f"{name}/{k:02d}.png" for name in EMOTIONS for k in (4, 9))
    assert not set(paths(train)) & set(paths(test))
    assert len(train) + len(test) == 77


def test_the_division_of_a_class_does_not_depend_on_other_classes(folder):
    before = {path for path in paths(load_dataset("folder", folder, "test")) if not path.startswith("fear")}
    for k in range(7, 14):
        put(folder / "fear" / f"{k}.png", pixels(k))
    for path in sorted((folder / "anger").iterdir())[1:]:
        put(folder / "aaa" / path.name, pixels(1)).unlink()
    (folder / "aaa").rmdir()
    after = {path for path in paths(load_dataset("folder", folder, "test")) if not path.startswith("fear")}
    assert before == after


def test_the_division_does_not_depend_on_the_order_in_a_zip(folder, tmp_path):
    archive = zipped(folder, tmp_path / "mine.zip", reverse=True)
    for from_folder, from_zip in zip(both(folder), both(archive)):
        assert from_folder.fingerprint == from_zip.fingerprint
        assert from_folder.names.tolist() == from_zip.names.tolist()


@pytest.mark.parametrize("names", [("train", "test"), ("Train", "TEST")])
def test_train_and_test_are_taken_as_they_are_given(tmp_path, cache, names):
    root = write(tmp_path / "mine", n=2, splits=names)
    for dataset, name in zip(both(root), names):
        assert dataset.counts().tolist() == [2] * 7
        assert all(path.startswith(f"{name}/") for path in paths(dataset))
        for image, path in zip(dataset.images, paths(dataset)):
            assert np.array_equal(image, np.asarray(Image.open(root / path)))


def test_train_and_test_may_lie_deeper(tmp_path, cache):
    write(tmp_path / "mine" / "photos" / "2024", n=2, splits=("train", "test"))
    assert [len(dataset) for dataset in both(tmp_path / "mine")] == [14, 14]


def test_a_folder_that_is_divided_in_part_is_refused(tmp_path, cache):
    root = write(tmp_path / "mine", n=2, splits=("train", "test"))
    put(root / "happiness" / "stray.png", pixels(1))
    refused(root, cache, "happiness/stray.png lies outside train/ and test/", "put it into one of them")


def test_a_third_split_is_refused(tmp_path, cache):
    root = write(tmp_path / "mine", n=2, splits=("train", "test", "validation"))
    refused(root, cache, "validation/anger/00.png lies outside train/ and test/")


def test_a_split_without_an_image_is_refused(tmp_path, cache):
    root = write(tmp_path / "mine", n=2, splits=("train",))
    assert len(load_dataset("folder", root, "train")) == 14
    with pytest.raises(FerError, match="mine: no image for the split 'test'; .*train/ and test/"):
        load_dataset("folder", root, "test")


def test_too_few_images_for_a_test_are_refused(tmp_path, cache):
    root = write(tmp_path / "mine", n=4)
    assert len(load_dataset("folder", root, "train")) == 28
    with pytest.raises(FerError, match="no image for the split 'test'; give every emotion at least 5 images"):
        load_dataset("folder", root, "test")


# A missing class


def test_a_missing_class_is_one_warning_that_names_it(folder):
    shutil.rmtree(folder / "disgust")
    for split in reader.SPLITS:
        with pytest.warns(UserWarning) as caught:
            dataset = load_dataset("folder", folder, split)
        assert len(caught) == 1 and f"no {split} image of disgust;" in str(caught[0].message)
        assert str(folder) in str(caught[0].message)
        assert caught[0].filename == __file__  # it points at the reader's line, not into the package
        assert dataset.counts()[EMOTIONS.index("disgust")] == 0 and (dataset.counts() > 0).sum() == 6


def test_a_class_missing_in_one_split_alone_is_named_there(folder):
    for path in sorted((folder / "fear").iterdir())[4:]:
        path.unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_dataset("folder", folder, "train")
    with pytest.warns(UserWarning, match="no test image of fear;"):
        load_dataset("folder", folder, "test")


def test_a_whole_folder_gives_no_warning(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        both(folder)


# Pixels


def test_grey_stays_grey_and_colour_colour(folder, tmp_path):
    assert load_dataset("folder", folder).images.ndim == 3
    colour = write(tmp_path / "colour", n=5, shape=(32, 32, 3))
    dataset = load_dataset("folder", colour)
    assert dataset.images.shape == (28, 32, 32, 3)
    assert np.array_equal(dataset.images[0], np.asarray(Image.open(colour / "anger" / "00.png")))


def test_grey_among_colour_becomes_colour(folder):
    path = put(folder / "anger" / "05.png", pixels(1, (48, 48, 3)))
    dataset = load_dataset("folder", folder)
    assert dataset.images.shape[1:] == (48, 48, 3)
    for image, name in zip(dataset.images, paths(dataset)):
        wanted = np.asarray(Image.open(folder / name))
        assert np.array_equal(image, wanted if folder / name == path else np.repeat(wanted[..., None], 3, axis=2))


@pytest.mark.parametrize("mode", ["1", "LA", "P", "RGBA", "CMYK"])
def test_every_usual_kind_of_image_is_read(folder, mode):
    path = folder / "anger" / ("00.jpg" if mode == "CMYK" else "00.png")
    (folder / "anger" / "00.png").unlink()
    Image.fromarray(pixels(1, (48, 48, 3))).convert(mode).save(path)
    assert load_dataset("folder", folder).images.ndim == (3 if mode in ("1", "LA") else 4)


@pytest.mark.parametrize("shape", [(60, 20), (20, 60), (61, 20), (20, 61)])
def test_an_oblong_image_keeps_its_middle_square(tmp_path, cache, shape):
    root = write(tmp_path / "mine", n=5, shape=shape)
    dataset = load_dataset("folder", root)
    whole = np.asarray(Image.open(root / "anger" / "00.png"))
    wanted = whole[20:40] if shape[0] > shape[1] else whole[:, 20:40]
    assert np.array_equal(dataset.images[0], wanted)


def test_all_become_as_small_as_the_smallest(folder):
    put(folder / "fear" / "00.png", pixels(1, (200, 33)))
    put(folder / "fear" / "01.png", pixels(2, (100, 100)))
    train, test = both(folder)
    assert train.images.shape[1:] == test.images.shape[1:] == (33, 33)  # a test image may be the smallest
    smallest = train.images[paths(train).index("fear/00.png")]
    assert np.array_equal(smallest, pixels(1, (200, 33))[83:116])


def test_the_middle_of_a_large_image_is_what_is_made_smaller(folder):
    large = np.zeros((300, 900), np.uint8)
    large[:, 300:600] = 200
    put(folder / "fear" / "00.png", large)
    train = load_dataset("folder", folder)
    assert (train.images[paths(train).index("fear/00.png")] == 200).all()


def test_no_image_is_larger_than_256(tmp_path, cache):
    root = write(tmp_path / "mine", n=5, shape=(300, 400))
    assert [dataset.images.shape[1:] for dataset in both(root)] == [(256, 256)] * 2


@pytest.mark.parametrize("orientation, turn", [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_an_image_stands_as_its_camera_was_held(folder, orientation, turn):
    exif = Image.Exif()
    exif[0x0112] = orientation
    (folder / "anger" / "00.png").unlink()
    path = put(folder / "anger" / "00.jpg", pixels(1), exif=exif)
    stored = np.asarray(Image.open(path))
    assert np.array_equal(load_dataset("folder", folder).images[0], np.rot90(stored, turn))


@pytest.mark.parametrize("shape", [(15, 48), (48, 15), (1, 1)])
def test_an_image_that_is_too_small_is_named(folder, cache, shape):
    put(folder / "neutral" / "03.png", pixels(1, shape))
    refused(folder, cache, "neutral/03.png is smaller than 16 pixels", "remove it")


def test_16_pixels_are_enough(folder):
    put(folder / "neutral" / "03.png", pixels(1, (16, 16)))
    assert load_dataset("folder", folder).images.shape[1:] == (16, 16)


# What lies around


def zipped(root, path, prefix="", reverse=False):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(root.rglob("*"), reverse=reverse):
            archive.write(file, prefix + file.relative_to(root).as_posix())
    return path


@pytest.mark.parametrize("splits", [("",), ("train", "test")], ids=["undivided", "divided"])
@pytest.mark.parametrize("prefix", ["", "My faces/"])
def test_a_zip_of_the_folder_gives_the_same(tmp_path, cache, prefix, splits):
    root = write(tmp_path / "mine", n=5, splits=splits)
    archive = zipped(root, tmp_path / "mine.zip", prefix)
    for from_folder, from_zip in zip(both(root), both(archive)):
        assert from_folder.fingerprint == from_zip.fingerprint
        assert [prefix + path for path in paths(from_folder)] == paths(from_zip)


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_what_systems_and_people_leave_is_left_alone(folder, tmp_path, packed):
    before = [dataset.fingerprint for dataset in both(folder)]
    for name in (".DS_Store", "anger/.DS_Store", "anger/._00.png", "._anger.png", "anger/Thumbs.db", "notes.txt",
                 "anger/list.csv", "contempt/notes.txt", "__MACOSX/anger/._00.png", "__MACOSX/cover.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"\0\5\26\7")
    (folder / "empty").mkdir()
    root = zipped(folder, tmp_path / "mine.zip") if packed else folder
    assert [dataset.fingerprint for dataset in both(root)] == before


@pytest.mark.parametrize("name", ["contempt/1.png", "happy faces/1.png", "anger/old/1.png", "1.png", "anger.png"])
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_an_image_in_no_emotions_folder_is_named(folder, tmp_path, cache, name, packed):
    put(folder / name, pixels(1))
    root = zipped(folder, tmp_path / "mine.zip") if packed else folder
    refused(root, cache, f"{name}: its folder is not one of the emotions anger", "angry", "rename or remove it")


@pytest.mark.parametrize("content", [b"", b"no image"])
def test_a_broken_image_is_named(folder, cache, content):
    (folder / "anger" / "02.png").write_bytes(content)
    refused(folder, cache, "anger/02.png", "cannot be read as an image", "replace or remove")


@pytest.mark.parametrize("root", [None, "nowhere", "~nobody-of-this-name/faces"])
def test_no_folder_says_what_to_give(root, cache):
    with pytest.raises(FerError, match=f"{root}: there is no such folder; give the one that holds a folder for each"):
        load_dataset("folder", root)


def test_a_folder_without_an_image_is_refused(tmp_path, cache):
    (tmp_path / "mine" / "anger").mkdir(parents=True)
    (tmp_path / "mine" / "anger" / "notes.txt").write_text("nothing yet")
    refused(tmp_path / "mine", cache, "no image in it", "<emotion>/*.jpg")


def test_a_file_that_is_no_archive_is_refused(tmp_path, cache):
    refused(put(tmp_path / "face.png", pixels(1)), cache, "not a whole zip or tar")


# The cache, and the way from a notebook


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_the_second_load_decodes_nothing(folder, tmp_path, monkeypatch, packed):
    root = zipped(folder, tmp_path / "mine.zip") if packed else folder
    first = load_dataset("folder", root, "train")

    def refuse(*arguments):
        raise AssertionError("an image was decoded again")

    monkeypatch.setattr(reader, "decoded", refuse)
    assert load_dataset("folder", root, "train").fingerprint == first.fingerprint
    assert len(load_dataset("folder", root, "test")) == 7  # was read with it


def test_a_changed_an_added_and_a_renamed_file_are_noticed(folder):
    before = load_dataset("folder", folder)
    path = put(folder / "anger" / "00.png", pixels(999))
    os.utime(path, ns=(1, 1))  # so that no clock is too coarse
    assert np.array_equal(load_dataset("folder", folder).images[0], pixels(999))
    put(folder / "anger" / "06.png", pixels(1))
    assert len(load_dataset("folder", folder)) == len(before) + 1
    (folder / "anger" / "06.png").rename(folder / "fear" / "06.png")
    assert load_dataset("folder", folder).counts().tolist() == [5, 5, 6, 5, 5, 5, 5]


def test_a_notebook_reaches_it_by_its_parameters(folder):
    settings = check_parameters(dataset="folder", data_dir=str(folder))
    train, test = settings.load("train"), settings.load("held-out")
    assert (train.split, len(train)) == ("train", 35) and (test.split, len(test)) == ("test", 7)
    shutil.rmtree(folder / "sadness")
    with pytest.warns(UserWarning, match="no train image of sadness;"):
        settings.load("train")


def test_an_animation_gives_its_first_frame(folder):
    frames = [Image.fromarray(pixels(seed, (48, 48, 3))) for seed in (1, 2)]
    content = io.BytesIO()
    frames[0].save(content, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    (folder / "anger" / "00.png").unlink()
    (folder / "anger" / "00.webp").write_bytes(content.getvalue())
    assert np.array_equal(load_dataset("folder", folder).images[0], pixels(1, (48, 48, 3)))


@pytest.mark.parametrize("ending", ["gif", "GIF", "jfif"])
def test_other_endings_of_images_are_read(folder, ending):
    (folder / "anger" / "00.png").unlink()
    put(folder / "anger" / f"00.{ending}", pixels(1), format="GIF" if ending.lower() == "gif" else "JPEG")
    assert f"anger/00.{ending}" in paths(load_dataset("folder", folder))


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_a_photograph_that_cannot_be_read_is_named(folder, tmp_path, cache, packed):
    (folder / "fear" / "IMG_1.HEIC").write_bytes(b"from a telephone")
    root = zipped(folder, tmp_path / "mine.zip") if packed else folder
    refused(root, cache, "fear/IMG_1.HEIC: images of this kind are not read", "save it as PNG or JPEG, or remove it")


def test_folders_of_classes_may_be_links(folder, tmp_path):
    before = [dataset.fingerprint for dataset in both(folder)]
    for name in ("anger", "sadness"):
        (folder / name).rename(tmp_path / name)
        (folder / name).symlink_to(tmp_path / name)
    assert [dataset.fingerprint for dataset in both(folder)] == before
    put(tmp_path / "anger" / "00.png", pixels(999))
    assert [dataset.fingerprint for dataset in both(folder)] != before


def test_more_images_than_memory_are_refused(folder, cache, monkeypatch):
    monkeypatch.setattr(reader, "MEMORY", 42 * 48 * 48 - 1)
    refused(folder, cache, "the images need over", "make them smaller, or give fewer")
    monkeypatch.setattr(reader, "MEMORY", 42 * 48 * 48)
    assert len(load_dataset("folder", folder)) == 35


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such a name themselves")
def test_a_name_that_is_not_utf8_is_read(folder, cache):
    happy = next(path for path in folder.iterdir() if path.name.lower().startswith("happ"))
    source = next(happy.iterdir())
    os.rename(source, os.path.join(os.fsencode(happy), b"caf\xe9" + os.fsencode(source.suffix)))
    assert len(load_dataset("folder", folder)) + len(load_dataset("folder", folder, "test")) == sum(
        path.is_file() for path in folder.rglob("*"))
