"""A reader's own folder: any names, sizes and colours that people have; what is unclear is refused, not guessed."""

import shutil
import warnings
import zipfile

import numpy as np
import pytest
from conftest import refusal
from datasets_on_disk import encoded, for_each, noise, pack, put, refused, same, write_own
from PIL import Image

from fer_utils.datasets import folder as reader
from fer_utils.datasets import load_dataset
from fer_utils.emotions import EMOTIONS
from fer_utils.runs.settings import check_parameters

ADJECTIVES = ("angry", "disgusted", "fearful", "happy", "neutral", "sad", "surprised")


@pytest.fixture
def folder(tmp_path, cache):
    return write_own(tmp_path / "mine")


def both(root, **options):
    return [load_dataset("folder", root, split, **options) for split in ("train", "test")]


def paths(dataset):
    return [name.removeprefix(f"{dataset.split}_") for name in dataset.names.tolist()]


def each_refused(root, *texts):
    """Neither split loads, from the folder or from its zip."""
    for packed in (root, pack(root, root.with_name(f"{root.name}.zip"))):
        for split in reader.SPLITS:
            refused("folder", packed, *texts, split=split)


def test_pixels_labels_and_names_belong_together_in_every_spelling(tmp_path, cache):
    def check(name, *folders):
        root = write_own(tmp_path / name, folders, n=5)
        for dataset in both(root):
            assert dataset.images.shape[1:] == (48, 48) and (dataset.counts() > 0).all() and dataset.source == name
            for image, label, path in zip(dataset.images, dataset.labels, paths(dataset)):
                assert np.array_equal(image, np.asarray(Image.open(root / path)))
                assert path.startswith(folders[label] + "/")

    for_each(check, [("nouns", *EMOTIONS), ("adjectives", *ADJECTIVES), ("upper", *map(str.upper, EMOTIONS)),
                     ("FER2013", "anger", "disgust", "fear", "happy", "neutral", "sad", "Surprise")])


def test_two_spellings_of_one_emotion_are_one_class(folder, monkeypatch):
    shutil.copytree(folder / "happiness", folder / "Happy")
    assert [dataset.counts()[EMOTIONS.index("happiness")] for dataset in both(folder)] == [10, 2]
    monkeypatch.chdir(folder)
    assert load_dataset("folder", ".").source == "mine"  # named even when it is the current folder


def test_every_fifth_image_of_a_class_is_a_test_image_whatever_the_other_classes_are(tmp_path, cache):
    root = write_own(tmp_path / "mine", n=11)
    train, test = both(root)
    assert sorted(paths(test)) == sorted(f"{name}/{k:02d}.png" for name in EMOTIONS for k in (4, 9))
    assert not set(paths(train)) & set(paths(test)) and len(train) + len(test) == 77
    put(root / "fear" / "12.png", encoded(noise(48, 48)))
    (root / "anger" / "03.png").unlink()
    before, after = (sorted(path for path in paths(one) if path[:4] not in ("fear", "ange"))
                     for one in (test, load_dataset("folder", root, "test")))
    assert before == after


def test_train_and_test_are_taken_as_they_are_given(tmp_path, cache):
    for names in (("train", "test"), ("Train", "TEST")):
        for root in (tmp_path / names[0], tmp_path / f"deep {names[0]}" / "photos" / "2024"):
            write_own(root, n=2, splits=names)
            for dataset, name in zip(both(root), names):
                assert dataset.counts().tolist() == [2] * 7
                for image, path in zip(dataset.images, paths(dataset)):
                    assert path.startswith(f"{name}/") and np.array_equal(image, np.asarray(Image.open(root / path)))
    assert [len(dataset) for dataset in both(tmp_path / "deep train")] == [14, 14]


def test_a_division_that_is_none_is_refused(tmp_path, cache):
    third = write_own(tmp_path / "third", n=2, splits=("train", "test", "more"))
    each_refused(third, "more/anger/00.png lies outside train/, validation/ and test/", "put it into one of them")
    for root in (write_own(tmp_path / "train alone", n=2, splits=("train",)), write_own(tmp_path / "few", n=4)):
        load_dataset("folder", root, "train")
        refused("folder", root, "no image for the split 'test'; give every emotion at least 5 images, or divide them "
                                "into train/ and test/", split="test")


