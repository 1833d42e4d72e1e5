"""FER+: the votes of the right row become the labels that the paper's rules give; rows that are apart are refused."""

import random
import re
import shutil
import zipfile
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest
from test_datasets import ARCHIVE, CODES, table, write_faces

from fer_lab import cli as command_line
from fer_utils.datasets import TEST_SPLIT, ferplus, load_dataset
from fer_utils.datasets.ferplus import CLASSES, COLUMNS, MODES, agreement, majority, not_a_face, probability, votes_for
from fer_utils.emotions import EMOTIONS, label_of
from fer_utils.errors import FerError
from fer_utils.runs.settings import check_parameters

# The order of the columns in the file, which is another than the course's.
FILE_ORDER = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")
SIZES = {"Training": 350, "PublicTest": 70, "PrivateTest": 42}
KINDS = {"train": ("Training",), "public_test": ("PublicTest",), "private_test": ("PrivateTest",),
         "test": ("PublicTest", "PrivateTest")}
LABELS = [label_of(CODES[code]) for code in range(7)]  # of the codes of fer2013.csv


def replica(seed=0, sizes=SIZES):
    """(rows of fer2013.csv, votes of each in the order of COLUMNS): most of the ten vote for the label, some don't."""
    chance = np.random.default_rng(seed)
    usages = [usage for usage, size in sizes.items() for _ in range(size)]
    codes = chance.integers(0, 7, len(usages))
    for usage in sizes:
        codes[usages.index(usage):][:7] = range(7)  # each class is in each split
    pixels = chance.integers(0, 256, (len(usages), 2304), np.uint8)
    rows = [[str(code), " ".join(map(str, face)), usage]
            for code, face, usage in zip(codes, pixels, usages, strict=True)]
    votes = []
    for code in codes:
        shares = np.full(10, 0.02)
        shares[LABELS[code] if chance.random() < 0.85 else chance.integers(10)] += 1
        shares[chance.integers(10)] += chance.choice([0, 0.4, 0.9])
        votes.append(chance.multinomial(10, shares / shares.sum()))
    votes[20], votes[21] = [0] * 9 + [10], [1] * 8 + [2, 0]
    return rows, np.array(votes)


def votes_table(rows, votes):
    """``fer2013new.csv``: CRLF, and names that do not count the rows, some of them blank."""
    lines = ["Usage,Image name," + ",".join(FILE_ORDER)]
    for row, (face, cells) in enumerate(zip(rows, votes, strict=True)):
        name = "" if row % 7 == 3 else f"fer{row - row // 7:07d}.png"
        lines.append(",".join([face[2], name, *(str(cells[COLUMNS.index(column)]) for column in FILE_ORDER)]))
    return "\r\n".join(lines) + "\r\n"


def write(root, rows, votes):
    root.mkdir(parents=True, exist_ok=True)
    (root / "fer2013.csv").write_text(table(rows))
    return write_votes(root, rows, votes)


def write_votes(root, rows, votes):
    (root / "fer2013new.csv").write_bytes(votes_table(rows, votes).encode())
    return root


@pytest.fixture(scope="module")
def small():
    return replica()


@pytest.fixture(scope="module")
def images(small, tmp_path_factory):
    """A folder with fer2013.csv, and a cache in which it is read already: only the votes change from test to test."""
    home = tmp_path_factory.mktemp("ferplus")
    write(home / "data", *small)
    return home


@pytest.fixture
def root(small, images, monkeypatch):
    monkeypatch.setenv("FER_UTILS_CACHE", str(images / "cache"))
    for path in (images / "data").iterdir():  # what the test before has left
        if path.is_dir():
            shutil.rmtree(path)
    return write_votes(images / "data", *small)


# The published rules, once more: one image at a time, in the file's order, as Barsoum et al.'s reader goes through them


