"""Run the whole course without a browser: build/ gets each notebook executed, as a web page too, and a page of links.

    python tools/course.py                 everything, the environment first
    python tools/course.py --only 03 05    some notebooks

Stops at the first notebook that fails. Trained runs are kept in runs/, so that a second call takes seconds a notebook.
"""

import copy
import html
import json
import re
import sys
from time import monotonic

from environment import ROOT, enter, parser
from execute import BUILD, NotebookFailed, execute, find_notebooks

# Code comes first, so that a dollar in it is none of ours.
FORMULA = re.compile(r"(?P<code>```.*?```|`[^`]*`)|\$\$(?P<block>.+?)\$\$|\$(?P<inline>[^$`\n]+)\$", re.DOTALL)
PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>CL-ResNet50, rebuilt</title>
<style>
  body {{ font: 1.05rem/1.5 system-ui, sans-serif; max-width: 42rem; margin: 2rem auto; padding: 0 1rem;
         color: #1a1a1a; background: #fff; }}
  h1 {{ line-height: 1.2; }}
  ol {{ list-style: none; padding: 0; }}
  li {{ border-top: 1px solid #ccc; padding: .6rem 0 1rem; }}
  h2 {{ font-size: 1.15rem; margin: .3rem 0; }}
  p {{ margin: .3rem 0; }}
  a {{ color: #0b5394; }}
  small {{ color: #555; }}
  @media (prefers-color-scheme: dark) {{
    body {{ color: #eee; background: #181818; }} a {{ color: #8ab8ff; }} small {{ color: #aaa; }}
  }}
</style>
<main>
<h1>CL-ResNet50, rebuilt</h1>
<p>A course in facial emotion recognition with centre loss: the notebooks as they ran here.</p>
<ol>
{items}
</ol>
<p>Alone, on a page that needs nothing else: <a href="center_lab.html">the lab of centre loss</a>.</p>
<p><small>{foot}</small></p>
</main>
</html>
"""
ITEM = """<li>
<h2><a href="{stem}.html">{title}</a></h2>
<p>{summary}</p>
<small>{minutes} · <a href="{stem}.ipynb">notebook</a></small>
</li>"""

# nbconvert does not hand a picture's alt text on; around the picture of a lab stands an element for the live one
TEMPLATE = """{% extends "lab/index.html.j2" %}
{% block data_png scoped %}
{% set alt = output | get_metadata("alt", "image/png") | default("", true) | escape_html %}
{% set lab = output | get_metadata("lab", "image/png") %}
{% set place = (lab.module | replace("_", "-") | escape_html) if lab else "" %}
{% if lab %}<div class="{{ place }}" data-options="{{ lab.options | tojson | forceescape }}">{% endif %}
{{ super() | replace("<img ", '<img alt="' ~ alt ~ '" ') }}
{% if lab %}</div>{% endif %}
{% endblock %}"""
LABS = ("center_lab", "results_lab")
# Without JavaScript the pictures stay where they are.
LAB_START = """
for (const el of document.querySelectorAll(".{place}")) mount(el, JSON.parse(el.dataset.options));
"""
LAB_PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The lab of centre loss</title>
<style>
  body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 980px; margin: 1.5rem auto; padding: 0 8px; color: #26323E;
         background: #fff; }}
  h1, body > p {{ padding: 0 8px; }} h1 {{ font-size: 1.4rem; line-height: 1.2; }} a {{ color: #0b5394; }}
</style>
<h1>The lab of centre loss</h1>
<p>Three classes of points that move freely in the plane. Cross-entropy drives them outwards, λ times centre loss to
their centres; a batch of points moves the centres at each of 60 steps. Hollow: where the points began. Lines: the paths
of the centres. <a href="index.html">The course</a> explains it in notebook 3.</p>
<div class="center-lab" data-options="{{}}"><p>The lab needs JavaScript, and no network.</p></div>
{script}
</html>
"""


def main(only=()):
    """Execute, export, link; returns the exit code."""
    minutes = read_minutes()
    for path in find_notebooks(only):
        print(f"{path.stem:<32}", end=" ", flush=True)
        start = monotonic()
        try:
            notebook = execute(path, BUILD / path.name)
        except NotebookFailed as error:
            print("failed", flush=True)
            print(error, file=sys.stderr)
            return 1
        (BUILD / f"{path.stem}.html").write_text(as_html(notebook, path.stem), encoding="utf-8")
        minutes[path.stem] = round((monotonic() - start) / 60, 1)
        (BUILD / "minutes.json").write_text(json.dumps(minutes, indent=1))
        print(f"{minutes[path.stem]:5.1f} min", flush=True)
    (BUILD / "center_lab.html").write_text(LAB_PAGE.format(script=lab_script()), encoding="utf-8")
    (BUILD / "index.html").write_text(index(minutes), encoding="utf-8")
    print(f"{peak_memory()}Open {BUILD / 'index.html'} in a browser.")
    return 0


def read_minutes():
    """Minutes of each notebook that an earlier call has executed."""
    path = BUILD / "minutes.json"
    return json.loads(path.read_text()) if path.exists() else {}


def as_html(notebook, name):
    """The notebook as one web page that needs no kernel and no network: formulas are MathML, which browsers draw, and
    where a lab stood it stands again, alive."""
    from nbconvert import HTMLExporter

    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = FORMULA.sub(as_mathml, cell.source)
    exporter = HTMLExporter(template_name="lab", raw_template=TEMPLATE, mathjax_url="", require_js_url="")
    page = exporter.from_notebook_node(notebook, {"metadata": {"name": name}})[0]
    body, end = page.rsplit("</body>", 1)
    scripts = [lab_script(name) for name in LABS if f'<div class="{place(name)}"' in page]
    return "\n".join([body, *scripts, f"</body>{end}"]) if scripts else page


def lab_script(name="center_lab"):
    """A lab's module, inline, behind what the labs share, and the line that starts every such lab of the page."""
    texts = [(ROOT / "fer_utils" / f"{part}.js").read_text(encoding="utf-8") for part in ("lab", name)]
    return f'<script type="module">\n{"".join(texts)}{LAB_START.format(place=place(name))}</script>'


def place(name):
    """The CSS class of the elements in which a lab lives."""
    return name.replace("_", "-")


def as_mathml(formula):
    """A match of ``FORMULA`` as MathML on one line, or as it was inside code."""
    from latex2mathml.converter import convert

    if formula["code"]:
        return formula[0]
    display = "block" if formula["block"] else "inline"
    return convert(" ".join((formula["block"] or formula["inline"]).split()), display=display)


def index(minutes):
    """The page that links every notebook that has a page in build/."""
    import nbformat
    import torch

    items = []
    for page in sorted(BUILD.glob("[0-9]*.html")):
        title, summary = headline(nbformat.read(page.with_suffix(".ipynb"), as_version=4))
        time = f"{minutes[page.stem]} min" if page.stem in minutes else ""
        items.append(ITEM.format(stem=page.stem, title=html.escape(title), summary=html.escape(summary), minutes=time))
    total = sum(minutes.values())
    foot = f"{total:.1f} minutes in all, with Python {sys.version.split()[0]} and torch {torch.__version__}."
    return PAGE.format(items="\n".join(items), foot=html.escape(foot))


def headline(notebook):
    """A notebook's first heading and the first paragraph beneath it, without Markdown's signs."""
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    title, _, rest = re.split(r"^# +", text, maxsplit=1, flags=re.MULTILINE)[-1].partition("\n")
    paragraphs = [" ".join(part.split()) for part in rest.split("\n\n")]
    summary = next((part for part in paragraphs if part and part[0] not in "#>|<-!"), "")
    return tuple(re.sub(r"\[([^]]*)\]\([^)]*\)|[*`]", r"\1", part).strip() for part in (title, summary))


def peak_memory():
    """A line with the most memory that one kernel held; empty on Windows."""
    try:
        import resource
    except ImportError:
        return ""
    unit = 1 if sys.platform == "darwin" else 1024
    return f"Largest kernel: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit / 2**30:.1f} GiB\n"


if __name__ == "__main__":
    parser = parser(__doc__)
    parser.add_argument("--only", nargs="+", default=(), metavar="NUMBER", help="run these notebooks only")
    arguments = parser.parse_args()
    enter(arguments.here)
    sys.exit(main(arguments.only))
