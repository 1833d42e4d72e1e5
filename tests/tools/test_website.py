"""The site of static pages: what its files hold, and the whole of it in a browser, every other host blocked."""

import re
from urllib.parse import unquote

import numpy as np
import pytest
from browsing import site_of
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from website import Site

from fer_utils.plots import picture

CENTRE_LOSS = "course/notebooks/03_center_loss_derivation"
AT_THE_HEADING = """() => {
    const { y } = document.getElementById(decodeURIComponent(location.hash.slice(1))).getBoundingClientRect();
    return 0 < y && y < 200;
}"""
# All that is asked of a page in one answer, a frame after its width changed: there are over a hundred pages.
SEEN = """() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done({
    wide: document.documentElement.scrollWidth,
    menu: document.querySelector("#menu").checkVisibility({ visibilityProperty: true }),
    pictures: [...document.images].map((it) => [it.alt, it.loading == "lazy" || it.naturalWidth]),
    titles: document.querySelectorAll("h1").length }))))"""
PLOTLY = {"image/png": picture(np.zeros((4, 4), np.uint8)), "application/vnd.plotly.v1+json": {
    "data": [{"type": "scatter", "mode": "markers", "name": "a", "x": list(range(150)), "y": list(range(150))}],
    "layout": {"showlegend": True}}}
TOY = {
    "README.md": """# *Toy*

What `it`
[is](x).

## A part, *twice*: α

[twice](#a-part-twice-α-1) [as in JupyterLab](#A-part,-twice:-α) [gone](gone.md) [out](../../x)
[code](room/loss.py) [room](room) [web](https://a.example)
[![badge](https://b.example/badge.svg)](https://b.example) ![A lost picture](lost.png)

## A part, *twice*: α

<!-- instructor: ask them -->

A gain of 3 %. [next](notebooks/1_toy.ipynb#eq-1)
""",
    "README.ko.md": "# 강좌\n\n## 중심 손실\n\n중심 손실은 특징을 모은다.\n",
    "room/loss.py": "def loss(a, b):\n    return a < b\n",
    "room/numbers.json": '{"<b>": 1}',
    "notebooks/1_toy.ipynb": new_notebook(cells=[
        new_markdown_cell("# 1 · Toy\n\nAim.\n\n**Minutes:** 5 to read, 1 to run. And more."),
        new_code_cell("%pip install x", metadata={"tags": ["setup"]}),
        new_markdown_cell("## Eq. 1\n\n$$L_C = \\frac{1}{2}\\sum_i x_i$$"),
        new_code_cell("f()", outputs=[new_output("stream", text="seen nowhere else")]),
        new_code_cell("g()", outputs=[
            new_output("display_data", PLOTLY, metadata={"image/png": {"alt": "A line of dots."}})])]),
}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A folder with the site of this repository in course/ and that of a toy in toy/site/, warnings beside them."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "course.txt").write_text("\n".join(Site().write(folder / "course")))
    (folder / "toy").mkdir()
    (folder / "toy.txt").write_text("\n".join(site_of(folder / "toy", TOY)[1]))
    return folder


def read(folder):
    """{path in the site: its page, parsed}."""
    return {path.relative_to(folder).as_posix(): BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
            for path in sorted(folder.rglob("*.html"))}


# The files

def test_every_document_has_its_page_every_link_resolves_and_the_policy_forbids_other_hosts(pages):
    wrong, folder = [], pages / "course"
    course = read(folder)
    assert (pages / "course.txt").read_text() == ""
    assert {"index.html", "README.html", "results/LEDGER.html", "docs/datasheet.html", "fer_utils/center_loss.py.html",
            "notebooks/08_your_own_faces.html", "fer_course/labs/center_lab/center_lab.js.html"} <= course.keys()
    assert 1e6 < sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 15e6
    ids = {name: {tag["id"] for tag in page.select("[id]")} for name, page in course.items()}
    for name, page in course.items():
        policy = page.find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"]
        if not policy.startswith("default-src 'none'; ") or re.search("//|unsafe-eval|script-src[^;]*unsafe", policy):
            wrong.append(f"{name}: {policy}")
        for tag in page.select("[href], [src]"):
            to = tag.get("href") or tag["src"]
            if re.match("(https?|data|mailto):", to):
                continue
            path, _, anchor = to.partition("#")
            file = ((folder / name).parent / unquote(path)).resolve() if path else folder / name
            if not file.is_file() or not file.is_relative_to(folder.resolve()) or anchor and (
                    unquote(anchor) not in ids[file.relative_to(folder).as_posix()]):
                wrong.append(f"{name}: {to}")
    assert not wrong


