"""The course for everyone: words for each picture, marks beside colours, colours and text that can be told apart, and
labs that need no mouse. What is tested of a figure is what matplotlib or plotly would draw."""

import functools
import itertools
import re

import nbformat
import numpy as np
import pandas as pd
import pytest
from browsing import ROOT, frame
from execute import find_notebooks
from lab_pages import ALONE, BOTH, CENTER, EMBEDDING, PLANES, RESULTS, grid_of_runs
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.markers import MarkerStyle
from matplotlib.text import Text
from seeing import DEFICIENCIES, contrast, distance, silhouette

from fer_course.labs.center_lab import beside_softmax, simulate
from fer_course.labs.face_lab import face_lab
from fer_course.labs.photo_lab.still import photo_answer
from fer_course.labs.results_lab import results_lab
from fer_utils import plots
from fer_utils.datasets import FaceDataset
from fer_utils.emotions import COLOURS, EMOTIONS, MARKERS
from fer_utils.plots.display import ACCENT, INK, SECOND, deep
from fer_utils.plots.projections import SYMBOLS_3D

PAGES = sorted(path for path in ROOT.rglob("*.md")
               if not {".venv", "build", "runs", "node_modules"} & set(path.relative_to(ROOT).parts))
FILLER = re.compile(r"(an?|the)?\s*(figure|image|picture|plot|graph|photo) (of|showing|that shows)\b", re.IGNORECASE)


# Words for pictures

def cells_of(kind):
    """(where, cell) of all notebooks."""
    return [(f"{path.stem}, {cell.source[:60]!r}", cell) for path in find_notebooks()
            for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def what_is_wrong(alt):
    """Why these words do not stand in for a picture; "" if they do."""
    if FILLER.match(alt):
        return "it says that it is a picture, which the reader knows, instead of what is seen"
    if len(alt) < 60 or len(alt.split()) < 10 or not alt.rstrip().endswith((".", ")")):
        return "it is no full sentence that says what is seen"
    return ""


def test_every_stored_picture_has_words_of_its_own():
    wrong, seen = [], {}
    for where, cell in cells_of("code"):
        for output in cell.outputs:
            data = output.get("data", {})
            live = [kind for kind in data if "plotly" in kind or "widget-view" in kind]
            still = {"image/png", "text/html"} & set(data) or cell.source.startswith("%%")
            if live and not still and not re.search("tqdm|it/s", data["text/plain"]):
                wrong.append(f"{where}: what moves has no still picture and no table")
            for kind in (kind for kind in data if kind.startswith("image/")):
                alt = output.metadata.get(kind, {}).get("alt", "")
                if what_is_wrong(alt):
                    wrong.append(f"{where}: {what_is_wrong(alt)}: {alt!r}")
                if seen.setdefault((where[:2], alt), data[kind]) != data[kind]:
                    wrong.append(f"{where}: two different pictures with the same words: {alt}")
            wrong += [f"{where}: {tag[:80]}" for tag in re.findall(r"<img\b[^>]*>", data.get("text/html", ""))
                      if not re.search(r'alt="[^"]{10,}"', tag)]
    assert len(seen) > 40 and not wrong, "\n".join(wrong)
    assert what_is_wrong("Confusion matrix.") and what_is_wrong("A" * 80), "would not be noticed"
    assert what_is_wrong("Plot of accuracy against the epoch for both networks, with the curves of each.")


def test_pictures_in_text_have_words():
    texts = [(page.relative_to(ROOT), page.read_text(encoding="utf-8")) for page in PAGES]
    texts += [(where, cell.source) for where, cell in cells_of("markdown")]
    wrong = [f"{where}: {alt!r}: {what_is_wrong(alt)}" for where, text in texts
             for alt in re.findall(r"(?<!\[)!\[([^\]]*)\]\(", re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL))
             if what_is_wrong(alt)]
    assert not wrong, "\n".join(wrong)


# Colours

def test_no_two_classes_share_a_colour_or_a_marker():
    assert COLOURS.keys() == MARKERS.keys() == {*EMOTIONS, "contempt"}
    for looks in (COLOURS, MARKERS):
        assert len(set(looks.values())) == len(COLOURS)
    assert set(SYMBOLS_3D) == set(MARKERS.values()) and len(set(SYMBOLS_3D.values())) == len(MARKERS)


