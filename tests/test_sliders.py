"""The labs: a slider that moves, moves the figure; without a kernel a picture and words remain."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from fer_utils import EMOTIONS, plots, sliders
from fer_utils.center_loss import simulate
from fer_utils.faces import ACTION_UNITS, UNITS


def parts(lab):
    (alpha, lam), figure = lab.children[0].children, lab.children[1]
    return alpha, lam, figure


def test_each_slider_moves_the_figure_to_its_simulation():
    alpha, lam, figure = parts(sliders.center_lab(alpha=0.5, lam=0.2, seed=3))
    assert np.allclose(figure.data[-1].y, simulate(0.5, 0.2, seed=3).center_loss)
    alpha.value = 1.9
    assert np.allclose(figure.data[-1].y, simulate(1.9, 0.2, seed=3).center_loss)
    lam.value = 1.0
    assert np.allclose(figure.data[-1].y, simulate(1.9, 1.0, seed=3).center_loss)


def test_the_sliders_reach_past_the_limit_of_alpha():
    alpha, lam, _ = parts(sliders.center_lab())
    assert alpha.max > 2.1 and lam.min == 0


def test_two_labs_do_not_move_each_other():
    first, second = sliders.center_lab(), sliders.center_lab()
    before = np.array(parts(second)[2].data[-1].y)
    parts(first)[0].value = 1.9
    assert np.array_equal(before, parts(second)[2].data[-1].y)


def test_a_lab_leaves_a_picture_and_words(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, **options: shown.append((bundle, options)))
    sliders.show(sliders.center_lab(), plots.moving_centers(simulate(0.5, 0.2)), "words")
    (bundle, options), = shown
    assert set(bundle) == {"application/vnd.jupyter.widget-view+json", "text/plain", "image/png"}
    assert options["metadata"]["image/png"]["alt"] == bundle["text/plain"] == "words"


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
