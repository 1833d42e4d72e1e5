"""The lab of centre loss in a browser: the exported page with every other host blocked, its own page, and Voilà."""

import re

import nbformat
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


def summary_of(seen, step=60):
    return (f"Step {step} of 60: cross-entropy {seen.cross_entropy[step]:.2f}, "
            f"centre loss {seen.center_loss[step]:.2f}.")


def options_of(lab):
    value = {name: float(lab.locator(f"input[data-name={name}]").input_value()) for name in ("alpha", "lam", "batch")}
    return {**value, "batch": int(value["batch"]), "update": lab.locator("input[name=update]:checked").input_value()}


def says(lab, words):
    return lab.locator(".summary").inner_text().startswith(words)


def test_an_exported_lab_opens_with_its_own_values_and_its_picture_follows_a_slider_that_is_dragged(visit):
    page = visit(CENTER)
    lab, second = page.locator(".lab").all()
    assert options_of(lab) == {"alpha": 1.9, "lam": 0.2, "batch": 24, "update": "eq2"}
    assert options_of(second)["alpha"] == 0.5 and page.locator(".center-lab > * img").first.is_hidden()
    before = picture(second)
    for slider in ("alpha", "lam", "batch", "time"):
        seen = drag(page, lab.locator(f"input[data-name={slider}]"), 0.15, 0.6)
        assert len(set(seen)) >= 7, f"{slider}: {len(set(seen))} pictures of {len(seen)}"
    options, step = options_of(lab), int(lab.locator("input[data-name=time]").input_value())
    assert options["alpha"] > 1.5 and options["lam"] > 1 and options["batch"] > 45 and 30 < step < 40
    assert says(lab, summary_of(simulate(**options), step))
    assert f"{simulate(**options).rho:+.2f}".replace("-", "−") in lab.locator(".verdict").inner_text()
    assert picture(second) == before


def test_play_pause_step_and_reset_by_mouse_and_keyboard(visit):
    page = visit(ALONE)
    lab = page.locator(".lab")
    page.evaluate(BY_HAND)
    play, time = lab.get_by_role("button", name=re.compile("Play|Pause")), lab.locator("input[data-name=time]")

    def passed(milliseconds=0):
        page.evaluate(f"pass({milliseconds})")
        return time.input_value()

    lab.get_by_role("slider", name="λ").fill("1")
    lab.get_by_role("button", name="Step").click()  # from the end it goes back to the beginning
    for step in ("0", "1", "2"):
        assert passed() == step and says(lab, summary_of(simulate(0.5, 1.0), int(step)))
        lab.get_by_role("button", name="Step").click()
    play.click()
    seen = [(passed(100), picture(lab)) for _ in range(5)]  # ten steps a second
    assert [step for step, _ in seen] == ["4", "5", "6", "7", "8"] and len(set(seen)) == 5
    play.press("Space")
    assert "Play" in play.inner_text() and passed(100) == passed(100) == "8"
    play.press("ArrowLeft")
    assert passed() == "7" and says(lab, summary_of(simulate(0.5, 1.0), 7))
    page.wait_for_function("(words) => document.querySelector('.center-lab').shadowRoot.querySelector('[aria-live]')"
                           ".textContent.startsWith(words)", arg=summary_of(simulate(0.5, 1.0), 7), polling=50)
    lab.get_by_role("button", name="Reset").click()
    assert passed() == "0" and options_of(lab)["lam"] == 0.2
    time.fill("59")
    play.click()
    assert "Pause" in play.inner_text() and passed(100) == "60" and "Play" in play.inner_text()


def test_less_motion_plays_in_a_few_still_pictures(visit):
    page = visit(ALONE, reduced_motion="reduce")
    page.evaluate(BY_HAND)
    page.get_by_role("button", name="Play").click()
    seen = []
    for _ in range(5):
        page.evaluate("pass(500)")
        seen.append(page.locator("input[data-name=time]").input_value())
    assert seen == ["0", "10", "10", "20", "20"]


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


@pytest.mark.parametrize("name, value, words", [
    (ALONE, 1.9, summary_of(simulate(1.9, 0.2))), (RESULTS, 3, in_words(EXPLORER.cells[2]))])
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
    assert lab.locator(".plane").bounding_box()["width"] > 200 and "NaN" not in picture(lab)


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
        seen = drag(page, lab.locator("input[data-name=alpha]"), 0.15, 0.6)
        assert len(set(seen)) >= 7 and options_of(lab)["alpha"] > 1.5
        assert says(lab, summary_of(simulate(**options_of(lab))))
        assert not errors
        page.close()
