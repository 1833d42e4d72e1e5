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
from fer_utils.runs.run import Run, find_or_train


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
    return export_half(run, tmp_path / "half")


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
    model = load_network(folder).model
    assert not model.training and {value.dtype for value in model.parameters()} == {torch.float32}


def test_answers_of_fp32_move_a_little_and_those_of_bf16_not_at_all(run, splits, tmp_path):
    for precision, most in (("fp32", 2e-3), ("bf16", 0)):
        whole = in_precision(run, precision)
        half = load_network(export_half(whole, tmp_path / precision))
        features, probabilities = whole.predict(splits["test"])
        half_features, half_probabilities = half.predict(splits["test"])
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


def test_weights_that_half_precision_cannot_hold_or_that_are_gone_are_refused(run, tmp_path):
    path = run.folder / "model.safetensors"
    state = load_file(path)
    state["classifier.weight"][0, 0] = 1e6
    save_file(state, path)
    with pytest.raises(FerError, match="classifier.weight holds numbers that half precision cannot"):
        export_half(run, tmp_path / "half")
    assert not (tmp_path / "half").exists()
    export_half(in_precision(run, "bf16"), tmp_path / "half")  # which reaches as far as fp32
    path.unlink()
    with pytest.raises(FerError, match="the weights of this run cannot be read"):
        export_half(run, tmp_path / "half")


# Evaluated


def test_an_evaluation_is_the_scores_on_the_split(folder, splits):
    for name, notes in (("test", "these are the images of its own test part"),
                        ("probe", "images of 40 x 40 pixels, resized to 32 x 32"),
                        ("train", "a training split: the network may have been trained on some of these images")):
        found, faces = evaluate(folder, "synthetic", split=name), splits[name]
        answers = load_network(folder).predict(faces)[1].argmax(1)
        assert found.scores == scores(faces.labels, answers) and found.notes == (notes,)
        assert np.array_equal(found.counts, confusion(faces.labels, answers))
        assert (found.images, found.split, found.fingerprint) == (len(faces), name, faces.fingerprint)
    assert evaluate(folder, "synthetic").split == "test"


def test_a_run_folder_is_evaluated_as_well_and_gives_its_metrics(run):
    network = load_network(run.folder)
    assert isinstance(network, Run) and network.metrics == run.metrics
    found = evaluate(run.folder, "synthetic")
    assert found.name == run.folder.name
    assert found.scores == {name: run.metrics[name] for name in ("accuracy", "weighted_f1", "macro_f1", "recall")}
    assert found.counts.tolist() == run.metrics["confusion"]


def test_data_of_other_classes_or_another_order_is_refused(folder, splits):
    for classes in ((*EMOTIONS, "contempt"), EMOTIONS[::-1]):
        splits["test"] = replace(splits["test"], classes=classes)
        with pytest.raises(FerError, match="has the classes .* was trained to answer anger, disgust"):
            evaluate(folder, "synthetic")


# What may be wrong with an exported network


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


def test_a_card_that_is_missing_broken_or_not_whole_is_named(folder):
    path = folder / "card.json"
    card = json.loads(path.read_text())
    for content in (b"", b"{half", b"\xff\xfe"):
        path.write_bytes(content)
        with pytest.raises(FerError, match="neither an exported network, which has a card.json, nor a finished run"):
            load_network(folder)
    for content in ([], "x", {}):
        path.write_text(json.dumps(content))
        with pytest.raises(FerError, match="this card does not say run, recipe, data"):
            load_network(folder)
    for field, content, missing in (*((name, None, f"{name}; fetch the folder again")
                                      for name in ("recipe", "inputs", "classes", "data", "run")),
                                    ("weights", {}, "weights: bytes, weights: sha256"),
                                    ("recipe", {}, "recipe: backbone"), ("inputs", {"size": 32}, "inputs: mean")):
        path.write_text(json.dumps({**card, field: content}))
        with pytest.raises(FerError, match=f"this card does not say {missing}"):
            load_network(folder)
    path.unlink()
    with pytest.raises(SystemExit, match="neither an exported network"):  # in a line, from the command line
        command_line.main(["evaluate", str(folder), "synthetic"])


def test_weights_of_another_network_do_not_fit(make_faces, make_recipe, splits, tmp_path):
    run = find_or_train(make_recipe(epochs=1, batch_size=62), device="cpu", runs_dir=tmp_path, progress=False)
    folder = export_half(run, tmp_path / "half")
    assert evaluate(folder, "synthetic").images == 70
    for fields in ({"classes": [*EMOTIONS, "contempt"]},
                   {"classes": EMOTIONS, "recipe": {**run.config["recipe"], "backbone": "resnet50"}}):
        change_card(folder, **fields)
        with pytest.raises(FerError, match="weights of another network"):
            load_network(folder)


def test_one_line_evaluates_a_network_on_a_folder_of_ones_own(make_recipe, tiny_network, make_faces, tmp_path, cache,
                                                              capsys, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(beneath, "load_dataset", lambda name, root=None, split="train": make_faces(100, split=split))
        run = find_or_train(make_recipe(epochs=1), device="cpu", runs_dir=tmp_path / "runs", progress=False)
    folder, images = export_half(run, tmp_path / "half"), iter(make_faces(42).images)
    for part in ("train", "test"):
        for emotion in EMOTIONS:
            (tmp_path / "mine" / part / emotion).mkdir(parents=True)
            for row in range(3):
                Image.fromarray(next(images)).save(tmp_path / "mine" / part / emotion / f"{row}.png")
    command_line.main(["evaluate", str(folder), "folder", str(tmp_path / "mine"), "--split", "test"])
    printed = capsys.readouterr().out
    found = evaluate(folder, "folder", tmp_path / "mine", "test")
    assert printed == f"{found}\n" and found.images == 21
    for expected in ("21 images", found.fingerprint, f"accuracy     {found.scores['accuracy']:.4f}", "weighted F1",
                     f"macro F1     {found.scores['macro_f1']:.4f}", "recall", "true classes in rows"):
        assert expected in printed
    rows = [row.split() for row in printed.splitlines()[-7:]]
    assert [row[0] for row in rows] == list(EMOTIONS)
    assert [[int(count) for count in row[1:]] for row in rows] == found.counts.tolist()
