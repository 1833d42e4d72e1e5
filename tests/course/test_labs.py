"""The labs in Python: a slider that moves, moves the figure; without a kernel a picture and words remain."""

import base64
import io
import json
import re
import tomllib

import numpy as np
import pytest
from browsing import ROOT
from conftest import refusal
from lab_pages import grid_of_runs, run_of
from PIL import Image

from fer_course.labs.center_lab import center_lab, simulate
from fer_course.labs.face_lab import face_lab, face_of
from fer_course.labs.face_lab.widget import UNIT_NAMES
from fer_course.labs.results_lab import results_lab
from fer_course.labs.shared import show_lab
from fer_utils.emotions import EMOTIONS
from fer_utils.errors import FerError
from fer_utils.faces import ACTION_UNITS, UNITS


def test_the_lab_keeps_what_the_reader_chose():
    lab, other = center_lab(0.1, 0.7, 3, update="sgd"), center_lab()
    assert lab.options == {"lam": 0.1, "alpha": 0.7, "batch": 62, "update": "sgd", "imbalance": 1.0, "seed": 3}
    lab.set_state({"lam": 2, "batch": 90})  # as the browser sends it: JavaScript knows no 2.0
    assert (lab.lam, lab.batch) == (2.0, 90) and other.options["lam"] == 0.2
    assert simulate(**lab.options, steps=0).options == lab.options
    assert set(lab.options) <= set(lab.get_state()), "an option that never reaches the browser"


def test_a_lab_leaves_a_picture_and_words_and_a_wheel_its_module(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw, metadata: shown.append((bundle, metadata)))
    lab, faces = center_lab(0.4, 1.9), face_lab()
    for widget in (lab, faces):
        show_lab(widget, lab.still()[0], "words")
    for bundle, metadata in shown:
        assert set(bundle) == {"application/vnd.jupyter.widget-view+json", "text/plain", "image/png"}
        assert metadata["image/png"]["alt"] == bundle["text/plain"] == "words"
    assert [metadata["image/png"].get("lab") for _, metadata in shown] == [
        {"module": "center_lab", "options": lab.options}, None]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "labs/**/*.js" in project["tool"]["setuptools"]["package-data"]["fer_course"]


# The explorer of stored runs


def unpacked(text):
    """What the browser makes of a cell's points."""
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    numbers = [64 * digits.index(a) + digits.index(b) - 2048 for a, b in zip(text[::2], text[1::2])]
    return np.array(numbers).reshape(-1, 2) / 100


def test_the_explorer_keeps_every_run():
    cells = grid_of_runs()
    lab = results_lab(cells, {"rule": "SGD", "seed": 1})
    data = json.loads(lab.data)
    assert [(it["name"], it["stops"], it["numeric"]) for it in data["parameters"]] == [
        ("rule", ["Eq. 2", "SGD", "softmax"], False), ("α", [None, 0.5, 1, 1.9], True), ("seed", [0, 1], True)]
    assert lab.chosen == 7 and lab.cell["parameters"] == {"rule": "SGD", "α": 0.5, "seed": 1}
    assert data["labels"] == "".join(map(str, cells[0]["labels"])) and not any("labels" in it for it in data["cells"])
    for given, kept, stored in zip(cells, lab.cells, data["cells"], strict=True):
        around = given["points"] - given["points"].mean(0)
        spread = np.sqrt((around**2).sum(1).mean())
        assert np.abs(unpacked(stored["points"])) == pytest.approx(np.abs(around / spread), abs=0.0051)
        assert np.array_equal(unpacked(stored["points"]), kept["points"])
        assert stored["spread"] == pytest.approx(spread, rel=0.01)
        assert stored["accuracy"] == round(given["accuracy"], 1) and stored["ratio"] == round(given["ratio"], 2)
        assert stored["confusion"] == sum(given["confusion"], [])
        assert stored["validation"] == pytest.approx(given["curves"]["validation"], abs=0.051)
        values = [it["stops"][k] for it, k in zip(data["parameters"], stored["values"])]
        assert values == list(kept["parameters"].values())


def test_sixty_runs_fit_into_a_notebook():
    rng = np.random.default_rng(0)
    lab = results_lab([run_of(rng, epochs=12, α=k, seed=s) for k in range(12) for s in range(5)])
    assert len(json.dumps(lab.data)) < 90_000 and "\n" not in lab.data


def test_points_are_turned_back_where_they_are_mirrored_and_may_have_labels_of_their_own_or_one_place():
    rng = np.random.default_rng(0)
    first = run_of(rng, α=1)
    mirrored = {**first, "parameters": {"α": 2}, "points": first["points"] * (-1, 1)}
    other = run_of(rng, faces=70, α=3) | {"points": np.full((70, 2), 3.0), "ratio": float("nan")}
    lab = results_lab([first, mirrored, other])
    assert np.array_equal(lab.cells[0]["points"], lab.cells[1]["points"])
    stored = json.loads(lab.data)["cells"][2]
    assert len(stored["labels"]) == 70 and stored["spread"] == 0 and stored["ratio"] is None
    assert not unpacked(stored["points"]).any()


def test_the_alt_text_says_what_is_seen():
    cell = run_of(np.random.default_rng(0), rule="Eq. 2", α=1.0) | {"accuracy": 57.84, "ratio": 1.034}
    cell["curves"] = {"training": [30, 50, 70], "validation": [30.0, 58.26, 50]}
    cell["confusion"] = np.eye(7, dtype=int) * 15 + np.eye(7, k=3, dtype=int)
    cell["confusion"][2, 5] = 5
    alt = results_lab([cell]).still()[1]
    assert ("rule Eq. 2, α 1: accuracy 57.8 %, intra/inter-class distance 1.03. Best validation epoch 2 of 3, 58.3 %. "
            "Most often mistaken: fear, taken for sadness in 25 % of its faces.") in alt
    cell["confusion"] = np.eye(7)
    assert "No face is mistaken." in results_lab([cell]).still()[1]


