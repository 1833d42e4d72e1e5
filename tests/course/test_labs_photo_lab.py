"""The lab of one photo: what it answers, and that the photo stays in memory, whatever is uploaded."""

import base64
import io
import json
from time import monotonic

import numpy as np
import pytest
from browsing import PATIENCE, run_in_jupyterlab
from datasets_on_disk import encoded as packed
from matplotlib.text import Text
from PIL import Image
from watching import watched

from fer_course.labs.face_lab import face_of
from fer_course.labs.photo_lab import photo_lab
from fer_course.labs.photo_lab.still import photo_answer
from fer_course.labs.photo_lab.widget import told
from fer_course.labs.shared import show_lab
from fer_utils import feature_geometry, plots
from fer_utils.emotions import EMOTIONS
from fer_utils.errors import FerError

DRAWN = face_of({12: 1.0, 6: 1.0}, person=8, size=96, colour=False)


@pytest.fixture
def lab(make_faces):
    return lab_on(make_faces(28, size=48), DRAWN)


def lab_on(known, drawn):
    """A lab on random faces; its "network" looks at the mean of each seventh of the rows."""
    def features(images):
        return np.asarray(images, float).reshape(len(images), 48, -1)[:, :42].reshape(len(images), 7, -1).mean(2)

    def ask(face):
        rows, distances = feature_geometry.nearest(features(face[None]), features(known.images), 3)
        logits = features(face[None])[0] / 20
        return np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum(), rows[0], distances[0]

    lab = photo_lab(ask, drawn, known, np.linspace(10, 60, 20))
    lab.sent = []
    lab.send = lambda content, buffers=None: lab.sent.append((content, buffers))
    return lab


def upload(lab, content, name="selfie.png"):
    lab._handle_custom_msg({"kind": "photo", "name": name}, [memoryview(content)])
    return lab.sent[-1]


