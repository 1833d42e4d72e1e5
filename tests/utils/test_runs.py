"""Runs: trained once and found again, whole whatever stops them."""

import dataclasses
import math
import re
from contextlib import contextmanager
from datetime import datetime
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import refusal
from datasets_on_disk import encoded, noise, put, write_own

from fer_utils.emotions import EMOTIONS
from fer_utils.errors import FerError
from fer_utils.evaluation import Compactness, compactness, confusion, predict, scores
from fer_utils.runs import run as room
from fer_utils.runs.run import default_runs_dir, environment, find_or_train, load_run, run_id
from fer_utils.runs.settings import check_parameters
from fer_utils.training import checkpoint, loop, steps
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
    """What ``fit`` was called with, and what it returned."""
    calls, fit = [], room.fit

    def watched(train, validation, recipe, seed, **options):
        result = fit(train, validation, recipe, seed, **options)
        calls.append(SimpleNamespace(train=train, validation=validation, seed=seed, result=result))
        return result

    monkeypatch.setattr(room, "fit", watched)
    return calls


def test_a_run_is_trained_once_loaded_the_second_time_and_says_which(train, make_recipe, fits, capsys):
    first = train(make_recipe(), progress=True)
    when = datetime.fromisoformat(first.environment["finished"])
    assert re.fullmatch(rf"trained on {when.day} {when:%B %Y} in \d+ s on .+", first.origin)
    assert capsys.readouterr().out == f"{first.folder.name}: new; {first.origin}.\n"
    second = train(make_recipe(), progress=True)
    assert capsys.readouterr().out == f"{first.folder.name}: loaded, not trained again; {first.origin}.\n"
    assert len(fits) == 1 and second == first
    train(make_recipe())
    assert capsys.readouterr().out == ""
    assert sorted(path.name for path in first.folder.iterdir()) == [
        "config.json", "environment.json", "history.json", "lock", "metrics.json", "model.safetensors",
        "predictions.npz"]


def test_a_run_tells_what_went_in_and_what_came_out(train, make_recipe, data, fits):
    run, test = train(make_recipe(lam=0.3, epochs=3), seed=4), data.splits["test"]
    config, (call,) = run.config, fits
    assert Recipe(**config["recipe"]) == make_recipe(lam=0.3, epochs=3)
    assert (config["seed"], config["engine"], config["dataset"]) == (4, ENGINE, "synthetic")
    assert config["classes"] == list(EMOTIONS) and config["source"] == "random pixels"
    parts = {"train": call.train, "validation": call.validation, "test": test}
    assert config["data"] == {name: {"images": len(part), "fingerprint": part.fingerprint}
                              for name, part in parts.items()}
    assert list(run.history) == list(call.result.history)
    for column in run.history:
        assert run.history[column].tolist() == pytest.approx(call.result.history[column].tolist(), rel=1e-9)
    assert run.metrics["epochs"] == 3 and run.metrics["best_epoch"] == call.result.best_epoch

    features, probabilities = run.predict(test)
    wanted = predict(call.result.model, test.images, **call.result.inputs)
    assert np.allclose(features, wanted[0], atol=1e-5) and np.allclose(probabilities, wanted[1], atol=1e-5)
    predictions, answers = run.predictions, probabilities.argmax(1)
    assert predictions["names"].tolist() == test.names.tolist()
    assert predictions["labels"].tolist() == test.labels.tolist()
    assert predictions["probabilities"].dtype == np.float16
    assert np.allclose(probabilities, predictions["probabilities"], atol=1e-3)
    assert scores(test.labels, answers).items() <= run.metrics.items() and run.metrics["test_split"] == "test"
    assert run.metrics["confusion"] == confusion(test.labels, answers).tolist()
    assert run.metrics["ratio"] == pytest.approx(compactness(features, test.labels).ratio, rel=1e-4)