def test_colours_are_told_apart_with_every_kind_of_eyes_and_seen_on_white():
    pairs = list(itertools.combinations(COLOURS.values(), 2))
    for deficiency, least in ((None, 20), *((deficiency, 10.5) for deficiency in DEFICIENCIES)):
        assert min(distance(*pair, deficiency) for pair in pairs) >= least, deficiency
        assert min(distance(*pair, deficiency) for pair in itertools.combinations((INK, ACCENT, SECOND), 2)) >= 20
    assert distance("#D55E00", "#7A7A00", "deuteranomaly") < 10.5 < 30 < distance("#D55E00", "#5C8A00"), "not noticed"
    assert contrast(INK) >= 4.5 and contrast(ACCENT) >= 3 and contrast(SECOND) >= 3
    assert min(contrast(deep(colour)) for colour in COLOURS.values()) >= 3
    assert contrast("#FFFFFF", "#000000") == pytest.approx(21) and contrast("#777777") == pytest.approx(4.48, abs=0.01)


def test_in_grey_the_markers_tell_the_classes_apart():
    """Eight greys cannot be told apart on white, and so the shapes have to differ."""
    shapes = {name: silhouette(marker) for name, marker in MARKERS.items()}
    alike = [(first, second) for (first, a), (second, b) in itertools.combinations(shapes.items(), 2)
             if (a & b).sum() / (a | b).sum() >= 0.85]
    assert not alike


# Figures, as they are drawn

POINTS, LABELS = np.random.default_rng(0).normal(size=(70, 3)), np.arange(70) % 7
FACES = FaceDataset(np.random.default_rng(0).integers(0, 256, (14, 24, 24), dtype=np.uint8), np.arange(14) % 7,
                    np.arange(14).astype(str), "train", "made up")
HISTORY = pd.DataFrame({"epoch": [1, 2], "cross_entropy": [2.0, 1.0], "center_loss": [3.0, 1.0],
                        "train_accuracy": [0.2, 0.4], "validation_cross_entropy": [2.1, 1.2],
                        "validation_accuracy": [0.3, 0.5], "validation_ratio": [3.0, 0.7]})
BINS = pd.DataFrame({"n": [10, 30], "sure": [0.5, 0.9], "accuracy": [0.4, 1.0], "low": [0.2, 0.9], "high": [0.7, 1]})
RUNS = {seed: ([0.1, 1.0, 1.9], [50.0 + seed, 52, 51]) for seed in range(5)}
SHARES = np.zeros((7, 7), int)  # in percent: 40, 45 … 70 and what is left: all tones, the middle ones closely
SHARES[range(7), range(7)], SHARES[range(7), [1, 2, 3, 4, 5, 6, 0]] = 40 + 5 * np.arange(7), 60 - 5 * np.arange(7)
CLASSES = {
    "projections": lambda: plots.projections({"a": (POINTS[:, :2], LABELS)}),
    "space_live": lambda: plots.space_live({"a": (POINTS, LABELS)}),
    "beside_softmax": lambda: beside_softmax(simulate(0.2)),
    "result_panels": lambda: results_lab(grid_of_runs()).still()[0],
    "embedding_panels": lambda: PLANES.still()[0],
}
SERIES = {
    "staircase": lambda: plots.staircase(9, (0.5, 1.9)),
    "noise_floor": lambda: plots.noise_floor(9, [0.5, 1.9], [0.3, 6.0]),
    "paths_by_alpha": lambda: plots.paths_by_alpha({"Eq. 2": {0.1: [0, 1, 2], 1.0: [0, 2, 2], 1.9: [0, 4, 2]}}),
    "digit_planes": lambda: plots.digit_planes({"a": POINTS[:, :2], "b": POINTS[:, :2]}, np.arange(70) % 10),
    "pair_distances": lambda: plots.pair_distances({"a": (POINTS[:, 0] ** 2, np.arange(70) % 2 == 0, 0.5)}),
    "feature_film": lambda: plots.feature_film({"a": [POINTS[:, :2]]}, np.arange(70) % 10, ["start"]),
    "paired_runs": lambda: plots.paired_runs({"Eq. 2": {seed: (60.0 + seed, 58.0) for seed in range(5)}}),
    "recalls": lambda: plots.recalls(pd.DataFrame({arm: 10.0 * arm + np.arange(7) for arm in range(6)}, EMOTIONS)),
    "alpha_curves": lambda: plots.alpha_curves({"Eq. 2": RUNS}, [49.0, 51.0], {"FER2013": ([1, 2], [58, 61], 62.0)}),
    "lambda_curves": lambda: plots.lambda_curves(
        {s: (*curve, [45, 44, 9], [1.0, 0.8, 0.5]) for s, curve in RUNS.items()}, ([51, 52], [46, 45], [1.2, 1.1])),
    "seeds_needed": lambda: plots.seeds_needed({s: ([1, 2], [10, 4]) for s in (0.5, 1.0, 1.7)}, {"RAF-DB": 2.44}),
    "learning_curves": lambda: plots.learning_curves({"softmax": HISTORY, "centre loss": HISTORY, "third": HISTORY}),
    "both_losses": lambda: plots.both_losses(HISTORY, 0.2),
    "photo_answer": lambda: photo_answer(FACES.images[0], (2, 2, 18), FACES.images[0], np.full(7, 1 / 7),
                                               [(FACES.images[1], "anger")] * 3),
    "class_shares": lambda: plots.class_shares({name: np.full(7, 1 / 7) for name in ("a", "b", "c", "d")}),
    "reliability": lambda: plots.reliability({"a": BINS}),
    "confusion_matrices": lambda: plots.confusion_matrices({"a": SHARES, "b": np.eye(7, dtype=int)}),
    "mean_distances": lambda: plots.mean_distances({"a": (SHARES + 20.0, np.linspace(0, 60, 7))}),
    "face_wall": lambda: plots.face_wall(FACES, 2),
    "saliency_maps": lambda: plots.saliency_maps(FACES.images[:2], FACES.images[:2] > 128, {"a": np.ones((2, 24, 24)),
                                                 "b": np.zeros((2, 24, 24))}, ["fear", "anger"]),
    "face_grid": lambda: plots.face_grid([[FACES.images[0]]], ["row"], ["column"]),
}
MAKE = {**CLASSES, **SERIES}


