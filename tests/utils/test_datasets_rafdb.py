"""RAF-DB: the owners' layout and the mirror's give the same faces; whatever is wrong with a copy is said.

RAF-DB may not be passed on, so these are exact replicas of its two layouts, filled with synthetic faces.
"""

import io
import shutil
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from fer_utils import datasets
from fer_utils.datasets import load_dataset, rafdb
from fer_utils.emotions import EMOTIONS
from fer_utils.errors import FerError
from fer_utils.faces import synthetic_faces

CODES = {"Surprise": 1, "Fear": 2, "Disgust": 3, "Happiness": 4, "Sadness": 5, "Anger": 6, "Neutral": 7}
COUNTS = {"train": (2, 3, 1, 4, 2, 1, 3), "test": (1, 1, 2, 1, 1, 2, 1)}  # uneven, so that no mix-up goes unseen
LIST = "EmoLabel/list_patition_label.txt"


def jpeg(grey, size=(100, 100)):
    """A face as a colour JPEG whose three channels differ, so that their order is seen."""
    image = Image.fromarray(np.dstack([grey, grey // 2, 255 - grey])).resize(size)
    content = io.BytesIO()
    image.save(content, "JPEG")
    return content.getvalue()


@pytest.fixture(scope="module")
def faces():
    """(split, number, class, JPEG) of each face, in the order in which they must come out."""
    found = []
    for seed, (split, counts) in enumerate(COUNTS.items()):
        images, labels = synthetic_faces(counts, seed)
        found += [(split, number, int(label), jpeg(image))
                  for number, (image, label) in enumerate(zip(images, labels), start=1)]
    return found


def code(label):
    return CODES[EMOTIONS[label].title()]


def write_official(root, faces):
    aligned = root / "basic" / "Image" / "aligned"
    aligned.mkdir(parents=True)
    (root / "basic" / "EmoLabel").mkdir()
    lines = []
    for split, number, label, content in faces:
        (aligned / f"{split}_{number:04d}_aligned.jpg").write_bytes(content)
        lines.append(f"{split}_{number:04d}.jpg {code(label)}\n")
    (root / "basic" / LIST).write_text("".join(lines))
    return root


def write_mirror(root, faces):
    root.mkdir(parents=True)
    for split in COUNTS:
        lines = ["image,label\n"]
        for kind, number, label, content in faces:
            if kind == split:
                path = root / "DATASET" / split / str(code(label)) / f"{split}_{number:04d}_aligned.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
                lines.append(f"{path.name},{code(label)}\n")
        (root / f"{split}_labels.csv").write_text("".join(lines))
    return root


def pack(root, path):
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in sorted(root.rglob("*"), reverse=True):  # an archive need not be in the order of its names
                archive.write(file, file.relative_to(root).as_posix())
    else:
        with tarfile.open(path, "w:gz") as archive:
            archive.add(root, ".")
    return path


@pytest.fixture
def official(tmp_path, cache, faces):
    return write_official(tmp_path / "official", faces)


@pytest.fixture
def mirror(tmp_path, cache, faces):
    return write_mirror(tmp_path / "mirror", faces)


def refused(root, cache, *texts):
    """Neither split loads, the message holds the texts and the place, and nothing is kept."""
    for split in rafdb.SPLITS:
        with pytest.raises(FerError) as caught:
            load_dataset("rafdb", root, split)
        assert all(text in str(caught.value) for text in (*texts, str(root))), str(caught.value)
        assert len(str(caught.value)) < 600
    assert not cache.exists() or not list(cache.iterdir())


def edit(path, old, new):
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def path_of(root, face):
    """Where a face lies, in either layout."""
    split, number, *_ = face
    (path,) = root.rglob(f"{split}_{number:04d}_aligned.jpg")
    return path


# What comes out


@pytest.mark.parametrize("form", ["folder", "inner folder", "outer folder", "zip", "tar.gz", "inner zip"])
@pytest.mark.parametrize("write", [write_official, write_mirror])
def test_both_layouts_give_the_same_faces_in_every_form(tmp_path, cache, faces, write, form):
    root = write(tmp_path / "download" / "RAF-DB", faces)
    inner = root / ("basic" if write is write_official else "DATASET")
    root = {"folder": root, "inner folder": inner, "outer folder": root.parent}.get(form) or pack(
        inner if form == "inner zip" else root, tmp_path / f"packed.{form.split()[-1]}")
    for split in rafdb.SPLITS:
        wanted = [face for face in faces if face[0] == split]
        loaded = load_dataset("rafdb", str(root), split)
        assert loaded.images.shape == (len(wanted), 100, 100, 3) and loaded.images.dtype == np.uint8
        for image, (*_, content) in zip(loaded.images, wanted):
            assert np.array_equal(image, np.asarray(Image.open(io.BytesIO(content))))
        assert loaded.labels.tolist() == [label for _, _, label, _ in wanted]
        assert loaded.names.tolist() == [f"{split}_{number:05d}" for _, number, *_ in wanted]
        assert tuple(loaded.counts()) == COUNTS[split]
        assert (loaded.split, loaded.source) == (split, "RAF-DB")


@pytest.mark.parametrize("emotion, number", CODES.items())
def test_the_codes_are_rafdbs_own(emotion, number):
    assert EMOTIONS[rafdb._label(str(number), "here")] == emotion.lower()


def test_faces_are_ordered_by_number_and_not_by_line_or_name(official, faces):
    path = official / "basic" / LIST
    path.write_text("".join(sorted(path.read_text().splitlines(keepends=True), reverse=True)))
    wide = {"train_0002": "train_12000", "train_0010": "train_9000"}
    for old, new in wide.items():
        edit(path, old, new)
        shutil.move(official / f"basic/Image/aligned/{old}_aligned.jpg",
                    official / f"basic/Image/aligned/{new}_aligned.jpg")
    loaded = load_dataset("rafdb", official, "train")
    assert loaded.names[[0, 1, -2, -1]].tolist() == ["train_00001", "train_00003", "train_09000", "train_12000"]
    assert loaded.labels[-1] == faces[1][2] and loaded.labels[-2] == faces[9][2]


@pytest.mark.parametrize("change", [
    lambda text: text.replace("\n", "\r\n"), lambda text: "\ufeff" + text, lambda text: text.rstrip("\n"),
    lambda text: "\n" + text.replace("\n", "\n\n") + "  \n", lambda text: text.replace(" ", "\t"),
    lambda text: text.replace(" ", "  "),
], ids=["CRLF", "BOM", "no last newline", "blank lines", "tabs", "two spaces"])
def test_what_editors_and_systems_do_to_the_list_is_accepted(official, faces, change):
    path = official / "basic" / LIST
    path.write_bytes(change(path.read_text()).encode())
    assert load_dataset("rafdb", official, "train").labels.tolist() == [face[2] for face in faces if face[0] == "train"]


@pytest.mark.parametrize("change", [lambda text: text.replace("\n", "\r\n"), lambda text: "\ufeff" + text,
                                    lambda text: text.replace("\n", "\n\n")], ids=["CRLF", "BOM", "blank lines"])
def test_what_editors_and_systems_do_to_a_table_is_accepted(mirror, change):
    path = mirror / "train_labels.csv"
    path.write_bytes(change(path.read_text()).encode())
    assert len(load_dataset("rafdb", mirror)) == sum(COUNTS["train"])


def test_a_mirror_without_its_tables_is_read_by_its_folders(mirror, faces):
    for split in rafdb.SPLITS:
        (mirror / f"{split}_labels.csv").unlink()
    assert load_dataset("rafdb", mirror, "test").labels.tolist() == [face[2] for face in faces if face[0] == "test"]


def test_a_grey_face_is_read_as_colour(official, faces):
    path = path_of(official, faces[0])
    with Image.open(path) as image:
        image.convert("L").save(path)
    first = load_dataset("rafdb", official).images[0]
    assert np.array_equal(first, np.repeat(np.asarray(Image.open(path))[..., None], 3, axis=2))


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_the_compound_emotions_beside_the_basic_ones_are_left_alone(official, tmp_path, packed):
    shutil.copytree(official / "basic", official / "compound")
    edit(official / "compound" / LIST, "train_0001.jpg ", "train_0001.jpg 1")  # there the codes run to 11
    root = pack(official, tmp_path / "both.zip") if packed else official
    assert len(load_dataset("rafdb", root)) == sum(COUNTS["train"])


def test_what_lies_around_it_is_left_alone(official, faces, mirror):
    (official / "basic" / "Annotation").mkdir()
    (official / "basic" / "Annotation" / "train_0001_attri.txt").write_text("0 0")
    (official / "basic" / "Image" / "original").mkdir()
    (official / "basic" / "Image" / "original" / "train_0001.jpg").write_bytes(jpeg(np.zeros((48, 48), np.uint8),
                                                                                      (300, 200)))
    (official / "basic" / "Image" / "aligned" / "._train_0001_aligned.jpg").write_bytes(b"\0\5\26\7")
    (official / "basic" / "Image" / "aligned" / "Thumbs.db").write_bytes(b"noise")
    (mirror / "__MACOSX").mkdir()
    (mirror / "__MACOSX" / "x.jpg").write_bytes(b"\0\5\26\7")
    for root in (official, mirror):
        assert len(load_dataset("rafdb", root)) == sum(COUNTS["train"])


def test_the_second_load_decodes_nothing_and_a_changed_file_is_noticed(official, faces, monkeypatch):
    first = load_dataset("rafdb", official).fingerprint
    with monkeypatch.context() as patch:
        patch.setattr(rafdb, "decoded_alike", None)
        assert load_dataset("rafdb", official).fingerprint == first
        assert len(load_dataset("rafdb", official, "test")) == sum(COUNTS["test"])
    path_of(official, faces[0]).write_bytes(jpeg(np.full((48, 48), 9, np.uint8)))
    assert load_dataset("rafdb", official).fingerprint != first


# What is refused


@pytest.mark.parametrize("root", [None, "nowhere", "~nobody-of-this-name/RAF-DB"])
def test_no_root_says_whom_to_ask(root, cache):
    with pytest.raises(FerError, match=f"{root}: RAF-DB is not there; ask its owners.*whdeng.cn/RAF.*DATASET/train/1"):
        load_dataset("rafdb", root)


def test_an_empty_folder_says_whom_to_ask(tmp_path, cache):
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", cache, "0 training and 0 test faces", "ask its owners")


@pytest.mark.parametrize("name", ["rafdb.zip", "rafdb.tar.gz"])
def test_a_broken_archive_is_refused(official, tmp_path, cache, name):
    path = pack(official, tmp_path / name)
    path.write_bytes(path.read_bytes()[:-2000])
    refused(path, cache, "download it again")


def test_an_empty_list_says_whom_to_ask(official, cache):
    (official / "basic" / LIST).write_text("\n")
    refused(official, cache)


@pytest.mark.parametrize("line", ["train_0001.jpg", "train_0001.jpg 5 5", "train_0001.jpg,5",
                                  "train_0001_aligned.jpg 5", "0001.jpg 5", "valid_0001.jpg 5", "train_x.jpg 5",
                                  "5 train_0001.jpg", "\0\0\0", "train_" + "1" * 5000 + ".jpg 5"])
def test_a_malformed_line_is_named(official, cache, line):
    path = official / "basic" / LIST
    path.write_text("\n\n" + line + "\n" + path.read_text())
    refused(official, cache, "list_patition_label.txt, line 3: ", repr(line[:60]), "train_00001.jpg 5")


@pytest.mark.parametrize("wrong", ["0", "8", "x", "-1", "1.0", "+5", "05", "\u0665"])
def test_an_unknown_code_in_the_list_is_named(official, faces, cache, wrong):
    edit(official / "basic" / LIST, f"train_0003.jpg {code(faces[2][2])}", f"train_0003.jpg {wrong}")
    refused(official, cache, "list_patition_label.txt, line 3: ", repr(wrong), "1 surprise", "7 neutral")


@pytest.mark.parametrize("wrong", ["0", "8", "x", "happiness"])
def test_an_unknown_code_as_a_folder_is_named(mirror, faces, cache, wrong):
    face = path_of(mirror, faces[0])
    (mirror / "DATASET/train" / wrong).mkdir()
    shutil.move(face, mirror / "DATASET/train" / wrong / face.name)
    refused(mirror, cache, f"DATASET/train/{wrong}/{face.name}", repr(wrong), "1 surprise")


@pytest.mark.parametrize("same", [True, False], ids=["same code", "another code"])
def test_a_face_that_is_listed_twice_is_named(official, cache, faces, same):
    path = official / "basic" / LIST
    again = code(faces[1][2]) if same else code((faces[1][2] + 1) % 7)
    path.write_text(path.read_text() + f"train_0002.jpg {again}\n")
    refused(official, cache, f"line {len(faces) + 1}: train_0002.jpg is listed twice")


def test_a_face_in_two_folders_is_named(mirror, faces, cache):
    face = path_of(mirror, faces[0])
    other = mirror / "DATASET/train" / str(code((faces[0][2] + 1) % 7)) / face.name
    shutil.copy(face, other)
    refused(mirror, cache, "the same face", face.relative_to(mirror).as_posix(), other.relative_to(mirror).as_posix())


@pytest.mark.parametrize("content", [bytes(range(256)), "train_0001.jpg 5\n".encode("utf-16")],
                         ids=["binary", "UTF-16"])
def test_a_binary_list_is_refused(official, cache, content):
    (official / "basic" / LIST).write_bytes(content)
    refused(official, cache, "list_patition_label.txt: not a text file", "again")


def test_a_missing_image_is_named_with_its_line(official, cache, faces):
    path_of(official, faces[3]).unlink()
    refused(official, cache, "line 4: there is no basic/Image/aligned/train_0004_aligned.jpg", "unpack")


def test_original_images_alone_are_not_enough(official, cache):
    (official / "basic/Image/aligned").rename(official / "basic/Image/original")
    for path in list((official / "basic/Image/original").iterdir()):
        path.rename(path.with_name(path.name.replace("_aligned", "")))
    refused(official, cache, "line 1: there is no basic/Image/aligned/train_0001_aligned.jpg", "aligned images")


def test_an_image_that_the_list_does_not_name_is_refused(official, cache, faces):
    path = official / "basic" / LIST
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))  # a list that was cut off
    refused(official, cache, f"test_{faces[-1][1]:04d}_aligned.jpg", "list_patition_label.txt")


@pytest.mark.parametrize("size", [(99, 100), (100, 101), (224, 224), (1, 1)])
def test_an_image_of_another_size_is_named(official, mirror, cache, faces, size):
    for root in (official, mirror):
        path = path_of(root, faces[5])
        path.write_bytes(jpeg(np.zeros((48, 48), np.uint8), size))
        refused(root, cache, path.relative_to(root).as_posix(), f"{size[0]}x{size[1]} pixels", "100x100")


@pytest.mark.parametrize("content", [b"", b"not an image", "half"], ids=["empty", "text", "cut off"])
def test_a_broken_image_is_named(official, mirror, cache, faces, content):
    for root in (official, mirror):
        path = path_of(root, faces[5])
        path.write_bytes(faces[5][3][:700] if content == "half" else content)
        refused(root, cache, path.relative_to(root).as_posix(), "cannot be read as an image", "replace or remove")


@pytest.mark.parametrize("split", rafdb.SPLITS)
@pytest.mark.parametrize("write", [write_official, write_mirror])
def test_a_missing_class_is_named(tmp_path, cache, faces, write, split):
    kept = [face for face in faces if face[:1] != (split,) or face[2] != EMOTIONS.index("fear")]
    refused(write(tmp_path / "part", kept), cache, f"no {split} face of fear", "not complete")


@pytest.mark.parametrize("split", rafdb.SPLITS)
@pytest.mark.parametrize("write", [write_official, write_mirror])
def test_one_split_alone_is_refused(tmp_path, cache, faces, write, split):
    root = write(tmp_path / "part", [face for face in faces if face[0] == split])
    n = sum(COUNTS[split])
    refused(root, cache, f"{n} training and 0 test" if split == "train" else f"0 training and {n} test", "ask its")


def test_a_table_and_a_folder_that_disagree_are_refused(mirror, cache, faces):
    name, right, wrong = "train_0001_aligned.jpg", code(faces[0][2]), code((faces[0][2] + 1) % 7)
    edit(mirror / "train_labels.csv", f"{name},{right}", f"{name},{wrong}")
    refused(mirror, cache, f"train_labels.csv gives {name} the label {wrong}",
            path_of(mirror, faces[0]).relative_to(mirror).as_posix())


@pytest.mark.parametrize("listed", ["train_0900_aligned.jpg", "nothing.jpg", "", "test_0001_aligned.jpg",
                                    "train_1.txt.jpg", "train_" + "1" * 5000 + "_aligned.jpg"])
def test_a_table_that_lists_an_image_that_is_not_there_is_refused(mirror, cache, listed):
    with (mirror / "train_labels.csv").open("a") as table:
        table.write(f"{listed},4\n")
    refused(mirror, cache, "train_labels.csv", repr(listed)[:40], "no such image")


def test_an_image_that_its_table_does_not_list_is_refused(mirror, cache, faces):
    edit(mirror / "test_labels.csv", f"test_0001_aligned.jpg,{code(faces[sum(COUNTS['train'])][2])}\n", "")
    refused(mirror, cache, "test_0001_aligned.jpg", "test_labels.csv")


@pytest.mark.parametrize("wrong", ["0", "x", ""])
def test_an_unknown_code_in_a_table_is_named(mirror, cache, faces, wrong):
    edit(mirror / "train_labels.csv", f"train_0001_aligned.jpg,{code(faces[0][2])}", f"train_0001_aligned.jpg,{wrong}")
    refused(mirror, cache, "train_labels.csv: train_0001_aligned.jpg", repr(wrong), "1 surprise")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\0\1", b"file,code\ntrain_0001_aligned.jpg,1\n",
                                     b'image,label\n"a'],
                         ids=["empty", "binary", "other columns", "open quote"])
