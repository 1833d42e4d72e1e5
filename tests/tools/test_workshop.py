"""The exercises of the notebooks: whole, solvable, and turned into versions for students and for instructors."""

import ast
import functools
import re
from importlib import import_module

import every_check as checks
import nbformat
import pytest
import workshop
from execute import NOTEBOOKS, find_notebooks
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from workshop import exercises, instructor, student, tags, verdicts

NAMES = [path.stem for path in find_notebooks()]
each = pytest.mark.parametrize("name", NAMES)


@functools.cache
def read(name):
    return nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)


def stubs(notebook):
    return [cell for cell in notebook.cells if "stub" in tags(cell)]


def prose(notebook):
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


@pytest.mark.parametrize("name", NAMES[1:])  # notebook 0 is there to be played with
def test_three_to_five_exercises_the_first_is_easy_each_with_a_hint_and_a_check_of_its_own(name):
    found = exercises(read(name))
    assert 3 <= len(found) <= 5
    assert [task.number for task in found] == [f"{int(name[:2])}.{count}" for count in range(1, len(found) + 1)]
    stars = [task.stars for task in found]
    assert stars[0] == 1 < max(stars)  # between them, each stands behind its section
    assert all(1 <= task.minutes <= 20 for task in found)
    module = import_module(f"fer_course.checks.notebook_{name[:2]}")
    here = [check for check, value in vars(module).items() if checks.CHECKS.get(check) is value]
    assert sorted(task.check for task in found) == sorted(here), "each check of the notebook is used, and used once"


@each
def test_stubs_are_open_and_stored_so_solutions_right_and_a_known_mistake_wrong(name):
    tasks, version = exercises(read(name)), instructor(read(name))
    assert [verdict.state for verdict in verdicts(read(name))] == ["open"] * len(tasks)
    for cell in stubs(read(name)):
        assert [output.data["text/plain"] for output in cell.outputs] == ["○ Not attempted yet."]
    assert [verdict.state for verdict in verdicts(version)] == ["right"] * len(tasks)
    for cell, task in zip(stubs(version), tasks):
        answer = ast.unparse(ast.parse(task.call).body[0].value.args[0])
        mistakes = f"checks.{task.check}.mistakes"
        cell.source = f"{task.solution}\n{answer} = next(m.answer for m in {mistakes} if not m.matches)\n{task.call}"
    assert [verdict.state for verdict in verdicts(version)] == ["wrong"] * len(tasks)


@each
def test_students_get_all_but_solutions_and_comments_and_instructors_these_and_minutes(name):
    notebook, before = read(name), nbformat.writes(read(name))
    tasks, students, instructors = exercises(notebook), student(notebook), instructor(notebook, measured=0.4)
    assert nbformat.writes(notebook) == before
    nbformat.validate(students)
    nbformat.validate(instructors)
    assert not re.search("<summary>Solution|instructor", prose(students))
    assert prose(students).count("<summary>Hint</summary>") == len(tasks)
    assert [cell for cell in students.cells if cell.cell_type == "code"] \
        == [cell for cell in notebook.cells if cell.cell_type == "code"]
    comments, table = workshop.COMMENT.findall(prose(notebook)), instructors.cells[1].source
    assert 2 <= len(comments) <= 4 and prose(instructors).count("> **For the instructor.**") == len(comments)
    assert "<!-- instructor" not in prose(instructors) and "<summary>Solution" not in prose(instructors)
    for task, cell in zip(tasks, stubs(instructors), strict=True):
        assert task.title in prose(students) and task.explanation not in prose(students)
        assert cell.source == f"{task.solution}\n\n{task.call}"
        assert f"**Solution.** {task.explanation}" in prose(instructors)
        assert f"| {task.number} · {task.title} | {task.minutes} |" in table
    total, read_in = sum(task.minutes for task in tasks), int(re.search(r"Minutes:\*\* (\d+)", prose(notebook))[1])
    assert f"| **{total}** |" in table and f"| **{read_in + total}** |" in table and "last time: 0.4 |" in table