@functools.cache
def made(name):
    return MAKE[name]()


def stills():
    """(name, figure, axis) of every axis of every figure that matplotlib draws."""
    return [(name, made(name), axis) for name in MAKE if not name.endswith("_live") for axis in made(name).axes]


def test_every_plot_is_looked_at():
    looked_at = set(MAKE) - {"beside_softmax", "result_panels", "embedding_panels", "photo_answer"}
    assert looked_at == set(plots.__all__) - {"follow", "picture", "png", "show"}


def outline(marker):
    """What tells a marker's path from the others."""
    style = MarkerStyle(marker)
    return np.round(style.get_path().transformed(style.get_transform()).vertices, 6).tobytes()


def test_classes_are_drawn_in_their_colour_and_with_their_marker():
    markers, wrong = {outline(marker): marker for marker in MARKERS.values()}, []
    for name in CLASSES:
        figure, looks = made(name), MARKERS
        if isinstance(figure, Figure):
            named = {text.get_text() for legend in figure.findobj(Legend) for text in legend.get_texts()}
            drawn = {part.get_label(): (to_hex(part.get_facecolor()[0]),
                                        markers[np.round(part.get_paths()[0].vertices, 6).tobytes()])
                     for part in figure.findobj(PathCollection) if part.get_label() in COLOURS}
        else:
            looks = {emotion: SYMBOLS_3D[marker] for emotion, marker in MARKERS.items()}
            named = {trace.name for trace in figure.data if trace.showlegend}
            drawn = {trace.name: (trace.marker.color.lower(), trace.marker.symbol) for trace in figure.data}
            edges = [trace.marker.line for trace in figure.data]
            wrong += [f"{name}: edges"] * any(contrast(line.color) < 3 or not line.width > 0 for line in edges)
        if not named >= set(EMOTIONS) or drawn != {it: (COLOURS[it].lower(), looks[it]) for it in EMOTIONS}:
            wrong.append(f"{name}: {drawn}, in the legend {named}")
    assert not wrong, "\n".join(wrong)


def look(line, axis):
    """What a line has besides its colour: dashes, marker, a hollow marker, or the mark that it ends at."""
    marker = str(line.get_marker())
    if marker in ("None", ""):
        ends = [other.get_marker() for other in axis.lines if len(other.get_xydata()) == 1
                and np.allclose(other.get_xydata()[0], line.get_xydata()[-1])]
        return line.get_linestyle(), "to", *ends
    return line.get_linestyle(), marker, contrast(line.get_markerfacecolor()) > 1


