"""A notebook or a Markdown text as the inside of a web page that needs no kernel and no network.

Imported by website.py; not called by itself.
"""

import copy
import re
from functools import cache

from environment import ROOT

WEB = ROOT / "tools" / "web"
LARGEST = 1_000_000  # bytes of a file that a page links to
LABS = ("center-lab", "results-lab", "embedding-lab")  # the CSS classes of the elements in which they live
# Code comes first, so that a dollar in it is none of ours.
FORMULA = re.compile(r"(?P<code>```.*?```|`[^`]*`)|\$\$(?P<block>.+?)\$\$|\$(?P<inline>[^$`\n]+)\$", re.DOTALL)
# Without JavaScript the pictures stay where they are.
LAB_START = """
for (const el of document.querySelectorAll(".{place}")) mount(el, JSON.parse(el.dataset.options));
"""


@cache
def exporter():
    from nbconvert import HTMLExporter

    template = (WEB / "cells.html.j2").read_text(encoding="utf-8")
    return HTMLExporter(template_name="basic", raw_template=template, mathjax_url="", require_js_url="",
                        exclude_anchor_links=True, exclude_input_prompt=True, exclude_output_prompt=True)


def as_html(notebook):
    """The notebook's cells and stored outputs as HTML: formulas are MathML, which browsers draw; a lab's picture lies
    in the element where the lab itself can live."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = FORMULA.sub(as_mathml, cell.source)
    return exporter().from_notebook_node(notebook)[0]


def as_mathml(formula):
    """A match of ``FORMULA`` as MathML on one line, or as it was inside code."""
    from latex2mathml.converter import convert

    if formula["code"]:
        return formula[0]
    display = "block" if formula["block"] else "inline"
    return convert(" ".join((formula["block"] or formula["inline"]).split()), display=display)


def lab_module(name):
    """A lab's JavaScript, behind what the labs share, and the line that starts every such lab of a page."""
    labs, folder = ROOT / "fer_course" / "labs", name.replace("-", "_")
    texts = [path.read_text(encoding="utf-8") for path in (labs / "lab.js", labs / folder / f"{folder}.js")]
    return f"\n{''.join(texts)}{LAB_START.format(place=name)}"


def headline(notebook):
    """A notebook's first heading and the first paragraph beneath it, without Markdown's signs."""
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    title, _, rest = re.split(r"^# +", text, maxsplit=1, flags=re.MULTILINE)[-1].partition("\n")
    paragraphs = [" ".join(part.split()) for part in rest.split("\n\n")]
    summary = next((part for part in paragraphs if part and part[0] not in "#>|<-!"), "")
    return tuple(re.sub(r"\[([^]]*)\]\([^)]*\)|[*`]", r"\1", part).strip() for part in (title, summary))


def minutes(notebook):
    """What a notebook says of its minutes, to its first full stop; empty if it says nothing."""
    said = re.search(r"^\*\*Minutes:\*\* (.+?)(?:\.|\n\n|\Z)", notebook.cells[0].source, re.MULTILINE | re.DOTALL)
    return " ".join(said[1].split()) if said else ""


def soup(text):
    from bs4 import BeautifulSoup

    return BeautifulSoup(text, "html.parser")


def slug(heading):
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def is_text(path):
    try:
        return path.stat().st_size <= LARGEST and "\0" not in path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return False


def highlighted(path):
    """A text file as HTML."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import TextLexer, find_lexer_class_for_filename

    lexer = find_lexer_class_for_filename(path.name) or TextLexer
    return highlight(path.read_text(encoding="utf-8"), lexer(), HtmlFormatter())


def sections(title, body):
    """What the search reads: [anchor, heading, text] for each heading, without the outputs of cells."""
    found, skipped = [["", title, []]], {"script", "style", "math"}
    for text in body.find_all(string=True):
        parents = [tag for tag in text.parents if tag.name]
        heading = next((tag for tag in parents if tag.name in ("h1", "h2", "h3", "h4")), None)
        if heading is not None:
            if heading["id"] != found[-1][0]:
                found.append([heading["id"], "", []])
            found[-1][1] += "" if "anchor" in text.parent.get("class", ()) else text
        elif not any(tag.name in skipped or "output_wrapper" in tag.get("class", ()) for tag in parents):
            found[-1][2].append(text)
    return [[anchor, " ".join(heading.split()), " ".join("".join(texts).split())] for anchor, heading, texts in found
            if anchor or "".join(texts).strip()]
