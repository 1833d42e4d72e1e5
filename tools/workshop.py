"""Write the course for a workshop: build/workshop/student and build/workshop/instructor, from the notebooks themselves.

    python tools/workshop.py          all
    python tools/workshop.py 03 05    some

Students get stubs and folded hints; instructors get solutions, talking points and a table of minutes. Nothing is
written before every stub was found open and every solution right by its check.

An exercise is three cells in a row, told by their tags; it stands after the section that it belongs to:

    exercise   markdown: "### Exercise 3.2 · Title", "*5 minutes · ★★☆*", the task, a folded hint
    stub       code: what the learner completes; its last statement is the check, checks.NAME(...)
    solution   markdown: folded; one python block that can replace all of the stub but the check; the explanation

The stubs need nothing but the notebook's import cells and each other, and take no time.
A comment <!-- instructor: ... --> in any markdown cell is for the instructor alone.
"""

import ast
import contextlib
import copy
import io
import re
import sys
from dataclasses import dataclass

from course import read_minutes
from environment import enter, parser
from execute import BUILD, find_notebooks

WORKSHOP = BUILD / "workshop"
HEADING = re.compile(r"### Exercise (?P<number>\d+\.\d+) · (?P<title>.+)\n+"
                     r"\*(?P<minutes>\d+) minutes? · (?=[★☆]{3}\*\n)(?P<stars>★+)☆*\*\n")
SOLUTION = re.compile(r"<details>\s*<summary>Solution</summary>(.*)</details>", re.DOTALL)
CHECK = re.compile(r"^checks\.(\w+)\(.*\)\s*\Z", re.DOTALL | re.MULTILINE)
BLOCK = re.compile(r"^```python\n(.*?)^```$\n?", re.DOTALL | re.MULTILINE)
COMMENT = re.compile(r"<!-- instructor:(.*?)-->", re.DOTALL)
READING = re.compile(r"\*\*Minutes:\*\*\s+(?P<read>\d+)\s+to\s+read.*?(?P<run>(under\s+)?\d+)\s+to\s+run", re.DOTALL)
QUOTE = "**For the instructor.**"
ROLES = ["exercise", "stub", "solution"]  # the tags of an exercise's cells, in their order


class Malformed(ValueError):
    """An exercise is not written as the course writes exercises; the message says which, and what is missing."""


@dataclass(frozen=True)
class Exercise:
    """One exercise. ``call``: the check, as the stub's last statement writes it; ``check``: its name."""

    number: str
    title: str
    minutes: int
    stars: int
    solution: str
    explanation: str
    check: str
    call: str


def exercises(notebook):
    """The ``Exercise``s of a notebook, in order; ``Malformed`` if one is not whole."""
    found, cells = [], notebook.cells
    roles = [next((role for role in ROLES if role in tags(cell)), None) for cell in cells]
    for here, (cell, role) in enumerate(zip(cells, roles)):
        if role == "exercise":
            if roles[here:here + 3] != ROLES:
                raise Malformed(f"{_title(cell)}: after the task belong two cells with the tags stub and solution.")
            found.append(_exercise(*cells[here:here + 3]))
        elif role and roles[here - 1] != ROLES[ROLES.index(role) - 1]:
            raise Malformed(f"A {role} stands alone; before it belongs its exercise:\n{cell.source}")
        elif cell.cell_type == "markdown" and re.search(r"^### Exercise ", cell.source, re.MULTILINE):
            raise Malformed(f"{_title(cell)}: the cell lacks the tag exercise.")
    return found


def student(notebook):
    """A copy for students: without solutions and comments for the instructor; stubs, hints and outputs stay."""
    exercises(notebook)  # refuses what is not whole
    version = copy.deepcopy(notebook)
    for cell in version.cells:
        if cell.cell_type == "markdown":
            cell.source = _between_paragraphs(cell.source, lambda text: "")
    version.cells = [cell for cell in version.cells
                     if "solution" not in tags(cell) and (cell.cell_type != "markdown" or cell.source)]
    return version


def instructor(notebook, measured=None):
    """A copy for instructors: solutions in the stubs' place and explained, comments visible, minutes in a table.

    ``measured``: the minutes that the notebook took on this machine, if known.
    """
    import nbformat

    tasks, version = exercises(notebook), copy.deepcopy(notebook)
    solved, explained = iter(tasks), iter(tasks)
    for cell in version.cells:
        if "stub" in tags(cell):
            task = next(solved)
            cell.source, cell.outputs = f"{task.solution}\n\n{task.call}", []
        elif "solution" in tags(cell):
            cell.source = f"**Solution.** {next(explained).explanation}"
        if cell.cell_type == "markdown":
            cell.source = _between_paragraphs(cell.source, _quote)
    table = nbformat.v4.new_markdown_cell(_table(tasks, notebook.cells[0].source, measured), id="instructor-minutes")
    version.cells.insert(1, table)
    return version


def verdicts(notebook):
    """What the checks say to a version: a ``Verdict`` for each stub cell, solved or not, in order.

    Runs in one namespace the cells that hold only imports and the stubs.
    """
    names, found = {"__name__": "__main__"}, []
    for cell in notebook.cells:
        if cell.cell_type == "code" and ("stub" in tags(cell) or _is_imports(cell.source)):
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    value = _run(cell.source, names)
            except Exception as error:
                raise Malformed(f"A cell of the exercises stops with {type(error).__name__}: {error}. It may need only "
                                f"what the import cells and the stubs before it define:\n{cell.source}") from error
            if "stub" in tags(cell):
                found.append(value)
    return found


