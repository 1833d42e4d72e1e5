"""RAF-DB: the owners' layout and the mirror's give the same faces; whatever is wrong with a copy is said."""

import io
import shutil

import datasets_on_disk as disk
import numpy as np
import pytest
from PIL import Image

from fer_utils.datasets import load_dataset, rafdb
from fer_utils.emotions import EMOTIONS

ALIGNED, LIST, TABLE = "basic/Image/aligned", f"basic/{disk.RAFDB_LIST}", "train_labels.csv"
FACES, TRAIN = disk.rafdb_faces(), sum(disk.RAFDB_COUNTS["train"])
WRITERS = {"official": disk.write_official, "mirror": disk.write_mirror}


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    home = tmp_path_factory.mktemp("rafdb")
    return {name: write(home / name, FACES) for name, write in WRITERS.items()}


@pytest.fixture
def fresh(copies, tmp_path, cache):
    """A copy of one's own, of this layout."""
    return lambda layout, name="": shutil.copytree(copies[layout], tmp_path / f"{layout} {name}".replace("/", " "))


def each_refused(root, *texts):
    for split in rafdb.SPLITS:
        disk.refused("rafdb", root, *texts, split=split)


def test_both_layouts_give_the_same_faces_in_every_form(fresh, tmp_path):
    def check(form, layout):
        root, inside = fresh(layout, form), {"official": "basic", "mirror": "DATASET"}[layout]
        if form == "outer folder":
            root = shutil.move(root, tmp_path / "outer" / layout / "RAF-DB").parent
        root = root / inside if form.startswith("inner") else root
        root = disk.pack(root, tmp_path / f"{layout}, {form}") if "." in form else root
        for split in rafdb.SPLITS:
            wanted = [face for face in FACES if face[0] == split]
            loaded = load_dataset("rafdb", str(root), split)
            assert loaded.images.shape == (len(wanted), 100, 100, 3)
            for image, (*_, content) in zip(loaded.images, wanted):
                assert np.array_equal(image, np.asarray(Image.open(io.BytesIO(content))))
            assert loaded.labels.tolist() == [label for _, _, label, _ in wanted]
            assert loaded.names.tolist() == [f"{split}_{number:05d}" for _, number, *_ in wanted]
            assert (loaded.split, loaded.source) == (split, "RAF-DB")

    for name in WRITERS:
        (tmp_path / "outer" / name).mkdir(parents=True)
    disk.for_each(check, [(form, layout) for layout in WRITERS
                     for form in ("folder", "inner folder", "outer folder", "x.zip", "x.tar.gz", "inner.zip")])
    for emotion, number in disk.RAFDB_CODES.items():
        assert EMOTIONS[rafdb._label(str(number), "here")] == emotion


def test_as_its_users_lay_it_out(fresh, copies):
    def check(name, layout, change):
        root = fresh(layout, name)
        change(root)
        for split in rafdb.SPLITS:
            assert disk.same(load_dataset("rafdb", root, split), load_dataset("rafdb", copies["official"], split))

    def moved(old, new):
        return lambda root: shutil.move(root / old, root / new)

    def emotions(root):
        for split in rafdb.SPLITS:
            for emotion, number in disk.RAFDB_CODES.items():
                shutil.move(root / "DATASET" / split / str(number), root / "DATASET" / split / emotion.upper())

    def by_code(root):  # the split in the file's name alone
        for path in sorted(root.rglob("*.jpg")):
            path.parent.parent.with_name("all").joinpath(path.parent.name).mkdir(parents=True, exist_ok=True)
            path.rename(path.parent.parent.with_name("all") / path.parent.name / path.name)

    def renamed(root):
        for path in sorted(root.rglob("*_aligned.jpg")):
            path.rename(path.with_name(path.name.replace("_aligned", "")))

    disk.for_each(check, [
        ("aligned twice", "official",
         lambda root: (shutil.move(root / ALIGNED, root / "x"), (root / ALIGNED).mkdir(),
                       shutil.move(root / "x", root / ALIGNED / "aligned"))),
        ("side by side", "official", lambda root: (shutil.move(root / ALIGNED, root / "aligned"), shutil.move(
            root / LIST, root / "list_patition_label.txt"))),
        ("spelled", "official", moved(LIST, LIST.replace("patition", "partition"))), ("renamed", "official", renamed),
        ("emotions", "mirror", emotions), ("capitals", "mirror", lambda root: [
            shutil.move(root / "DATASET" / split, root / "DATASET" / split.title()) for split in rafdb.SPLITS]),
        ("by code", "mirror", by_code), ("hidden", "mirror", lambda root: disk.put(root / ".cache" / "1.jpg", b"x"))])


