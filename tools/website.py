"""Render the course as static pages that need no kernel, no server and no other host: build/site/index.html.

    python tools/website.py                 with the outputs that are stored in notebooks/; takes seconds
    python tools/website.py --to FOLDER     elsewhere

A link that goes nowhere is named and left out.
"""

import base64
import hashlib
import html
import json
import posixpath
import re
import shutil
import sys
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

import notebook_html as inside
from environment import ROOT, enter, parser, path_of, project
from notebook_html import WEB, is_text, slug, soup

LAB = "fer_course/labs/center_lab/center_lab.js"
# What the menu shows and "next" follows: files that exist. What they link to gets a page too, outside the menu.
MENU = {
    "Begin": ["README.md", "README.ko.md", "docs/setup.md"],
    "Notebooks": ["notebooks/[0-9]*.ipynb", LAB],
    "Results": ["results/README.md", "results/LEDGER.md", "results/CLAIMS.md", "results/PROTOCOL.md"],
    "Teach and apply": ["docs/workshop.md", "docs/data.md", "docs/papermill.md", "docs/center_loss.md",
                        "docs/benchmarks.md", "CONTRIBUTING.md"],
    "Reference": ["docs/glossary.md", "docs/datasheet.md", "docs/model_card.md"],
}
NAMES = {"README.md": "About the course", "README.ko.md": "한국어", LAB: "The lab alone"}  # shorter than their headings
NUMBER = re.compile(r"[-−+±\d., %]*|NaN|nan|None")
UNIT = re.compile(r"(?<=\d) (?=%|(?:min|ms|s|GB|MB|MiB|px)\b)")  # no number parts from its unit


@dataclass
class Page:
    """One page: where its text comes from, where it lies in the site, and what stands in it."""

    source: str
    place: str
    title: str
    body: object  # a BeautifulSoup
    summary: str = ""
    minutes: str = ""
    contents: list = field(default_factory=list)  # (level, anchor, heading)
    file: str = ""  # beside the page, as it lies in the repository

    @property
    def name(self):
        return NAMES.get(self.source, self.title)


