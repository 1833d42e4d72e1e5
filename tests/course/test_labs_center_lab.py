"""The lab of centre loss in a browser: the exported page with every other host blocked, its own page, and Voilà."""

import re

import nbformat
import numpy as np
import pytest
from browsing import PATIENCE, ROOT, drag, frame, picture, voila
from lab_pages import ALONE, CENTER, EXPLORER, RESULTS

from fer_course.labs.center_lab import simulate
from fer_course.labs.center_lab.widget import CenterLab
from fer_course.labs.results_lab.widget import in_words

NOTEBOOK = ROOT / "fer_course" / "labs" / "center_lab" / "center_lab.ipynb"

# The page's time, which passes only when a test says so.
BY_HAND = """() => {
    let now = 0, waiting = [];
    performance.now = () => now;
    window.requestAnimationFrame = (draw) => waiting.push(draw);
    window.pass = (milliseconds) => {
        now += milliseconds;
        const due = waiting;
        waiting = [];
        due.forEach((draw) => draw(now));
    };
}"""


def summary_of(simulation, step=200):
    softmax = simulate(0, **{name: simulation.options[name] for name in ("batch", "imbalance", "seed")}).measures(step)
    ours = simulation.measures(step)
    return (f"Step {step} of 200, λ = {simulation.options['lam']:g}: accuracy {100 * ours['accuracy']:.1f} % "
            f"(softmax alone {100 * softmax['accuracy']:.1f} %), macro F1 {ours['macro_f1']:.2f} "
            f"({softmax['macro_f1']:.2f}).")


def options_of(lab):
    value = {name: float(lab.locator(f"input[data-name={name}]").input_value())
             for name in ("lam", "alpha", "batch", "imbalance", "seed")}
    lam = float(lab.locator("[data-of=lam]").inner_text())
    assert abs(np.log10(lam) - value["lam"]) < 0.03
    return {**value, "lam": lam, "batch": int(value["batch"]), "seed": int(value["seed"]),
            "update": lab.locator("input[name=update]:checked").input_value()}


def says(lab, words):
    return lab.locator(".summary").inner_text().startswith(words)


def recalls(lab):
    return [float(bar.get_attribute("width")) for bar in lab.locator(".bars rect.own").all()]


def drag_lambda(page, lab):
    """Drag λ from 0.005 to 5: accuracy falls, a class's bar reaches 0, and the picture follows."""
    lam = lab.locator("input[data-name=lam]")
    lam.fill("-2.3")
    frame(page)
    before, bars = float(re.search(r"accuracy ([\d.]+)", lab.locator(".ours .score").inner_text())[1]), recalls(lab)
    assert min(bars) > 0
    seen = drag(page, lam, (-2.3 + 3) / 4, (0.7 + 3) / 4, steps=12)
    assert len(set(seen)) >= 10, f"{len(set(seen))} pictures of {len(seen)}"
    assert 4 < options_of(lab)["lam"] < 6 and min(recalls(lab)) == 0
    assert float(re.search(r"accuracy ([\d.]+)", lab.locator(".ours .score").inner_text())[1]) < before - 30
    return lab.locator(".summary").inner_text()


def test_an_exported_lab_opens_with_its_own_values_and_its_picture_follows_a_slider_that_is_dragged(visit):
    page = visit(CENTER)
    lab, second = page.locator(".lab").all()
    assert options_of(lab) == {"lam": 0.4, "alpha": 1.9, "batch": 62, "imbalance": 1, "seed": 0, "update": "eq2"}
    assert options_of(second)["lam"] == 0.2 and page.locator(".center-lab > * img").first.is_hidden()
    before = picture(second)
    drag_lambda(page, lab)
    for slider in ("alpha", "batch", "imbalance", "seed", "time"):
        seen = drag(page, lab.locator(f"input[data-name={slider}]"), 0.15, 0.6)
        assert len(set(seen)) >= 7, f"{slider}: {len(set(seen))} pictures of {len(seen)}"
    options, step = options_of(lab), int(lab.locator("input[data-name=time]").input_value())
    assert options["alpha"] > 1.5 and options["batch"] > 60 and 0 < options["imbalance"] < 1 and 100 < step < 140
    simulation = simulate(**options)
    assert says(lab, summary_of(simulation, step))
    assert f"{simulation.rho.min():+.2f}".replace("-", "−") in lab.locator(".verdict").inner_text()
    assert picture(second) == before


