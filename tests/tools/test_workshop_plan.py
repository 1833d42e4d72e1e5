"""docs/workshop.md: its minutes add up, and what it names, sections, commands and messages, is there."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "workshop.md").read_text(encoding="utf-8")
PLANS = {"90 minutes": 90, "Three hours": 180, "A day": 420}


def section(title):
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)[1]


def rows(title):
    """The rows of a section's table, each a list of cells; the first is its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in [lines[0], *lines[2:]]]


def test_the_minutes_of_each_plan_follow_each_other_and_add_up():
    for title, minutes in PLANS.items():
        head, *plan = rows(title)
        assert head[0] == "minute" and all(len(row) == len(head) for row in plan), title
        spans = [tuple(map(int, row[0].split("–"))) for row in plan]
        assert spans[0][0] == 0 and spans[-1][1] == minutes, title
        assert all(end == start for (_, end), (start, _) in zip(spans, spans[1:])), title
        assert all(8 <= end - start <= 75 for start, end in spans), title


def test_the_sections_and_commands_that_are_named_exist():
    texts = {path.name[1]: path.read_text(encoding="utf-8") for path in (ROOT / "notebooks").glob("0*.ipynb")}
    named = re.findall(r"\b([1-7])\.(\d{1,2})\b", section("Falling behind"))
    assert named and all(f"## {notebook}.{number} " in texts[notebook] for notebook, number in named)
    tools = set(re.findall(r"python tools/(\w+)\.py", TEXT))
    assert tools >= {"preflight", "environment", "course"}
    assert all((ROOT / "tools" / f"{name}.py").exists() for name in tools)
    pages = re.findall(r"`build/site/([^` ]+)\.html`", TEXT)  # a page is named after the file that it shows
    assert len(pages) >= 4
    assert all((ROOT / (f"{page}.ipynb" if page.startswith("notebooks/") else page)).is_file() for page in pages)


def test_the_plan_of_three_hours_leaves_no_notebook_out_but_the_last_two():
    assert set(re.findall(r"notebooks/0(\d)_", section("Three hours"))) >= set("01234567")


def test_enough_mishaps_are_named_and_the_course_s_own_messages_are_as_it_says_them():
    mishaps = rows("What usually goes wrong")[1:]
    assert len(mishaps) >= 10 and all(len(row) == 3 and all(row) for row in mishaps)
    programs = [*ROOT.glob("fer_*/**/*.py"), *(ROOT / "tools").glob("*.py")]
    known = [str(node.value) for path in programs for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
             if isinstance(node, ast.Constant)]
    own = [row[0].strip("`") for row in mishaps if row[0].startswith(("`FerError", "`This course", "`The install"))]
    assert len(own) >= 8
    for message in own:
        for piece in re.split(r"…|\d+|'\w+'|FerError: ", message):
            words = piece.strip(" :;().?")
            assert not words or any(words in text for text in known), f"no program says {words!r}"
