"""The labs: a slider that moves, moves the figure; without a kernel a picture and words remain."""

import base64
import importlib.resources
import io
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_utils import EMOTIONS, plots, sliders
from fer_utils.errors import FerError
from fer_utils.faces import ACTION_UNITS, UNITS
from fer_utils.simulation import simulate


def test_the_lab_keeps_what_the_reader_chose():
    lab, other = sliders.center_lab(0.7, 0.1, 3, update="sgd"), sliders.center_lab()
    assert lab.options == {"alpha": 0.7, "lam": 0.1, "batch": 24, "update": "sgd", "seed": 3}
    lab.set_state({"alpha": 2, "batch": 90})  # as the browser sends it: JavaScript knows no 2.0
    assert (lab.alpha, lab.batch) == (2.0, 90) and other.options["alpha"] == 0.5
    assert simulate(**lab.options).rho == pytest.approx(1 - 2 / 3)
    assert set(lab.options) <= set(lab.get_state()), "an option that never reaches the browser"


@pytest.mark.parametrize("wrong", [{"alpha": -1}, {"lam": float("nan")}, {"batch": 0}, {"batch": 91}, {"batch": 2.5},
                                   {"update": "rmsprop"}, {"seed": -1}, {"seed": 0.5}])
def test_the_lab_refuses_what_has_no_meaning(wrong):
    with pytest.raises(FerError, match=next(iter(wrong))):
        sliders.center_lab(**wrong)


def test_the_lab_brings_its_module():
    assert "export function simulate" in sliders.center_lab().get_state()["_esm"]
    assert importlib.resources.files("fer_utils").joinpath("center_lab.js").is_file()
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))
    data = project["tool"]["setuptools"]["package-data"]
    assert "*.js" in data["fer_utils"], "a wheel would leave the module out"


def test_a_lab_leaves_a_picture_and_words(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw, metadata: shown.append((bundle, metadata)))
    lab, faces = sliders.center_lab(1.9, 0.4), sliders.face_lab()
    for widget in (lab, faces):
        sliders.show(widget, plots.moving_centers(simulate(0.5, 0.2)), "words")
    for bundle, metadata in shown:
        assert set(bundle) == {"application/vnd.jupyter.widget-view+json", "text/plain", "image/png"}
        assert metadata["image/png"]["alt"] == bundle["text/plain"] == "words"
    assert [metadata["image/png"].get("center_lab") for _, metadata in shown] == [lab.options, None]


# The face lab


def face_parts(lab):
    (prototype, person, picture), units = lab.children[0].children, lab.children[1].children
    return prototype, person, picture, {int(slider.description.split()[0]): slider for slider in units}


def test_there_is_a_slider_for_each_action_unit():
    *_, units = face_parts(sliders.face_lab())
    assert tuple(units) == UNITS == tuple(sliders.UNIT_NAMES)


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_a_prototype_sets_its_action_units(emotion):
    prototype, _, picture, units = face_parts(sliders.face_lab("fear"))
    prototype.value = emotion
    assert {unit for unit, slider in units.items() if slider.value} == set(ACTION_UNITS[emotion])
    told = ", ".join(map(str, ACTION_UNITS[emotion])) or "none"
    assert f"action units: {told}\"" in picture.value


def test_a_unit_and_a_person_change_the_picture():
    _, person, picture, units = face_parts(sliders.face_lab())
    seen = [picture.value]
    units[12].value = 0.5
    seen.append(picture.value)
    person.value = 7
    seen.append(picture.value)
    assert len(set(seen)) == 3


def test_a_face_keeps_its_person_whatever_it_does():
    plain, smile, other = sliders.face_of({}), sliders.face_of({12: 1.0, 6: 1.0}), sliders.face_of({}, person=1)
    assert plain.shape == (144, 144, 3) and plain.dtype == np.uint8
    assert np.array_equal(plain[:30], smile[:30]) and not np.array_equal(plain, smile)  # the hair stays
    assert not np.array_equal(plain[:30], other[:30])


def test_the_lab_shows_the_face_large_and_as_a_network_gets_it():
    _, _, picture, units = face_parts(sliders.face_lab(person=4))
    units[12].value = 0.5
    shown = [Image.open(io.BytesIO(base64.b64decode(png))) for png in re.findall(r'base64,([^"]+)"', picture.value)]
    assert [(image.size, image.mode) for image in shown] == [((240, 240), "RGB"), ((48, 48), "L")]
    assert np.array_equal(np.asarray(shown[1]), sliders.face_of({12: 0.5}, person=4, size=48, colour=False))
