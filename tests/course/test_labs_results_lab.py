"""The explorer of stored runs in a browser: the exported page with every other host blocked, and JupyterLab."""

import json
import pickle
import re

import numpy as np
import pytest
from browsing import call, drag, frame, run_in_jupyterlab
from lab_pages import EXPLORER, RESULTS, RUNS, TRICKY, run_of
from seeing import contrast
from test_labs_simulation import javascript

from fer_course.labs.results_lab import results_lab
from fer_course.labs.results_lab.widget import in_words
from fer_course.labs.shared import module_source
from fer_utils.emotions import COLOURS, EMOTIONS

PANELS = (".curves", "tbody", ".plane")


@pytest.fixture
def explore(visit):
    """The page and its first explorer."""
    page = visit(RESULTS)
    return page, page.locator(".results-lab .lab").first


def panels(lab):
    """What each of the three panels shows, as text."""
    return [lab.locator(name).evaluate("it => it.innerHTML") for name in PANELS]


def chosen(lab):
    """The index of the cell that the controls say."""
    data = json.loads(EXPLORER.data)
    rule = int(lab.locator("input[type=radio]:checked").input_value())
    values = [rule, *(int(lab.get_by_role("slider", name=name).input_value()) for name in ("α", "seed"))]
    return [cell["values"] for cell in data["cells"]].index(values)


def assert_shows(lab, place):
    """All that is drawn and said belongs to one cell."""
    cell = EXPLORER.cells[place]
    assert chosen(lab) == place
    assert lab.locator(".summary").inner_text().replace("\xa0", " ").startswith(in_words(cell))
    counts = np.array(cell["confusion"])
    percent = np.floor(100 * counts / counts.sum(1, keepdims=True) + 0.5).astype(int)
    assert lab.locator("tbody td").all_inner_texts() == [str(share) for share in percent.flat]
    drawn = lab.locator(".points").evaluate_all("all => all.map((it) => it.getAttribute('d').split('z').length - 1)")
    assert drawn == np.bincount(cell["labels"], minlength=7).tolist()
    width = float(lab.locator(".plane").get_attribute("viewBox").split()[2])
    happy = EMOTIONS.index("happiness")  # a circle of radius 3.6, from its left
    path = lab.locator(".points").nth(happy).get_attribute("d")
    seen = np.array(re.findall(r"M(-?[\d.]+) (-?[\d.]+)", path), float) + (3.6, 0)
    points = cell["points"][cell["labels"] == happy]
    inside = (np.abs(points) < 0.95 * cell["reach"]).all(1)
    wanted = (points * (1, -1) + cell["reach"]) / (2 * cell["reach"]) * width
    assert seen[inside] == pytest.approx(wanted[inside], abs=0.11) and inside.sum() > 20
    ends = [float(y) for y in re.findall(r" ([\d.]+)", lab.locator(".validation").get_attribute("d"))]
    assert np.corrcoef(ends, cell["curves"]["validation"])[0, 1] < -0.9999  # up is small in a picture
    best = int(np.argmax(cell["curves"]["validation"]))
    assert lab.locator(".peak").inner_text() == f"best epoch {best + 1}: {cell['curves']['validation'][best]:.1f} %"


def test_every_control_moves_all_three_panels_of_its_lab_within_a_frame(explore):
    page, lab = explore
    second = page.locator(".results-lab .lab").nth(1)
    other, before = panels(second), panels(lab)
    assert_shows(lab, EXPLORER.chosen)  # in place of the picture
    assert page.locator(".results-lab > * img").first.is_hidden()
    assert page.locator(".center-lab .lab").count() == 1 and page.locator(".results-lab .lab").count() == 2
    for control, value in (("SGD", None), ("α", "1"), ("seed", "1")):
        chooser = lab.get_by_role("slider" if value else "radio", name=control)
        chooser.fill(value) if value else chooser.check()
        page.evaluate("() => new Promise(requestAnimationFrame)")
        after = panels(lab)
        assert all(a != b for a, b in zip(before, after, strict=True)), control
        before = after
    assert panels(second) == other


def test_every_run_can_be_reached_and_is_shown_as_it_was_stored(explore):
    page, lab = explore
    for place, cell in enumerate(EXPLORER.cells):
        values = json.loads(EXPLORER.data)["cells"][place]["values"]
        lab.get_by_role("radio", name=cell["parameters"]["rule"]).check()
        for name, stop in zip(("α", "seed"), values[1:]):
            lab.get_by_role("slider", name=name).fill(str(stop))
        frame(page)
        assert_shows(lab, place)
    lab.get_by_role("radio", name="Eq. 2").check()
    assert len(set(drag(page, lab.get_by_role("slider", name="α"), 0.34, 1.0))) == 3, "dragging passes each stop"


