"""FER+: the votes of the right row become the labels that the paper's rules give; rows that are apart are refused."""

import re
from dataclasses import replace

import datasets_on_disk as disk
import numpy as np
import pytest
from conftest import refusal

from fer_lab import cli as command_line
from fer_utils.datasets import ferplus, load_dataset
from fer_utils.datasets.ferplus import CLASSES, COLUMNS, MODES, agreement, majority, not_a_face, probability, votes_for
from fer_utils.emotions import EMOTIONS, label_of

# The order of the columns in the file, which is another than the course's.
FILE_ORDER = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")
SIZES = {"Training": 350, "PublicTest": 70, "PrivateTest": 42}
KINDS = {"train": ("Training",), "public_test": ("PublicTest",), "private_test": ("PrivateTest",),
         "test": ("PublicTest", "PrivateTest")}
LABELS = [label_of(disk.CODES[code]) for code in range(7)]  # of the codes of fer2013.csv
VOTES = "fer2013new.csv"


def replica():
    """(rows of fer2013.csv, votes of each in the order of COLUMNS): most of the ten vote for the label, some don't."""
    rng = np.random.default_rng(0)
    usages = [usage for usage, size in SIZES.items() for _ in range(size)]
    codes = rng.integers(0, 7, len(usages))
    pixels = rng.integers(0, 256, (len(usages), 2304), np.uint8)
    rows = [[str(code), " ".join(map(str, face)), usage]
            for code, face, usage in zip(codes, pixels, usages, strict=True)]
    votes = []
    for code in codes:
        shares = np.full(10, 0.02)
        shares[LABELS[code] if rng.random() < 0.85 else rng.integers(10)] += 1
        shares[rng.integers(10)] += rng.choice([0, 0.4, 0.9])
        votes.append(rng.multinomial(10, shares / shares.sum()))
    votes[20], votes[21], votes[22] = [0] * 9 + [10], [1] * 8 + [2, 0], [0, 0, 0, 5, 5, 0, 0, 0, 0, 0]
    return rows, np.array(votes)


def votes_table(rows, votes):
    """``fer2013new.csv``: CRLF, and names that do not count the rows, some of them blank."""
    lines = ["Usage,Image name," + ",".join(FILE_ORDER)]
    for row, (face, cells) in enumerate(zip(rows, votes, strict=True)):
        name = "" if row % 7 == 3 else f"fer{row - row // 7:07d}.png"
        lines.append(",".join([face[2], name, *(str(cells[COLUMNS.index(column)]) for column in FILE_ORDER)]))
    return "\r\n".join(lines) + "\r\n"


def write(root, rows, votes):
    disk.put(root / "fer2013.csv", disk.table(rows))
    disk.put(root / VOTES, votes_table(rows, votes))
    return root


@pytest.fixture(scope="module")
def small():
    return replica()


@pytest.fixture
def root(small, tmp_path, cache):
    root = write(tmp_path / "ferplus", *small)
    load_dataset("fer2013", root)  # what is refused below leaves the cache as it was
    return root


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
    before = votes.copy()
    for mode, rule in (("majority", majority), ("probability", probability)):
        ours = rule(votes)
        assert ours.shape == (len(votes), 8)
        for row, cells in enumerate(votes):
            expected = oracle(cells, mode)
            assert ours[row].any() == (expected is not None), (mode, cells)
            if expected is not None:
                shares = ours[row] / ours[row].sum()
                assert shares == pytest.approx([expected[name] for name in CLASSES]), (mode, cells)
    assert np.array_equal(votes, before)  # nothing is changed in place


def test_the_rules_are_those_of_the_paper():
    rng = np.random.default_rng(0)
    shares = np.concatenate([rng.dirichlet(np.full(10, sharp), 700) for sharp in (0.1, 0.5, 3)])
    for taggers in (1, 3, 9, 10):
        assert_as_the_oracle(rng.multinomial(taggers, shares))
    even = [[5, 5], [3, 3, 3], [2] * 5, [2] * 4, [4, 3, 3], [6, 2, 2], [1] * 10, [0], [3, 3, 2, 2], [4, 4, 2]]
    assert_as_the_oracle(np.array([rng.permutation(counts + [0] * (10 - len(counts)))
                                   for counts in even for _ in range(60)]))


