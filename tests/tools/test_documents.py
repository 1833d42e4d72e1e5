"""The pages around the notebooks: each tells where to go next, the glossary's places exist, and the Korean README keeps
in step with the English one."""

import re
from pathlib import Path

import nbformat
import pytest
from execute import find_notebooks

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", "README.ko.md", "DATASHEET.md", "MODEL_CARD.md", "GLOSSARY.md", "CONTRIBUTING.md",
         "results/README.md", "results/LEDGER.md", "results/CLAIMS.md", "benchmarks/README.md"]
NEXT = re.compile(r"\*\*(?:Next|다음):\*\*[^\]]*\]\(([^)#\s]+)")
LINK = re.compile(r"\]\(([^)\s]+)\)")


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def without_code(text):
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)


def anchors(path):
    """The places in a page that a link may name, as GitHub makes them from headings."""
    headings = re.findall(r"^#+ (.*)$", without_code(path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", re.sub(r"\]\([^)]*\)", "", heading)).strip().lower().replace(" ", "-")
            for heading in headings}


def broken(text, folder):
    """The links within the repository that lead nowhere."""
    wrong = []
    for link in LINK.findall(without_code(text)):
        target, _, place = link.partition("#")
        path = (folder / target).resolve() if target else None
        if "://" not in link and path and (not path.exists() or (place and path.suffix == ".md"
                                                                 and place not in anchors(path))):
            wrong.append(link)
    return wrong


@pytest.mark.parametrize("name", PAGES)
def test_a_page_ends_by_telling_where_to_go_next(name):
    *_, last = read(name).strip().split("\n\n")
    found = NEXT.search(last)
    assert found, f"{name} ends with: {last[-80:]}"
    assert (ROOT / name).parent.joinpath(found[1]).exists(), found[1]


@pytest.mark.parametrize("path", find_notebooks(), ids=lambda path: path.stem)
def test_a_notebook_ends_by_telling_where_to_go_next(path):
    cells = nbformat.read(path, as_version=4).cells[-3:]
    last = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    found = NEXT.search(last)
    assert found, f"{path.stem} ends with: {last[-80:]}"
    after = [other.name for other in find_notebooks() if other.name > path.name]
    target = found[1].split("/")[-1]
    assert (path.parent / found[1]).exists() and (not after or target == after[0]), f"it should lead to {after[:1]}"


@pytest.mark.parametrize("name", [name for name in PAGES if name != "README.md"])
def test_links_lead_somewhere(name):
    assert not broken(read(name), (ROOT / name).parent)


def test_a_broken_link_is_noticed():
    text = "[a](nowhere.md) [b](GLOSSARY.md#no-such-term) [c](GLOSSARY.md) [d](https://example.org/x) `[e](gone.md)`"
    assert broken(text, ROOT) == ["nowhere.md", "GLOSSARY.md#no-such-term"]


# The glossary

TERM = re.compile(r"^### (?P<english>.+?) · (?P<korean>.+)\n\n(?P<meaning>.+)\n\n(?P<sense>.+)\n\n"
                  r"\*\[(?P<section>[\d.]+) (?P<title>.+)\]\((?P<target>\S+)\)\*$", re.MULTILINE)
TERMS = [found.groupdict() for found in TERM.finditer(read("GLOSSARY.md"))]


def sections(path):
    """{"3.2": (title, text)} of a notebook, and {"3": (title, all)}."""
    text = "\n\n".join(("" if cell.cell_type == "markdown" else "#code\n") + cell.source
                       for cell in nbformat.read(path, as_version=4).cells)
    parts = re.split(r"^## (?=\d+\.\d+ )", text, flags=re.MULTILINE)
    number, title = re.match(r"# (\d+) · (.*)", text).groups()
    found = {number: (title, text)}
    for part in parts[1:]:
        heading, _, body = part.partition("\n")
        found[heading.split(" ", 1)[0]] = heading.split(" ", 1)[1], re.split(r"^## ", body, flags=re.MULTILINE)[0]
    return found


def test_the_glossary_is_whole_and_alphabetical():
    assert len(TERMS) == read("GLOSSARY.md").count("\n### ") and 40 <= len(TERMS) <= 60
    names = [term["english"].casefold() for term in TERMS]
    assert names == sorted(names) and len(set(names)) == len(names)
    assert len({term["korean"] for term in TERMS}) == len(TERMS)


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term["english"])
def test_a_term_is_explained_in_both_languages_where_the_course_introduces_it(term):
    assert term["meaning"].endswith(".") and not re.search("[가-힣]", term["meaning"])
    assert term["sense"].endswith("니다.") and re.search("[가-힣]", term["sense"])
    assert re.search("[가-힣]", term["korean"]) or term["korean"] == "t-SNE"
    title, text = sections(ROOT / term["target"])[term["section"]]
    assert term["title"] == title
    stems = [word[:6] for word in re.findall(r"[\w-]{4,}|[α-ω]", term["english"].casefold())]
    other_words = {"overfitting": ["by heart"], "class imbalance": ["largest class"], "subgroup": ["each part"],
                   "p-value": ["p = "]}.get(term["english"], [])
    spoken = " ".join((title + " " + text).casefold().replace("*", "").split())
    assert any(stem in spoken for stem in stems + other_words), f"{term['section']} does not speak of {stems}"


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


def test_the_korean_readme_leads_to_the_same_notebooks_in_the_same_order():
    linked = re.findall(r"^\| \[(\d) · [^\]]+\]\(notebooks/(\S+?)\)", read("README.ko.md"), re.MULTILINE)
    assert [name for _, name in linked] == [path.name for path in find_notebooks()]
    assert [int(number) for number, _ in linked] == list(range(1, len(linked) + 1))
    for name in re.findall(r"\]\(notebooks/(\S+?)\)", read("README.md")):
        assert name in read("README.ko.md")


def test_the_korean_readme_has_no_number_that_is_not_in_the_english_pages():
    english = without_code(read("README.md") + read("results/README.md")) + "".join(
        cell.source for path in find_notebooks() for cell in nbformat.read(path, as_version=4).cells)
    numbers = re.findall(r"(?<![\w.=,])\d[\d,]*\.\d+(?![A-Za-z\d.])|\d,\d{3}", without_code(read("README.ko.md")))
    assert len(numbers) > 8 and not [number for number in numbers if number not in english]


def test_the_korean_readme_is_korean_and_polite():
    text = re.sub(r"https?://\S+|\]\([^)]*\)|[*_|#]", " ", without_code(read("README.ko.md")))
    assert len(re.findall("[가-힣]", text)) > len(re.findall("[A-Za-z]", text))
    sentences = re.findall(r"[가-힣]+(?=[.?](?:\s|$))", text)
    rude = [word for word in sentences if not re.search("(니다|십시오|까요|나요)$", word)]
    assert len(sentences) > 30 and not rude, rude


def test_both_readmes_link_to_each_other():
    assert "](README.md)" in read("README.ko.md") and "](README.ko.md)" in read("README.md")
