"""The course for everyone: words for each picture, marks beside colours, colours and text that can be told apart, and
labs that need no mouse. What is tested of a figure is what matplotlib or plotly would draw."""

import ast
import itertools
import re
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from browsing import frame, site_of
from execute import find_notebooks
from ipywidgets import Box, DOMWidget
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.markers import MarkerStyle
from matplotlib.text import Text
from nbformat.v4 import new_code_cell, new_notebook, new_output
from seeing import DEFICIENCIES, contrast, distance, silhouette
from test_labs import grid_of_runs

from fer_course.labs.center_lab import center_lab, moving_centers, simulate
from fer_course.labs.face_lab import face_lab
from fer_course.labs.photo_lab.still import photo_answer
from fer_course.labs.results_lab import results_lab
from fer_utils import plots
from fer_utils.datasets import FaceDataset
from fer_utils.emotions import COLOURS, EMOTIONS, MARKERS
from fer_utils.plots.display import ACCENT, INK, SECOND, deep
from fer_utils.plots.projections import SYMBOLS_3D

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(path for path in ROOT.rglob("*.md")
               if not {".venv", "build", "runs", "node_modules"} & set(path.relative_to(ROOT).parts))
each_notebook = pytest.mark.parametrize("path", find_notebooks(), ids=lambda path: path.stem)
FILLER = re.compile(r"(an?|the)?\s*(figure|image|picture|plot|graph|photo) (of|showing|that shows)\b", re.IGNORECASE)


# Words for pictures

def cells_of(path, kind):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def what_is_wrong(alt):
    """Why these words do not stand in for a picture; "" if they do."""
    if FILLER.match(alt):
        return "it says that it is a picture, which the reader knows, instead of what is seen"
    if len(alt) < 60 or len(alt.split()) < 10 or not alt.rstrip().endswith((".", ")")):
        return "it is no full sentence that says what is seen"
    return ""


@pytest.mark.parametrize("alt, wrong", [
    ("Plot of accuracy against the epoch for both networks, with training and validation curves.", "it says that"),
    ("Confusion matrix.", "no full sentence"), ("A" * 80, "no full sentence"),
    ("Two scatter plots of training faces: with centre loss the groups of the seven emotions are tighter.", "")])
def test_words_that_say_nothing_are_noticed(alt, wrong):
    assert wrong in what_is_wrong(alt) if wrong else not what_is_wrong(alt)


@each_notebook
def test_every_stored_picture_has_words_of_its_own(path):
    seen = {}
    for cell in cells_of(path, "code"):
        for output in cell.outputs:
            data = output.get("data", {})
            pictures = [kind for kind in data if kind.startswith("image/")]
            live = [kind for kind in data if "plotly" in kind or "widget-view" in kind]
            if live and not ({"image/png", "text/html"} & set(data) or cell.source.startswith("%%")):
                assert "tqdm" in data["text/plain"] or "it/s" in data["text/plain"], (
                    f"{path.stem}: what moves has no still picture and no table: {cell.source[:80]}")
            for kind in pictures:
                alt = output.metadata.get(kind, {}).get("alt", "")
                assert not what_is_wrong(alt), f"{path.stem}: {what_is_wrong(alt)}: {alt!r}, below {cell.source[:80]}"
                same = seen.setdefault(alt, data[kind])
                assert same == data[kind], f"{path.stem}: two different pictures with the same words: {alt}"
            for tag in re.findall(r"<img\b[^>]*>", data.get("text/html", "")):
                assert re.search(r'alt="[^"]{10,}"', tag), f"{path.stem}: {tag[:80]}"


