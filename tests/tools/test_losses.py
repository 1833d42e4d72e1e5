"""What notebook 9's comparison rests on: a loop that is the engine's own, fair pairs, and errors counted by hand."""

import json
from importlib import import_module

import numpy as np
import pytest
import torch
from conftest import TinyNetwork

from fer_utils.datasets import load_dataset
from fer_utils.training import setup
from fer_utils.training.loop import fit

pytest.importorskip("pytorch_metric_learning", reason="it is among the packages of the notebooks")
losses = import_module("losses")
EVERY = [(name, strengths[0]) for name, strengths in losses.STRENGTHS.items()]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(setup, "CLResNet50", TinyNetwork)


@pytest.mark.parametrize("name, strength, lam", [("softmax", {}, 0.0), ("centre", {"lam": 0.02}, 0.02)])
def test_softmax_and_centre_loss_are_the_engines_to_the_last_bit(faces, make_recipe, validations, name, strength, lam):
    validations([0.1, 0.2, 0.3])  # the engine keeps the best epoch, and we the last
    train, validation = faces
    recipe = make_recipe(backbone="plain", epochs=3, lam=lam, alpha=0.5)
    wanted = fit(train, validation, recipe, seed=1, device="cpu", progress=False)
    network, inputs, history = losses.train(name, strength, train, train.labels, recipe, 1)
    assert inputs == {**wanted.inputs, "mirror": inputs["mirror"]}
    assert [row["train_accuracy"] for row in history] == wanted.history.train_accuracy.tolist()
    assert all(map(torch.equal, network.parameters(), wanted.model.parameters()))
    total = wanted.history.cross_entropy + lam * wanted.history.center_loss
    assert [row["cross_entropy"] for row in history] == pytest.approx(total.tolist(), rel=1e-5)


@pytest.mark.parametrize("name, strength", EVERY)
def test_every_loss_starts_from_one_network_and_falls(faces, make_recipe, name, strength):
    history = losses.train(name, strength, faces[0], faces[0].labels, make_recipe(backbone="plain", epochs=8), 1)[2]
    assert history[-1]["cross_entropy"] < history[0]["cross_entropy"]
    networks = []
    for classes in (name, "softmax"):
        with torch.random.fork_rng(devices=[]):
            networks.append(setup.build(make_recipe(), 1, torch.device("cpu"), 7)[0])
            losses.criterion(classes, networks[-1], 7, **losses.STRENGTHS[classes][0])
    assert torch.equal(networks[0].first.weight, networks[1].first.weight)


def test_pairs_are_as_often_of_one_person_as_not_and_never_told_apart_by_the_emotion():
    faces = load_dataset("synthetic", split="test", images_per_person=10)
    first, second, same = losses.draw_pairs(faces)
    assert (faces.labels[first] == faces.labels[second]).all() and (first < second).all()
    assert np.array_equal(faces.persons[first] == faces.persons[second], same) and same.mean() == 0.5
    assert len({*zip(first.tolist(), second.tolist())}) == len(first)
    assert set(faces.labels[first[same]]) == set(faces.labels[first[~same]])


def test_second_camera_changes_the_pictures_and_never_the_order():
    faces = load_dataset("synthetic", split="test", **losses.PERSONS)
    seen = losses.second_camera(faces)
    assert seen.shape == faces.images.shape and seen.dtype == np.uint8
    assert np.array_equal(seen, losses.second_camera(faces)) and (seen != faces.images).any((1, 2)).all()
    assert abs(seen.mean((1, 2)) - faces.images.mean((1, 2))).mean() < 20


def test_error_rates_by_hand():
    same = np.array([True, True, True, True, False, False, False, False])
    distances = np.array([1.0, 2.0, 3.0, 6.0, 2.5, 7.0, 8.0, 9.0])
    eer, threshold = losses.error_rates(same, distances)
    assert eer == 0.25  # below 3.5: three of four are found, one of four is taken for the same
    assert ((distances < threshold) == same).mean() == 7 / 8 and 6 < threshold < 7
    assert losses.error_rates(same, np.where(same, 1.0, 2.0))[0] == 0
    assert losses.error_rates(same, np.ones(8))[0] == 0.5


def test_a_second_call_trains_nothing_that_is_stored_and_validation_alone_chooses(tmp_path, monkeypatch):
    asked = []

    def closed_set(name, strength, seed):
        asked.append((name, strength, seed))
        order = losses.STRENGTHS[name].index(strength)
        return {"validation_accuracy": [0.5, 0.7, 0.6][order], "accuracy": [0.1, 0.2, 0.9][order]}

    def never_seen(name, strength, seed):
        asked.append((name, strength, seed))
        order = losses.STRENGTHS[name].index(strength)
        eer = [0.3, 0.4, 0.25][order], [0.35, 0.2, 0.25][order]
        return {"validation_eer_euclidean": eer[0], "validation_eer_cosine": eer[1],
                "test_eer_cosine": 0.5 - 0.1 * order}

    monkeypatch.setattr(losses, "OUT", tmp_path / "losses.json")
    monkeypatch.setattr(losses, "closed_set", closed_set)
    monkeypatch.setattr(losses, "never_seen", never_seen)
    losses.main()
    rows, count = json.loads(losses.OUT.read_text())["runs"], len(asked)
    losses.main()
    assert len(asked) == count == len(rows)
    judged = {(row["question"], row["name"]): row["strength"] for row in rows if row["seed"] in losses.SEEDS}
    for name, strengths in losses.STRENGTHS.items():
        chosen = strengths[min(1, len(strengths) - 1)]
        assert judged["closed_set", name] == judged["never_seen", name] == chosen


def test_photographs_take_the_strength_that_drawn_faces_chose(tmp_path, monkeypatch):
    chosen, asked = {name: strengths[-1] for name, strengths in losses.STRENGTHS.items()}, []
    runs = [{"question": "closed_set", "name": name, "seed": seed, "strength": losses.STRENGTHS[name][0] if seed == 0
             else chosen[name]} for name in chosen for seed in (losses.CHOICE, *losses.SEEDS)]
    (tmp_path / "losses.json").write_text(json.dumps({"runs": runs}))
    monkeypatch.setattr(losses, "OUT", tmp_path / "losses.json")
    monkeypatch.setattr(losses, "FER2013_OUT", tmp_path / "losses_fer2013.json")
    monkeypatch.setattr(losses, "load_dataset", lambda name, root, split, **options: load_dataset(
        "synthetic", split=split.removeprefix("public_")))
    monkeypatch.setattr(losses, "closed_set", lambda name, strength, seed, **data: asked.append((name, strength)) or {})
    for _ in range(2):  # the second call trains nothing
        losses.photographs("PATH")
    monkeypatch.setattr(losses, "load_dataset", lambda *_, **__: load_dataset("synthetic", split="test"))
    with pytest.raises(SystemExit, match="is of other images than PATH"):
        losses.photographs("PATH")
    assert asked == len(losses.SEEDS) * list(chosen.items())
    assert (tmp_path / "losses.json").read_text() == json.dumps({"runs": runs})
