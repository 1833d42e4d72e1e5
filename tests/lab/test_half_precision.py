"""Networks in half precision: the same answers, a card that fits, and one line that evaluates them on any data."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from fer_lab import cli as command_line
from fer_lab import half_precision
from fer_lab.half_precision import evaluate, export_half, load_network
from fer_utils.emotions import EMOTIONS
from fer_utils.errors import FerError
from fer_utils.evaluation import confusion, scores
from fer_utils.runs import run as beneath
from fer_utils.runs.run import Run, find_or_train, load_run


@pytest.fixture
def splits(make_faces, monkeypatch):
    splits = {"train": make_faces(100, seed=1), "test": make_faces(70, seed=2, split="test"),
              "probe": make_faces(21, seed=3, split="probe", size=40)}
    for module in (beneath, half_precision):
        monkeypatch.setattr(module, "load_dataset", lambda name, root=None, split="train", **options: splits[split])
    return splits


@pytest.fixture
def run(splits, make_recipe, tiny_network, tmp_path):
    return find_or_train(make_recipe(epochs=1), device="cpu", runs_dir=tmp_path / "runs", progress=False)


@pytest.fixture
def folder(run, tmp_path):
    return export_half(run, tmp_path / "checkpoint")


def change_card(folder, **fields):
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**card, **fields}))


def in_precision(run, precision):
    return replace(run, config={**run.config, "inputs": {**run.config["inputs"], "precision": precision}})


# Written and read


def test_filters_and_matrices_are_halved_and_nothing_else_is(run, folder):
    whole, half = load_file(run.folder / "model.safetensors"), load_file(folder / "model.half.safetensors")
    assert half.keys() == whole.keys()
    for name, value in half.items():
        narrow = whole[name].is_floating_point() and whole[name].ndim > 1
        assert value.dtype == (torch.float16 if narrow else whole[name].dtype)
        assert torch.equal(value, whole[name].to(value.dtype))
    assert (folder / "model.half.safetensors").stat().st_size < (run.folder / "model.safetensors").stat().st_size


def test_answers_of_fp32_move_a_little_and_those_of_bf16_not_at_all(run, splits, tmp_path):
    test = splits["test"]
    for precision, most in (("fp32", 2e-3), ("bf16", 0)):
        mine = in_precision(run, precision)
        checkpoint = load_network(export_half(mine, tmp_path / precision))
        features, probabilities = mine.predict(test)
        half_features, half_probabilities = checkpoint.predict(test)
        assert np.abs(probabilities - half_probabilities).max() <= most
        assert np.abs(features - half_features).max() <= most * max(1, np.abs(features).max())
    assert load_file(tmp_path / "bf16" / "model.half.safetensors")["classifier.weight"].dtype == torch.bfloat16


def test_the_card_says_where_the_network_comes_from(run, folder):
    card = load_network(folder).card
    for name in ("recipe", "inputs", "classes", "data", "seed", "engine", "dataset", "source"):
        assert card[name] == run.config[name]
    assert card["run"] == run.folder.name and card["metrics"]["accuracy"] == run.metrics["accuracy"]
    assert card["weights"]["bytes"] == (folder / "model.half.safetensors").stat().st_size
    assert str(folder) not in json.dumps(card)


def test_the_network_is_in_evaluation_mode_and_in_single_precision(folder):
    model = load_network(folder).model
    assert not model.training and {value.dtype for value in model.parameters()} == {torch.float32}


def test_weights_that_half_precision_cannot_hold_are_refused(run, tmp_path):
    state = load_file(run.folder / "model.safetensors")
    state["classifier.weight"][0, 0] = 1e6
    save_file(state, run.folder / "model.safetensors")
    with pytest.raises(FerError, match="classifier.weight holds numbers that half precision cannot"):
        export_half(run, tmp_path / "half")
    assert not (tmp_path / "half").exists()
    export_half(in_precision(run, "bf16"), tmp_path / "half")  # which reaches as far as fp32


def test_a_run_whose_weights_are_gone_cannot_be_exported(run, tmp_path):
    (run.folder / "model.safetensors").unlink()
    with pytest.raises(FerError, match="the weights of this run cannot be read"):
        export_half(run, tmp_path / "half")


# Evaluated


def test_an_evaluation_is_the_scores_on_the_split(run, folder, splits):
    for name in ("test", "probe"):
        found, faces = evaluate(folder, "synthetic", split=name), splits[name]
        answers = load_network(folder).predict(faces)[1].argmax(1)
        assert found.scores == scores(faces.labels, answers)
        assert np.array_equal(found.counts, confusion(faces.labels, answers))
        assert (found.images, found.split, found.fingerprint) == (len(faces), name, faces.fingerprint)
    assert evaluate(folder, "synthetic").split == "test"


def test_a_run_folder_is_evaluated_as_well_and_gives_its_metrics(run):
    assert isinstance(load_network(run.folder), Run)
    found = evaluate(run.folder, "synthetic")
    assert found.name == run.folder.name
    assert found.scores == {name: run.metrics[name] for name in ("accuracy", "weighted_f1", "macro_f1", "recall")}
    assert found.counts.tolist() == run.metrics["confusion"]


def test_notes_say_what_the_numbers_are_worth(folder, splits):
    assert evaluate(folder, "synthetic").notes == ("these are the images of its own test part",)
    assert evaluate(folder, "synthetic", split="probe").notes == ("images of 40 x 40 pixels, resized to 32 x 32",)
    assert evaluate(folder, "synthetic", split="train").notes == (
        "a training split: the network may have been trained on some of these images",)


@pytest.mark.parametrize("classes", [(*EMOTIONS, "contempt"), EMOTIONS[::-1]])
def test_data_of_other_classes_or_another_order_is_refused(folder, splits, classes):
    splits["test"] = replace(splits["test"], classes=classes)
    with pytest.raises(FerError, match="has the classes .* was trained to answer anger, disgust"):
        evaluate(folder, "synthetic")


# What may be wrong with a checkpoint


def test_a_damaged_file_is_refused(folder):
    path = folder / "model.half.safetensors"
    content = path.read_bytes()
    for broken in (content[:-1], content[:-1] + bytes([content[-1] ^ 1]), b""):
        path.write_bytes(broken)
        with pytest.raises(FerError, match=f"damaged.* {len(broken)} bytes, the card says {len(content)}"):
            load_network(folder)
    path.unlink()
    with pytest.raises(FerError, match="model.half.safetensors: the weights are missing"):
        load_network(folder)


@pytest.mark.parametrize("content", [None, b"", b"{half", b"\xff\xfe"])
def test_a_card_that_is_missing_or_broken_is_named(folder, content):
    (folder / "card.json").unlink() if content is None else (folder / "card.json").write_bytes(content)
    with pytest.raises(FerError, match="neither an exported network, which has a card.json, nor a finished run"):
        load_network(folder)


@pytest.mark.parametrize("content, missing", [("[]", "run, recipe, data"), ('"x"', "run, recipe, data"),
                                              ("{}", "run, recipe, data")])
def test_a_card_that_is_something_else_is_named(folder, content, missing):
    (folder / "card.json").write_text(content)
    with pytest.raises(FerError, match=f"this card does not say {missing}"):
        load_network(folder)


@pytest.mark.parametrize("field", ["recipe", "inputs", "classes", "data", "run"])
def test_a_card_without_a_field_is_named(folder, field):
    change_card(folder, **{field: None})
    with pytest.raises(FerError, match=f"this card does not say {field}; fetch the folder again"):
        load_network(folder)


@pytest.mark.parametrize("fields", [{"weights": {}}, {"recipe": {}}, {"inputs": {"size": 32}}])
def test_a_card_without_what_is_in_a_field_is_named(folder, fields):
    change_card(folder, **fields)
    with pytest.raises(FerError, match="this card does not say"):
        load_network(folder)


def test_weights_of_another_network_do_not_fit(make_faces, make_recipe, splits, tmp_path):
    run = find_or_train(make_recipe(epochs=1, batch_size=62), device="cpu", runs_dir=tmp_path, progress=False)
    folder = export_half(run, tmp_path / "half")
    assert evaluate(folder, "synthetic").images == 70
    change_card(folder, classes=[*EMOTIONS, "contempt"])
    with pytest.raises(FerError, match="weights of another network.* 8 classes"):
        load_network(folder)
    change_card(folder, classes=EMOTIONS, recipe={**run.config["recipe"], "backbone": "resnet50"})
    with pytest.raises(FerError, match="weights of another network"):
        load_network(folder)


# From the command line


def test_one_line_evaluates_a_checkpoint_on_a_folder_of_ones_own(make_recipe, tiny_network, make_faces, tmp_path, cache,
                                                                 capsys, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(beneath, "load_dataset", lambda name, root=None, split="train": make_faces(100, split=split))
        folder = export_half(find_or_train(make_recipe(epochs=1), device="cpu", runs_dir=tmp_path / "runs", progress=False),
                        tmp_path / "checkpoint")
    chance = np.random.default_rng(0)
    for part in ("train", "test"):
        for emotion in EMOTIONS:
            (tmp_path / "mine" / part / emotion).mkdir(parents=True)
            for row in range(3):
                Image.fromarray(chance.integers(0, 256, (32, 32), np.uint8)).save(
                    tmp_path / "mine" / part / emotion / f"{row}.png")
    command_line.main(["evaluate", str(folder), "folder", str(tmp_path / "mine"), "--split", "test"])
    printed = capsys.readouterr().out
    found = evaluate(folder, "folder", tmp_path / "mine", "test")
    assert printed == f"{found}\n" and found.images == 21
    for expected in ("21 images", found.fingerprint, f"accuracy     {found.scores['accuracy']:.4f}", "weighted F1",
                     f"macro F1     {found.scores['macro_f1']:.4f}", "recall", "true classes in rows"):
        assert expected in printed
    rows = printed.splitlines()[-7:]
    assert [row.split()[0] for row in rows] == list(EMOTIONS)
    assert [[int(count) for count in row.split()[1:]] for row in rows] == found.counts.tolist()


def test_the_command_line_says_what_is_wrong_in_a_line(folder, capsys):
    with pytest.raises(SystemExit, match="neither an exported network"):
        command_line.main(["evaluate", str(folder.parent / "nowhere"), "synthetic"])
    (folder / "model.half.safetensors").write_bytes(b"x")
    with pytest.raises(SystemExit, match="damaged"):
        command_line.main(["evaluate", str(folder), "synthetic"])


def test_a_run_folder_is_loaded_by_the_runs_own_reader(run):
    assert load_network(run.folder).metrics == load_run(run.folder).metrics