def oracle(votes, mode):
    """Shares of the eight classes as {name: share}, or None for an image that has no label; by loops, for one image."""
    left = [int(votes[COLUMNS.index(column)]) for column in FILE_ORDER]
    left = [count if count >= 2 else 0 for count in left]
    total = sum(left)
    chosen = [0] * 10
    if mode == "majority":
        if max(left) <= 0.5 * total:
            return None
        chosen[left.index(max(left))] = max(left)
    else:
        integrated, count, valid = 0, 0, True
        while integrated < 0.75 * total and count < 3 and valid:
            largest = max(left)
            for place in range(10):
                if left[place] == largest:
                    chosen[place] = largest
                    left[place] = 0
                    integrated += largest
                    count += 1
                    if place >= 8:
                        valid = False
                        if sum(chosen) > largest:  # an emotion came before: the image keeps it
                            chosen[place] = 0
                            count -= 1
                        break
        if sum(chosen) <= 0.5 * total or count > 3:
            return None
    if chosen.index(max(chosen)) >= 8:
        return None
    return {column: chosen[place] / sum(chosen[:8]) for place, column in enumerate(FILE_ORDER[:8])}


def assert_as_the_oracle(votes):
    for mode, rule in (("majority", majority), ("probability", probability)):
        ours = rule(votes)
        assert ours.shape == (len(votes), 8)
        for row, cells in enumerate(votes):
            expected = oracle(cells, mode)
            assert ours[row].any() == (expected is not None), (mode, cells)
            if expected is not None:
                shares = ours[row] / ours[row].sum()
                assert shares == pytest.approx([expected[name] for name in CLASSES]), (mode, cells)


@pytest.mark.parametrize("taggers", [1, 3, 9, 10])
def test_the_rules_are_those_of_the_paper_on_random_votes(taggers):
    chance = np.random.default_rng(taggers)
    shares = np.concatenate([chance.dirichlet(np.full(10, sharp), 700) for sharp in (0.1, 0.5, 3)])
    votes = chance.multinomial(taggers, shares)
    before = votes.copy()
    assert_as_the_oracle(votes)
    assert np.array_equal(votes, before)  # nothing is changed in place


def test_the_rules_are_those_of_the_paper_where_votes_are_even():
    ties = [[5, 5], [3, 3, 3], [2, 2, 2, 2, 2], [2, 2, 2, 2], [4, 2, 2, 2], [4, 3, 3], [6, 2, 2], [1] * 10, [0], [2],
            [1], [3, 3, 2, 2], [5, 2, 2, 1], [8, 1, 1], [4, 4, 2], [7, 3], [5, 3, 2], [6, 4]]
    chance = np.random.default_rng(0)
    votes = np.array([chance.permutation(counts + [0] * (10 - len(counts))) for counts in ties for _ in range(60)])
    assert_as_the_oracle(votes)


def cells(**named):
    return np.array([[named.get(column, 0) for column in COLUMNS]])


@pytest.mark.parametrize("votes, most, spread", [
    ({"anger": 10}, {"anger": 10}, {"anger": 10}),
    ({"anger": 5, "neutral": 4, "fear": 1}, {"anger": 5}, {"anger": 5, "neutral": 4}),  # 5 of 9: the 1 is removed
    ({"anger": 5, "neutral": 5}, {}, {"anger": 5, "neutral": 5}),
    ({"anger": 8, "neutral": 2}, {"anger": 8}, {"anger": 8}),  # three quarters are enough
    ({"anger": 4, "neutral": 3, "fear": 3}, {}, {"anger": 4, "neutral": 3, "fear": 3}),
    ({"anger": 4, "neutral": 2, "fear": 2, "disgust": 2}, {}, {}),  # four classes
    ({"contempt": 6, "neutral": 4}, {"contempt": 6}, {"contempt": 6, "neutral": 4}),
    ({"unknown": 6, "neutral": 4}, {}, {}), ({"NF": 10}, {}, {}),
    ({"neutral": 6, "unknown": 4}, {"neutral": 6}, {"neutral": 6}), ({"neutral": 5, "unknown": 5}, {}, {}),
    ({"neutral": 4, "unknown": 3, "sadness": 3}, {}, {"neutral": 4, "sadness": 3}),  # even: the emotion still counts
    (dict.fromkeys(COLUMNS, 1), {}, {}), ({}, {}, {}),
])
def test_the_rules_on_votes_that_a_reader_can_follow(votes, most, spread):
    for rule, expected in ((majority, most), (probability, spread)):
        assert {name: count for name, count in zip(CLASSES, rule(cells(**votes))[0], strict=True) if count} == expected