def test_what_did_not_run_leads_to_the_nearest_and_says_so(explore):
    page, lab = explore
    lab.get_by_role("slider", name="α").fill("3")
    frame(page)
    assert_shows(lab, 2)
    assert lab.locator(".note").count() == 0
    assert lab.locator("fieldset [data-stop]").evaluate_all("all => all.map((it) => it.className)") == [
        "", "absent", "absent"]
    lab.get_by_role("radio", name="SGD").check()
    frame(page)
    assert_shows(lab, 8)
    note = "No run has rule SGD with α 1.9: this is the nearest, α 1."
    assert lab.locator(".note").inner_text() == note
    page.wait_for_function("(note) => document.querySelector('.results-lab').shadowRoot.querySelector('[aria-live]')"
                           ".textContent.startsWith(note)", arg=note)
    lab.get_by_role("radio", name="softmax").check()
    frame(page)
    assert_shows(lab, 10)
    assert "with α 1: this is the nearest, α none" in lab.locator(".note").inner_text()
    assert lab.get_by_role("slider", name="α").get_attribute("aria-valuetext") == "none"
    lab.get_by_role("radio", name="SGD").check()  # α returns to where it was before it had no meaning
    frame(page)
    assert_shows(lab, 8)


def test_nearest_keeps_the_rule_and_changes_the_seed_first():
    data = json.loads(results_lab([
        run_of(np.random.default_rng(0), rule=rule, α=alpha, seed=seed)
        for rule, alpha, seed in [("a", 0, 0), ("a", 1, 1), ("a", 2, 0), ("b", 2, 1), ("b", 0, 1),
                                  ("b", 1, 0)]]).data)
    assert javascript(f"((data) => [nearest(data, [0, 0, 0], 1, 1), nearest(data, [0, 0, 0], 1, 2),"
                      f"nearest(data, [0, 2, 0], 0, 1), nearest(data, [0, 1, 1], 2, 1),"
                      f"nearest(data, [0, 0, 0], 0, 1)])({json.dumps(data)})",
                      module_source("results_lab")) == [1, 2, 3, 1, 4]


def test_the_strip_shows_each_run_and_chooses_the_one_that_is_clicked_and_no_axis_moves(explore):
    page, lab = explore
    axes = "all => all.map((it) => it.outerHTML).join()"
    before = lab.locator(".curves text, .plane text, .strip text").evaluate_all(axes)
    legend = [(mark.get_attribute("d"), mark.get_attribute("fill")) for mark in lab.locator(".legend path").all()]
    assert [colour for _, colour in legend] == [COLOURS[name] for name in EMOTIONS] and len(dict(legend)) == 7
    count = sum(lab.locator(name).get_attribute("d").count("M") for name in (".others", ".alike"))
    assert count == len(EXPLORER.cells) and lab.locator(".alike").get_attribute("d").count("M") == 6
    assert lab.locator(".means").get_attribute("d").count("M") == 3  # a bar where there are two seeds
    assert "rule Eq. 2; bar: mean over seeds" in lab.locator(".all figcaption").inner_text()
    first, *_ = re.findall(r"M([\d.]+) ([\d.]+)", lab.locator(".others").get_attribute("d"))
    lab.locator(".strip").click(position={"x": float(first[0]) + 3, "y": float(first[1])})
    frame(page)
    assert_shows(lab, 6)
    assert lab.locator(".curves text, .plane text, .strip text").evaluate_all(axes) == before


def test_a_single_run_has_words_and_no_control_and_its_names_stay_text(explore):
    page, _ = explore
    lab = page.locator(".results-lab .lab").nth(1)
    assert lab.locator("input").count() == 0
    assert lab.locator(".controls").inner_text().split("\n") == ["rule Eq. 2", f"{TRICKY} −2.5"]
    assert lab.locator(".summary").inner_text().startswith(f"rule Eq. 2, {TRICKY} −2.5: accuracy")
    drawn = lab.locator("svg path").evaluate_all("all => all.map((it) => it.getAttribute('d')).join()")
    assert not re.search("NaN|Infinity|undefined", drawn)


def test_every_shade_of_the_matrix_can_be_read():
    pairs = javascript("Array.from({ length: 101 }, (_, share) => tone(share))", module_source("results_lab"))
    for colour, ink in pairs:
        assert contrast(ink, [int(part) / 255 for part in re.findall(r"\d+", colour)]) >= 4.5


@pytest.mark.course
def test_in_jupyterlab_the_pictures_follow_and_python_knows(browser, lab_server):
    (lab_server[1] / "cells.pickle").write_bytes(pickle.dumps(RUNS))
    page, lab = run_in_jupyterlab(browser, lab_server, "results", [
        "import pickle\nfrom fer_course.labs.results_lab import results_lab\n"
        "from fer_course.labs.shared import show_lab\n"
        "lab = results_lab(pickle.load(open('cells.pickle', 'rb')), {'α': 1.0})\nshow_lab(lab, *lab.still())",
        "print('now', lab.cell['parameters'])", "lab.chosen = 11"])
    assert_shows(lab, EXPLORER.chosen)
    lab.get_by_role("slider", name="α").focus()
    page.keyboard.press("ArrowRight")  # must not reach JupyterLab's own keys
    frame(page)
    assert_shows(lab, 2)
    call(page, 1)
    page.wait_for_function("() => document.body.innerText.includes(\"now {'rule': 'Eq. 2', 'α': 1.9, 'seed': 0}\")")
    call(page, 2)
    lab.get_by_text("rule softmax, α none, seed 1:").first.wait_for()
    frame(page)
    assert_shows(lab, 11)
    page.close()
