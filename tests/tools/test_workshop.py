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
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from workshop import Malformed, exercises, instructor, judge, student, tags, verdicts

NAMES = [path.stem for path in find_notebooks()]

each = pytest.mark.parametrize("name", NAMES)


@functools.cache
def read(name):
    return nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)


def stubs(notebook):
    return [cell for cell in notebook.cells if "stub" in tags(cell)]


def prose(notebook):
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


@each
def test_three_to_five_exercises_that_grow_each_with_a_hint_and_a_check_of_its_own(name):
    found = exercises(read(name))
    assert 3 <= len(found) <= 5
    assert [task.number for task in found] == [f"{int(name[:2])}.{count}" for count in range(1, len(found) + 1)]
    stars = [task.stars for task in found]
    assert stars[0] == 1 and stars == sorted(stars) and stars[-1] > 1
    assert all(1 <= task.minutes <= 20 for task in found)
    tasks = [cell.source for cell in read(name).cells if "exercise" in tags(cell)]
    assert all(re.search(r"<details><summary>Hint</summary>.+</details>", task, re.DOTALL) for task in tasks)
    module = import_module(f"fer_course.checks.notebook_{name[:2]}")
    here = [check for check, value in vars(module).items() if checks.CHECKS.get(check) is value]
    assert sorted(task.check for task in found) == sorted(here), "each check of the notebook is used, and used once"


@each
def test_stubs_are_open_and_stored_so_and_solutions_are_right(name):
    count = len(exercises(read(name)))
    assert [verdict.state for verdict in verdicts(read(name))] == ["open"] * count
    for cell in stubs(read(name)):
        assert [output.data["text/plain"] for output in cell.outputs] == ["○ Not attempted yet."]
    assert [verdict.state for verdict in verdicts(instructor(read(name)))] == ["right"] * count


@each
def test_a_known_mistake_in_a_solutions_place_is_found_wrong(name):
    version = instructor(read(name))
    for cell, task in zip(stubs(version), exercises(read(name))):
        answer = ast.unparse(ast.parse(task.call).body[0].value.args[0])
        check = f"checks.{task.check}"
        cell.source = (f"{task.solution}\n{answer} = next(m.answer for m in {check}.mistakes if not m.matches)\n"
                       f"{task.call}")
    found = verdicts(version)
    assert [verdict.state for verdict in found] == ["wrong"] * len(found)
    with pytest.raises(Malformed, match="Not yet"):
        judge(version, "right")


@each
def test_student_version_keeps_all_but_solutions_and_comments(name):
    notebook, before = read(name), nbformat.writes(read(name))
    version = student(notebook)
    nbformat.validate(version)
    assert not re.search("<summary>Solution|instructor", prose(version))
    assert not [cell for cell in version.cells if "solution" in tags(cell)]
    assert [cell for cell in version.cells if cell.cell_type == "code"] \
        == [cell for cell in notebook.cells if cell.cell_type == "code"]
    for task in exercises(notebook):
        assert task.title in prose(version) and task.explanation not in prose(version)
    assert prose(version).count("<summary>Hint</summary>") == len(exercises(notebook))
    assert nbformat.writes(notebook) == before


@each
def test_instructor_version_has_solutions_comments_and_minutes(name):
    notebook, before = read(name), nbformat.writes(read(name))
    version, comments = instructor(notebook, measured=0.4), workshop.COMMENT.findall(prose(notebook))
    nbformat.validate(version)
    assert 2 <= len(comments) <= 4
    assert "<!-- instructor" not in prose(version) and "<summary>Solution" not in prose(version)
    assert prose(version).count("> **For the instructor.**") == len(comments)
    for task, cell in zip(exercises(notebook), stubs(version), strict=True):
        assert cell.source == f"{task.solution}\n\n{task.call}"
        assert f"**Solution.** {task.explanation}" in prose(version)
        assert f"| {task.number} · {task.title} | {task.minutes} |" in version.cells[1].source
    table, total = version.cells[1].source, sum(task.minutes for task in exercises(notebook))
    read_in = int(re.search(r"\*\*Minutes:\*\* (\d+)", notebook.cells[0].source)[1])
    assert f"| **{total}** |" in table and f"| **{read_in + total}** |" in table and "last time: 0.4 |" in table
    assert nbformat.writes(notebook) == before


OPENING = "# 3 · Small\n\n**Minutes:** 2 to read,\n1 to run.\n\n<!-- instructor: ask them\nfirst. -->"
TASK = ("### Exercise 3.1 · Half\n*5 minutes · ★★☆*\n\nWrite it.\n\n"
        "<details><summary>Hint</summary>\n\nAh.\n\n</details>")
STUB = "def mine(x, c, y):\n    ...\n\n\nchecks.eq1(mine)"
ANSWER = "def mine(x, c, y):\n    return 0.5 * ((x - c[y]) ** 2).sum()"
SOLUTION = "<details><summary>Solution</summary>\n\n```python\n{}\n```\n\nBecause.\n\n</details>"


