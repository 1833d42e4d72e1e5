"""Runs: trained once and found again; parameters that cannot be meant are refused before anything is trained."""

import json
import math
import os
import re
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fer_utils.datasets import FaceDataset
from fer_utils.emotions import EMOTIONS
from fer_utils.errors import FerError
from fer_utils.evaluation import compactness, confusion, predict, scores
from fer_utils.runs import run as room
from fer_utils.runs.run import default_runs_dir, environment, find_or_train, load_run, run_id, write_json
from fer_utils.training import checkpoint, loop
from fer_utils.training.loop import ENGINE
from fer_utils.training.recipe import Recipe


@pytest.fixture
def data(make_faces, monkeypatch):
    """``load_dataset`` gives random pixels; what it was asked for is noted."""
    splits = {"train": make_faces(100, seed=1), "test": make_faces(28, seed=2, split="test"),
              "public_test": make_faces(28, seed=3, split="public_test")}
    asked = []

    def load(name, root=None, split="train"):
        asked.append((name, root, split))
        return splits[split]

    monkeypatch.setattr(room, "load_dataset", load)
    return SimpleNamespace(splits=splits, asked=asked)


@pytest.fixture
def train(data, tiny_network, tmp_path):
    """``find_or_train`` on the random pixels with a tiny network, into a folder of this test's own."""
    def find(recipe, **options):
        return find_or_train(recipe, **{"device": "cpu", "runs_dir": tmp_path / "runs", "progress": False, **options})
    return find


@pytest.fixture
def fits(monkeypatch):
    """What ``fit`` was called with."""
    calls, fit = [], room.fit

    def watched(train, validation, recipe, seed, **options):
        calls.append(SimpleNamespace(train=train, validation=validation, recipe=recipe, seed=seed))
        return fit(train, validation, recipe, seed, **options)

    monkeypatch.setattr(room, "fit", watched)
    return calls


# Found again


def test_a_run_is_trained_once_and_loaded_the_second_time(train, make_recipe, monkeypatch):
    first = train(make_recipe())

    def refuse(*args, **options):
        raise AssertionError("trained again")

    monkeypatch.setattr(room, "fit", refuse)
    second = train(make_recipe())
    assert second.folder == first.folder
    assert (second.metrics, second.config, second.environment) == (first.metrics, first.config, first.environment)


def test_a_run_folder_holds_all_that_the_design_names(train, make_recipe):
    folder = train(make_recipe()).folder
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json", "environment.json", "history.json", "lock", "metrics.json", "model.safetensors",
        "predictions.npz"]


def test_config_tells_recipe_seed_data_inputs_and_engine(train, make_recipe, data, fits):
    config = train(make_recipe(lam=0.3), seed=4).config
    assert Recipe(**config["recipe"]) == make_recipe(lam=0.3)
    assert (config["seed"], config["engine"], config["dataset"]) == (4, ENGINE, "synthetic")
    assert config["classes"] == list(EMOTIONS)
    assert config["initialisation"] == "random" and config["source"] == "random pixels"
    parts = {"train": fits[0].train, "validation": fits[0].validation, "test": data.splits["test"]}
    assert config["data"] == {name: {"images": len(part), "fingerprint": part.fingerprint}
                              for name, part in parts.items()}
    assert sorted(config["inputs"]) == ["mean", "mirror", "precision", "size", "std"]


def test_metrics_are_the_scores_of_the_stored_predictions(train, make_recipe, data):
    run, test = train(make_recipe()), data.splits["test"]
    predictions = run.predictions
    assert predictions["names"].tolist() == test.names.tolist()
    assert predictions["labels"].tolist() == test.labels.tolist()
    assert predictions["probabilities"].shape == (28, 7) and predictions["probabilities"].dtype == np.float16
    features, probabilities = run.predict(test)
    chosen = probabilities.argmax(1)
    assert np.allclose(probabilities, predictions["probabilities"], atol=1e-3)
    for name, value in scores(test.labels, chosen).items():
        assert run.metrics[name] == value
    assert run.metrics["confusion"] == confusion(test.labels, chosen).tolist()
    assert run.metrics["ratio"] == pytest.approx(compactness(features, test.labels).ratio, rel=1e-4)
    assert run.metrics["test_split"] == "test"


def test_a_runs_features_are_those_of_the_network_that_was_trained(train, make_recipe, data, monkeypatch):
    results, fit = [], room.fit
    monkeypatch.setattr(room, "fit", lambda *args, **options: results.append(fit(*args, **options)) or results[0])
    run, faces = train(make_recipe()), data.splits["public_test"]
    features, probabilities = predict(results[0].model, faces.images, **results[0].inputs)
    found, shares = run.predict(faces)
    assert np.allclose(found, features, atol=1e-5) and np.allclose(shares, probabilities, atol=1e-5)
    assert found.shape == (28, 16) and not run.model.training