# What comes out


@pytest.mark.parametrize("contempt", [False, True])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("split", KINDS)
def test_each_image_has_the_label_of_the_votes_of_its_row(small, root, split, mode, contempt):
    rows, votes = small
    classes = CLASSES if contempt else EMOTIONS
    names, labels, soft = [], [], []
    for row, (face, of_row) in enumerate(zip(rows, votes, strict=True)):
        if face[2] not in KINDS[split]:
            continue
        emotions = of_row[:8]
        shares = oracle(of_row, mode) if mode != "votes" else (
            dict(zip(CLASSES, emotions / max(1, emotions.sum()), strict=True)) if emotions.any() else None)
        if shares is None or max(shares, key=lambda name: (shares[name], -CLASSES.index(name))) not in classes:
            continue
        shares = np.array([shares[name] for name in classes])
        names.append(f"{face[2]}_{row:05d}")
        labels.append(list(shares).index(max(shares)))
        soft.append(shares / shares.sum())
    faces = load_dataset("ferplus", root, split, mode=mode, contempt=contempt)
    assert faces.names.tolist() == names and faces.labels.tolist() == labels
    assert [face.ravel().tolist() for face in faces.images] == [
        [int(level) for level in rows[int(name.split("_")[1])][1].split()] for name in names]
    assert (faces.classes, faces.split, faces.source) == (classes, split, f"FER2013 with FER+ labels ({mode})")
    if mode == "majority":
        assert faces.soft_labels is None
    else:
        assert faces.soft_labels.dtype == np.float32 and faces.soft_labels == pytest.approx(np.array(soft), abs=1e-6)
    assert 10 < len(faces) <= sum(SIZES[kind] for kind in KINDS[split])


def test_majority_and_seven_classes_are_what_you_get_unasked(root):
    plain = load_dataset("ferplus", root)
    assert plain.fingerprint == load_dataset("ferplus", root, "train", mode="majority", contempt=False).fingerprint


def test_the_modes_and_contempt_are_different_data(root):
    marks = {load_dataset("ferplus", root, mode=mode, contempt=contempt).fingerprint
             for mode in MODES for contempt in (False, True)}
    assert len(marks) == 6
    assert len(load_dataset("ferplus", root, contempt=True)) > len(load_dataset("ferplus", root))


def test_even_votes_give_the_first_class(tmp_path, cache, small):
    votes = np.zeros_like(small[1])
    votes[:, [EMOTIONS.index("neutral"), EMOTIONS.index("happiness")]] = 5  # neutral is the first in the file
    votes[0, :] = [0, 0, 0, 0, 0, 0, 5, 5, 0, 0]  # surprise and contempt
    root = write(tmp_path / "even", small[0][:40], votes[:40])
    faces = load_dataset("ferplus", root, mode="votes")
    assert [faces.classes[k] for k in faces.labels] == ["surprise"] + ["happiness"] * 39
    assert faces.soft_labels[0].tolist() == [0, 0, 0, 0, 0, 0, 1]  # contempt's half is removed
    assert load_dataset("ferplus", root, mode="probability").labels.tolist() == faces.labels.tolist()


# The join


def test_names_of_images_are_not_even_looked_at(root):
    first = load_dataset("ferplus", root)
    path = root / "fer2013new.csv"
    header, *lines = path.read_text().splitlines()
    for name in ("fer0000001.png,", ",", None):  # or the column is missing
        changed = [header if name else header.replace("Image name,", "")]
        changed += [re.sub(",[^,]*,", f",{name or ''}", line, count=1) for line in lines]
        path.write_text("\n".join(changed))
        assert load_dataset("ferplus", root).fingerprint == first.fingerprint