def test_each_image_has_the_label_of_the_votes_of_its_row(small, root):
    def check(split, mode, contempt):
        classes = CLASSES if contempt else EMOTIONS
        names, labels, soft = [], [], []
        for row, (face, of_row) in enumerate(zip(*small, strict=True)):
            emotions = of_row[:8]
            shares = oracle(of_row, mode) if mode != "votes" else (
                dict(zip(CLASSES, emotions / max(1, emotions.sum()), strict=True)) if emotions.any() else None)
            if face[2] not in KINDS[split] or shares is None or max(  # of equal shares the first class counts
                    shares, key=lambda name: (shares[name], -CLASSES.index(name))) not in classes:
                continue
            shares = np.array([shares[name] for name in classes])
            names.append(f"{face[2]}_{row:05d}")
            labels.append(list(shares).index(max(shares)))
            soft.append(shares / shares.sum())
        faces = load_dataset("ferplus", root, split, mode=mode, contempt=contempt)
        assert faces.names.tolist() == names and faces.labels.tolist() == labels
        assert [" ".join(map(str, face.ravel())) for face in faces.images] == [
            small[0][int(name.split("_")[1])][1] for name in names]
        assert (faces.classes, faces.split, faces.source) == (classes, split, f"FER2013 with FER+ labels ({mode})")
        assert (faces.soft_labels is None) == (mode == "majority")
        if mode != "majority":
            assert faces.soft_labels.dtype == np.float32 and np.allclose(faces.soft_labels, soft, atol=1e-6)
        marks.add(faces.fingerprint)

    marks, cases = set(), [(split, mode, contempt) for split in KINDS for mode in MODES for contempt in (False, True)]
    disk.for_each(check, cases)
    assert len(marks) == len(cases)
    plain = load_dataset("ferplus", root)  # what you get unasked
    assert plain.fingerprint == load_dataset("ferplus", root, "train", mode="majority", contempt=False).fingerprint


def test_votes_are_joined_by_row_in_any_order(small, root, tmp_path):
    order = np.random.default_rng(3).permutation(len(small[0]))
    votes = small[1][order]
    mixed = write(tmp_path / "data", [small[0][k] for k in order], votes)  # usages interleaved
    parts = [(load_dataset("fer2013", mixed, split), mixed, votes) for split in KINDS]
    part = load_dataset("fer2013", root).subset(np.random.default_rng(0).permutation(350)[:200])
    for faces, place, wanted in (*parts, (part, root, small[1])):
        rows = [int(name.split("_")[1]) for name in faces.names]
        assert np.array_equal(votes_for(faces, place), wanted[rows])


def test_votes_are_found_beside_the_images_or_in_a_folder_there_with_columns_by_their_names(small, tmp_path, cache):
    beside, clone = write(tmp_path / "beside", *small), tmp_path / "clone"
    wanted, text = load_dataset("ferplus", beside, mode="votes"), votes_table(*small)
    disk.write_archive(clone / "archive.zip", [("fer2013.csv", disk.table(small[0]))])
    disk.put(clone / "FERPlus-master" / VOTES, "\n".join(",".join([*line.split(",")[::-1], "more"])
                                                    for line in text.splitlines()))
    faces = disk.write_faces(tmp_path / "faces", small[0])
    disk.put(faces / "FERPlus" / VOTES, text)
    disk.put(faces / "FERPlus" / "FER+vsFER.png", disk.encoded(disk.noise(40, 60, 3)))  # a figure of its README
    disk.put(beside / "FERPlus" / VOTES, "nothing")  # votes beside the images come before those in a folder
    for there in (beside, beside / "fer2013.csv", clone, clone / "archive.zip", faces):
        assert disk.same(load_dataset("ferplus", there, mode="votes"), wanted), there


def test_votes_that_are_shifted_are_refused(small, root, tmp_path):
    def check(shift, of):
        votes = small[1].copy()
        votes[:of] = np.roll(votes[:of], shift, 0)
        if of < 350:  # one row lost, another doubled further on: over the whole it doesn't show
            most, labels = majority(votes[:350]), np.array([LABELS[int(row[0])] for row in small[0][:350]])
            assert (most.argmax(1) == labels)[most.any(1)].mean() > 0.5
        disk.put(root / VOTES, votes_table(small[0], votes))
        said = disk.refused("ferplus", root, "the rows don't belong together")
        assert re.search(r"rows \d+ to \d+, Training: \d\d? % of the labels are FER2013's", said)
        assert len(load_dataset("ferplus", root, "test"))

    disk.for_each(check, [(1, 350), (-1, 350), (50, 350), (1, 150)])
    few = write(tmp_path / "few", small[0][:60], np.roll(small[1][:60], 1, 0))
    assert len(load_dataset("ferplus", few))  # too few images prove nothing


