"""The lab in a browser: the exported page with every other host blocked, the page of its own, and JupyterLab."""

import os
import re
from time import sleep

import nbformat
import pytest
from browsing import drag, frame, jupyterlab, picture, site_of
from nbformat.v4 import new_code_cell, new_notebook, new_output

from fer_course.labs.simulation import simulate
from fer_utils import plots

NOTEBOOK, ALONE = "notebooks/1_labs", "fer_course/labs/center_lab.js"
ALT = "Left: points and centres in the plane. Right: the losses."


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A site with a notebook that has two labs, and the lab's own page."""
    folder = tmp_path_factory.mktemp("pages")
    picture = plots.png(plots.moving_centers(simulate(1.9, 0.2)))
    outputs = [new_output("display_data", {"image/png": picture, "text/plain": ALT},
                          metadata={"image/png": {"alt": ALT, "lab": {"module": "center_lab", "options": {
                              "alpha": alpha, "lam": 0.2, "batch": 24, "update": "eq2", "seed": 0}}}})
               for alpha in (1.9, 0.5)]
    notebook = new_notebook(cells=[new_code_cell("lab", outputs=[output]) for output in outputs])
    return site_of(folder, {"notebooks/1_labs.ipynb": notebook})[0]


SLOWLY = """() => {
    const now = performance.now.bind(performance), start = now(), ask = requestAnimationFrame.bind(window);
    performance.now = () => start + (now() - start) / 10;
    window.requestAnimationFrame = (draw) => ask(() => draw(performance.now()));
}"""


def summary_of(seen, step=60):
    return (f"Step {step} of 60: cross-entropy {seen.cross_entropy[step]:.2f}, "
            f"centre loss {seen.center_loss[step]:.2f}.")


def options_of(lab):
    value = {name: float(lab.locator(f"input[data-name={name}]").input_value()) for name in ("alpha", "lam", "batch")}
    return {**value, "batch": int(value["batch"]), "update": lab.locator("input[name=update]:checked").input_value()}


@pytest.mark.parametrize("name", [NOTEBOOK, ALONE])
def test_the_picture_follows_while_a_slider_is_dragged(visit, name):
    page = visit(name)
    lab = page.locator(".lab").first
    for slider in ("alpha", "lam", "batch", "time"):
        seen = drag(page, lab.locator(f"input[data-name={slider}]"), 0.15, 0.6)
        assert len(set(seen)) >= 7, f"{slider}: {len(set(seen))} pictures of {len(seen)}"
    options, step = options_of(lab), int(lab.locator("input[data-name=time]").input_value())
    assert options["alpha"] > 1.5 and options["lam"] > 1 and options["batch"] > 45 and 30 < step < 40
    assert lab.locator(".summary").inner_text().startswith(summary_of(simulate(**options), step))
    assert f"{simulate(**options).rho:+.2f}".replace("-", "−") in lab.locator(".verdict").inner_text()


def test_an_exported_lab_opens_with_its_own_values_and_moves_alone(visit):
    page = visit(NOTEBOOK)
    first, second = page.locator(".lab").all()
    assert options_of(first) == {"alpha": 1.9, "lam": 0.2, "batch": 24, "update": "eq2"}
    assert options_of(second)["alpha"] == 0.5 and page.locator(".center-lab > * img").first.is_hidden()
    before = picture(second)
    first.get_by_role("slider", name="α").fill("0.3")
    frame(page)
    assert first.locator(".summary").inner_text().startswith(summary_of(simulate(0.3, 0.2)))
    assert picture(second) == before


def test_without_javascript_the_picture_stays(visit):
    page = visit(NOTEBOOK, java_script_enabled=False)
    assert page.get_by_role("img", name=ALT).count() == 2 and page.get_by_role("img", name=ALT).first.is_visible()


