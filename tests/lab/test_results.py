"""What is published: complete, small, equal to what its own predictions give, and without anybody's picture."""

import hashlib
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fer_lab import result_tables
from fer_lab.publish import FILES, LIMIT
from fer_lab.sweeps.plan import plan
from fer_utils.evaluation import confusion, scores
from fer_utils.runs.results import SUMS, load_published, load_results, recipe_of

RESULTS = Path(__file__).resolve().parents[2] / "results"
FOLDERS = sorted((RESULTS / "runs").iterdir())
CARDS = sorted(RESULTS.glob("networks/*/card.json"))

each = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def test_something_is_published():
    assert FOLDERS


@each
def test_a_published_run_is_complete_and_small(folder):
    late = {"geometry.json"} if load_published(folder).config["engine"] > 1 else set()  # ENGINE 1 did not know it
    assert {path.name for path in folder.iterdir()} == {*FILES, "predictions.npz", *late}
    assert sum(path.stat().st_size for path in folder.iterdir()) <= LIMIT


def test_nothing_was_edited_by_hand():
    lines = (RESULTS / SUMS).read_text().splitlines()  # sha256sum's own format, read without our own reader
    sealed = dict(reversed(re.fullmatch(r"([0-9a-f]{64})  (\S+)", line).groups()) for line in lines)
    assert list(sealed) == sorted(sealed)
    assert sealed == {path.relative_to(RESULTS).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
                      for path in RESULTS.glob("runs/*/*")}


def test_all_of_it_is_small():
    sizes = [path.stat().st_size for path in RESULTS.rglob("*") if path.is_file() and path.suffix != ".safetensors"]
    assert sum(sizes) <= 8e6


@each
def test_provenance_is_told(folder):
    run = load_published(folder)
    assert {"dataset", "seed", "engine", "initialisation", "recipe", "data", "inputs"} <= set(run.config)
    assert {"python", "torch", "torchvision", "hardware", "device", "threads"} <= set(run.environment)
    assert all(len(part["fingerprint"]) == 64 for part in run.config["data"].values())


@each
def test_metrics_follow_from_the_predictions(folder):
    run = load_published(folder)
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
    predictions = load_published(folder).predictions
    assert set(predictions) == {"names", "labels", "probabilities"}
    assert all(name.split("_")[0] in ("PublicTest", "PrivateTest") and name.split("_")[1].isdigit()
               for name in predictions["names"])
    assert predictions["probabilities"].dtype == np.float16 and predictions["probabilities"].shape[1] == 7


@each
def test_epochs_and_choice_agree_with_the_history(folder):
    run = load_published(folder)
    history = json.loads((folder / "history.json").read_text())
    accuracies = [row["validation_accuracy"] for row in history]
    assert run.metrics["best_epoch"] == 1 + int(np.argmax(accuracies))
    assert run.metrics["epochs"] == len(history) <= run.config["recipe"]["epochs"]


@each
def test_geometry_is_that_of_the_run(folder):
    run = load_published(folder)
    if run.geometry is None:
        return
    parts = run.geometry["parts"]
    for name, part in parts.items():
        assert part["images"] == run.config["data"][run.metrics["test_split"] if name == "test" else name]["images"]
    assert parts["test"]["compactness"]["ratio"] == pytest.approx(run.metrics["ratio"], rel=0.02)
    assert parts["test"]["accuracy"]["network"] == pytest.approx(run.metrics["accuracy"], abs=0.005)
    for name in ("train", "test"):
        assert len(run.geometry["fig1"][name]["points"]) == len(run.geometry["fig1"][name]["labels"]) <= 7 * 29


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.parent.name)
def test_a_card_is_that_of_a_published_run_and_of_its_weights_where_they_lie(card):
    told = json.loads(card.read_text())
    weights = card.parent / told["weights"]["file"]
    assert not weights.exists() or hashlib.sha256(weights.read_bytes()).hexdigest() == told["weights"]["sha256"]
    assert told["metrics"]["accuracy"] == load_published(RESULTS / "runs" / told["run"]).metrics["accuracy"]


def test_the_tables_are_what_the_folders_give():
    runs = load_results(RESULTS)
    assert [run.folder for run in runs] == FOLDERS
    table = f"<!-- table -->\n{result_tables.arms(runs)}<!-- end -->"
    assert table in (RESULTS / "README.md").read_text(encoding="utf-8")
    assert (RESULTS / "RUNS.md").read_text(encoding="utf-8") == result_tables.listing(runs)


def test_no_picture_but_the_drawn_one():
    pictures = [path.name for path in RESULTS.rglob("*") if path.suffix in (".png", ".jpg", ".jpeg", ".npy", ".pt")]
    assert pictures == ["picture.png"]


def made_up(seed=0, right=10, **recipe):
    """A run on twenty images, the first ``right`` of which it answers as they are labelled."""
    labels = np.arange(20) % 7
    answers = np.eye(7)[np.where(np.arange(20) < right, labels, (labels + 1) % 7)]
    recipe = {"lam": 0.2, "alpha": 0.5, "update": "eq2", "center_init": "zeros", **recipe}
    return SimpleNamespace(config={"recipe": recipe, "seed": seed, "data": {"train": seed}},
                           metrics={"accuracy": right / 20},
                           predictions={"labels": labels.astype(np.uint8), "probabilities": answers})


def test_a_pair_gets_its_sentence():
    softmax, center = made_up(lam=0.0, right=10), made_up(right=13)
    wanted = ["- Seed 0, λ = 0.2, α = 0.5, Eq. 2: +15.00 points against softmax; 3 images only centre loss got right, "
              "0 only softmax (McNemar's exact test, p = 0.25)."]
    assert list(result_tables.pairs([center, softmax])) == wanted
    others = [made_up(lam=0.0, seed=1), made_up(seed=2), made_up(update="adam", center_init="randn", right=9)]
    sentences = list(result_tables.pairs([softmax, center, *others]))
    assert len(sentences) == 2 and sentences[0] == wanted[0] and "Adam: -5.00 points" in sentences[1]


def test_the_points_of_a_curve_get_none():
    softmax, adam = made_up(lam=0.0), made_up(update="adam", center_init="randn")
    curve = [made_up(alpha=alpha) for alpha in (0.1, 0.5, 1.9)]
    assert ["Adam" in sentence for sentence in result_tables.pairs([softmax, adam, *curve])] == [True]


def asked_for(table, seeds=None):
    """What tells the runs of a sweep's table apart: recipe, data and seed; of ``seeds``, or of all."""
    return [json.dumps([job.settings.recipe.effective(), job.settings.data_options, job.settings.seed], sort_keys=True)
            for job in plan(table) if seeds is None or job.settings.seed in seeds]


@pytest.mark.parametrize("section, number", [(3, 15), (4, 48), (5, 21), (6, 10), (7, 10), (9, 4)])
def test_the_tables_of_the_protocol_ask_for_each_run_once(section, number):
    asked = asked_for(RESULTS / f"section-{section}.csv")
    assert len(asked) == len(set(asked)) == number


@pytest.mark.parametrize("section, seeds", [(3, None), (4, None), (5, [0, 1]), (6, None)])  # 5: as time allowed
def test_every_run_of_the_protocol_is_published(section, seeds):
    there = {json.dumps([recipe_of(run).effective(), run.config["data_options"], run.config["seed"]], sort_keys=True)
             for run in load_results(RESULTS) if run.config["dataset"] == "fer2013"}
    assert set(asked_for(RESULTS / f"section-{section}.csv", seeds)) <= there