def test_rows_without_votes_or_with_those_of_another_split_are_refused(small, root, tmp_path):
    lines = votes_table(*small).splitlines()
    disk.put(root / VOTES, "\n".join([lines[0], *lines[2:]]))  # a row lost at the start
    disk.refused("ferplus", root, VOTES, "row 349 is of PublicTest, and the image Training_00349: the rows don't ",
                 "Use fer2013.csv", "github.com/microsoft/FERPlus")
    disk.put(root / VOTES, "\n".join(lines[:420]))
    assert len(load_dataset("ferplus", root))
    disk.refused("ferplus", root, "419 rows, and none for PublicTest_00419; download ", " again", split="public_test")
    kaggle = disk.write_faces(tmp_path / "kaggle", small[0])
    disk.put(kaggle / VOTES, votes_table(*small))
    file = next((kaggle / "train").rglob("Training_00017.png"))
    for number in (35_887, int("9" * 40)):
        file = file.rename(file.with_name(f"Training_{number}.png"))
        said = refusal(load_dataset, "ferplus", kaggle)
        assert f"Training_{number}: FER2013 has 35887 rows; this copy has numbered its images anew" in said
    assert len(load_dataset("ferplus", kaggle, "test"))


def test_names_that_are_none_of_fer2013_have_no_votes(root, make_faces):
    faces = make_faces(14)
    for name in ("train_0", "Training", "Training_", "Training_1.5", "Training_-1", "Training_1_2", "", "5"):
        strange = replace(faces, names=np.array([f"Training_{row}" for row in range(13)] + [name]))
        assert f"random pixels: {name}: not a name of FER2013, <Usage>_<row>" in refusal(votes_for, strange, root)


def test_a_whole_split_has_the_published_number_of_labels(small, root, monkeypatch):
    counts = {name: {usage: int(MODES[name](small[1][[row[2] == usage for row in small[0]]]).any(1).sum())
                     for usage in SIZES} for name in ("majority", "probability")}
    monkeypatch.setattr(ferplus, "OFFICIAL", SIZES)
    monkeypatch.setattr(ferplus, "KEPT", counts)
    for mode in counts:
        right = counts[mode]["PublicTest"]
        load_dataset("ferplus", root, "test")
        counts[mode]["PublicTest"] = right + 1
        for split in ("public_test", "test"):
            said = f"{right} PublicTest images have a label ({mode}) "
            disk.refused("ferplus", root, VOTES, said, "not the published", split=split)
        load_dataset("ferplus", root, "private_test")
        for rows in (np.arange(1, 112), np.r_[0:112, 0:40]):  # nor is a part counted, or images drawn with replacement
            votes_for(load_dataset("fer2013", root, "test").subset(rows), root)
        counts[mode]["PublicTest"] = right


def test_what_is_missing_or_cannot_be_meant_is_said(small, root, tmp_path):
    assert "FER2013 and fer2013new.csv (github.com/microsoft/FERPlus, MIT lic" in refusal(load_dataset, "ferplus")
    for mode in ("crossentropy", None, ["votes"]):
        said = refusal(load_dataset, "ferplus", root, mode=mode)
        assert f"mode = {mode!r}: FER+ has the modes majority, probability, votes" in said
    for contempt in ("no", 1):
        assert f"contempt = {contempt!r}: give True" in refusal(load_dataset, "ferplus", root, contempt=contempt)
    (root / "fer2013.csv").unlink()
    disk.refused("ferplus", root, "neither train/ and test/, nor fer2013.csv", "Kaggle, msambare/fer2013")
    (root / VOTES).unlink()
    disk.refused("ferplus", root, "no fer2013new.csv (github.com/microsoft/FERPlus, MIT licence) in it")
    disk.refused("ferplus", root / "elsewhere", "there is no FER+; give a folder")
    for name in ("one", "two"):
        disk.put(root / name / VOTES, votes_table(*small))
    disk.refused("ferplus", root, "one/fer2013new.csv and two/fer2013new.csv; keep one of them")