class Site:
    """The pages made from the files of ``root``; ``executed`` {"notebooks/NAME.ipynb": path} takes notebooks from
    elsewhere, and ``note`` stands at the foot of each page. ``write`` returns warnings, one line each."""

    def __init__(self, root=ROOT, executed=None, note=""):
        self.root, self.executed, self.note = Path(root), executed or {}, note
        self.pages, self.copies, self.warnings, self.waiting = {}, set(), [], deque()

    def write(self, folder):
        """Make everything and put it into ``folder``, in place of an earlier site."""
        folder = Path(folder)
        if folder.exists() and any(folder.iterdir()):
            if not (folder / "assets" / "search-index.js").exists():
                raise SystemExit(f"{folder} holds something that is no site of this course; name an empty folder.")
            shutil.rmtree(folder)
        menu = {title: [source for pattern in patterns for source in self._found(pattern)]
                for title, patterns in MENU.items()}
        self.waiting.extend(source for sources in menu.values() for source in sources)
        while self.waiting:
            source = self.waiting.popleft()
            if source not in self.pages:
                self.pages[source] = self._page(source)
                self._finish(self.pages[source])
        for source in self.copies:
            target = folder / source
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._file(source), target)
        self._write_pages(folder, menu)
        self._write_assets(folder / "assets")
        return self.warnings

    def _found(self, pattern):
        return sorted(path.relative_to(self.root).as_posix() for path in self.root.glob(pattern))

    def _file(self, source):
        return self.executed.get(source, self.root / source)

    # One page

    def _page(self, source):
        """Of a notebook, a Markdown text, a source file or a folder."""
        import nbformat
        from nbformat.v4 import new_markdown_cell, new_notebook

        path = self._file(source)
        if path.suffix == ".ipynb":
            notebook = nbformat.read(path, as_version=4)
        elif path.suffix == ".md" or source == LAB:
            text = WEB / "center_lab.md" if source == LAB else path
            notebook = new_notebook(cells=[new_markdown_cell(text.read_text(encoding="utf-8"))])
        else:
            return self._from_files(source, path)
        title, summary = inside.headline(notebook)
        page = Page(source, place(source, self.root), title, soup(inside.as_html(notebook)), summary)
        if path.suffix == ".ipynb":
            self.copies.add(source)
            page.minutes, page.file = inside.minutes(notebook), path.name
        return page

    def _from_files(self, source, path):
        """A source file, highlighted; of a folder, each of its files that is a short text."""
        page = Page(source, place(source, self.root), source, None)
        if path.is_file():
            self.copies.add(source)
            page.file, shown = path.name, inside.highlighted(path)
        else:
            shown = ""
            for part in sorted(path.iterdir()):
                name = f"{html.escape(part.name)} · {part.stat().st_size:,} bytes"
                if part.is_file() and part.stat().st_size < 10_000 and is_text(part):
                    text = html.escape(part.read_text(encoding="utf-8"))
                    shown += f"<details><summary>{name}</summary><pre>{text}</pre></details>"
                else:
                    shown += f"<p>{name}</p>"
        page.body = soup(f"<h1>{html.escape(source)}</h1>{shown}")
        return page

    def _finish(self, page):
        """Anchors and contents, links and pictures, and boxes in which what is wide scrolls."""
        from bs4 import Comment

        body = page.body
        for comment in body.find_all(string=lambda text: isinstance(text, Comment)):
            comment.extract()  # notes for teachers
        for style in body.select("style[scoped]"):
            style.decompose()
        times = Counter()
        for heading in body.find_all(["h1", "h2", "h3", "h4"]):
            text = " ".join(heading.get_text().split())
            anchor = slug(text)
            heading["id"] = f"{anchor}-{times[anchor]}" if times[anchor] else anchor
            times[anchor] += 1
            if heading.name in ("h2", "h3"):
                page.contents.append((int(heading.name[1]), heading["id"], text))
            link = body.new_tag("a", attrs={"class": "anchor", "href": f"#{heading['id']}",
                                            "aria-label": f"Link to: {text}"})
            link.string = "#"
            heading.append(link)
        for table in body.find_all("table"):
            numbers = all(NUMBER.fullmatch(cell.get_text().strip()) for cell in table.find_all("td"))
            table.attrs = {"class": "numbers"} if numbers else {}
            table.wrap(body.new_tag("div", attrs={"class": "scroll"}))
        for text in body.find_all(string=UNIT):
            if text.find_parent(["pre", "code", "script", "style"]) is None:
                text.replace_with(UNIT.sub("\N{NO-BREAK SPACE}", text))
        for formula in body.select('math[display="block"]'):
            formula.wrap(body.new_tag("span", attrs={"class": "scroll formula"}))
        for link in body.select("a[href]"):
            target = self._target(page, link["href"])
            if target is None:
                link.unwrap()
            else:
                link["href"] = target
        for image in body.select("img:not([src^='data:'])"):
            file = posixpath.normpath(posixpath.join(posixpath.dirname(page.source), unquote(image["src"])))
            if (self.root / file).is_file():
                self.copies.add(file)
                image["loading"] = "lazy"
            else:  # a badge of another host, for example: the link around it stays
                image.replace_with(image.get("alt", ""))
                if not re.match("https?:", image["src"]):
                    self.warnings.append(f"{page.source}: there is no picture {image['src']}; its words stand there")

    def _target(self, page, href):
        """Where a link goes in the site; None if it goes nowhere."""
        if re.match(r"[a-z]+:", href):
            return href
        path, _, fragment = href.partition("#")
        fragment = f"#{slug(unquote(fragment))}" if fragment else ""
        if not path:
            return fragment
        target = posixpath.normpath(posixpath.join(posixpath.dirname(page.source), unquote(path)))
        if (self.root / target / "README.md").exists():
            target = posixpath.normpath(posixpath.join(target, "README.md"))
        file = self.root / target
        if target.startswith("..") or not file.exists():
            self.warnings.append(f"{page.source}: there is no {href}; its words stay, without a link")
            return None
        if file.is_file() and not is_text(file):
            self.copies.add(target)
            return relative(page, target)
        self.waiting.append(target)
        return relative(page, place(target, self.root)) + fragment

    # The folder

    def _write_pages(self, folder, menu):
        from jinja2 import Environment, FileSystemLoader

        menu = {title: [self.pages[source] for source in sources] for title, sources in menu.items() if sources}
        order = [page for pages in menu.values() for page in pages]
        around = {page.source: (before, after)
                  for before, page, after in zip([None, *order], order, [*order[1:], None])}
        environment = Environment(loader=FileSystemLoader(WEB), autoescape=True, trim_blocks=True, lstrip_blocks=True)
        environment.globals.update(menu=menu, pages=self.pages, note=self.note,
                                   repository=project()["urls"]["Repository"])
        for source, page in self.pages.items():
            before, after = around.get(source, (None, None))
            text = str(page.body)
            modules = [inside.lab_module(name) for name in inside.LABS if f'<div class="{name}"' in text]
            target = folder / page.place
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(environment.get_template("page.html.j2").render(
                page=page, body=text, modules=modules, policy=policy(modules), before=before, after=after,
            ), encoding="utf-8")
        readme = self.pages.get("README.md")
        front = Page("", "index.html", readme.title if readme else "The course", None, readme.summary if readme else "")
        (folder / front.place).write_text(environment.get_template("index.html.j2").render(
            page=front, picture=readme and readme.body.find("img"), policy=policy([])), encoding="utf-8")

    def _write_assets(self, folder):
        from pygments.formatters import HtmlFormatter

        folder.mkdir()
        light, dark = (HtmlFormatter(style=style).get_style_defs(".highlight") for style in ("xcode", "github-dark"))
        style = (WEB / "style.css").read_text(encoding="utf-8")
        (folder / "style.css").write_text(f"{light}\n@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}\n"
                                          f"{style}", encoding="utf-8")
        shutil.copyfile(WEB / "site.js", folder / "site.js")
        if any(page.body.select_one(".live-figure") for page in self.pages.values()):
            from plotly.offline import get_plotlyjs

            (folder / "plotly.min.js").write_text(get_plotlyjs(), encoding="utf-8")
        pages = [page for source, page in self.pages.items() if not (self.root / source).is_dir()]
        index = {"pages": [[quote(page.place), page.name] for page in pages],
                 "sections": [[number, *part] for number, page in enumerate(pages)
                              for part in inside.sections(page.title, page.body)]}
        (folder / "search-index.js").write_text("var searchIndex = " + json.dumps(
            index, ensure_ascii=False, separators=(",", ":")) + ";\n", encoding="utf-8")