def test_it_is_played_with_the_keyboard_alone(visit):
    page = visit(ALONE)
    lab = page.locator(".lab")
    page.evaluate(SLOWLY)  # or a busy machine sees the end before it can press a key
    order = []
    page.locator("main").focus()
    page.keyboard.press("Tab")  # the heading's link to itself
    for _ in range(8):
        page.keyboard.press("Tab")
        order.append(page.evaluate("() => { const it = document.activeElement.shadowRoot.activeElement;"
                                   "return it.dataset.name ?? it.value ?? it.className; }"))
        if order[-1] == "alpha":
            page.keyboard.press("ArrowRight")
            page.keyboard.press("ArrowRight")
        if order[-1] == "eq2":
            page.keyboard.press("ArrowRight")  # chooses SGD
        if order[-1] == "" and len(order) == 5:  # Play
            page.keyboard.press("Space")
            page.wait_for_function("() => +document.querySelector('.center-lab').shadowRoot"
                                   ".querySelector('[data-name=time]').value > 3")
            page.keyboard.press("Space")
            page.keyboard.press("ArrowLeft")
    assert [name for name in order if name] == ["alpha", "lam", "batch", "eq2", "time"]
    frame(page)
    assert options_of(lab) == {"alpha": 0.6, "lam": 0.2, "batch": 24, "update": "sgd"}
    step = int(lab.locator("input[data-name=time]").input_value())
    assert 2 < step < 60
    seen = summary_of(simulate(0.6, 0.2, update="sgd"), step)
    assert lab.locator(".summary").inner_text().startswith(seen)
    page.wait_for_function("(seen) => document.querySelector('.center-lab').shadowRoot.querySelector('[aria-live]')"
                           ".textContent.startsWith(seen)", arg=seen)


def test_play_pause_step_and_reset(visit):
    page = visit(ALONE)
    lab = page.locator(".lab")
    play, time = lab.get_by_role("button", name=re.compile("Play|Pause")), lab.locator("input[data-name=time]")
    lab.get_by_role("slider", name="λ").fill("1")
    lab.get_by_role("button", name="Step").click()  # from the end it goes back to the beginning
    for step in (0, 1, 2):
        frame(page)
        assert lab.locator(".summary").inner_text().startswith(summary_of(simulate(0.5, 1.0), step))
        lab.get_by_role("button", name="Step").click()
    play.click()
    assert "Pause" in play.inner_text()
    seen = set()
    while len(seen) < 5:
        frame(page)
        seen.add(picture(lab))
    play.click()
    frame(page)
    rested = time.input_value(), picture(lab)
    sleep(0.3)
    assert "Play" in play.inner_text() and rested == (time.input_value(), picture(lab)) and 3 <= int(rested[0]) < 60
    lab.get_by_role("button", name="Reset").click()
    frame(page)
    assert time.input_value() == "0" and options_of(lab)["lam"] == 0.2
    time.fill("58")
    play.click()
    page.wait_for_function("() => document.querySelector('.center-lab').shadowRoot.querySelector('.play')"
                           ".textContent.includes('Play')")
    assert time.input_value() == "60"


def test_under_adam_alpha_moves_nothing(visit):
    page = visit(ALONE)
    lab = page.locator(".lab")
    lab.get_by_role("radio", name="Adam").check()
    frame(page)
    before = picture(lab)
    assert len(set(drag(page, lab.get_by_role("slider", name="α"), 0.1, 0.9))) == 1 and picture(lab) == before
    assert options_of(lab)["alpha"] > 2 and "α has no effect" in lab.locator(".verdict").inner_text()


def test_what_diverges_is_said_and_breaks_no_path(visit):
    page = visit(ALONE)
    lab = page.locator(".lab")
    for name, value in {"α": "3", "batch size": "90", "λ": "2"}.items():
        lab.get_by_role("slider", name=name).fill(value)
    frame(page)
    assert "diverges" in lab.locator(".verdict").inner_text()
    assert "Out of the picture: the centre of happiness, of sadness, of surprise." in (
        lab.locator(".summary").inner_text())
    drawn = picture(lab)
    assert not re.search("NaN|Infinity|undefined", drawn)
    assert max(abs(float(number)) for number in re.findall(r"-?\d+\.?\d*(?:e[-+]?\d+)?", drawn)) < 1e5