@each_notebook
def test_every_cell_that_shows_a_figure_gives_it_words(path):
    """Also where no output is stored yet: ``plots.show`` and ``show_lab`` are the only ways to show a figure."""
    for cell in cells_of(path, "code"):
        source = "\n".join(line for line in cell.source.splitlines() if not line.startswith(("%", "!")))
        for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
            name = ast.unparse(call.func)
            if name in ("plots.show", "show_lab"):
                spread = any(isinstance(given, ast.Starred) for given in call.args)  # show(lab, *lab.still())
                given = spread or len(call.args) >= (2 if name == "plots.show" else 3)
                assert given or any(word.arg == "alt" for word in call.keywords), f"{path.stem}: {cell.source[:80]}"
                assert name == "plots.show" or len(call.args) > 1 or any(
                    word.arg == "still" for word in call.keywords), f"{path.stem}: a lab without a still picture"
                words = [word.value.value for word in call.keywords
                         if word.arg == "alt" and isinstance(word.value, ast.Constant)]
                assert not list(filter(what_is_wrong, words)), f"{path.stem}: {words}"
            assert not re.fullmatch(r"(plt|figure|fig)\.show|display", name), (
                f"{path.stem}: {name} shows something without words: {cell.source[:80]}")
        last = ast.parse(source).body[-1:]  # a figure or widget as the last value would be shown bare
        if last and isinstance(last[0], ast.Expr) and isinstance(last[0].value, ast.Call):
            name = ast.unparse(last[0].value.func)
            shown_bare = name.startswith(("plots.", "sliders.")) and not name.endswith(".show")
            assert not shown_bare, f"{path.stem}: {name} is shown without words: {cell.source[:80]}"