def test_interleaved_usages_keep_their_rows(small, tmp_path, cache):
    order = np.random.default_rng(3).permutation(len(small[0]))
    rows, votes = [small[0][k] for k in order], small[1][order]
    root = write(tmp_path / "data", rows, votes)
    for split in KINDS:
        faces = load_dataset("fer2013", root, split)
        assert np.array_equal(votes_for(faces, root), votes[[int(name.split("_")[1]) for name in faces.names]])


def test_a_random_part_in_any_order_gets_the_votes_of_its_images(small, root):
    faces = load_dataset("fer2013", root).subset(np.random.default_rng(0).permutation(350)[:200])
    votes = votes_for(faces, root)
    assert votes.dtype == np.int64 and votes.shape == (200, 10)
    assert np.array_equal(votes, small[1][[int(name.split("_")[1]) for name in faces.names]])


@pytest.mark.parametrize("layout", ["folders", "zip", "zip named itself", "table in a folder",
                                    "clone beside the folders", "clone beside the zip", "downloaded clone"])
def test_every_layout_gives_the_same(small, tmp_path, cache, layout, root):
    rows, votes = small
    expected = load_dataset("ferplus", root, "public_test", mode="votes")
    there = tmp_path / "there"
    there.mkdir()
    given = write_faces(there, rows)
    if "zip" in layout:
        with zipfile.ZipFile(there / "archive.zip", "w") as archive:
            for file in sorted(there.rglob("*.png")):
                archive.write(file, file.relative_to(there).as_posix())
                file.unlink()
        for folder in sorted(there.glob("t*/*")) + sorted(there.glob("t*")):
            folder.rmdir()
        given = there / "archive.zip" if layout == "zip named itself" else there
    if layout == "table in a folder":
        given = tmp_path / "other"
        write(given / "fer2013", rows, votes)
    home = given if given.is_dir() else there
    if "clone" in layout:
        home = there / ("FERPlus-master" if "downloaded" in layout else "FERPlus")
        home.mkdir()
        PIL.Image.new("RGB", (600, 400)).save(home / "FER+vsFER.png")  # the clone's README shows it
        (home / "README.md").write_text("FER+")
    if layout != "table in a folder":
        (home / "fer2013new.csv").write_bytes(votes_table(rows, votes).encode())
    faces = load_dataset("ferplus", given, "public_test", mode="votes")
    assert faces.fingerprint == expected.fingerprint and faces.names.tolist() == expected.names.tolist()


def test_votes_beside_the_images_come_before_those_in_a_folder(root):
    (root / "FERPlus").mkdir()
    (root / "FERPlus" / "fer2013new.csv").write_text("nothing")
    assert len(load_dataset("ferplus", root))


def test_changed_votes_are_read_anew(root, small):
    first = load_dataset("ferplus", root)
    votes = small[1].copy()
    votes[5] = cells(fear=10)[0]
    write_votes(root, small[0], votes)
    assert load_dataset("ferplus", root).fingerprint != first.fingerprint


# Rows that are apart


def refused(root, message, split="train", path="fer2013new.csv"):
    with pytest.raises(FerError, match=message) as caught:
        load_dataset("ferplus", root, split)
    assert not path or str(root / path) in str(caught.value)
    assert len(str(caught.value)) < len(str(root)) + 450
    return str(caught.value)


def test_a_row_lost_at_the_start_is_seen_where_the_splits_meet(small, root):
    rows, votes = small
    lines = votes_table(rows, votes).split("\r\n")
    (root / "fer2013new.csv").write_text("\n".join([lines[0], *lines[2:]]))
    text = refused(root, "row 349 is of PublicTest, and the image Training_00349: the rows don't belong together")
    assert "fer2013.csv" in text and "github.com/microsoft/FERPlus" in text