def judge(version, wanted):
    """Refuse a version unless each of its stub cells is in the state ``wanted``; store what the checks say."""
    from nbformat.v4 import new_output

    stubs = [cell for cell in version.cells if "stub" in tags(cell)]
    for cell, verdict in zip(stubs, verdicts(version)):
        if getattr(verdict, "state", None) != wanted:
            raise Malformed(f'The check finds "{verdict!r}" where it should find it {wanted}:\n{cell.source}')
        cell.outputs = [new_output("execute_result", {"text/plain": repr(verdict)},
                                   execution_count=cell.execution_count)]


def tags(cell):
    """The tags of a cell, as a set."""
    return set(cell.metadata.get("tags", []))


def _exercise(task, stub, solution):
    heading, name = HEADING.search(task.source), _title(task)
    if not heading:
        raise Malformed(f'{name}: it begins with "### Exercise 3.2 · Title", and the next line is "*5 minutes · ★★☆*", '
                        "with three stars, filled or not.")
    check = CHECK.search(stub.source)
    if not check:
        raise Malformed(f"{name}: the last line of its stub is not its check, checks.NAME(...).")
    folded = SOLUTION.fullmatch(solution.source.strip())
    blocks = BLOCK.findall(solution.source)
    if not folded or len(blocks) != 1 or "checks." in blocks[0]:
        raise Malformed(f"{name}: its solution is folded in <details><summary>Solution</summary> ... </details>, and "
                        "has one block of ```python, which does not repeat the check.")
    return Exercise(heading["number"], heading["title"].strip(), int(heading["minutes"]), len(heading["stars"]),
                    blocks[0].strip(), BLOCK.sub("", folded[1]).strip(), check[1], check[0].strip())


def _title(cell):
    return cell.source.strip().partition("\n")[0].lstrip("# ")


def _between_paragraphs(source, unfolded):
    """The source with each instructor's comment replaced by ``unfolded`` (its text), set off by blank lines."""
    if not COMMENT.search(source):
        return source
    source = COMMENT.sub(lambda comment: f"\n\n{unfolded(comment[1])}\n\n", source)
    return re.sub(r"\n\s*\n(\s*\n)*", "\n\n", source).strip()


def _quote(text):
    text = text.strip()
    lines = f"{QUOTE} {text[:1].upper()}{text[1:]}".splitlines()
    return "\n".join(f"> {line.strip()}".rstrip() for line in lines)


def _table(tasks, opening, measured):
    """The minutes to run and to read the notebook, as its opening says, and those of its exercises."""
    said = READING.search(opening)
    if not said:
        raise Malformed('The opening has no line "**Minutes:** 30 to read, 1 to run".')
    read, run, exercised = int(said["read"]), said["run"], sum(task.minutes for task in tasks)
    if measured is not None:
        run = f"{run}; here, last time: {measured:g}"
    rows = [f"| {task.number} · {task.title} | {task.minutes} | {'★' * task.stars}{'☆' * (3 - task.stars)} |"
            for task in tasks]
    return "\n".join([f"{QUOTE} How long it takes:", "", "| | minutes | difficulty |", "| --- | --- | --- |",
                      f"| to run the notebook | {run} | |", f"| to read it | {read} | |", *rows,
                      f"| all {len(tasks)} exercises | **{exercised}** | |",
                      f"| reading and exercises | **{read + exercised}** | |"])


def _is_imports(source):
    try:
        body = ast.parse(source).body
    except SyntaxError:  # a line for IPython alone
        return False
    return bool(body) and all(isinstance(line, (ast.Import, ast.ImportFrom)) for line in body)


def _run(source, names):
    """Run a cell and return the value of its last line, if that is an expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<exercise>", "exec"), names)
    return last and eval(compile(ast.Expression(last.value), "<exercise>", "eval"), names)


def main(only=()):
    """Write both versions of each notebook."""
    import nbformat

    minutes = read_minutes()
    for path in find_notebooks(only):
        notebook = nbformat.read(path, as_version=4)
        try:
            tasks = exercises(notebook)
            versions = {"student": student(notebook), "instructor": instructor(notebook, minutes.get(path.stem))}
            judge(versions["student"], "open")
            judge(versions["instructor"], "right")
        except Malformed as error:
            sys.exit(f"notebooks/{path.name}: {error}")
        for name, version in versions.items():
            (WORKSHOP / name).mkdir(parents=True, exist_ok=True)
            nbformat.write(version, WORKSHOP / name / path.name)
        print(f"{path.stem:<32} {len(tasks)} exercises, {sum(task.minutes for task in tasks)} minutes", flush=True)
    print(f"They are in {WORKSHOP}: student/ and instructor/.")


if __name__ == "__main__":
    parser = parser(__doc__)
    parser.add_argument("names", nargs="*", metavar="NUMBER", help="write these notebooks only")
    arguments = parser.parse_args()
    enter(arguments.here)
    main(arguments.names)
