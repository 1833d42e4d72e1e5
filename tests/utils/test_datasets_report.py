"""What is wrong with a data set is found, and nothing else is called wrong."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import refusal
from datasets_on_disk import REAL, encoded, for_each, put, with_real_data
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fer_utils.datasets import FaceDataset, ferplus, load_dataset, report
from fer_utils.emotions import EMOTIONS
from fer_utils.faces import synthetic_faces
from fer_utils.runs.settings import check_parameters

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def faces():
    images, labels = synthetic_faces([8] * 7, seed=11)
    return FaceDataset(images, labels, np.array([f"Training_{row}" for row in range(56)]), "train", "drawn")


def changed(faces, images, labels=None):
    return FaceDataset(images.astype(np.uint8), faces.labels if labels is None else labels,
                       np.array([f"PublicTest_{row}" for row in range(len(images))]), "public_test", "drawn")


def pairs_of(table):
    return {(int(one.split("_")[1]), int(other.split("_")[1])) for one, other in zip(table["first"], table["second"])}


def test_the_same_picture_is_exact_or_near_and_other_faces_are_no_duplicates(faces):
    images, labels = synthetic_faces([8] * 7, seed=12)
    assert report.duplicates(faces).empty and report.duplicates(faces, changed(faces, images, labels)).empty
    images = faces.images.astype(float)
    rough = images + np.random.default_rng(0).normal(0, 3, images.shape)
    for other, kind in ((images, "exact"), (np.clip(images + 12.0, 0, 255), "near"), (images * 0.8, "near"),
                        (np.clip(rough, 0, 255), "near")):
        found = report.duplicates(faces, changed(faces, other))
        assert pairs_of(found) == {(row, row) for row in range(56)} and set(found.kind) == {kind}
    rows = report.official_rows(found)  # what may be published: numbers alone
    assert rows.to_dict("list") == {"train_row": [*range(56)], "test_row": [*range(56)], "kind": ["near"] * 56}
    assert len(report.duplicates(faces.subset(np.r_[0:56, 3, 3]))) == 3  # three equal faces are three pairs
    large = replace(faces, images=np.repeat(np.repeat(np.repeat(images, 2, 1), 2, 2)[..., None], 3, 3)[:, :90].astype(
        np.uint8))  # in colour, and not square
    assert report.duplicates(large).empty and len(report.duplicates(large, large)) == 56


def test_the_overview_counts_constant_images_and_labels_that_disagree(faces):
    images = faces.images.copy()
    images[[2, 5]], images[7] = 0, 255
    blank, other = replace(faces, images=images), changed(faces, faces.images, (faces.labels + 1) % 7)
    assert report.constant_images(blank).tolist() == [2, 5, 7] and report.duplicates(blank).empty
    table = report.overview(blank, other)
    assert table.loc["train"].tolist() == [3, 0, 0, 0] and table.loc["public_test"].tolist() == [0, 0, 0, 0]
    assert table.loc["train and public_test"].tolist() == [0, 53, 0, 53]
    assert table.columns[-1] == "pairs with different labels"


def test_brightness_is_that_of_a_plain_computation(faces):
    table = report.brightness(faces)
    means = [image.astype(float).mean() for image in faces.images[faces.labels == 2]]
    contrasts = [image.astype(float).std() for image in faces.images[faces.labels == 2]]
    assert list(table.index) == list(EMOTIONS)
    assert np.allclose(table.loc["fear"], [np.mean(means), np.std(means, ddof=1), np.mean(contrasts)])
    colour = replace(faces.subset(faces.labels < 3), images=np.stack([faces.images[faces.labels < 3]] * 3, 3))
    light = report.brightness(colour)
    assert np.allclose(light.loc["fear"], table.loc["fear"]) and light.loc["surprise"].isna().all()


def test_what_the_report_lists_is_left_out_and_named(faces):
    # Rows 56 and 57 repeat row 3, 58 repeats row 4 with another label, 59 and 60 are one black and one white image.
    spoilt = faces.subset(np.r_[0:56, 3, 3, 4, 0, 1])
    spoilt.images[59], spoilt.images[60], spoilt.labels[58] = 0, 255, (faces.labels[4] + 1) % 7
    spoilt = replace(spoilt, names=np.array([f"Training_{row}" for row in range(61)]))
    test = changed(faces.subset([7, 8]), np.clip(faces.images[[7, 8]] + 9.0, 0, 255))
    votes = np.zeros((61, len(ferplus.COLUMNS)), int)
    votes[:, 0] = 10
    votes[[5, 9], 0], votes[[5, 9], -1] = (0, 1), (10, 9)  # row 9: one of ten saw anger

    def check(faults, gone, named):
        clean, kept = report.leave_out(spoilt, faults, test, votes), np.setdiff1d(np.arange(61), gone)
        assert clean.source == f"drawn without {named}"
        assert clean.names.tolist() == [f"Training_{row}" for row in kept]
        assert np.array_equal(clean.images, spoilt.images[kept])

    for_each(check, [(["constant"], [59, 60], "2 constant images"),
                     (["duplicates"], [4, 56, 57, 58], "4 duplicates"), (["leaked"], [7, 8], "2 images of public_test"),
                     (["not a face"], [5], "1 images that are not a face"),
                     (["leaked", "duplicates", "constant"], [4, 7, 8, 56, 57, 58, 59, 60],
                      "2 constant images, 4 duplicates, 2 images of public_test")])
    images, labels = synthetic_faces([2] * 7, seed=12)
    assert report.leave_out(faces, report.FAULTS, changed(faces, images, labels)) is faces
    said = refusal(report.leave_out, replace(faces, images=np.zeros_like(faces.images)), ["constant"])
    assert "drawn, split 'train': nothing is left without 56 constant images" in said


def test_a_leak_is_taken_out_of_training_and_the_test_stays_whole(tmp_path, cache):
    faces, labels = synthetic_faces([12] * 7, seed=3)
    for row, (pixels, label) in enumerate(zip(faces, labels, strict=True)):
        for split in ("train", "test") if row % 12 == 0 else ("train" if row % 2 else "test",):
            put(tmp_path / "mine" / split / EMOTIONS[label] / f"{row}.png", encoded(pixels))
    root, options = tmp_path / "mine", {"leave_out": ["leaked"]}
    whole, clean = load_dataset("folder", root), load_dataset("folder", root, **options)
    assert len(whole) - len(clean) == 7 and clean.source == "mine without 7 images of test"
    assert len(load_dataset("folder", root, "test", **options)) == len(load_dataset("folder", root, "test"))
    settings = check_parameters(dataset="folder", data_dir=str(root), data_options=options)
    assert settings.load("held-out").source == "mine" and settings.load("train").source == clean.source


def test_the_numbers_in_notebook_1_are_those_of_the_published_list():
    published = pd.read_csv(ROOT / "results" / "fer2013_train_public_test_duplicates.csv")
    text = " ".join(notebook_1().split())
    assert f"{len(published)} pairs of a training image" in text
    assert f"{published.test_row.nunique()} of the 3,589 test images" in text


@with_real_data
def test_the_published_list_is_what_the_real_data_gives():
    train, test = (load_dataset("fer2013", REAL, split) for split in ("train", "public_test"))
    assert len(report.constant_images(train)) + len(report.constant_images(test)) == 12
    pairs = report.duplicates(train, test)
    assert (pairs.first_label != pairs.second_label).sum() == 30  # as notebook 1 says
    found = report.official_rows(pairs)
    published = pd.read_csv(ROOT / "results" / "fer2013_train_public_test_duplicates.csv")
    assert published.to_dict("list") == found.to_dict("list")


@with_real_data
def test_the_real_data_without_what_is_wrong_with_it():
    clean = load_dataset("fer2013", REAL, leave_out=["constant", "duplicates", "leaked"])
    assert len(clean) == 26_964  # as notebook 1 says
    assert clean.source == "FER2013 without 11 constant images, 1451 duplicates, 394 images of public_test"
    faces = load_dataset("fer2013", REAL, leave_out=["not a face"])
    assert faces.source == "FER2013 without 150 images that are not a face"


def notebook_1():
    cells = json.loads((ROOT / "notebooks" / "01_data_exploration.ipynb").read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def table_of(text, heading):
    """The numbers of the Markdown table whose first cell is ``heading``: {first cell of a row: [numbers]}."""
    lines = text[text.index(f"| {heading} |"):].splitlines()
    rows = [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in lines[2:lines.index("")]]
    return {row[0]: [int(cell.replace(",", "")) for cell in row[1:] if cell] for row in rows}


@with_real_data
def test_the_tables_of_notebook_1_are_what_the_real_data_gives():
    text = notebook_1()
    train, test = (load_dataset("fer2013", REAL, split) for split in ("train", "public_test"))
    counts = report.overview(train, test).to_numpy().tolist()
    assert list(table_of(text, "FER2013").values()) == [counts[0], counts[1], counts[2][1:]]

    votes = ferplus.votes_for(train, REAL)
    found = ferplus.agreement(train, votes)
    assert table_of(text, "FER2013 \\\\ FER+") == dict(zip(found.index, found.to_numpy().tolist()))
    agree, labelled = np.diag(found).sum(), found.to_numpy().sum()
    assert f"agree on {agree:,} of {labelled:,} images, {100 * agree / labelled:.1f} %" in text
    assert f"On the other {len(train) - labelled:,} no class" in text
    assert f"of {found.loc['fear'].sum():,} faces" in text
    assert f"on {len(ferplus.not_a_face(votes))} all ten voters" in text


@with_real_data
def test_what_the_light_of_the_real_data_tells_is_as_notebook_1_says():
    train, test = (load_dataset("fer2013", REAL, split) for split in ("train", "public_test"))
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(report.light(train), train.labels)
    of_class = report.brightness(train).brightness.round(0)
    assert (of_class.idxmax(), of_class.max(), of_class.idxmin(), of_class.min()) == ("surprise", 146, "sadness", 121)
    reached, always = model.score(report.light(test), test.labels), test.counts().max() / len(test)
    assert f"it reaches {100 * reached:.1f} %, against {100 * always:.1f} %" in notebook_1()