@pytest.mark.parametrize("shift", [1, -1, 50])
def test_votes_that_are_shifted_within_a_split_are_refused(small, root, shift):
    rows, votes = small[0], small[1].copy()
    votes[:350] = np.roll(votes[:350], shift, 0)
    write_votes(root, rows, votes)
    refused(root, r"rows \d+ to \d+, Training: \d\d? % of the labels are FER2013's, .* the rows don't belong together")
    assert len(load_dataset("ferplus", root, "test"))


def test_a_stretch_that_is_shifted_is_refused_as_well(small, root):
    rows, votes = small[0], small[1].copy()
    votes[:150] = np.roll(votes[:150], 1, 0)  # one row lost, another doubled further on
    whole = majority(votes[:350])
    labels = np.array([LABELS[int(row[0])] for row in rows[:350]])
    assert (whole.argmax(1) == labels)[whole.any(1)].mean() > 0.5  # over the whole it doesn't show
    write_votes(root, rows, votes)
    refused(root, "rows 0 to 1.., Training: ")


def test_too_few_images_prove_nothing(small, tmp_path, cache):
    rows, votes = small[0][:60], np.roll(small[1][:60], 1, 0)
    assert len(load_dataset("ferplus", write(tmp_path / "few", rows, votes)))


def test_images_that_were_numbered_anew_are_refused(small, tmp_path, cache):
    rows, votes = small
    root = write_faces(tmp_path / "kaggle", rows)
    (root / "fer2013new.csv").write_text(votes_table(rows, votes))
    file = next((root / "train").rglob("Training_00017.png"))
    for number in (35_887, 10_118_481, int("9" * 40)):
        file = file.rename(file.with_name(f"Training_{number}.png"))
        text = refused(root, f"Training_{number}: FER2013 has 35887 rows; this copy has numbered its images", path="")
        assert "Use fer2013.csv" in text
    assert len(load_dataset("ferplus", root, "test"))


def test_a_table_of_one_split_alone_has_other_rows(small, tmp_path, cache):
    root = write(tmp_path / "data", *small)
    (root / "fer2013.csv").write_text(table([row for row in small[0] if row[2] == "PublicTest"]))
    refused(root, "row 0 is of Training, and the image PublicTest_00000: the rows don't", "public_test")


def test_votes_that_break_off_are_refused_where_rows_are_missing(small, root):
    lines = votes_table(*small).split("\r\n")
    (root / "fer2013new.csv").write_text("\n".join(lines[:420]))
    assert len(load_dataset("ferplus", root))
    refused(root, "419 rows, and none for PublicTest_00419; get .* whole", "public_test")


@pytest.mark.parametrize("mode", ["majority", "probability"])
def test_a_whole_split_has_the_published_number_of_labels(small, root, monkeypatch, mode):
    counts = {name: {usage: int(MODES[name](small[1][[row[2] == usage for row in small[0]]]).any(1).sum())
                     for usage in SIZES} for name in ("majority", "probability")}
    monkeypatch.setattr(ferplus, "OFFICIAL", SIZES)
    monkeypatch.setattr(ferplus, "KEPT", counts)
    for split in KINDS:
        load_dataset("ferplus", root, split)
    counts[mode]["PublicTest"] += 1
    message = rf"{counts[mode]['PublicTest'] - 1} PublicTest images have a label \({mode}\) .*not the published"
    for split in ("public_test", "test"):
        refused(root, message, split)
    for split in ("train", "private_test"):
        load_dataset("ferplus", root, split)
    counts[mode]["PublicTest"] -= 1
    for rows in (np.arange(1, 112), np.r_[0:112, 0:40]):  # a part isn't counted, nor are images drawn with replacement
        votes_for(load_dataset("fer2013", root, "test").subset(rows), root)


