"""The explorer of stored runs in a browser: the exported page with every other host blocked, and JupyterLab."""

import json
import os
import pickle
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from browsing import drag, frame, jupyterlab, site_of
from nbformat.v4 import new_code_cell, new_notebook, new_output
from test_labs import grid_of_runs, run_of, unpacked
from test_labs_simulation import javascript

from fer_course import labs
from fer_utils.emotions import COLOURS, EMOTIONS

PANELS = (".curves", "tbody", ".plane")
RUNS = grid_of_runs()
RUNS[11]["labels"] = sorted(RUNS[11]["labels"])  # faces of its own
LAB = labs.results_lab(RUNS, {"rule": "Eq. 2", "α": 1.0})
TRICKY = "<b>&\"'</b>"  # a learner's own name of a parameter must stay text
ONE = labs.results_lab([run_of(np.random.default_rng(1), faces=20, epochs=1, rule="Eq. 2", **{TRICKY: -2.5})])


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A site with a notebook that has two explorers and the lab of centre loss between them."""
    folder = tmp_path_factory.mktemp("pages")
    outputs = [new_output("display_data", {"image/png": "AAAA", "text/plain": alt}, metadata={"image/png": {
                   "alt": alt, "lab": {"module": lab.module, "options": lab.options}}})
               for lab, alt in ((LAB, LAB.alt), (labs.center_lab(), "centre loss"), (ONE, ONE.alt))]
    notebook = new_notebook(cells=[new_code_cell("lab", outputs=[output]) for output in outputs])
    return site_of(folder, {"notebooks/1_labs.ipynb": notebook})[0]


@pytest.fixture
def explore(visit):
    """Open the page; gives it and its first explorer."""
    def open_page(*arguments, **options):
        page = visit("notebooks/1_labs", *arguments, **options)
        frame(page)
        return page, page.locator(".results-lab .lab").first

    return open_page


def panels(lab):
    """What each of the three panels shows, as text."""
    return [lab.locator(name).evaluate("it => it.innerHTML") for name in PANELS]


def chosen(lab):
    """The index of the cell that the controls say."""
    data = json.loads(LAB.data)
    rule = int(lab.locator("input[type=radio]:checked").input_value())
    values = [rule, *(int(lab.get_by_role("slider", name=name).input_value()) for name in ("α", "seed"))]
    return [cell["values"] for cell in data["cells"]].index(values)


def assert_shows(lab, place):
    """All that is drawn and said belongs to one cell."""
    cell = LAB.cells[place]
    assert chosen(lab) == place
    assert lab.locator(".summary").inner_text().replace("\xa0", " ").startswith(labs.in_words(cell))
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


def test_it_opens_with_its_own_run_in_place_of_the_picture(explore):
    page, lab = explore()
    assert_shows(lab, LAB.chosen)
    assert page.locator(".results-lab > * img").first.is_hidden()
    assert page.locator(".center-lab .lab").count() == 1 and page.locator(".results-lab .lab").count() == 2


@pytest.mark.parametrize("control", ["rule", "α", "seed"])
def test_every_control_moves_all_three_panels_within_a_frame(explore, control):
    page, lab = explore()
    before, other = panels(lab), panels(page.locator(".results-lab .lab").nth(1))
    if control == "rule":
        lab.get_by_role("radio", name="SGD").check()
    else:
        slider = lab.get_by_role("slider", name=control)
        slider.fill({"α": "1", "seed": "1"}[control])
    page.evaluate("() => new Promise(requestAnimationFrame)")
    after = panels(lab)
    assert all(a != b for a, b in zip(before, after, strict=True))
    assert_shows(lab, chosen(lab))
    assert chosen(lab) != LAB.chosen and panels(page.locator(".results-lab .lab").nth(1)) == other


def test_every_run_can_be_reached_and_is_shown_as_it_was_stored(explore):
    page, lab = explore()
    for place, cell in enumerate(LAB.cells):
        values = json.loads(LAB.data)["cells"][place]["values"]
        lab.get_by_role("radio", name=cell["parameters"]["rule"]).check()
        for name, stop in zip(("α", "seed"), values[1:]):
            lab.get_by_role("slider", name=name).fill(str(stop))
        frame(page)
        assert_shows(lab, place)


def test_dragging_passes_each_stop(explore):
    page, lab = explore()
    seen = drag(page, lab.get_by_role("slider", name="α"), 0.34, 1.0)
    assert len(set(seen)) == 3
    assert_shows(lab, 2)


def test_what_did_not_run_leads_to_the_nearest_and_says_so(explore):
    page, lab = explore()
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
    data = json.loads(labs.results_lab([
        run_of(np.random.default_rng(0), rule=rule, α=alpha, seed=seed)
        for rule, alpha, seed in [("a", 0, 0), ("a", 1, 1), ("a", 2, 0), ("b", 2, 1), ("b", 0, 1),
                                  ("b", 1, 0)]]).data)
    assert javascript(f"((data) => [nearest(data, [0, 0, 0], 1, 1), nearest(data, [0, 0, 0], 1, 2),"
                      f"nearest(data, [0, 2, 0], 0, 1), nearest(data, [0, 1, 1], 2, 1),"
                      f"nearest(data, [0, 0, 0], 0, 1)])({json.dumps(data)})",
                      labs.module_source("results_lab")) == [1, 2, 3, 1, 4]


def test_javascript_unpacks_the_points():
    stored = json.loads(LAB.data)["cells"][3]["points"]
    answer = javascript(f"unpack({json.dumps(stored)})", labs.module_source("results_lab"))
    assert np.array_equal(answer, unpacked(stored))


def test_it_is_moved_with_the_keyboard_alone(explore):
    page, lab = explore()
    order = []
    lab.get_by_role("radio", name="Eq. 2").focus()
    page.keyboard.press("ArrowRight")  # SGD
    for _ in range(2):
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowLeft" if not order else "ArrowRight")
        order.append(page.evaluate("document.activeElement.shadowRoot.activeElement.getAttribute('aria-label')"))
    frame(page)
    assert order == ["α", "seed"]
    assert_shows(lab, 7)
    style = "it => { const s = getComputedStyle(it); return s.outlineStyle + parseFloat(s.outlineWidth); }"
    assert lab.get_by_role("slider", name="seed").evaluate(style) == "solid3"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    assert lab.locator("input:checked + span").evaluate(style) == "solid3"


def test_the_strip_shows_each_run_and_chooses_the_one_that_is_clicked(explore):
    page, lab = explore()
    count = sum(lab.locator(name).get_attribute("d").count("M") for name in (".others", ".alike"))
    assert count == len(LAB.cells) and lab.locator(".alike").get_attribute("d").count("M") == 6
    assert lab.locator(".means").get_attribute("d").count("M") == 3  # a bar where there are two seeds
    assert "rule Eq. 2; bar: mean over seeds" in lab.locator(".all figcaption").inner_text()
    first, *_ = re.findall(r"M([\d.]+) ([\d.]+)", lab.locator(".others").get_attribute("d"))
    lab.locator(".strip").click(position={"x": float(first[0]) + 3, "y": float(first[1])})
    frame(page)
    assert_shows(lab, 6)


def test_the_axes_stay_while_runs_change(explore):
    page, lab = explore()
    axes = "all => all.map((it) => it.outerHTML).join()"
    before = lab.locator(".curves text, .plane text, .strip text").evaluate_all(axes)
    lab.get_by_role("slider", name="α").fill("3")
    lab.get_by_role("radio", name="SGD").check()
    frame(page)
    assert lab.locator(".curves text, .plane text, .strip text").evaluate_all(axes) == before


def test_a_single_run_has_words_and_no_control_and_its_names_stay_text(explore):
    page, _ = explore()
    lab = page.locator(".results-lab .lab").nth(1)
    assert lab.locator("input").count() == 0
    assert lab.locator(".controls").inner_text().split("\n") == ["rule Eq. 2", f"{TRICKY} −2.5"]
    assert lab.locator(".summary").inner_text().startswith(f"rule Eq. 2, {TRICKY} −2.5: accuracy")
    drawn = lab.locator("svg path").evaluate_all("all => all.map((it) => it.getAttribute('d')).join()")
    assert not re.search("NaN|Infinity|undefined", drawn)


def test_colours_come_with_markers_and_text_can_be_read(explore):
    _, lab = explore()
    legend = lab.locator(".legend path").evaluate_all("all => all.map((it) => [it.getAttribute('d'), "
                                                      "it.getAttribute('fill')])")
    assert len({shape for shape, _ in legend}) == 7 and [colour for _, colour in legend] == [
        COLOURS[name] for name in EMOTIONS]
    contrasts = lab.evaluate("""(lab) => {
        const light = (colour) => { const [r, g, b] = colour.match(/[\\d.]+/g).map((c) => c / 255)
            .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05; };
        const behind = (it) => { const colour = getComputedStyle(it).backgroundColor;
            return /, 0\\)$/.test(colour) ? behind(it.parentNode) : colour; };
        return [...lab.querySelectorAll("td, th, b, span, p, text")].filter((it) => it.textContent.trim()).map((it) => {
            const ink = it.tagName === "text" ? getComputedStyle(it).fill : getComputedStyle(it).color;
            const [a, b] = [light(ink), light(it.tagName === "text" ? "rgb(255,255,255)" : behind(it))];
            return Math.max(a, b) / Math.min(a, b); }); }""")
    assert len(contrasts) > 90 and min(contrasts) >= 4.5


def test_every_shade_of_the_matrix_can_be_read():
    pairs = javascript("Array.from({ length: 101 }, (_, share) => tone(share))", labs.module_source("results_lab"))
    for colour, ink in pairs:
        parts = np.array([int(c) for c in re.findall(r"\d+", colour)]) / 255
        light = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722)
        assert (light + 0.05) / 0.05 >= 4.5 if ink == "#000" else 1.05 / (light + 0.05) >= 4.5


@pytest.mark.parametrize("width", [320, 360, 760, 1400])
def test_no_width_needs_scrolling_sideways(explore, width):
    page, lab = explore(width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    boxes = lab.locator("input, figure > svg, table, td, .controls b").evaluate_all(
        "all => all.map((it) => it.getBoundingClientRect()).map((box) => [box.left, box.right])")
    assert all(0 <= left < right <= width for left, right in boxes)


def test_a_lab_that_is_hidden_is_drawn_when_it_is_shown(explore):
    page, lab = explore()
    box = page.locator(".results-lab").first
    box.evaluate("(el) => { el.style.display = 'none'; const slider = el.shadowRoot.querySelector('input[type=range]');"
                 "slider.value = 3; slider.dispatchEvent(new Event('input', { bubbles: true })); }")
    frame(page)
    box.evaluate("(el) => { el.style.display = ''; }")
    frame(page)
    assert_shows(lab, 2)


def test_without_javascript_the_picture_stays(visit):
    page = visit("notebooks/1_labs", java_script_enabled=False)
    assert page.get_by_role("img", name=LAB.alt).is_visible()


@pytest.mark.course
def test_in_jupyterlab_the_pictures_follow_and_python_knows(browser, tmp_path):
    (tmp_path / "cells.pickle").write_bytes(pickle.dumps(RUNS))
    setup = ("import pickle\nfrom fer_course import labs\nfrom fer_utils import plots\n"
             "lab = labs.results_lab(pickle.load(open('cells.pickle', 'rb')), {'α': 1.0})\n"
             "labs.show(lab, plots.result_panels(lab.cell), lab.alt)")
    cells = [new_code_cell(setup), new_code_cell("print('now', lab.cell['parameters'])"),
             new_code_cell("lab.chosen = 11")]
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}}),
                   tmp_path / "toy.ipynb")
    with jupyterlab(tmp_path) as address:
        page = browser.new_page(viewport={"width": 1400, "height": 1400})
        wrong = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(f"{address}/lab/tree/toy.ipynb?reset")
        page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
        page.get_by_text("| Idle").wait_for(timeout=60_000)  # the kernel is there
        page.locator(".jp-CodeCell").nth(0).locator(".cm-content").click()
        page.keyboard.press("Control+Enter")
        lab = page.locator(".lab")
        lab.wait_for(timeout=120_000)  # importing torch takes its time where others work too
        frame(page)
        assert_shows(lab, LAB.chosen)
        lab.get_by_role("slider", name="α").focus()
        page.keyboard.press("ArrowRight")  # must not reach JupyterLab's own keys
        frame(page)
        assert_shows(lab, 2)
        if os.environ.get("LAB_PICTURE"):
            page.screenshot(path=Path(os.environ["LAB_PICTURE"]))
        page.locator(".jp-CodeCell").nth(1).locator(".cm-content").click()
        page.keyboard.press("Control+Enter")
        page.wait_for_function("() => document.body.innerText.includes(\"now {'rule': 'Eq. 2', 'α': 1.9, 'seed': 0}\")")
        page.locator(".jp-CodeCell").nth(2).locator(".cm-content").click()
        page.keyboard.press("Control+Enter")
        lab.get_by_text("rule softmax, α none, seed 1:").first.wait_for(timeout=120_000)
        frame(page)
        assert_shows(lab, 11)
        page.close()
    assert not wrong