def test_series_differ_in_more_than_their_colour():
    wrong = []
    for name, _, axis in stills():
        lines = [line for line in axis.lines if len(line.get_xydata())]
        wrong += [(name, first.get_label(), second.get_label()) for first, second in itertools.combinations(lines, 2)
                  if first.get_color() != second.get_color() and look(first, axis) == look(second, axis)]
        bars = [container.patches[0] for container in axis.containers]
        wrong += [(name, "bars that differ in colour alone")] * (len({it.get_hatch() for it in bars}) != len(bars))
    assert not wrong


def test_what_is_drawn_stands_out_from_white():
    wrong = []
    for name, _, axis in stills():
        inks = [(line.get_label(), to_rgba(line.get_color() if line.get_linestyle() != "None"
                                           else line.get_markeredgecolor(), line.get_alpha())) for line in axis.lines]
        for part in axis.collections:
            if isinstance(part, PathCollection):
                inks.append((part.get_label(), part.get_edgecolor()[0] if part.get_linewidth()[0] else "white"))
        inks += [("bar", bar.get_edgecolor()) for container in axis.containers for bar in container.patches]
        wrong += [(name, label) for label, ink in inks if contrast(ink) < 3]
    assert not wrong


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


def test_text_can_be_read():
    wrong, read = [], dict.fromkeys(MAKE, 0)
    for name, figure, axis in stills():
        if axis is figure.axes[0]:
            figure.canvas.draw()
        for text in axis.findobj(Text):
            read[name] += 1
            if text.get_text().strip() and text.get_visible() and (
                    contrast(text.get_color(), behind(text, axis)) < 4.5 or text.get_fontsize() < 8):
                wrong.append((name, text.get_text()))
    assert not wrong
    assert {name for name in read if read[name] <= 5} <= {"face_grid", "space_live"}


# The labs, in a browser