def test_what_is_no_table_is_refused(mirror, cache, content):
    (mirror / "train_labels.csv").write_bytes(content)
    refused(mirror, cache, "train_labels.csv: ", "download it again")


@pytest.mark.parametrize("split, other", [("train", "test"), ("test", "train")])
def test_a_face_of_the_other_split_is_refused(mirror, cache, faces, split, other):
    for table in mirror.glob("*.csv"):  # without them only its name tells where it belongs
        table.unlink()
    (mirror / f"DATASET/{split}/4/{other}_0999_aligned.jpg").write_bytes(faces[0][3])
    refused(mirror, cache, f"DATASET/{split}/4/{other}_0999_aligned.jpg", "neither in RAF-DB's own layout")


def test_images_in_no_known_layout_are_refused(mirror, cache, faces):
    (mirror / "DATASET/cat.jpg").write_bytes(faces[0][3])
    refused(mirror, cache, "DATASET/cat.jpg", "ask its owners")


# Table 2 of the paper


def test_table_2_sums_to_the_training_images():
    assert sum(rafdb.PAPER_COUNTS) == 12_271
    assert datasets.PAPER_COUNTS["rafdb"] == rafdb.PAPER_COUNTS
    assert dict(zip(EMOTIONS, rafdb.PAPER_COUNTS)) == {
        "anger": 705, "disgust": 717, "fear": 281, "happiness": 4772, "neutral": 2524, "sadness": 1982,
        "surprise": 1290}