def test_a_prediction_hides_the_answer_until_it_is_made(visit):
    page = visit(ALONE)
    lab = page.locator(".lab")
    for name, choice, told in (("Ten times less", "lower", "It is: higher."), ("The paper’s", "none", "It is: none."),
                               ("Collapse", "the largest class", "It is: the largest class."),
                               ("α at its limit", "none", "It is: of the largest class."),
                               ("Adam: α is dead", "the same", "It is: the same.")):
        lab.get_by_role("button", name=name).click()
        frame(page)
        assert lab.locator(".ours .plane").is_hidden() and lab.locator(".soft .plane").is_visible()
        assert lab.locator(".bars").is_hidden() and lab.locator(".summary").is_hidden()
        lab.get_by_role("button", name=choice, exact=True).click()
        frame(page)
        words = lab.locator(".question").inner_text()
        assert f"You said: {choice}. {told}" in words and lab.locator(".ours .plane").is_visible(), name
    lab.get_by_role("button", name="Collapse").click()
    lab.get_by_role("slider", name="λ").fill("-1")  # who moves a slider instead sees at once
    frame(page)
    assert lab.locator(".ours .plane").is_visible() and options_of(lab)["lam"] == 0.1


def test_each_picture_at_its_own_scale_fills_its_frame(visit):
    page = visit(ALONE)
    lab = page.locator(".lab")
    lab.get_by_role("slider", name="λ").fill("1")
    frame(page)

    def width():
        return lab.locator(".ours .points").evaluate_all("all => Math.max(...all.map((it) => it.getBBox().width))")

    small = width()
    lab.get_by_role("checkbox").check()
    frame(page)
    assert small < 50 < 140 < width()


def test_each_press_of_an_arrow_key_moves_lambda(visit):
    page = visit(ALONE)
    page.evaluate(BY_HAND)
    slider, seen = page.locator(".lab").get_by_role("slider", name="λ"), []
    slider.fill("-3")
    for _ in range(80):  # from end to end; λ is written in two digits, and must not fall back to where it was
        page.evaluate("pass(0)")
        seen.append(float(slider.input_value()))
        slider.press("ArrowRight")
    page.evaluate("pass(0)")
    assert seen == sorted(set(seen)) and float(slider.input_value()) == 1 and -1.7 in seen and -0.7 in seen


def test_play_pause_and_reset_by_mouse_and_keyboard(visit):
    page = visit(ALONE)
    lab = page.locator(".lab")
    page.evaluate(BY_HAND)
    play, time = lab.get_by_role("button", name=re.compile("Play|Pause")), lab.locator("input[data-name=time]")

    def passed(milliseconds=0):
        page.evaluate(f"pass({milliseconds})")
        return time.input_value()

    lab.get_by_role("slider", name="λ").fill("0")
    passed()
    play.click()  # from the end it begins again
    seen = [(passed(40), picture(lab)) for _ in range(5)]  # fifty steps a second
    assert [step for step, _ in seen] == ["2", "4", "6", "8", "10"] and len(set(seen)) == 5
    play.press("Space")
    assert "Play" in play.inner_text() and passed(100) == passed(100) == "10"
    assert says(lab, summary_of(simulate(1.0), 10))
    time.press("ArrowLeft")
    assert passed() == "9" and says(lab, summary_of(simulate(1.0), 9))
    page.wait_for_function("(words) => document.querySelector('.center-lab').shadowRoot.querySelector('.spoken')"
                           ".textContent.startsWith(words)", arg=summary_of(simulate(1.0), 9), polling=50)
    lab.get_by_role("button", name="Reset").click()
    assert passed() == "200" and options_of(lab)["lam"] == 0.2
    time.fill("199")
    play.click()
    assert "Pause" in play.inner_text() and passed(100) == "200" and "Play" in play.inner_text()