def test_a_real_network_is_found_again_with_its_features(data, make_recipe, tmp_path, fits):
    options = {"device": "cpu", "runs_dir": tmp_path, "progress": False}
    first = find_or_train(make_recipe(epochs=1, batch_size=62), **options)
    second = find_or_train(make_recipe(epochs=1, batch_size=62), **options)
    assert len(fits) == 1
    features, probabilities = first.predict(data.splits["test"])
    assert features.shape == (28, 512)
    again, shares = second.predict(data.splits["test"])
    assert np.array_equal(features, again) and np.array_equal(probabilities, shares)
    assert np.allclose(probabilities, first.predictions["probabilities"], atol=1e-3)


def test_history_is_what_fit_measured(train, make_recipe, monkeypatch):
    results, fit = [], room.fit
    monkeypatch.setattr(room, "fit", lambda *args, **options: results.append(fit(*args, **options)) or results[0])
    run = train(make_recipe(epochs=3))
    assert list(run.history) == list(results[0].history)
    for column in run.history:
        assert run.history[column].tolist() == pytest.approx(results[0].history[column].tolist(), rel=1e-9)
    assert run.metrics["epochs"] == 3 and run.metrics["best_epoch"] == results[0].best_epoch


def test_features_that_collapsed_to_one_point_do_not_break_the_run(train, make_recipe, monkeypatch):
    nothing = compactness(np.array([[-1.0], [1.0], [-1.0], [1.0]]), np.array([0, 0, 1, 1]))
    assert nothing.ratio == math.inf
    for module in (room, loop):
        monkeypatch.setattr(module, "compactness", lambda features, labels: nothing)
    run = load_run(train(make_recipe()).folder)
    assert run.metrics["ratio"] == math.inf
    assert run.history.validation_ratio.tolist() == [math.inf] * 2


def test_softmax_and_center_loss_have_the_same_faces_for_training_and_validation(train, make_recipe, fits):
    for recipe in (make_recipe(lam=0), make_recipe(lam=0.2), make_recipe(lam=0.2, alpha=0.5)):
        train(recipe, seed=3)
    assert len(fits) == 3
    assert len({call.train.fingerprint for call in fits}) == len({call.validation.fingerprint for call in fits}) == 1
    assert {call.seed for call in fits} == {3}
    assert len(fits[0].validation) == 30 and len(fits[0].train) == 70


def test_another_seed_splits_otherwise(train, make_recipe, fits):
    train(make_recipe(), seed=0)
    train(make_recipe(), seed=1)
    assert fits[0].train.fingerprint != fits[1].train.fingerprint


def test_the_split_of_a_seed_stays_what_it_was(make_faces):
    """Runs are found by the whole's fingerprint and the seed: what a seed draws may only change with ENGINE."""
    train, validation = room.divide(make_faces(100), make_faces(28, split="test"), 0.3, seed=3)
    assert [int(name.split("_")[1]) for name in validation.names[:8]] == [2, 8, 15, 17, 18, 19, 21, 27]
    assert len(train) == 70 and not set(train.names) & set(validation.names)


@pytest.mark.parametrize("dataset, splits", [("synthetic", {"train", "test"}), ("fer2013", {"train", "public_test"})])
def test_a_run_opens_its_two_splits_and_never_private_test(train, make_recipe, data, dataset, splits):
    run = train(make_recipe(epochs=1), dataset=dataset, data_dir="somewhere")
    assert {split for _, _, split in data.asked} == splits
    assert {(name, root) for name, root, _ in data.asked} == {(dataset, "somewhere")}
    assert run.metrics["test_split"] in splits - {"train"}


# Where it comes from


