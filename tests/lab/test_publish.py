"""What is published of a run: small, whole, of the run's own images, and sealed; tables over many."""

import json
import math
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from fer_lab import publish as room
from fer_lab.publish import publish
from fer_utils.errors import FerError
from fer_utils.evaluation import scores
from fer_utils.feature_geometry import geometry
from fer_utils.runs import run as beneath
from fer_utils.runs.results import load_published, load_results, results_folder, results_table, summary
from fer_utils.runs.run import find_or_train, load_run

NAMES = ["config.json", "environment.json", "geometry.json", "history.json", "metrics.json", "predictions.npz"]


@pytest.fixture
def course(make_faces, make_recipe, tiny_network, monkeypatch, tmp_path):
    """``train`` a tiny network on random pixels, and ``publish`` it, in folders of this test's own."""
    splits = {"train": make_faces(100, seed=1), "test": make_faces(28, seed=2, split="test")}
    asked = []

    def load(name, root=None, split="train", **options):
        asked.append((name, root, split, options))
        return splits[split]

    for module in (beneath, room):
        monkeypatch.setattr(module, "load_dataset", load)

    def train(seed=0, data_options=None, **fields):
        return find_or_train(make_recipe(**fields), seed=seed, device="cpu", runs_dir=tmp_path / "runs",
                             progress=False, data_options=data_options)

    return SimpleNamespace(train=train, splits=splits, asked=asked, results=tmp_path / "results",
                           publish=lambda run, **options: publish(run.folder, tmp_path / "results", **options))


# One run


def test_a_published_run_is_whole_small_and_says_what_the_run_says(course):
    run = course.train()
    small = course.publish(run)
    assert small.folder == course.results / "runs" / run.folder.name
    assert sorted(path.name for path in small.folder.iterdir()) == NAMES
    assert small.config == run.config and small.metrics == run.metrics and small.environment == run.environment
    assert small.history.equals(run.history)
    for name in room.FILES:
        assert (small.folder / name).read_bytes() == (run.folder / name).read_bytes()
    assert sum(path.stat().st_size for path in small.folder.iterdir()) < room.LIMIT
    assert sorted(path.name for path in course.results.iterdir()) == ["SHA256SUMS", "runs"]


def test_predictions_keep_every_answer_in_three_decimals(course):
    run = course.train()
    arrays = dict(run.predictions)
    arrays["probabilities"] = np.tile(np.float16([0.12345, 0.4004, 0.3996, 0.02, 0.02, 0.02, 0.01655]), (28, 1))
    arrays["probabilities"][5, 1:3] = 0.3999, 0.40015  # both are 0.4 in three decimals
    np.savez_compressed(run.folder / "predictions.npz", **arrays)
    room._write_predictions(arrays, run.folder / "small.npz")
    small = np.load(run.folder / "small.npz", allow_pickle=False)
    assert sorted(small.files) == ["labels", "names", "probabilities"]
    assert small["probabilities"].dtype == np.float16
    assert np.array_equal(small["probabilities"].argmax(1), arrays["probabilities"].argmax(1))
    assert np.array_equal(small["probabilities"][5], arrays["probabilities"][5])
    assert np.abs(small["probabilities"].astype(float) - arrays["probabilities"]).max() < 6e-4
    assert small["probabilities"][0, 0] == np.float16(0.123)
    assert np.array_equal(small["names"], arrays["names"]) and np.array_equal(small["labels"], arrays["labels"])


def test_the_same_run_is_published_to_the_same_bytes(course):
    run = course.train()
    first = {path.name: path.read_bytes() for path in course.publish(run).folder.iterdir()}
    again = {path.name: path.read_bytes() for path in course.publish(run).folder.iterdir()}
    assert first == again


def test_geometry_is_that_of_the_runs_own_three_parts(course):
    run = course.train(seed=3)
    found = course.publish(run).geometry
    train, validation = beneath.divide(course.splits["train"], course.splits["test"], 0.3, 3)
    parts = {}
    for name, part in (("train", train), ("validation", validation), ("test", course.splits["test"])):
        features, probabilities = run.predict(part)
        parts[name] = features, part.labels, probabilities.argmax(1)
    assert found == geometry(parts, run.model.classifier.weight.detach().numpy())
    assert [found["parts"][name]["images"] for name in ("train", "validation", "test")] == [70, 30, 28]
    assert found["parts"]["test"]["accuracy"]["network"] == pytest.approx(run.metrics["accuracy"], rel=1e-4)
    assert found["parts"]["test"]["compactness"]["ratio"] == pytest.approx(run.metrics["ratio"], rel=1e-4)


def test_a_run_without_a_validation_share_has_two_parts(course):
    small = course.publish(course.train(validation_fraction=0))
    assert list(small.geometry["parts"]) == ["train", "test"] and small.geometry["parts"]["train"]["images"] == 100


def test_options_go_to_the_training_split_and_the_general_ones_not_to_the_test_split(course):
    run = course.train(data_options={"subset": 100, "mode": "votes"})
    course.asked.clear()
    course.publish(run, data_dir="there")
    assert course.asked == [("synthetic", "there", "train", {"subset": 100, "mode": "votes"}),
                            ("synthetic", "there", "test", {"mode": "votes"})]