def test_a_missing_class_is_one_warning_that_names_it(folder):
    shutil.rmtree(folder / "disgust")
    for split in ("train", "test"):
        with pytest.warns(UserWarning) as caught:
            dataset = load_dataset("folder", folder, split)
        assert len(caught) == 1 and f"{folder}: no {split} image of disgust;" in str(caught[0].message)
        assert caught[0].filename == __file__  # it points at the reader's line, not into the package
        assert dataset.counts()[EMOTIONS.index("disgust")] == 0 and (dataset.counts() > 0).sum() == 6
    write_own(folder, ("disgust",), n=4)  # missing in the test alone
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_dataset("folder", folder, "train")
        with pytest.raises(UserWarning, match="no test image of disgust;"):
            load_dataset("folder", folder, "test")


def test_grey_stays_grey_and_among_colour_becomes_colour(folder, tmp_path):
    assert load_dataset("folder", folder).images.ndim == 3
    path = put(folder / "anger" / "05.png", encoded(noise(48, 48, 3)))
    dataset = load_dataset("folder", folder)
    assert dataset.images.shape[1:] == (48, 48, 3)
    for image, name in zip(dataset.images, paths(dataset)):
        wanted = np.asarray(Image.open(folder / name))
        assert np.array_equal(image, wanted if folder / name == path else np.repeat(wanted[..., None], 3, axis=2))


def test_every_usual_ending_is_read(folder):
    for k, (ending, kind) in enumerate({"PNG": "PNG", "jpg": "JPEG", "jpeg": "JPEG", "jfif": "JPEG", "gif": "GIF",
                                        "bmp": "BMP", "webp": "WEBP"}.items()):
        put(folder / "anger" / f"1{k}.{ending}", encoded(noise(48, 48, 3), kind))
    assert sum(dataset.counts()[0] for dataset in both(folder)) == 6 + 7


def test_all_become_squares_of_the_median_side_and_no_larger_than_256(folder, tmp_path, monkeypatch):
    for shape in ((61, 20), (20, 60)):
        root = write_own(tmp_path / f"{shape}", n=5, shape=shape)
        whole = np.asarray(Image.open(root / "anger" / "00.png"))
        wanted = whole[20:40] if shape[0] > shape[1] else whole[:, 20:40]
        train = load_dataset("folder", root)
        assert np.array_equal(train.images[paths(train).index("anger/00.png")], wanted)
    put(folder / "fear" / "00.png", encoded(np.pad(np.full((300, 300), 200, np.uint8), ((0, 0), (300, 300)))))
    put(folder / "fear" / "01.png", encoded(noise(16, 16)))  # 16 are enough, and one small image changes no other
    train, test = both(folder)
    assert (train.images[paths(train).index("fear/00.png")] == 200).all() and train.images.shape[1:] == (48, 48)
    assert train.source == "mine, 1 of 35 images enlarged to 48 pixels" and test.source == "mine"
    assert sorted(train.sides)[0] == 16 and sorted(train.sides)[-1] == 300

    root = write_own(tmp_path / "large", n=5, shape=(260, 300))
    monkeypatch.setattr(reader, "MEMORY", 35 * 256 * 256 - 1)
    each_refused(root, "the images need over", "make them smaller, or give fewer")
    monkeypatch.setattr(reader, "MEMORY", 35 * 256 * 256)
    assert [dataset.images.shape[1:] for dataset in both(root)] == [(256, 256)] * 2


def test_a_use_asks_for_its_size_and_what_is_enlarged_is_counted(folder):
    for size, enlarged in ((32, 0), (48, 0), (224, 35)):
        train = load_dataset("folder", folder, size=size)
        assert train.images.shape[1:] == (size, size) and ("35 of 35 images enlarged" in train.source) == (enlarged > 0)
    settings = check_parameters(dataset="folder", data_dir=str(folder), overrides={"image_size": 64})
    assert settings.load("train").images.shape == (35, 64, 64)  # training's size; without one it is the median
    for wrong in (15, 2000, 48.5, True, "large"):
        assert f"size = {wrong!r}: give a whole number" in refusal(load_dataset, "folder", folder, size=wrong)