def place(source, root=ROOT):
    """Where the page of a file or a folder lies in the site: as in the repository, so that links keep their way."""
    if (Path(root) / source).is_dir():
        return f"{source}/index.html"
    return f"{re.sub(r'[.](md|ipynb)$', '', source)}.html"


def relative(page, target):
    return quote(posixpath.relpath(target, posixpath.dirname(page.place) or "."))


def policy(modules):
    """What a page may load, for the browser to enforce: files beside it, pictures and the labs that stand in it."""
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in modules]
    own = "'self' file:"  # a page that is opened from a disk has no host to be "self"
    return "; ".join(["default-src 'none'", " ".join(["script-src", own, *hashes]),
                      f"style-src {own} 'unsafe-inline'", f"img-src {own} data:", "base-uri 'none'",
                      "form-action 'none'"])


def main(folder):
    site = Site()
    for warning in site.write(folder):
        print(warning, file=sys.stderr)
    print(f"{len(site.pages) + 1} pages. Open {Path(folder, 'index.html')} in a browser.")


if __name__ == "__main__":
    parser = parser(__doc__)
    parser.add_argument("--to", metavar="FOLDER", type=path_of, default=ROOT / "build" / "site")
    arguments = parser.parse_args()
    enter(arguments.here)
    main(arguments.to.absolute())
