"""Write what leads into the course from outside: the set-up cell of each notebook, and the README's Colab and Binder.

    python tools/badges_and_setup.py

They follow from two lines of pyproject.toml: the version, and the repository's public address, which stands nowhere
else. As long as its owner is called OWNER there is none: the README shows no badges, and the cell cannot fetch the
course; it takes one that is installed or lies on the machine, and otherwise says what to type.
"""

import re
import sys

from environment import ROOT, enter, parser, project
from execute import find_notebooks, normalise

GITHUB = re.compile(r"https://github\.com/([\w.-]+/[\w.-]+?)/?")
NOBODY = "OWNER"  # pyproject.toml's owner until somebody publishes the repository
UNSET = (f"The repository has no public address yet. Put it into pyproject.toml, [project.urls], instead of the one "
         f"with {NOBODY}; then call python tools/badges_and_setup.py and publish the tag that it names.")
UPGRADED = "plotly>=6.0"  # Colab's own is older; nothing that torch or numpy would follow

CELL = """\
# On Colab this finds the course or fetches it; Colab's torch and numpy stay as they are.
import sys

if "google.colab" in sys.modules and "fer_utils" not in sys.modules:
    from importlib.util import find_spec
    from pathlib import Path

    places = [Path.cwd(), *Path.cwd().parents, *sorted(Path("/content").glob("*"))]
    course = next((place for place in places if (place / "fer_utils/version.py").exists()), None)
    if course == Path.cwd() or not find_spec("fer_utils"):  # Python finds what lies here, but it isn't installed
        if not course:
{fetch}
        %pip install -q --no-deps "{{course}}" "{upgraded}"
    if course:
        %cd -q {{course}}/notebooks
import fer_utils  # not found? In the course's folder: python tools/environment.py

fer_utils.require_version("{version}")"""
FETCH = """\
            course = Path("/content/{name}-{version}")
            !curl -sSfL {address}/archive/refs/tags/v{version}.tar.gz | tar xz -C /content"""
ASK = """\
            raise RuntimeError(
                "The course is not here. Unpack its zip here, or run these two lines with your copy's address:\\n"
                "!git clone --depth 1 https://github.com/YOUR-NAME/YOUR-COPY course\\n"
                "%pip install -q --no-deps ./course '{upgraded}'\\n"
                "Then run this cell again.")"""

BLOCK = re.compile(r"(<!-- badges -->\n).*?(<!-- end -->)", re.DOTALL)
BADGES = """\
### In a browser, nothing installed

[![Open in Binder](https://mybinder.org/badge_logo.svg)]({binder})
the course on a machine of Binder's: free, no account, 2 GB of memory, so shut a notebook down before you open the next.

With an account of Google's, on Colab, where the set-up cell of each notebook fetches the course:

| notebook | |
| --- | --- |
{rows}
"""
ROW = ("| {title} | [![Open {title} in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
       "(https://colab.research.google.com/github/{slug}/blob/v{version}/notebooks/{name}) |")
BINDER = "https://mybinder.org/v2/gh/{slug}/v{version}?urlpath=lab/tree/notebooks/00_ten_minutes.ipynb"


def main():
    """Write what is not as it should be, and say so."""
    address = checked(project()["urls"]["Repository"])
    if address is None:
        print(UNSET)
    for path, text in written(project()["version"], address):
        if path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"Wrote {path.relative_to(ROOT).as_posix()}")


def checked(address):
    """The repository's address; None as long as nobody has set it."""
    found = GITHUB.fullmatch(address)
    if not found:
        sys.exit(f"pyproject.toml, [project.urls]: Repository = {address!r} is no address that Colab and Binder read; "
                 "it must be https://github.com/owner/name")
    return None if found[1].startswith(f"{NOBODY}/") else f"https://github.com/{found[1]}"


def written(version, address):
    """(path, text) of every file that leads into the course, as it should be."""
    import nbformat

    names = {}
    for path in find_notebooks():
        notebook = nbformat.read(path, as_version=4)
        names[path.name] = re.search(r"^# +(.+)", notebook.cells[0].source, re.MULTILINE)[1]
        yield path, nbformat.writes(with_setup(notebook, path.stem, version, address)) + "\n"
    path = ROOT / "README.md"
    yield path, with_badges(path.read_text(encoding="utf-8"), names, version, address)


def with_setup(notebook, stem, version, address):
    """The notebook, changed in place, with this version's set-up cell behind its opening cell and nowhere else."""
    from nbformat.v4 import new_code_cell

    cell = new_code_cell(setup(version, address), id=f"{stem[:2]}-setup", metadata={"tags": ["setup"]})
    others = [other for other in notebook.cells if "setup" not in other.metadata.get("tags", ())]
    notebook.cells = [others[0], cell, *others[1:]]
    return normalise(notebook)  # it counts the cells anew


def setup(version, address):
    """The source of the set-up cell. What pip gets is named one by one: with --no-deps it installs nothing else."""
    fetch = ASK.format(upgraded=UPGRADED)
    if address:  # GitHub's archive of the tag v1.2.3 of x/y holds the folder y-1.2.3
        fetch = FETCH.format(version=version, address=address, name=address.rpartition("/")[2])
    return CELL.format(version=version, fetch=fetch, upgraded=UPGRADED)


def with_badges(readme, names, version, address):
    """The README with this version's badges between its markers; ``names``: {notebook's file: its title}."""
    badges = ""
    if address:
        slug = GITHUB.fullmatch(address)[1]
        rows = [ROW.format(title=title, slug=slug, version=version, name=name) for name, title in names.items()]
        badges = BADGES.format(binder=BINDER.format(slug=slug, version=version), rows="\n".join(rows))
    text, count = BLOCK.subn(lambda found: found[1] + badges + found[2], readme)
    if count != 1:
        sys.exit(f"README.md has the markers <!-- badges --> … <!-- end --> {count} times, and needs them once.")
    return text


if __name__ == "__main__":
    enter(parser(__doc__).parse_args().here)
    main()