def test_faces_are_ordered_by_number_and_not_by_line_or_name(fresh):
    root = fresh("official")
    lines = "".join(sorted((root / LIST).read_text().splitlines(keepends=True), reverse=True))
    for old, new in {"train_0002": "train_12000", "train_0010": "train_9000"}.items():
        lines = lines.replace(old, new)
        shutil.move(root / ALIGNED / f"{old}_aligned.jpg", root / ALIGNED / f"{new}_aligned.jpg")
    disk.put(root / LIST, lines)
    loaded = load_dataset("rafdb", root, "train")
    assert loaded.names[[0, 1, -2, -1]].tolist() == ["train_00001", "train_00003", "train_09000", "train_12000"]
    assert loaded.labels[-1] == FACES[1][2] and loaded.labels[-2] == FACES[9][2]


def test_what_editors_and_systems_do_to_lists_and_tables_is_accepted(fresh, copies):
    def check(name, change):
        root = fresh("official", name)
        disk.put(root / LIST, change((root / LIST).read_text()))
        assert disk.same(load_dataset("rafdb", root), load_dataset("rafdb", copies["official"]))

    disk.for_each(check, [
        ("CRLF", lambda text: text.replace("\n", "\r\n")), ("BOM", lambda text: "\ufeff" + text),
        ("blank lines", lambda text: "\n" + text.replace("\n", "\n\n") + "  \n"), ("no last newline", str.rstrip),
        ("tabs", lambda text: text.replace(" ", "\t")), ("spaces", lambda text: text.replace(" ", "  "))])
    root = fresh("mirror", "more columns in any order")
    lines = [line.split(",") for line in (root / TABLE).read_text().splitlines()]
    disk.put(root / TABLE, "\ufeff" + "".join(f"{code},x,{image}\r\n" for image, code in lines))
    assert len(load_dataset("rafdb", root)) == TRAIN
    for split in rafdb.SPLITS:  # without its tables it is read by its folders
        (root / f"{split}_labels.csv").unlink()
    assert disk.same(load_dataset("rafdb", root), load_dataset("rafdb", copies["mirror"]))


def test_what_lies_around_it_is_left_alone_and_grey_becomes_colour(fresh, tmp_path):
    official, mirror = fresh("official"), fresh("mirror")
    shutil.copytree(official / "basic", official / "compound")
    disk.put(official / "compound" / disk.RAFDB_LIST, "train_0001.jpg 11\n")  # there the codes run to 11
    disk.put(official / "basic" / "Image" / "original" / "train_0001.jpg", disk.jpeg(disk.noise(48, 48), (300, 200)))
    disk.put(official / ALIGNED / "._train_0001_aligned.jpg", b"\0\5\26\7")
    disk.put(official / ALIGNED / "Thumbs.db", b"noise")
    disk.put(mirror / "__MACOSX" / "x.jpg", b"\0\5\26\7")
    disk.put(official / ALIGNED / "train_0001_aligned.jpg", disk.encoded(disk.noise(100, 100)))
    for root in (official, disk.pack(official, tmp_path / "both.zip")):
        assert np.array_equal(load_dataset("rafdb", root).images[0], np.dstack([disk.noise(100, 100)] * 3))
    assert len(load_dataset("rafdb", mirror)) == len(load_dataset("rafdb", official)) == TRAIN


