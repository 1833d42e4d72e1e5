"""Networks in half precision: the same answers, a card that fits, and one line that evaluates them on any data."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import refusal
from datasets_on_disk import encoded, noise, put, write_own
from safetensors.torch import load_file, save_file

from fer_lab import cli as command_line
from fer_lab import half_precision
from fer_lab.half_precision import evaluate, export_half, load_network
from fer_utils.emotions import EMOTIONS
from fer_utils.evaluation import confusion, scores
from fer_utils.runs import run as beneath
from fer_utils.runs.run import find_or_train


@pytest.fixture
def splits(make_faces):
    return {"train": make_faces(100, seed=1), "test": make_faces(70, seed=2, split="test"),
            "probe": make_faces(21, seed=3, split="probe", size=40)}


@pytest.fixture
def run(splits, make_recipe, tiny_network, tmp_path, monkeypatch):
    monkeypatch.setattr(beneath, "load_dataset", lambda name, root=None, split="train": splits[split])
    return find_or_train(make_recipe(epochs=1), device="cpu", runs_dir=tmp_path / "runs", progress=False)


@pytest.fixture
def folder(run, tmp_path):
    return export_half(run, tmp_path / "half")


def in_precision(run, precision):
    return replace(run, config={**run.config, "inputs": {**run.config["inputs"], "precision": precision}})


def test_filters_and_matrices_are_halved_and_the_card_says_where_they_come_from(run, folder):
    path = folder / "model.half.safetensors"
    whole, half = load_file(run.folder / "model.safetensors"), load_file(path)
    assert half.keys() == whole.keys()
    for name, value in half.items():
        narrow = whole[name].is_floating_point() and whole[name].ndim > 1
        assert value.dtype == (torch.float16 if narrow else whole[name].dtype)
        assert torch.equal(value, whole[name].to(value.dtype))
    network = load_network(folder)
    assert not network.model.training and {value.dtype for value in network.model.parameters()} == {torch.float32}
    card = network.config
    for name in ("recipe", "inputs", "classes", "data", "seed", "engine", "dataset", "source"):
        assert card[name] == run.config[name]
    assert card["run"] == run.folder.name and card["metrics"]["accuracy"] == run.metrics["accuracy"]
    assert card["weights"]["bytes"] == path.stat().st_size and str(folder) not in json.dumps(card)


def test_answers_of_fp32_move_a_little_and_those_of_bf16_not_at_all(run, splits, tmp_path):
    for precision, most in (("fp32", 2e-3), ("bf16", 0)):
        whole = in_precision(run, precision)
        features, probabilities = whole.predict(splits["test"])
        half = load_network(export_half(whole, tmp_path / precision)).predict(splits["test"])
        assert np.abs(probabilities - half[1]).max() <= most
        assert np.abs(features - half[0]).max() <= most * max(1, np.abs(features).max())
    assert load_file(tmp_path / "bf16" / "model.half.safetensors")["classifier.weight"].dtype == torch.bfloat16


def test_weights_that_half_precision_cannot_hold_or_that_are_gone_are_refused(run, tmp_path):
    path = run.folder / "model.safetensors"
    state = load_file(path)
    state["classifier.weight"][0, 0] = 1e6
    save_file(state, path)
    assert "classifier.weight holds numbers that half precision cannot" in refusal(export_half, run, tmp_path / "half")
    assert not (tmp_path / "half").exists()
    export_half(in_precision(run, "bf16"), tmp_path / "half")  # which reaches as far as fp32
    path.unlink()
    assert "the weights of this run cannot be read" in refusal(export_half, run, tmp_path / "half")


def test_an_evaluation_is_the_scores_on_the_split_for_a_run_and_its_network(run, folder, splits, monkeypatch):
    monkeypatch.setattr(half_precision, "load_dataset", lambda name, root=None, split="train": splits[split])
    notes = {"test": "these are the images of its own test part",
             "probe": "images of 40 x 40 pixels, resized to 32 x 32",
             "train": "a training split: the network may have been trained on some of these images"}
    for place in (run.folder, folder):
        for name, note in notes.items():
            faces = splits[name]
            answers = load_network(place).predict(faces)[1].argmax(1)
            found, lines = scores(faces.labels, answers), evaluate(place, "synthetic", split=name).splitlines()
            data = f"random pixels, {name}: {len(faces)} images, fingerprint {faces.fingerprint}"
            assert lines[:7] == [run.folder.name, data, note, "", f"accuracy     {found['accuracy']:.4f}",
                                 f"weighted F1  {found['weighted_f1']:.4f}", f"macro F1     {found['macro_f1']:.4f}"]
            assert [line.split() for line in lines[9:16]] == [[name, f"{share:.3f}"]
                                                              for name, share in found["recall"].items()]
            counts = confusion(faces.labels, answers).astype(str).tolist()
            assert [line.split() for line in lines[-7:]] == [[name, *row] for name, row in zip(EMOTIONS, counts)]
    assert "random pixels, test" in evaluate(folder, "synthetic")
    for classes in ((*EMOTIONS, "contempt"), EMOTIONS[::-1]):
        splits["test"] = replace(splits["test"], classes=classes)
        assert "was trained to answer anger, disgust" in refusal(evaluate, folder, "synthetic")


def test_a_network_that_is_damaged_or_whose_card_is_not_whole_is_refused(folder):
    weights, path = folder / "model.half.safetensors", folder / "card.json"
    content, card = weights.read_bytes(), json.loads(path.read_text())
    neither = "neither an exported network, which has a whole card.json, nor a finished run"
    cases = [(path, broken, neither) for broken in (None, b"", b"{half", b"\xff\xfe", b"[]", b'"x"', b"{}")]
    cases += [(path, json.dumps({**card, field: part}).encode(), words) for field, part, words in (
        ("run", None, "does not say run"), ("classes", None, "does not say classes"), ("recipe", None, neither),
        ("recipe", {}, "does not say backbone"), ("inputs", {"size": 32}, "does not say mean, std"))]
    cases += [(weights, broken, "model.half.safetensors: missing, damaged or of another network")
              for broken in (None, b"", content[:-1], content[:-1] + bytes([content[-1] ^ 1]))]
    unnoticed = []
    for file, broken, words in cases:
        whole = file.read_bytes()
        file.unlink()
        if broken is not None:
            file.write_bytes(broken)
        unnoticed += [broken] if words not in refusal(load_network, folder) else []
        file.write_bytes(whole)
    assert not unnoticed


def test_one_line_evaluates_a_network_on_a_folder_of_ones_own(folder, tmp_path, cache, capsys):
    write_own(tmp_path / "mine", n=3, splits=("train", "test"), shape=(90, 70))
    put(tmp_path / "mine" / "test" / "fear" / "00.png", encoded(noise(17, 17)))  # it makes no other image small
    command_line.main(["evaluate", str(folder), "folder", str(tmp_path / "mine"), "--split", "test"])
    printed = capsys.readouterr().out
    assert printed == evaluate(folder, "folder", tmp_path / "mine", "test") + "\n" and "21 images" in printed
    assert "mine, 1 of 21 images enlarged to 32 pixels, test: 21 images" in printed
    with pytest.raises(SystemExit, match="neither an exported network"):
        command_line.main(["evaluate", str(tmp_path), "synthetic"])
