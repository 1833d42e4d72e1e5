"""The lab of features in the plane: what it packs, that undrawn faces stay out of notebooks, and it in a browser."""

import base64
import io
import json
import re

import numpy as np
import pytest
from browsing import call, frame, run_in_jupyterlab
from conftest import refusal
from lab_pages import EMBEDDING, PLANES, faces_with_features
from PIL import Image

from fer_course.labs.embedding_lab import embedding_lab
from fer_course.labs.shared import show_lab
from fer_utils.emotions import EMOTIONS
from fer_utils.errors import FerError

FACES, NETWORKS = faces_with_features()
ORDER = np.argsort(FACES.labels, kind="stable")
GREYS = """async ([address, length]) => {
    const image = new Image(); image.src = address; await image.decode();
    const sheet = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    Object.assign(sheet.canvas, { width: image.width, height: image.height });
    sheet.drawImage(image, 0, 0);
    return Array.from({ length }, (_, k) => sheet.getImageData(k % 20 * 48 + 24, Math.floor(k / 20) * 48 + 24, 1,
        1).data[0]);
}"""


def test_faces_stand_in_the_order_of_their_labels_with_their_nearest_answers_and_points():
    data = json.loads(PLANES.data)
    assert data["labels"] == np.sort(FACES.labels).tolist()
    sheet = np.asarray(Image.open(io.BytesIO(PLANES.sheet)).convert("L")).astype(int)
    for place, row in enumerate(ORDER):
        top, left = place // 20 * 48, place % 20 * 48
        assert np.abs(sheet[top:top + 48, left:left + 48] - FACES.images[row].astype(int)).max() <= 9
    for network in data["networks"]:
        features, points, probabilities = (array[ORDER] for array in NETWORKS[network["name"]])
        assert network["answers"] == np.rint(100 * probabilities).astype(int).tolist()
        shown = np.array(network["points"])
        assert np.abs(shown).max() == 1 and np.corrcoef(shown[:, 1], points[:, 1])[0, 1] > 0.999
        scale = np.ptp(shown, 0) / np.ptp(points, 0)
        assert scale[0] == pytest.approx(scale[1], rel=0.01)
        for place, (near, away) in enumerate(zip(network["near"], network["away"])):
            distances = np.linalg.norm(features - features[place], axis=1)
            distances[place] = np.inf
            assert near == np.argsort(distances)[:5].tolist()
            assert away == pytest.approx(np.sort(distances)[:5], rel=0.006)
    answers = [np.argmax(network["answers"], 1) for network in data["networks"]]
    assert PLANES.chosen == np.flatnonzero(answers[0] != answers[1])[0]


def test_two_equal_faces_are_each_others_neighbours_and_none_is_its_own():
    doubled = {name: (np.zeros_like(features), points, probabilities)
               for name, (features, points, probabilities) in NETWORKS.items()}
    for network in json.loads(embedding_lab(FACES, doubled).data)["networks"]:
        assert all(len(near) == 5 and place not in near for place, near in enumerate(network["near"]))


def test_faces_that_are_not_drawn_are_in_no_state_no_still_and_no_metadata(monkeypatch):
    shown, sent = [], []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw, metadata: shown.append(metadata["image/png"]))
    labs = PLANES, embedding_lab(FACES, NETWORKS)
    for lab in labs:
        show_lab(lab, *lab.still())
        lab.send = lambda content, buffers: sent.append((content, *buffers))
        lab._handle_custom_msg({"kind": "ready"}, [])
        assert not [name for name, value in lab.get_state().items() if "image/png" in str(value) and name != "_esm"]
        assert lab.sheet not in lab.get_state().values()
    assert shown[0]["lab"]["options"]["faces"] == "data:image/png;base64," + base64.b64encode(PLANES.sheet).decode()
    assert "lab" not in shown[1] and labs[1].options is None
    images = [sum(len(axis.images) for axis in lab.still()[0].axes) for lab in labs]
    assert images == [12, 0]
    assert sent == [({"kind": "faces"}, PLANES.sheet)] * 2  # live, both show faces


def test_the_still_and_the_words_follow_what_is_chosen():
    lab = embedding_lab(FACES, NETWORKS, 3)
    lab.network = 1
    lab.chosen = 8
    label, near = EMOTIONS[FACES.labels[ORDER[8]]], lab.views["centre loss"]["near"][8]
    assert f"Face 9 of 40, labelled {label}. softmax: " in lab.still()[1]
    first = EMOTIONS[lab.faces.labels[near[0]]]
    assert re.search(rf"The nearest five to centre loss: \d {first}", lab.in_words())
    ring = [line for line in lab.still()[0].axes[1].lines if line.get_marker() == "o"][0]
    assert np.allclose(ring.get_xydata()[0], lab.views["centre loss"]["points"][8])
    for name, wrong in (("chosen", 40), ("chosen", -1), ("network", 2)):
        with pytest.raises(FerError, match=f"{name}=.*choose one from 0 to"):
            setattr(lab, name, wrong)


def test_what_does_not_fit_together_is_refused():
    features, points, probabilities = NETWORKS["softmax"]
    cases = [(FACES.subset(np.arange(5)), NETWORKS, "5 faces; give 6 to 300"),
             (FACES.subset(np.zeros(301, int)), NETWORKS, "301 faces"), (FACES, {}, "no network"),
             *((FACES, {"mine": arrays}, "embedding_lab, mine: ") for arrays in (
                 (features[:-1], points, probabilities), (features, features, probabilities),
                 (features, points, probabilities[:, :6]), (features, points * np.nan, probabilities)))]
    answers = [(told, refusal(embedding_lab, *given)) for *given, told in cases]
    assert not [f"{told!r} is not in {words!r}" for told, words in answers if told not in words]