def test_what_is_not_there_says_whom_to_ask(fresh, tmp_path, cache):
    for root in (None, "nowhere", "~nobody-of-this-name/RAF-DB"):
        disk.refused("rafdb", root, "RAF-DB is not there; ask its owners", "whdeng.cn/RAF", "DATASET/train/1")
    (tmp_path / "empty").mkdir()
    each_refused(tmp_path / "empty", "0 training and 0 test faces", "ask its owners")


def test_what_is_wrong_with_a_list_is_named_with_its_line(fresh):
    def check(name, change, *texts):
        root = fresh("official", name)
        disk.put(root / LIST, change((root / LIST).read_bytes().decode()))
        each_refused(root, "list_patition_label.txt", *texts)

    malformed = ("train_0001.jpg", "train_0001.jpg 5 5", "train_0001_aligned.jpg 5", "valid_0001.jpg 5",
                 "train_x.jpg 5", "\0\0\0", "train_" + "1" * 5000 + ".jpg 5")
    third, again = f"train_0003.jpg {disk.code(FACES[2][2])}", disk.code(FACES[1][2])
    disk.for_each(check, [
        *((f"malformed {k}", lambda text, wrong=wrong: f"\n\n{wrong}\n{text}", ", line 3: ", repr(wrong[:60]),
           "train_00001.jpg 5") for k, wrong in enumerate(malformed)),
        *((f"code {wrong}", lambda text, wrong=wrong: text.replace(third, f"train_0003.jpg {wrong}"), ", line 3: ",
           repr(wrong), "1 surprise", "7 neutral") for wrong in ("0", "8", "x", "-1", "1.0", "+5", "05", "\u0665")),
        *((f"twice {label}", lambda text, label=label: f"{text}train_0002.jpg {label}\n",
           f"line {len(FACES) + 1}: train_0002.jpg is listed twice") for label in (again, again % 7 + 1)),
        ("binary", lambda text: bytes(range(256)), ": not a text file", "again"),
        ("empty", lambda text: "\n", "_aligned.jpg is not listed"),
        ("no such image", lambda text: text.replace("train_0004", "train_0400"),
         "line 4: there is no train_0400_aligned.jpg", "unpack"),
        ("cut off", lambda text: "".join(text.splitlines(keepends=True)[:-1]),
         f"test_{FACES[-1][1]:04d}_aligned.jpg is not listed")])


def test_what_is_wrong_with_a_mirrors_table_is_named(fresh):
    first = f"train_0001_aligned.jpg,{disk.code(FACES[0][2])}"
    no_such = ("train_0900_aligned.jpg", "", "test_0001_aligned.jpg", "train_" + "1" * 5000 + "_aligned.jpg")
    other = disk.code(FACES[0][2]) % 7 + 1

    def check(name, change, *texts):
        root = fresh("mirror", name)
        disk.put(root / TABLE, change((root / TABLE).read_text()))
        each_refused(root, TABLE, *texts)

    disk.for_each(check, [
        ("disagrees", lambda text: text.replace(first, f"train_0001_aligned.jpg,{other}"),
         f"gives train_0001_aligned.jpg the label {other}", f"/{disk.code(FACES[0][2])}/train_0001_aligned.jpg"),
        *((f"more {k}", lambda text, listed=listed: f"{text}{listed},4\n", repr(listed)[:40], "no such image")
          for k, listed in enumerate(no_such)),
        ("less", lambda text: text.replace(first + "\n", ""), "train_0001_aligned.jpg is not listed"),
        ("code", lambda text: text.replace(first, "train_0001_aligned.jpg,0"), ": train_0001_aligned", "1 surprise"),
        *((f"no table {k}", lambda text, content=content: content, "download it again") for k, content in enumerate(
            (b"", b"file,code\ntrain_0001_aligned.jpg,1\n", b"image,label,label\ntrain_0001_aligned.jpg,1,1\n")))])


