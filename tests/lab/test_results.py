"""What is published: complete, small, equal to what its own predictions give, and without anybody's picture."""

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from datasets_on_disk import for_each

from fer_lab.publish import FILES, LIMIT
from fer_lab.sweeps.plan import plan
from fer_utils.evaluation import confusion, scores
from fer_utils.runs.results import SUMS, load_results, recipe_of

RESULTS = Path(__file__).resolve().parents[2] / "results"


@pytest.fixture(scope="module")
def runs():
    return load_results(RESULTS)


def complete_small_and_of_told_provenance(run):
    late = {"geometry.json"} if run.config["engine"] > 1 else set()  # ENGINE 1 did not know it
    assert {path.name for path in run.folder.iterdir()} == {*FILES, "predictions.npz", *late}
    assert sum(path.stat().st_size for path in run.folder.iterdir()) <= LIMIT
    assert {"dataset", "seed", "engine", "initialisation", "recipe", "data", "inputs"} <= set(run.config)
    assert {"python", "torch", "torchvision", "hardware", "device", "threads"} <= set(run.environment)
    assert all(len(part["fingerprint"]) == 64 for part in run.config["data"].values())


def metrics_follow_from_the_predictions(run):
    labels, predicted = run.predictions["labels"].astype(int), run.predictions["probabilities"].argmax(1)
    assert len(labels) == run.config["data"][run.metrics["test_split"]]["images"]
    # The answers were given in single precision, what is stored is half: a tie may have been broken the other way.
    moved = np.abs(confusion(labels, predicted) - np.array(run.metrics["confusion"])).sum() // 2
    assert moved <= 3
    if moved == 0:
        again = scores(labels, predicted)
        assert run.metrics["recall"] == pytest.approx(again.pop("recall"))
        assert {name: run.metrics[name] for name in again} == pytest.approx(again)


def predictions_hold_rows_and_numbers_only(run):
    predictions = run.predictions
    assert set(predictions) == {"names", "labels", "probabilities"}
    assert all(re.match(r"(PublicTest|PrivateTest)_\d+(_|$)", name) for name in predictions["names"])
    assert predictions["probabilities"].dtype == np.float16 and predictions["probabilities"].shape[1] == 7


def epochs_and_choice_agree_with_the_history(run):
    accuracies = [row["validation_accuracy"] for row in json.loads((run.folder / "history.json").read_text())]
    assert run.metrics["best_epoch"] == 1 + int(np.argmax(accuracies))
    assert run.metrics["epochs"] == len(accuracies) <= run.config["recipe"]["epochs"]


def geometry_is_that_of_the_run(run):
    if run.geometry is None:
        return
    parts = run.geometry["parts"]
    for name, part in parts.items():
        assert part["images"] == run.config["data"][run.metrics["test_split"] if name == "test" else name]["images"]
    assert parts["test"]["compactness"]["ratio"] == pytest.approx(run.metrics["ratio"], rel=0.02)
    assert parts["test"]["accuracy"]["network"] == pytest.approx(run.metrics["accuracy"], abs=0.005)
    for name in ("train", "test"):
        assert len(run.geometry["fig1"][name]["points"]) == len(run.geometry["fig1"][name]["labels"]) <= 7 * 29


@pytest.mark.parametrize("rule", [
    complete_small_and_of_told_provenance, metrics_follow_from_the_predictions, predictions_hold_rows_and_numbers_only,
    epochs_and_choice_agree_with_the_history, geometry_is_that_of_the_run], ids=lambda rule: rule.__name__)
def test_each_published_run_keeps_the_rule(rule, runs):
    assert runs
    for_each(lambda name, run: rule(run), [(run.folder.name, run) for run in runs])


def test_nothing_was_edited_by_hand():
    lines = (RESULTS / SUMS).read_text().splitlines()  # sha256sum's own format, read without our own reader
    sealed = dict(reversed(re.fullmatch(r"([0-9a-f]{64})  (\S+)", line).groups()) for line in lines)
    assert list(sealed) == sorted(sealed)
    assert sealed == {path.relative_to(RESULTS).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
                      for path in RESULTS.glob("runs/*/*")}


def test_all_of_it_is_small_and_no_picture_but_the_drawn_one():
    files = [path for path in RESULTS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files if path.suffix != ".safetensors") <= 8.5e6
    assert [path.name for path in files if path.suffix in (".png", ".jpg", ".jpeg", ".npy", ".pt")] == ["picture.png"]


def test_a_card_is_that_of_a_published_run_and_of_its_weights_where_they_lie(runs):
    published = {run.folder.name: run.metrics["accuracy"] for run in runs}
    cards = {path: json.loads(path.read_text()) for path in RESULTS.glob("networks/*/card.json")}
    assert cards
    for path, told in cards.items():
        weights = path.parent / told["weights"]["file"]
        assert told["metrics"]["accuracy"] == published[told["run"]], path
        assert not weights.exists() or hashlib.sha256(weights.read_bytes()).hexdigest() == told["weights"]["sha256"]


def test_all_that_lies_there_is_loaded(runs):
    assert [run.folder for run in runs] == sorted((RESULTS / "runs").iterdir())


def test_the_tables_of_the_protocol_ask_for_each_run_once_and_what_had_time_is_published(runs, monkeypatch):
    monkeypatch.setattr("fer_utils.runs.settings.check_network", lambda recipe: None)  # section 8's file is not here
    def identity(dataset, recipe, data_options, seed):
        return json.dumps([dataset, recipe.effective(), data_options, seed], sort_keys=True)

    there = {identity(run.config["dataset"], recipe_of(run), run.config["data_options"], run.config["seed"])
             for run in runs}
    for section, number in {3: 15, 4: 48, 5: 21, 6: 10, 7: 10, 8: 21, 9: 6, 10: 12, 11: 12, 13: 2}.items():
        settings = [job.settings for job in plan(RESULTS / f"section-{section}.csv")]
        asked = {identity(of.dataset, of.recipe, of.data_options, of.seed): of for of in settings}
        assert len(asked) == len(settings) == number, section
        had_time = {key for key, of in asked.items() if section != 5 or of.seed < 2}
        assert had_time <= there, section