def test_names_that_are_none_of_fer2013_have_no_votes(root, make_faces):
    faces = make_faces(14)
    for name in ("train_0", "Training", "Training_", "Training_1.5", "Training_-1", "Training_1_2", "", "5"):
        strange = replace(faces, names=np.array([f"Training_{row}" for row in range(13)] + [name]))
        with pytest.raises(FerError, match=f"random pixels: {name}: not a name of FER2013, <Usage>_<row>"):
            votes_for(strange, root)


# Files that are missing or broken


def test_without_a_root_it_is_said_what_to_get():
    with pytest.raises(FerError, match=r"FER2013 and fer2013new.csv \(github.com/microsoft/FERPlus, MIT licence\)"):
        load_dataset("ferplus")


def test_what_is_missing_is_named_with_where_to_get_it(small, root, tmp_path):
    (root / "fer2013.csv").rename(tmp_path / "fer2013.csv")
    refused(root, "images, FER2013's .Kaggle, msambare/fer2013., are not beside fer2013new.csv", path="")
    (tmp_path / "fer2013.csv").rename(root / "fer2013.csv")
    (root / "fer2013new.csv").unlink()
    refused(root, "no fer2013new.csv .github.com/microsoft/FERPlus, MIT licence. in it", path="")
    refused(root / "elsewhere", "there is no such file or folder", path="")
    for name in ("one", "two"):
        (root / name).mkdir()
        (root / name / "fer2013new.csv").write_text(votes_table(*small))
    refused(root, "one.fer2013new.csv and two.fer2013new.csv; keep one of them", path="")


@pytest.mark.parametrize("options, message", [
    ({"mode": "crossentropy"}, "mode = 'crossentropy': FER. has the modes majority, probability, votes"),
    ({"mode": None}, "mode = None"), ({"mode": ["votes"]}, "mode = .'votes'.:"),
    ({"contempt": "no"}, "contempt = 'no': give True"), ({"contempt": 1}, "contempt = 1"),
])
def test_an_option_that_cannot_be_meant_is_refused(root, options, message):
    with pytest.raises(FerError, match=message):
        load_dataset("ferplus", root, **options)


@pytest.mark.parametrize("change", [
    lambda text: "\ufeff" + text, lambda text: text.replace("\r\n", "\n"), lambda text: text.rstrip(),
    lambda text: text + "\r\n\r\n", lambda text: re.sub("[^,\r\n]+", lambda cell: f'"{cell[0]}"', text),
    lambda text: re.sub("[^,\r\n]+", lambda cell: f'"{cell[0]}"', text).replace(",", ", "),
    lambda text: text.replace(",", ", "), lambda text: text.replace("Training", "Training "),
    lambda text: re.sub("(?m)\r$", ",more\r", text),
    lambda text: "\r\n".join(",".join(reversed(line.split(","))) for line in text.split("\r\n")),
], ids=["BOM", "LF", "no final newline", "blank lines at the end", "quotes", "quotes after spaces",
        "spaces after commas", "spaces after usage", "another column", "other order of columns"])
def test_votes_are_read_however_they_were_saved(root, change):
    first = load_dataset("ferplus", root, mode="votes")
    path = root / "fer2013new.csv"
    path.write_bytes(change(path.read_bytes().decode()).encode())
    assert load_dataset("ferplus", root, mode="votes").fingerprint == first.fingerprint


@pytest.mark.parametrize("column, cell, message", [
    *((name, cell, f"row 9: {name} is {cell!r}; expected 0 to 10 votes") for name in ("neutral", "NF", "contempt")
      for cell in ("", "nan", "NaN", "-1", "11", "1.5", "inf", "-inf", "many", "0x1", "9" * 400, "True")),
    *(("Usage", cell, f"row 9: Usage is {cell!r}; expected Training or PublicTest or PrivateTest")
      for cell in ("", "training", "Test", "NaN")),
    ("Usage", "x" * 500, "row 9: Usage is 'x{40}';"),
])
def test_a_wrong_cell_is_named_with_its_row(root, column, cell, message):
    path = root / "fer2013new.csv"
    lines = [line.split(",") for line in path.read_text().split("\n")]
    lines[10][lines[0].index(column)] = cell
    if column == "NF":
        lines[10][-1] = cell
    path.write_text("\n".join(map(",".join, lines)))
    refused(root, message if len(cell) < 400 or column == "Usage" else f"row 9: {column} is '9{{40}}'")