def stripes(width=300, height=200):
    """A photo of its own, which no drawn face looks like."""
    return np.tile(np.arange(width) // 10 % 2 * 255, (height, 1)).astype(np.uint8)


def test_a_photo_is_answered_with_picture_and_words_and_the_drawn_face_comes_back_as_it_was(lab):
    first = photo_lab(lab.ask, DRAWN, lab.known, [20.0], across=30, side=60, mirror=True)
    first.sent, first.send = [], lambda content, buffers=None: first.sent.append((content, buffers))
    first._handle_custom_msg({"kind": "ready"}, [])
    content, buffers = upload(first, packed(stripes()))
    assert content["kind"] == "answer" and content["words"].startswith("The network says ") and not content["drawn"]
    assert Image.open(io.BytesIO(buffers[0])).width > 500
    assert {name: getattr(first, name) for name in first.CHOICES} == first.CHOICES, "shown whole"
    first._handle_custom_msg({"kind": "forget"}, [])
    assert (first.across, first.down, first.side, first.light, first.mirror) == (30, 50, 60, 100, True)
    assert [answer["drawn"] for answer, _ in first.sent] == [True, False, True], "one answer to each message"
    assert first.sent[2] == first.sent[0] and first.answer()[1] in first.still()[1]


def test_a_network_of_colours_gets_colours(make_faces):
    lab = lab_on(make_faces(14, size=48, colour=True), face_of({12: 1.0}, size=96))
    seen, ask = [], lab.ask
    lab.ask = lambda face: seen.append(face) or ask(face)
    red = np.zeros((60, 60, 3), np.uint8)
    red[..., 0] = 200
    for content in (packed(red), packed(stripes())):
        assert upload(lab, content)[0]["kind"] == "answer"
    assert seen[0].shape == (48, 48, 3) and seen[0][20, 20].tolist() == [200, 0, 0] and seen[1].shape == (48, 48, 3)


def test_a_second_network_answers_beside_the_first_in_bars_and_in_words(lab):
    second = np.array([0.02, 0.9, 0.03, 0.05, 0, 0, 0])
    both = photo_lab(lab.ask, DRAWN, lab.known, [20.0], beside=("another network", lambda face: second))
    (figure, words), (alone, fewer) = both.answer(), lab.answer()
    assert words.endswith("Beside it, another network says disgust 90 %, happiness 5 %.") and "Beside" not in fewer
    assert not alone.axes[2].lines and np.allclose(figure.axes[2].lines[0].get_xdata(), 100 * second)


def test_every_control_changes_the_picture_up_to_its_ends(lab):
    upload(lab, packed(stripes()))
    pictures = [lab.sent[-1][1][0]]
    for name, value in (("side", 10), ("across", 0), ("down", 100), ("light", 10), ("light", 300), ("mirror", True)):
        lab.set_state({name: value})  # as the browser sends it
        assert lab.sent[-1][0]["kind"] == "answer"
        pictures.append(lab.sent[-1][1][0])
    assert len(set(pictures)) == 7


def test_what_is_no_photo_is_told_and_the_last_picture_stays(lab):
    for content in (b"", b"no image", bytes(8_000_001), packed(np.zeros((3, 3), np.uint8))):
        answer, buffers = upload(lab, content, "notes.txt")
        assert answer["kind"] == "refused" and "notes.txt" in answer["words"] and buffers is None
    for content, buffers in (({"kind": "photo"}, []), ({}, []), ({"kind": "photo", "name": None}, [b""])):
        lab._handle_custom_msg(content, buffers)
        assert lab.sent[-1][0]["kind"] in ("refused", "answer")
    lab.across = 10
    assert lab.sent[-1][0]["drawn"]


def test_the_photo_is_written_to_no_file(lab, tmp_path, monkeypatch):
    for name in ("TMPDIR", "FER_UTILS_CACHE"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    content = packed(Image.fromarray(stripes()).convert("RGBA"))
    upload(lab, content)  # what is only written once, such as matplotlib's list of fonts, is now there
    with watched() as opened:
        upload(lab, content)
        upload(lab, b"no image")
        lab.side = 50
        during = list(opened)
        (tmp_path / "control").write_bytes(b"seen")
    assert during == [] and len(opened) == 1, "and the watch sees what is written"
    assert [path.name for path in tmp_path.iterdir()] == ["control"]


def test_the_photo_is_in_no_state_and_in_nothing_that_a_notebook_keeps(lab, monkeypatch):
    before = lab.get_state()
    kept = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw, metadata: kept.append((bundle, metadata)))
    still = lab.still()
    upload(lab, packed(stripes()))
    assert lab.get_state() == before
    show_lab(lab, *lab.still())
    bundle, metadata = kept[0]
    assert bundle["image/png"] == plots.png(still[0]) != plots.png(lab.answer()[0])
    assert metadata == {"image/png": {"alt": still[1]}}, "a page without a kernel shows the picture alone"


def test_a_photo_of_another_kind_than_the_known_faces_is_refused(lab):
    with pytest.raises(FerError, match=r"\(H, W\)"):
        photo_lab(lab.ask, np.zeros((60, 60, 3), np.uint8), lab.known, [1.0])
    with pytest.raises(FerError, match="usual is empty"):
        photo_lab(lab.ask, DRAWN, lab.known, [])


def test_words_tell_the_doubt_and_the_strangeness():
    usual = np.arange(1.0, 101)
    sure = told([0.96, 0, 0, 0.04, 0, 0, 0], ["anger"] * 5, 3.0, usual)
    assert sure.startswith("The network says anger 96 %; it hardly hesitates, as between 1.2 equally likely emotions.")
    assert "5 of anger" in sure and "2 % of the test faces lie nearer" in sure and "it is not strange" in sure
    torn = told([0.4, 0, 0, 0.5, 0.1, 0, 0], ["fear", "anger", "fear"], 99.5, usual)
    assert "happiness 50 %, anger 40 %, neutral 10 %; it hesitates, as between 2.6" in torn
    assert "2 of fear, 1 of anger" in torn and "99 % of the test faces" in torn and "strange to the network" in torn
    assert "mean nothing" in told([1, 0, 0, 0, 0, 0, 0], ["fear"], 1000.0, usual)


def test_the_figure_names_every_bar_and_every_face():
    figure = photo_answer(DRAWN, (10, 5, 40), DRAWN[:48, :48], np.arange(7) / 21, [(DRAWN, "fear, 3.1 away")])
    whole, seen, bars, near = figure.axes
    assert [tick.get_text() for tick in bars.get_yticklabels()] == list(EMOTIONS)
    assert [text.get_text() for text in bars.texts] == [f"{100 * k / 21:.0f} %" for k in range(7)]
    assert whole.patches[0].get_bbox().bounds == (9.5, 4.5, 40, 40) and near.get_title("center") == "fear, 3.1 away"
    assert np.array_equal(seen.images[0].get_array(), DRAWN[:48, :48])
    letters = [text.get_fontsize() for text in figure.findobj(Text) if text.get_text()]
    assert min(letters) * 3.9 / figure.get_figwidth() >= 8, "a phone, some 3.9 inches, scales them below 8 points"


# In a browser, with a model that only notes what it is told

ANSWER = """([words, drawn, png]) => model.tell("msg:custom", { kind: "answer", words, drawn },
  [new DataView(Uint8Array.from(atob(png), (c) => c.charCodeAt(0)).buffer)])"""


def sent(page, kind):
    return page.evaluate("(kind) => model.sent.filter((it) => it.kind === kind)", kind)


def answer(page, words="The network says fear 90 %.", drawn=False):
    page.evaluate(ANSWER, [words, drawn, base64.b64encode(packed(DRAWN)).decode()])


def choose(page, content, name="me.png"):
    page.get_by_label("Choose a photo").set_input_files({"name": name, "mimeType": "image/png", "buffer": content})


def test_the_page_asks_and_shows_what_it_is_told_and_leaves_nothing_behind(visit):
    page = visit("photo")
    assert len(sent(page, "ready")) == 1 and "Waiting for the kernel" in page.locator(".summary").inner_text()
    answer(page, drawn=True)
    image = page.get_by_role("img", name="The network says fear 90 %.")
    page.wait_for_function("() => document.querySelector('#lab').shadowRoot.querySelector('img').naturalWidth === 96")
    assert image.is_visible() and page.locator(".summary").inner_text() == "The network says fear 90 %."
    assert page.get_by_text("Shown is a drawn face.").is_visible()
    assert page.get_by_role("button", name="Forget the photo").is_disabled()
    page.evaluate("end()")
    assert page.evaluate("model.heard()") == 0


def test_a_chosen_file_is_sent_byte_by_byte_and_twice_if_chosen_twice(visit):
    page, content = visit("photo"), packed(stripes(40, 30))
    for times in (1, 2):
        choose(page, content)
        page.wait_for_function("(n) => model.sent.filter((it) => it.kind === 'photo').length === n", arg=times)
    assert [(it["name"], bytes(it["bytes"])) for it in sent(page, "photo")] == [("me.png", content)] * 2
    assert content not in json.dumps(page.evaluate("model.values")).encode()
    answer(page)
    assert page.get_by_text("Shown is your photo.").is_visible()
    page.get_by_role("button", name="Forget the photo").click()
    assert len(sent(page, "forget")) == 1


def test_a_refusal_is_read_out_and_goes_with_the_next_photo_and_too_large_a_file_stays_in_the_browser(visit):
    page = visit("photo")
    page.evaluate("model.tell('msg:custom', { kind: 'refused', words: 'notes.txt: <b>no</b> image' })")
    assert page.get_by_role("alert").inner_text() == "notes.txt: <b>no</b> image"
    choose(page, bytes(8_000_001), "huge.png")
    page.get_by_role("alert").get_by_text("huge.png has 8.0 million bytes").wait_for()
    assert not sent(page, "photo")
    choose(page, b"x")
    page.wait_for_function("() => model.sent.some((it) => it.kind === 'photo')")
    assert not page.get_by_role("alert").is_visible()


def test_every_control_obeys_the_keys_and_follows_the_kernel(visit):
    page = visit("photo")
    for name, words, key, value in (("across", "left to right", "ArrowRight", 63), ("side", "size", "Home", 10),
                                    ("down", "top to bottom", "End", 100), ("light", "brightness", "ArrowLeft", 99)):
        slider = page.get_by_role("slider", name=words)
        slider.focus()
        page.keyboard.press(key)
        assert page.evaluate("(name) => model.values[name]", name) == value
        assert str(value) in slider.get_attribute("aria-valuetext")
    page.get_by_role("checkbox", name="mirror image").press("Space")
    assert page.evaluate("model.values.mirror") is True and page.evaluate("model.saved") == 5
    page.evaluate("model.values.across = 7; model.tell('change:across')")
    assert page.get_by_role("slider", name="left to right").input_value() == "7"


SETUP = """
import numpy as np
from fer_course.labs.face_lab import face_of
from fer_course.labs.photo_lab import photo_lab
from fer_course.labs.shared import show_lab
from fer_utils.datasets import FaceDataset
face = face_of({12: 1.0}, person=8, size=96, colour=False)
known = FaceDataset(np.stack([face[::2, ::2]] * 3), np.arange(3), np.array(["a", "b", "c"]), "train", "drawn")
lab = photo_lab(lambda face: (np.eye(7)[int(face.mean() // 40)], [0, 1], [1.0, 2.0]), face, known, [1.5])
show_lab(lab, *lab.still())
"""


@pytest.mark.course
def test_jupyterlab_saves_the_notebook_without_the_photo(browser, lab_server):
    page, _ = run_in_jupyterlab(browser, lab_server, "photo", [SETUP])
    content, saved = packed(stripes()), lab_server[1] / "photo.ipynb"
    page.get_by_text("Shown is a drawn face.").wait_for()
    choose(page, content)
    page.get_by_text("Shown is your photo.").wait_for()
    page.get_by_role("slider", name="left to right").focus()
    page.keyboard.press("ArrowRight")  # must not reach JupyterLab's own keys
    page.get_by_role("menuitem", name="File").click()
    page.get_by_text("Save Notebook", exact=True).click()
    end = monotonic() + PATIENCE / 1000
    while "widget-state" not in saved.read_text(encoding="utf-8") and monotonic() < end:
        page.wait_for_timeout(200)
    page.close()
    text = saved.read_text(encoding="utf-8")
    state = json.loads(text)["metadata"]["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    assert any(it["state"].get("across") == 51 for it in state.values()), "the widgets' state was saved"
    assert base64.b64encode(content).decode()[40:80] not in text and "me.png" not in text
    assert len(text) < 200_000 and not any(it.get("buffers") for it in state.values())
