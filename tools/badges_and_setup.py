"""Write what leads into the course from outside: the set-up cell of each notebook, and the README's Colab and Binder.

    python tools/badges_and_setup.py

They follow from two lines of pyproject.toml: the version, and the repository's public address, which stands nowhere
else. As long as its owner is called OWNER there is none: the README shows no badges, and on Colab the cell says so.
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
# On Colab this fetches the course and leaves Colab's torch and numpy alone.
import sys

if "google.colab" in sys.modules and "fer_utils" not in sys.modules:
{colab}
import fer_utils  # not found? In the course's folder: python tools/environment.py

fer_utils.require_version("{version}")"""
COLAB = """\
    !curl -sSfL {address}/archive/refs/tags/v{version}.tar.gz | tar xz -C /content
    %pip install -q --no-deps {folder} "{upgraded}"
    %cd -q {folder}/notebooks"""
NO_COLAB = """\
    raise RuntimeError("This copy has no public address yet: Colab can't fetch it.")"""

BLOCK = re.compile(r"(<!-- doors -->\n).*?(<!-- end -->)", re.DOTALL)
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
BINDER = "https://mybinder.org/v2/gh/{slug}/v{version}?urlpath=lab/tree/README.md"


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
    colab = NO_COLAB
    if address:
        folder = f"/content/{address.rpartition('/')[2]}-{version}"  # so GitHub names it in its archive of a tag
        colab = COLAB.format(version=version, address=address, folder=folder, upgraded=UPGRADED)
    return CELL.format(version=version, colab=colab)


def with_badges(readme, names, version, address):
    """The README with this version's badges between its markers; ``names``: {notebook's file: its title}."""
    badges = ""
    if address:
        slug = GITHUB.fullmatch(address)[1]
        rows = [ROW.format(title=title, slug=slug, version=version, name=name) for name, title in names.items()]
        badges = BADGES.format(binder=BINDER.format(slug=slug, version=version), rows="\n".join(rows))
    text, count = BLOCK.subn(lambda found: found[1] + badges + found[2], readme)
    if count != 1:
        sys.exit(f"README.md has the markers <!-- doors --> … <!-- end --> {count} times, and needs them once.")
    return text


if __name__ == "__main__":
    enter(parser(__doc__).parse_args().here)
    main()