def test_the_first_few_are_of_several_classes_although_folders_are_sorted(tmp_path, cache):
    root = write_own(tmp_path / "mine", n=20)
    assert all(len(set(dataset.labels[:10])) > 3 for dataset in both(root))


def test_a_zip_of_the_folder_gives_the_same(tmp_path, cache):
    for splits in (("",), ("train", "test")):
        root = write_own(tmp_path / f"mine {splits}", n=5, splits=splits)
        plain, inside = pack(root, tmp_path / f"{splits}.zip", reverse=True), tmp_path / f"in {splits}.zip"
        assert all(map(same, both(root), both(plain)))
        for from_folder, from_zip in zip(both(root), both(pack(root, inside, "My faces/"))):
            assert from_folder.fingerprint == from_zip.fingerprint
            assert [f"My faces/{path}" for path in paths(from_folder)] == paths(from_zip)


def test_what_systems_and_people_leave_is_left_alone(folder, tmp_path):
    before = both(folder)
    for name in (".DS_Store", "anger/.DS_Store", "anger/._00.png", "._anger.png", "anger/Thumbs.db", "notes.txt",
                 "anger/list.csv", "contempt/notes.txt", "__MACOSX/anger/._00.png", "__MACOSX/cover.png",
                 ".ipynb_checkpoints/00-checkpoint.png", "@eaDir/00.jpg", "anger/@eaDir/00.png/THUMB.jpg",
                 ".thumbnails/1.png", "desktop.ini", "$RECYCLE.BIN/1.png", ".hidden/anger/1.png"):
        put(folder / name, b"\0\5\26\7")
    (folder / "empty").mkdir()
    zipped = both(pack(folder, tmp_path / "mine.zip"))
    (folder / "anger").rename(tmp_path / "anger")  # folders of classes may be links
    (folder / "anger").symlink_to(tmp_path / "anger")
    assert all(map(same, [*both(folder), *zipped], [*before, *before]))


def test_a_zip_of_windows_with_backslashes_and_a_folder_unpacked_from_one(folder, tmp_path):
    whole, content = both(folder), {}
    with zipfile.ZipFile(tmp_path / "windows.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo("mine\\"), b"")  # folders as members, too
        for path in sorted(folder.rglob("*.png")):
            content["mine\\" + str(path.relative_to(folder)).replace("/", "\\")] = path.read_bytes()
            archive.writestr(zipfile.ZipInfo([*content][-1]), path.read_bytes())
    for name, image in content.items():
        put(tmp_path / "unpacked" / name, image)
    for root in (tmp_path / "windows.zip", tmp_path / "unpacked"):
        assert [part.fingerprint for part in both(root)] == [part.fingerprint for part in whole]


def test_an_image_that_is_unclear_or_broken_is_named(folder, tmp_path):
    def check(name, content, *texts):
        root = shutil.copytree(folder, tmp_path / name.replace("/", " "))
        put(root / name, content)
        each_refused(root, name, *texts)

    face = encoded(noise(48, 48))
    for_each(check, [
        *((name, face, "its folder is not one of the emotions anger", "angry", "rename or remove it")
          for name in ("contempt/1.png", "happy faces/1.png", "anger/old/1.png", "1.png", "anger.png")),
        ("fear/02.png", b"no image", "cannot be read as an image"),
        *((f"neutral/{shape}.png", encoded(noise(*shape)), "is smaller than 16 pixels", "remove it")
          for shape in ((15, 48), (48, 15)))])


def test_no_folder_or_an_empty_one_says_what_to_give(tmp_path, cache):
    for root in (None, "nowhere", "~nobody-of-this-name/faces"):
        refused("folder", root, "there is no such folder; give the one that holds a folder for each")
    put(tmp_path / "mine" / "anger" / "notes.txt", "nothing yet")
    each_refused(tmp_path / "mine", "no image in it", "<emotion>/*.jpg")
    refused("folder", put(tmp_path / "face.png", encoded(noise(48, 48))), "not a whole zip or tar")


def test_a_notebook_reaches_it_by_its_parameters(folder):
    settings = check_parameters(dataset="folder", data_dir=str(folder))
    assert [(part.split, len(part)) for part in map(settings.load, ("train", "held-out"))] == [("train", 35),
                                                                                             ("test", 7)]