@pytest.mark.parametrize("write", [write_official, write_mirror])
def test_a_complete_copy_must_have_table_2s_counts(tmp_path, cache, faces, monkeypatch, write):
    monkeypatch.setattr(rafdb, "PAPER_COUNTS", COUNTS["train"])
    right = load_dataset("rafdb", write(tmp_path / "right", faces))
    assert tuple(right.counts()) == COUNTS["train"]
    # FER2013's order of codes applied to RAF-DB's faces: every label is valid, and most are wrong.
    mixed = [(split, number, (label + 1) % 7, content) for split, number, label, content in faces]
    shutil.rmtree(cache)
    refused(write(tmp_path / "mixed", mixed), cache, "labels are mixed up", "Table 2", str(list(COUNTS["train"])))
    fewer = [face for face in mixed if face[:2] != ("train", 1)]  # a part of RAF-DB can have any counts
    assert len(load_dataset("rafdb", write(tmp_path / "fewer", fewer))) == sum(COUNTS["train"]) - 1


def test_the_published_test_split_sums_to_its_images():
    assert sum(rafdb.TEST_COUNTS) == 3_068
    assert dict(zip(EMOTIONS, rafdb.TEST_COUNTS)) == {
        "surprise": 329, "fear": 74, "disgust": 160, "happiness": 1185, "sadness": 478, "anger": 162, "neutral": 680}