def test_less_motion_plays_in_a_few_still_pictures(visit):
    page = visit(ALONE, reduced_motion="reduce")
    page.evaluate(BY_HAND)
    page.get_by_role("button", name="Play").click()
    seen = []
    for _ in range(5):
        page.evaluate("pass(300)")
        seen.append(page.locator("input[data-name=time]").input_value())
    assert seen == ["0", "25", "25", "50", "50"]


def test_what_diverges_is_said_and_breaks_no_path(visit):
    page = visit(ALONE)
    lab = page.locator(".lab")
    for name, value in {"α": "3", "batch size": "124", "λ": "1"}.items():
        lab.get_by_role("slider", name=name).fill(value)
    frame(page)
    assert "diverges" in lab.locator(".verdict").inner_text()
    assert "Out of the picture: the centre of anger, of disgust," in lab.locator(".summary").inner_text()
    drawn = picture(lab)
    assert not re.search("NaN|Infinity|undefined", drawn)
    assert max(abs(float(number)) for number in re.findall(r"-?\d+\.?\d*(?:e[-+]?\d+)?", drawn)) < 1e5


@pytest.mark.parametrize("name, value, words", [
    (ALONE, -1, summary_of(simulate(0.1))), (RESULTS, 3, in_words(EXPLORER.cells[2]))])
def test_a_lab_that_is_hidden_takes_values_and_is_drawn_when_it_is_shown(visit, name, value, words):
    page = visit(name)
    box = page.locator(".center-lab" if name == ALONE else ".results-lab").first
    box.evaluate("(el, value) => { el.style.display = 'none'; const slider = el.shadowRoot.querySelector("
                 "'input[type=range]'); slider.value = value; "
                 "slider.dispatchEvent(new Event('input', { bubbles: true })); }", value)
    frame(page)
    box.evaluate("(el) => { el.style.display = ''; }")
    frame(page)
    lab = box.locator(".lab")
    assert lab.locator(".summary").inner_text().replace("\xa0", " ").startswith(words)
    assert lab.locator(".plane").last.bounding_box()["width"] > 200 and "NaN" not in picture(lab)


# The line of docs/setup.md that serves the lab alone


def test_voila_serves_a_notebook_that_holds_the_lab_and_no_more():
    served = re.findall(r"voila (\S+\.ipynb)", (ROOT / "docs" / "setup.md").read_text(encoding="utf-8"))
    assert set(served) == {NOTEBOOK.relative_to(ROOT).as_posix()}
    words, code = nbformat.read(NOTEBOOK, as_version=4).cells
    assert words.source.startswith("# ") and code.outputs == [] and code.execution_count is None
    found = {}
    exec(code.source.rpartition("\n")[0], found)
    assert isinstance(eval(code.source.splitlines()[-1], found), CenterLab)


@pytest.mark.course
def test_in_voila_the_lab_comes_up_alone_and_its_slider_moves_it(browser, tmp_path):
    pytest.importorskip("voila")
    with voila(tmp_path, NOTEBOOK) as address:
        page = browser.new_page(viewport={"width": 1000, "height": 900})
        page.set_default_timeout(PATIENCE)
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.route(re.compile(f"^(?!{re.escape(address)}|ws:)"), lambda route: route.abort())  # icons that we don't use
        page.goto(address, wait_until="commit")
        lab = page.locator(".lab").first
        lab.locator("svg").first.wait_for()  # a kernel has to import torch first
        assert page.locator("h1").first.inner_text().startswith("The lab of centre loss")
        assert "import center_lab" not in page.content(), "the code is shown"
        words = drag_lambda(page, lab)
        assert words.startswith(summary_of(simulate(**options_of(lab))))
        assert not errors
        page.close()