def test_the_still_follows_the_chosen_run_and_keeps_in_its_runs():
    lab = results_lab(grid_of_runs())
    assert "softmax" not in lab.still()[1] and set(lab.options) <= set(lab.get_state())
    lab.chosen = 11
    cell = lab.cell
    assert cell["parameters"] == {"rule": "softmax", "α": None, "seed": 1}
    assert "rule softmax, α none" in lab.still()[1]
    curves, matrix, plane = lab.still()[0].axes
    assert [list(line.get_ydata()) for line in curves.lines[:2]] == [cell["curves"][name]
                                                                     for name in ("training", "validation")]
    assert [text.get_text() for text in matrix.texts][:2] == [
        str(int(100 * n / sum(cell["confusion"][0]) + 0.5)) for n in cell["confusion"][0][:2]]
    shown = np.concatenate([group.get_offsets() for group in plane.collections])
    assert np.array_equal(np.sort(shown, 0), np.sort(cell["points"], 0)) and plane.get_xlim()[1] == cell["reach"]
    for wrong in (12, -1):
        with pytest.raises(FerError, match="0 to 11"):
            lab.chosen = wrong


DO_NOT_FIT = [
    ({"accuracy": 101}, "cell 3: accuracy"), ({"accuracy": float("nan")}, "cell 3: accuracy"),
    ({"ratio": "x"}, "cell 3: ratio"), ({"curves": [1, 2]}, "cell 3: curves"),
    ({"curves": {"training": [1, 2], "validation": [1]}}, "different numbers of epochs"),
    ({"curves": {"training": [], "validation": []}}, "curves['training']"),
    ({"confusion": np.ones((8, 8))}, "confusion"), ({"confusion": np.zeros((7, 7))}, "no face"),
    ({"points": np.full((200, 2), np.inf)}, "points"), ({"points": np.ones((199, 2))}, "199 points and 200 labels"),
    ({"points": np.ones((501, 2)), "labels": [0] * 501}, "more than 500"), ({"labels": [7] * 200}, "labels"),
    ({"labels": [0.5] * 200}, "whole numbers"), ({"parameters": {}}, "parameters"),
    ({"parameters": {"rule": "SGD", "seed": 0}}, "same names"),
    ({"parameters": {"rule": "Eq. 2", "α": 0.5, "seed": 0}}, "another cell has the same"),
    ({"parameters": {"rule": "SGD", "α": "x", "seed": 0}}, "a word in others"),
    ({"parameters": {"rule": "SGD", "α": [1], "seed": 0}}, "a number, a word, or None")]


def test_the_explorer_refuses_what_does_not_fit():
    cells = grid_of_runs()
    cases = [([*cells[:3], {**cells[3], **change}, *cells[4:]], None, told) for change, told in DO_NOT_FIT]
    cases += [([{name: value for name, value in cells[0].items() if name != key}], None, key) for key in cells[0]]
    cases += [(wrong, None, "dict") for wrong in ([], None, cells[0], ["run"])]
    cases += [(cells, {"rule": "SGD", "α": 1.9}, "no cell has these"),
              ([{**cell, "accuracy": 0.6} for cell in cells], None, "give percent")]
    answers = [(told, refusal(results_lab, given, start)) for given, start, told in cases]
    failed = [f"{told!r} is not in {words!r}" for told, words in answers if told not in words]
    assert not failed, "\n".join(failed)


# The face lab


def face_parts(lab):
    (prototype, person, picture), units = lab.children[0].children, lab.children[1].children
    return prototype, person, picture, {int(slider.description.split()[0]): slider for slider in units}


def test_there_is_a_slider_for_each_action_unit_and_a_prototype_sets_them():
    prototype, person, picture, units = face_parts(face_lab("fear"))
    assert tuple(units) == UNITS == tuple(UNIT_NAMES)
    seen = set()
    for emotion in EMOTIONS:
        prototype.value = emotion
        assert {unit for unit, slider in units.items() if slider.value} == set(ACTION_UNITS[emotion])
        told = ", ".join(map(str, ACTION_UNITS[emotion])) or "none"
        assert f"action units: {told}\"" in picture.value
        seen.add(picture.value)
    units[12].value = 0.5
    seen.add(picture.value)
    person.value = 7
    assert len(seen | {picture.value}) == len(EMOTIONS) + 2, "each moves the picture"


def test_a_face_keeps_its_person_and_is_shown_large_and_as_a_network_gets_it():
    plain, smile, other = face_of({}), face_of({12: 1.0, 6: 1.0}), face_of({}, person=1)
    assert np.array_equal(plain[:30], smile[:30]) and not np.array_equal(plain, smile)  # the hair stays
    assert not np.array_equal(plain[:30], other[:30])
    _, _, picture, units = face_parts(face_lab(person=4))
    units[12].value = 0.5
    shown = [Image.open(io.BytesIO(base64.b64decode(png))) for png in re.findall(r'base64,([^"]+)"', picture.value)]
    assert [(image.size, image.mode) for image in shown] == [((240, 240), "RGB"), ((48, 48), "L")]
    assert np.array_equal(np.asarray(shown[1]), face_of({12: 0.5}, person=4, size=48, colour=False))