def test_a_real_network_is_found_again_and_a_damaged_one_is_named(data, make_recipe, tmp_path, fits):
    first, second = (find_or_train(make_recipe(epochs=1, batch_size=62), device="cpu", runs_dir=tmp_path,
                                   progress=False) for _ in range(2))
    assert len(fits) == 1
    answers, again = first.predict(data.splits["test"]), second.predict(data.splits["test"])
    assert answers[0].shape == (28, 512) and all(map(np.array_equal, answers, again))
    (first.folder / "model.safetensors").write_bytes(b"garbage")
    with pytest.raises(FerError, match="model.safetensors: not a state_dict"):
        load_run(first.folder).predict(data.splits["test"])
    (first.folder / "model.safetensors").unlink()
    with pytest.raises(FerError, match="model.safetensors: this run was passed on without its network; delete"):
        load_run(first.folder).predict(data.splits["test"])


def test_features_that_collapsed_to_one_point_do_not_break_the_run(train, make_recipe, monkeypatch):
    for module in (room, loop):
        monkeypatch.setattr(module, "compactness", lambda features, labels: Compactness(1.0, 0.0))
    run = load_run(train(make_recipe()).folder)
    assert run.metrics["ratio"] == math.inf and run.history.validation_ratio.tolist() == [math.inf] * 2


def test_a_seed_gives_all_recipes_the_same_faces_and_another_seed_others(train, make_recipe, fits):
    for recipe, seed in ((make_recipe(lam=0), 3), (make_recipe(lam=0.2, alpha=0.5), 3), (make_recipe(), 0)):
        train(recipe, seed=seed)
    first, same, other = [(call.train.fingerprint, call.validation.fingerprint) for call in fits]
    assert first == same and other[0] != first[0] and [call.seed for call in fits] == [3, 3, 0]


def test_the_split_of_a_seed_stays_what_it_was(make_faces):
    """Runs are found by the whole's fingerprint and the seed: what a seed draws may only change with ENGINE."""
    train, validation = room.divide(make_faces(100), make_faces(28, split="test"), 0.3, seed=3)
    assert [int(name.split("_")[1]) for name in validation.names[:8]] == [2, 8, 15, 17, 18, 19, 21, 27]
    assert len(train) == 70 and not set(train.names) & set(validation.names)


def test_a_run_opens_its_two_splits_and_never_private_test(train, make_recipe, data):
    for dataset, test in (("synthetic", "test"), ("fer2013", "public_test")):
        data.asked.clear()
        run = train(make_recipe(epochs=1), dataset=dataset, data_dir="somewhere")
        assert set(data.asked) == {(dataset, "somewhere", "train"), (dataset, "somewhere", test)}
        assert run.metrics["test_split"] == test


def test_without_a_share_all_of_it_trains_and_the_test_split_chooses_which_is_said(train, make_recipe, fits, data):
    run = train(make_recipe(validation_fraction=0, epochs=3))
    (call,), splits = fits, data.splits
    assert call.train.fingerprint == splits["train"].fingerprint
    assert call.validation.fingerprint == splits["test"].fingerprint and call.validation.split == "validation"
    assert run.metrics["chosen_on"] == "test" and run.metrics["test_split"] == "test"
    assert run.metrics["accuracy"] == pytest.approx(run.history.validation_accuracy.max())
    assert train(make_recipe(epochs=1)).metrics["chosen_on"] == "validation"


# The key

CHANGES = {
    "lam": 0.3, "epochs": 3, "batch_size": 8, "learning_rate": 2e-3, "schedule": "one_cycle", "patience": 2,
    "backbone": "resnet34", "weights": "imagenet", "image_size": 48, "flip": False, "rotation": 5.0, "crop": 0.2,
    "precision": "bf16", "validation_fraction": 0.2, "name": "another", "shift": 0.1, "erase": 0.5,
    "normalisation": "imagenet", "augment_validation": True, "monitor": "cross_entropy", "accumulate": 2,
    "reshuffle": False, "optimizer": "sgd", "weight_decay": 1e-4, "warmup": 1, "label_smoothing": 0.1, "mixup": 0.2,
    "ema": 0.9, "mirror_test": True, "alpha": 0.5, "update": "sgd", "center_init": "randn", "lam_warmup": 2,
    "center_class_weights": 1.0, "class_weights": 1.0, "balanced_sampling": True, "logit_adjustment": 1.0,
    "self_cure": 2, "soft_labels": True}