@pytest.mark.parametrize("split", ["train", "test"])
def test_other_images_than_the_runs_are_refused_and_nothing_is_written(course, split):
    run = course.train()
    images = course.splits[split].images.copy()
    images[-1, 0, 0] ^= 1
    course.splits[split] = replace(course.splits[split], images=images)
    with pytest.raises(FerError, match=f"its ({split}|validation) part had .* other images.*give the data_dir"):
        course.publish(run)
    assert not [path for path in course.results.rglob("*") if path.is_file()]


def test_weights_that_do_not_give_the_stored_answers_are_refused(course):
    run = course.train()
    state = load_file(run.folder / "model.safetensors")
    save_file({**state, "classifier.weight": -state["classifier.weight"]}, run.folder / "model.safetensors")
    with pytest.raises(FerError, match="its weights give the stored answer to .* % of the test images only"):
        course.publish(load_run(run.folder))
    assert not [path for path in course.results.rglob("*") if path.is_file()]


def test_what_is_too_large_or_fails_leaves_what_was_published_before(course, monkeypatch):
    run = course.train()
    before = {path.name: path.read_bytes() for path in course.publish(run).folder.iterdir()}
    monkeypatch.setattr(room, "LIMIT", 1000)
    with pytest.raises(FerError, match="a published run has at most 1000"):
        course.publish(run)
    (run.folder / "predictions.npz").unlink()
    with pytest.raises(OSError):
        course.publish(load_run(run.folder))
    assert sorted(path.name for path in course.results.iterdir()) == ["SHA256SUMS", "runs"]
    assert {path.name: path.read_bytes() for path in (course.results / "runs" / run.folder.name).iterdir()} == before


def test_what_is_not_finished_is_not_published(course, tmp_path):
    with pytest.raises(FerError, match="not a finished run"):
        publish(tmp_path, course.results)


# The seal


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_was_edited_by_hand_is_named(course, name):
    folder = course.publish(course.train()).folder
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
    with pytest.raises(FerError, match=f"{name}: this file was changed.*git checkout.*or publish the run again"):
        load_published(folder)
    (folder / name).write_bytes(content)
    load_published(folder)
    (folder / name).unlink()
    with pytest.raises(FerError, match=f"{name}: this file of a published result is missing"):
        load_published(folder)


def test_a_better_number_with_a_sum_of_its_own_is_still_one_more_file_to_change(course):
    """Whoever changes a number and its sum has left no trace here; that is git's to show, and the predictions'."""
    run = course.publish(course.train())
    metrics = json.loads((run.folder / "metrics.json").read_text())
    (run.folder / "metrics.json").write_text(json.dumps({**metrics, "accuracy": 0.99}))
    room.seal(run.folder)
    claimed = load_published(run.folder)
    again = scores(claimed.predictions["labels"].astype(int), claimed.predictions["probabilities"].argmax(1))
    assert claimed.metrics["accuracy"] == 0.99 and again["accuracy"] == pytest.approx(run.metrics["accuracy"], abs=0.04)


@pytest.mark.parametrize("content", [None, b"", b"not a sum\n", b"\xff\xfe"])
def test_sums_that_are_missing_or_broken_are_named(course, content):
    folder = course.publish(course.train()).folder
    sums = course.results / "SHA256SUMS"
    sums.unlink() if content is None else sums.write_bytes(content)
    with pytest.raises(FerError, match="SHA256SUMS: the checksums|this file is no part"):
        load_published(folder)


def test_a_file_that_came_later_is_named(course):
    folder = course.publish(course.train()).folder
    (folder / "face.png").write_bytes(b"")
    with pytest.raises(FerError, match="face.png: this file is no part of the published result"):
        load_published(folder)


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="sha256sum is not installed")
def test_sha256sum_reads_the_seal(course):
    folder = course.publish(course.train()).folder
    command = ["sha256sum", "-c", "--strict", "SHA256SUMS"]
    said = subprocess.run(command, cwd=course.results, capture_output=True, text=True).stdout
    assert said.count(": OK") == len(NAMES)
    (folder / "config.json").write_text("{}")
    assert subprocess.run(command, cwd=course.results, capture_output=True).returncode == 1


def test_a_run_from_before_gets_the_fields_that_it_did_not_know(course):
    run = course.train()
    config = {name: value for name, value in run.config.items() if name != "data_options"}
    config["recipe"] = {name: value for name, value in config["recipe"].items() if name not in ("mixup", "update")}
    metrics = {name: value for name, value in run.metrics.items() if name != "chosen_on"}
    folder = course.publish(run).folder
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "geometry.json").unlink()
    room.seal(folder)
    old = load_published(folder)
    assert old.config == run.config and old.metrics == run.metrics and old.geometry is None
    assert results_table([old]).drop(columns="run").equals(results_table([run]).drop(columns="run"))


def test_a_recipe_of_another_version_is_named(course):
    run = course.train()
    run.config["recipe"]["magic"] = 1
    with pytest.raises(FerError, match="its recipe cannot be read .*magic"):
        results_table([run])