OPENING = "# 3 · Small\n\n**Minutes:** 2 to read,\n1 to run.\n\n<!-- instructor: ask them\nfirst. -->"
TASK = ("### Exercise 3.1 · Half\n*5 minutes · ★★☆*\n\nWrite it.\n\n"
        "<details><summary>Hint</summary>\n\nAh.\n\n</details>")
STUB = "def mine(x, c, y):\n    ...\n\n\nchecks.eq1(mine)"
ANSWER = "def mine(x, c, y):\n    return 0.5 * ((x - c[y]) ** 2).sum()"
SOLUTION = "<details><summary>Solution</summary>\n\n```python\n{}\n```\n\nBecause.\n\n</details>"


def small(task=TASK, stub=STUB, solution=SOLUTION, answer=ANSWER, opening=OPENING, tag="exercise"):
    """A notebook with one exercise, and parts of it that are missing where "" is given."""
    return new_notebook(cells=[
        new_markdown_cell(opening), new_code_cell("from fer_course.checks import notebook_03 as checks"),
        new_markdown_cell("<!-- instructor: A cell of its own. -->"), new_markdown_cell("## Exercises"),
        *([new_markdown_cell(task, metadata={"tags": [tag]})] if task else []),
        *([new_code_cell(stub, metadata={"tags": ["stub"]})] if stub else []),
        *([new_markdown_cell(solution.format(answer), metadata={"tags": ["solution"]})] if solution else [])])


NOT_WHOLE = [
    ({"solution": ""}, "Half: after the task belong two cells"),
    ({"task": ""}, "A stub stands alone"),
    ({"task": "", "stub": ""}, "A solution stands alone"),
    ({"tag": "none"}, "Half: the cell lacks the tag exercise"),
    ({"task": TASK.replace("*5 minutes · ★★☆*", "")}, "5 minutes"),
    ({"task": TASK.replace("★★☆", "★★")}, "three stars"),
    ({"stub": STUB.replace("checks.eq1(mine)", "mine")}, "last line of its stub is not its check"),
    ({"answer": ANSWER + "\n```\n\n```python\nmore = 1"}, "one block of ```python"),
    ({"solution": SOLUTION.replace("<details><summary>Solution</summary>", "")}, "is folded"),
    ({"answer": ANSWER + "\nchecks.eq1(mine)"}, "does not repeat the check"),
    ({"opening": "# 3 · Small"}, "Minutes"),
    ({"answer": ANSWER.replace("0.5 * ", "")}, "factor of one half"),
    ({"answer": "mine = from_far_above"}, "NameError"),
    ({"stub": f"{ANSWER}\n\n\nchecks.eq1(mine)"}, "where it should find it open"),
]


def test_both_versions_are_written_or_none_if_an_exercise_is_not_whole_or_not_right(tmp_path, monkeypatch):
    monkeypatch.setattr("execute.NOTEBOOKS", tmp_path)
    monkeypatch.setattr(workshop, "WORKSHOP", tmp_path / "workshop")
    path, wrong = tmp_path / "03_small.ipynb", []
    for parts, message in NOT_WHOLE:
        nbformat.write(small(**parts), path)
        with pytest.raises(SystemExit) as caught:
            workshop.main()
        if "notebooks/03_small.ipynb: " not in str(caught.value) or message not in str(caught.value):
            wrong.append(f"{message!r} is not in {caught.value}")
    assert not wrong and not list(tmp_path.glob("workshop/*/*")), "\n".join(wrong)
    nbformat.write(small(), path)
    workshop.main()
    head = "# 3 · Small\n\n**Minutes:** 2 to read,\n1 to run."
    for folder, sign, cells, opening in (
            ("student", "○", 5, head),
            ("instructor", "✓ Right.", 8, f"{head}\n\n> **For the instructor.** Ask them\n> first.")):
        version = nbformat.read(tmp_path / "workshop" / folder / path.name, as_version=4)
        assert stubs(version)[0].outputs[0].data["text/plain"].startswith(sign)  # what the check says is stored
        assert len(version.cells) == cells and version.cells[0].source == opening