@pytest.mark.parametrize("path", [*PAGES, *find_notebooks()], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_pictures_in_text_have_words_and_are_there(path):
    texts = ([cell.source for cell in cells_of(path, "markdown")] if path.suffix == ".ipynb"
             else [path.read_text(encoding="utf-8")])
    for text in texts:
        text = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
        badge = r"(?<!\[)"  # a badge is a link with a picture: a few words are enough
        for alt, target in re.findall(badge + r"!\[([^\]]*)\]\(([^)\s]+)", text):
            assert not what_is_wrong(alt), f"{alt!r}: {what_is_wrong(alt)}"
            assert "://" in target or (path.parent / target).exists(), target
        for alt in re.findall(r"\[!\[([^\]]*)\]", text):
            assert len(alt) >= 5, "a badge without words"
        for tag in re.findall(r"<img\b[^>]*>", text):
            assert re.search(r'alt="[^"]{5,}"', tag), tag


# Colours

def test_no_two_classes_share_a_colour_or_a_marker():
    assert COLOURS.keys() == MARKERS.keys() == {*EMOTIONS, "contempt"}
    assert len(set(COLOURS.values())) == len(set(MARKERS.values())) == len(COLOURS)
    assert set(plots.SYMBOLS) == set(SYMBOLS_3D) == set(MARKERS.values())
    assert len(set(plots.SYMBOLS.values())) == len(set(SYMBOLS_3D.values())) == len(MARKERS)


@pytest.mark.parametrize("deficiency", [None, *DEFICIENCIES])
def test_the_palette_is_told_apart(deficiency):
    close = {pair: distance(COLOURS[pair[0]], COLOURS[pair[1]], deficiency)
             for pair in itertools.combinations(COLOURS, 2)}
    nearest = min(close, key=close.get)
    assert close[nearest] >= (20 if deficiency is None else 10.5), (nearest, close[nearest])
    for pair in itertools.combinations((INK, ACCENT, SECOND), 2):
        assert distance(*pair, deficiency) >= 20


def test_a_pair_that_only_hue_tells_apart_would_be_noticed():
    assert distance("#D55E00", "#5C8A00") > 30 > 10.5 > distance("#D55E00", "#7A7A00", "deuteranomaly")


def test_in_grey_the_markers_tell_the_classes_apart():
    """Eight greys cannot be told apart on white: some pairs are equal without hue, and so the shapes have to differ."""
    assert min(distance(COLOURS[a], COLOURS[b], "grey") for a, b in itertools.combinations(COLOURS, 2)) < 5
    shapes = {name: silhouette(marker) for name, marker in MARKERS.items()}
    for (first, a), (second, b) in itertools.combinations(shapes.items(), 2):
        shared = (a & b).sum() / (a | b).sum()
        assert shared < 0.85, f"{first} and {second} share {100 * shared:.0f} % of their outlines"


def test_ink_is_read_and_accents_are_seen_on_white():
    assert contrast("#FFFFFF", "#000000") == pytest.approx(21) and contrast("#777777") == pytest.approx(4.48, abs=0.01)
    assert contrast(INK) >= 4.5 and contrast(ACCENT) >= 3 and contrast(SECOND) >= 3
    assert min(contrast(deep(colour)) for colour in COLOURS.values()) >= 3


# Figures, as they are drawn

POINTS, LABELS = np.random.default_rng(0).normal(size=(70, 3)), np.arange(70) % 7
FACES = FaceDataset(np.random.default_rng(0).integers(0, 256, (14, 24, 24), dtype=np.uint8), np.arange(14) % 7,
                    np.arange(14).astype(str), "train", "made up")
HISTORY = pd.DataFrame({"epoch": [1, 2], "cross_entropy": [2.0, 1.0], "center_loss": [3.0, 1.0],
                        "train_accuracy": [0.2, 0.4], "validation_cross_entropy": [2.1, 1.2],
                        "validation_accuracy": [0.3, 0.5], "validation_ratio": [3.0, 0.7]})
RUNS = {seed: ([0.1, 1.0, 1.9], [50.0 + seed, 52, 51]) for seed in range(5)}
SHARES = np.zeros((7, 7), int)  # in percent: 40, 45 … 70 and what is left: all tones, the middle ones closely
SHARES[range(7), range(7)], SHARES[range(7), [1, 2, 3, 4, 5, 6, 0]] = 40 + 5 * np.arange(7), 60 - 5 * np.arange(7)
CLASSES = {
    "projections": lambda: plots.projections({"a": (POINTS[:, :2], LABELS)}),
    "projections_live": lambda: plots.projections_live({"a": (POINTS[:, :2], LABELS)}),
    "space_live": lambda: plots.space_live({"a": (POINTS, LABELS)}),
    "moving_centers": lambda: moving_centers(simulate(0.5, 0.2)),
    "result_panels": lambda: results_lab(grid_of_runs()).still()[0],
}
SERIES = {
    "staircase": lambda: plots.staircase(9, (0.5, 1.9)),
    "noise_floor": lambda: plots.noise_floor(9, [0.5, 1.9], [0.3, 6.0]),
    "paths_by_alpha": lambda: plots.paths_by_alpha({"Eq. 2": {0.1: [0, 1, 2], 1.0: [0, 2, 2], 1.9: [0, 4, 2]}}),
    "feature_film": lambda: plots.feature_film({"a": [POINTS[:, :2]]}, np.arange(70) % 10, ["start"]),
    "paired_runs": lambda: plots.paired_runs({"Eq. 2": {seed: (60.0 + seed, 58.0) for seed in range(5)}}),
    "alpha_curves": lambda: plots.alpha_curves({"Eq. 2": RUNS}, [49.0, 51.0], {"FER2013": ([1, 2], [58, 61], 62.0)}),
    "lambda_curves": lambda: plots.lambda_curves({s: (*curve, [1.0, 0.8, 0.5]) for s, curve in RUNS.items()},
                                                 ([51.0, 52.0], [1.2, 1.1])),
    "seeds_needed": lambda: plots.seeds_needed({s: ([1, 2], [10, 4]) for s in (0.5, 1.0, 1.7)}, {"RAF-DB": 2.44}),
    "learning_curves": lambda: plots.learning_curves({"softmax": HISTORY, "centre loss": HISTORY, "third": HISTORY}),
    "both_losses": lambda: plots.both_losses(HISTORY, 0.2),
    "photo_answer": lambda: photo_answer(FACES.images[0], (2, 2, 18), FACES.images[0], np.full(7, 1 / 7),
                                               [(FACES.images[1], "anger")] * 3),
    "class_shares": lambda: plots.class_shares({name: np.full(7, 1 / 7) for name in ("a", "b", "c", "d")}),
    "confusion_matrices": lambda: plots.confusion_matrices({"a": SHARES, "b": np.eye(7, dtype=int)}),
    "mean_distances": lambda: plots.mean_distances({"a": (SHARES + 20.0, np.linspace(0, 60, 7))}),
    "face_wall": lambda: plots.face_wall(FACES, 2),
    "face_grid": lambda: plots.face_grid([[FACES.images[0]]], ["row"], ["column"]),
}
STILLS_OF_LABS = {"moving_centers", "result_panels", "photo_answer"}
NO_FIGURE = {"SYMBOLS", "follow", "picture", "png", "show"}
STILL = {name: make for name, make in {**CLASSES, **SERIES}.items() if not name.endswith("_live")}
each_still = pytest.mark.parametrize("name", STILL)


def test_every_plot_is_looked_at():
    assert {*CLASSES, *SERIES} - STILLS_OF_LABS == set(plots.__all__) - NO_FIGURE, "put it into CLASSES or SERIES"


def drawn_markers(figure):
    """{label: (face colour, marker's name)} of the scatters that a legend names."""
    found, shapes = {}, {m: MarkerStyle(m).get_path().transformed(MarkerStyle(m).get_transform()).vertices
                         for m in MARKERS.values()}
    for part in figure.findobj(PathCollection):
        if part.get_label() in COLOURS:
            vertices = part.get_paths()[0].vertices
            marker = next(marker for marker, shape in shapes.items()
                          if shape.shape == vertices.shape and np.allclose(shape, vertices))
            found[part.get_label()] = (tuple(np.round(255 * part.get_facecolor()[0, :3]).astype(int)), marker)
    return found


def rgb(colour):
    return tuple(int(colour[k:k + 2], 16) for k in (1, 3, 5))


@pytest.mark.parametrize("name", CLASSES)
def test_classes_are_drawn_in_their_colour_and_with_their_marker(name):
    figure = CLASSES[name]()
    if not isinstance(figure, Figure):
        symbols = SYMBOLS_3D if name == "space_live" else plots.SYMBOLS
        assert [trace.name for trace in figure.data] == list(EMOTIONS)
        for trace in figure.data:
            assert trace.marker.symbol == symbols[MARKERS[trace.name]]
            colour, expected = trace.marker.color, rgb(COLOURS[trace.name])
            drawn = rgb(colour) if colour.startswith("#") else tuple(map(int, re.findall(r"\d+", colour)[:3]))
            assert drawn == expected
            assert contrast(trace.marker.line.color) >= 3 and trace.marker.line.width > 0
        assert sum(trace.showlegend for trace in figure.data) == len(EMOTIONS)
        return
    drawn = drawn_markers(figure)
    shown = ("happiness", "sadness", "surprise") if name == "moving_centers" else EMOTIONS
    assert drawn == {emotion: (rgb(COLOURS[emotion]), MARKERS[emotion]) for emotion in shown}
    legends = [legend for place in (figure, *figure.axes) for legend in
               (place.legends if place is figure else [place.get_legend()]) if legend]
    named = {text.get_text() for legend in legends for text in legend.get_texts()}
    assert named >= set(shown)


def look(line, axis):
    """What a line has besides its colour: dashes, marker, a hollow marker, or the mark that it ends at."""
    marker = str(line.get_marker())
    if marker in ("None", "") and len(line.get_xydata()):
        end = line.get_xydata()[-1]
        marker = next(("to " + str(other.get_marker()) for other in axis.lines if other is not line
                       and str(other.get_marker()) not in ("None", "") and len(other.get_xydata()) == 1
                       and np.allclose(other.get_xydata()[0], end)), marker)
    filled = marker in ("None", "") or contrast(line.get_markerfacecolor()) > 1
    return line.get_linestyle(), marker, filled


@each_still
def test_series_differ_in_more_than_their_colour(name):
    for axis in STILL[name]().axes:
        lines = [line for line in axis.lines if len(line.get_xydata())]
        for first, second in itertools.combinations(lines, 2):
            if first.get_color() != second.get_color():
                assert look(first, axis) != look(second, axis), (name, first.get_label(), second.get_label())
        bars = [container.patches[0] for container in axis.containers]
        assert len({(bar.get_hatch(), bar.get_facecolor()) for bar in bars}) == len(bars)
        assert len({bar.get_hatch() for bar in bars}) == len(bars), f"{name}: bars that differ in colour alone"


@each_still
def test_what_is_drawn_stands_out_from_white(name):
    for axis in STILL[name]().axes:
        for line in axis.lines:
            colour = line.get_color() if line.get_linestyle() != "None" else line.get_markeredgecolor()
            assert contrast(to_rgba(colour, line.get_alpha())) >= 3, (name, line.get_label())
        for part in axis.collections:
            if isinstance(part, PathCollection):
                assert contrast(part.get_edgecolor()[0]) >= 3 and part.get_linewidth()[0] > 0, (name, part.get_label())
        for container in axis.containers:
            assert all(contrast(bar.get_edgecolor()) >= 3 for bar in container.patches)


def behind(text, axis):
    """The colour that a text of an axis stands on: a square of a table, a region of a gauge, or white."""
    x, y = text.get_position()
    if axis.images and text.get_transform() == axis.transData:
        return axis.images[0].to_rgba(axis.images[0].get_array()[int(y), int(x)])[:3]
    for patch in axis.patches:
        low, high = sorted(patch.get_extents().transformed(axis.transData.inverted()).intervalx)
        if patch.get_fill() and low <= x <= high and text in axis.texts:
            return patch.get_facecolor()
    return "white"


@each_still
def test_text_can_be_read(name):
    figure = STILL[name]()
    figure.canvas.draw()
    texts = [(text, axis) for axis in figure.axes for text in axis.findobj(Text)]
    assert name == "face_grid" or len(texts) > 5
    for text, axis in texts:
        if text.get_text().strip() and text.get_visible():
            assert contrast(text.get_color(), behind(text, axis)) >= 4.5, (name, text.get_text())
            assert text.get_fontsize() >= 8, (name, text.get_text())


# The labs, in a browser

FOCUSABLE = "a[href], button, input, select, textarea, summary, [tabindex]:not([tabindex='-1'])"
HERE = """() => {
    let it = document.activeElement;
    while (it.shadowRoot?.activeElement) it = it.shadowRoot.activeElement;
    const shown = it.type === 'radio' && getComputedStyle(it).opacity === '0' ? it.nextElementSibling : it;
    const style = getComputedStyle(shown), box = shown.getBoundingClientRect();
    return { key: it.type === 'radio' ? it.name : it.dataset.name ?? it.dataset.p ?? it.className, type: it.type ?? '',
        outline: style.outlineStyle, width: parseFloat(style.outlineWidth), colour: style.outlineColor,
        inside: it.getRootNode() !== document, value: it.value, height: box.height, size: box.width };
}"""
COLOUR_OF_TEXT = """all => all.filter((it) => [...it.childNodes].some((node) => node.nodeType === 3 && node.data.trim())
    && it.getClientRects().length && !it.closest('.spoken, style')).map((it) => {
    let back = it;
    while (back && getComputedStyle(back).backgroundColor === 'rgba(0, 0, 0, 0)')
        back = back.parentElement ?? back.getRootNode().host;
    const style = getComputedStyle(it);
    return [it.textContent.trim().slice(0, 30), it.namespaceURI.endsWith('svg') ? style.fill : style.color,
        back ? getComputedStyle(back).backgroundColor : 'rgb(255, 255, 255)'];
})"""
GRAPHICS = """all => all.map((it) => {
    const style = getComputedStyle(it);
    return [it.getAttribute('class'), style.stroke, style.strokeOpacity, style.fill, style.fillOpacity,
        it.getAttribute('d') ?? 'drawn'];
})"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A page of the site, which is dark where the reader prefers it, with both labs."""
    shown = (center_lab(), results_lab(grid_of_runs(), {"rule": "Eq. 2"}))
    outputs = [new_output("display_data", {"image/png": "AAAA", "text/plain": "words"}, metadata={"image/png": {
                   "alt": "words", "lab": {"module": lab.module, "options": lab.options}}}) for lab in shown]
    notebook = new_notebook(cells=[new_code_cell("lab", outputs=[output]) for output in outputs])
    return site_of(tmp_path_factory.mktemp("pages"), {"notebooks/1_labs.ipynb": notebook})[0]


def css(colour):
    """A computed colour, "rgb(1, 2, 3)" or "rgba(…)", in [0, 1]; None for "none"."""
    numbers = [float(part) for part in re.findall(r"[\d.]+", colour)]
    return (*(part / 255 for part in numbers[:3]), *numbers[3:]) if numbers else None


def walk(page):
    """What the focus rests on, from one press of Tab to the next, until it leaves the labs."""
    page.locator("body").evaluate("it => { it.tabIndex = -1; it.focus(); }")
    seen = []
    for _ in range(200):
        page.keyboard.press("Tab")
        here = page.evaluate(HERE)
        if here["inside"]:
            seen.append(here)
        elif seen and page.evaluate("document.activeElement.tagName") == "BODY":
            break
    return seen


def test_the_keyboard_reaches_and_moves_every_control(visit):
    page = visit("notebooks/1_labs")
    frame(page)
    wanted = page.locator(".lab").locator(FOCUSABLE).evaluate_all(
        "all => all.map((it) => it.type === 'radio' ? it.name : it.dataset.name ?? it.dataset.p ?? it.className)")
    assert len(wanted) > 12
    seen = walk(page)
    assert [here["key"] for here in seen] == list(dict.fromkeys(wanted)), "Tab reaches each once, in reading order"
    for here in seen:
        assert here["outline"] == "solid" and here["width"] >= 2, f"{here['key']}: one does not see where the focus is"
        assert contrast(css(here["colour"])) >= 3
        assert here["height"] >= 24 and here["size"] >= 16 or here["type"] == "radio", f"{here['key']} is hard to hit"


def test_arrow_keys_move_sliders_and_choices(visit):
    page = visit("notebooks/1_labs")
    frame(page)
    for control in page.locator(".lab input").all():
        control.focus()
        before = page.evaluate(HERE)["value"]
        page.keyboard.press("ArrowRight")
        right = page.evaluate(HERE)["value"]
        page.keyboard.press("ArrowLeft")
        left = page.evaluate(HERE)["value"]
        page.keyboard.press("ArrowLeft")
        assert len({before, right, left, page.evaluate(HERE)["value"]}) >= 2, control.evaluate("it => it.outerHTML")


def test_every_control_and_picture_of_the_labs_has_a_name(visit):
    page = visit("notebooks/1_labs")
    frame(page)
    controls = "input[type=range], input[type=radio], button"
    for lab in page.locator(".lab").all():
        roles = lab.aria_snapshot()
        named = re.findall(r"^\s*- (?:slider|button|radio) \"([^\"]{1,})\"", roles, re.MULTILINE)
        assert len(named) == lab.locator(controls).count(), roles
        assert lab.get_attribute("aria-label") and lab.locator("[aria-live=polite]").count() == 1
        for picture in lab.locator("svg:not([aria-hidden=true])").all():
            assert picture.get_attribute("role") == "img" and len(picture.get_attribute("aria-label")) > 20
        for slider in lab.locator("input[type=range]").all():
            assert slider.get_attribute("aria-valuetext")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_labs_are_read_and_seen_in_light_and_dark(visit, scheme):
    page = visit("notebooks/1_labs", color_scheme=scheme)
    frame(page)
    around = css(page.locator("body").evaluate("it => getComputedStyle(it).backgroundColor"))
    assert max(around[:3]) < 0.2 if scheme == "dark" else min(around[:3]) > 0.9
    for lab in page.locator(".lab").all():
        assert lab.evaluate("it => getComputedStyle(it).colorScheme") == "light"
        texts = lab.locator("*").evaluate_all(COLOUR_OF_TEXT)
        assert len(texts) > 20
        for words, ink, paper in texts:
            assert contrast(css(ink), css(paper)) >= 4.5, (words, ink, paper)
        graphics = lab.locator("path[class], circle[class]").evaluate_all(GRAPHICS)
        assert len(graphics) > 10
        for name, stroke, stroke_opacity, fill, fill_opacity, path in graphics:
            inks = [(*css(colour)[:3], float(opacity))
                    for colour, opacity in ((stroke, stroke_opacity), (fill, fill_opacity)) if css(colour)]
            assert not path or max(map(contrast, inks)) >= 3, (name, stroke, fill)
        for edge in lab.locator("button, .segments span").evaluate_all(
                "all => all.map((it) => getComputedStyle(it).borderTopColor)"):
            assert contrast(css(edge)) >= 3


# The labs of ipywidgets

def widgets_in(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from widgets_in(child)


def test_each_control_of_the_face_lab_has_a_label_and_the_face_has_words():
    lab = face_lab("surprise", person=3)
    controls = [it for it in widgets_in(lab) if hasattr(it, "max") or hasattr(it, "options")]
    assert len(controls) == 15
    assert all(it.description.strip() and not getattr(it, "disabled", False) for it in controls)
    assert len({it.description for it in controls}) == len(controls)
    html = next(it for it in widgets_in(lab) if type(it).__name__ == "HTML")
    alts = re.findall(r'alt="([^"]+)"', html.value)
    assert len(alts) == html.value.count("<img") == 2 and "1, 2, 5, 26" in alts[0]


def test_every_lab_of_the_course_is_looked_at():
    """A new lab has to be put to the tests above, or to its own: photo_lab's are in test_labs_photo_lab.py."""
    found = {path.name for path in (ROOT / "fer_course" / "labs").glob("*_lab")}
    assert found - {"photo_lab"} == {"center_lab", "face_lab", "results_lab"}
    assert isinstance(face_lab(), Box) and isinstance(center_lab(), DOMWidget)