def test_a_wrong_cell_is_named_with_its_row(root):
    header, *lines = [line.split(",") for line in (root / VOTES).read_text().splitlines()]

    def check(cell, column, expected):
        changed = [line[:] for line in lines]
        changed[9][header.index(column)] = cell
        disk.put(root / VOTES, "\n".join(map(",".join, [header, *changed])))
        disk.refused("ferplus", root, f"{VOTES}: row 9: {column} is {cell[:40]!r}; expected {expected}")

    disk.for_each(check, [
        *((cell, column, "0 to 10 votes") for cell in ("", "11", "-1", "1.5", "nan", "inf", "x", "9" * 400)
          for column in ("neutral", "NF")),
        *((cell, "Usage", "Training or PublicTest or PrivateTest") for cell in ("", "training", "x" * 500))])


def test_what_is_no_table_of_votes_is_refused(small, root, monkeypatch):
    text = votes_table(*small)
    header, *lines = text.split("\r\n")
    too_many = small[1].copy()
    too_many[30] = [1] * 9 + [2]
    disk.for_each(lambda name, content, message: disk.refused(
        "ferplus", disk.put(root / VOTES, content).parent, VOTES, message), [
        ("empty", "", "cannot be read as a CSV file"),
        ("header only", header, "0 rows with the columns Usage, Image name"),
        ("another class", text.replace("contempt", "scorn", 1), "scorn, unknown, NF; expected at most 35887"),
        ("a class twice", text.replace("Image name", "anger", 1), "expected at most"),
        ("too many rows", "\r\n".join([header, *lines[:-1] * 80]), "36960 rows "),
        ("too many votes", votes_table(small[0], too_many), "row 30: 11 votes; an image has at most 10")])
    monkeypatch.setattr(ferplus, "BYTES", 100)
    disk.refused("ferplus", root, "bytes unpacked; a data set of faces has no such file")


def test_agreement_counts_fer2013_against_fer_plus_and_ten_votes_make_no_face(small, root, capsys):
    faces = load_dataset("fer2013", root)
    counts = agreement(faces, votes_for(faces, root))
    expected = dict.fromkeys([(one, other) for one in EMOTIONS for other in CLASSES], 0)
    for face, votes in zip(small[0][:350], small[1], strict=False):
        shares = oracle(votes, "majority")
        if shares:
            expected[EMOTIONS[LABELS[int(face[0])]], max(shares, key=shares.get)] += 1
    assert counts.stack().to_dict() == expected
    assert counts.index.name == "FER2013" and counts.columns.name == "FER+"
    assert not_a_face(np.array([[0] * 8 + [1, 9], [0] * 9 + [10]])).tolist() == [1]
    command_line.main(["report", "ferplus", str(root)])
    said = capsys.readouterr().out
    assert "train and public_test" in said and "images of public_test" in said and counts.to_string() in said


# The real thing, where it is

PUBLISHED = {  # eight classes, contempt last
    ("train", "majority"): [2100, 119, 532, 7287, 8740, 3014, 3149, 119],
    ("train", "probability"): [2635, 209, 788, 7587, 9845, 3371, 3361, 160],
    ("train", "votes"): [2743, 243, 818, 7621, 10074, 3486, 3407, 167],
    ("public_test", "majority"): [287, 24, 62, 865, 1182, 351, 415, 13],
    ("public_test", "probability"): [333, 37, 88, 900, 1295, 391, 438, 23],
    ("public_test", "votes"): [341, 42, 94, 903, 1322, 407, 445, 25],
}


@disk.with_real_data
def test_real_counts_are_the_published_ones_and_votes_are_joined_by_row(cache, tmp_path):
    for (split, mode), counts in PUBLISHED.items():
        assert load_dataset("ferplus", disk.REAL, split, mode=mode, contempt=True).counts().tolist() == counts
    assert load_dataset("ferplus", disk.REAL).counts().tolist() == PUBLISHED["train", "majority"][:7]
    for split, no_face, agree in (("public_test", 10, 2_136), ("train", 150, 16_969)):
        faces = load_dataset("fer2013", disk.REAL, split)
        votes = votes_for(faces, disk.REAL)
        assert len(not_a_face(votes)) == no_face and np.trace(agreement(faces, votes).to_numpy()) == agree
    assert_as_the_oracle(np.unique(votes, axis=0))
    lines = (disk.REAL / VOTES).read_bytes().split(b"\r\n")
    first = lines[1:28710]
    for shift in (1, -1):
        disk.put(tmp_path / VOTES, b"\r\n".join([lines[0], *(first[shift:] + first[:shift]), *lines[28710:]]))
        assert re.search(r"Training: \d\d % of the labels are FER2013's", refusal(votes_for, faces, tmp_path))
