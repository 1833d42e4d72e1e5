"""What is published of a run: small, whole, of the run's own images, and sealed; tables over many."""

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import refusal
from safetensors.torch import load_file, save_file

from fer_lab import publish as room
from fer_lab.publish import publish
from fer_utils.feature_geometry import geometry
from fer_utils.runs import run as beneath
from fer_utils.runs.results import load_published, load_results, results_folder, results_table
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

    monkeypatch.setattr(beneath, "load_dataset", load)

    def train(seed=0, data_options=None, **fields):
        return find_or_train(make_recipe(**fields), seed=seed, device="cpu", runs_dir=tmp_path / "runs",
                             progress=False, data_options=data_options)

    return SimpleNamespace(train=train, splits=splits, asked=asked, results=tmp_path / "results",
                           publish=lambda run, **options: publish(run.folder, tmp_path / "results", **options))


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# One run


def test_a_published_run_is_whole_small_the_same_bytes_again_and_says_what_the_run_says(course):
    run = course.train()
    small = course.publish(run)
    assert (small.config, small.metrics, small.environment) == (run.config, run.metrics, run.environment)
    assert small.history.equals(run.history)
    first = contents(course.results)
    assert sorted(first) == ["SHA256SUMS", *(f"runs/{run.folder.name}/{name}" for name in NAMES)]
    assert sum(map(len, first.values())) < room.LIMIT
    course.publish(run)
    assert contents(course.results) == first


def test_predictions_keep_every_answer_in_three_decimals(tmp_path):
    exact = np.tile(np.float16([0.12345, 0.4004, 0.3996, 0.02, 0.02, 0.02, 0.01655]), (28, 1))
    exact[5, 1:3] = 0.3999, 0.40015  # both are 0.4 in three decimals
    arrays = {"names": np.array([f"test_{k}" for k in range(28)]), "labels": np.arange(28) % 7, "probabilities": exact}
    room._write_predictions(arrays, tmp_path / "small.npz")
    small = np.load(tmp_path / "small.npz", allow_pickle=False)
    found = small["probabilities"]
    assert sorted(small.files) == sorted(arrays) and found.dtype == np.float16
    assert np.array_equal(found.argmax(1), exact.argmax(1)) and np.array_equal(found[5], exact[5])
    assert np.abs(found.astype(float) - exact).max() < 6e-4 and found[0, 0] == np.float16(0.123)
    assert np.array_equal(small["names"], arrays["names"]) and np.array_equal(small["labels"], arrays["labels"])


def test_geometry_is_that_of_the_runs_own_parts(course):
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
    parts = course.publish(course.train(validation_fraction=0)).geometry["parts"]
    assert {name: part["images"] for name, part in parts.items()} == {"train": 100, "test": 28}


def test_options_go_to_the_training_split_and_the_general_ones_not_to_the_test_split(course):
    run = course.train(data_options={"subset": 100, "mode": "votes"})
    course.asked.clear()
    course.publish(run, data_dir="there")
    assert course.asked == [("synthetic", "there", "train", {"subset": 100, "mode": "votes"}),
                            ("synthetic", "there", "test", {"mode": "votes"})]


def test_other_images_than_the_runs_and_other_weights_are_refused_and_nothing_is_written(course):
    run = course.train()
    for split, faces in list(course.splits.items()):
        images = faces.images.copy()
        images[-1, 0, 0] ^= 1
        course.splits[split] = replace(faces, images=images)
        assert "part had other images than" in refusal(course.publish, run)
        course.splits[split] = faces
    state = load_file(run.folder / "model.safetensors")
    save_file({**state, "classifier.weight": -state["classifier.weight"]}, run.folder / "model.safetensors")
    assert "its weights give the stored answer to" in refusal(course.publish, load_run(run.folder))
    assert not contents(course.results)


def test_what_is_too_large_fails_or_is_not_finished_leaves_what_was_published_before(course, monkeypatch, tmp_path):
    run = course.train()
    course.publish(run)
    before = contents(course.results)
    monkeypatch.setattr(room, "LIMIT", 1000)
    assert "a published run has at most 1000" in refusal(course.publish, run)
    (run.folder / "predictions.npz").unlink()
    with pytest.raises(OSError):
        course.publish(load_run(run.folder))
    assert "not a finished run" in refusal(publish, tmp_path, course.results)
    assert contents(course.results) == before


# The seal


def test_a_file_that_was_changed_is_missing_or_came_later_is_named(course):
    folder = course.publish(course.train()).folder
    sums = course.results / "SHA256SUMS"
    broken = "SHA256SUMS: the checksums"
    cases = [(sums, None, broken), (sums, b"", "this file is no part"), (sums, b"not a sum\n", broken),
             (sums, b"\xff\xfe", broken), (folder / "face.png", b"", "face.png: this file is no part of the published")]
    for path in map(folder.joinpath, NAMES):
        content = path.read_bytes()
        cases += [(path, content[:-2] + bytes([content[-2] ^ 1]) + content[-1:], f"{path.name}: this file was changed"),
                  (path, None, f"{path.name}: this file of a published result is missing")]
    failed = []
    for path, content, named in cases:
        before = path.read_bytes() if path.exists() else None
        path.unlink() if content is None else path.write_bytes(content)
        said = refusal(load_published, folder)
        if named not in said or "git checkout" not in said:
            failed.append((path.name, content, said))
        path.unlink() if before is None else path.write_bytes(before)
    assert not failed
    load_published(folder)


# Many runs


def test_all_results_are_loaded_from_anywhere_and_a_broken_one_is_not_passed_over(course, monkeypatch, tmp_path):
    for seed in (1, 0):
        course.publish(course.train(seed=seed))
    folders = sorted((course.results / "runs").iterdir())
    assert [run.folder for run in load_results(course.results)] == folders and len(folders) == 2
    monkeypatch.chdir(tmp_path / "runs")  # as a copy of a notebook is run
    assert results_folder() == Path(room.__file__).resolve().parents[1] / "results"
    for part in ("notebooks", "fer_utils"):
        (tmp_path / part).mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert [run.folder for run in load_results()] == folders
    run = load_results()[0]
    run.config["recipe"]["magic"] = 1
    assert "its recipe cannot be read" in refusal(results_table, [run])
    (folders[0] / "metrics.json").unlink()
    assert "metrics.json: this file of a published result is missing" in refusal(load_results, course.results)
    assert "there is no such folder" in refusal(load_results, course.results / "nowhere")


def test_features_in_one_point_have_an_infinite_ratio_that_is_published_and_read_back(course):
    run = course.train()
    path = run.folder / "model.safetensors"
    save_file({name: torch.zeros_like(value) if name.startswith("norms.1") else value
               for name, value in load_file(path).items()}, path)
    answers = load_run(run.folder).predict(course.splits["test"])[1]
    np.savez_compressed(run.folder / "predictions.npz", **{**run.predictions, "probabilities": answers})
    beneath.write_json(run.folder / "metrics.json", {**run.metrics, "ratio": math.inf})
    small = course.publish(load_run(run.folder))
    assert small.geometry["parts"]["test"]["compactness"]["ratio"] == math.inf
    assert results_table([small]).ratio.tolist() == [math.inf]
