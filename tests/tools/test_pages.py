"""The pages around the notebooks: each tells where to go next, the glossary's places exist, and the Korean README keeps
in step with the English one. That every link leads somewhere is tested on the site (test_website.py)."""

import re
from pathlib import Path

import nbformat
from execute import find_notebooks

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", "README.ko.md", "CONTRIBUTING.md", "results/README.md", "results/LEDGER.md", "results/CLAIMS.md",
         *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]
NEXT = re.compile(r"\*\*(?:Next|다음):\*\*[^\]]*\]\(([^)#\s]+)")


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def without_code(text):
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)


def prose(path, last=0):
    """The text of a notebook's cells, or of the last ones."""
    cells = nbformat.read(path, as_version=4).cells[-last:]
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def test_every_page_and_every_notebook_ends_by_telling_where_to_go_next():
    ends = {ROOT / name: read(name).strip().split("\n\n")[-1] for name in PAGES}
    notebooks = find_notebooks()
    ends |= {path: prose(path, last=3) for path in notebooks}
    found = {path: NEXT.search(end) for path, end in ends.items()}
    assert not [path for path, next_ in found.items() if not next_ or not (path.parent / next_[1]).exists()]
    assert [found[path][1] for path in notebooks[:-1]] == [path.name for path in notebooks[1:]]


# The glossary

TERM = re.compile(r"^### (?P<english>.+?) · (?P<korean>.+)\n\n(?P<meaning>.+)\n\n(?P<sense>.+)\n\n"
                  r"\*\[(?P<section>[\d.]+) (?P<title>.+)\]\((?P<target>\S+)\)\*$", re.MULTILINE)
TERMS = [found.groupdict() for found in TERM.finditer(read("docs/glossary.md"))]


def test_each_term_of_the_glossary_is_explained_in_both_languages_and_names_its_section():
    assert len(TERMS) == read("docs/glossary.md").count("\n### ") and 40 <= len(TERMS) <= 60
    names, wrong = [term["english"].casefold() for term in TERMS], []
    assert names == sorted(names) and len(set(names)) == len(names)
    for term in TERMS:
        text = prose(ROOT / "docs" / term["target"])
        right = {"English": term["meaning"].endswith(".") and not re.search("[가-힣]", term["meaning"]),
                 "Korean": term["sense"].endswith("니다.") and re.search("[가-힣]", term["sense"]),
                 "section": re.search(rf"^##? {re.escape(term['section'])} (· )?{re.escape(term['title'])}$", text,
                                      re.MULTILINE)}
        wrong += [(term["english"], rule) for rule, holds in right.items() if not holds]
    assert not wrong


# The Korean README

def test_the_korean_readme_has_the_same_commands():
    english, korean = read("README.md"), read("README.ko.md")
    part = english[english.index("## Two commands"):english.index("## The course")]
    blocks = re.findall(r"```\n(.*?)```", part, re.DOTALL)
    spans = re.findall(r"`((?:make|python|conda|\.venv)[^`\n]*)`", re.sub(r"```.*?```", "", part, flags=re.DOTALL))
    commands = [line.strip() for block in blocks for line in block.splitlines()] + spans
    assert len(commands) >= 7
    optional = {"make stress"}  # the slow proofs are for contributors
    assert not [command for command in commands if command not in korean and command not in optional]


def test_the_korean_readme_has_no_number_that_is_not_in_the_english_pages():
    english = without_code(read("README.md") + read("results/README.md")) + "".join(map(prose, find_notebooks()))
    numbers = re.findall(r"(?<![\w.=,])\d[\d,]*\.\d+(?![A-Za-z\d.])|\d,\d{3}", without_code(read("README.ko.md")))
    assert len(numbers) > 8 and not [number for number in numbers if number not in english]