def test_every_field_of_the_recipe_is_in_the_key_but_those_of_the_centres_without_them(make_faces, make_recipe):
    def key(**fields):
        return run_id(make_recipe(**fields), "synthetic", 0, faces).rsplit("-", 1)[1]

    faces = make_faces(14)
    assert CHANGES.keys() == {field.name for field in dataclasses.fields(Recipe)}
    assert [field for field, value in CHANGES.items() if key(**{field: value}) == key()] == []
    without = [field for field, value in CHANGES.items() if key(**{"lam": 0, field: value}) == key(lam=0)]
    assert without == ["alpha", "update", "center_init", "lam_warmup", "center_class_weights"]
    assert "lam_warmup" not in make_recipe().effective(), "a field that came later leaves the keys of older runs alone"
    # papermill gives -p lam 0 as an int, the notebook's default is a float.
    for fields in ({"lam": 0}, {"lam": 1, "alpha": 1}, {"rotation": 10}):
        assert key(**fields) == key(**{name: float(value) for name, value in fields.items()}), fields


def test_seed_data_engine_and_the_content_of_a_weights_file_are_in_the_key_and_its_name_can_be_read(
        make_faces, make_recipe, monkeypatch, tmp_path):
    faces, test, other = (make_faces(14, seed=seed) for seed in range(3))
    relabelled = dataclasses.replace(faces, labels=faces.labels[::-1].copy())
    names = [run_id(make_recipe(), "fer2013", seed, *splits) for seed, splits in (
        (0, (faces, test)), (1, (faces, test)), (0, (faces, other)), (0, (other, test)), (0, (relabelled, test)))]
    for content in (b"one", b"other"):
        (tmp_path / "weights.pt").write_bytes(content)
        names.append(run_id(make_recipe(weights=str(tmp_path / "weights.pt")), "fer2013", 0, faces, test))
    assert names[0] == run_id(make_recipe(), "fer2013", 0, faces, test)
    monkeypatch.setattr(room, "ENGINE", ENGINE + 1)
    names.append(run_id(make_recipe(), "fer2013", 0, faces, test))
    assert len({name.rsplit("-", 1)[1] for name in names}) == len(names)
    assert re.fullmatch(r"fer2013-tiny-resnet18-center-lam0\.2-alpha1\.9-seed1-[0-9a-f]{10}", names[1])
    softmax = run_id(make_recipe(lam=0), "fer2013", 3, faces)
    assert re.fullmatch(r"fer2013-tiny-resnet18-softmax-seed3-[0-9a-f]{10}", softmax)


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
    with pytest.raises(FerError, match="not a finished run"):
        load_run(folder)
    resumed = train(make_recipe(epochs=3))
    assert len(calls) == 4  # after the cut the second and the third epoch
    assert {**resumed.metrics, "seconds": 0} == {**whole.metrics, "seconds": 0}
    assert resumed.config == whole.config
    assert np.array_equal(resumed.predictions["probabilities"], whole.predictions["probabilities"])
    assert not list(resumed.folder.glob("epoch-*")) and not (resumed.folder / "last.json").exists()
    (resumed.folder / "metrics.json").unlink()  # it counts as unfinished, and is completed
    assert {**train(make_recipe(epochs=3)).metrics, "seconds": 0} == {**whole.metrics, "seconds": 0}


FULL = OSError(28, "No space left on device")


@pytest.mark.parametrize("name, nth, error", [
    ("write_json", 1, KeyboardInterrupt), ("write_json", 4, KeyboardInterrupt), ("save_file", 1, FULL),
    ("savez_compressed", 1, FULL), ("write_json", 1, FULL)])
def test_what_stops_the_writing_of_results_loses_no_training(train, make_recipe, monkeypatch, name, nth, error):
    owner, calls = room if hasattr(room, name) else np, []
    write = getattr(owner, name)

    def fail(*args, **options):
        calls.append(None)
        if len(calls) == nth:
            raise error
        return write(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, fail)
        with pytest.raises((FerError, KeyboardInterrupt)) as caught:
            train(make_recipe())
    assert error is KeyboardInterrupt or re.search("training is done, but its results cannot be written.*Free some",
                                                   str(caught.value))
    monkeypatch.setattr(steps, "training_step", lambda *args: pytest.fail("trained again"))
    assert train(make_recipe()).metrics["epochs"] == 2