def test_more_votes_than_taggers_are_refused(small, root):
    votes = small[1].copy()
    votes[30] = [1] * 9 + [2]
    write_votes(root, small[0], votes)
    refused(root, "row 30: 11 votes; an image has at most 10")


@pytest.mark.parametrize("change, message", [
    (lambda text: "", "cannot be read as a CSV file"), (lambda text: "\n\n", "cannot be read as a CSV file"),
    (lambda text: text.split("\r\n")[0], "0 rows with the columns Usage, Image name"),
    (lambda text: text.replace("contempt", "scorn", 1), "scorn, unknown, NF; expected at most 35887"),
    (lambda text: text.replace("Usage", "usage", 1), "columns usage, Image name"),
    (lambda text: text.replace("fear", "anger", 1), "expected at most"),
    (lambda text: text.split("\r\n", 1)[1], "461 rows with the columns Training"),
    (lambda text: text.replace("\r\n", ",1,1\r\n", 4).replace(",1,1", "", 1), "cannot be read as a CSV file"),
    (lambda text: text.replace("Training", '"Training', 1), "cannot be read as a CSV file|rows with the columns"),
    (lambda text: "\r\n".join([text.split("\r\n")[0], *text.split("\r\n")[1:-1] * 80]), "36960 rows .*at most 35887"),
    (lambda text: text.encode("utf-16"), "cannot be read as a CSV file"),
    (lambda text: np.random.default_rng(0).bytes(20_000), "cannot be read as a CSV file|rows with the columns"),
], ids=["empty", "blank", "header only", "another class", "usage", "a class twice", "no header", "cells too many",
        "open quote", "too many rows", "UTF-16", "noise"])
def test_what_is_no_table_of_votes_is_refused(root, change, message):
    path = root / "fer2013new.csv"
    content = change(path.read_bytes().decode())
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    refused(root, message)


def test_a_file_of_absurd_size_is_not_even_opened(root, monkeypatch):
    monkeypatch.setattr(ferplus, "BYTES", 100)
    refused(root, "bytes unpacked; a data set of faces has no such file")


def test_damaged_votes_are_read_or_refused_and_nothing_else(root):
    chance, path, outcomes = random.Random(0), root / "fer2013new.csv", {"read": 0, "refused": 0}
    whole = path.read_bytes()
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(chance.choice([1, 1, 3, 30])):
            where = chance.randrange(len(damaged))
            kind = chance.randrange(4)
            if kind == 0:
                damaged[where] = chance.randrange(256)
            elif kind == 1:
                del damaged[where:where + chance.choice([1, 3, 40, 4000])]
            elif kind == 2:
                damaged[where:where] = chance.choice([b",", b"\n", b'"', b"\0", b"\r", b"9", b"-", b"\xff", b"1e3"])
            else:
                damaged[where:where] = damaged[chance.randrange(len(damaged)):][:60]
        path.write_bytes(damaged)
        try:
            faces = load_dataset("ferplus", root, mode=chance.choice(list(MODES)), contempt=chance.random() < 0.5)
            assert len(faces) > 100
            outcomes["read"] += 1
        except FerError as error:
            assert str(path) in str(error) and len(str(error)) < len(str(root)) + 600
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 5, outcomes


# The report


def test_not_a_face_takes_ten_votes(root):
    assert not_a_face(cells(NF=10)).tolist() == [0] and not not_a_face(cells(NF=9, unknown=1)).size
    votes = votes_for(load_dataset("fer2013", root), root)
    assert 20 in not_a_face(votes) and (votes[not_a_face(votes)] == [0] * 9 + [10]).all()


