"""The programs in tools/: what they write into a notebook, and that none of them waits for ever."""

import os
import re
import shutil
import subprocess
import sys
from functools import partial
from inspect import signature
from pathlib import Path
from unittest.mock import Mock

import course
import environment
import nbformat
import pytest
from execute import CELL_SECONDS, WIDGET, NotebookFailed, execute, find_notebooks, normalise
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from notebook_html import as_html

TOOLS = Path(__file__).resolve().parents[2] / "tools"
NAMES = sorted(path.stem for path in TOOLS.glob("*.py"))
WITHOUT_HELP = ("environment", "execute", "notebook_html", "pin_versions")  # the second and the third are not called
OLD_PYTHON = """
import runpy, sys
sys.version_info, sys.modules["tomllib"], sys.argv = (3, 10, 9), None, sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")"""


def test_every_tool_has_help_that_needs_no_environment_and_tells_an_old_python_so(tmp_path):
    wrong = []
    for name in set(NAMES) - set(WITHOUT_HELP):
        path = TOOLS / f"{name}.py"
        for call, words in (([path, "--help"], f"tools/{name}.py"), (["-c", OLD_PYTHON, path], "needs Python 3.11")):
            answer = subprocess.run([sys.executable, "-S", *call], cwd=tmp_path, capture_output=True, text=True,
                                    env={**os.environ, "PYTHONPATH": str(TOOLS)})  # -S: as before the first set-up
            wrong += [] if words in answer.stdout + answer.stderr else [f"{name}: {answer}"]
    assert not wrong, "\n".join(wrong)


def test_normalise_keeps_what_a_reader_sees_and_drops_the_rest():
    figure = new_output("display_data", {"image/png": "AA==", "text/plain": "x", WIDGET: {}},
                        metadata={"image/png": {"alt": "Three clouds of points"}})
    cell = new_code_cell("f()", execution_count=9, outputs=[
        new_output("stream", name="stdout", text="a\n"), new_output("stream", name="stderr", text="a warning"),
        new_output("stream", name="stdout", text="b\n"), figure, new_output("display_data", {WIDGET: {}}),
        new_output("execute_result", {"text/plain": "5"}, execution_count=9)])
    cell.metadata.update(tags=[], papermill={"duration": 1}, execution={"iopub.status.busy": "12:00"})
    tagged = new_code_cell("g()", metadata={"tags": ["parameters"]})
    executed = new_notebook(cells=[new_markdown_cell("# T", metadata={"tags": []}), cell, tagged], metadata={
        "papermill": {"input_path": "/somewhere"}, "widgets": {"state": {}},
        "language_info": {"name": "python", "version": "3.99"},
        "kernelspec": {"name": "mine", "display_name": "Mine", "language": "python"}})
    clean = normalise(executed)
    nbformat.validate(clean)
    assert clean.metadata == {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
                              "language_info": {"name": "python"}}
    assert [dict(c.metadata) for c in clean.cells] == [{}, {}, {"tags": ["parameters"]}]
    assert [c.execution_count for c in clean.cells[1:]] == [1, 2]
    printed, shown, result = clean.cells[1].outputs
    assert printed.text == "a\nb\n" and result.execution_count == 1
    assert set(shown.data) == {"image/png", "text/plain"} and shown.metadata["image/png"]["alt"]


def test_execute_writes_a_normalised_copy_and_names_the_cell_that_hangs_raises_or_kills_its_kernel(tmp_path):
    path, out = tmp_path / "toy.ipynb", tmp_path / "build" / "toy.ipynb"

    def call(source, **options):
        first = "import os, sys; print(os.getcwd()); print('no', file=sys.stderr)"
        nbformat.write(new_notebook(cells=[new_code_cell(first), new_code_cell(source)]), path)
        execute(path, out, **options)

    for source, timeout, message in (("import time; time.sleep(6000)", 1, "took longer than 1 s"),
                                     ("raise ValueError('no such face')", 60, "stopped with ValueError: no such face"),
                                     ("os._exit(1)", 60, "lost its kernel")):
        with pytest.raises(NotebookFailed, match=rf"toy.ipynb, cell \[2\] {message}"):
            call(source, timeout=timeout)
        assert not out.exists() and (tmp_path / "build" / "unfinished-toy.ipynb").exists()
    call("6 * 7")
    where, answer = nbformat.read(out, as_version=4).cells
    assert len(where.outputs) == 1 and Path(where.outputs[0].text.strip()).resolve() == tmp_path.resolve()
    assert answer.outputs[0].data["text/plain"] == "42" and "papermill" not in out.read_text()
    assert not nbformat.read(path, as_version=4).cells[1].outputs and len(list(out.parent.iterdir())) == 1
    assert signature(execute).parameters["timeout"].default == CELL_SECONDS


# Pages


def test_page_draws_formulas_itself_and_asks_no_other_host():
    source = "Cost $5 in `a $b$ c` and\n\n```\n$x$\n```\n\n$$L_C = \\frac{1}{2}\\sum_i x_i$$\n\nwith $x_i < 1$."
    page = as_html(new_notebook(cells=[new_markdown_cell(source)]))
    text = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)
    assert text.count("<math") == 2 and 'display="block"' in text and "<mfrac>" in text
    assert "Cost $5 in" in text and "a $b$ c" in text and "$x$" in text and "$$" not in text
    assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", page)