@pytest.mark.parametrize("write", [write_official, write_mirror])
def test_a_complete_test_split_must_have_its_published_counts(tmp_path, cache, faces, monkeypatch, write):
    monkeypatch.setattr(rafdb, "TEST_COUNTS", COUNTS["test"])
    assert len(load_dataset("rafdb", write(tmp_path / "right", faces), "test")) == sum(COUNTS["test"])
    mixed = [(split, number, (label + (split == "test")) % 7, content) for split, number, label, content in faces]
    shutil.rmtree(cache)
    refused(write(tmp_path / "mixed", mixed), cache, "labels are mixed up", "9 test faces",
            f"{list(COUNTS['test'])} of the published split")


def test_many_more_faces_than_rafdb_has_are_refused(official, cache, faces, monkeypatch):
    monkeypatch.setattr(rafdb, "FACES", len(faces) - 1)
    refused(official, cache, f"{len(faces)} faces, and RAF-DB has 15,339")


@pytest.mark.parametrize("write", [write_official, write_mirror])
def test_a_label_file_of_absurd_size_is_not_read(tmp_path, cache, faces, monkeypatch, write):
    monkeypatch.setattr(rafdb, "LABELS", 100)
    refused(write(tmp_path / "large", faces), cache, "bytes unpacked; a data set of faces has no such file")


def test_a_table_may_have_more_columns_in_any_order(mirror, faces):
    path = mirror / "train_labels.csv"
    lines = [line.split(",") for line in path.read_text().splitlines()]
    path.write_text("".join(f"{code},x,{image}\n" for image, code in lines))
    assert len(load_dataset("rafdb", mirror)) == sum(COUNTS["train"])