def test_a_folder_that_is_no_whole_run_is_named(train, make_recipe, tmp_path):
    folder = train(make_recipe(epochs=1)).folder
    for part, content in (("config", b""), ("environment", b"{half"), ("metrics", b"\xff\xfe")):
        path = folder / f"{part}.json"
        whole = path.read_bytes()
        path.write_bytes(content)
        said = refusal(load_run, folder)
        assert f"{folder.name}: not a finished run" in said and "delete the folder" in said
        path.write_bytes(whole)
    assert "nowhere: not a finished run" in refusal(load_run, tmp_path / "nowhere")


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


def test_runs_lie_where_fer_utils_runs_says_else_in_the_course_else_here(train, make_recipe, monkeypatch, tmp_path):
    monkeypatch.setenv("FER_UTILS_RUNS", str(tmp_path / "mine"))
    assert default_runs_dir() == train(make_recipe(epochs=1), runs_dir=None).folder.parent == tmp_path / "mine"
    monkeypatch.delenv("FER_UTILS_RUNS")
    for part in ("notebooks", "fer_utils"):
        (tmp_path / "course" / part).mkdir(parents=True)
    (tmp_path / "notebooks").mkdir()  # somebody's own, no course
    for place, home in (("course", "course"), ("course/notebooks", "course"), (".", ".")):
        monkeypatch.chdir(tmp_path / place)
        assert default_runs_dir() == tmp_path / home / "runs"


def test_on_colab_runs_lie_in_the_mounted_drive_unless_fer_utils_runs_says_where(monkeypatch, tmp_path):
    monkeypatch.setattr(room, "DRIVE", tmp_path)
    monkeypatch.delenv("FER_UTILS_RUNS", raising=False)
    assert default_runs_dir() == tmp_path / "fer_utils_runs"
    monkeypatch.setenv("FER_UTILS_RUNS", str(tmp_path / "mine"))
    assert default_runs_dir() == tmp_path / "mine"


def test_the_environment_tells_the_memory_and_the_commit_where_there_is_git(monkeypatch, tmp_path):
    found = environment()
    assert found["peak_memory_mb"] is None or 50 < found["peak_memory_mb"] < 100_000
    assert found["commit"] is None or re.fullmatch("[0-9a-f]{40}", found["commit"])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert environment()["commit"] is None


def test_a_folder_is_trained_in_the_recipes_size_on_its_own_validation_and_divided_by_its_persons(
        fits, tiny_network, make_recipe, tmp_path, cache, monkeypatch):
    def trained(name, splits, folders, **fields):
        write_own(tmp_path / name, folders, n=6, shape=(50, 60), splits=splits)
        put(tmp_path / name / splits[0] / folders[0] / "thumbnail.png", encoded(noise(17, 17)))
        given = {"dataset": "Folder", "data_dir": str(tmp_path / name)}
        run = find_or_train(make_recipe(**fields), device="cpu", runs_dir="~/runs", progress=False,
                            seed=np.int64(1), **given)
        assert run.folder.parent == tmp_path / "runs" and run.config["data_options"] == {"size": 32}
        assert fits[-1].train.images.shape[1:] == (32, 32) and "1 of" in fits[-1].train.source
        again = check_parameters(**given, overrides={"image_size": 32}).load("held-out")
        assert np.array_equal(run.predict(again)[1].astype(np.float16), run.predictions["probabilities"])
        return run

    monkeypatch.setenv("HOME", str(tmp_path))
    for fraction in (0.3, 0.0):
        run = trained("three", ("train", "val", "test"), EMOTIONS, validation_fraction=fraction)
        assert {name: part["images"] for name, part in run.config["data"].items()} == {
            "train": 43, "validation": 42, "test": 42}
        assert run.metrics["chosen_on"] == "validation"
    persons = trained("persons", [f"P{person}" for person in range(8)], EMOTIONS)
    assert set(fits[-1].train.persons).isdisjoint(fits[-1].validation.persons)
    assert trained("two", ("train", "val"), EMOTIONS, validation_fraction=0.0).metrics["chosen_on"] == "test"
    assert persons.metrics["chosen_on"] == "validation"