def test_a_toy_is_rendered_as_it_should_be(pages):
    toy = read(pages / "toy" / "site")
    assert (pages / "toy.txt").read_text().splitlines() == [
        "README.md: there is no x; its words stay, without a link",
        "README.md: there is no gone.md; its words stay, without a link",
        "README.md: there is no ../../x; its words stay, without a link",
        "README.md: there is no picture lost.png; its words stand there",
        "fer_course/labs/center_lab/center_lab.js: there is no ../../../notebooks/03_center_loss_derivation.ipynb; its "
        "words stay, without a link"]
    readme = toy["README.html"]
    assert (readme.title.string, readme.find("meta", attrs={"name": "description"})["content"]) == (
        "Toy · CL-ResNet50, rebuilt", "What it is.")
    assert [heading["id"] for heading in readme.main.find_all("h2")] == ["a-part-twice-α", "a-part-twice-α-1"]
    links = {link.string: link["href"] for link in readme.article.select("a:not(.anchor)")}
    assert links == {"twice": "#a-part-twice-α-1", "as in JupyterLab": "#a-part-twice-α", "code": "room/loss.py.html",
                     "room": "room/index.html", "web": "https://a.example", "badge": "https://b.example",
                     "next": "notebooks/1_toy.html#eq-1"}
    assert "A lost picture" in readme.main.get_text() and not readme.find("img")
    assert "instructor" not in str(readme) and "3\N{NO-BREAK SPACE}%" in readme.main.get_text()
    assert "return a < b" in toy["room/loss.py.html"].main.get_text()
    assert '{"<b>": 1}' in toy["room/index.html"].main.get_text()
    assert toy["README.ko.html"].html["lang"] == "ko" and readme.html["lang"] == "en"
    notebook = toy["notebooks/1_toy.html"]
    assert notebook.select_one("details.setup .input_area") and notebook.select_one(".formula math mfrac")
    assert "Minutes: 5 to read, 1 to run" in toy["index.html"].main.get_text()
    assert notebook.select_one("a[download]")["href"] == "1_toy.ipynb"
    assert "seen nowhere else" not in (pages / "toy/site/assets/search-index.js").read_text(encoding="utf-8")
    # In the order of the menu
    assert [toy[name].select_one("a[rel=next]")["href"] for name in ("README.html", "README.ko.html")] == [
        "README.ko.html", "notebooks/1_toy.html"]
    assert notebook.select_one("a[rel=prev]")["href"] == "../README.ko.html"
    assert notebook.select_one("#menu [aria-current=page]").string == "1 · Toy"


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.html").write_text("mine")
    with pytest.raises(SystemExit, match="holds something"):
        Site().write(tmp_path)
    assert (tmp_path / "thesis.html").read_text() == "mine"


# In a browser

def test_every_page_fits_says_nothing_wrong_and_describes_its_pictures(visit, pages):
    page = visit("course/index")
    for name in sorted((pages / "course").rglob("*.html")):
        page.goto(name.as_uri())
        for width in (1280, 360):
            page.set_viewport_size({"width": width, "height": 900})
            seen = page.evaluate(SEEN)
            assert seen["wide"] <= width and seen["menu"] == (width > 1088), name
        assert all(len(alt) >= 10 and drawn for alt, drawn in seen["pictures"]) and seen["titles"] == 1, name


def test_search_knows_both_spellings_and_korean_works_with_the_keyboard_and_marks_the_words(visit):
    page = visit("course/notebooks/01_data_exploration", 360)
    focus, found, said = page.locator(":focus"), page.locator("#found"), page.locator("search [role=status]")
    page.keyboard.press("/")
    for spelling in ("CENTRES", "centers"):
        page.keyboard.press("Control+A")
        page.keyboard.type(f"{spelling} move gradient")
        found.locator("strong", has_text="3.4 Eq. 2: the centres move, but not down the gradient").wait_for()
        assert "centres" in found.locator("mark").all_inner_texts() and re.match(r"\d+ sections? f", said.inner_text())
    for key in ("ArrowDown", "ArrowDown", "ArrowUp"):
        page.keyboard.press(key)
    assert focus.get_attribute("href") == found.locator("a").first.get_attribute("href")
    page.keyboard.press("Escape")
    assert found.is_hidden() and focus.get_attribute("id") == "words"
    page.keyboard.type("!")
    said.get_by_text("No sections found.").wait_for()
    page = visit("toy/site/index")
    page.keyboard.press("/")
    page.keyboard.type("중심")
    page.locator("#found a").wait_for()
    assert page.locator("search [role=status]").inner_text() == "1 section found."
    page.keyboard.press("Enter")
    page.wait_for_url("**/README.ko.html#*")
    page.wait_for_function(AT_THE_HEADING)


def test_a_plotly_figure_comes_alive_when_it_is_asked_to(visit):
    page = visit("toy/site/notebooks/1_toy")
    figure = page.locator(".live-figure")
    assert figure.locator("img").is_visible() and page.locator("script[src*=plotly]").count() == 0
    figure.get_by_role("button", name="Make this figure live").click()
    figure.locator(".legendtext").first.wait_for()
    assert figure.locator("img").is_hidden() and figure.locator(".scatterlayer path").count() > 100


@pytest.mark.parametrize("script", [True, False])
def test_the_menu_and_the_skip_link_work_with_the_keyboard(visit, script):
    page = visit("course/results/LEDGER", 360, java_script_enabled=script)
    menu, focus = page.locator("#menu"), page.locator(":focus")
    page.keyboard.press("Tab")
    assert focus.inner_text() == "Skip to the text" and focus.bounding_box()["y"] >= 0
    for _ in range(3 if script else 2):  # the name of the course, the search, the button
        page.keyboard.press("Tab")
    assert menu.is_hidden() and focus.inner_text() == "Menu"
    page.keyboard.press("Enter")
    assert menu.is_visible() and menu.locator("[aria-current=page]").inner_text() == "The ledger"
    page.keyboard.press("Escape")
    assert menu.is_hidden() and focus.inner_text() == "Menu"
    for key in ("Enter", "Tab", "Enter"):
        page.keyboard.press(key)
    page.wait_for_url("**/README.html")
    assert menu.is_hidden()


def test_the_contents_lead_to_headings_and_nothing_else_is_printed_than_the_text(visit):
    assert not visit(CENTRE_LOSS, 360).locator(".contents ul").is_visible()
    page = visit(CENTRE_LOSS, 1280)
    page.locator(".contents").get_by_role("link", name="3.8 Why α did nothing").click()
    page.wait_for_function(AT_THE_HEADING)
    # On paper the text stands alone
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator("h1").is_visible() and page.locator("math").first.is_visible()
    assert not any(page.locator(it).is_visible() for it in ("header", "#menu", ".contents", ".turn"))
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