# Many runs


def test_all_results_are_loaded_by_name_and_a_broken_one_is_not_passed_over(course):
    for seed in (1, 0):
        course.publish(course.train(seed=seed))
    (course.results / "networks").mkdir()
    (course.results / "README.md").write_text("words")
    folders = sorted(path for path in (course.results / "runs").iterdir())
    assert [run.folder for run in load_results(course.results)] == folders and len(folders) == 2
    (folders[0] / "metrics.json").unlink()
    with pytest.raises(FerError, match="metrics.json: this file of a published result is missing"):
        load_results(course.results)
    with pytest.raises(FerError, match="there is no such folder"):
        load_results(course.results / "nowhere")


def test_results_lie_in_the_courses_folder(course, monkeypatch, tmp_path):
    for part in ("notebooks", "fer_utils"):
        (tmp_path / part).mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    run = publish(course.train().folder)
    assert run.folder.parent == tmp_path / "results" / "runs" and [run.folder for run in load_results()] == [run.folder]


def test_the_courses_results_are_found_from_elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # as a copy of a notebook is run
    assert results_folder() == Path(room.__file__).resolve().parents[1] / "results"


def test_a_table_of_runs_says_what_went_in_and_what_came_out(course):
    softmax = course.train(lam=0, seed=4, epochs=3)
    history = softmax.history.assign(validation_accuracy=[0.125, 0.5, 0.25]).to_dict("records")
    beneath.write_json(softmax.folder / "history.json", history)
    softmax = replace(softmax, metrics={**softmax.metrics, "best_epoch": 2})
    center = course.train(lam=0.3, alpha=0.5, update="adam", center_init="randn", name="quick", image_size=48)
    first, second = results_table([softmax, center]).to_dict("records")
    assert (first["run"], first["seed"], first["lam"], first["arm"]) == (softmax.folder.name, 4, 0, "softmax")
    assert pd.isna([first["alpha"], first["update"], first["center_init"]]).all()
    assert first["overrides"] == "image_size=32, epochs=3, batch_size=16, precision=fp32"
    assert (second["alpha"], second["update"], second["center_init"]) == (0.5, "adam", "randn")
    assert second["arm"] == "λ = 0.3, α = 0.5, Adam, centres from randn"
    assert second["overrides"] == ("validation_fraction=0.3, epochs=2, batch_size=16, learning_rate=0.001, "
                                   "schedule=constant, precision=fp32")
    assert first["validation_accuracy"] == 0.5
    for row, run in ((first, softmax), (second, center)):
        best = run.history[run.history.epoch == run.metrics["best_epoch"]].iloc[0]
        assert row["validation_accuracy"] == best.validation_accuracy and row["best_epoch"] == best.epoch
        assert (row["train_images"], row["n_test"], row["test_split"]) == (70, 28, "test")
        assert (row["source"], row["dataset"], row["weights"]) == ("random pixels", "synthetic", "random")
        for name in ("accuracy", "weighted_f1", "macro_f1", "ratio", "intra", "inter", "seconds"):
            assert row[name] == run.metrics[name]


def test_a_summary_takes_seeds_together_and_nothing_else(course):
    arms = [{"lam": 0}, {"lam": 0.2, "alpha": 0.5}, {"lam": 0.2, "alpha": 1.9}, {"lam": 0, "epochs": 1}]
    runs = [course.train(seed=seed, **fields) for fields in arms for seed in (1, 0)]
    table = results_table([*runs[:7], replace(runs[7], config={**runs[7].config, "engine": 1})])
    found = summary(table)
    assert sorted(found.runs) == [1, 1, 2, 2, 2]  # the last arm is apart: its engines are two
    row = found[(found.lam == 0) & (found.runs == 2)].iloc[0]
    accuracies = [run.metrics["accuracy"] for run in runs[:2]]
    assert row.seeds == "0, 1" and row.arm == "softmax" and row.train_images == 70
    assert row.accuracy == pytest.approx(np.mean(accuracies))
    assert row.accuracy_sd == pytest.approx(np.std(accuracies, ddof=1))
    assert found[found.runs == 1].ratio_sd.isna().all()


def test_an_infinite_ratio_is_read_back(course):
    run = course.train()
    metrics = json.loads((run.folder / "metrics.json").read_text())
    beneath.write_json(run.folder / "metrics.json", {**metrics, "ratio": math.inf})
    small = course.publish(load_run(run.folder))
    assert results_table([small]).ratio.tolist() == [math.inf]


def test_features_in_one_point_are_published(course):
    run = course.train()
    state = load_file(run.folder / "model.safetensors")
    dead = {name: torch.zeros_like(value) if name.startswith("norms.1") else value for name, value in state.items()}
    save_file(dead, run.folder / "model.safetensors")
    answers = load_run(run.folder).predict(course.splits["test"])[1]
    np.savez_compressed(run.folder / "predictions.npz", **{**run.predictions, "probabilities": answers})
    found = course.publish(load_run(run.folder)).geometry
    assert found["parts"]["train"]["collapse"]["within"] == math.inf
    assert found["parts"]["test"]["compactness"]["ratio"] == math.inf
