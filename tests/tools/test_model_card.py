"""docs/model_card.md says what the files say."""

import csv
import re
from pathlib import Path

import model_card
import nbformat
import pytest

from fer_utils import paper
from fer_utils.emotions import EMOTIONS

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "model_card.md").read_text(encoding="utf-8")
PLAIN = " ".join(TEXT.split())
ROWS = {line.split("|")[1].strip(): [cell.strip() for cell in line.strip("| ").split("|")]
        for line in TEXT.splitlines() if line.startswith("| ")}
RUNS = {loss: model_card.published(loss) for loss in model_card.RUNS}


def test_the_table_is_the_one_that_the_tool_writes_and_counts_right():
    assert model_card.filled(TEXT) == TEXT, "call python tools/model_card.py"
    for column, run in zip((2, 4), RUNS.values()):
        labels, answers = run.predictions["labels"].astype(int), run.predictions["probabilities"].argmax(1)
        fear = EMOTIONS.index("fear")
        true, said, right = labels == fear, answers == fear, (labels == fear) & (answers == fear)
        assert int(ROWS["fear"][1]) == true.sum() and int(ROWS["all"][1]) == len(labels) == 3589
        assert ROWS["fear"][column].startswith(f"{100 * right.sum() / true.sum():.1f} (")
        assert ROWS["fear"][column + 1] == f"{100 * right.sum() / said.sum():.1f}"
        assert ROWS["all"][column].startswith(f"accuracy {100 * (labels == answers).mean():.1f} (")


def test_the_sentences_about_the_table():
    recall = {name: [float(ROWS[name][column].split()[0]) for column in (2, 4)] for name in EMOTIONS}
    assert abs(recall["disgust"][0] - 100 / 3) < 3 and abs(recall["disgust"][1] - 100 / 7) < 1
    assert 56 * recall["disgust"][1] / 100 < 10 and int(ROWS["disgust"][1]) == 56
    assert max(recall["fear"]) < 50 and recall["happiness"][0] > 80
    assert int(ROWS["happiness"][1]) / 3589 == pytest.approx(1 / 4, abs=0.01)
    assert ROWS["all"][2].startswith("accuracy 62.")


def test_what_the_networks_are():
    for run in RUNS.values():
        recipe, data = run.config["recipe"], run.config["data"]
        assert (recipe["backbone"], recipe["image_size"], recipe["epochs"], recipe["weights"], recipe["name"],
                run.config["seed"]) == ("resnet50", 48, 25, "random", "repaired", 0)
        assert f"{data['train']['images']:,} grey images" in PLAIN
        assert f"({data['train']['images']:,}) to learn from, 30 % ({data['validation']['images']:,})" in PLAIN
        assert data["train"]["images"] + data["validation"]["images"] == 28709
        for split, what in data.items():
            assert ROWS[split] == [split, f"{what['images']:,}", f"`{what['fingerprint']}`"]
        mean, std = run.config["inputs"]["mean"][0], run.config["inputs"]["std"][0]
        assert f"less {mean:.4f}, divided by {std:.4f}" in PLAIN and run.config["inputs"]["precision"] == "bf16"
    softmax, center = RUNS.values()
    assert not softmax.config["recipe"]["lam"]
    assert "λ = {lam}, α = {alpha} by Eq. 2".format(**center.config["recipe"]) in PLAIN
    assert ROWS["published run, without weights"][1:] == [name.rpartition("-")[2] for name in model_card.RUNS.values()]
    assert next(row for name, row in ROWS.items() if name.startswith("epoch kept"))[1:] == [
        str(run.metrics["best_epoch"]) for run in RUNS.values()]


def test_the_faults_of_the_data():
    with (ROOT / "results" / "fer2013_train_public_test_duplicates.csv").open(newline="") as file:
        pairs = list(csv.DictReader(file))
    leaked = len({pair["test_row"] for pair in pairs})
    assert f"{leaked} of the 3,589 test images are in the training set, too ({len(pairs)} pairs" in PLAIN
    counts = dict(zip(EMOTIONS, paper.TRAIN_COUNTS["fer2013"]))
    assert f"{counts['disgust']} training images of disgust against {counts['happiness']:,} of happiness" in PLAIN


def test_the_votes_are_those_of_notebook_1():
    notebook = nbformat.read(ROOT / "notebooks" / "01_data_exploration.ipynb", as_version=4)
    page = next(cell.source for cell in notebook.cells if "more than half of the votes (columns)" in cell.source)
    votes = {row[1]: [int(number.replace(",", "")) for number in re.findall(r"[\d,]*\d", row[2])]
             for row in re.finditer(r"^\| \*\*(\w+)\*\* \|(.*)\|$", page, re.MULTILINE)}
    assert tuple(votes) == EMOTIONS
    agreed, all_of_them = sum(votes[name][k] for k, name in enumerate(EMOTIONS)), sum(map(sum, votes.values()))
    assert f"{agreed:,} of {all_of_them:,} training images, {100 * agreed / all_of_them:.1f} %" in PLAIN
    assert f"Of {sum(votes['fear']):,} faces that FER2013 calls afraid they saw fear in {votes['fear'][2]}" in PLAIN
