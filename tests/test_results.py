"""What is published: complete, small, equal to what its own predictions give, and without anybody's picture."""

import json
from pathlib import Path

import numpy as np
import publish
import pytest

from fer_utils.evaluation import confusion, scores
from fer_utils.runs import load_run

RESULTS = Path(__file__).resolve().parent.parent / "results"
FOLDERS = sorted(path.parent for path in RESULTS.glob("*/metrics.json"))

each = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def test_something_is_published():
    assert FOLDERS


@each
def test_a_published_run_is_complete_and_small(folder):
    assert {path.name for path in folder.iterdir()} == {*publish.FILES, "predictions.npz"}
    assert sum(path.stat().st_size for path in folder.iterdir()) <= publish.LIMIT


@each
def test_provenance_is_told(folder):
    run = load_run(folder)
    assert {"dataset", "seed", "engine", "initialisation", "recipe", "data", "inputs"} <= set(run.config)
    assert {"python", "torch", "torchvision", "hardware", "device", "threads"} <= set(run.environment)
    assert all(len(part["fingerprint"]) == 64 for part in run.config["data"].values())


@each
def test_metrics_follow_from_the_predictions(folder):
    run = load_run(folder)
    labels, predicted = run.predictions["labels"].astype(int), run.predictions["probabilities"].argmax(1)
    assert len(labels) == run.config["data"][run.metrics["test_split"]]["images"]
    # The answers were given in single precision, what is stored is half: a tie may have been broken the other way.
    moved = np.abs(confusion(labels, predicted) - np.array(run.metrics["confusion"])).sum() // 2
    assert moved <= 3
    if moved == 0:
        again = scores(labels, predicted)
        assert run.metrics["recall"] == pytest.approx(again.pop("recall"))
        assert {name: run.metrics[name] for name in again} == pytest.approx(again)


@each
def test_predictions_hold_rows_and_numbers_only(folder):
    predictions = load_run(folder).predictions
    assert set(predictions) == {"names", "labels", "probabilities"}
    assert all(name.split("_")[0] in ("PublicTest", "PrivateTest") and name.split("_")[1].isdigit()
               for name in predictions["names"])
    assert predictions["probabilities"].dtype == np.float16 and predictions["probabilities"].shape[1] == 7


@each
def test_epochs_and_choice_agree_with_the_history(folder):
    run = load_run(folder)
    history = json.loads((folder / "history.json").read_text())
    accuracies = [row["validation_accuracy"] for row in history]
    assert run.metrics["best_epoch"] == 1 + int(np.argmax(accuracies))
    assert run.metrics["epochs"] == len(history) <= run.config["recipe"]["epochs"]


def test_the_table_is_what_the_folders_give():
    assert publish.table() in (RESULTS / "README.md").read_text(encoding="utf-8")


def test_no_picture_but_the_drawn_one():
    pictures = [path.name for path in RESULTS.rglob("*") if path.suffix in (".png", ".jpg", ".jpeg", ".npy", ".pt")]
    assert pictures == ["picture.png"]