def test_agreement_counts_fer2013_against_fer_plus(small, root):
    faces = load_dataset("fer2013", root)
    counts = agreement(faces, votes_for(faces, root))
    expected = dict.fromkeys([(one, other) for one in EMOTIONS for other in CLASSES], 0)
    for face, votes in zip(small[0][:350], small[1], strict=False):
        shares = oracle(votes, "majority")
        if shares:
            expected[EMOTIONS[LABELS[int(face[0])]], max(shares, key=shares.get)] += 1
    assert counts.shape == (7, 8) and counts.stack().to_dict() == expected
    assert counts.index.name == "FER2013" and counts.columns.name == "FER+"
    assert counts.to_numpy().sum() == len(load_dataset("ferplus", root, contempt=True))


def test_the_command_line_reports_on_it(root, capsys):
    command_line.main(["report", "ferplus", str(root)])
    said = capsys.readouterr().out
    assert "train and public_test" in said and "images of public_test" in said


def test_notebooks_take_it_as_a_data_set(root):
    settings = check_parameters(dataset="ferplus", data_dir=str(root), data_options={"mode": "probability"})
    assert settings.dataset == "ferplus" and TEST_SPLIT["ferplus"] == "public_test"
    assert settings.load("held-out").soft_labels is not None


# The real thing, where it is


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    if not (ARCHIVE / "fer2013new.csv").exists():
        pytest.skip(f"FER2013 and the votes of FER+ are not at {ARCHIVE}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_UTILS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield lambda split, name="ferplus", **options: load_dataset(name, ARCHIVE, split, **options)


REAL = {  # eight classes, contempt last
    ("train", "majority"): [2100, 119, 532, 7287, 8740, 3014, 3149, 119],
    ("train", "probability"): [2635, 209, 788, 7587, 9845, 3371, 3361, 160],
    ("train", "votes"): [2743, 243, 818, 7621, 10074, 3486, 3407, 167],
    ("public_test", "majority"): [287, 24, 62, 865, 1182, 351, 415, 13],
    ("public_test", "probability"): [333, 37, 88, 900, 1295, 391, 438, 23],
    ("public_test", "votes"): [341, 42, 94, 903, 1322, 407, 445, 25],
}
KEPT = {("train", "majority"): 25_060, ("public_test", "majority"): 3_199,
        ("train", "probability"): 27_956, ("public_test", "probability"): 3_505}


@pytest.mark.parametrize("split, mode", REAL)
def test_real_counts_are_the_published_ones(real, split, mode):
    faces = real(split, mode=mode, contempt=True)
    assert faces.counts().tolist() == REAL[split, mode]
    assert len(faces) == KEPT.get((split, mode), sum(REAL[split, mode]))
    assert real(split, mode=mode).counts().tolist() == REAL[split, mode][:7]


@pytest.mark.parametrize("split, no_face, agree", [("train", 150, 16_969), ("public_test", 10, 2_136)])
def test_real_votes_are_joined_by_row(real, split, no_face, agree):
    faces = real(split, "fer2013")
    votes = votes_for(faces, ARCHIVE)
    assert len(not_a_face(votes)) == no_face
    counts = agreement(faces, votes).to_numpy()
    assert (np.trace(counts), counts.sum()) == (agree, KEPT[split, "majority"])


def test_real_votes_follow_the_published_rules(real):
    votes = votes_for(real("public_test", "fer2013"), ARCHIVE)
    assert_as_the_oracle(np.unique(votes, axis=0))


@pytest.mark.parametrize("shift", [1, -1])
def test_real_votes_shifted_by_a_row_are_refused(real, tmp_path, shift):
    faces = real("train", "fer2013")
    lines = (ARCHIVE / "fer2013new.csv").read_bytes().split(b"\r\n")
    first = lines[1:28710]
    (tmp_path / "fer2013new.csv").write_bytes(b"\r\n".join(
        [lines[0], *(first[shift:] + first[:shift]), *lines[28710:]]))
    with pytest.raises(FerError, match=r"Training: \d\d % of the labels are FER2013's"):
        votes_for(faces, tmp_path)