# In a browser

def seen(lab):
    """(face shown, faces below it, as places in the sheet; the words), from where each sheet is moved to."""
    places = lab.locator(".face").evaluate_all("""all => all.map((it) => getComputedStyle(it).backgroundPosition
        .split(' ').map(parseFloat)).map(([x, y]) => Math.round(x * 19 / 100) + 20 * Math.round(y / 100))""")
    return places[0], places[1:], lab.locator(".summary").inner_text().replace("\xa0", " ")


def assert_shows(lab, chosen, network):
    view = list(PLANES.views.values())[network]
    face, below, words = seen(lab)
    assert face == chosen and below == view["near"][chosen].tolist()
    assert words.startswith(f"Face {chosen + 1} of 40, labelled {EMOTIONS[PLANES.faces.labels[chosen]]}. ")
    percent = [int(text.split()[0]) for text in lab.locator("td").all_inner_texts()]
    assert percent == np.stack([it["answers"][chosen] for it in PLANES.views.values()], 1).ravel().tolist()


def place_of(lab, face, network):
    """Where a face's point lies in the plane, in pixels."""
    side = float(lab.locator(".plane").get_attribute("viewBox").split()[2])
    x, y = list(PLANES.views.values())[network]["points"][face] * (1, -1)
    return {"x": 10 + (side - 20) * (x + 1) / 2, "y": 10 + (side - 20) * (y + 1) / 2}


@pytest.mark.parametrize("width", [1000, 360])
def test_a_click_on_a_point_a_neighbour_or_a_key_chooses_a_face_and_the_plane_can_be_changed(visit, width):
    page = visit(EMBEDDING, width, has_touch=width < 400)
    lab = page.locator(".embedding-lab .lab")
    assert_shows(lab, PLANES.chosen, 0)
    assert page.locator(".embedding-lab > * img").first.is_hidden()
    address = lab.locator(".face").first.evaluate("it => getComputedStyle(it).backgroundImage").split('"')[1]
    wanted = FACES.images[ORDER, 0, 0].astype(int)
    assert np.abs(np.array(page.evaluate(GREYS, [address, 40])) - wanted).max() <= 9
    drawn = lab.locator(".points").evaluate_all("all => all.map((it) => it.getAttribute('d').split('z').length - 1)")
    assert drawn == np.bincount(FACES.labels, minlength=7).tolist()
    lab.locator(".plane").click(position=place_of(lab, 31, 0))
    assert_shows(lab, 31, 0)
    lab.get_by_role("radio", name="centre loss").check()
    assert_shows(lab, 31, 1)
    lab.get_by_role("button", name="Neighbour 2").click()
    second = int(PLANES.views["centre loss"]["near"][31][1])
    assert_shows(lab, second, 1)
    slider = lab.get_by_role("slider", name="face")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    assert_shows(lab, second - 1, 1)
    assert slider.get_attribute("aria-valuetext") == f"face {second}, {EMOTIONS[PLANES.faces.labels[second - 1]]}"
    page.wait_for_function("(start) => document.querySelector('.embedding-lab').shadowRoot.querySelector('.spoken')"
                           ".textContent.startsWith(start)", arg=f"Face {second} of 40")


@pytest.mark.course
def test_in_jupyterlab_the_faces_come_from_the_kernel_and_python_knows_what_is_chosen(browser, lab_server):
    np.savez(lab_server[1] / "faces.npz", images=FACES.images, labels=FACES.labels, **{
        f"{name} {k}": array for name, arrays in NETWORKS.items() for k, array in enumerate(arrays)})
    page, lab = run_in_jupyterlab(browser, lab_server, "embedding", [
        "import numpy as np\nfrom fer_course.labs.embedding_lab import embedding_lab\n"
        "from fer_course.labs.shared import show_lab\nfrom fer_utils.datasets import FaceDataset\n"
        "kept = np.load('faces.npz')\n"
        "faces = FaceDataset(kept['images'], kept['labels'], np.arange(40).astype(str), 'test', 'greys')\n"
        "networks = {name: [kept[f'{name} {k}'] for k in range(3)] for name in ('softmax', 'centre loss')}\n"
        "lab = embedding_lab(faces, networks)\nshow_lab(lab, *lab.still())",
        "print('now', lab.chosen)", "lab.chosen = 31"])
    came = "it.shadowRoot?.querySelector('.face')?.style.backgroundImage.startsWith('url(\"blob:')"
    page.wait_for_function(f"() => [...document.querySelectorAll('*')].some((it) => {came})")
    assert_shows(lab, PLANES.chosen, 0)
    address = lab.locator(".face").first.evaluate("it => getComputedStyle(it).backgroundImage").split('"')[1]
    assert np.abs(np.array(page.evaluate(GREYS, [address, 40])) - FACES.images[ORDER, 0, 0].astype(int)).max() <= 9
    lab.get_by_role("slider", name="face").focus()
    page.keyboard.press("ArrowRight")  # must not reach JupyterLab's own keys
    call(page, 1)
    page.wait_for_function(f"() => document.body.innerText.includes('now {PLANES.chosen + 1}')")
    call(page, 2)
    lab.get_by_text("Face 32 of 40").first.wait_for()
    frame(page)
    assert_shows(lab, 31, 0)
    page.close()