def test_a_lab_that_is_hidden_takes_values_and_is_drawn_when_it_is_shown(visit):
    page = visit(ALONE)
    box = page.locator(".center-lab")
    box.evaluate("(el) => { el.style.display = 'none'; const slider = el.shadowRoot.querySelector('input');"
                 "slider.value = 1.9; slider.dispatchEvent(new Event('input', { bubbles: true })); }")
    frame(page)
    box.evaluate("(el) => { el.style.display = ''; }")
    frame(page)
    assert page.locator(".summary").inner_text().startswith(summary_of(simulate(1.9, 0.2)))
    assert page.locator(".plane").bounding_box()["width"] > 300 and "NaN" not in picture(page.locator(".lab"))


@pytest.mark.parametrize("name", [NOTEBOOK, ALONE])
@pytest.mark.parametrize("width", [320, 360, 800, 1400])
def test_no_width_needs_scrolling_sideways(visit, name, width):
    page = visit(name, width)
    frame(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    boxes = page.locator(".lab").first.locator("input, button, figure > svg, b").evaluate_all(
        "all => all.map((it) => it.getBoundingClientRect()).map((box) => [box.left, box.right])")
    assert all(0 <= left < right <= width for left, right in boxes)


def test_less_motion_plays_in_a_few_still_pictures(visit):
    page = visit(ALONE, reduced_motion="reduce")
    page.get_by_role("button", name="Play").click()
    time, seen = page.locator("input[data-name=time]"), ["0"]
    while len(seen) < 3:
        page.wait_for_function("([time, last]) => time.value !== last", arg=[time.element_handle(), seen[-1]])
        seen.append(time.input_value())
    assert set(seen) <= {"0", "10", "20", "30", "40", "50", "60"}


@pytest.mark.course
def test_in_jupyterlab_the_picture_follows_and_python_knows(browser, tmp_path):
    setup = ("from fer_course import labs\nfrom fer_course.labs.simulation import simulate\n"
             "from fer_utils import plots\n"
             "lab = labs.center_lab(1.9, 0.2)\n"
             "labs.show(lab, plots.moving_centers(simulate(**lab.options)), alt='words')")
    nbformat.write(new_notebook(cells=[new_code_cell(setup), new_code_cell("print(lab.options)")],
                                metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}}),
                   tmp_path / "toy.ipynb")
    with jupyterlab(tmp_path) as address:
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        wrong = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(f"{address}/lab/tree/toy.ipynb?reset")
        page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
        page.get_by_text("| Idle").wait_for(timeout=60_000)  # the kernel is there
        page.get_by_role("menuitem", name="Run").click()
        page.get_by_text("Run All Cells", exact=True).click()
        lab = page.locator(".lab")
        lab.wait_for(timeout=120_000)  # importing torch takes its time where others work too
        frame(page)
        for name in ("alpha", "lam"):
            seen = drag(page, lab.locator(f"input[data-name={name}]"), 0.15, 0.6)
            assert len(set(seen)) >= 7, f"{name}: {len(set(seen))} pictures of {len(seen)}"
        before = options_of(lab)["alpha"]
        lab.get_by_role("slider", name="α").focus()
        for _ in range(3):
            page.keyboard.press("ArrowLeft")  # must not reach JupyterLab's own keys
        frame(page)
        options = options_of(lab)
        assert options["alpha"] == pytest.approx(before - 0.15)
        assert lab.locator(".summary").inner_text().startswith(summary_of(simulate(**options)))
        if os.environ.get("LAB_PICTURE"):
            page.screenshot(path=os.environ["LAB_PICTURE"])
        page.locator(".jp-CodeCell").nth(1).locator(".cm-content").click()
        page.keyboard.press("Control+Enter")
        page.wait_for_function("(part) => document.body.innerText.includes(part)",
                               arg=f"'alpha': {options['alpha']:g}, 'lam': {options['lam']:g}")
        page.close()
    assert not wrong