def small(task=TASK, stub=STUB, solution=None, answer=ANSWER):
    """A notebook with one exercise, and parts of it that are missing where None or "" is given."""
    open_ = new_output("execute_result", {"text/plain": "○ Not attempted yet."}, execution_count=2)
    cells = [new_markdown_cell(OPENING), new_code_cell("from fer_course.checks import notebook_03 as checks"),
             new_markdown_cell("## Exercises"),
             new_markdown_cell(task, metadata={"tags": ["exercise"]}) if task else None,
             new_code_cell(stub, metadata={"tags": ["stub"]}, outputs=[open_]) if stub else None,
             new_markdown_cell(SOLUTION.format(answer) if solution is None else solution,
                               metadata={"tags": ["solution"]}) if solution != "" else None]
    return new_notebook(cells=[cell for cell in cells if cell])


def test_an_exercise_is_read():
    [task] = exercises(small())
    assert (task.number, task.title, task.minutes, task.stars) == ("3.1", "Half", 5, 2)
    assert (task.check, task.call, task.explanation) == ("eq1", "checks.eq1(mine)", "Because.")
    assert task.stub == STUB.removesuffix("\n\n\nchecks.eq1(mine)") and task.solution == ANSWER


NOT_WHOLE = [
    ({"stub": ""}, "Half: the cell after the task is no code cell with the tag stub"),
    ({"solution": ""}, "Half: the cell after the stub is no markdown cell with the tag solution"),
    ({"task": ""}, "A stub stands alone"),
    ({"task": "", "stub": ""}, "A solution stands alone"),
    ({"task": TASK.replace("*5 minutes · ★★☆*", "")}, "5 minutes"),
    ({"task": TASK.replace("★★☆", "★★")}, "three stars"),
    ({"task": TASK.replace("3.1", "3.2")}, "Exercise 3.2 should be 3.1"),
    ({"stub": STUB.replace("checks.eq1(mine)", "mine")}, "last line of its stub is not its check"),
    ({"stub": STUB.replace("    ...", "...")}, "its stub is no Python"),
    ({"solution": SOLUTION.replace("```python", "```")}, "0 blocks of ```python"),
    ({"solution": SOLUTION.format(ANSWER + "\n```\n\n```python\nmore = 1")}, "2 blocks of ```python"),
    ({"solution": SOLUTION.replace("<details><summary>Solution</summary>", "")}, "is not folded"),
    ({"answer": ANSWER + "\nchecks.eq1(mine)"}, "repeats the check"),
]


def test_what_is_not_whole_is_refused():
    for parts, message in NOT_WHOLE:
        for read_it in (exercises, student, instructor):
            with pytest.raises(Malformed, match=re.escape(message)):
                read_it(small(**parts))


def test_an_exercise_without_its_tag_is_refused():
    notebook = small()
    del notebook.cells[3].metadata["tags"], notebook.cells[4].metadata["tags"], notebook.cells[5].metadata["tags"]
    with pytest.raises(Malformed, match="Half: the cell lacks the tag exercise"):
        exercises(notebook)


def test_a_notebook_that_says_no_minutes_is_refused():
    notebook = small()
    notebook.cells[0].source = "# 3 · Small"
    with pytest.raises(Malformed, match="Minutes"):
        instructor(notebook)


def test_a_comment_is_unfolded_for_instructors_and_gone_for_students():
    assert student(small()).cells[0].source == "# 3 · Small\n\n**Minutes:** 2 to read,\n1 to run."
    assert instructor(small()).cells[0].source.endswith("\n\n> **For the instructor.** Ask them\n> first.")
    notebook = small()
    notebook.cells.insert(1, new_markdown_cell("<!-- instructor: A cell of its own. -->"))
    assert len(student(notebook).cells) == len(small().cells) - 1  # and the solution's


def test_a_solution_that_is_wrong_or_needs_another_cell_is_refused():
    with pytest.raises(Malformed, match="factor of one half"):
        judge(instructor(small(answer=ANSWER.replace("0.5 * ", ""))), "right")
    with pytest.raises(Malformed, match="NameError"):
        judge(instructor(small(answer="mine = from_far_above")), "right")
    with pytest.raises(Malformed, match="open"):
        judge(student(small(stub=f"{ANSWER}\n\n\nchecks.eq1(mine)")), "open")


def test_the_verdict_is_stored():
    for version, wanted, sign in ((student(small()), "open", "○"), (instructor(small()), "right", "✓ Right.")):
        judge(version, wanted)
        assert stubs(version)[0].outputs[0].data["text/plain"].startswith(sign)


def test_both_versions_are_written_or_none(tmp_path, monkeypatch, capsys):
    (tmp_path / "notebooks").mkdir()
    nbformat.write(small(), tmp_path / "notebooks" / "03_small.ipynb")
    monkeypatch.setattr("execute.NOTEBOOKS", tmp_path / "notebooks")
    monkeypatch.setattr(workshop, "WORKSHOP", tmp_path / "workshop")
    assert workshop.main() == 0
    written = sorted(path.relative_to(tmp_path / "workshop").as_posix() for path in tmp_path.rglob("workshop/*/*"))
    assert written == ["instructor/03_small.ipynb", "student/03_small.ipynb"]
    assert "1 exercises, 5 minutes" in capsys.readouterr().out
    nbformat.write(small(answer="mine = None"), tmp_path / "notebooks" / "04_open.ipynb")
    with pytest.raises(SystemExit, match="notebooks/04_open.ipynb: The check finds"):
        workshop.main()
    assert not list(tmp_path.rglob("workshop/*/04*"))