def test_what_is_wrong_with_a_mirrors_folders_is_named(fresh):
    def check(name, *texts):
        root = fresh("mirror", name)
        for file in root.glob("*.csv"):  # without them only its name and folder tell where it belongs
            file.unlink()
        disk.put(root / name, FACES[0][3])
        each_refused(root, name, *texts)

    other = disk.code(FACES[0][2]) % 7 + 1
    disk.for_each(check, [
        *((f"DATASET/train/{wrong}/train_0900_aligned.jpg", repr(wrong), "1 surprise")
          for wrong in ("0", "8", "joyful")),
        (f"DATASET/train/{other}/train_0001_aligned.jpg", "the same face",
         f"DATASET/train/{disk.code(FACES[0][2])}/train_0001_aligned.jpg"),
        *((f"DATASET/{split}/4/{wrong}_0999_aligned.jpg", "neither in RAF-DB's own layout")
          for split, wrong in (("train", "test"), ("test", "train"))),
        ("DATASET/cat.jpg", "ask its owners")])


def test_an_image_that_is_broken_or_of_another_size_is_named(fresh):
    def check(name, content, *texts):
        for layout in WRITERS:
            root = fresh(layout, name)
            (path,) = root.rglob("train_0006_aligned.jpg")
            disk.put(path, content)
            each_refused(root, path.relative_to(root).as_posix(), *texts)

    disk.for_each(check, [
        *((f"{size}", disk.jpeg(disk.noise(48, 48), size), f"{size[0]}x{size[1]} pixels", "100x100")
          for size in ((99, 100), (100, 101), (224, 224))),
        ("cut off", FACES[5][3][:700], "cannot be read as an image", "replace or remove")])


def test_the_published_counts_of_the_test_split():
    assert dict(zip(EMOTIONS, rafdb.TEST_COUNTS)) == {
        "surprise": 329, "fear": 74, "disgust": 160, "happiness": 1185, "sadness": 478, "anger": 162, "neutral": 680}


def test_a_part_of_it_or_other_than_the_published_counts_are_refused(tmp_path, cache, monkeypatch):
    def check(layout, split, constant, of):
        def written(name, faces):
            return WRITERS[layout](tmp_path / f"{layout} {split} {name}", faces)

        each_refused(written("no fear", [face for face in FACES if face[0] != split or EMOTIONS[face[2]] != "fear"]),
                     f"no {split} image of fear", "not complete")
        n = sum(disk.RAFDB_COUNTS[split])
        each_refused(written("alone", [face for face in FACES if face[0] == split]), "ask its owners",
                     f"{n} training and 0 test" if split == "train" else f"0 training and {n} test")
        # FER2013's order of codes applied to RAF-DB's faces: every label is valid, and most are wrong.
        mixed = [(kind, number, (label + (kind == split)) % 7, face) for kind, number, label, face in FACES]
        with monkeypatch.context() as patch:
            patch.setattr(rafdb, constant, disk.RAFDB_COUNTS[split])
            assert tuple(load_dataset("rafdb", written("right", FACES), split).counts()) == disk.RAFDB_COUNTS[split]
            each_refused(written("mixed", mixed), "labels are mixed up", f"{list(disk.RAFDB_COUNTS[split])} of {of}")
            fewer = [face for face in mixed if face[:2] != (split, 1)]  # a part of RAF-DB can have any counts
            if split == "train":  # of the test split's first class there is one face
                assert len(load_dataset("rafdb", written("fewer", fewer), split)) == n - 1

    disk.for_each(check, [(layout, *more) for layout in WRITERS for more in (
        ("train", "PAPER_COUNTS", "Table 2"), ("test", "TEST_COUNTS", "the published split"))])


def test_more_than_rafdb_can_have_is_refused(copies, cache, monkeypatch):
    monkeypatch.setattr(rafdb, "FACES", len(FACES) - 1)
    each_refused(copies["official"], f"{len(FACES)} faces, and RAF-DB has 15,339")
    monkeypatch.setattr(rafdb, "LABELS", 100)
    for root in copies.values():
        each_refused(root, "bytes unpacked; a data set of faces has no such file")