# make course, make test, and the environment


def executed(path, output):
    if path.name == "02_bad.ipynb":
        while not output.with_name("01_good.ipynb").exists():  # what runs beside it is kept
            pass
        raise NotebookFailed("no")
    nbformat.write(new_notebook(cells=[new_markdown_cell("# 3 · As it ran here")]), output)


def test_course_renders_what_it_executed(tmp_path, monkeypatch):
    (tmp_path / "root" / "notebooks").mkdir(parents=True)  # two are enough: the site's own tests render all
    for path in find_notebooks(["01", "03"]):
        shutil.copy(path, tmp_path / "root" / "notebooks")
    monkeypatch.setattr(course, "Site", partial(course.Site, tmp_path / "root"))
    monkeypatch.setattr(course, "BUILD", tmp_path)
    monkeypatch.setattr(course, "execute", executed)
    course.main(["03"])
    assert list(course.read_minutes()) == ["03_center_loss_derivation"]
    first, third = (next((tmp_path / "site" / "notebooks").glob(f"{name}*.html")).read_text("utf-8")
                    for name in ("01", "03"))
    assert "<title>3 · As it ran here" in third and "Executed here: 03, in" in third and "What you will" not in third
    assert "What you will learn" in first and "3 · As it ran here" in first


def test_course_stores_outputs_where_it_is_asked_to_and_leaves_what_failed(tmp_path, monkeypatch):
    good, bad = tmp_path / "01_good.ipynb", tmp_path / "02_bad.ipynb"
    (tmp_path / "build").mkdir()
    monkeypatch.setattr(course, "BUILD", tmp_path / "build")
    monkeypatch.setattr(course, "find_notebooks", lambda only: [good, bad])
    monkeypatch.setattr(course, "execute", executed)
    for store, first in ((False, "as it was"), (True, "As it ran here")):
        good.write_text("as it was")
        bad.write_text("as it was")
        (tmp_path / "build" / good.name).unlink(missing_ok=True)
        with pytest.raises(SystemExit, match="failed\nno"):
            course.main(store=store)
        assert first in good.read_text("utf-8") and bad.read_text() == "as it was"


@pytest.mark.parametrize("codes, code", [([0, 0], 0), ([1], 1), ([0, 1], 1), ([5, 0], 0), ([0, 5], 0), ([5, 5], 5)])
def test_tests_side_by_side_come_first_and_what_fails_there_is_the_end(monkeypatch, codes, code):
    import test as tool

    run = Mock(side_effect=[subprocess.CompletedProcess("pytest", code) for code in codes])
    monkeypatch.setattr(tool.subprocess, "run", run)
    assert tool.main(False, False, ["-x"]) == code and run.call_count == len(codes)
    quick, *last = [call.args[0] for call in run.call_args_list]
    assert {"-n", "loadfile", "-x"} <= set(quick) and run.call_args_list[0].kwargs["env"]["OMP_NUM_THREADS"] == "1"
    for call in last:  # every notebook once, first those whose runs the last ones load
        assert {"-n", "loadfile", "-x", "--nbval", "course and not stress"} <= set(call)
        notebooks = [part for part in call if part in find_notebooks()]
        assert sorted(notebooks) == find_notebooks() and [path.name[:2] for path in notebooks[:2]] == ["04", "05"]
        assert {path.name[:2] for path in call[call.index("tests") + 1:] if path in notebooks} == {"02", "06", "08"}


def test_environment_is_made_once_and_again_when_its_files_change_or_it_failed(tmp_path, monkeypatch):
    pip = Mock(side_effect=[subprocess.CompletedProcess("pip", code) for code in (1, 0, 1, 0, 0, 0, 0)])
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text("one")
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "STAMP", tmp_path / "stamp")
    monkeypatch.setattr(environment, "works", lambda: True)
    monkeypatch.setattr(environment.subprocess, "run", pip)
    for _ in range(2):  # the first of two calls of pip fails, then the second
        with pytest.raises(SystemExit, match="call the same command again"):
            environment.prepare()
    environment.prepare()
    environment.prepare()
    assert pip.call_count == 5 and {"constraints.txt", "--no-deps"} <= set(pip.call_args.args[0])
    (tmp_path / "constraints.txt").write_text("two")
    environment.prepare()
    assert pip.call_count == 7


def test_course_executes_every_notebook_two_at_once_and_a_single_one_with_both_cores(tmp_path, monkeypatch):
    beside = {}
    monkeypatch.setattr(course, "BUILD", tmp_path)
    monkeypatch.setattr(course, "execute", lambda path, output: beside.setdefault(
        path.name[:2], (os.environ.get("OMP_NUM_THREADS"), float(os.environ["FER_UTILS_WAIT"]))))
    monkeypatch.setattr(os, "environ", {})  # the call sets two variables
    ended = [path for path, _ in course._executed(find_notebooks())]
    assert sorted(ended) == find_notebooks()
    assert set(beside.values()) == {("1", 1200)}, "04 and 05 train the same runs: one must wait for the other"
    assert min(map(course.ORDER.index, ("02", "06", "08"))) > max(map(course.ORDER.index, ("04", "05")))
    beside.clear()
    assert len(list(course._executed(find_notebooks(["04"])))) == 1 and beside["04"][0] is None