FOCUSABLE = "a[href], button, input, select, textarea, summary, [tabindex]:not([tabindex='-1'])"
HERE = """() => {
    let it = document.activeElement;
    while (it.shadowRoot?.activeElement) it = it.shadowRoot.activeElement;
    const shown = it.type === 'radio' && getComputedStyle(it).opacity === '0' ? it.nextElementSibling : it;
    const style = getComputedStyle(shown), box = shown.getBoundingClientRect();
    return { key: it.type === 'radio' ? it.name : it.dataset.name ?? it.dataset.p ?? it.className, type: it.type ?? '',
        outline: style.outlineStyle, width: parseFloat(style.outlineWidth), colour: style.outlineColor,
        inside: it.getRootNode() !== document, value: it.type === 'checkbox' ? it.checked : it.value,
        height: box.height, size: box.width };
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
    page = visit(BOTH)
    wanted = page.locator(".lab").locator(FOCUSABLE).evaluate_all(
        "all => all.map((it) => it.type === 'radio' ? it.name : it.dataset.name ?? it.dataset.p ?? it.className)")
    assert len(wanted) > 12
    seen = walk(page)
    assert [here["key"] for here in seen] == list(dict.fromkeys(wanted)), "Tab reaches each once, in reading order"
    unseen = [here for here in seen if here["outline"] != "solid" or here["width"] < 2
              or contrast(css(here["colour"])) < 3]
    hard_to_hit = [here for here in seen if here["type"] != "radio" and (here["height"] < 24 or here["size"] < 16)]
    assert not unseen and not hard_to_hit
    for control in page.locator(".lab input").all():
        control.focus()
        values = {page.evaluate(HERE)["value"]}
        for key in ("ArrowRight", "ArrowLeft", "ArrowLeft", "Space"):
            page.keyboard.press(key)
            values.add(page.evaluate(HERE)["value"])
        assert len(values) >= 2, control.evaluate("it => it.outerHTML")


def test_every_control_and_picture_of_the_labs_has_a_name(visit):
    wrong = []
    for lab in [lab for name in (BOTH, "photo") for lab in visit(name).locator(".lab").all()]:
        roles = lab.aria_snapshot()
        named = re.findall(r"^\s*- '?(?:slider|button|radio|checkbox) \"([^\"]{1,})\"", roles, re.MULTILINE)
        if len(named) != lab.locator("input, button").count():
            wrong.append(roles)
        if not lab.get_attribute("aria-label") or lab.locator("[aria-live=polite]").count() != 1:
            wrong.append("a lab has no name, or is not read out")
        for picture in lab.locator("svg:not([aria-hidden=true])").all():
            if picture.get_attribute("role") != "img" or len(picture.get_attribute("aria-label")) <= 20:
                wrong.append(picture.evaluate("it => it.outerHTML")[:200])
        wrong += [slider.evaluate("it => it.outerHTML") for slider in lab.locator("input[type=range]").all()
                  if not slider.get_attribute("aria-valuetext")]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_labs_are_read_and_seen_in_light_and_dark(visit, scheme):
    texts, graphics, edges = [], [], []
    for name in (BOTH, "photo"):
        page = visit(name, color_scheme=scheme)
        for lab in page.locator(".lab").all():
            assert lab.evaluate("it => getComputedStyle(it).colorScheme") == "light"
            texts += lab.locator("*").evaluate_all(COLOUR_OF_TEXT)
            graphics += lab.locator("path[class], circle[class]").evaluate_all(GRAPHICS)
            edges += lab.locator("button, .segments span").evaluate_all(
                "all => all.map((it) => getComputedStyle(it).borderTopColor)")
        if name == BOTH:
            around = css(page.locator("body").evaluate("it => getComputedStyle(it).backgroundColor"))
            assert max(around[:3]) < 0.2 if scheme == "dark" else min(around[:3]) > 0.9
    wrong = [text for text in texts if contrast(css(text[1]), css(text[2])) < 4.5]
    for name, stroke, stroke_opacity, fill, fill_opacity, path in graphics:
        inks = [(*css(colour)[:3], float(opacity))
                for colour, opacity in ((stroke, stroke_opacity), (fill, fill_opacity)) if css(colour)]
        if path and max(map(contrast, inks)) < 3:
            wrong.append((name, stroke, fill))
    wrong += [edge for edge in edges if contrast(css(edge)) < 3]
    assert not wrong and min(len(texts), len(graphics), len(edges)) > 5


def test_no_width_needs_scrolling_sideways(visit):
    wrong = []
    for name in (CENTER, ALONE, RESULTS, EMBEDDING, "photo"):
        page = visit(name)
        for width in (320, 360, 760, 1400):
            page.set_viewport_size({"width": width, "height": 900})
            page.reload()  # laid out anew, as in a window of that width
            frame(page)
            if page.evaluate("document.documentElement.scrollWidth") > width:
                wrong.append(f"{name} at {width} pixels")
            edges = page.locator(".lab").first.locator(
                "input, button, figure > svg, table, td, .controls b").evaluate_all(
                "all => all.map((it) => it.getBoundingClientRect()).map((box) => [box.left, box.right])")
            wrong += [f"{name} at {width} pixels: {edge}" for edge in edges if not 0 <= edge[0] < edge[1] <= width]
    assert not wrong


def test_without_javascript_the_pictures_stay(visit):
    page = visit(BOTH, java_script_enabled=False)
    pictures = page.locator(".center-lab img, .results-lab img, .embedding-lab img").all()
    assert len(pictures) == 3 and not page.locator(".lab").count()
    assert all(picture.is_visible() and not what_is_wrong(picture.get_attribute("alt")) for picture in pictures)


# The labs of ipywidgets

def test_each_control_of_the_face_lab_has_a_label_and_the_face_has_words():
    left, right = face_lab("surprise", person=3).children
    *controls, html = [*right.children, *left.children]
    assert len(controls) == 15 == len({it.description.strip() for it in controls} - {""})
    assert not any(getattr(it, "disabled", False) for it in controls)
    alts = re.findall(r'alt="([^"]+)"', html.value)
    assert len(alts) == html.value.count("<img") == 2 and "1, 2, 5, 26" in alts[0]


def test_every_lab_of_the_course_is_looked_at():
    """A new lab has to be put to the tests above, or to its own: photo_lab's are in test_labs_photo_lab.py."""
    found = {path.name for path in (ROOT / "fer_course" / "labs").glob("*_lab")}
    assert found == {"center_lab", "embedding_lab", "face_lab", "photo_lab", "results_lab"}