def test_it_is_said_in_a_line_whether_a_run_was_trained_or_loaded_and_where_it_comes_from(train, make_recipe, capsys):
    began = datetime.now(UTC).replace(microsecond=0)
    run = train(make_recipe(), progress=True)
    first = capsys.readouterr().out
    train(make_recipe(), progress=True)
    second = capsys.readouterr().out
    when = datetime.fromisoformat(run.environment["finished"])
    assert began <= when <= datetime.now(UTC)
    where = re.escape(run.environment["hardware"])
    assert re.fullmatch(rf"trained on {when.day} {when:%B %Y} in (\d+ min )?\d+ s on {where}", run.origin)
    assert first == f"{run.folder.name}: new; {run.origin}.\n"
    assert second == f"{run.folder.name}: loaded, not trained again; {run.origin}.\n"
    train(make_recipe())
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("seconds, words", [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (780.3, "13 min 0 s")])
def test_the_origin_of_a_run_without_a_date_is_when_it_was_written(tmp_path, seconds, words):
    (tmp_path / "metrics.json").write_text("{}")
    os.utime(tmp_path / "metrics.json", (1_000_000_000, 1_000_000_000))
    run = room.Run(tmp_path, {}, {"hardware": "an abacus, 2 beads"}, {"seconds": seconds})
    assert run.origin == f"trained on 9 September 2001 in {words} on an abacus, 2 beads"


def test_a_run_without_its_network_says_what_to_do(train, make_recipe, data):
    run = train(make_recipe())
    (run.folder / "model.safetensors").unlink()
    again = train(make_recipe())
    assert again.metrics == run.metrics
    with pytest.raises(FerError, match="model.safetensors: this run was passed on without its network; delete"):
        again.predict(data.splits["test"])


# Without a validation share


def test_without_a_share_all_of_it_trains_and_the_test_split_chooses_which_is_said(train, make_recipe, fits, data):
    run = train(make_recipe(validation_fraction=0, epochs=3))
    (call,), splits = fits, data.splits
    assert call.train.fingerprint == splits["train"].fingerprint
    assert call.validation.fingerprint == splits["test"].fingerprint and call.validation.split == "validation"
    assert run.metrics["chosen_on"] == "test" and run.metrics["test_split"] == "test"
    assert run.metrics["accuracy"] == pytest.approx(run.history.validation_accuracy.max())
    assert run.config["data"]["validation"] == run.config["data"]["test"]
    usual = train(make_recipe(epochs=1))
    assert usual.metrics["chosen_on"] == "validation" and usual.folder != run.folder
    recipe = make_recipe(validation_fraction=0)
    assert "validation figure" in recipe.beside_paper().loc["validation"].iloc[0]


# The key


def test_alpha_does_not_change_the_key_of_a_softmax_run(train, make_recipe, fits):
    first, second = train(make_recipe(lam=0, alpha=1.9)), train(make_recipe(lam=0, alpha=0.5))
    assert first.folder == second.folder and len(fits) == 1
    assert "softmax" in first.folder.name and "alpha" not in first.folder.name


def test_alpha_changes_the_key_of_a_center_loss_run(train, make_recipe, fits):
    first, second = train(make_recipe(lam=0.2, alpha=1.9)), train(make_recipe(lam=0.2, alpha=0.5))
    assert first.folder != second.folder and len(fits) == 2
    assert "center-lam0.2-alpha1.9" in first.folder.name


@pytest.mark.parametrize("field, value", [
    ("lam", 0.3), ("lam", 0), ("epochs", 3), ("batch_size", 8), ("learning_rate", 2e-3), ("schedule", "one_cycle"),
    ("patience", 2), ("backbone", "resnet34"), ("weights", "imagenet"), ("image_size", 48), ("flip", False),
    ("rotation", 5.0), ("crop", 0.2), ("precision", "bf16"), ("validation_fraction", 0.2), ("name", "another"),
    ("shift", 0.1), ("erase", 0.5), ("normalisation", "imagenet"), ("augment_validation", True),
    ("monitor", "cross_entropy"), ("accumulate", 2), ("reshuffle", False), ("optimizer", "sgd"), ("weight_decay", 1e-4),
    ("warmup", 1), ("label_smoothing", 0.1), ("mixup", 0.2), ("ema", 0.9), ("mirror_test", True), ("alpha", 0.5),
    ("update", "sgd"), ("center_init", "randn"),
])
def test_every_field_of_the_recipe_is_in_the_key(make_faces, make_recipe, field, value):
    faces = make_faces(14)
    assert run_id(make_recipe(), "synthetic", 0, faces) != run_id(make_recipe(**{field: value}), "synthetic", 0, faces)


def test_recipes_that_are_equal_have_one_key(make_faces, make_recipe):
    # papermill gives -p lam 0 as an int, the notebook's default is a float.
    faces = make_faces(14)
    for first, second in (({"lam": 0}, {"lam": 0.0}), ({"lam": 1, "alpha": 1}, {"lam": 1.0, "alpha": 1.0}),
                          ({"rotation": 10}, {"rotation": 10.0}), ({"crop": 0}, {"crop": 0.0})):
        assert make_recipe(**first) == make_recipe(**second)
        names = {run_id(make_recipe(**fields), "synthetic", 0, faces) for fields in (first, second)}
        assert len(names) == 1, f"{first} and {second}"


def test_seed_data_and_engine_are_in_the_key(make_faces, make_recipe, monkeypatch):
    faces, test = make_faces(14), make_faces(14, seed=1)
    names = [run_id(make_recipe(), "synthetic", 0, faces, test), run_id(make_recipe(), "synthetic", 1, faces, test),
             run_id(make_recipe(), "synthetic", 0, faces, make_faces(14, seed=2)),
             run_id(make_recipe(), "synthetic", 0, make_faces(14, seed=2), test),
             run_id(make_recipe(), "synthetic", 0, FaceDataset(faces.images, faces.labels[::-1].copy(), faces.names,
                                                               "train", "relabelled"), test)]
    monkeypatch.setattr(room, "ENGINE", ENGINE + 1)
    names.append(run_id(make_recipe(), "synthetic", 0, faces, test))
    assert len({name.rsplit("-", 1)[1] for name in names}) == len(names)


def test_the_key_repeats_and_its_name_can_be_read(make_faces, make_recipe):
    name = run_id(make_recipe(), "fer2013", 3, make_faces(14))
    assert name == run_id(make_recipe(), "fer2013", 3, make_faces(14))
    assert re.fullmatch(r"fer2013-tiny-resnet18-center-lam0\.2-alpha1\.9-seed3-[0-9a-f]{10}", name)


# Cut off


def test_a_run_that_was_cut_off_resumes_and_ends_as_if_it_had_not_been(train, make_recipe, monkeypatch, tmp_path):
    whole = train(make_recipe(epochs=3), runs_dir=tmp_path / "whole")
    calls, validate = [], loop._validate

    def cut(*args):
        calls.append(None)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return validate(*args)

    monkeypatch.setattr(loop, "_validate", cut)
    with pytest.raises(KeyboardInterrupt):
        train(make_recipe(epochs=3))
    folder = next((tmp_path / "runs").iterdir())
    assert {path.name.split("-")[0] for path in folder.iterdir()} == {"best", "epoch", "last.json", "lock"}
    with pytest.raises(FerError, match="not a finished run"):
        load_run(folder)
    calls.clear()
    calls.extend([None] * 2)
    resumed = train(make_recipe(epochs=3))
    assert len(calls) == 4  # the second and the third epoch
    assert {**resumed.metrics, "seconds": 0} == {**whole.metrics, "seconds": 0}
    assert resumed.config == whole.config
    assert np.array_equal(resumed.predictions["probabilities"], whole.predictions["probabilities"])
    assert not list(resumed.folder.glob("epoch-*")) and not (resumed.folder / "last.json").exists()


@pytest.mark.parametrize("part", ["history", "config", "environment", "metrics"])
def test_a_run_cut_off_while_it_was_written_is_finished_without_training(train, make_recipe, monkeypatch, part):
    write, step, steps = room.write_json, loop.training_step, []

    def cut(path, content):
        if Path(path).stem == part:
            raise KeyboardInterrupt
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(room, "write_json", cut)
        with pytest.raises(KeyboardInterrupt):
            train(make_recipe())
    monkeypatch.setattr(loop, "training_step", lambda *args: steps.append(None) or step(*args))
    run = train(make_recipe())
    assert steps == [] and run.metrics["epochs"] == 2


def test_a_run_without_metrics_counts_as_unfinished_and_is_completed(train, make_recipe, fits):
    run = train(make_recipe())
    (run.folder / "metrics.json").unlink()
    again = train(make_recipe())
    assert len(fits) == 2
    assert {**again.metrics, "seconds": 0} == {**run.metrics, "seconds": 0}


@pytest.mark.parametrize("part", ["config", "environment", "metrics"])
@pytest.mark.parametrize("content", [b"", b"{half", b"\xff\xfe"])
def test_a_damaged_run_is_named(train, make_recipe, part, content):
    folder = train(make_recipe(epochs=1)).folder
    (folder / f"{part}.json").write_bytes(content)
    with pytest.raises(FerError, match="not a finished run.*delete the folder") as caught:
        load_run(folder)
    assert str(folder) in str(caught.value)


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(FerError, match="nowhere: not a finished run"):
        load_run(tmp_path / "nowhere")


def test_a_damaged_network_of_a_run_is_named(data, make_recipe, tmp_path):
    run = find_or_train(make_recipe(epochs=1, batch_size=62), device="cpu", runs_dir=tmp_path, progress=False)
    (run.folder / "model.safetensors").write_bytes(b"garbage")
    with pytest.raises(FerError, match="model.safetensors: not a state_dict"):
        load_run(run.folder).predict(data.splits["test"])


# A full disk, another process


@pytest.mark.parametrize("owner, name", [(room, "save_file"), (np, "savez_compressed"), (room, "write_json")])
def test_a_disk_that_is_full_at_the_end_loses_no_training(train, make_recipe, monkeypatch, owner, name):
    def full(*args, **options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, full)
        with pytest.raises(FerError, match="training is done, but its results cannot be written.*Free some space"):
            train(make_recipe())
    monkeypatch.setattr(loop, "training_step", lambda *args: pytest.fail("trained again"))
    assert train(make_recipe()).metrics["epochs"] == 2


def test_a_run_that_another_process_finished_meanwhile_is_loaded(train, make_recipe, monkeypatch, fits, tmp_path):
    finished = train(make_recipe())
    moved, real = tmp_path / "moved", checkpoint.locked
    finished.folder.rename(moved)

    @contextmanager
    def wait_for_the_other(folder):
        moved.rename(folder)
        with real(folder):
            yield

    monkeypatch.setattr(checkpoint, "locked", wait_for_the_other)
    assert train(make_recipe()).metrics == finished.metrics and len(fits) == 1


# Where runs lie


def test_fer_utils_runs_says_where_runs_lie(monkeypatch, tmp_path):
    monkeypatch.setenv("FER_UTILS_RUNS", str(tmp_path / "mine"))
    assert default_runs_dir() == tmp_path / "mine"


def test_runs_lie_in_the_courses_folder_from_anywhere_in_it_and_else_here(monkeypatch, tmp_path):
    monkeypatch.delenv("FER_UTILS_RUNS", raising=False)
    for part in ("notebooks", "fer_utils"):
        (tmp_path / "course" / part).mkdir(parents=True)
    (tmp_path / "notebooks").mkdir()  # somebody's own, no course
    for place in (tmp_path / "course", tmp_path / "course" / "notebooks"):
        monkeypatch.chdir(place)
        assert default_runs_dir() == tmp_path / "course" / "runs"
    monkeypatch.chdir(tmp_path)
    assert default_runs_dir() == tmp_path / "runs"


def test_find_or_train_uses_fer_utils_runs_without_a_folder_of_its_own(train, make_recipe, monkeypatch, tmp_path):
    monkeypatch.setenv("FER_UTILS_RUNS", str(tmp_path / "mine"))
    assert train(make_recipe(epochs=1), runs_dir=None).folder.parent == tmp_path / "mine"


# Small files


def test_json_is_written_and_its_folder_made(tmp_path):
    write_json(tmp_path / "a" / "b" / "x.json", {"α": [1, 2.5, None]})
    assert json.loads((tmp_path / "a" / "b" / "x.json").read_text(encoding="utf-8")) == {"α": [1, 2.5, None]}
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["x.json"]


def test_a_crash_while_writing_json_leaves_the_old_file_whole(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    write_json(path, {"old": 1})
    write = Path.write_text

    def crash(self, text, *args, **options):
        write(self, text[:5], *args, **options)
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_text", crash)
    with pytest.raises(OSError, match="disk full"):
        write_json(path, {"new": 2})
    assert json.loads(path.read_text()) == {"old": 1}


def test_content_that_json_cannot_hold_leaves_the_old_file_whole(tmp_path):
    write_json(tmp_path / "x.json", {"old": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "x.json", {"new": {1, 2}})
    assert json.loads((tmp_path / "x.json").read_text()) == {"old": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_the_environment_tells_what_a_reader_needs_to_compare_numbers():
    found = environment()
    assert sorted(found) == ["commit", "device", "hardware", "numpy", "peak_memory_mb", "python", "system", "threads",
                             "torch", "torchvision"]
    assert found["peak_memory_mb"] is None or 50 < found["peak_memory_mb"] < 100_000
    assert found["torch"] == torch.__version__ and found["device"] == "cpu" and found["hardware"]
    assert found["commit"] is None or re.fullmatch("[0-9a-f]{40}", found["commit"])
    json.dumps(found)


def test_the_environment_does_without_git(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert environment()["commit"] is None


def test_the_key_knows_what_a_weights_file_holds(make_recipe, make_faces, tmp_path):
    faces, path = make_faces(), tmp_path / "weights.pt"
    recipe = make_recipe(weights=str(path))
    path.write_bytes(b"one")
    first = run_id(recipe, "synthetic", 0, faces)
    path.write_bytes(b"other")
    assert run_id(recipe, "synthetic", 0, faces) != first
